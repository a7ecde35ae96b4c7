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

"""What a run says of itself."""

import numpy as np
import pytest
from ros2_classify_benchmark.matching import match
from ros2_classify_benchmark.runs import Run

SECOND = 10**9


def run_of(*results):
    """Return a run with a camera for each list of arrival times, in seconds."""
    rows = np.array(
        [(camera, 1000 * camera + number, int(when * SECOND))
         for camera, times in enumerate(results) for number, when in enumerate(times)], np.int64)
    return Run('node', 10.0, match(rows, rows), (0.0, 1.0), len(rows), 0.5, [(0.0, 1)])


def test_jitter_is_that_of_each_camera():
    """Cameras that come right after each other are as even as one."""
    even = np.arange(10) * 0.1
    assert run_of(even, even + 0.001).to_dict()['jitter_ms'] == pytest.approx(0.0, abs=1e-3)
    one, two, three = ([0.0, 0.1, 0.1 + 0.1 * factor] for factor in (1.0, 1.2, 3.0))
    assert run_of(one, two, three).jitter_ms == pytest.approx(10.0)
    assert np.isnan(run_of([0.1, 0.2]).jitter_ms)


def test_what_was_dropped_is_told_from_what_was_lost():
    run = run_of(np.arange(10) * 0.1)
    run.received, run.processed = 7, 4
    table = run.to_dict()
    assert (table['dropped_by_policy'], table['lost_in_transport']) == (3, 3)
