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

"""The comparison of a result with those that a descriptor says are expected."""

from __future__ import annotations

from ros2_classify.model.expected import Expected, ExpectedResult
from ros2_classify.results.results import (
    Classification, Detections, Embedding, Result, Segmentation)

# Builds of the engine and of JPEG decoders change scores by less than this.
SCORE_TOLERANCE = 0.03
LEAST_IOU = 0.9


def problems_with(expected: Expected, result: Result) -> tuple[str, ...]:
    """Return the differences between a result and what is known."""
    if isinstance(result, Embedding):
        return ('an embedding has no classes or boxes to compare; remove expected.results',)
    taken: set[int] = set()
    problems = []
    for place, wanted in enumerate(expected.results):
        among = range(len(result)) if wanted.box is not None or place else range(
            min(1, len(result)))
        index = next((index for index in among if index not in taken
                      and _is_the_same(wanted, result, index)), None)
        if index is None:
            problems.append(f'{_in_words(wanted)} is missing; got {result.rows()[:5]}')
        else:
            taken.add(index)
    return tuple(problems)


def _is_the_same(
    wanted: ExpectedResult, result: Classification | Detections | Segmentation, index: int,
) -> bool:
    if (result.labels[index] != wanted.label
            or abs(float(result.scores[index]) - wanted.score) > SCORE_TOLERANCE):
        return False
    if wanted.box is None:
        return True
    if not isinstance(result, Detections):
        return False
    x1, y1, x2, y2 = wanted.box
    left, top, right, bottom = (float(side) for side in result.boxes[index])
    both = (max(0.0, min(x2, right) - max(x1, left))
            * max(0.0, min(y2, bottom) - max(y1, top)))
    all_ = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - both
    return both / all_ >= LEAST_IOU


def _in_words(wanted: ExpectedResult) -> str:
    box = '' if wanted.box is None else f' at [{", ".join(f"{side:g}" for side in wanted.box)}]'
    return f'{wanted.label} {wanted.score:.2f}{box}'
