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

"""Intervals: how far a measure would move with other images of the same kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
ROUNDS = 200
_LEAST_BLOCKS = 5


def interval(measure: Callable[[Weights], float], images: int, *, rounds: int = ROUNDS,
             seed: int = 0, level: float = 0.95, rate: bool = True,
             blocks: NDArray[np.int64] | None = None) -> tuple[float, float]:
    """
    Return the percentile interval of a measure, by resampling images.

    Parameters
    ----------
    measure : callable
        Gets how many times each image counts, float64 of shape (images,).
    images : int
        How many there are.
    rounds, seed : int
        How often, and the seed of the choice: the same seed gives the same interval.
    level : float
        The part of the samples that is inside.
    rate : bool
        Whether the measure is a part of one, so that 1 without a mistake leaves room below it.
    blocks : ndarray of int64, shape (images,), optional
        Images with the same number depend on each other and are chosen together; below five
        blocks there is no interval.

    Returns
    -------
    tuple of float
        Both nan if the measure never has a value.

    """
    random = np.random.default_rng(seed)
    units = images if blocks is None else int(blocks.max()) + 1
    if blocks is not None and units < _LEAST_BLOCKS:
        return float('nan'), float('nan')
    values = []
    for _ in range(rounds):
        times = np.bincount(random.integers(0, units, units), minlength=units).astype(float)
        values.append(measure(times if blocks is None else times[blocks]))
    known = np.array(values)[np.isfinite(values)]
    if not len(known):
        return float('nan'), float('nan')
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    # Without a single mistake every sample is perfect, and yet the next image may be one.
    unseen = 1 - ((1 - level) / 2) ** (1 / units) if rate else 0.0
    if low == high == 1.0:
        low = 1 - unseen
    elif low == high == 0.0:
        high = unseen
    return float(low), float(high)
