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

"""
How well ids stay with objects: MOTA and IDF1.

MOTA counts misses, false alarms and changes of the id (Bernardin and Stiefelhagen, "Evaluating
Multiple Object Tracking Performance: The CLEAR MOT Metrics", 2008); IDF1 is the F1 of the images
in which an object has the one id that suits it best (Ristani et al., "Performance Measures and a
Data Set for Multi-Target, Multi-Camera Tracking", 2016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify.tracking.assignment import assign
from ros2_classify_evaluation.metrics.detection import ious

Floats = NDArray[np.float64]
_IOU = 0.5
# A pair more is worth more than any better overlap of the others.
_PAIR = 1000.0


class Step(NamedTuple):
    """The objects and tracks of an image, of one class."""

    ids: Sequence[Hashable]
    boxes: Floats  # (N, 4)
    ignored: NDArray[np.bool_]  # (N,)
    found_ids: Sequence[Hashable]
    found_boxes: Floats  # (M, 4)


@dataclass
class Counts:
    """What a sequence adds to the measures; those of several are added up."""

    objects: int = 0  # boxes, not tracks
    found: int = 0
    misses: int = 0
    false_alarms: int = 0
    switches: int = 0
    id_true: int = 0
    tracks: int = 0
    # What each image adds to objects, found, misses, false_alarms, switches and id_true: (T, 6),
    # with the one assignment of ids that suits the whole sequence.
    images: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 6), np.int64))

    @property
    def mota(self) -> float:
        """1 less the mistakes for each object; nan without objects."""
        return mota(np.array([getattr(self, name) for name in NAMES]))

    @property
    def idf1(self) -> float:
        """Nan if there is neither object nor track."""
        return idf1(np.array([getattr(self, name) for name in NAMES]))


NAMES = ('objects', 'found', 'misses', 'false_alarms', 'switches', 'id_true')


def mota(sums: NDArray[Any]) -> float:
    """Return MOTA from the sums in the order of NAMES."""
    return float(1 - sums[2:5].sum() / sums[0]) if sums[0] else float('nan')


def idf1(sums: NDArray[Any]) -> float:
    """Return IDF1 from the sums in the order of NAMES."""
    total = sums[0] + sums[1]
    return float(2 * sums[5] / total) if total else float('nan')


def add_up(parts: Iterable[Counts]) -> Counts:
    """Return the sums over classes and sequences."""
    total = Counts()
    for part in parts:
        for name in (*NAMES, 'tracks'):
            setattr(total, name, getattr(total, name) + getattr(part, name))
    return total


def count(steps: Iterable[Step]) -> Counts:
    """Follow a sequence of one class, in the order of time."""
    rows: list[list[int]] = []
    last: dict[Hashable, Hashable] = {}
    together: Counter[tuple[Hashable, Hashable]] = Counter()
    pairs_of: list[list[tuple[Hashable, Hashable]]] = []
    tracks: set[Hashable] = set()
    for step in map(_without_ignored, steps):
        overlap = ious(step.boxes, step.found_boxes)
        near = overlap >= _IOU
        pairs_of.append([(step.ids[row], step.found_ids[column])
                         for row, column in zip(*np.nonzero(near))])
        together.update(pairs_of[-1])
        switches = 0
        pairs = _kept(step, near, last)
        rest = np.where(near, overlap + _PAIR, 0.0)
        rest[list(pairs), :] = 0.0
        rest[:, list(pairs.values())] = 0.0
        for row, column in zip(*(each.tolist() for each in assign(rest))):
            pairs[row] = column
            mine, other = step.ids[row], step.found_ids[column]
            switches += last.get(mine, other) != other
            last[mine] = other
        tracks.update(step.ids)
        rows.append([len(step.ids), len(step.found_ids), len(step.ids) - len(pairs),
                     len(step.found_ids) - len(pairs), switches, 0])
    best = _best(together)
    images = np.array(rows, np.int64).reshape(-1, len(NAMES))
    images[:, 5] = [sum(each in best for each in pairs) for pairs in pairs_of]
    total = Counts(tracks=len(tracks), images=images)
    for name, value in zip(NAMES, images.sum(axis=0).tolist()):
        setattr(total, name, value)
    return total


def _without_ignored(step: Step) -> Step:
    """Drop ignored objects, and what found them rather than others."""
    if not step.ignored.any():
        return step
    overlap = ious(step.boxes, step.found_boxes)
    rows, columns = assign(np.where(overlap >= _IOU, overlap + _PAIR, 0.0))
    gone = set(columns[step.ignored[rows]].tolist())
    kept = [each for each in range(len(step.found_ids)) if each not in gone]
    mine = np.flatnonzero(~step.ignored).tolist()
    return Step([step.ids[each] for each in mine], step.boxes[mine], step.ignored[mine],
                [step.found_ids[each] for each in kept], step.found_boxes[kept])


def _kept(step: Step, near: NDArray[np.bool_], last: dict[Hashable, Hashable]) -> dict[int, int]:
    """Return the pairs of before that still overlap, by row."""
    columns = {each: column for column, each in enumerate(step.found_ids)}
    pairs: dict[int, int] = {}
    for row, mine in enumerate(step.ids):
        column = columns.get(last[mine], -1) if mine in last else -1
        if column >= 0 and near[row, column] and column not in pairs.values():
            pairs[row] = column
    return pairs


def _best(together: Counter[tuple[Hashable, Hashable]]) -> set[tuple[Hashable, Hashable]]:
    """Return each object with the id that suits it best: those that share most images."""
    rows = {each: row for row, each in enumerate(dict.fromkeys(mine for mine, _ in together))}
    columns = {each: row for row, each in enumerate(dict.fromkeys(its for _, its in together))}
    table = np.zeros((len(rows), len(columns)))
    for (mine, its), images in together.items():
        table[rows[mine], columns[its]] = images
    its_of, mine_of = list(columns), list(rows)
    return {(mine_of[row], its_of[column])
            for row, column in zip(*(each.tolist() for each in assign(table)))}
