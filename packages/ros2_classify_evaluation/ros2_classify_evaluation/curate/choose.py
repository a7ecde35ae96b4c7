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


"""Which images of many: different from each other, unsure, of rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

WAYS = ('uncertain', 'diverse', 'both')


@dataclass(frozen=True, eq=False)
class Seen:
    """
    What is known of images.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (N,)
        Perceptual hashes.
    features : ndarray of float32, shape (N, D)
        Vectors of length 1.
    doubt : ndarray of float64, shape (N,)
        How unsure the model is, or how much two models disagree, from 0 to 1.
    classes : list of tuple of str
        What is on each image, as far as the model knows.

    """

    hashes: NDArray[np.uint64]
    features: NDArray[np.float32]
    doubt: NDArray[np.float64]
    classes: Sequence[tuple[str, ...]] = field(default_factory=tuple)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.hashes)


def without_duplicates(hashes: NDArray[np.uint64], near: int,
                       known: NDArray[np.uint64] | None = None) -> list[int]:
    """Return the rows that differ in more than `near` bits from all before them and from known."""
    kept = list(np.zeros(0, np.uint64) if known is None else known)
    rows = []
    for row, each in enumerate(hashes.tolist()):
        if not kept or distances(each, np.array(kept, np.uint64)).min() > near:
            kept.append(np.uint64(each))
            rows.append(row)
    return rows


def choose(seen: Seen, count: int, *, by: str = 'both', near: int = 8, balance: bool = False,
           seed: int = 0, known: Seen | None = None) -> list[int]:
    """
    Choose images.

    Parameters
    ----------
    seen : Seen
        All images.
    count : int
        How many to choose at most.
    by : str
        'uncertain': the least sure ones; 'diverse': farthest first, those that are least like
        any chosen one; 'both': the distance times the doubt.
    near : int
        Images whose hashes differ in so few bits count as the same.
    balance : bool
        Prefer images with classes that are rare among the chosen ones.
    seed : int
        Of the first image: the same seed gives the same choice.
    known : Seen, optional
        Images that were chosen before.

    Returns
    -------
    list of int
        Rows, in the order of the choice.

    """
    rows = np.array(without_duplicates(
        seen.hashes, near, None if known is None else known.hashes), int)
    if not len(rows):
        return []
    features, doubt = seen.features[rows], seen.doubt[rows]
    distance = np.full(len(rows), 2.0)
    if known is not None and len(known):
        distance = 1.0 - (features @ known.features.T).max(axis=1)
    counts: dict[str, int] = {}
    chosen: list[int] = []
    random = np.random.default_rng(seed)
    for _ in range(min(count, len(rows))):
        worth = {'uncertain': doubt, 'diverse': np.maximum(distance, 0),
                 'both': np.maximum(distance, 0) * (0.1 + doubt)}[by].copy()
        if balance and seen.classes:
            worth *= [_rarity(seen.classes[row], counts) for row in rows.tolist()]
        worth[chosen] = -1.0
        # The first of equal ones is a matter of chance, which the seed decides.
        best = np.flatnonzero(worth >= worth.max() - 1e-12)
        here = int(best[random.integers(len(best))])
        chosen.append(here)
        distance = np.minimum(distance, 1.0 - features @ features[here])
        for name in set(seen.classes[rows[here]]) if seen.classes else ():
            counts[name] = counts.get(name, 0) + 1
    return [int(rows[row]) for row in chosen]


def _rarity(names: tuple[str, ...], counts: dict[str, int]) -> float:
    """Return the weight of an image by its rarest class; one without classes weighs least."""
    return max((1.0 / (1 + counts.get(name, 0)) for name in names), default=0.05)


def distances(one: int, others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return in how many bits a hash differs from each of others."""
    differing = (np.uint64(one) ^ others).view(np.uint8).reshape(-1, 8)
    return np.asarray(np.unpackbits(differing, axis=1).sum(axis=1), np.int64)
