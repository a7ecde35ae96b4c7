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

"""Check ROS 2, its messages, its middleware and its settings; see ``docs/large_images.md``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
import json
import os
from pathlib import Path
import sys
import xml.etree.ElementTree as ElementTree

from ros2_classify.doctor.machine import Issue, Machine
from ros2_classify.progress import human_size

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


# One image of 1920x1080 in colour, in bytes.
_LARGE_IMAGE = 1920 * 1080 * 3
_SHARED_MEMORY = Path('/dev/shm')
# The shared memory of the shipped profile for a camera, the server and a viewer.
_SEGMENT = 24 * 2**20
_NEEDED = 3 * _SEGMENT
_IN_CONTAINER = ('/.dockerenv', '/run/.containerenv')
# Bytes that a UDP socket must buffer for a large image.
_RECEIVE_BUFFER = 8388608
_RMEM_MAX = '/proc/sys/net/core/rmem_max'
_TRANSPORTS_FOR_LARGE = ('LARGE_DATA', 'LARGE_DATAv6')


def check_large_images(machine: Machine) -> Iterator[Issue]:
    """Check the middleware's settings for large images."""
    middleware = machine.env.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'
    if 'fastrtps' in middleware:
        yield from _check_profile(machine)
        yield from _check_shared_memory(machine)
    elif 'cyclone' in middleware or 'connext' in middleware:
        yield from _check_buffers(machine, middleware)


def _check_profile(machine: Machine) -> Iterator[Issue]:
    # A module of the ROS side that imports no ROS; it knows the names of the variables.
    profile = import_module('ros2_classify.ros.node.dds_profile')
    env = machine.env
    shipped = profile.profile_file()
    own = shipped or 'config/fastdds.xml of this package'
    transports = env.get('FASTDDS_BUILTIN_TRANSPORTS', '')
    named: str = profile.variable(env)
    is_old = named == profile.OLD_VARIABLE
    other: str = profile.NEW_VARIABLE if is_old else profile.OLD_VARIABLE
    if env.get(named):
        yield _judge_profile(machine, named, env[named], str(own))
    elif env.get(other) and is_old:
        yield Issue(
            'large images', 'error', f'{other} is set, which this distribution ignores',
            f'set {named} instead: export {named}={env[other]}')
    elif env.get(other):
        yield _judge_profile(machine, other, env[other], str(own))
    elif transports.partition('?')[0] in _TRANSPORTS_FOR_LARGE:
        yield Issue('large images', 'ok', f'FASTDDS_BUILTIN_TRANSPORTS is {transports}')
    elif transports:
        yield Issue(
            'large images', 'warning',
            f'FASTDDS_BUILTIN_TRANSPORTS is {transports}: large images may be lost',
            f'unset it, so that the nodes use {own}, or set it to LARGE_DATA')
    elif shipped:
        yield Issue(
            'large images', 'ok',
            f'the nodes of this package use {shipped}; cameras of other packages, started '
            f'elsewhere, need {named}={shipped}')
    else:
        yield Issue(
            'large images', 'error',
            'the package was installed without config/fastdds.xml: large images will be lost',
            'install it again, or set FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA')


def _judge_profile(machine: Machine, name: str, path: str, own: str) -> Issue:
    try:
        root = ElementTree.fromstring(machine.read_text(path))
    except OSError as error:
        return Issue('large images', 'error',
                     f'{name} names {path}: {error.strerror}; Fast DDS ignores it',
                     f'correct it: export {name}={own}')
    except ElementTree.ParseError as error:
        return Issue('large images', 'error',
                     f'{name} names {path}, which is not XML ({error})',
                     f'correct it: export {name}={own}')
    sizes = [int(each.text or 0) for each in root.iter()
             if each.tag.rpartition('}')[2] == 'segment_size' and (each.text or '').isdigit()]
    if max(sizes, default=0) < _LARGE_IMAGE:
        return Issue(
            'large images', 'warning',
            f'{path} has no shared-memory segment that holds one image of 1920x1080 '
            f'({human_size(_LARGE_IMAGE)}): they may be lost',
            f'raise its segment_size and maxMessageSize, or export {name}={own}')
    return Issue('large images', 'ok', f'{name} is {path}, with a segment of '
                                       f'{human_size(max(sizes))}')


def _check_shared_memory(machine: Machine) -> Iterator[Issue]:
    try:
        disk = machine.disk(_SHARED_MEMORY)
    except OSError as error:
        yield Issue('large images', 'error', f'there is no {_SHARED_MEMORY}: {error.strerror}',
                    'mount it, as every Linux does; a container needs --shm-size=512m')
        return
    others = machine.other_owners(_SHARED_MEMORY, 'fast')
    if others:
        yield Issue(
            'large images', 'warning',
            f'nodes of other users (number {", ".join(map(str, others))}) share memory on this '
            'machine: no image passes between two users',
            'run all nodes that exchange images as one user')
    if any(machine.has_file(path) for path in _IN_CONTAINER):
        yield Issue(
            'large images', 'ok',
            'this is a container: if it was started with --net=host, images pass between it '
            'and other nodes only with --ipc=host too')
    if disk.total < _SEGMENT:
        yield Issue(
            'large images', 'error',
            f'{_SHARED_MEMORY} has {human_size(disk.total)}: no process gets shared memory, and '
            'large images are lost',
            'start the container with --shm-size=512m or --ipc=host')
    elif disk.total < _NEEDED:
        yield Issue(
            'large images', 'warning',
            f'{_SHARED_MEMORY} has {human_size(disk.total)}: a third process gets no '
            'shared memory and loses large images',
            'start the container with --shm-size=512m or --ipc=host')
    elif disk.free < _NEEDED:
        yield Issue(
            'large images', 'warning',
            f'{_SHARED_MEMORY} has {human_size(disk.free)} left of {human_size(disk.total)}',
            'run fastdds shm clean to remove files of killed processes')


def _check_buffers(machine: Machine, middleware: str) -> Iterator[Issue]:
    try:
        size = int(machine.read_text(_RMEM_MAX))
    except (OSError, ValueError):
        return  # not Linux, or a container that hides it
    if size < _RECEIVE_BUFFER:
        yield Issue(
            'large images', 'warning',
            f'{middleware} sends images over UDP, and the kernel buffers only '
            f'{human_size(size)} of them',
            f'sudo sysctl -w net.core.rmem_max={_RECEIVE_BUFFER}')
    else:
        yield Issue('large images', 'ok',
                    f'{middleware}; the kernel buffers {human_size(size)}')
