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


"""The times that the server notes for those who measure."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from ros2_classify.ros.server.trace import Trace


def stamp(sec, nanosec):
    return SimpleNamespace(sec=sec, nanosec=nanosec)


def test_stamps_and_times_are_written(tmp_path):
    begun = time.monotonic_ns()
    trace = Trace(str(tmp_path / 'times'))
    trace.taken(stamp(1, 5))
    trace.taken(stamp(1, 6))
    trace.published(stamp(1, 6))
    trace.skipped(3)
    path = trace.write()
    with np.load(path) as tables:
        taken, published, skipped = (
            tables[name] for name in ('taken', 'published', 'skipped'))
    assert path == str(tmp_path / 'times')
    assert taken[:, 0].tolist() == [10**9 + 5, 10**9 + 6]
    assert published[:, 0].tolist() == [10**9 + 6]
    assert begun <= taken[0, 1] <= taken[1, 1] <= published[0, 1] <= time.monotonic_ns()
    assert skipped[:, 0].tolist() == [3]
    assert published[0, 1] <= skipped[0, 1] <= time.monotonic_ns()


def test_nothing_is_empty_tables(tmp_path):
    with np.load(Trace(str(tmp_path / 'none.npz')).write()) as tables:
        assert {tables[name].shape for name in ('taken', 'published', 'skipped')} == {(0, 2)}


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError):
        Trace(str(tmp_path / 'missing' / 'times.npz')).write()
