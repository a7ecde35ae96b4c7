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
"""How much memory a process may still take, in its control group and on its machine."""

from __future__ import annotations

import math
from pathlib import Path

from ros2_classify.errors import EngineError
from ros2_classify.progress import human_size

_GROUPS = Path('/sys/fs/cgroup')


def available_memory(
        groups: Path = _GROUPS, own: Path = Path('/proc/self/cgroup'),
        machine: Path = Path('/proc/meminfo')) -> float:
    """Return the bytes that are left; infinite where nothing tells."""
    left = [_of_the_machine(machine)]
    try:
        lines = own.read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError):
        lines = []
    for line in lines:
        number, controllers, path = (line.split(':', 2) + ['', ''])[:3]
        is_v2 = number == '0' and not controllers
        if not is_v2 and 'memory' not in controllers.split(','):
            continue
        top = groups if is_v2 else groups / 'memory'
        group = top / path.lstrip('/')
        # The limit of each group above counts; a container sees its own at the top.
        for place in (group, *group.parents):
            if place == top or top in place.parents:
                left.append(_of_version_2(place) if is_v2 else _of_version_1(place))
    return max(0.0, min(left))


def check_memory(name: str, what: str, needed: float) -> None:
    """Refuse what takes more memory than is left: else the kernel ends the process for it."""
    if needed > (left := available_memory()):
        raise EngineError(
            f'{name}: {what} needs at least {human_size(needed)} of memory, and '
            f'{human_size(left)} are left on this machine or in its container; '
            'give it more, or use a smaller model')


def _of_the_machine(file: Path) -> float:
    return 1024.0 * _rows(file).get('MemAvailable:', math.inf)


def _of_version_2(group: Path) -> float:
    limit, stat = _number(group / 'memory.max'), _rows(group / 'memory.stat')
    # The rest are copies of files, which the kernel drops first.
    return limit - sum(stat.get(name, 0.0) for name in ('anon', 'shmem', 'kernel'))


def _of_version_1(group: Path) -> float:
    limit, stat = _number(group / 'memory.limit_in_bytes'), _rows(group / 'memory.stat')
    return limit - sum(stat.get(name, 0.0) for name in ('total_rss', 'total_shmem'))


def _number(file: Path) -> float:
    try:
        return float(file.read_text(encoding='ascii'))
    except (OSError, ValueError):  # no such file, or no limit: 'max'
        return math.inf


def _rows(file: Path) -> dict[str, float]:
    try:
        words = (line.split() for line in file.read_text(encoding='ascii').splitlines())
        return {row[0]: float(row[1]) for row in words if len(row) > 1}
    except (OSError, ValueError):
        return {}
