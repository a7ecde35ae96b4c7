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


"""One run of one node: frames sent, results received, resources used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify_benchmark.matching import Matched, Numbers, times_of
from ros2_classify_benchmark.statistics import grows, interval_jitter, median, rounded, summary

MIB = 2.0**20


@dataclass
class Run:
    """
    A node's run.

    Parameters
    ----------
    subject : str
        The node's name.
    offered : float
        Images per second and camera requested from the source.
    matched : Matched
        The frames that count, sent in the window.
    window : tuple of float
        Begin and end of what counts, in seconds of the monotonic clock.
    results : int
        Results that arrived in the window.
    cpu : float
        Cores used, on average.
    memory : list of (float, int)
        Time and proportional set size in bytes, sampled.
    duplicates, unmatched, out_of_order : int
        Unexpected results, in the whole run.
    in_node : ndarray of float64, shape (n,)
        Seconds from the receipt of a frame to its published result, if the node reports it.
    received, processed : int or None
        Frames that reached the node and frames that it processed, if it reports them. Frames
        that newer ones replaced in its queue have reached it.

    """

    subject: str
    offered: float
    matched: Matched
    window: tuple[float, float]
    results: int
    cpu: float
    memory: list[tuple[float, int]] = field(default_factory=list)
    duplicates: int = 0
    unmatched: int = 0
    out_of_order: int = 0
    in_node: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    received: int | None = None
    processed: int | None = None

    @property
    def seconds(self) -> float:
        """Length of what counts."""
        return self.window[1] - self.window[0]

    @property
    def rate_out(self) -> float:
        """Results a second."""
        return self.results / self.seconds

    @property
    def latency_ms(self) -> float:
        """Median from stamp to result, in ms."""
        return median((self.matched.latencies * 1e3).tolist())

    @property
    def jitter_ms(self) -> float:
        """Standard deviation of the intervals between a camera's results; of several, median."""
        matched = self.matched
        return median([
            interval_jitter(matched.arrived[matched.has_result & (matched.camera == camera)]) * 1e3
            for camera in np.unique(matched.camera)])

    @property
    def in_node_ms(self) -> float:
        """Median time in the node, in ms."""
        return median((self.in_node * 1e3).tolist())

    @property
    def pss_mib(self) -> float:
        """Median of the memory samples, in MiB."""
        return median([pss / MIB for _, pss in self.memory])

    def add_trace(self, taken: Numbers, published: Numbers, skipped: Numbers) -> None:
        """Add the node's own record."""
        stamps = self.matched.stamps
        begun = times_of(stamps, taken[:, 0], taken[:, 1])
        done = times_of(stamps, published[:, 0], published[:, 1])
        both = np.isfinite(begun) & np.isfinite(done)
        self.in_node = done[both] - begun[both]
        start, end = (int(1e9 * each) for each in self.window)
        inside = (skipped[:, 1] >= start) & (skipped[:, 1] < end)
        # Which frames they were is not known, so a few at the edges may be another window's.
        reached = int(np.isfinite(begun).sum() + skipped[inside, 0].sum())
        self.received = min(reached, int(self.matched.sent.size))
        self.processed = int(both.sum())

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        matched = self.matched
        sent, results = int(matched.sent.size), int(matched.has_result.sum())
        # If the node doesn't report it, only the results are known.
        received = self.received
        values = {
            'offered_per_s': self.offered, 'seconds': self.seconds, 'sent': sent,
            'received': received, 'processed': self.processed, 'results': results,
            'dropped_by_policy': None if received is None or self.processed is None
            else received - self.processed,
            'lost_in_transport': None if received is None else sent - received,
            'lost_percent': 100.0 * matched.loss, 'rate_out_per_s': self.rate_out,
            'jitter_ms': self.jitter_ms,
            'cpu_percent': 100.0 * self.cpu, 'pss_mib': self.pss_mib,
            'duplicates': self.duplicates, 'unmatched': self.unmatched,
            'out_of_order': self.out_of_order, 'grows': grows(matched.latencies),
        }
        return {
            **{name: rounded(value) for name, value in values.items()},
            'stamp_to_result_ms': summary(matched.latencies * 1e3).to_dict(),
            'in_node_ms': summary(self.in_node * 1e3).to_dict()}
