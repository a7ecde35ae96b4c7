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

"""The camera node's program; the node itself is in ``camera_node``."""

from __future__ import annotations

from collections.abc import Sequence
import sys

from ros2_classify.ros import compose, program

_USAGE = """\
Publishes pictures as a camera would.

usage: ros2 run ros2_classify camera --ros-args -p source:=SOURCE [-p loop:=false] ...

SOURCE is a picture file, a folder of pictures, a video file or a webcam (0, /dev/video0);
without it come the scenes that the package ships.
The node's parameters are described by: ros2 param describe /camera PARAMETER"""

program.require('rclpy', 'sensor_msgs')


def main(args: Sequence[str] | None = None) -> int:
    """
    Run the camera node until its source ends or it is asked to end.

    Parameters
    ----------
    args : sequence of str, optional
        The command line after the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit code; see `ros2_classify.ros.runtime.run`.

    """
    return program.main(_USAGE, compose.camera_node, args)


if __name__ == '__main__':
    sys.exit(main())
