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

"""Result messages: every field, both meanings of class_id, nothing lost on the way."""

from dataclasses import replace
from typing import get_args

from builtin_interfaces.msg import Time
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros2_classify import Classification, Detections, Timing
from ros2_classify.model.descriptor import Task
from ros2_classify.model.labels import Labels
from ros2_classify.results.results import Result, Segmentation
from ros2_classify.ros.messages.vision import (
    detections_from, label_info_msg, MESSAGES, to_msg, vision_info_msg)
from std_msgs.msg import Header

TIMING = Timing(0.001, 0.01, 0.001)
HEADER = Header(frame_id='left eye', stamp=Time(sec=2**31 - 1, nanosec=999_999_999))


def classification(count=3):
    """Return a classification with falling scores; ids above 255 among them."""
    return Classification(
        np.arange(count) * 300, np.linspace(0.9, 0.1, count, dtype=np.float32),
        np.array([f'name {i}' for i in range(count)], object), (64, 48), TIMING)


def detections(count=4):
    """Return boxes at random places of an image that isn't square."""
    rng = np.random.default_rng(count)
    first = rng.uniform(0, (300, 100), (count, 2))
    boxes = np.hstack([first, first + rng.uniform(0, (340, 80), (count, 2))]).astype(np.float32)
    return Detections(
        boxes, rng.integers(0, 1000, count), np.sort(rng.random(count, np.float32))[::-1],
        np.array([f'label {i}' for i in range(count)], object), (640, 180), TIMING)


@pytest.mark.parametrize('count', [0, 1, 3])
@pytest.mark.parametrize('class_id', ['label', 'index'])
def test_classification(count, class_id):
    result = classification(count)
    msg = to_msg(result, HEADER, class_id)
    assert msg.header is HEADER
    assert [(r.class_id, r.score) for r in msg.results] == [
        (row['label'] if class_id == 'label' else str(row['class_id']), float(score))
        for row, score in zip(result.rows(), result.scores)]
    assert deserialize_message(serialize_message(msg), type(msg)) == msg


@pytest.mark.parametrize('count', [0, 1, 4])
@pytest.mark.parametrize('class_id', ['label', 'index'])
def test_detections(count, class_id):
    result = detections(count)
    msg = to_msg(result, HEADER, class_id)
    assert msg.header is HEADER
    assert len(msg.detections) == count
    for detection, box, score, name, number in zip(
            msg.detections, result.boxes, result.scores, result.labels, result.class_ids):
        assert detection.header == HEADER
        assert len(detection.results) == 1
        hypothesis = detection.results[0].hypothesis
        assert hypothesis.class_id == (name if class_id == 'label' else str(number))
        assert hypothesis.score == float(score)
        assert detection.results[0].pose.pose.orientation.w == 1.0
        center, bbox = detection.bbox.center, detection.bbox
        np.testing.assert_allclose(
            [center.position.x - bbox.size_x / 2, center.position.y - bbox.size_y / 2,
             center.position.x + bbox.size_x / 2, center.position.y + bbox.size_y / 2],
            box, atol=1e-4)
        assert (center.theta, detection.id) == (0.0, '')
    assert deserialize_message(serialize_message(msg), type(msg)) == msg


@pytest.mark.parametrize('class_id', ['label', 'index'])
def test_what_the_stages_of_a_cascade_say_follows_the_detectors_class(class_id):
    from ros2_classify.ros.messages.vision import detections_from, message_writer

    result = replace(detections(3), attributes={
        'color': (classification(2), None, classification(0)),
        'make': (None, classification(1), None)})
    msg = to_msg(result, HEADER, class_id)
    own = [row['label'] if class_id == 'label' else str(row['class_id']) for row in result.rows()]
    first = 'name 0' if class_id == 'label' else '0'
    assert [[each.hypothesis.class_id for each in detection.results]
            for detection in msg.detections] == [
        [own[0], f'color:{first}'], [own[1], f'make:{first}'], [own[2]]]
    assert msg.detections[0].results[1].hypothesis.score == float(np.float32(0.9))
    # Both ways to write it.
    written = message_writer('detection')(result, HEADER, class_id)
    assert deserialize_message(written, type(msg)) == msg
    # A reader gets the detector's class, however sure the stage is.
    read = detections_from(msg, (640, 180), {})
    assert sorted(read.labels.tolist()) == sorted(own)
    assert read.scores.tolist() == result.scores.tolist()


def test_ids_of_objects_arrive():
    result = replace(detections(3), track_ids=np.array(['12', '', '7'], object))
    msg = to_msg(result, HEADER)
    assert [detection.id for detection in msg.detections] == ['12', '', '7']
    row = MESSAGES['detection']
    assert deserialize_message(row.to_cdr(result, HEADER, 'label'), row.msg_type) == msg
    read = detections_from(msg, result.image_size, {})
    assert read.track_ids.tolist() == ['12', '', '7']
    assert detections_from(to_msg(detections(3), HEADER), result.image_size, {}).track_ids is None


@pytest.mark.parametrize(('dtype', 'encoding'), [(np.uint8, 'mono8'), (np.uint16, 'mono16')])
def test_segmentation(dtype, encoding):
    image = np.arange(12).reshape(3, 4).astype(dtype)
    result = Segmentation(
        image, np.array([3]), np.array([0.5]), np.array(['x'], object), (4, 3), TIMING)
    msg = to_msg(result, HEADER)
    assert msg.header is HEADER and (msg.encoding, msg.width, msg.height) == (encoding, 4, 3)
    assert deserialize_message(serialize_message(msg), type(msg)) == msg
    assert np.array_equal(np.frombuffer(msg.data.tobytes(), dtype), image.reshape(-1))


def test_every_task_has_a_message():
    tasks = {each.task for each in get_args(Result)}
    assert set(get_args(Task)) == tasks
    # The server refuses embeddings.
    assert set(MESSAGES) == tasks - {'embedding'}


def test_label_info_leaves_out_what_does_not_fit():
    labels = Labels({0: 'a', 7: 'b', 65534: 'c', 65535: 'unlabelled', 70000: 'd'})
    msg = label_info_msg(labels, 0.5, Time(sec=5))
    assert [(entry.class_id, entry.class_name) for entry in msg.class_map] == [
        (0, 'a'), (7, 'b'), (65534, 'c')]
    assert (msg.threshold, msg.header.stamp.sec) == (0.5, 5)
    assert label_info_msg(None, 0.0, Time()).class_map == []


def test_vision_info():
    msg = vision_info_msg('yolox', '/label_info', 3, Time(sec=5))
    assert (msg.method, msg.database_location, msg.database_version) == (
        'yolox', '/label_info', 3)
    assert msg.header.stamp.sec == 5
