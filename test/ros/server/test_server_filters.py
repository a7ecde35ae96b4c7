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

"""Filters of a server: set at run time, by stream, and checked when another model comes."""

from __future__ import annotations

from pathlib import Path
import re
import time
from typing import Any

import numpy as np
import pytest
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from ros2_classify import Pipeline, read_image
from ros2_classify.ros.messages.image import to_image_msg
from ros2_classify.testing import save_known_classifier
from ros_process import Peer
from ros_stream import Camera
from sensor_msgs.msg import Image
from shared_data import ROOT
from std_msgs.msg import Header
from vision_msgs.msg import Classification, Detection2DArray

GREY = (90, 90, 90)


@pytest.fixture
def ants(tmp_path: Path) -> Path:
    """Return a model with two classes, of which it reports one."""
    return save_known_classifier(
        tmp_path, 'ants', (0.75, 0.25), defaults='score_threshold: 0.1, classes: [ants 1]')


@pytest.fixture
def bees(tmp_path: Path) -> Path:
    """Return a model with three classes."""
    return save_known_classifier(
        tmp_path, 'bees', (0.375, 0.125, 0.5), defaults='score_threshold: 0.1')


def set_together(peer: Peer, **values: Any) -> str:
    """Set parameters at once; return why not."""
    response = peer.call(
        SetParametersAtomically, '/server/set_parameters_atomically',
        SetParametersAtomically.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]))
    return str(response.result.reason)


def names(msg: Any) -> list[str]:
    """Return the labels of a result."""
    return [each.class_id for each in msg.results]


def test_filters_are_set_by_stream_and_re_checked_for_another_model(
        start: Any, peer: Peer, ants: Path, bees: Path) -> None:
    server = start('server', {
        'model': ants, 'model_changes': 'any',
        'image_topics': '[/filters/left/image, /filters/right/image]'})
    server.wait_for_line('active: /filters/right')
    cameras = [Camera(peer, f'/filters/{side}/image') for side in ('left', 'right')]
    found = [peer.collect(Classification, f'/filters/{side}/classification')
             for side in ('left', 'right')]

    def results() -> list[list[str]]:
        return [names(camera.result(GREY, each)) for camera, each in zip(cameras, found)]

    # The model's own default.
    assert peer.get('classes') == peer.get('filters.left.classes') == ['ants 1']
    assert results() == [['ants 1'], ['ants 1']]
    assert peer.set_values(**{'filters.left.classes': ['ants 0']}) == []
    assert results() == [['ants 0'], ['ants 1']]
    # Values that would match nothing, or do not fit together, are refused.
    for name, value, words in (
            ('classes', ['ant 1'], "classes names 'ant 1'"),
            ('filters.right.classes', ['ants 7'], "filters.right.classes names 'ants 7'"),
            ('filters.right.class_thresholds', ['ants 1'], 'such as person=0.6'),
            ('class_thresholds', ['bees=0.5'], "class_thresholds names 'bees'"),
            ('min_area', 0.5, '')):
        reason = ''.join(peer.set_values(**{name: value}))
        assert words in reason and bool(reason) == bool(words), reason
    assert 'must not be above max_area' in ''.join(
        peer.set_values(**{'filters.left.max_area': 0.25}))
    assert results() == [['ants 0'], ['ants 1']]
    # The left camera's own filter names a class that the other model lacks.
    assert "filters.left.classes names 'ants 0', which is no class" in ''.join(
        peer.set_values(model=str(bees)))
    assert peer.get('model') == str(ants) and results() == [['ants 0'], ['ants 1']]
    assert set_together(peer, model=str(bees), **{'filters.left.classes': ['bees 1']}) == ''
    # What was the old model's default is gone with it.
    assert peer.get('classes') == peer.get('filters.right.classes') == ['']
    assert results() == [['bees 1'], ['bees 2', 'bees 0', 'bees 1']]
    assert peer.set_values(class_thresholds=['bees 0=0.4']) == []
    assert results() == [['bees 1'], ['bees 2', 'bees 1']]
    assert "class_thresholds names 'bees 0'" in ''.join(peer.set_values(model=str(ants)))
    server.stop()


def test_an_unknown_class_at_start_ends_with_the_nearest(start: Any, ants: Path) -> None:
    server = start('server', {'model': ants, 'classes': '[ant 1]'})
    server.expected_failure = "classes names 'ant 1'"
    server.wait_for_line("classes names 'ant 1', which is no class.*did you mean 'ants 1'")
    assert server.wait() == 1


@pytest.mark.parametrize(('more', 'words'), [
    ({}, 'configure failed: min_area is 0.5 but must not be above max_area, 0.25'),
    ({'image_topics': '[/wrong/a/image, /wrong/b/image]', 'wrong.b.max_area': 0.125,
      'max_area': 1.0}, 'configure failed: wrong.b.min_area is 0.5 but must not be above'),
])
def test_what_does_not_fit_together_at_start_is_a_sentence(
        start: Any, ants: Path, more: dict[str, Any], words: str) -> None:
    server = start('server', {'model': ants, 'min_area': 0.5, 'max_area': 0.25, **more})
    assert server.wait() == 1
    assert words in server.output and 'Traceback' not in server.output


def test_regions_and_tiles_of_a_server(start: Any, peer: Peer) -> None:
    left, right = '/views/left/image', '/views/right/image'
    server = start('server', {
        'model': 'cards_detector', 'image_topics': f'[{left}, {right}]', 'threads': 1,
        'views.left.roi': '[0.0, 0.0, 0.55, 1.0]', 'max_batch': 2})
    publishers = [peer.node.create_publisher(Image, topic, 1) for topic in (left, right)]
    results = [peer.collect(Detection2DArray, f'/views/{side}/detections')
               for side in ('left', 'right')]
    pixels = read_image(ROOT / 'models/scenes/several_cards.jpg')
    small = np.full((1440, 1920, 3), 110, np.uint8)
    small[400:880, 900:1540] = read_image(ROOT / 'models/scenes/many_cards.jpg')
    sent = 0

    def look() -> list[Any]:
        """Send both images until each has a result."""
        nonlocal sent
        found = []
        for publisher, image, messages in zip(publishers, (pixels, small), results):
            sent += 1
            msg = to_image_msg(image, 'bgr8', Header(frame_id=str(sent)))
            msg.header.stamp.sec = 1000 + sent
            sent_at = 0.0

            def result() -> Any:
                nonlocal sent_at
                if time.monotonic() - sent_at > 1.0:
                    sent_at = time.monotonic()
                    publisher.publish(msg)  # noqa: B023 - called in this turn only
                return [each for each in messages  # noqa: B023
                        if each.header.frame_id == msg.header.frame_id]  # noqa: B023
            found.append(peer.spin_until(result, 'a result')[-1].detections)
        return found

    with Pipeline.load('cards_detector', task='detection', provider='cpu') as pipeline:
        options = pipeline.options
        for name, value, own in (
                ('', None, (options.replace(roi=(0, 0, 0.55, 1)), options)),
                ('views.right.tiles', '3x3', (options.replace(roi=(0, 0, 0.55, 1)),
                                              options.replace(tiles='3x3'))),
                ('views.left.roi', [0.0, 0.0, 0.5, 1.0, 1.0, 0.0],
                 (options.replace(roi=((0, 0), (0.5, 1), (1, 0))), options.replace(tiles='3x3')))):
            if name:
                assert peer.set_values(**{name: value}) == []
            for found, image, each in zip(look(), (pixels, small), own):
                expected = pipeline(image, 'bgr', each)
                boxes = [(box.bbox.center.position.x, box.bbox.center.position.y)
                         for box in found]
                np.testing.assert_allclose(
                    np.reshape(boxes, (-1, 2)),
                    (expected.boxes[:, :2] + expected.boxes[:, 2:]) / 2, atol=1.0)
        assert len(found) == 12
    for name, value, words in (
            ('roi', [0.5, 0.5], 'roi is .* but must be'), ('tiles', '0x1', 'such as 3x2'),
            ('views.left.tiles', '9x9', 'at most 64'), ('tile_overlap', 0.9, '')):
        assert re.search(words, ''.join(peer.set_values(**{name: value})))
    server.stop()
