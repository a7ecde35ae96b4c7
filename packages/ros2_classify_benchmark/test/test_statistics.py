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


"""Percentiles, ratios, slopes, and the search of the highest rate."""

import json
import math

import numpy as np
import pytest
from ros2_classify_benchmark.statistics import (
    grows, highest_rate, interval_jitter, median, ratio, rounded, slope, summary)


def test_a_summary_has_percentiles_and_the_greatest_value():
    found = summary(range(1, 101))
    assert (found.count, found.max, found.mean) == (100, 100.0, 50.5)
    assert (found.p50, found.p95, found.p99) == pytest.approx((50.5, 95.05, 99.01))


def test_a_summary_of_nothing_can_be_written_as_json():
    found = summary([])
    assert found.count == 0 and math.isnan(found.p50)
    assert json.loads(json.dumps(found.to_dict()))['p99'] is None


def test_medians_pass_over_what_is_no_number():
    assert median([3.0, math.nan, 1.0, 2.0]) == 2.0
    assert math.isnan(median([math.nan]))


@pytest.mark.parametrize('floor', [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_over_nothing_is_no_number(floor):
    assert math.isnan(ratio(1.0, floor))
    assert ratio(3.0, 2.0) == 1.5


def test_jitter_is_the_deviation_of_the_intervals():
    assert interval_jitter([3.0, 1.0, 2.0, 0.0]) == 0.0
    assert interval_jitter([0.0, 1.0, 3.0]) == pytest.approx(0.5)
    assert math.isnan(interval_jitter([0.0, 1.0]))


def test_a_slope_is_not_moved_by_single_jumps():
    times = np.arange(50.0)
    values = 2.0 * times + 7.0
    values[[5, 30]] += 1000.0
    assert slope(times, values) == pytest.approx(2.0, abs=0.01)
    assert math.isnan(slope([1.0], [1.0]))


def test_a_slope_of_many_samples_is_found_from_some():
    times = np.arange(100_000.0)
    assert slope(times, 0.5 * times) == pytest.approx(0.5)


def test_growth_is_told_from_noise():
    noise = np.random.default_rng(0).normal(10.0, 1.0, 300)
    assert not grows(noise)
    assert grows(np.linspace(10.0, 40.0, 300))
    assert not grows(np.linspace(10.0, 40.0, 9))


def test_numbers_are_rounded_for_json():
    assert rounded(1.23456) == 1.235
    assert rounded(math.inf) is None
    assert rounded(7) == 7
    assert rounded(None) is None


def losses(capacity):
    """Return the loss of a node that processes a limited rate."""
    return lambda rate: max(0.0, 1.0 - capacity / rate)


@pytest.mark.parametrize('capacity', [12.0, 40.0, 73.0, 95.0])
def test_the_rate_where_five_percent_are_lost_is_found(capacity):
    found = highest_rate(losses(capacity), 10.0, 110.0)
    assert found.rate == pytest.approx(capacity / 0.95, rel=0.04)
    assert max(loss for rate, loss in found.tried if rate <= found.rate) < 0.05


def test_the_upper_end_is_tried_first_and_ends_the_search():
    found = highest_rate(losses(1000.0), 10.0, 100.0)
    assert (found.rate, found.tried) == (100.0, [(100.0, 0.0)])


def test_a_rate_that_is_never_reached_is_zero():
    found = highest_rate(lambda rate: 1.0, 10.0, 100.0)
    assert found.rate == 0.0


def test_the_number_of_runs_is_bounded():
    found = highest_rate(losses(50.0), 1.0, 1000.0, tolerance=0.0, max_tries=6)
    assert len(found.tried) == 6
