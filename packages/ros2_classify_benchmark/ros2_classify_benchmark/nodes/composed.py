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


"""The benchmark's camera and the server composed in one process, as `compose` documents it."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from rclpy.node import Node
from ros2_classify.ros import compose
from ros2_classify.ros.node import process as runtime
from ros2_classify.ros.node.intra_process import ImageSender
from ros2_classify_benchmark.nodes.frames import Frames
from ros2_classify_benchmark.nodes.helper import serve
from ros2_classify_benchmark.nodes.source import Source
from std_msgs.msg import Header


class ComposedCamera(Node):
    """
    Hands raw images over when it is told to.

    Parameters
    ----------
    stop : Stop
        The request to end, made when the standard input ends.
    frames : Frames
        The images.
    topic : str
        The topic.

    """

    def __init__(self, stop: runtime.Stop, frames: Frames, topic: str) -> None:
        super().__init__('bench_source', start_parameter_services=False)
        self._stop = stop
        self._sender = ImageSender(self, topic, 2)
        images = [frames.pixels(number) for number in range(len(frames))]
        encoding = frames.index['encoding']

        def send(number: int, stamp: int) -> None:
            header = Header()
            header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
            self._sender.send(images[number % len(images)], encoding, header)

        self._over = threading.Event()
        self._source = Source({topic: send}, self._over)

    def start(self) -> None:
        """Begin to take commands; the server is there."""
        threading.Thread(target=self._talk, name='camera', daemon=True).start()

    def close(self) -> None:
        """End the topic."""
        self._sender.destroy()

    def _talk(self) -> None:
        try:
            serve({'run': self._source.run}, {'ready': 'composed'}, self._over)
        finally:
            self._stop.request()


def main() -> int:
    """Run both: the argument is JSON with ``frames``, ``topics`` and ``words``, the server's."""
    settings = json.loads(sys.argv[1])

    def camera(stop: runtime.Stop) -> Any:
        return ComposedCamera(stop, Frames(settings['frames']), settings['topics'][0])

    return compose.compose(compose.server_node, camera, args=settings['words'])


if __name__ == '__main__':
    sys.exit(main())
