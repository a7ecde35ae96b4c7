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

"""The highest rate that something stands: a search by halves, as ros2_benchmark does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

# ros2_benchmark's: a rate counts as reached where fewer than 5 % of the frames are lost.
MAX_LOSS = 0.05


@dataclass(frozen=True)
class Found:
    """
    The result of a search.

    Parameters
    ----------
    rate : float
        The highest rate tried that was reached, frames a second; 0 where none was.
    tried : list of (float, float)
        All rates tried with the part lost, in this order.

    """

    rate: float
    tried: list[tuple[float, float]] = field(default_factory=list)


def highest_rate(
        loss_at: Callable[[float], float], low: float, high: float, *,
        max_loss: float = MAX_LOSS, tolerance: float = 0.03, max_tries: int = 10) -> Found:
    """Search the highest rate with a loss below a limit."""
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
