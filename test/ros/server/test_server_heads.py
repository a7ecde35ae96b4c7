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
"""A model with several heads in the server: topics of each, from the same image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import head_models
import numpy as np
import pytest
from ros2_classify.testing import save_known_classifier
from ros_process import Peer
from ros_stream import Camera
from test_heads import MIXED
from test_server_model_change import ask_for, LATCHED, reason
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo, VisionInfo

TEAL = (5, 140, 150)
SIZE = (64, 48)
IMAGE = np.full((SIZE[1], SIZE[0], 3), TEAL, np.uint8)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Return a model of objects, with the age of the whole image beside."""
    head_models.save_detector_and_classifier(tmp_path / 'mixed.onnx')
    path = tmp_path / 'mixed.yaml'
    path.write_text(json.dumps({
        'source': {'path': 'mixed.onnx'}, 'input': head_models.FEED, 'heads': {
            **MIXED, 'age': {**MIXED['age'], 'labels': ['baby', 'child', 'adult', 'old']}}}))
    return path


def ages() -> list[tuple[str, float]]:
    """Return what the head of age must give, by plain NumPy."""
    found = zip(['baby', 'child', 'adult', 'old'], head_models.ages(IMAGE))
    return sorted(found, key=lambda each: -each[1])


def check_age(msg: Any) -> None:
    for each, (label, score) in zip(msg.results, ages(), strict=True):
        assert each.class_id == label and each.score == pytest.approx(score, abs=1e-5)


def test_each_head_has_its_topics(start: Any, peer: Peer, mixed: Path) -> None:
    server = start('server', {'model': mixed, 'model_changes': 'any'})
    objects = peer.collect(Detection2DArray, '/detections')
    people = peer.collect(Classification, '/age/classification')
    labels = peer.collect(LabelInfo, '/age/label_info', LATCHED)
    models = peer.collect(VisionInfo, '/age/vision_info', LATCHED)
    camera = Camera(peer, '/image', size=SIZE)
    image = camera.message(TEAL)
    found = camera.result_to(image, objects)
    peer.spin_until(lambda: people, 'the result of the other head')
    assert found.header == people[-1].header == image.header
    expected = head_models.objects(IMAGE, 0.6)
    assert expected and len(found.detections) == len(expected)
    for detection, (class_id, score, box) in zip(found.detections, expected):
        assert detection.results[0].hypothesis.class_id == ['cup', 'pen'][class_id]
        assert detection.results[0].hypothesis.score == pytest.approx(score, abs=1e-5)
        assert detection.bbox.center.position.x == pytest.approx((box[0] + box[2]) / 2, abs=1e-3)
        assert detection.bbox.size_y == pytest.approx(box[3] - box[1], abs=1e-3)
    check_age(people[-1])
    peer.spin_until(lambda: labels and models, 'what the head is')
    assert [each.class_name for each in labels[-1].class_map] == ['baby', 'child', 'adult', 'old']
    assert models[-1].database_location == '/age/label_info'
    # Another model with the same task has other topics all the same.
    other = save_known_classifier(mixed.parent, 'other', (0.5, 0.25))
    assert 'is for classification' in reason(peer, ask_for(peer, other))
    alone = mixed.with_name('alone.yaml')
    alone.write_text(json.dumps({
        'source': {'path': 'mixed.onnx'}, 'input': head_models.FEED,
        'heads': {'objects': MIXED['objects']}}))
    assert ('alone has the further heads none and mixed has age (classification), whose topics '
            'differ') in reason(peer, ask_for(peer, alone))
    server.stop()


def test_a_subscriber_of_any_head_keeps_the_model_running(
    start: Any, peer: Peer, mixed: Path,
) -> None:
    server = start('server', {'model': mixed, 'image_topics': ['/left/image', '/right/image']})
    people = peer.collect(Classification, '/left/age/classification')
    camera = Camera(peer, '/left/image', size=SIZE)
    check_age(camera.result(TEAL, people))
    server.stop()


def test_the_service_gives_the_first_head(start: Any, peer: Peer, mixed: Path) -> None:
    srv = pytest.importorskip('ros2_classify_interfaces.srv')
    server = start('server', {'model': mixed})
    image = Camera(peer, '/still', size=SIZE).message(TEAL)
    response = peer.call(srv.Detect, '/server/detect', srv.Detect.Request(image=image))
    assert response.success
    assert len(response.detections.detections) == len(head_models.objects(IMAGE, 0.6))
    server.stop()


def test_a_head_without_a_message_is_refused(start: Any, mixed: Path) -> None:
    wrong = mixed.with_name('vector.yaml')
    wrong.write_text(json.dumps({
        'source': {'path': 'mixed.onnx'}, 'input': head_models.FEED, 'heads': {
            'objects': MIXED['objects'], 'person': {'decoder': 'embedding', 'output': 'age'}}}))
    server = start('server', {'model': wrong})
    assert server.wait() != 0
    assert 'the task is embedding, for which ROS has no message' in server.output
    assert server.failures
