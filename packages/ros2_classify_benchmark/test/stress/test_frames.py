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

"""Which images of a run have a result, are excused or lost, and which results are unmatched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ros2_classify_benchmark.stress import frames as frames_module
from ros2_classify_benchmark.stress.frames import Drops, Frames
from ros2_classify_benchmark.stress.models import Known, whose
from vision_msgs.msg import Classification, ObjectHypothesis

ANTS = Known('ants', Path(), {'ants 0': 0.75, 'ants 1': 0.25})
BEES = Known('bees', Path(), {'bees 0': 0.5, 'ants 1': 0.125})
MS = 10**6


def result(stamp: int, **scores: float) -> Any:
    """Return a result."""
    msg = Classification(results=[
        ObjectHypothesis(class_id=name.replace('_', ' '), score=score)
        for name, score in scores.items()])
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp, 10**9)
    return msg


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the time that the frames go by, in a list of one."""
    now = [0]
    monkeypatch.setattr(frames_module.time, 'time_ns', lambda: now[0])
    return now


def test_a_result_belongs_to_the_one_model_that_gives_it() -> None:
    models = [ANTS, BEES]
    assert whose(result(1, ants_0=0.75, ants_1=0.25), models) == 'ants'
    # Fewer, as thresholds and limits tell.
    assert whose(result(1, ants_0=0.75), models) == 'ants'
    assert whose(result(1, ants_1=0.125), models) == 'bees'
    # A mixture: one model's labels with the other one's scores, or both's labels.
    assert whose(result(1, bees_0=0.75), models) == 'nobody'
    assert whose(result(1, ants_0=0.75, bees_0=0.5), models) == 'nobody'
    assert whose(result(1), models) == 'nobody'


def test_every_image_is_accounted_for(clock: list[int], tmp_path: Path) -> None:
    record = tmp_path / 'record.txt'
    record.write_text(''.join(
        f'{number * 1000 * MS} {number * 1000 * MS} {"short" if number == 3 else "good"}\n'
        for number in range(1, 9)))
    frames = Frames([ANTS, BEES])
    for number in (1, 2):
        clock[0] = (number * 1000 + 10) * MS
        frames.receive(result(number * 1000 * MS, ants_0=0.75))
    # 4 has no result and no excuse; 6 has none as there is no camera.
    clock[0] = 5010 * MS
    frames.receive(result(5000 * MS, bees_0=0.5))
    clock[0] = 6000 * MS
    with frames.excused():
        clock[0] = 6500 * MS
    clock[0] = 7010 * MS
    frames.receive(result(7000 * MS, bees_0=0.5))
    # Wrong are: a second result, one of no model, and one of a bad image.
    for stamp, scores in (
            (7000, {'bees_0': 0.5}), (8000, {'bees_0': 0.75}), (3000, {'ants_0': 0.75})):
        frames.receive(result(stamp * MS, **scores))
    tally = frames.tally(record)
    assert (tally.sent, tally.good, tally.bad) == (8, 7, 1)
    assert (tally.results, tally.excused, tally.missing) == (5, 1, 1)
    assert tally.missing_at == [(4000 * MS, 5010 * MS)]
    assert (tally.unmatched, tally.duplicates) == (2, 1)
    assert tally.by_model == {'ants': 3, 'bees': 3, 'nobody': 1}
    # The gap around the excuse does not count.
    assert tally.longest_gap_ms == 3000.0
    assert (frames.count, frames.last) == (7, 'ants')


def test_a_replacement_explains_a_loss_of_its_time_only(clock: list[int]) -> None:
    drops = Drops()
    # Three are replaced in the first second and one in the fifth; then a new activation begins.
    for second, replaced in ((1, 3), (4, 3), (5, 4), (20, 0), (21, 2)):
        clock[0] = second * 1000 * MS
        drops.note(replaced)
    early, late, none = ((at * MS, at * MS) for at in (500, 4500, 12_000))
    assert drops.unexplained([], 6) == 0
    assert drops.unexplained([early, early, early, late], 6) == 0
    # The one of the fifth second came too late for a fourth early image.
    assert drops.unexplained([early] * 4, 6) == 1
    assert drops.unexplained([none, none], 6) == 2
    assert drops.unexplained([late, late], 6) == 1
    assert drops.unexplained([(20_500 * MS, 20_500 * MS)] * 2, 6) == 0
    # Of two the server told nothing before it ended: nobody knows when they were.
    assert drops.unexplained([none, none, none], 8) == 1


def test_an_image_that_waited_in_the_middleware_was_replaced_when_the_next_one_had_its_result(
        clock: list[int], tmp_path: Path) -> None:
    drops = Drops()
    for second, replaced in ((9, 0), (10, 2), (30, 2)):
        clock[0] = second * 1000 * MS
        drops.note(replaced)
    record = tmp_path / 'record.txt'
    record.write_text(''.join(f'{at * MS} {at * MS} good\n' for at in (2000, 2300, 9500, 12_000)))
    frames = Frames([ANTS])
    for stamp, came in ((9500, 9510), (12_000, 12_010)):
        clock[0] = came * MS
        frames.receive(result(stamp * MS, ants_0=0.75))
    tally = frames.tally(record)
    assert tally.missing_at == [(2000 * MS, 9510 * MS), (2300 * MS, 9510 * MS)]
    assert drops.unexplained(tally.missing_at, 2) == 0
    # Where the next one had its result long before the server replaced any, they are lost.
    assert drops.unexplained([(2000 * MS, 2400 * MS), (2300 * MS, 2400 * MS)], 2) == 2
    frames.save(tmp_path / 'results.txt')
    assert (tmp_path / 'results.txt').read_text().splitlines()[0] == (
        f'{9500 * MS} {9510 * MS} ants')
