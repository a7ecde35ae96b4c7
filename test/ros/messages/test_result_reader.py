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

"""Messages back to results."""

import pytest
from ros2_classify.errors import OutputError
from ros2_classify.ros.messages.vision import (
    classification_from, detections_from, READERS, UNKNOWN_ID)
from sensor_msgs.msg import Image
from vision_msgs.msg import (
    Classification, Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose)

NAMES = {3: 'cat', 7: 'dog'}


def detection(x, y, w, h, *hypotheses):
    """Return a detection with a box given by centre and size."""
    msg = Detection2D()
    msg.bbox.center.position.x, msg.bbox.center.position.y = float(x), float(y)
    msg.bbox.size_x, msg.bbox.size_y = float(w), float(h)
    for class_id, score in hypotheses:
        each = ObjectHypothesisWithPose()
        each.hypothesis.class_id, each.hypothesis.score = class_id, score
        msg.results.append(each)
    return msg


@pytest.mark.parametrize(('class_id', 'names', 'number', 'label'), [
    ('dog', NAMES, 7, 'dog'), ('7', NAMES, 7, 'dog'), ('9', NAMES, 9, '9'),
    ('bird', NAMES, UNKNOWN_ID, 'bird'), ('dog', {}, UNKNOWN_ID, 'dog'), ('7', {}, 7, '7'),
    ('7', {2: '7'}, 2, '7')])
def test_names_and_numbers(class_id, names, number, label):
    msg = Classification(results=[ObjectHypothesis(class_id=class_id, score=0.5)])
    result = classification_from(msg, (10, 10), names)
    assert (result.class_ids[0], result.labels[0]) == (number, label)


def test_the_best_comes_first_whatever_the_order_of_the_message():
    msg = Classification(results=[
        ObjectHypothesis(class_id='cat', score=0.25), ObjectHypothesis(class_id='dog', score=0.5)])
    result = classification_from(msg, (10, 10), NAMES)
    assert result.labels.tolist() == ['dog', 'cat'] and result.scores.tolist() == [0.5, 0.25]


def test_boxes_are_corners_inside_the_image():
    msg = Detection2DArray(detections=[
        detection(50, 20, 40, 20, ('cat', 0.25)),
        detection(95, 45, 20, 30, ('dog', 0.125), ('cat', 0.75)),
        detection(5, 5, 2, 2)])
    result = detections_from(msg, (100, 50), NAMES)
    assert result.boxes.tolist() == [[85, 30, 100, 50], [30, 10, 70, 30]]
    assert result.labels.tolist() == ['cat', 'cat'] and result.scores.tolist() == [0.75, 0.25]


@pytest.mark.parametrize(('task', 'msg'), [
    ('classification', Classification()), ('detection', Detection2DArray())])
def test_an_empty_result_is_an_result(task, msg):
    result = READERS[task](msg, (10, 10), NAMES)
    assert result.task == task and len(result) == 0


def test_nonsense_is_refused():
    msg = Detection2DArray(detections=[detection(float('nan'), 0, 1, 1, ('cat', 0.5))])
    with pytest.raises(OutputError):
        detections_from(msg, (10, 10), NAMES)


def test_a_label_image_is_a_segmentation():
    msg = Image(width=4, height=2, step=4, encoding='mono8', data=[0, 0, 0, 7, 0, 3, 3, 255])
    result = READERS['segmentation'](msg, (4, 2), {0: 'Background', **NAMES})
    assert result.labels.tolist() == ['cat', 'dog'] and result.background == 0
    assert result.scores.tolist() == [0.25, 0.125]
    assert READERS['segmentation'](msg, (4, 2), {}).labels.tolist() == ['0', '3', '7']
    with pytest.raises(OutputError, match=r'must be uint8 or uint16 with the shape \(5, 4\)'):
        READERS['segmentation'](msg, (4, 5), {})
