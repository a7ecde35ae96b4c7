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

"""Statistics of measured numbers: percentiles, ratios, slopes, the search of a rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# ros2_benchmark's: a rate counts as reached if less than 5 % of the frames are lost.
MAX_LOSS = 0.05


@dataclass(frozen=True)
class Summary:
    """
    A distribution in a few numbers, in the unit of what was measured.

    Parameters
    ----------
    count : int
        How many values there were.
    p50, p95, p99, max, mean : float
        Percentiles (linear between neighbours), the greatest value and the mean; NaN of nothing.

    """

    count: int
    p50: float
    p95: float
    p99: float
    max: float  # noqa: A003 - what the number is called everywhere
    mean: float

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: three digits after the point, None of nothing."""
        return {name: rounded(value) for name, value in asdict(self).items()}


def summary(values: ArrayLike) -> Summary:
    """Summarize a distribution."""
    numbers = np.asarray(values, np.float64)
    if not numbers.size:
        return Summary(0, *[math.nan] * 5)
    p50, p95, p99 = np.percentile(numbers, (50, 95, 99)).tolist()
    return Summary(
        int(numbers.size), p50, p95, p99, float(numbers.max()), float(numbers.mean()))


def median(values: Sequence[float]) -> float:
    """Return the median of those values that are numbers, NaN where there is none."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan


def ratio(value: float, floor: float) -> float:
    """Return ``value / floor``, NaN where that says nothing."""
    return value / floor if floor > 0 and math.isfinite(floor) else math.nan


def interval_jitter(times: ArrayLike) -> float:
    """Return the standard deviation of the intervals between events."""
    ordered = np.sort(np.asarray(times, np.float64))
    return float(np.std(np.diff(ordered))) if ordered.size >= 3 else math.nan


def slope(times: ArrayLike, values: ArrayLike) -> float:
    """Return how fast something grows: the Theil-Sen estimate, which single jumps don't move."""
    x, y = np.asarray(times, np.float64), np.asarray(values, np.float64)
    if x.size < 2:
        return math.nan
    # Some thousand pairs say it as well as a million do.
    step = max(1, x.size // 300)
    x, y = x[::step], y[::step]
    first, second = np.triu_indices(x.size, 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def grows(latencies: NDArray[np.float64]) -> bool:
    """
    Tell whether latency grows while a run goes on, as it does where frames queue up.

    The last third against the first: half as much again is growth, less is noise.
    """
    third = latencies.size // 3
    if third < 5:
        return False
    return bool(np.median(latencies[-third:]) > 1.5 * np.median(latencies[:third]))


def rounded(value: Any, digits: int = 3) -> Any:
    """Return a number rounded for JSON: None for NaN, integers unchanged."""
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    return value


@dataclass(frozen=True)
class Found:
    """
    The result of a search.

    Parameters
    ----------
    rate : float
        The highest rate tried that was reached, frames a second; 0 if none was.
    tried : list of (float, float)
        All rates tried with the part lost, in this order.

    """

    rate: float
    tried: list[tuple[float, float]] = field(default_factory=list)


def highest_rate(
        loss_at: Callable[[float], float], low: float, high: float, *,
        max_loss: float = MAX_LOSS, tolerance: float = 0.03, max_tries: int = 10) -> Found:
    """Find the highest rate with a loss below a limit, by bisection as ros2_benchmark does."""
    tried: list[tuple[float, float]] = []
    best = 0.0
    rate = high
    while len(tried) < max_tries:
        loss = loss_at(rate)
        tried.append((rate, loss))
        if loss < max_loss:
            best = low = max(rate, best)
        else:
            high = rate
        if best >= high or high - low <= tolerance * high:
            break
        rate = (low + high) / 2
    return Found(best, tried)
