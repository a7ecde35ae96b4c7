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

"""Simulated time that stands still."""

from ros2_classify.ros.diagnostics.statistics import SimulatedClock


def test_simulated_time_that_stands_still_is_noticed(clock):
    simulated = SimulatedClock(clock)

    def look(time):
        clock.now += 1.0
        return [issue.text for issue in simulated.look(time)]

    assert [look(7.0) for _ in range(5)] == [[]] * 5
    assert 'stood still at 7.00 s for 5 s' in look(7.0)[0]
    assert look(7.5) == [] and look(1.0) == []
    assert simulated.jumps == 1
    assert [look(None) for _ in range(9)] == [[]] * 9
    assert look(1.0) == []
