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

"""Ids over time in a real server: by stream, kept by a hot swap, forgotten on request."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros2_classify import Detections, Options
from ros2_classify.model.labels import Labels
from ros2_classify.ros.server.tracking import Tracking
from ros2_classify.tracking.tracker import lowered_options, TrackOptions, wanted_results
from ros2_classify_interfaces.msg import Events
from ros_models import NAMES, SCORES
from ros_process import Peer
from ros_stream import Camera
import sequences
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2DArray

GREY = (90, 90, 90)


def ids(msg: Any) -> list[str]:
    """Return the ids of a result's objects."""
    return [detection.id for detection in msg.detections]


@pytest.fixture
def others(detector: Path, tmp_path: Path) -> dict[str, Path]:
    """Return two more models with the same boxes: with the same classes, and with others."""
    text = detector.read_text().replace('boxes.onnx', str(detector.parent / 'boxes.onnx'))
    changes = {'same': text, 'different': text.replace(NAMES[0], 'gnome')}
    for name, content in changes.items():
        (tmp_path / f'{name}.yaml').write_text(content)
    return {name: tmp_path / f'{name}.yaml' for name in changes}


def test_ids_of_each_stream(
        start: Any, peer: Peer, detector: Path, others: dict[str, Path]) -> None:
    server = start('server', {
        'model': detector, 'model_changes': 'any', 'tracking': True, 'track_confirm': 3,
        'tracks.right.tracking': False, 'track_lost_seconds': 100.0,
        'image_topics': '[/tracks/left/image, /tracks/right/image]'})
    server.wait_for_line('active: /tracks/right')
    left, right = (Camera(peer, f'/tracks/{side}/image') for side in ('left', 'right'))
    found = {side: peer.collect(Detection2DArray, f'/tracks/{side}/detections')
             for side in ('left', 'right')}

    def look() -> list[str]:
        return ids(left.result(GREY, found['left']))

    assert look() == ['', '']
    assert ids(right.result(GREY, found['right'])) == ['', '']
    while (now := look()) == ['', '']:
        pass
    # A camera that looks at the same thing for long finds the same objects.
    assert now == look() == look() == ['1', '2']
    assert ids(right.result(GREY, found['right'])) == ['', '']
    assert peer.set_values(model=str(others['same'])) == []
    assert look() == ['1', '2']
    assert peer.set_values(model=str(others['different']), track_confirm=1) == []
    assert look() == ['3', '4']
    response = peer.call(Trigger, '/server/reset_tracks', Trigger.Request())
    assert response.success and 'of 1 stream;' in response.message
    assert look() == ['5', '6']
    # The other camera counts by itself.
    assert peer.set_values(**{'tracks.right.tracking': True}) == []
    assert ids(right.result(GREY, found['right'])) == ['1', '2']
    # What is too weak to begin an object is still published.
    assert peer.set_values(track_high=(SCORES[0] + SCORES[1]) / 2) == []
    assert peer.call(Trigger, '/server/reset_tracks', Trigger.Request()).success
    assert look() == ['7', '']
    assert peer.set_values(tracking=False) == []
    assert look() == ['', '']
    server.stop()


def test_events(start: Any, peer: Peer, detector: Path) -> None:
    server = start('server', {
        'model': detector, 'tracking': True, 'track_confirm': 1, 'track_lost_seconds': 100.0,
        'event_zones': "['all=0,0,1,0,1,1,0,1']"}, remap={'image': '/events/image'})
    server.wait_for_line('active: /events/image')
    camera = Camera(peer, '/events/image')
    results = peer.collect(Detection2DArray, '/detections')
    stamp = camera.result(GREY, results).header.stamp
    for _ in range(2):
        # What happened before it subscribed, too.
        qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        events = peer.collect(Events, '/events', qos)
        peer.spin_until(lambda: events, 'the events')  # noqa: B023
        assert [(event.kind, event.id, event.class_id, event.place)
                for event in events[0].events] == [
            ('appeared', '1', NAMES[0], ''), ('in_zone', '1', NAMES[0], 'all'),
            ('appeared', '2', NAMES[1], ''), ('in_zone', '2', NAMES[1], 'all')]
        assert events[0].present_ids == ['1', '2']
        assert events[0].present_class_ids == list(NAMES)
        box, detection = events[0].events[0].bbox, results[-1].detections[0].bbox
        assert (box.center.position.x, box.size_y) == (
            detection.center.position.x, detection.size_y)
        assert events[0].header.stamp.sec <= stamp.sec
    assert 'each must be a name and two points' in ''.join(peer.set_values(event_lines=['door=1']))
    assert peer.call(Trigger, '/server/reset_tracks', Trigger.Request()).success
    assert peer.set_values(class_id='index') == []
    camera.result(GREY, results)
    peer.spin_until(lambda: len(events) > 1, 'more events')
    # What was named by its label before, too.
    assert {(event.id, event.class_id) for event in events[1].events} == {
        ('1', '1'), ('2', '2'), ('3', '1'), ('4', '2')}
    assert events[1].present_class_ids == ['1', '2']
    assert [(event.kind, event.id) for event in events[1].events if event.kind != 'in_zone'] == [
        ('left_zone', '1'), ('gone', '1'), ('left_zone', '2'), ('gone', '2'),
        ('appeared', '3'), ('appeared', '4')]
    # Of objects that nobody follows any more nothing stays on the latched topic.
    assert peer.set_values(tracking=False) == []
    camera.result(GREY, results)
    peer.spin_until(lambda: len(events) > 2, 'the end of tracking')
    assert events[2].present_ids == [] == events[2].present_class_ids
    assert [event.id for event in events[2].events if event.kind == 'gone'] == ['3', '4']
    assert peer.set_values(tracking=True) == []
    camera.result(GREY, results)
    peer.spin_until(lambda: len(events) > 3, 'objects again')
    assert events[3].present_ids == ['5', '6']
    assert peer.call(SetBool, '/server/enable', SetBool.Request(data=False)).success
    peer.spin_until(lambda: len(events) > 4, 'the end of images')
    assert events[4].present_ids == []
    server.stop()


def test_ids_of_the_first_image_after_a_reset_stay() -> None:
    tracking, labels = Tracking(count(1)), Labels.from_names(['cup', 'ball'])
    found = sequences.detections(np.array([[10, 20, 110, 220]]), [0.75])
    looks = []
    for number in range(6):
        if number in (0, 3):
            tracking.reset()
        result = tracking(found, number / 10, TrackOptions(confirm=1), Options(), labels)
        assert isinstance(result, Detections) and result.track_ids is not None
        looks += result.track_ids.tolist()
    assert looks == ['1', '1', '1', '2', '2', '2']


def test_only_what_the_caller_asks_for_is_published() -> None:
    options = Options(score_threshold=0.5, class_thresholds={'7': 0.25})
    low = lowered_options(options, 0.375)
    assert (low.score_threshold, dict(low.class_thresholds)) == (0.375, {'7': 0.25})
    assert lowered_options(options, 0.75).score_threshold == 0.5
    boxes = sequences.detections(np.zeros((3, 4)), [0.75, 0.5, 0.4375])
    assert len(wanted_results(boxes, Options(score_threshold=0.5), None)) == 2
    number = str(int(boxes.class_ids[0]))
    assert len(wanted_results(boxes, Options(class_thresholds={number: 0.625}), None)) == 1
