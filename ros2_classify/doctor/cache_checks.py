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

"""Whether models can be kept: the cache's directory and the room on its disk."""

from __future__ import annotations

from collections.abc import Iterator

from ros2_classify.doctor.machine import Finding, Machine
from ros2_classify.download.options import CACHE, default_cache_directory
from ros2_classify.errors import FetchError
from ros2_classify.progress import human_size

# The largest model of the catalogue, with room for the copy that is being fetched.
_LITTLE = 500 * 10**6
_NOTHING = 20 * 10**6


def check_cache(machine: Machine) -> Iterator[Finding]:
    """Look at the cache's directory and its disk."""
    try:
        directory = default_cache_directory(machine.env)
    except FetchError as error:
        yield Finding('cache', 'error', str(error), f'set {CACHE} to a directory')
        return
    try:
        machine.write_trial(directory)
        disk = machine.disk(directory)
        size = machine.size_of(directory)
    except OSError as error:
        yield Finding(
            'cache', 'error', f'the cache {directory} cannot be written: {error.strerror}',
            f'correct its permissions or free some room, or set {CACHE} to another directory; models '
            'that are files are not concerned')
        return
    if disk.free < _LITTLE:
        yield Finding(
            'cache', 'error' if disk.free < _NOTHING else 'warning',
            f'the disk of the cache {directory} has {human_size(disk.free)} left',
            f'delete {directory} ({human_size(size)}; what is needed is fetched again), or set '
            f'{CACHE} to a directory on another disk')
        return
    yield Finding('cache', 'ok', f'the cache {directory} has {human_size(size)}, its disk '
                                 f'{human_size(disk.free)} left')
