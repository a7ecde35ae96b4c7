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

"""Ids over time: measured on sequences, and each promise by itself."""

from itertools import count

import cv2
import numpy as np
import pytest
from ros2_classify import InputError, Options, OptionsError, Pipeline, Tracker
import sequences
import shared_data
import tracker_time

RATE = 30.0
TUD = sequences.find_sequences()
needs_tud = pytest.mark.skipif(TUD is None, reason=sequences.REASON)


def ids(tracker, boxes, stamp, scores=None, labels=None):
    """Return the ids of boxes in one image, best first."""
    found = sequences.detections(boxes, scores, labels)
    return tracker(found, stamp).track_ids.tolist()


def box(x, y=100, side=60):
    return [x, y, x + side, y + side]


# ---- measured

@needs_tud
@pytest.mark.parametrize(('name', 'least'), [('TUD-Campus', 0.53), ('TUD-Stadtmitte', 0.64)])
def test_idf1_with_the_detections_of_the_sequences(name, least):
    truth = sequences.read(TUD / name / 'gt.txt')
    test = sequences.read(TUD / name / 'test.txt')
    frames = range(1, max(truth) + 1)
    found = {frame: sequences.plain(test.get(frame, [])) for frame in frames}
    tracks = sequences.track(Tracker(), found, 25)
    assert sequences.idf1(truth, tracks, frames) >= least


@needs_tud
@pytest.mark.parametrize('name', ['TUD-Campus', 'TUD-Stadtmitte'])
def test_idf1_with_damaged_truth(name):
    truth = sequences.read(TUD / name / 'gt.txt')
    frames = range(1, max(truth) + 1)
    values = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        found = {frame: sequences.damaged(truth.get(frame, []), random) for frame in frames}
        values.append(sequences.idf1(truth, sequences.track(Tracker(), found, 25), frames))
    assert np.mean(values) >= 0.86


@pytest.mark.parametrize('rate', [30, 10, 5])
def test_idf1_with_people_who_were_made_up(rate):
    truth = sequences.walkers(6, 12, rate)
    found = {frame: sequences.plain(truth.get(frame, [])) for frame in range(12 * rate)}
    tracks = sequences.track(Tracker(), found, rate)
    assert sequences.idf1(truth, tracks, found) >= 0.95
    assert len({row[0] for rows in tracks.values() for row in rows}) == 6


def test_idf1_with_damaged_people_who_were_made_up():
    truth = sequences.walkers(6, 12, 25)
    random = np.random.default_rng(0)
    found = {frame: sequences.damaged(truth.get(frame, []), random) for frame in range(300)}
    assert sequences.idf1(truth, sequences.track(Tracker(), found, 25), found) >= 0.86


@pytest.mark.skipif(shared_data.find_data() is None, reason=shared_data.REASON)
@pytest.mark.parametrize('frames', [240, pytest.param(1189, marks=pytest.mark.stress)])
def test_dropped_frames_of_a_video_bring_no_ids(frames, monkeypatch):
    data = shared_data.find_data()
    video = cv2.VideoCapture(str(data / 'video/bottle-detection.mp4'))
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', shared_data.model_path(data))
    with Pipeline.load('yolox_nano', task='detection') as pipeline:
        found = [pipeline(video.read()[1], 'bgr', Options(score_threshold=0.1))
                 for _ in range(frames)]

    def count_ids(kept):
        tracker, seen = Tracker(), set()
        for frame in kept:
            result = tracker(found[frame], frame / 29.83)
            seen |= set(result.track_ids[result.scores >= 0.3]) - {''}
        return len(seen)

    every = count_ids(range(frames))
    half = np.flatnonzero(np.random.default_rng(0).random(frames) < 0.5).tolist()
    assert 1 <= count_ids(half) <= every


# ---- promised

def test_an_id_comes_when_the_object_is_confirmed_and_stays():
    tracker = Tracker(confirm=3)
    found = [ids(tracker, [box(10 + frame)], frame / RATE) for frame in range(5)]
    assert found == [[''], [''], ['1'], ['1'], ['1']]
    assert tracker.live_ids == {'1'}


def test_weak_boxes_continue_tracks_and_begin_none():
    tracker = Tracker(confirm=1)
    assert ids(tracker, [box(10), box(400)], 0.0, [0.8, 0.4]) == ['1', '']
    assert ids(tracker, [box(11), box(401)], 0.1, [0.2, 0.4]) == ['', '1']
    assert ids(tracker, [box(12), box(402)], 0.2, [0.05, 0.4]) == ['', '']


def test_an_image_that_comes_twice_confirms_nothing():
    tracker = Tracker(confirm=2)
    assert [ids(tracker, [box(10)], 1.0) for _ in range(3)] == [['']] * 3
    assert ids(tracker, [box(10)], 1.1) == ['1']


def test_a_score_equal_to_a_limit_counts():
    tracker = Tracker(high=0.1, low=0.1, confirm=1)
    assert ids(tracker, [box(10)], 0.0, [np.float32(0.1)]) == ['1']


@pytest.mark.parametrize(('gap', 'expected'), [(0.9, '1'), (1.5, '2')])
def test_a_lost_object_keeps_its_id_for_lost_seconds(gap, expected):
    tracker = Tracker(lost_seconds=1.0, confirm=1)
    ids(tracker, [box(10)], 0.0)
    for frame in range(1, int(gap * RATE)):
        assert ids(tracker, [], frame / RATE) == []
    assert ids(tracker, [box(10)], gap) == [expected]


def test_images_that_are_not_there_say_nothing_about_objects():
    tracker = Tracker(lost_seconds=1.0, confirm=1)
    ids(tracker, [box(10)], 0.0)
    assert ids(tracker, [box(10)], 5.0) == ['1']
    # After an hour it may be any object.
    assert ids(tracker, [box(10)], 3600.0) == ['2']


def test_time_that_goes_back_and_reset_forget_objects_and_never_repeat_ids():
    tracker = Tracker(confirm=1)
    assert ids(tracker, [box(10)], 100.0) == ['1']
    assert ids(tracker, [box(10)], 50.0) == ['2']
    tracker.reset()
    assert tracker.live_ids == frozenset()
    assert ids(tracker, [box(10)], 51.0) == ['3']
    # The ids of a new tracker go on where those of the old one ended, if asked to.
    numbers = count(7)
    assert ids(Tracker(confirm=1, ids=numbers), [box(10)], 0.0) == ['7']
    assert ids(Tracker(confirm=1, ids=numbers), [box(10)], 0.0) == ['8']


def test_another_class_at_the_same_place_is_the_same_object():
    tracker = Tracker(confirm=1)
    for frame in range(10):
        label = ['car', 'truck'][frame % 2]
        found = sequences.detections([box(10 + frame), box(400)], None, [label, 'zebra'])
        assert tracker(found, frame / RATE).track_ids.tolist() == ['1', '2']


def test_two_classes_on_one_object_make_one_id():
    tracker = Tracker(confirm=1)
    ids(tracker, [box(10)], 0.0, [0.9], ['car'])
    assert ids(tracker, [box(10), box(11)], 0.1, [0.9, 0.6], ['car', 'truck']) == ['1', '']


def test_objects_that_cross_keep_their_ids():
    tracker = Tracker(confirm=1)
    for frame in range(60):
        found = ids(tracker, [box(50 + 6 * frame, 100), box(410 - 6 * frame, 130)], frame / RATE,
                    [0.9, 0.8])
        assert found == ['1', '2']


@pytest.mark.parametrize('rate', [30, 5])
def test_a_quick_object_is_followed_at_low_rates(rate):
    tracker = Tracker(confirm=1)
    for frame in range(2 * rate):
        # From rest; its own width in a quarter of a second in the end.
        time = frame / rate
        assert ids(tracker, [box(20 + 60 * time * time)], time) == ['1']


def test_all_but_the_ids_stays():
    found = sequences.detections([box(10), box(200)], [0.9, 0.4])
    tracked = Tracker()(found, 0.0)
    assert found.track_ids is None
    assert (tracked.boxes == found.boxes).all()
    assert tracked.timing is found.timing and len(tracked.track_ids) == 2


def test_an_image_without_objects_has_no_ids():
    assert ids(Tracker(), [], 0.0) == []
    assert ids(Tracker(), [[5, 5, 5, 5]], 0.0) == ['']


@pytest.mark.parametrize(('values', 'words'), [
    ({'high': 2}, 'high is 2 but must be'), ({'low': 0.6}, 'low is 0.6 but must be at most high'),
    ({'lost_seconds': float('nan')}, 'lost_seconds is nan'), ({'confirm': 0}, 'confirm is 0'),
    ({'confirm': True}, 'confirm is True')])
def test_wrong_options_are_refused(values, words):
    with pytest.raises(OptionsError, match=words):
        Tracker(**values)


def test_a_stamp_must_be_a_number():
    with pytest.raises(InputError, match='stamp is nan'):
        ids(Tracker(), [], float('nan'))


def test_the_time_can_be_measured():
    assert len(tracker_time.measure(images=3)) == 3
