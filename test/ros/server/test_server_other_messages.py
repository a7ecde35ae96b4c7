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
Messages of other projects, as a server publishes them: ``hri_msgs`` and ``foxglove_msgs``.

No wheel has these packages: build their sources with colcon, source that, and these tests run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros2_classify.decoders.keypoints import KEYPOINT_FAMILIES
from ros2_classify.testing import save_constant_model
from ros_process import Peer
from ros_stream import Camera
from vision_msgs.msg import Detection2DArray

SIZE = (64, 48)
NAMES = KEYPOINT_FAMILIES['coco'].names


def places() -> np.ndarray:
    """Return 17 points of two persons, x and y; the first one's nose is left of the image."""
    found = np.random.default_rng(4).uniform(4, 40, (2, 17, 2)).astype('f')
    found[0, 0] = -3, 20
    return found


@pytest.fixture
def persons(tmp_path: Path) -> Path:
    """Return a model of two persons."""
    rows = np.zeros((1, 5 + 3 * 17, 84), np.float32)
    for column, points in enumerate(places()):
        scored = np.column_stack([points, np.full(17, 0.9)])
        rows[0, :, column] = (20 + 24 * column, 24, 10, 12, 0.9, *scored.ravel())
    save_constant_model(tmp_path / 'p.onnx', {'output0': rows}, input_shape=(1, 3, 48, 64))
    (tmp_path / 'p.yaml').write_text(
        'name: p\nsource: {path: p.onnx}\nlabels: [person]\noutput: {decoder: yolo, '
        'axes: channels_first, objectness: false, keypoints: [17, 3], keypoint_names: coco}\n')
    return tmp_path / 'p.yaml'


def results(peer: Peer, camera: Camera, found: list[Any], count: int) -> list[Any]:
    """Send images until `count` messages of one stamp have come; return those."""
    stamp = camera.result((0, 0, 0), found).header.stamp

    def same() -> list[Any]:
        return [each for each in found if each.header.stamp == stamp]

    peer.spin_until(lambda: len(same()) == count, f'{count} messages')
    return same()


def test_persons_are_skeletons(start: Any, peer: Peer, persons: Path) -> None:
    hri = pytest.importorskip('hri_msgs.msg')
    start('server', {'model': persons, 'tracking': True}).wait_for_line('active:')
    found = peer.collect(hri.Skeleton2D, '/skeletons')
    both = results(peer, Camera(peer, '/image', size=SIZE), found, 2)
    for row, msg in enumerate(both):
        for at, name in enumerate(NAMES):
            point = msg.skeleton[getattr(hri.Skeleton2D, name.upper())]
            seen = (row, at) != (0, 0)
            assert (point.x, point.y, point.c) == pytest.approx(
                (*places()[row, at] / SIZE, 0.9) if seen else (0, 0, 0), abs=1e-4)
        neck = msg.skeleton[hri.Skeleton2D.NECK]
        assert (neck.x, neck.y) == pytest.approx(places()[row, [5, 6]].mean(0) / SIZE, abs=1e-4)


def test_lines_and_labels_for_foxglove(start: Any, peer: Peer, persons: Path) -> None:
    foxglove = pytest.importorskip('foxglove_msgs.msg')
    start('server', {
        'model': persons, 'tracking': True, 'track_confirm': 1, 'annotations': True,
    }).wait_for_line('active:')
    found = peer.collect(foxglove.ImageAnnotations, '/server/annotations')
    detections = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=SIZE)
    header = camera.result((0, 0, 0), detections).header
    msg = peer.spin_until(
        lambda: [each for each in found if each.points[0].timestamp == header.stamp],
        'annotations of the image')[0]
    assert getattr(msg, 'timestamp', header.stamp) == header.stamp
    one = foxglove.PointsAnnotation
    boxes, limbs, points = (
        [each for each in msg.points if each.type == kind]
        for kind in (one.LINE_LOOP, one.LINE_LIST, one.POINTS))
    assert [(point.x, point.y) for point in boxes[0].points] == [
        (15, 18), (25, 18), (25, 30), (15, 30)]
    assert len(boxes) == len(limbs) == len(points) == len(msg.texts) == 2
    assert len(limbs[1].points) == 2 * len(KEYPOINT_FAMILIES['coco'].skeleton)
    assert np.allclose([(p.x, p.y) for p in points[1].points], places()[1], atol=1e-4)
    ids = [each.id for each in next(
        each for each in detections if each.header == header).detections]
    assert [text.text for text in msg.texts] == [f'{track} person 0.90' for track in ids]
