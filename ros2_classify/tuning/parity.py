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

"""Whether two ways to run a model give the same results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.results.results import (
    Classification, Detections, Embedding, Result, Segmentation)

Arrays = Mapping[str, NDArray[Any]]
# How many results were compared, the share that both have, differences of scores and boxes.
Found = tuple[int, float, tuple[float, float]]
# Other providers add up in another order; more than this is another calculation.
SAME = 1e-3
_OVERLAP = 0.5
# Of outputs that can't be compared: JSON knows no infinity.
_OTHER = 1e9


@dataclass(frozen=True)
class Parity:
    """How the results of a candidate differ from those of the reference."""

    agreement: float = 1.0  # share of results (boxes, best classes, pixels) that both have
    score: float = 0.0  # greatest difference of a score that both have
    box: float = 0.0  # the same of a box's side, as a part of the box
    raw: float = 0.0  # of a raw output, as a part of its range
    compared: int = 0  # results; without any, nothing but raw outputs were compared
    measure: str = ''  # the headline of the evaluation, on labelled data
    reference: float | None = None
    value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    def problem(self, max_drop: float, *, exact: bool) -> str:
        """Return why the candidate is refused; `exact` ones may differ by rounding only."""
        if self.value is not None and self.reference is not None and (
                not self.reference - self.value <= max_drop):
            return (f'{self.measure} falls from {self.reference:.4f} to {self.value:.4f}, by more '
                    f'than {max_drop:g}')
        if not 1.0 - self.agreement <= max_drop:
            return (f'{100 * self.agreement:.1f} % of the results are as those of the reference, '
                    f'less than {100 * (1 - max_drop):g} %')
        if not self.compared and not exact:
            return 'the reference finds nothing in the images: give --data that shows something'
        if exact and self.compared and not max(self.score, self.box) <= SAME:
            return f'scores differ by {self.score:.2g}, boxes by {self.box:.2g}: more than {SAME}'
        if exact and not self.compared and not self.raw <= SAME:
            return f'the outputs differ by {self.raw:.2g} of their range, more than {SAME}'
        return ''


def as_arrays(result: Result) -> dict[str, NDArray[Any]]:
    """Return what of a result is compared."""
    if isinstance(result, Segmentation):
        return {'label_image': result.label_image}
    if isinstance(result, Embedding):
        return {'vector': np.asarray(result.vector)}
    assert isinstance(result, (Classification, Detections))
    found: dict[str, NDArray[Any]] = {'class_ids': result.class_ids, 'scores': result.scores}
    if isinstance(result, Detections):
        found['boxes'] = result.boxes
    return found


def compare(reference: Arrays, other: Arrays, threshold: float) -> Parity:
    """Compare what the workers wrote; scores at the threshold may be on either side of it."""
    images = sorted({name.partition('.')[0] for name in reference} - {'raw'}, key=int)
    shares: list[float] = []
    score = box = 0.0
    compared = 0
    for image in images:
        one, two = (
            {name.partition('.')[2]: array for name, array in arrays.items()
             if name.partition('.')[0] == image} for arrays in (reference, other))
        count, share, differences = _KINDS[_kind(one)](one, two, threshold)
        compared += count
        if count:
            shares.append(share)
        score, box = max(score, differences[0]), max(box, differences[1])
    return Parity(float(np.mean(shares)) if shares else 1.0, score, box, _raw(reference, other),
                  compared)


def _kind(arrays: Arrays) -> str:
    return next(name for name in _KINDS if name in arrays)


def _detections(one: Arrays, two: Arrays, threshold: float) -> Found:
    left = list(range(len(two['boxes'])))
    score = box = 0.0
    lost, both = [], 0
    for corners, class_id, value in zip(one['boxes'], one['class_ids'], one['scores']):
        fitting = [(each, _overlap(corners, two['boxes'][each])) for each in left
                   if two['class_ids'][each] == class_id]
        row, overlap = max(fitting, key=lambda pair: pair[1], default=(-1, 0.0))
        if overlap < _OVERLAP:
            lost.append(float(value))
            continue
        left.remove(row)
        both += 1
        score = max(score, abs(float(value) - float(two['scores'][row])))
        side = max(float((corners[2:] - corners[:2]).max()), 1.0)
        box = max(box, float(np.abs(corners - two['boxes'][row]).max()) / side)
    lost += [float(two['scores'][each]) for each in left]
    # A box whose score is at the threshold by rounding.
    missing = sum(abs(value - threshold) > 2 * score + 1e-5 for value in lost)
    total = 2 * both + missing
    return both + missing, (2 * both / total if total else 1.0), (score, box)


def _overlap(one: NDArray[Any], two: NDArray[Any]) -> float:
    sides = np.clip(np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2]), 0, None)
    shared = float(sides.prod())
    areas = float((one[2:] - one[:2]).prod() + (two[2:] - two[:2]).prod())
    return shared / (areas - shared) if areas > shared else 0.0


def _classes(one: Arrays, two: Arrays, threshold: float) -> Found:
    scores = dict(zip(two['class_ids'].tolist(), two['scores'].tolist()))
    # Of two that are equal but for rounding, either may be the best.
    differences = [abs(value - scores[class_id]) for class_id, value in zip(
        one['class_ids'].tolist(), one['scores'].tolist()) if class_id in scores]
    score = max(differences, default=0.0)
    if not len(one['class_ids']) or not len(two['class_ids']):
        empty = len(one['class_ids']) + len(two['class_ids'])
        at = max((*one['scores'].tolist(), *two['scores'].tolist()), default=0.0)
        same = not empty or abs(at - threshold) <= 1e-5
        return int(bool(empty)), float(same), (score, 0.0)
    first = two['class_ids'][0]
    same = first == one['class_ids'][0] or any(
        class_id == first and abs(value - one['scores'][0]) <= 1e-5
        for class_id, value in zip(one['class_ids'], one['scores']))
    return 1, float(same), (score, 0.0)


def _pixels(one: Arrays, two: Arrays, threshold: float) -> Found:
    if one['label_image'].shape != two['label_image'].shape:
        return 1, 0.0, (1.0, 0.0)
    return 1, float((one['label_image'] == two['label_image']).mean()), (0.0, 0.0)


def _vectors(one: Arrays, two: Arrays, threshold: float) -> Found:
    first, second = one['vector'].astype(float), two['vector'].astype(float)
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    cosine = float(first @ second) / norms if norms else 0.0
    return 1, max(0.0, cosine), (float(np.abs(first - second).max()) / (
        float(np.abs(first).max()) or 1.0), 0.0)


# By the array that only this kind of result has, the most telling first.
_KINDS = {'boxes': _detections, 'label_image': _pixels, 'vector': _vectors,
          'class_ids': _classes}


def _raw(reference: Arrays, other: Arrays) -> float:
    """Return the greatest difference of raw outputs of the same shape."""
    greatest = 0.0
    for name, array in reference.items():
        if not name.startswith('raw.') or not array.size:
            continue
        theirs = other.get(name)
        if theirs is None or theirs.shape != array.shape:
            # As many boxes as the model found, or another input size.
            return _OTHER
        span = float(np.abs(array).max()) or 1.0
        difference = float(np.abs(array - theirs).max()) / span
        greatest = max(greatest, difference if difference == difference else _OTHER)
    return greatest
