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

"""Rolling quantiles, rates and the lines of the log."""

import pytest

from ros2_classify.ros.diagnostics.statistics import Latencies, Rate, Ring


def test_a_ring_holds_the_newest_values():
    ring = Ring(size=10)
    assert len(ring) == 0 and ring.quantiles() == ()
    ring.add(4.0)
    assert len(ring) == 1 and ring.quantiles() == (4.0, 4.0, 4.0)
    for value in range(100, 0, -1):
        ring.add(float(value))
    assert len(ring) == 10
    assert ring.quantiles((0.0, 0.5, 1.0)) == (1.0, 5.0, 10.0)


def test_quantiles_of_many_values():
    ring = Ring(size=1001)
    for value in range(1001):
        ring.add(float(value))
    assert ring.quantiles() == pytest.approx((500, 950, 990))


def test_latencies_are_written_from_the_first_measurement_on():
    latencies = Latencies()
    assert str(latencies) == ''
    latencies.node.add(0.0123)
    latencies.model.add(0.01)
    assert str(latencies).startswith('12.3/12.3/12.3 ms from an image to its result')
    assert '10.0/10.0/10.0 ms of it in the model' in str(latencies)


def test_a_rate_is_that_of_the_last_second(clock):
    rate = Rate(clock)
    assert rate.look(50) == 0.0
    clock.now += 1.0
    assert rate.look(80) == 30.0
    # Too early for a new one.
    clock.now += 0.5
    assert rate.look(81) == 30.0
    clock.now += 1.5
    assert rate.look(90) == 5.0
    # Counted from zero, as after an activation.
    assert rate.look(3) == 0.0
    clock.now += 2.0
    assert rate.look(5) == 1.0
