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
From results to messages: ``vision_msgs``, and images where each pixel has a number.

``vision_msgs`` is 4.0 or later; 4.1 and 4.2 have the same fields here.

One row of `MESSAGES` for each task: the topic's name, the message type and the function that
fills it. Messages of many elements have a second function, which writes what goes over the wire at
once; `published_form` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from ros2_classify.model.labels import Labels
from ros2_classify.postprocess.label_image import classes_on
from ros2_classify.results.results import Classification, Detections, Result, Segmentation, Timing
from ros2_classify.ros.messages import cdr as result_cdr
from ros2_classify.ros.messages.image import to_ids, to_ids_msg
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    Classification as ClassificationMsg, Detection2D, Detection2DArray, LabelInfo,
    ObjectHypothesis, ObjectHypothesisWithPose, VisionClass, VisionInfo)

# VisionClass.class_id is a uint16, and its largest value means "unlabelled".
_MAX_CLASS_ID = 0xFFFE


def classification_msg(
        result: Classification, header: Any, class_id: str = 'label') -> ClassificationMsg:
    """
    Fill a ``vision_msgs/Classification``.

    Parameters
    ----------
    result : Classification
        The answer, best first.
    header : std_msgs.msg.Header
        The image's header; goes into the message as it is.
    class_id : str
        ``label`` writes the classes' names into the field of this name, ``index`` their ids.

    Returns
    -------
    vision_msgs.msg.Classification
        The message.

    """
    msg = ClassificationMsg(header=header)
    msg.results = [
        ObjectHypothesis(class_id=name, score=score)
        for name, score in zip(_names(result, class_id), result.scores.tolist())]
    return msg


def classification_cdr(result: Classification, header: Any, class_id: str = 'label') -> bytes:
    """Return the message of `classification_msg`, serialized."""
    return result_cdr.classification(header, _names(result, class_id), result.scores)


def detections_msg(
        result: Detections, header: Any, class_id: str = 'label') -> Detection2DArray:
    """
    Fill a ``vision_msgs/Detection2DArray``; each detection carries the image's header, too.

    Parameters
    ----------
    result : Detections
        The answer, best first, boxes in pixels of the source image.
    header : std_msgs.msg.Header
        The image's header; goes into the message as it is.
    class_id : str
        ``label`` writes the classes' names into the field of this name, ``index`` their ids.

    Returns
    -------
    vision_msgs.msg.Detection2DArray
        The message.

    """
    msg = Detection2DArray(header=header)
    detections = []
    centers, sizes = _centers_and_sizes(result)
    for name, score, center, size in zip(
            _names(result, class_id), result.scores.tolist(), centers.tolist(), sizes.tolist()):
        detection = Detection2D(header=header)
        box = detection.bbox
        box.center.position.x, box.center.position.y = center
        box.size_x, box.size_y = size
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = name
        hypothesis.hypothesis.score = score
        detection.results = [hypothesis]
        detections.append(detection)
    msg.detections = detections
    return msg


def detections_cdr(result: Detections, header: Any, class_id: str = 'label') -> bytes:
    """Return the message of `detections_msg`, serialized."""
    return result_cdr.detections(
        header, _names(result, class_id), result.scores, *_centers_and_sizes(result))


def segmentation_msg(result: Segmentation, header: Any, class_id: str = 'label') -> Image:
    """
    Fill a ``sensor_msgs/Image`` with the class of each pixel.

    Parameters
    ----------
    result : Segmentation
        The answer.
    header : std_msgs.msg.Header
        The image's header; goes into the message as it is.
    class_id : str
        Means nothing here: pixels are ids.

    Returns
    -------
    sensor_msgs.msg.Image
        ``mono8``, or ``mono16`` for more than 255 classes.

    """
    return to_ids_msg(result.label_image, header)


@dataclass(frozen=True)
class ResultMessage:
    """
    How one task's results are sent.

    Parameters
    ----------
    topic : str
        Relative topic name.
    msg_type : type
        Message type.
    to_msg : callable
        From ``(result, header, class_id)`` to the message.
    service : str
        Name of the service in ros2_classify_interfaces; the topic's name is that of its
        response's field.
    depth : int
        How many messages wait for a slow subscriber; large ones don't queue.
    to_cdr : callable, optional
        From ``(result, header, class_id)`` to the same message, serialized: for messages of many
        elements, which are slow to make as objects.

    """

    topic: str
    msg_type: type
    to_msg: Callable[[Any, Any, str], Any]
    service: str
    depth: int = 10
    to_cdr: Callable[[Any, Any, str], bytes] | None = None


MESSAGES = {
    'classification': ResultMessage(
        'classification', ClassificationMsg, classification_msg, 'Classify',
        to_cdr=classification_cdr),
    'detection': ResultMessage(
        'detections', Detection2DArray, detections_msg, 'Detect', to_cdr=detections_cdr),
    'segmentation': ResultMessage('segmentation', Image, segmentation_msg, 'Segment', depth=1),
}
# Beside the detections of models that give masks: 1 + the row of the object at each pixel.
INSTANCES_TOPIC = 'instances'


def to_msg(result: Result, header: Any, class_id: str = 'label') -> Any:
    """
    Fill the message of the result's task.

    Parameters
    ----------
    result : Classification, Detections or Segmentation
        The answer.
    header : std_msgs.msg.Header
        The image's header; goes into the message as it is.
    class_id : str
        ``label`` or ``index``.

    Returns
    -------
    vision_msgs.msg.Classification, vision_msgs.msg.Detection2DArray or sensor_msgs.msg.Image
        The message.

    """
    return MESSAGES[result.task].to_msg(result, header, class_id)


def published_form(
        task: str, say: Callable[[str], Any] = lambda _: None) -> Callable[[Any, Any, str], Any]:
    """
    Choose how a task's results are handed to the publisher.

    Bytes are written where this installation's own serialization gives the same ones for a
    sample; another format of the middleware, or other fields, can so never lead to garbage.

    Parameters
    ----------
    task : str
        The task.
    say : callable
        Called with a sentence where objects are used in spite of a faster way.

    Returns
    -------
    callable
        From ``(result, header, class_id)`` to a message or to its bytes.

    """
    row = MESSAGES[task]
    if row.to_cdr is None:
        return row.to_msg
    try:
        problem = _difference(row)
    except Exception as error:  # noqa: B902 - whatever it is, the objects remain
        problem = f'{type(error).__name__}: {error}'
    if not problem:
        return row.to_cdr
    say(f'messages on {row.topic} are made field by field, which is slow for many elements: the '
        f'middleware serializes them in another way than expected ({problem})')
    return row.to_msg


def label_info_msg(labels: Labels | None, threshold: float, stamp: Any) -> LabelInfo:
    """
    Fill a ``vision_msgs/LabelInfo``: the names behind the class ids.

    Parameters
    ----------
    labels : Labels or None
        The model's labels, if it has any. Ids above 65534 don't fit the message and are left out.
    threshold : float
        The score below which nothing is reported.
    stamp : builtin_interfaces.msg.Time
        When the labels came into force.

    Returns
    -------
    vision_msgs.msg.LabelInfo
        The message.

    """
    msg = LabelInfo(threshold=float(threshold))
    msg.header.stamp = stamp
    names = labels.items() if labels else ()
    msg.class_map = [VisionClass(class_id=number, class_name=name)
                     for number, name in names if number <= _MAX_CLASS_ID]
    return msg


def vision_info_msg(method: str, location: str, version: int, stamp: Any) -> VisionInfo:
    """
    Fill a ``vision_msgs/VisionInfo``.

    Parameters
    ----------
    method : str
        The model's name.
    location : str
        Where the names of the classes are found.
    version : int
        Counts the models loaded since the node's start.
    stamp : builtin_interfaces.msg.Time
        When the model came into force.

    Returns
    -------
    vision_msgs.msg.VisionInfo
        The message.

    """
    msg = VisionInfo(method=method, database_location=location, database_version=version)
    msg.header.stamp = stamp
    return msg


def _names(result: Classification | Detections, class_id: str) -> list[str]:
    if class_id == 'label':
        return result.labels.tolist()
    return [str(number) for number in result.class_ids.tolist()]


def _centers_and_sizes(result: Detections) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    boxes = result.boxes.astype(np.float64)
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def _difference(row: ResultMessage) -> str:
    """Return how the bytes written here differ from the middleware's own, empty if they don't."""
    assert row.to_cdr is not None
    # Both places that the first element can have.
    for frame_id in ('', 'left'):
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = 1, 2
        expected = row.to_msg(_sample(row), header, 'label')
        theirs, ours = serialize_message(expected), row.to_cdr(_sample(row), header, 'label')
        if ours[:4] != theirs[:4]:
            return f'it begins with {theirs[:4].hex(" ")}, not {ours[:4].hex(" ")}'
        if len(ours) != len(theirs):
            return f'a sample has {len(theirs)} bytes, not {len(ours)}'
        # Not the bytes themselves: rclpy leaves anything in those that are skipped.
        if deserialize_message(ours, row.msg_type) != expected:
            return 'the fields of a sample lie elsewhere'
    return ''


def _sample(row: ResultMessage) -> Classification | Detections:
    numbers, scores = np.array([1, 2]), np.array([0.75, 0.5], np.float32)
    names = np.array(['one', 'zwölf'], object)
    timing = Timing(0.0, 0.0, 0.0)
    if row.msg_type is ClassificationMsg:
        return Classification(numbers, scores, names, (8, 8), timing)
    boxes = np.array([[0, 1, 2, 4], [1, 3, 5, 8]], np.float32)
    return Detections(boxes, numbers, scores, names, (8, 8), timing)


# The messages don't say how long anything took.
_NO_TIMING = Timing(0.0, 0.0, 0.0)

# For a class that is known by name only.
UNKNOWN_ID = -1

# Longer numbers are no ids: they may not fit into 64 bits.
_MAX_DIGITS = 18


def classification_from(
        msg: Any, image_size: tuple[int, int], names: Mapping[int, str]) -> Classification:
    """
    Read a ``vision_msgs/Classification``.

    Parameters
    ----------
    msg : vision_msgs.msg.Classification
        The message.
    image_size : tuple of int
        Width and height of the image it answers.
    names : mapping of int to str
        Names by class id, from a ``LabelInfo``; may be empty.

    Returns
    -------
    Classification
        Best first.

    """
    ids, scores, labels, _ = _columns(msg.results, names)
    return Classification(ids, scores, labels, image_size, _NO_TIMING)


def detections_from(
        msg: Any, image_size: tuple[int, int], names: Mapping[int, str]) -> Detections:
    """
    Read a ``vision_msgs/Detection2DArray``; of several hypotheses the best one counts.

    Parameters
    ----------
    msg : vision_msgs.msg.Detection2DArray
        The message.
    image_size : tuple of int
        Width and height of the image it answers; boxes are clipped to it.
    names : mapping of int to str
        Names by class id, from a ``LabelInfo``; may be empty.

    Returns
    -------
    Detections
        Best first.

    """
    known = [detection for detection in msg.detections if detection.results]
    best = [max((each.hypothesis for each in detection.results), key=lambda each: each.score)
            for detection in known]
    ids, scores, labels, order = _columns(best, names)
    # A corner beyond float32's range becomes inf, and is cut to the image.
    with np.errstate(over='ignore'):
        boxes = np.array(
            [_corners(known[index].bbox) for index in order], np.float32).reshape(-1, 4)
    limits = np.array([*image_size, *image_size], np.float32)
    return Detections(
        np.clip(boxes, 0, limits), ids, scores, labels, image_size, _NO_TIMING)


def segmentation_from(
        msg: Any, image_size: tuple[int, int], names: Mapping[int, str]) -> Segmentation:
    """
    Read the label image of a segmentation.

    Parameters
    ----------
    msg : sensor_msgs.msg.Image
        The message: a class id for each pixel.
    image_size : tuple of int
        Width and height of the image it answers.
    names : mapping of int to str
        Names by class id, from a ``LabelInfo``; may be empty. The message doesn't say which class
        is a background: it is the one that is called so.

    Returns
    -------
    Segmentation
        Largest class first.

    """
    ids = to_ids(msg)
    background = next((number for number, name in names.items()
                       if name.strip('_ ').lower() == 'background'), None)
    class_ids, parts = classes_on(ids, (int(np.iinfo(ids.dtype).max), background), 0.0)
    labels = np.array([names.get(each, str(each)) for each in class_ids.tolist()], np.object_)
    return Segmentation(ids, class_ids, parts, labels, image_size, _NO_TIMING, background)


READERS: dict[str, Callable[[Any, tuple[int, int], Mapping[int, str]], Result]] = {
    'classification': classification_from,
    'detection': detections_from,
    'segmentation': segmentation_from,
}


def _columns(
        hypotheses: list[Any], names: Mapping[int, str]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.object_], list[int]]:
    """Return ids, scores and labels of hypotheses, best first, and the order they were in."""
    order = sorted(range(len(hypotheses)), key=lambda index: -hypotheses[index].score)
    by_name = {name: number for number, name in names.items()}
    ids, labels = [], []
    for index in order:
        text = hypotheses[index].class_id
        # The field holds a name or, where the server is set so, an id.
        if text not in by_name and text.isdecimal() and len(text) <= _MAX_DIGITS:
            ids.append(int(text))
            labels.append(names.get(int(text), text))
        else:
            ids.append(by_name.get(text, UNKNOWN_ID))
            labels.append(text)
    # A score beyond float32's range becomes inf, which the result refuses.
    with np.errstate(over='ignore'):
        scores = np.array([hypotheses[index].score for index in order], np.float32)
    return np.array(ids, np.int64), scores, np.array(labels, np.object_), order


def _corners(box: Any) -> tuple[float, float, float, float]:
    x, y = box.center.position.x, box.center.position.y
    return (x - box.size_x / 2, y - box.size_y / 2, x + box.size_x / 2, y + box.size_y / 2)
