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

"""Whether what a process holds grows."""

from __future__ import annotations

import os
from pathlib import Path
import threading

import numpy as np
import pytest
from ros2_classify_benchmark.stress.growth import COLUMNS, growth, hold, LIMITS, Watch

HOURS = np.linspace(0.0, 3600.0, 241)


def test_noise_around_a_level_is_flat() -> None:
    values = 100.0 + np.random.default_rng(1).normal(0, 3, HOURS.size)
    found = growth(HOURS, values, 8.0)
    assert found.flat
    assert abs(found.slope) < 4.0


def test_a_pool_that_fills_up_at_first_is_flat() -> None:
    found = growth(HOURS, 200.0 - 100.0 * np.exp(-HOURS / 100.0), 8.0)
    assert found.flat
    assert found.first == pytest.approx(200.0, abs=0.1)


def test_a_leak_is_found_with_its_slope() -> None:
    found = growth(HOURS, 100.0 + HOURS / 100.0, 8.0)
    assert not found.flat
    assert found.slope == pytest.approx(36.0)
    assert found.gain == pytest.approx(27.0)
    assert found.last - found.first == pytest.approx(24.3, abs=0.5)


def test_a_leak_that_begins_late_in_a_long_run_is_found() -> None:
    found = growth(HOURS, 100.0 + np.maximum(0.0, HOURS - 3150.0) / 30.0, 8.0)
    assert found.gain < 8.0 < found.last - found.first
    # A short run has too few samples for the last tenth to tell.
    assert found.samples < 300 and found.flat
    many = np.linspace(0.0, 3600.0, 3601)
    assert not growth(many, 100.0 + np.maximum(0.0, many - 3150.0) / 30.0, 8.0).flat


def test_one_sample_is_no_growth() -> None:
    assert growth(np.array([5.0]), np.array([7.0]), 1.0).gain == 0.0


def test_what_this_process_holds() -> None:
    before = hold(os.getpid())
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    with open(os.devnull):
        during = hold(os.getpid())
    ended.set()
    thread.join()
    assert during[1:3] == (before[1] + 1, before[2] + 1)
    assert before[0] > 5.0
    with pytest.raises(OSError):
        hold(2**22 + 1)


def test_a_watch_writes_what_it_saw(tmp_path: Path) -> None:
    times = iter(range(100))
    watch = Watch(os.getpid(), clock=lambda: float(next(times)))
    for _ in range(8):
        watch.sample()
    watch.save(tmp_path / 'held.txt')
    assert np.loadtxt(tmp_path / 'held.txt').shape == (8, 1 + len(COLUMNS))
    growths = watch.growths()
    assert tuple(growths) == COLUMNS == tuple(LIMITS)
    assert growths['threads'].flat


def test_a_sample_at_rest_waits_for_threads_that_end() -> None:
    watch = Watch(os.getpid())
    watch.sample()
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    end = threading.Timer(0.1, ended.set)
    end.start()
    watch.sample_at_rest()
    thread.join()
    end.join()
    found = watch.growths()['threads']
    assert found.last <= found.first


def test_a_watch_with_a_period_samples_by_itself() -> None:
    seen = threading.Event()

    def clock() -> float:
        seen.set()
        return 0.0
    with Watch(os.getpid(), 0.001, clock):
        assert seen.wait(20.0)
