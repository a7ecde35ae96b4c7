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

"""Results by image and by model, and images lost without a reason."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
import threading
import time
from typing import Any

from ros2_classify_benchmark.stress.models import Known, whose

# The longest time until the server tells of a replacement, in ns.
_DELAY = 2 * 10**9


@dataclass(frozen=True)
class Tally:
    """
    The images of a run.

    Parameters
    ----------
    sent, good, bad : int
        Images sent, and how many of them were good and bad ones.
    results : int
        Good images with a result.
    excused : int
        Good images without one while there was no camera, subscriber or active server.
    missing : int
        All other good images without a result.
    missing_at : list of tuple of int
        When these were sent, and when the next later one had its result: a newer image replaced
        them between. In ns since 1970.
    unmatched : int
        Results that match no single model, or no good image.
    duplicates : int
        Results beyond the first of an image.
    by_model : dict of str to int
        Results by model.
    longest_gap_ms : float
        The longest time between two successive results, outside of excuses.
    usual_gap_ms : float
        The median of these times.

    """

    sent: int
    good: int
    bad: int
    results: int
    excused: int
    missing: int
    missing_at: list[tuple[int, int]]
    unmatched: int
    duplicates: int
    by_model: dict[str, int]
    longest_gap_ms: float
    usual_gap_ms: float


@dataclass
class Frames:
    """
    Collects results and judges them against the camera's own record.

    Parameters
    ----------
    known : list of Known
        The models.

    """

    known: list[Known]
    _results: list[tuple[int, int, str]] = field(default_factory=list)
    _excuses: list[tuple[int, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0
    last: str = ''

    def receive(self, result: Any) -> None:
        """Note a result; for the node's thread."""
        stamp = result.header.stamp.sec * 10**9 + result.header.stamp.nanosec
        self.note(stamp, whose(result, self.known))

    def note(self, stamp: int, name: str) -> None:
        """Note a result of an image by its stamp in ns, and whose it is."""
        now = time.time_ns()
        with self._lock:
            self._results.append((stamp, now, name))
            self.count += 1
            self.last = name

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Expect no results of images sent meanwhile."""
        # What was sent a moment ago may be on its way still.
        begun = time.time_ns() - 300_000_000
        yield
        self._excuses.append((begun, time.time_ns()))

    def save(self, path: Path) -> None:
        """Write all results, a line each: the image's stamp, when it came, and whose it is."""
        with self._lock:
            path.write_text(''.join(f'{stamp} {when} {name}\n'
                                    for stamp, when, name in self._results))

    def gaps(self, begun: int = 0, ended: int | None = None) -> list[float]:
        """Return the times between successive results."""
        with self._lock:
            results = list(self._results)
        first = next((number for number, (_, when, _) in enumerate(results) if when > begun), 0)
        last = len(results) if ended is None else 1 + next(
            (number for number, (_, when, _) in enumerate(results) if when >= ended),
            len(results) - 1)
        return self._gaps(results[max(0, first - 1):last])

    def tally(self, record: Path) -> Tally:
        """Judge all results."""
        with self._lock:
            results = list(self._results)
        lines = [line.split() for line in record.read_text().splitlines()]
        sent = {int(stamp): (int(when), kind) for stamp, when, kind in lines}
        good = {stamp: when for stamp, (when, kind) in sent.items() if kind == 'good'}
        counts = Counter(stamp for stamp, _, _ in results)
        silent = [when for stamp, when in good.items() if stamp not in counts]
        unexcused = [when for when in silent if not self._is_excused(when)]
        spans = _spans(unexcused, [
            (good[stamp], when) for stamp, when, _ in results if stamp in good])
        gaps = sorted(self._gaps(results))
        return Tally(
            len(sent), len(good), len(sent) - len(good),
            sum(stamp in counts for stamp in good), len(silent) - len(unexcused),
            len(unexcused), spans,
            sum(name == 'nobody' or stamp not in good for stamp, _, name in results),
            sum(count - 1 for count in counts.values()),
            dict(Counter(name for _, _, name in results)),
            gaps[-1] if gaps else 0.0, gaps[len(gaps) // 2] if gaps else 0.0)

    def _gaps(self, results: list[tuple[int, int, str]]) -> list[float]:
        return [(later - earlier) / 1e6
                for (_, earlier, _), (_, later, _) in zip(results, results[1:])
                if not self._is_excused(earlier, later)]

    def _is_excused(self, begun: int, ended: int | None = None) -> bool:
        ended = begun if ended is None else ended
        return any(begun <= last and ended >= first for first, last in self._excuses)


def _spans(missing: list[int], results: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return from when to when each missing image may have been replaced; both are sorted."""
    results = sorted(results)
    # The first result of all images sent later.
    first = list(accumulate((when for _, when in reversed(results)), min))[::-1]
    sent = [begun for begun, _ in results]
    spans = []
    for when in sorted(missing):
        place = bisect_right(sent, when)
        spans.append((when, max(when, first[place]) if place < len(first) else when))
    return spans


class Drops:
    """When a server replaced images by newer ones, as it reports about once a second."""

    def __init__(self) -> None:
        self._told: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def note(self, replaced: int) -> None:
        """Note how many there have been since the activation; for the node's thread."""
        with self._lock:
            self._told.append((time.time_ns(), replaced))

    @property
    def total(self) -> int:
        """How many there have been, as far as the server has told."""
        with self._lock:
            numbers = [replaced for _, replaced in self._told]
        return sum(max(0, now - before) if now >= before else now
                   for before, now in zip([0, *numbers], numbers))

    def unexplained(self, silent: list[tuple[int, int]], total: int) -> int:
        """
        Return how many images without a result no replacement of their time explains.

        `silent` is `Tally.missing_at`: one may wait for seconds in the middleware, which repairs
        losses every three seconds, and be replaced only then.
        """
        with self._lock:
            told = list(self._told)
        left = []
        before, known = 0, 0
        for (begun, _), (ended, now) in zip([(0, 0), *told], told):
            # A smaller number is that of a new activation.
            count = now - before if now >= before else now
            before, known = now, known + count
            left.append([begun - _DELAY, ended, count])
        missing = 0
        for begun, ended in sorted(silent):
            # The one that ends first: later images have the others to choose from.
            for each in left:
                if each[0] <= ended and begun <= each[1] and each[2]:
                    each[2] -= 1
                    break
            else:
                missing += 1
        return max(0, missing - max(0, total - known))
