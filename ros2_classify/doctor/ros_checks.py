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

"""Check ROS 2, its messages, its middleware and its settings."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import sys

from ros2_classify.doctor.machine import Issue, Machine

TESTED = ('jazzy', 'kilted')
NAMED = ('humble', *TESTED, 'lyrical')

# Above it, the ports that DDS computes from the domain run into those that Linux hands out for
# outgoing connections (https://docs.ros.org, "The ROS_DOMAIN_ID").
_HIGHEST_DOMAIN = 101
_HIGHEST_POSSIBLE_DOMAIN = 232
_RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')

_RCLPY = """
import json, rclpy
print(json.dumps({'file': rclpy.__file__}))
"""
_MIDDLEWARE = """
import rclpy, json
from rclpy.utilities import get_rmw_implementation_identifier
rclpy.init()
print(json.dumps({'rmw': get_rmw_implementation_identifier()}))
rclpy.shutdown()
"""
_MESSAGES = 'import vision_msgs.msg, sensor_msgs.msg, lifecycle_msgs.srv'
_SERVICES = 'import ros2_classify_interfaces.srv'


def check_ros(machine: Machine) -> Iterator[Issue]:
    """Check rclpy, the distribution, the messages and the environment."""
    distro = machine.env.get('ROS_DISTRO', '')
    ran = machine.run_python(_RCLPY)
    if ran.code:
        yield _no_rclpy(machine, distro, ran.last_line)
        return
    version = next((each.version for each in machine.distributions('rclpy')), 'of no version')
    where = json.loads(ran.out or '{}').get('file', '')
    title = distro.capitalize() or 'of unknown distribution'
    yield Issue('ros', 'ok', f'ROS 2 {title}, rclpy {version} ({where})')
    yield from _check_distro(machine, distro)
    ran = machine.run_python(_MESSAGES)
    if ran.code:
        yield Issue(
            'ros', 'error', f'the messages cannot be imported: {ran.last_line}',
            f'sudo apt install ros-{distro or "$ROS_DISTRO"}-vision-msgs, or build vision_msgs '
            'and source the workspace')
    if machine.run_python(_SERVICES).code:
        yield Issue(
            'ros', 'warning',
            'ros2_classify_interfaces is not installed: the server has no services',
            'colcon build --base-paths src src/ros2_classify/packages, then source '
            'install/setup.bash; all else works without it')
    yield from _check_settings(machine)


def check_middleware(machine: Machine) -> Iterator[Issue]:
    """Start ROS 2 and report its middleware; nothing without rclpy."""
    if machine.run_python(_RCLPY).code:
        return
    asked = machine.env.get('RMW_IMPLEMENTATION', '')
    ran = machine.run_python(_MIDDLEWARE)
    if ran.code:
        name = asked or 'rmw_fastrtps_cpp'
        package = f'ros-{machine.env.get("ROS_DISTRO", "$ROS_DISTRO")}-{name.replace("_", "-")}'
        yield Issue(
            'middleware', 'error',
            f'ROS 2 does not start with the middleware {name}: {ran.last_line}',
            f'sudo apt install {package}' + (', or unset RMW_IMPLEMENTATION' if asked else ''))
        return
    running = json.loads(ran.out or '{}').get('rmw', asked or 'unknown')
    yield Issue('middleware', 'ok', f'the middleware is {running}')
    if 'zenoh' in running:
        yield Issue(
            'middleware', 'warning', 'with Zenoh, nodes find each other only through a router',
            'make sure that one runs: ros2 run rmw_zenoh_cpp rmw_zenohd')


def _no_rclpy(machine: Machine, distro: str, reason: str) -> Issue:
    if not distro and not machine.env.get('AMENT_PREFIX_PATH'):
        return Issue(
            'ros', 'warning',
            f'ROS 2 is not available ({reason}): the nodes do not start; infer, models and the '
            'Python library work',
            'source /opt/ros/jazzy/setup.bash, or use scripts/shell on a machine without ROS 2')
    return Issue(
        'ros', 'error',
        f'ROS 2 {distro} is sourced, but {sys.executable} cannot import it: {reason}',
        'deactivate conda, pyenv or the virtual environment, or make one of /usr/bin/python3 '
        'with --system-site-packages')


def _check_distro(machine: Machine, distro: str) -> Iterator[Issue]:
    if distro and distro not in NAMED:
        yield Issue(
            'ros', 'warning', f'ROS_DISTRO is {distro!r}, which this package does not know',
            f'it is made for {", ".join(NAMED)}, and tested on {" and ".join(TESTED)}')
    elif distro and distro not in TESTED:
        yield Issue(
            'ros', 'warning', f'this package is not tested on {distro.capitalize()}',
            f'if something fails, try {" or ".join(TESTED)}, and report it')
    prefixes = machine.env.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    others = sorted({Path(prefix).name for prefix in prefixes
                     if Path(prefix).parent == Path('/opt/ros')} - {distro})
    if distro and others:
        yield Issue(
            'ros', 'error',
            f'several distributions are sourced: {distro} and {", ".join(others)}',
            'open a new terminal and source one of them; check ~/.bashrc')


def _check_settings(machine: Machine) -> Iterator[Issue]:
    env = machine.env
    domain = env.get('ROS_DOMAIN_ID', '')
    if domain and not (domain.isdigit() and int(domain) <= _HIGHEST_POSSIBLE_DOMAIN):
        yield Issue(
            'ros', 'error', f'ROS_DOMAIN_ID is {domain!r}',
            f'set it to a number from 0 to {_HIGHEST_DOMAIN}, the same on all machines')
    elif domain and int(domain) > _HIGHEST_DOMAIN:
        yield Issue(
            'ros', 'warning',
            f'ROS_DOMAIN_ID is {domain}: its ports may be taken by other programs',
            f'set it to a number from 0 to {_HIGHEST_DOMAIN}, the same on all machines')
    reach = env.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    if reach == 'OFF':
        yield Issue(
            'ros', 'warning',
            'ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: no node finds one of another process',
            'unset it, or set it to LOCALHOST or SUBNET')
    elif reach and reach not in _RANGES:
        yield Issue(
            'ros', 'error', f'ROS_AUTOMATIC_DISCOVERY_RANGE is {reach!r}',
            f'set it to one of {", ".join(_RANGES)}')
    if env.get('ROS_LOCALHOST_ONLY') == '1' or reach == 'LOCALHOST':
        yield Issue('ros', 'ok', 'nodes find only those of this machine, as configured')
    home = env.get('ROS_LOG_DIR') or env.get('ROS_HOME') or env.get('HOME', '')
    if home:
        try:
            machine.write_trial(Path(home))
        except OSError as error:
            yield Issue(
                'ros', 'error', f'ROS 2 cannot write its log below {home}: {error.strerror}',
                'set ROS_LOG_DIR to a writable directory')
    else:
        yield Issue('ros', 'error', 'neither HOME nor ROS_LOG_DIR is set: nodes do not start',
                    'set ROS_LOG_DIR to a directory that can be written')
