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
from dataclasses import dataclass
from typing import NamedTuple

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

    @property
    def mota(self) -> float:
        """1 less the mistakes for each object; nan without objects."""
        wrong = self.misses + self.false_alarms + self.switches
        return 1 - wrong / self.objects if self.objects else float('nan')

    @property
    def idf1(self) -> float:
        """Nan if there is neither object nor track."""
        total = self.objects + self.found
        return 2 * self.id_true / total if total else float('nan')


def add_up(parts: Iterable[Counts]) -> Counts:
    """Return the sums over classes and sequences."""
    total = Counts()
    for part in parts:
        for name in ('objects', 'found', 'misses', 'false_alarms', 'switches', 'id_true',
                     'tracks'):
            setattr(total, name, getattr(total, name) + getattr(part, name))
    return total


def count(steps: Iterable[Step]) -> Counts:
    """Follow a sequence of one class, in the order of time."""
    total = Counts()
    last: dict[Hashable, Hashable] = {}
    together: Counter[tuple[Hashable, Hashable]] = Counter()
    tracks: set[Hashable] = set()
    for step in map(_without_ignored, steps):
        overlap = ious(step.boxes, step.found_boxes)
        near = overlap >= _IOU
        for row, column in zip(*np.nonzero(near)):
            together[step.ids[row], step.found_ids[column]] += 1
        pairs = _kept(step, near, last)
        rest = np.where(near, overlap + _PAIR, 0.0)
        rest[list(pairs), :] = 0.0
        rest[:, list(pairs.values())] = 0.0
        for row, column in zip(*(each.tolist() for each in assign(rest))):
            pairs[row] = column
            mine, other = step.ids[row], step.found_ids[column]
            total.switches += last.get(mine, other) != other
            last[mine] = other
        tracks.update(step.ids)
        total.objects += len(step.ids)
        total.found += len(step.found_ids)
        total.misses += len(step.ids) - len(pairs)
        total.false_alarms += len(step.found_ids) - len(pairs)
    total.tracks = len(tracks)
    total.id_true = _best(together)
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


def _best(together: Counter[tuple[Hashable, Hashable]]) -> int:
    """Return in how many images objects have the ids that suit them best, one for each."""
    rows = {each: row for row, each in enumerate(dict.fromkeys(mine for mine, _ in together))}
    columns = {each: row for row, each in enumerate(dict.fromkeys(its for _, its in together))}
    table = np.zeros((len(rows), len(columns)))
    for (mine, its), images in together.items():
        table[rows[mine], columns[its]] = images
    return int(table[assign(table)].sum())
