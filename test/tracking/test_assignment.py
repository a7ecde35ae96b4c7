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

"""The assignment against trying everything, and against scipy where it is."""

import itertools

import numpy as np
import pytest
from ros2_classify.tracking.assignment import assign


def _problems(count, most):
    random = np.random.default_rng(1)
    for _ in range(count):
        shape = random.integers(1, most + 1, 2)
        gains = random.random(shape)
        # Whole numbers make ties; many pairs are no pairs.
        if random.random() < 0.3:
            gains = np.round(4 * gains)
        gains[random.random(shape) < random.choice([0.0, 0.5, 0.9])] *= -1
        yield gains


def _best(gains):
    if gains.shape[0] > gains.shape[1]:
        gains = gains.T
    gains = np.maximum(gains, 0)
    rows = range(len(gains))
    return max(sum(gains[row, column] for row, column in zip(rows, columns))
               for columns in itertools.permutations(range(gains.shape[1]), len(gains)))


def _check(gains, rows, columns):
    assert len(set(rows)) == len(rows) and len(set(columns)) == len(columns)
    assert (gains[rows, columns] > 0).all()


def test_the_sum_is_the_largest_of_all():
    for gains in _problems(300, 6):
        rows, columns = assign(gains)
        _check(gains, rows, columns)
        assert gains[rows, columns].sum() == pytest.approx(_best(gains))


def test_scipy_finds_no_larger_sum():
    optimize = pytest.importorskip('scipy.optimize')
    for gains in _problems(2000, 25):
        rows, columns = assign(gains)
        _check(gains, rows, columns)
        good = np.maximum(gains, 0)
        assert gains[rows, columns].sum() == pytest.approx(
            good[optimize.linear_sum_assignment(good, maximize=True)].sum())


@pytest.mark.parametrize('shape', [(0, 0), (0, 3), (3, 0), (2, 2)])
def test_without_gains_there_are_no_pairs(shape):
    rows, columns = assign(np.zeros(shape))
    assert len(rows) == len(columns) == 0
