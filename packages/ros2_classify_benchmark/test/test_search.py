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


"""The search of the highest rate."""

import pytest
from ros2_classify_benchmark.search import highest_rate


def losses(capacity):
    """Return a node that stands a rate and loses what is beyond it."""
    return lambda rate: max(0.0, 1.0 - capacity / rate)


@pytest.mark.parametrize('capacity', [12.0, 40.0, 73.0, 95.0])
def test_the_rate_where_five_percent_are_lost_is_found(capacity):
    found = highest_rate(losses(capacity), 10.0, 110.0)
    assert found.rate == pytest.approx(capacity / 0.95, rel=0.04)
    assert max(loss for rate, loss in found.tried if rate <= found.rate) < 0.05


def test_the_upper_end_is_tried_first_and_ends_the_search():
    found = highest_rate(losses(1000.0), 10.0, 100.0)
    assert (found.rate, found.tried) == (100.0, [(100.0, 0.0)])


def test_what_is_never_reached_is_zero():
    found = highest_rate(lambda rate: 1.0, 10.0, 100.0)
    assert found.rate == 0.0


def test_the_number_of_runs_is_bounded():
    found = highest_rate(losses(50.0), 1.0, 1000.0, tolerance=0.0, max_tries=6)
    assert len(found.tried) == 6
