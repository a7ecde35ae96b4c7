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

"""What the programs of all nodes share; it imports no rclpy, so that signals are caught first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import importlib.util
import os
import sys
from typing import Any

from ros2_classify.ros import runtime


def require(*packages: str) -> None:
    """
    Say what is missing before anything is started.

    Parameters
    ----------
    *packages : str
        Python packages that the node imports later, after the signal handlers are in place.

    Raises
    ------
    ModuleNotFoundError
        Naming the first package that is not there.

    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f'No module named {package!r}', name=package)


def main(usage: str, create: Callable[[runtime.Stop], Any], args: Sequence[str] | None, *,
         receiver: bool = False) -> int:
    """
    Run a node until it is done or asked to end.

    Parameters
    ----------
    usage : str
        What ``--help`` prints.
    create : callable
        Makes the node; it gets the request to end the process.
    args : sequence of str or None
        The command line after the program's name; None means ``sys.argv[1:]``.
    receiver : bool
        Whether it sends no pictures of a camera.

    Returns
    -------
    int
        The exit code; see `ros2_classify.ros.runtime.run`.

    """
    words = sys.argv[1:] if args is None else list(args)
    if {'-h', '--help'} & set(words):
        print(usage)
        return 0
    # OpenCV warns of every damaged picture, past the node's log and without an end; it reads this
    # when it is loaded. The reason is in the node's own, throttled line.
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')
    return runtime.run(create, words, receiver=receiver)
