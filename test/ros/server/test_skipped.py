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

"""Images that newer ones replaced before anybody took them, known from their numbers."""

import pytest
from ros2_classify.ros.server.skipped import Skipped


@pytest.mark.parametrize(('numbers', 'missing'), [
    ([1, 2, 3], [0, 0, 0]), ([5, 9, 10, 13], [0, 3, 0, 2]),
    # Another publisher, or the same one started anew.
    ([100, 3, 5], [0, 0, 1]),
    # A middleware that doesn't number.
    ([None, None], [0, 0]), ([4, None, 9], [0, 0, 0])])
def test_what_is_missing_between_two_images(numbers, missing):
    skipped = Skipped()
    assert [skipped.taken(number) for number in numbers] == missing


def test_the_numbers_of_several_publishers_mean_nothing():
    skipped = Skipped()
    assert [skipped.taken(number, alone=False) for number in (1, 500, 2, 501)] == [0] * 4
    # Of one that has gone, or of the one that is left.
    assert [skipped.taken(number) for number in (9000, 9004)] == [0, 3]


def test_losses_explain_what_was_taken_for_replaced_once():
    skipped = Skipped()
    skipped.replaced(5)
    assert [skipped.lost(count) for count in (2, 4, 1)] == [2, 3, 0]


def test_what_is_settled_is_explained_by_nothing():
    skipped = Skipped()
    skipped.replaced(5)
    skipped.settle()
    assert skipped.lost(5) == 0
