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

"""The verbs that need ROS 2; those that start a node hand their words over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
import sys

from ros2_classify.cli import EXIT_NO_ROS, EXIT_OK

_ROS_PACKAGES = ('ament_', 'rcl', 'rmw', 'ros2_classify_interfaces', 'rosidl_', 'rpyutils')


def run_node(name: str, words: Sequence[str]) -> int:
    """
    Run a node until it ends.

    Parameters
    ----------
    name : str
        A key of `ros2_classify.ros.main.PROGRAMS`.
    words : sequence of str
        Its arguments, like ``--ros-args -p model:=cards_detector``.

    Returns
    -------
    int
        The node's exit code, or 3 where ROS 2 can't be imported; one sentence on stderr says
        what is missing.

    """
    def start() -> int:
        code = import_module('ros2_classify.ros.main').PROGRAMS[name](list(words))
        return EXIT_OK if code is None else int(code)

    return call_ros(f'the {name} node', start)


def call_ros(what: str, function: Callable[[], int]) -> int:
    """
    Call a function that imports ROS 2.

    Parameters
    ----------
    what : str
        What needs ROS 2, for the sentence that says so.
    function : callable
        Returns an exit code.

    Returns
    -------
    int
        The function's, or 3 where ROS 2 can't be imported; one sentence on stderr says what is
        missing.

    """
    try:
        return function()
    except ImportError as error:
        if not _is_of_ros(error):
            raise
        # ROS 2 adds a paragraph of advice to some of its errors; the first line says what failed.
        reason = str(error).partition('\n')[0]
        print(
            f'ros2_classify: {what} needs ROS 2, but {sys.executable} cannot import it '
            f'({reason}); source a ROS 2 installation '
            '("source /opt/ros/jazzy/setup.bash") made for this Python, or start it with '
            'scripts/shell of a source tree; "infer" works without ROS', file=sys.stderr)
        return EXIT_NO_ROS


def _is_of_ros(error: ImportError) -> bool:
    """Tell whether what could not be imported belongs to ROS 2, and is no fault of ours."""
    top = (error.name or '').partition('.')[0]
    # A shared library that is missing leaves no module's name.
    return not top or top.startswith(_ROS_PACKAGES) or top.endswith('_msgs')
