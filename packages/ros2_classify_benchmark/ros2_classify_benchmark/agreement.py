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


"""Do two nodes detect the same? Asserted before it is measured which one is faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math

from ros2_classify_benchmark.processes import BenchError

# Class, score, center x and y, width and height in pixels.
Row = tuple[str, float, float, float, float, float]

# What counts as equal: pixels, and parts of a score.
BOX_PIXELS = 0.1
SCORE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """How many images and objects were compared, and the largest differences found."""

    images: int
    detections: int
    box_pixels: float = 0.0
    score: float = 0.0

    def __str__(self) -> str:
        """Return a sentence."""
        return (f'both nodes detect the same {self.detections} objects in {self.images} images: '
                f'boxes within {self.box_pixels:.2g} pixels, scores within {self.score:.2g}')


def compare(
        ours: Mapping[int, Sequence[Row]], theirs: Mapping[int, Sequence[Row]]) -> Agreement:
    """Compare the detections by image; raise BenchError if any differ, or if there are none."""
    if not any(ours.values()):
        raise BenchError('nothing is detected in any image, so that equal results mean nothing; '
                         'choose --images with objects that the model knows')
    boxes = scores = 0.0
    for number, rows in sorted(ours.items()):
        left = list(theirs[number])
        for row in rows:
            # Boxes of equal scores may come in another order.
            other = min(
                (each for each in left if each[0] == row[0]), default=None,
                key=lambda each: _box_difference(row, each))
            if other is None:
                raise _differ(number, row, left)
            box, score = _box_difference(row, other), abs(row[1] - other[1])
            if not (box <= BOX_PIXELS and score <= SCORE):
                raise _differ(number, row, [other])
            boxes, scores = max(boxes, box), max(scores, score)
            left.remove(other)
        if left:
            raise BenchError(f'in image {number} the other node detects {left}, which ours '
                             'does not: the comparison would not be fair')
    return Agreement(len(ours), sum(map(len, ours.values())), boxes, scores)


def _box_difference(one: Row, other: Row) -> float:
    differences = [abs(a - b) for a, b in zip(one[2:], other[2:])]
    return math.inf if any(map(math.isnan, differences)) else max(differences)


def _differ(number: int, row: Row, others: list[Row]) -> BenchError:
    return BenchError(f'in image {number} our node detects {row}, the other one '
                      f'{others or "nothing"}: the comparison would not be fair')
