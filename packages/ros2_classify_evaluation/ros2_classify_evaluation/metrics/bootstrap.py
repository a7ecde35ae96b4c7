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


def interval(measure: Callable[[Weights], float], images: int, *, rounds: int = ROUNDS,
             seed: int = 0, level: float = 0.95, rate: bool = True) -> tuple[float, float]:
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

    Returns
    -------
    tuple of float
        Both nan if the measure never has a value.

    """
    random = np.random.default_rng(seed)
    values = [
        measure(np.bincount(random.integers(0, images, images), minlength=images).astype(float))
        for _ in range(rounds)]
    known = np.array(values)[np.isfinite(values)]
    if not len(known):
        return float('nan'), float('nan')
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    # Without a single mistake every sample is perfect, and yet the next image may be one.
    unseen = 1 - ((1 - level) / 2) ** (1 / images) if rate else 0.0
    if low == high == 1.0:
        low = 1 - unseen
    elif low == high == 0.0:
        high = unseen
    return float(low), float(high)
