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

"""What the main measurement does in which order, and what it counts as lost."""

import numpy as np
import pytest
from ros2_classify_benchmark import measure
from ros2_classify_benchmark.matching import match
from ros2_classify_benchmark.measure import Round
from ros2_classify_benchmark.runs import Run
from ros2_classify_benchmark.session import Started
from ros2_classify_benchmark.settings import Plan, Settings
from ros2_classify_benchmark.systems import System

PLAN = Plan()
SECOND = 10**9


class Session:
    """Notes what is run; its camera's rate is limited, and each image gets a result."""

    def __init__(self, camera=1000.0, bare_rates=()):
        self.settings = Settings(overload=2.0)
        self.steps = []
        self._camera = camera
        self._bare_rates = list(bare_rates)

    def run_bare(self, rate, seconds, warm):
        self.steps.append(('bare', rate))
        return {'latencies': [10.0], 'rate': self._bare_rates.pop(0) if not rate else rate}

    def run(self, node, rate, seconds, warm):
        self.steps.append((node.system.name, rate))
        count = int(min(rate, self._camera) * (seconds - warm))
        rows = np.arange(count)
        sent = np.stack([0 * rows, rows, rows * SECOND // 1000], axis=1)
        return Run(node.system.name, rate, match(sent, sent), (0.0, seconds - warm), count, 0.5)


def started(name):
    return Started(System(name, (), (), ()), [])


@pytest.mark.parametrize(('camera', 'reached'), [(1000.0, 110.0), (80.0, 80.0 / 0.95)])
def test_images_that_the_camera_could_not_send_are_lost(camera, reached):
    session = Session(camera)
    before = Round({}, {}, saturated={
        'node': Run('node', 200.0, match(*[np.empty((0, 3), np.int64)] * 2), (0.0, 1.0), 100, 1)})
    found = measure._search(session, started('node'), PLAN, [before])
    assert found.rate == pytest.approx(reached, rel=0.04)
    assert found.rate <= reached + 1e-6


def test_who_is_first_changes_from_turn_to_turn():
    session = Session(bare_rates=(100.0, 50.0, 70.0))
    nodes = {name: started(name) for name in ('node', 'other')}
    rounds = []
    for _ in range(3):
        rounds.append(measure._round(session, PLAN, nodes, rounds))
    paced, rate = ('bare', 'node', 'other'), session.settings.rate
    assert session.steps == [
        *((name, rate) for name in paced), ('bare', 0.0), ('node', 200.0), ('other', 200.0),
        # What the bare loop managed in the previous round.
        *((name, rate) for name in paced[::-1]), ('other', 200.0), ('node', 200.0), ('bare', 0.0),
        *((name, rate) for name in paced), ('bare', 0.0), ('node', 140.0), ('other', 140.0)]
    assert [round_.bare_saturated['rate'] for round_ in rounds] == [100.0, 50.0, 70.0]
    assert all(set(round_.paced) == set(round_.saturated) == set(nodes) for round_ in rounds)
    assert all(round_.bare_paced['rate'] == rate for round_ in rounds)


@pytest.mark.parametrize(('manages', 'rate', 'note'), [
    (100.0, 30.0, None), (34.0, 30.0, None), (31.0, 30.0, '--rate 22 or less'),
    (24.5, 30.0, '--rate 17 or less'), (0.5, 1.0, '--rate 1 or less')])
def test_a_pace_that_the_bare_loop_cannot_keep_is_said(manages, rate, note):
    found = measure.Measured(
        Settings(rate=rate), {}, {}, None, [Round({}, {'rate': manages})] * 3)
    notes = measure._notes(found)
    assert notes == [] if note is None else note in notes[0]
