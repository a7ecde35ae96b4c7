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

"""How long the last answers took, kept at no cost for those that come."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Counters:
    """
    Counts of one stream since the activation; one thread at a time writes each of them.

    Parameters
    ----------
    received : int
        Frames that came.
    answered : int
        Frames whose answer was published.
    replaced : int
        Frames dropped because a newer one came before the model was free.
    unwanted : int
        Frames dropped because nobody listened.
    malformed : int
        Frames that could not be read.
    failed : int
        Frames that the model or the publishing failed on.
    skipped : int
        Frames dropped because a model that had failed was left alone for a while.
    stopped : int
        Frames dropped because the node stopped, or left a model behind that hangs, before it
        was their turn.

    """

    received: int = 0
    answered: int = 0
    replaced: int = 0
    unwanted: int = 0
    malformed: int = 0
    failed: int = 0
    skipped: int = 0
    stopped: int = 0

    def __str__(self) -> str:
        """Return one line for people."""
        skipped = f', {self.skipped} skipped after faults' if self.skipped else ''
        stopped = f', {self.stopped} dropped at the stop' if self.stopped else ''
        return (
            f'{self.received} frames received, {self.answered} answered, {self.replaced} replaced '
            f'by newer ones, {self.unwanted} not wanted by anybody, {self.malformed} unusable, '
            f'{self.failed} failed{skipped}{stopped}')


# A minute's worth of a usual camera is enough to judge by, and 8 KiB each.
_KEPT = 1024


class Ring:
    """
    The last values of something measured.

    One thread at a time may add; any thread may read.

    Parameters
    ----------
    size : int
        How many values are kept.

    """

    def __init__(self, size: int = _KEPT) -> None:
        self._values = array('d', bytes(8 * size))
        self._count = 0

    def __len__(self) -> int:
        """Return how many values are kept at the moment."""
        return min(self._count, len(self._values))

    def add(self, value: float) -> None:
        """Keep a value, in the place of the oldest one."""
        self._values[self._count % len(self._values)] = value
        self._count += 1

    def quantiles(self, parts: Sequence[float] = (0.5, 0.95, 0.99)) -> tuple[float, ...]:
        """
        Return what some parts of the values do not exceed.

        Parameters
        ----------
        parts : sequence of float
            From 0 (the smallest value) to 1 (the largest).

        Returns
        -------
        tuple of float
            One for each part; empty where there are no values.

        """
        values = sorted(self._values[:len(self)])
        return tuple(values[round(part * (len(values) - 1))] for part in parts) if values else ()


class Latencies:
    """
    How long the answers of one stream took, in seconds.

    Attributes
    ----------
    total : Ring
        From the stamp of the image, on the node's clock, until the answer was published.
    node : Ring
        From the image's arrival until the answer was published.
    model : Ring
        In the model alone.

    """

    def __init__(self) -> None:
        self.total = Ring()
        self.node = Ring()
        self.model = Ring()

    def __str__(self) -> str:
        """Return a line for people; empty where nothing was measured."""
        if not len(self.node):
            return ''
        node, model = (
            '/'.join(f'{1000 * value:.1f}' for value in ring.quantiles())
            for ring in (self.node, self.model))
        return (f'{node} ms from an image to its answer (median/95 %/99 %), {model} ms of it '
                'in the model')
