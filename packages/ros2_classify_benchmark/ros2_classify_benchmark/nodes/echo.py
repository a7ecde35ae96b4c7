# Copyright 2026 the ros2_classify authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.


"""
A node that publishes the header of every image and does nothing else: the transport alone.

Its images take the same way as the server's, its results are as small as can be, so that what is
measured is the least that any node in Python pays.
"""

from __future__ import annotations

from collections.abc import Sequence
import sys
from typing import Any

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify.ros import main as programs
from ros2_classify.ros.node import process as runtime
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header


class EchoNode(Node):
    """
    Publishes the header of every image on ``header``.

    Parameters
    ----------
    stop : Stop
        The request to end.

    """

    def __init__(self, stop: runtime.Stop) -> None:
        super().__init__('echo')
        runtime.tune_malloc()
        compressed = self.declare_parameter('image_transport', 'raw').value == 'compressed'
        self._publisher = self.create_publisher(Header, 'header', 10)
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                         reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(
            CompressedImage if compressed else Image, 'image', self._receive, qos)

    def _receive(self, msg: Any) -> None:
        self._publisher.publish(msg.header)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is asked to end; return the exit code."""
    return programs.run('Publish the header of every image.', EchoNode, args)


if __name__ == '__main__':
    sys.exit(main())
