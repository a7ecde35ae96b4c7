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
