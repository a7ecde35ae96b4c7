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

"""Check that large images arrive between processes; see ``docs/large_images.md``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
import xml.etree.ElementTree as ElementTree

from ros2_classify.doctor.machine import Issue, Machine
from ros2_classify.progress import human_size

# One image of 1920x1080 in colour, in bytes.
_LARGE_IMAGE = 1920 * 1080 * 3
_SHARED_MEMORY = Path('/dev/shm')
# The shared memory of the shipped profile for a camera, the server and a viewer.
_NEEDED = 3 * 24 * 2**20
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
    if disk.total < _NEEDED:
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
