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

"""The client_test node's program; the node itself is in ``client_node``."""

from __future__ import annotations

from collections.abc import Sequence
import sys
from typing import Any

from ros2_classify.ros import program, runtime

_USAGE = """\
Sends a picture to the server and prints the answer, or why none came.

usage: ros2 run ros2_classify client_test --ros-args [-p image:=PICTURE] [-p output:=FILE] ...

Without an image comes one that the package ships; with -p use_service:=true the server's service
is asked instead of its topics. Exit code: 0 answered, 1 not answered or a failure, 2 wrong usage.
The node's parameters are described by: ros2 param describe /client_test PARAMETER"""

program.require('rclpy', 'sensor_msgs', 'vision_msgs')


def main(args: Sequence[str] | None = None) -> int:
    """
    Run the client until the answer is there, or its time is up.

    Parameters
    ----------
    args : sequence of str, optional
        The command line after the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit code; see `ros2_classify.ros.runtime.run`.

    """
    return program.main(_USAGE, _create, args)


def _create(stop: runtime.Stop) -> Any:
    from ros2_classify.ros.client_node import ClientNode

    return ClientNode(stop)


if __name__ == '__main__':
    sys.exit(main())
