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

"""The server node's program; the node itself is in ``server_node``."""

from __future__ import annotations

from collections.abc import Sequence
import sys

from ros2_classify.ros import compose, program

_USAGE = """\
Runs a vision model on a camera's pictures and publishes the answers.

usage: ros2 run ros2_classify server --ros-args -p model:=MODEL [-r image:=/camera/image_raw] ...

MODEL is a name from the catalogue, a descriptor file (.yaml) or a network (.onnx, .pb, the
folder of a SavedModel).
The node's parameters are described by: ros2 param describe /server PARAMETER"""

# The imports that need ROS come after the signal handlers; what is missing is said before.
program.require('rclpy', 'sensor_msgs', 'vision_msgs')


def main(args: Sequence[str] | None = None) -> int:
    """
    Run the server node until it is asked to end.

    Parameters
    ----------
    args : sequence of str, optional
        The command line after the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit code; see `ros2_classify.ros.runtime.run`.

    """
    return program.main(_USAGE, compose.server_node, args, receiver=True)


if __name__ == '__main__':
    sys.exit(main())
