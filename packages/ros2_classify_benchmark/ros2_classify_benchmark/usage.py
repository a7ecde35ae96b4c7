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

"""What processes use, read from /proc: processor time and memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import os
from pathlib import Path

_PROC = Path('/proc')
_TICKS = os.sysconf('SC_CLK_TCK') if hasattr(os, 'sysconf') else 100


def tree(pids: Iterable[int]) -> list[int]:
    """Return processes and their descendants: launchers start the node as a child."""
    found: list[int] = []
    queue = list(pids)
    while queue:
        pid = queue.pop()
        if pid in found:
            continue
        try:
            for task in (_PROC / str(pid) / 'task').iterdir():
                queue += [int(word) for word in (task / 'children').read_text().split()]
        except OSError:  # ended meanwhile
            continue
        found.append(pid)
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that processes and their descendants have used so far."""
    total = 0
    for pid in tree(pids):
        try:
            # The name, in parentheses, may hold blanks.
            fields = (_PROC / str(pid) / 'stat').read_text().rpartition(')')[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def memory_bytes(pids: Sequence[int], without: str = '') -> tuple[int, int]:
    """Return the memory of processes and their descendants."""
    pss = rss = 0
    for pid in tree(pids):
        try:
            lines = (_PROC / str(pid) / 'smaps').read_text(errors='replace').splitlines()
        except OSError:
            continue
        counts = True
        for line in lines:
            head, _, rest = line.partition(' ')
            if not head.endswith(':'):  # the first line of a mapping: addresses … file
                counts = not (without and line.endswith(without))
            elif counts and head == 'Pss:':
                pss += int(rest.split()[0]) * 1024
            elif counts and head == 'Rss:':
                rss += int(rest.split()[0]) * 1024
    return pss, rss
