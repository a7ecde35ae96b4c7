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

"""Check the cache's directory and the space on its disk."""

from __future__ import annotations

from collections.abc import Iterator

from ros2_classify.doctor.machine import Issue, Machine
from ros2_classify.download.options import CACHE, default_cache_directory
from ros2_classify.errors import FetchError
from ros2_classify.progress import human_size

# The largest model of the catalogue, twice: once while it is downloaded.
_LITTLE = 500 * 10**6
_NOTHING = 20 * 10**6


def check_cache(machine: Machine) -> Iterator[Issue]:
    """Check the cache's directory and its disk."""
    try:
        directory = default_cache_directory(machine.env)
    except FetchError as error:
        yield Issue('cache', 'error', str(error), f'set {CACHE} to a directory')
        return
    try:
        machine.write_trial(directory)
        disk = machine.disk(directory)
        size = machine.size_of(directory)
    except OSError as error:
        yield Issue(
            'cache', 'error', f'the cache {directory} cannot be written: {error.strerror}',
            f'correct its permissions, free some space, or set {CACHE} to another directory; '
            'local model files work anyway')
        return
    if disk.free < _LITTLE:
        yield Issue(
            'cache', 'error' if disk.free < _NOTHING else 'warning',
            f'the disk of the cache {directory} has {human_size(disk.free)} left',
            f'delete {directory} ({human_size(size)}; models are downloaded again if needed), or '
            f'set {CACHE} to a directory on another disk')
        return
    yield Issue('cache', 'ok', f'the cache {directory} has {human_size(size)}, its disk '
                               f'{human_size(disk.free)} left')
