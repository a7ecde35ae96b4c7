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

"""Results of one image again and again are compared with what is on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ros2_classify import Pipeline, read_image
from ros2_classify_benchmark.stress import hostile_testbed
from ros2_classify_benchmark.stress.hostile_testbed import card, MODEL, SameResults
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

CARD = ('go', (100.0, 50.0, 140.0, 90.0))


def result(stamp: int, x: float = 120.0, score: float = 0.75, label: str = 'go') -> Any:
    """Return a result with one detection of 40x40 pixels."""
    each = Detection2D(results=[ObjectHypothesisWithPose()])
    each.results[0].hypothesis.class_id, each.results[0].hypothesis.score = label, score
    each.bbox.center.position.x, each.bbox.center.position.y = x, 70.0
    each.bbox.size_x = each.bbox.size_y = 40.0
    msg = Detection2DArray(detections=[each])
    msg.header.stamp.nanosec = stamp
    return msg


def judge(tmp_path: Path, *results: Any) -> tuple[Any, SameResults]:
    """Return the tally of results, numbered as they come."""
    frames = SameResults([], card=CARD)
    for number, each in enumerate(results):
        frames.receive(each, {'publication_sequence_number': number})
    record = tmp_path / 'record.txt'
    record.write_text(''.join(f'{each.header.stamp.nanosec} 0 good\n' for each in results))
    return frames.tally(record), frames


def test_the_same_right_results_are_recognized(tmp_path: Path) -> None:
    tally, _ = judge(tmp_path, *(result(stamp) for stamp in range(1, 6)))
    assert tally.by_model == {MODEL: 5} and tally.unmatched == 0


def test_each_result_that_differs_from_the_first_one_counts(tmp_path: Path) -> None:
    empty = result(2)
    empty.detections = []
    tally, _ = judge(
        tmp_path, result(1), empty, result(3, score=0.5), result(4, x=121.0),
        result(5, label='stop'), result(6))
    assert tally.by_model == {MODEL: 2, 'nobody': 4}


def test_results_that_do_not_show_the_card_are_wrong_even_if_all_are_the_same(
        tmp_path: Path) -> None:
    for wrong in ({'label': 'stop'}, {'x': 150.0}):
        tally, _ = judge(tmp_path, *(result(stamp, **wrong) for stamp in (1, 2, 3)))
        assert tally.unmatched == 3


def test_a_result_that_came_twice_is_told_from_one_that_was_published_twice(
        tmp_path: Path) -> None:
    tally, frames = judge(tmp_path, result(1), result(2), result(2))
    assert (tally.duplicates, frames.delivered_twice) == (1, 0)
    frames.receive(result(2), {'publication_sequence_number': 2})
    assert frames.delivered_twice == 1 and frames.count == 3


def test_the_shipped_model_sees_the_card_of_the_run() -> None:
    # Without a detection no result could ever be recognized.
    label, box = card()
    found = Pipeline.load(MODEL)(read_image(hostile_testbed._IMAGE))
    assert label == 'green_light' and str(found).count(label) == 1 and len(box) == 4
