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

"""What counts as the same result of two nodes, and what is said if results differ."""

import pytest
from ros2_classify_benchmark.agreement import Agreement, compare
from ros2_classify_benchmark.processes import BenchError

STOP = ('stop', 0.9, 100.0, 80.0, 40.0, 30.0)
GO = ('go', 0.6, 300.0, 200.0, 20.0, 20.0)


def moved(row, number, by):
    return (*row[:number], row[number] + by, *row[number + 1:])


def test_the_largest_differences_are_told():
    theirs = {0: [moved(STOP, 1, 5e-5), GO], 1: [moved(GO, 4, -0.05)], 2: []}
    found = compare({0: [STOP, GO], 1: [GO], 2: []}, theirs)
    assert found == Agreement(3, 3, pytest.approx(0.05), pytest.approx(5e-5))
    assert str(found) == ('both nodes detect the same 3 objects in 3 images: boxes within 0.05 '
                          'pixels, scores within 5e-05')


def test_the_order_does_not_count():
    other = moved(STOP, 2, 50.0)
    assert compare({0: [STOP, other, GO]}, {0: [GO, other, STOP]}) == Agreement(1, 3)


@pytest.mark.parametrize('theirs', [
    [], [GO], [STOP], [STOP, GO, GO], [STOP, ('stop', *GO[1:])], [moved(STOP, 1, 2e-4), GO],
    [STOP, moved(GO, 2, 0.2)], [STOP, moved(GO, 5, -0.2)], [moved(STOP, 3, float('nan')), GO]])
def test_a_difference_ends_the_comparison(theirs):
    with pytest.raises(BenchError, match='^in image 7 .*: the comparison would not be fair$'):
        compare({6: [], 7: [STOP, GO]}, {6: [], 7: theirs})


def test_nothing_is_no_agreement():
    with pytest.raises(BenchError, match='nothing is detected in any image'):
        compare({0: [], 1: []}, {0: [], 1: []})
