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


"""What a long run says of memory and losses."""

import numpy as np
import pytest
from ros2_classify_benchmark.endurance import growth, table

MIB = 2**20


def samples(size_at, seconds=600, rate=30.0):
    """Return a sample a second of a process that notes 32 bytes a frame as well."""
    return [(1000.0 + when, int(size_at(when) * MIB + 32 * rate * when))
            for when in range(seconds)]


def test_memory_that_is_flat_after_the_beginning_has_not_grown():
    found = growth(samples(lambda when: 100 + 20 * min(1.0, when / 60)), 30.0)
    assert found['growth_mib_in_10_min'] == pytest.approx(0.0, abs=0.01)
    assert found['first_mib'] < 102 and found['last_mib'] == pytest.approx(120.0, abs=0.01)


def test_a_leak_is_found():
    found = growth(samples(lambda when: 100 + when / 60), 30.0)
    assert found['growth_mib_in_10_min'] == pytest.approx(10.0, rel=0.01)


def test_the_table_shows_losses_and_memory():
    distribution = dict.fromkeys(('p50', 'p95', 'p99', 'max'), 1.5)
    run = dict.fromkeys(('seconds', 'sent', 'received', 'processed', 'results',
                         'dropped_by_policy', 'lost_in_transport', 'rate_out_per_s', 'jitter_ms',
                         'cpu_percent', 'grows'), 7)
    memory = growth(samples(lambda when: np.float64(100 + when)), 30.0)

    def shown(seconds):
        return table({'model': 'm', 'memory': memory, 'run': {
            **run, 'seconds': seconds, 'stamp_to_result_ms': distribution}})

    assert 'lost in transport' in shown(598.0)
    assert '| memory, growth mib in 10 min | 600.0 ' in shown(598.0)
    # Caches fill in the first minutes of every process.
    assert '| memory, growth mib in 10 min | - (needs a run of 600 s) ' in shown(28.0)
