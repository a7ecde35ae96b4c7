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

"""
Key points and angles in messages.

``hri_msgs`` is a stand-in, as no wheel has it; test_server_other_messages.py has the real one.
"""

from __future__ import annotations

from dataclasses import replace
import math
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros2_classify.decoders.keypoints import KEYPOINT_FAMILIES
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.results import Detections, Timing
from ros2_classify.ros.messages.keypoints import keypoints_msg, skeleton_msgs, skeleton_type
from ros2_classify.ros.messages.vision import (
    detections_cdr, detections_from, detections_msg, message_writer)
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

POINTS = np.random.default_rng(0).uniform(0, 100, (2, 17, 2)).astype('f')
SCORES = np.random.default_rng(1).uniform(0, 1, (2, 17)).astype('f')


def persons(family: str = 'coco', **more: Any) -> Detections:
    known = KEYPOINT_FAMILIES[family]
    count = len(known.names)
    return Detections(
        np.array([(0, 0, 50, 60), (40, 10, 90, 80)], 'f'), np.zeros(2, int),
        np.array([0.9, 0.8], 'f'), np.array(['person'] * 2, object), (100, 200),
        Timing(0, 0, 0), keypoints=Keypoints(POINTS[:, :count], SCORES[:, :count], *known), **more)


def test_each_row_has_its_points() -> None:
    msg = deserialize_message(
        serialize_message(keypoints_msg(persons(), Header(frame_id='left'))),
        type(keypoints_msg(persons(), Header())))
    assert msg.header.frame_id == 'left' and len(msg.objects) == 2
    for row, found in enumerate(msg.objects):
        assert [point.name for point in found.points] == list(KEYPOINT_FAMILIES['coco'].names)
        assert [(point.x, point.y) for point in found.points] == pytest.approx(POINTS[row])
        assert [point.score for point in found.points] == pytest.approx(SCORES[row])
    assert list(zip(msg.skeleton[::2], msg.skeleton[1::2])) == list(
        KEYPOINT_FAMILIES['coco'].skeleton)


@pytest.fixture
def hri(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a stand-in with the message's 18 constants."""
    module, parent = ModuleType('hri_msgs.msg'), ModuleType('hri_msgs')
    names = ['NOSE', 'NECK', *(f'{side}_{part}' for side in ('RIGHT', 'LEFT') for part in (
        'SHOULDER', 'ELBOW', 'WRIST')), *(f'{side}_{part}' for side in ('RIGHT', 'LEFT')
                                          for part in ('HIP', 'KNEE', 'ANKLE')),
        'LEFT_EYE', 'RIGHT_EYE', 'LEFT_EAR', 'RIGHT_EAR']

    class Skeleton2D:
        __slots__ = ('header', 'skeleton')

        def __init__(self, header: Any) -> None:
            self.header = header

    class NormalizedPointOfInterest2D:

        def __init__(self) -> None:
            self.x = self.y = self.c = 0.0

    for number, name in enumerate(names):
        setattr(Skeleton2D, name, number)
    module.Skeleton2D = Skeleton2D  # type: ignore[attr-defined]
    module.NormalizedPointOfInterest2D = (  # type: ignore[attr-defined]
        NormalizedPointOfInterest2D)
    monkeypatch.setitem(sys.modules, 'hri_msgs', parent)
    monkeypatch.setitem(sys.modules, 'hri_msgs.msg', module)
    return module


def test_persons_as_skeletons(hri: Any) -> None:
    first = skeleton_msgs(persons(), 'header')[0]
    assert first.header == 'header' and len(first.skeleton) == 18
    names = KEYPOINT_FAMILIES['coco'].names
    for at, name in enumerate(names):
        point = first.skeleton[getattr(hri.Skeleton2D, name.upper())]
        assert (point.x, point.y, point.c) == pytest.approx(
            (POINTS[0, at, 0] / 100, POINTS[0, at, 1] / 200, SCORES[0, at]))
    neck, shoulders = first.skeleton[hri.Skeleton2D.NECK], [5, 6]
    assert (neck.x, neck.y) == pytest.approx(
        POINTS[0, shoulders].mean(axis=0) / (100, 200))
    assert neck.c == pytest.approx(SCORES[0, shoulders].min())


def test_points_outside_of_the_image_are_not_seen(hri: Any) -> None:
    result, places = persons(), POINTS.copy()
    places[0, [0, 5]] = (-1, 50), (101, 50)
    keypoints = Keypoints(places, SCORES, *KEYPOINT_FAMILIES['coco'])
    points = skeleton_msgs(replace(result, keypoints=keypoints), 'header')[0].skeleton
    for name in ('NOSE', 'LEFT_SHOULDER', 'NECK'):
        point = points[getattr(hri.Skeleton2D, name)]
        assert (point.x, point.y, point.c) == (0, 0, 0)


def test_faces_are_no_skeletons(hri: Any) -> None:
    assert skeleton_msgs(persons('face'), 'header') == []


def test_without_the_package_there_are_no_skeletons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'hri_msgs', None)
    monkeypatch.setitem(sys.modules, 'hri_msgs.msg', None)
    with pytest.raises(ImportError):
        skeleton_type()


def test_the_angle_is_in_both_ways_to_write() -> None:
    oriented = np.array([(20, 30, 40, 10, 0.5), (60, 40, 10, 30, -1.2)], 'f')
    result = persons(oriented=oriented)
    header = Header(frame_id='left')
    msg = deserialize_message(detections_cdr(result, header), Detection2DArray)
    assert msg == detections_msg(result, header)
    assert message_writer('detection') is detections_cdr
    for row, detection in zip(oriented.tolist(), msg.detections):
        box = detection.bbox
        assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y,
                box.center.theta) == pytest.approx(row)
    again = detections_from(msg, (100, 200), {})
    assert again.oriented == pytest.approx(oriented)
    # The upright box around the first one, by hand.
    half = 20 * math.cos(0.5) + 5 * math.sin(0.5)
    assert again.boxes[0, 0] == pytest.approx(max(20 - half, 0), abs=1e-4)
    assert again.boxes[0, 2] == pytest.approx(20 + half, abs=1e-4)
