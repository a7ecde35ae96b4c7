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

"""
Whether memory and processors suffice, as the kernel tells of the machine and of the container.

A few small files are read, and only when diagnostics are published; where they are missing nothing
is said.
"""

from __future__ import annotations

from collections.abc import Callable
import math
from pathlib import Path
import re
import time

from ros2_classify.engines.hardware import available_memory, own_groups
from ros2_classify.progress import human_size
from ros2_classify.ros.diagnostics.issues import find, Issue, Status
from ros2_classify.ros.diagnostics.summary import judge

# Bytes: less than a few images and a model's intermediate results.
_LEAST = 64 << 20
# Percent of the last ten seconds in which some process had to wait for memory.
_MEMORY_WAIT = 10.0
# The same for processors. That alone harms nobody: this process must have waited as well, for at
# least the second share of the time in which it could have run.
_CPU_WAIT, _OWN_WAIT = 50.0, 50.0
# Without the numbers of this process.
_CPU_WAIT_ALONE = 90.0
# Percent of the periods in which the quota was used up, of at least five.
_THROTTLED, _PERIODS = 50.0, 5
# Seconds for which it is said that the kernel has ended a process.
_REMEMBER = 60.0


def waiting(text: str) -> float | None:
    """Return the percentage of a pressure file: how long some process waited in the last 10 s."""
    found = re.search(r'^some avg10=(\d+(?:\.\d+)?)', text, re.MULTILINE)
    return None if found is None else float(found[1])


def count(text: str, name: str) -> int | None:
    """Return a number of a file with a name and a number in each line, as `memory.events`."""
    found = re.search(rf'^{name} (\d+)$', text, re.MULTILINE)
    return None if found is None else int(found[1])


def ran_and_waited(text: str) -> tuple[int, int]:
    """Return two numbers of a thread's `schedstat`: nanoseconds on and for a processor."""
    found = re.match(r'(\d+) (\d+) ', text)
    return (0, 0) if found is None else (int(found[1]), int(found[2]))


class Machine:
    """What the kernel says, and said when it was asked before."""

    def __init__(self, proc: Path = Path('/proc'), groups: Path = Path('/sys/fs/cgroup'),
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._groups = groups
        own = proc / 'self/cgroup'
        self._memory_groups = own_groups('memory', groups, own)
        self._cpu_groups = own_groups('cpu', groups, own)
        self._periods: dict[Path, tuple[int, int]] = {}
        self._threads: dict[str, tuple[int, int]] = {}
        self._kills: int | None = None
        self._killed = -math.inf

    def status(self) -> Status:
        """Return the status of this moment."""
        rows: list[tuple[str, str]] = []
        issues = [*self._memory(rows), *self._processors(rows)]
        return Status(*judge(issues, 'memory and processors suffice' if rows else
                             'the kernel tells nothing about memory and processors'), tuple(rows))

    def _memory(self, rows: list[tuple[str, str]]) -> list[Issue]:
        reasons = []
        left = available_memory(
            self._groups, self._proc / 'self/cgroup', self._proc / 'meminfo')
        if math.isfinite(left):
            rows.append(('memory left', human_size(int(left))))
            if left < _LEAST:
                reasons.append(f'{human_size(int(left))} are left on this machine or in its '
                               'container')
        wait = self._pressure('memory')
        if wait is not None:
            rows.append(('waiting for memory [%]', f'{wait:.0f}'))
            if wait >= _MEMORY_WAIT:
                reasons.append(f'processes waited for it in {wait:.0f} % of the last 10 s')
        kills, now = self._sum_of_kills(), self._clock()
        if self._kills is not None and kills > self._kills:
            self._killed = now
        self._kills = kills
        if now - self._killed < _REMEMBER:
            reasons.append('the kernel ended a process of this container for it')
        return [find('memory_short', reason=', and '.join(reasons))] if reasons else []

    def _sum_of_kills(self) -> int:
        return sum(count(_read(place / ('memory.events' if is_v2 else 'memory.oom_control')),
                         'oom_kill') or 0 for place, is_v2 in self._memory_groups[:1])

    def _processors(self, rows: list[tuple[str, str]]) -> list[Issue]:
        reasons = []
        if (throttled := self._throttled()) is not None:
            rows.append(('halted by the limit of processors [%]', f'{throttled:.0f}'))
            if throttled >= _THROTTLED:
                reasons.append(f'the limit of its container halted it in {throttled:.0f} % of '
                               'the periods')
        wait, own = self._pressure('cpu'), self._own_wait()
        if wait is not None:
            rows.append(('waiting for a processor [%]', f'{wait:.0f}'))
        if own is not None:
            rows.append(('this process waiting for a processor [%]', f'{own:.0f}'))
        if wait is not None and not reasons:
            if own is None and wait >= _CPU_WAIT_ALONE:
                reasons.append(f'processes waited for one in {wait:.0f} % of the last 10 s')
            elif own is not None and own >= _OWN_WAIT and wait >= _CPU_WAIT:
                reasons.append(f'this process waited for one in {own:.0f} % of the time in which '
                               'it had work')
        return [find('processor_short', reason=reasons[0])] if reasons else []

    def _pressure(self, what: str) -> float | None:
        """Return what is said of the container, or else of the machine."""
        groups = self._memory_groups if what == 'memory' else self._cpu_groups
        for place, _ in groups[:1]:
            if (wait := waiting(_read(place / f'{what}.pressure'))) is not None:
                return wait
        return waiting(_read(self._proc / 'pressure' / what))

    def _throttled(self) -> float | None:
        """Return the percentage of the periods since the last time, of the worst group."""
        worst = None
        for place, _ in self._cpu_groups:
            text = _read(place / 'cpu.stat')
            periods, throttled = count(text, 'nr_periods'), count(text, 'nr_throttled')
            if periods is None or throttled is None:
                continue
            before = self._periods.get(place)
            self._periods[place] = periods, throttled
            if before is not None and periods - before[0] >= _PERIODS:
                worst = max(worst or 0.0, 100.0 * (throttled - before[1]) / (periods - before[0]))
        return worst

    def _own_wait(self) -> float | None:
        """Return the percentage of the time since the last look that threads waited to run."""
        threads = {}
        try:
            for place in (self._proc / 'self/task').iterdir():
                threads[place.name] = ran_and_waited(_read(place / 'schedstat'))
        except OSError:
            return None
        if not any(map(any, threads.values())):
            # This kernel does not count.
            return None
        before, self._threads = self._threads, threads
        both = [(now, before[name]) for name, now in threads.items() if name in before]
        ran = sum(now[0] - then[0] for now, then in both)
        waited = sum(now[1] - then[1] for now, then in both)
        return 100.0 * waited / (ran + waited) if waited > 0 else 0.0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding='ascii')
    except (OSError, ValueError):
        return ''
