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

"""Due times, with a clock of the test's own."""

import threading

import pytest
from ros2_classify.sources.newest import Pace


class Clock:
    """A clock that only a wait moves, and the event to wait on."""

    def __init__(self):
        self.now = 100.0
        self.waited = []
        self.ended = False

    def __call__(self):
        return self.now

    def is_set(self):
        return self.ended

    def wait(self, seconds):
        self.waited.append(seconds)
        self.now += seconds


def test_the_first_is_due_at_once_and_delays_do_not_add_up():
    clock = Clock()
    pace = Pace(clock, clock)
    assert pace.wait(10.0) and clock.waited == []
    clock.now += 0.07
    assert pace.wait(10.0)
    clock.now += 0.02
    assert pace.wait(10.0)
    assert clock.waited == pytest.approx([0.03, 0.08])
    assert clock.now == pytest.approx(100.2)


def test_a_late_schedule_restarts_without_a_burst():
    clock = Clock()
    pace = Pace(clock, clock)
    pace.wait(10.0)
    clock.now += 5.0
    pace.wait(10.0)
    pace.wait(10.0)
    assert clock.waited == pytest.approx([0.1])


def test_an_end_is_told():
    ended = threading.Event()
    pace = Pace(ended)
    assert pace.wait(1000.0)
    ended.set()
    assert not pace.wait(0.001)


def test_a_source_with_its_own_rate_is_thinned_out():
    clock = Clock()
    pace = Pace(clock, clock)
    taken = []
    for frame in range(30):
        clock.now = 100.0 + frame / 30
        taken.append(pace.due(10.0))
    assert sum(taken) == 10 and clock.waited == []
