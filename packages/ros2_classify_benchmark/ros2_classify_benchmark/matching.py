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

"""Match results with frames by their stamps, which differ from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Matched:
    """
    The frames of a run and what became of them.

    Parameters
    ----------
    stamps : ndarray of int64, shape (n,)
        The frames' stamps, in ns.
    sent : ndarray of float64, shape (n,)
        When each frame was sent, in seconds of the monotonic clock, ascending.
    arrived : ndarray of float64, shape (n,)
        When its first result arrived; NaN where none did.
    camera : ndarray of int64, shape (n,)
        Which camera sent it.
    duplicates : int
        Results beyond the first to the same frame.
    unmatched : int
        Results whose stamp no frame of the run has.

    """

    stamps: Numbers
    sent: NDArray[np.float64]
    arrived: NDArray[np.float64]
    camera: Numbers
    duplicates: int = 0
    unmatched: int = 0

    @property
    def has_result(self) -> NDArray[np.bool_]:
        """Which frames got a result."""
        return np.isfinite(self.arrived)

    @property
    def latencies(self) -> NDArray[np.float64]:
        """Seconds from stamp to result of each frame with a result, in the order of sending."""
        found = self.has_result
        return self.arrived[found] - self.sent[found]

    @property
    def loss(self) -> float:
        """The fraction of the frames without a result, from 0 to 1."""
        return 1.0 - float(self.has_result.mean()) if self.sent.size else 0.0

    @property
    def out_of_order(self) -> int:
        """The number of results that came after that of a newer frame of the same camera."""
        count = 0
        for camera in np.unique(self.camera):
            times = self.arrived[(self.camera == camera) & self.has_result]
            count += int((times < np.maximum.accumulate(times)).sum()) if times.size else 0
        return count

    def since(self, start: float, end: float) -> Matched:
        """Return the frames sent in the interval [start, end)."""
        rows = (self.sent >= start) & (self.sent < end)
        return Matched(
            self.stamps[rows], self.sent[rows], self.arrived[rows], self.camera[rows])


def match(sent: Numbers, received: Numbers) -> Matched:
    """Match results with frames."""
    order = np.argsort(sent[:, 2], kind='stable')
    sent = sent[order]
    if np.unique(sent[:, 1]).size != len(sent):
        raise ValueError('two frames were sent with the same stamp')
    arrived = times_of(sent[:, 1], received[:, 1], received[:, 2])
    known = np.isin(received[:, 1], sent[:, 1])
    return Matched(
        stamps=sent[:, 1], sent=sent[:, 2] / 1e9, arrived=arrived, camera=sent[:, 0],
        duplicates=int(known.sum()) - int(np.isfinite(arrived).sum()),
        unmatched=int((~known).sum()))


def times_of(stamps: Numbers, keys: Numbers, times: Numbers) -> NDArray[np.float64]:
    """Look times up by stamp."""
    found = np.full(len(stamps), np.nan)
    if not len(keys):
        return found
    order = np.lexsort((times, keys))
    keys, times = keys[order], times[order]
    places = np.minimum(np.searchsorted(keys, stamps, side='left'), len(keys) - 1)
    there = keys[places] == stamps
    found[there] = times[places[there]] / 1e9
    return found
