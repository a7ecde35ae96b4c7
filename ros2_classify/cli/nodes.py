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

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
import sys

from ros2_classify.cli import EXIT_MODEL, EXIT_NO_ROS, EXIT_OK, say, show, show_json
from ros2_classify.limits import machine_limit

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
        if machine_limit(error) or not _is_of_ros(error):
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


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'health', help='check that a server is active (needs ROS 2)',
        description='Ask a server for its lifecycle state. The exit code is 0 if it is active, '
                    '1 if it is in another state or does not respond.')
    parser.add_argument(
        '--server', default='/server', metavar='NAME',
        help='full name of the node (default: /server)')
    parser.add_argument(
        '--timeout', type=float, default=5.0, metavar='SECONDS',
        help='how long to wait for the response (default: 5)')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the state; 0 if the server is active, 1 if not, 3 without ROS 2."""
    def ask() -> int:
        asking = import_module('ros2_classify.ros.client.diagnosis')
        state: str = asking.lifecycle_state(arguments.server, arguments.timeout)
        if arguments.json:
            show_json({'server': arguments.server, 'ok': state == 'active',
                       'state': state or None})
        elif state == 'active':
            show(f'{arguments.server} is active')
        if state == 'active':
            return EXIT_OK
        what = (f'is {state}' if state else
                f'does not respond within {arguments.timeout:g} s: it is not running, or has '
                'another ROS_DOMAIN_ID')
        say('error', f'{arguments.server} {what}')
        return EXIT_MODEL

    return call_ros('health', ask)
