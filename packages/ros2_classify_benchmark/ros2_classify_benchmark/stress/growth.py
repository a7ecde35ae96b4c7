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

"""What a process holds, sample by sample, and whether that grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import os
from pathlib import Path
import threading
import time
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from ros2_classify_benchmark.system import memory_bytes

_MIB = 2.0**20
# Seconds for what has ended to go.
_PATIENCE = 1.0
_POLL = 0.02
# Pools and caches fill up in the first part of a run.
SETTLING = 0.25
COLUMNS = ('memory_mib', 'descriptors', 'threads', 'shared_memory')
# A tenth of this many samples after the settling is significant.
_MANY = 300
# What the fit may gain from the end of the settling to the end of the run: allocators round, and
# what comes and goes is not the same at both ends.
LIMITS = {'memory_mib': 8.0, 'descriptors': 4.0, 'threads': 1.5, 'shared_memory': 4.0}


@dataclass(frozen=True)
class Growth:
    """
    How one quantity has developed.

    Parameters
    ----------
    first, last : float
        The median of the first and the last tenth of what was sampled after the settling.
    slope : float
        Gain in an hour, by the straight line that fits best (least squares).
    gain : float
        What that line gains from the end of the settling to the end of the run.
    limit : float
        What it may gain.
    samples : int
        How many there are after the settling.

    """

    first: float
    last: float
    slope: float
    gain: float
    limit: float
    samples: int = 0

    @property
    def flat(self) -> bool:
        """
        Whether it has not grown: neither by the fit, nor from the first to the last tenth.

        A leak from the beginning shows in both, one that begins late rather in the second. In a
        short run a tenth is a handful of samples, which a model on its way or a camera's start can
        raise, so that one of the two suffices there.
        """
        gains = (self.gain, self.last - self.first)
        return (max(gains) if self.samples >= _MANY else min(gains)) <= self.limit


def hold(pid: int) -> tuple[float, float, float, float]:
    """Return what a process holds."""
    directory = Path(f'/proc/{pid}')
    segments = {line.split(None, 5)[5] for line in
                (directory / 'maps').read_text(errors='replace').splitlines()
                if '/dev/shm/' in line}
    return (memory_bytes([pid])[0] / _MIB, float(len(os.listdir(directory / 'fd'))),
            float(len(os.listdir(directory / 'task'))), float(len(segments)))


def growth(times: NDArray[np.float64], values: NDArray[np.float64], limit: float) -> Growth:
    """Tell how a quantity has developed since it settled."""
    settled = times >= times[0] + SETTLING * (times[-1] - times[0])
    times, values = times[settled], values[settled]
    tenth = max(1, len(times) // 10)
    per_second = float(np.polyfit(times - times[0], values, 1)[0]) if len(times) > 2 else 0.0
    return Growth(
        float(np.median(values[:tenth])), float(np.median(values[-tenth:])), 3600.0 * per_second,
        per_second * float(times[-1] - times[0]), limit, len(times))


class Watch:
    """
    Samples a process; with a period in a thread of its own, for the length of a ``with`` block.

    Parameters
    ----------
    pid : int
        The process.
    period : float
        Seconds; 0 for samples on demand only.
    clock : callable
        Gives the time in seconds; for tests.
    limits : float
        What single quantities may gain, by name, where it is not that of `LIMITS`.

    """

    def __init__(self, pid: int, period: float = 0.0,
                 clock: Callable[[], float] = time.monotonic, **limits: float) -> None:
        self._pid = pid
        self._period = period
        self._clock = clock
        self._limits = {**LIMITS, **limits}
        self._rows: list[tuple[float, ...]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def sample(self) -> None:
        """Take a sample."""
        self._rows.append((self._clock(), *hold(self._pid)))

    def sample_at_rest(self) -> None:
        """Take a sample once there are no more threads than in the first one, or after a while."""
        end = self._clock() + _PATIENCE
        while self._clock() < end:
            held = hold(self._pid)
            if not self._rows or held[2] <= self._rows[0][3]:
                break
            time.sleep(_POLL)
        self._rows.append((self._clock(), *held))

    def save(self, path: Path) -> None:
        """Write all samples, a line each: seconds, and the columns."""
        np.savetxt(path, np.array(self._rows, np.float64), fmt='%.3f',
                   header=' '.join(('seconds', *COLUMNS)))

    def growths(self) -> dict[str, Growth]:
        """Return the development of each quantity, by its name."""
        table = np.array(self._rows, np.float64)
        return {name: growth(
            table[:, 0], table[:, 1 + number], self._limits[name])
                for number, name in enumerate(COLUMNS)}

    def __enter__(self) -> Watch:
        """Start to sample."""
        if self._period:
            self._thread.start()
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """Stop to sample."""
        self._ended.set()
        if self._period:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._period):
            try:
                self.sample()
            except OSError:  # it has ended, which others notice
                return
