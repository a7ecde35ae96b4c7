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

"""Counters, rates and rolling quantiles, cheap enough to be updated with every image."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time

from ros2_classify.ros.diagnostics.issues import find, Issue


@dataclass
class Counters:
    """
    What has happened to the images of one camera since the activation.

    One thread at a time writes each of them. ``replaced``: a newer image came first;
    ``no_subscribers``: nobody subscribes to the results; ``over_rate``: more than max_rate
    allows; ``between``: of a clip, whose result came with another image; ``skipped``: in a pause
    after a fault; ``stopped``: the node stopped, or abandoned a thread, before their turn.
    """

    received: int = 0
    results: int = 0
    replaced: int = 0
    no_subscribers: int = 0
    over_rate: int = 0
    between: int = 0
    malformed: int = 0
    failed: int = 0
    skipped: int = 0
    stopped: int = 0

    def __str__(self) -> str:
        """Return one line for the log."""
        over_rate = f', {self.over_rate} beyond max_rate' if self.over_rate else ''
        between = f', {self.between} of clips between results' if self.between else ''
        skipped = f', {self.skipped} skipped after faults' if self.skipped else ''
        stopped = f', {self.stopped} dropped at the stop' if self.stopped else ''
        return (
            f'{self.received} frames received, {self.results} results, '
            f'{self.replaced} replaced by newer ones, {self.no_subscribers} without subscribers, '
            f'{self.malformed} unusable, {self.failed} failed{over_rate}{between}'
            f'{skipped}{stopped}')


# A minute of a usual camera is enough to judge by, and takes 8 KiB.
_SIZE = 1024


class Ring:
    """The last values of something measured; one thread at a time adds, any thread reads."""

    def __init__(self, size: int = _SIZE) -> None:
        self._values = array('d', bytes(8 * size))
        self._count = 0

    def __len__(self) -> int:
        """Return how many values there are."""
        return min(self._count, len(self._values))

    def add(self, value: float) -> None:
        """Add a value; the oldest one is overwritten."""
        self._values[self._count % len(self._values)] = value
        self._count += 1

    def quantiles(self, parts: Sequence[float] = (0.5, 0.95, 0.99)) -> tuple[float, ...]:
        """Return the quantiles, each part from 0 to 1; empty if there are no values."""
        values = sorted(self._values[:len(self)])
        return tuple(values[round(part * (len(values) - 1))] for part in parts) if values else ()


class Latencies:
    """
    How long one camera's results took to be published, in seconds; ``model`` is the model alone.

    ``total`` is from the image's stamp, on the node's clock, ``node`` from its arrival.
    """

    def __init__(self) -> None:
        self.total = Ring()
        self.node = Ring()
        self.model = Ring()

    def __str__(self) -> str:
        """Return one line for the log; empty if nothing was measured."""
        if not len(self.node):
            return ''
        node, model = (
            '/'.join(f'{1000 * value:.1f}' for value in ring.quantiles())
            for ring in (self.node, self.model))
        return (f'{node} ms from an image to its result (median/95 %/99 %), {model} ms of it '
                'in the model')


class Rate:
    """How often something happens per second, from how often it has happened in all."""

    # Seconds; two looks within them give the same rate.
    _SPAN = 0.8

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._base: tuple[float, int] | None = None
        self._rate = 0.0

    def look(self, count: int) -> float:
        """Return the rate since the last look; a smaller count than before starts again."""
        now = self._clock()
        if self._base is None or count < self._base[1]:
            self._base = (now, count)
            self._rate = 0.0
        elif now - self._base[0] >= self._SPAN:
            self._rate = (count - self._base[1]) / (now - self._base[0])
            self._base = (now, count)
        return self._rate


# Seconds; a simulation that runs at a tenth of real time is no fault.
_PATIENCE = 5.0


class SimulatedClock:
    """Compares simulated with real time; `jumps` counts how often simulated time went back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[float, float] | None = None
        self.jumps = 0

    def look(self, simulated: float | None) -> list[Issue]:
        """Return what is wrong; call it about once a second, with None for real time."""
        now = self._clock()
        if simulated is None:
            self._last = None
            return []
        if self._last is None or simulated != self._last[0]:
            self.jumps += self._last is not None and simulated < self._last[0]
            self._last = (simulated, now)
        still = now - self._last[1]
        return [] if still < _PATIENCE else [find('clock_stands', at=simulated, seconds=still)]
