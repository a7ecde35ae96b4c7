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

"""The program with a camera and the server in one process; see ``compose``."""

from __future__ import annotations

from collections.abc import Sequence
import sys

from ros2_classify.ros import compose, program

_USAGE = """\
Publishes pictures and runs a vision model on them, in one process: the pictures are handed over
without the middleware.

usage: ros2 run ros2_classify composed --ros-args -p model:=MODEL -p source:=SOURCE \\
           [-r image:=/front/image_raw] ...

The two nodes are named server and camera. Parameters are those of the programs of these names;
each node takes its own. Topics are remapped for both."""

program.require('rclpy', 'sensor_msgs', 'vision_msgs')


def main(args: Sequence[str] | None = None) -> int:
    """
    Run both nodes until the camera's source ends, or the process is asked to end.

    Parameters
    ----------
    args : sequence of str, optional
        The command line after the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit code; see `ros2_classify.ros.runtime.run`.

    """
    return program.main(_USAGE, compose.together(compose.server_node, compose.camera_node), args)


if __name__ == '__main__':
    sys.exit(main())
