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

"""Suppression and the overlap filter against straightforward loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ros2_classify.postprocess.nms import ioa_filter, MAX_CANDIDATES, non_maximum_suppression


def area(box: Any) -> float:
    """Return the area of ``x1, y1, x2, y2``."""
    return float(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]))


def shared(first: Any, second: Any) -> float:
    """Return the area that two boxes share."""
    return area((max(first[0], second[0]), max(first[1], second[1]),
                 min(first[2], second[2]), min(first[3], second[3])))


def loop(boxes: Any, scores: Any, class_ids: Any, threshold: float, kind: str) -> list[int]:
    """Keep boxes from the best down, each that overlaps none that stayed too much."""
    kept: list[int] = []
    for row in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        for other in kept:
            common = shared(boxes[row], boxes[other])
            if kind == 'iou':
                whole = area(boxes[row]) + area(boxes[other]) - common
            else:
                whole = min(area(boxes[row]), area(boxes[other]))
            if class_ids[row] == class_ids[other] and whole > 0 and common / whole > threshold:
                break
        else:
            kept.append(row)
    return kept


def random_boxes(rng: Any, count: int, classes: int, low: float = -50, high: float = 250) -> Any:
    """Return boxes, scores and ids; many overlap, some leave the image, some scores equal."""
    corner = rng.uniform(low, high, (count, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(5, 120, (count, 2))), axis=1)
    scores = np.round(rng.uniform(0, 1, count), 2)
    return (boxes.astype(np.float32), scores.astype(np.float32),
            rng.integers(0, classes, count))


@pytest.mark.parametrize('threshold', [0.0, 0.1, 0.45, 0.7, 0.99])
@pytest.mark.parametrize(('count', 'classes'), [(1, 1), (2, 1), (60, 1), (120, 5), (200, 90)])
def test_suppression_equals_the_loop(count: int, classes: int, threshold: float) -> None:
    rng = np.random.default_rng(count + classes)
    for _ in range(10):
        boxes, scores, class_ids = random_boxes(rng, count, classes)
        kept = non_maximum_suppression(boxes, scores, class_ids, threshold)
        assert kept.tolist() == loop(boxes, scores, class_ids, threshold, 'iou')


@pytest.mark.parametrize('threshold', [0.05, 0.5, 0.8, 0.99])
def test_overlap_filter_equals_the_loop(threshold: float) -> None:
    rng = np.random.default_rng(3)
    for count, classes in ((1, 1), (2, 1), (80, 1), (120, 6)):
        for _ in range(10):
            boxes, scores, class_ids = random_boxes(rng, count, classes)
            kept = ioa_filter(boxes, scores, class_ids, threshold)
            assert kept.tolist() == loop(boxes, scores, class_ids, threshold, 'ioa')


def test_none() -> None:
    empty = np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64)
    assert non_maximum_suppression(*empty, 0.5).shape == (0,)
    assert ioa_filter(*empty, 0.5).shape == (0,)


def test_classes_do_not_touch_each_other() -> None:
    """The same box in three classes, ids far apart and negative, stays three times."""
    boxes = np.array([[-300, -200, 500, 400]] * 4, np.float32)
    scores = np.array([0.5, 0.9, 0.7, 0.6], np.float32)
    class_ids = np.array([7, 0, 10**6, 7])
    assert non_maximum_suppression(boxes, scores, class_ids, 0.5).tolist() == [1, 2, 3]
    assert ioa_filter(boxes, scores, class_ids, 0.5).tolist() == [1, 2, 3]


def test_a_box_left_of_the_image_is_no_neighbour_of_the_class_before() -> None:
    """Classes lie side by side inside; a negative coordinate must not reach over."""
    boxes = np.array([[0, 0, 100, 100], [-101, -101, -1, -1]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert non_maximum_suppression(boxes, scores, np.array([0, 1]), 0.0).tolist() == [0, 1]


def test_zero_scores_stay() -> None:
    """The caller has drawn the line already; OpenCV would drop what equals its threshold."""
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    kept = non_maximum_suppression(boxes, np.zeros(2, np.float32), np.zeros(2, np.int64), 0.5)
    assert kept.tolist() == [0, 1]


def test_equal_scores_keep_their_order() -> None:
    boxes = np.array([[i * 50, 0, i * 50 + 10, 10] for i in range(30)], np.float32)
    scores = np.full(30, 0.5, np.float32)
    rows = list(range(30))
    assert non_maximum_suppression(boxes, scores, np.zeros(30, np.int64), 0.5).tolist() == rows
    assert ioa_filter(boxes, scores, np.zeros(30, np.int64), 0.5).tolist() == rows


def test_limit() -> None:
    rng = np.random.default_rng(5)
    boxes, scores, class_ids = random_boxes(rng, 100, 4)
    everything = non_maximum_suppression(boxes, scores, class_ids, 0.5)
    assert non_maximum_suppression(
        boxes, scores, class_ids, 0.5, 7).tolist() == everything[:7].tolist()
    everything = ioa_filter(boxes, scores, class_ids, 0.5)
    assert ioa_filter(boxes, scores, class_ids, 0.5, 7).tolist() == everything[:7].tolist()


def test_switched_off() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 3, np.float32)
    scores, class_ids = np.array([0.1, 0.3, 0.2], np.float32), np.zeros(3, np.int64)
    assert non_maximum_suppression(boxes, scores, class_ids, 1.0).tolist() == [1, 2, 0]
    assert ioa_filter(boxes, scores, class_ids, 0.0).tolist() == [1, 2, 0]
    assert ioa_filter(boxes, scores, class_ids, 1.0).tolist() == [1, 2, 0]


def test_the_better_of_two_boxes_stays_in_the_filter() -> None:
    """Whether the better one is the small one inside or the large one around."""
    large, small = [0, 0, 100, 100], [10, 10, 30, 30]
    for scores, kept in (([0.9, 0.5], [0]), ([0.5, 0.9], [1])):
        boxes = np.array([large, small], np.float32)
        rows = ioa_filter(boxes, np.array(scores, np.float32), np.zeros(2, np.int64), 0.8)
        assert rows.tolist() == kept


def test_empty_boxes_divide_by_nothing() -> None:
    boxes = np.array([[0, 0, 50, 50], [10, 10, 10, 20], [10, 10, 20, 10]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    with np.errstate(all='raise'):
        assert ioa_filter(boxes, scores, np.zeros(3, np.int64), 0.5).tolist() == [0, 1, 2]


def test_an_absurd_box_harms_no_other() -> None:
    boxes = np.array([[-1e30, -1e30, 1e30, 1e30], [0, 0, 10, 10], [1, 0, 11, 10],
                      [40, 40, 50, 50]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    kept = non_maximum_suppression(boxes, scores, np.array([3, 5, 5, 5]), 0.5)
    assert kept.tolist() == [0, 1, 3]


def test_a_flood_of_candidates_ends() -> None:
    """A threshold of 0 leaves every cell of a large grid over; only the best are looked at."""
    rng = np.random.default_rng(1)
    boxes, scores, class_ids = random_boxes(rng, 20000, 80, 0, 5000)
    kept = non_maximum_suppression(boxes, scores, class_ids, 0.45)
    assert 0 < len(kept) <= MAX_CANDIDATES
    assert (np.diff(scores[kept]) <= 0).all()


def test_a_box_turned_inside_out_harms_no_other() -> None:
    """Areas that add up to less than nothing are a full overlap to OpenCV."""
    boxes = np.array([[100, 0, 50, 50], [0, 0, 5, 5], [1, 0, 6, 5]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    kept = non_maximum_suppression(boxes, scores, np.zeros(3, np.int64), 0.5)
    assert kept.tolist() == [0, 1]


@pytest.mark.parametrize('ids', [[5, 5, 10**12], [-3, -3, 4], [10**9, 10**9, 10**9 + 1]])
def test_ids_of_any_size_tell_classes_apart(ids: list[int]) -> None:
    boxes = np.array([[0, 0, 10, 10], [0.5, 0, 10.5, 10], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    kept = non_maximum_suppression(boxes, scores, np.array(ids), 0.5)
    assert kept.tolist() == [0, 2]
