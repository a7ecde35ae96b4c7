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

"""Whether this Python has a ROS 2, with the messages and the settings that it needs."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import sys

from ros2_classify.doctor.machine import Finding, Machine

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


def check_ros(machine: Machine) -> Iterator[Finding]:
    """Look for ROS 2."""
    distro = machine.env.get('ROS_DISTRO', '')
    ran = machine.run_python(_RCLPY)
    if ran.code:
        yield _no_rclpy(machine, distro, ran.last_line)
        return
    version = next((each.version for each in machine.distributions('rclpy')), 'of no version')
    where = json.loads(ran.out or '{}').get('file', '')
    title = distro.capitalize() or 'of unknown distribution'
    yield Finding('ros', 'ok', f'ROS 2 {title}, rclpy {version} ({where})')
    yield from _check_distro(machine, distro)
    ran = machine.run_python(_MESSAGES)
    if ran.code:
        yield Finding(
            'ros', 'error', f'the messages cannot be imported: {ran.last_line}',
            f'sudo apt install ros-{distro or "$ROS_DISTRO"}-vision-msgs, or build vision_msgs '
            'and source the workspace')
    if machine.run_python(_SERVICES).code:
        yield Finding(
            'ros', 'warning', 'ros2_classify_interfaces is not there: the server has no services',
            'colcon build --base-paths src src/ros2_classify/packages, then source '
            'install/setup.bash; without services nothing else is missing')
    yield from _check_settings(machine)


def check_middleware(machine: Machine) -> Iterator[Finding]:
    """Start ROS 2 and see which middleware comes up."""
    if machine.run_python(_RCLPY).code:
        return
    asked = machine.env.get('RMW_IMPLEMENTATION', '')
    ran = machine.run_python(_MIDDLEWARE)
    if ran.code:
        name = asked or 'rmw_fastrtps_cpp'
        package = f'ros-{machine.env.get("ROS_DISTRO", "$ROS_DISTRO")}-{name.replace("_", "-")}'
        yield Finding(
            'middleware', 'error',
            f'ROS 2 does not start with the middleware {name}: {ran.last_line}',
            f'sudo apt install {package}' + (', or unset RMW_IMPLEMENTATION' if asked else ''))
        return
    running = json.loads(ran.out or '{}').get('rmw', asked or 'unknown')
    yield Finding('middleware', 'ok', f'the middleware is {running}')
    if 'zenoh' in running:
        yield Finding(
            'middleware', 'warning', 'with Zenoh nodes find each other through a router only',
            'see that one runs: ros2 run rmw_zenoh_cpp rmw_zenohd')


def _no_rclpy(machine: Machine, distro: str, reason: str) -> Finding:
    if not distro and not machine.env.get('AMENT_PREFIX_PATH'):
        return Finding(
            'ros', 'warning',
            f'ROS 2 is not there ({reason}): the nodes do not start; infer, models and the '
            'Python library work',
            'source /opt/ros/jazzy/setup.bash, or on a machine without ROS 2 use scripts/shell')
    return Finding(
        'ros', 'error',
        f'ROS 2 {distro} is sourced, but {sys.executable} cannot import it: {reason}',
        'deactivate conda, pyenv or the virtual environment, or make one of /usr/bin/python3 '
        'with --system-site-packages')


def _check_distro(machine: Machine, distro: str) -> Iterator[Finding]:
    if distro and distro not in NAMED:
        yield Finding(
            'ros', 'warning', f'ROS_DISTRO is {distro!r}, which this package does not know',
            f'it is made for {", ".join(NAMED)}, and tested on {" and ".join(TESTED)}')
    elif distro and distro not in TESTED:
        yield Finding(
            'ros', 'warning', f'this package was never tried on {distro.capitalize()}',
            f'if something fails, try {" or ".join(TESTED)}, and report it')
    prefixes = machine.env.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    others = sorted({Path(prefix).name for prefix in prefixes
                     if Path(prefix).parent == Path('/opt/ros')} - {distro})
    if distro and others:
        yield Finding(
            'ros', 'error',
            f'several distributions are sourced: {distro} and {", ".join(others)}',
            'open a new terminal and source one of them; look into ~/.bashrc')


def _check_settings(machine: Machine) -> Iterator[Finding]:
    env = machine.env
    domain = env.get('ROS_DOMAIN_ID', '')
    if domain and not (domain.isdigit() and int(domain) <= _HIGHEST_POSSIBLE_DOMAIN):
        yield Finding(
            'ros', 'error', f'ROS_DOMAIN_ID is {domain!r}',
            f'set it to a number from 0 to {_HIGHEST_DOMAIN}, the same on all machines')
    elif domain and int(domain) > _HIGHEST_DOMAIN:
        yield Finding(
            'ros', 'warning',
            f'ROS_DOMAIN_ID is {domain}: its ports may be taken by other programs',
            f'set it to a number from 0 to {_HIGHEST_DOMAIN}, the same on all machines')
    reach = env.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    if reach == 'OFF':
        yield Finding(
            'ros', 'warning',
            'ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: no node finds one of another process',
            'unset it, or set it to LOCALHOST or SUBNET')
    elif reach and reach not in _RANGES:
        yield Finding(
            'ros', 'error', f'ROS_AUTOMATIC_DISCOVERY_RANGE is {reach!r}',
            f'set it to one of {", ".join(_RANGES)}')
    if env.get('ROS_LOCALHOST_ONLY') == '1' or reach == 'LOCALHOST':
        yield Finding('ros', 'ok', 'nodes of this machine only find each other, as it is set')
    home = env.get('ROS_LOG_DIR') or env.get('ROS_HOME') or env.get('HOME', '')
    if home:
        try:
            machine.write_trial(Path(home))
        except OSError as error:
            yield Finding(
                'ros', 'error', f'ROS 2 cannot write its log below {home}: {error.strerror}',
                'set ROS_LOG_DIR to a directory that can be written')
    else:
        yield Finding('ros', 'error', 'neither HOME nor ROS_LOG_DIR is set: nodes do not start',
                      'set ROS_LOG_DIR to a directory that can be written')
