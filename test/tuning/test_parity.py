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

"""Parity, against numbers that were computed by hand."""

import numpy as np
import pytest

from ros2_classify.tuning.parity import compare, Parity


def boxes(*rows: tuple[float, ...], prefix: str = '0') -> dict[str, np.ndarray]:
    """Return arrays of rows: x1, y1, x2, y2, class, score."""
    table = np.array(rows, float).reshape(-1, 6)
    return {f'{prefix}.boxes': table[:, :4], f'{prefix}.class_ids': table[:, 4].astype(int),
            f'{prefix}.scores': table[:, 5]}


A, B = (0, 0, 10, 10, 1, 0.9), (50, 50, 90, 70, 2, 0.8)


def test_the_same_boxes_in_any_order() -> None:
    found = compare(boxes(A, B), boxes(B, A), 0.3)
    assert found == Parity(compared=2)
    assert not found.problem(0.0, exact=True)


def test_differences_of_scores_and_boxes() -> None:
    moved = (0, 0, 10, 11, 1, 0.88)
    found = compare(boxes(A, B), boxes(moved, B), 0.3)
    assert found.agreement == 1.0
    assert found.score == pytest.approx(0.02) and found.box == pytest.approx(0.1)
    assert 'scores differ by 0.02' in found.problem(0.01, exact=True)
    assert not found.problem(0.01, exact=False)


def test_a_lost_box_or_another_class_counts_for_both_sides() -> None:
    # One of two is common: 2 of the 3 (1 pair, 1 lost).
    found = compare(boxes(A, B), boxes(A), 0.3)
    assert found.agreement == pytest.approx(2 / 3)
    other = (50, 50, 90, 70, 3, 0.8)
    found = compare(boxes(A, B), boxes(A, other), 0.3)
    assert found.agreement == pytest.approx(2 / 4)
    assert '50.0 % of the results' in found.problem(0.01, exact=False)


def test_a_box_at_the_threshold_may_be_on_either_side() -> None:
    weak = (50, 50, 90, 70, 2, 0.300001)
    assert compare(boxes(A, weak), boxes(A), 0.3).agreement == 1.0
    assert compare(boxes(A, weak), boxes(A), 0.2).agreement < 1.0


def test_nothing_found_is_compared_by_raw_outputs() -> None:
    one = {**boxes(), 'raw.0.out': np.array([0.0, 4.0])}
    two = {**boxes(), 'raw.0.out': np.array([0.0, 4.02])}
    found = compare(one, two, 0.3)
    assert found.compared == 0 and found.raw == pytest.approx(0.005)
    assert 'the outputs differ by 0.005' in found.problem(0.01, exact=True)
    assert 'give --data' in found.problem(0.01, exact=False)
    assert not compare(one, one, 0.3).problem(0.0, exact=True)
    nan = {**boxes(), 'raw.0.out': np.array([0.0, np.nan])}
    assert compare(one, nan, 0.3).problem(0.01, exact=True)


def test_classes() -> None:
    one = {'0.class_ids': np.array([3, 1]), '0.scores': np.array([0.6, 0.4])}
    two = {'0.class_ids': np.array([1, 3]), '0.scores': np.array([0.55, 0.45])}
    found = compare(one, two, 0.0)
    assert found.agreement == 0.0 and found.score == pytest.approx(0.15)
    tie = {'0.class_ids': np.array([3, 1]), '0.scores': np.array([0.500001, 0.5])}
    swapped = {'0.class_ids': np.array([1, 3]), '0.scores': np.array([0.500001, 0.5])}
    assert compare(tie, swapped, 0.0).agreement == 1.0


def test_pixels_and_vectors() -> None:
    image = np.zeros((4, 4), int)
    changed = image.copy()
    changed[0, 0] = 1
    found = compare({'0.label_image': image}, {'0.label_image': changed}, 0.0)
    assert found.agreement == pytest.approx(15 / 16)
    one, two = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    assert compare({'0.vector': one}, {'0.vector': two}, 0.0).agreement == pytest.approx(0.6)


def test_accuracy_counts_before_all_else() -> None:
    found = Parity(compared=3, measure='map', reference=0.5, value=0.48)
    assert 'map falls from 0.5000 to 0.4800' in found.problem(0.01, exact=False)
    assert not found.problem(0.03, exact=False)
