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

"""The verbs that need ROS 2; those of nodes pass their arguments on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
import sys

from ros2_classify.cli import EXIT_NO_ROS, EXIT_OK
from ros2_classify.cli.messages import say

_ROS_PACKAGES = ('ament_', 'rcl', 'rmw', 'ros2_classify_interfaces', 'rosidl_', 'rpyutils')


def run_node(name: str, words: Sequence[str]) -> int:
    """Run a node until it exits, and return its exit code; 3 without ROS 2."""
    def start() -> int:
        code = import_module('ros2_classify.ros.main').PROGRAMS[name](list(words))
        return EXIT_OK if code is None else int(code)

    return call_ros(f'the {name} node', start)


def call_ros(what: str, function: Callable[[], int]) -> int:
    """Call a function that imports ROS 2; without it, say so and return 3."""
    try:
        return function()
    except ImportError as error:
        if not _is_of_ros(error):
            raise
        # Some errors of ROS 2 end with a paragraph of advice; the first line says what failed.
        reason = str(error).partition('\n')[0]
        say('error', f'{what} needs ROS 2, but {sys.executable} cannot import it ({reason}); '
            'source a ROS 2 installation for this Python (source /opt/ros/jazzy/setup.bash), or '
            'use scripts/shell of a source tree; "infer" works without ROS')
        return EXIT_NO_ROS


def _is_of_ros(error: ImportError) -> bool:
    """Tell whether the missing module belongs to ROS 2 and not to this package."""
    top = (error.name or '').partition('.')[0]
    # A missing shared library leaves no name of a module.
    return not top or top.startswith(_ROS_PACKAGES) or top.endswith('_msgs')
