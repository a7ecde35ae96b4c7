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


"""Results and frames are matched by stamp."""

import numpy as np
import pytest
from ros2_classify_benchmark.matching import match, times_of

SECOND = 10**9
EMPTY = np.empty((0, 3), np.int64)


def table(*rows):
    return np.array(rows, np.int64).reshape(-1, 3)


# Camera, stamp, time: frames every 100 ms.
SENT = table((0, 1000, 1 * SECOND), (0, 1001, SECOND * 11 // 10), (1, 1002, SECOND * 12 // 10))


def test_every_frame_gets_the_result_with_its_stamp():
    received = table((0, 1002, 2 * SECOND), (0, 1000, SECOND + 5_000_000))
    found = match(SENT, received)
    assert found.has_result.tolist() == [True, False, True]
    assert found.latencies == pytest.approx([0.005, 0.8])
    assert found.loss == pytest.approx(1 / 3)
    assert found.camera.tolist() == [0, 0, 1]


def test_frames_are_in_the_order_of_sending():
    assert match(SENT[::-1], EMPTY).stamps.tolist() == [1000, 1001, 1002]


def test_duplicates_and_unmatched_are_counted_and_the_first_result_counts():
    received = table((0, 1000, 3 * SECOND), (0, 1000, 2 * SECOND), (0, 7, 2 * SECOND))
    found = match(SENT, received)
    assert (found.duplicates, found.unmatched) == (1, 1)
    assert found.latencies == pytest.approx([1.0])


def test_results_out_of_order_are_counted_for_each_camera():
    received = table((0, 1001, 2 * SECOND), (0, 1000, 3 * SECOND), (1, 1002, 4 * SECOND))
    assert match(SENT, received).out_of_order == 1
    received[:, 2] = [3 * SECOND, 2 * SECOND, SECOND * 5 // 2]
    assert match(SENT, received).out_of_order == 0


def test_nothing_received_and_nothing_sent():
    assert match(SENT, EMPTY).loss == 1.0
    nothing = match(EMPTY, SENT)
    assert (nothing.loss, nothing.unmatched, nothing.out_of_order) == (0.0, 3, 0)


def test_a_window_keeps_what_was_sent_in_it():
    part = match(SENT, SENT).since(1.05, 1.2)
    assert part.stamps.tolist() == [1001]


def test_a_stamp_that_comes_twice_is_an_error():
    with pytest.raises(ValueError, match='same stamp'):
        match(np.concatenate([SENT, SENT]), EMPTY)


def test_times_are_looked_up_by_stamp():
    found = times_of(np.array([5, 6, 9]), np.array([6, 9, 6]), np.array([2, 3, 1]) * SECOND)
    assert np.isnan(found[0]) and found[1:].tolist() == [1.0, 3.0]
