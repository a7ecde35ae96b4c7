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
Results to messages and back: ``vision_msgs`` 4, and images whose pixels are ids.

`MESSAGES` has one row per task: topic, message type and the function that fills the message.
Messages of many elements have a second function, which writes the serialized message directly;
`message_writer` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
import importlib
import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from ros2_classify.limits import shown
from ros2_classify.model.labels import Labels
from ros2_classify.postprocess.label_image import classes_on
from ros2_classify.results.results import Classification, Detections, Result, Segmentation, Timing
from ros2_classify.ros.messages import cdr
from ros2_classify.ros.messages.image import to_ids_msg
from ros2_classify.sources.image_messages import to_ids
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    Classification as ClassificationMsg, Detection2D, Detection2DArray, LabelInfo,
    ObjectHypothesis, ObjectHypothesisWithPose, VisionClass, VisionInfo)

_INTERFACES = 'ros2_classify_interfaces'

# Between the name of a cascade's stage and its class, in hypotheses after the first one.
_OF_STAGE = ':'
# VisionClass.class_id is a uint16, and its largest value means "unlabelled".
_MAX_CLASS_ID = 0xFFFE


def classification_msg(
        result: Classification, header: Any, class_id: str = 'label') -> ClassificationMsg:
    """Return a ``vision_msgs/Classification``, best first; ``class_id`` is label or index."""
    msg = ClassificationMsg(header=header)
    msg.results = [
        ObjectHypothesis(class_id=name, score=score)
        for name, score in zip(names_of(result, class_id), result.scores.tolist())]
    return msg


def classification_cdr(result: Classification, header: Any, class_id: str = 'label') -> bytes:
    """Return the message of `classification_msg`, serialized."""
    return cdr.classification(header, names_of(result, class_id), result.scores)


def detections_msg(
        result: Detections, header: Any, class_id: str = 'label') -> Detection2DArray:
    """Return a ``vision_msgs/Detection2DArray``; each detection has the image's header, too."""
    msg = Detection2DArray(header=header)
    detections = []
    centers, sizes, thetas = _poses(result)
    ids = _track_ids(result) or [''] * len(result)
    for name, score, center, size, theta, track_id in zip(
            names_of(result, class_id), result.scores.tolist(), centers.tolist(), sizes.tolist(),
            thetas.tolist(), ids):
        detection = Detection2D(header=header, id=track_id)
        box = detection.bbox
        box.center.position.x, box.center.position.y = center
        box.center.theta = theta
        box.size_x, box.size_y = size
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = name
        hypothesis.hypothesis.score = score
        detection.results = [hypothesis]
        detections.append(detection)
    if result.attributes:
        _add_attributes(detections, result, class_id)
    msg.detections = detections
    return msg


def _add_attributes(detections: list[Detection2D], result: Detections, class_id: str) -> None:
    """Append the best class of each stage of a cascade to the hypotheses of its object."""
    for row, detection in enumerate(detections):
        more = []
        for stage, label, score, number in result.said(row):
            more.append(ObjectHypothesisWithPose())
            # With the stage's name no class of the detector has the same text.
            more[-1].hypothesis.class_id = (
                f'{stage}{_OF_STAGE}{label if class_id == "label" else number}')
            more[-1].hypothesis.score = score
        if more:
            detection.results = [*detection.results, *more]


def detections_cdr(result: Detections, header: Any, class_id: str = 'label') -> bytes:
    """Return the message of `detections_msg`, serialized."""
    if result.attributes:
        # These rows have several hypotheses, which the quick way does not write.
        return bytes(serialize_message(detections_msg(result, header, class_id)))
    return cdr.detections(
        header, names_of(result, class_id), result.scores, *_poses(result), _track_ids(result))


def segmentation_msg(result: Segmentation, header: Any, class_id: str = 'label') -> Image:
    """Return an image of class ids, whatever ``class_id`` says: mono16 above 255 classes."""
    return to_ids_msg(result.label_image, header)


@dataclass(frozen=True)
class ResultMessage:
    """
    How the results of one task are sent.

    ``to_msg`` and ``to_cdr`` take ``(result, header, class_id)``; the second one returns the
    serialized message. The service is one of ros2_classify_interfaces, and its response has a
    field named like the topic. ``depth`` is that of the queue; large messages don't queue.
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
# Published with the detections of models with masks: 1 + the row of the object at each pixel.
INSTANCES_TOPIC = 'instances'


def to_msg(result: Result, header: Any, class_id: str = 'label') -> Any:
    """Return the message of the result's task."""
    return MESSAGES[result.task].to_msg(result, header, class_id)


def message_writer(
        task: str, say: Callable[[str], Any] = lambda _: None) -> Callable[[Any, Any, str], Any]:
    """
    Return the function that makes a task's messages: objects, or their bytes where that is safe.

    It is safe if this installation serializes a sample to the same bytes, so another wire format
    or other fields can't lead to garbage. ``say`` gets a sentence if the slow way is taken.
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
    say(f'slow messages on {row.topic}: the middleware serializes them differently than expected '
        f'({problem}); they are filled field by field, which takes longer with many elements')
    return row.to_msg


def label_info_msg(labels: Labels | None, threshold: float, stamp: Any) -> LabelInfo:
    """Return a ``LabelInfo`` with the names of the class ids; ids above 65534 don't fit it."""
    msg = LabelInfo(threshold=float(threshold))
    msg.header.stamp = stamp
    names = labels.items() if labels else ()
    msg.class_map = [VisionClass(class_id=number, class_name=name)
                     for number, name in names if number <= _MAX_CLASS_ID]
    return msg


def vision_info_msg(method: str, location: str, version: int, stamp: Any) -> VisionInfo:
    """Return a ``vision_msgs/VisionInfo``: the model's name, and where its labels are."""
    msg = VisionInfo(method=method, database_location=location, database_version=version)
    msg.header.stamp = stamp
    return msg


def load_type(name: str, kind: str = 'srv') -> Any:
    """Return the type of an interface; ImportError if there is none or they aren't installed."""
    module = importlib.import_module(f'{_INTERFACES}.{kind}')
    try:
        return getattr(module, name)
    except AttributeError:
        raise ImportError(f'{_INTERFACES} has no {kind}/{name}') from None


# Labels of one message of a trial, and of all; more than these are only looked at.
_TRIAL = 500
_MAX_TRIAL = 10_000


def publishing_problem(result: Result, labels: Labels | None, name: str) -> str:
    """Return why a model's results can't be published, from a result and each label; or ''."""
    row, header = MESSAGES[result.task], Header(frame_id='trial')
    try:
        serialize_message(row.to_msg(result, header, 'label'))
        about = vision_info_msg(name, name, 1, header.stamp)
        if deserialize_message(serialize_message(about), VisionInfo).method != name:
            return f'the name {shown(name)!r} does not arrive whole'
        names = [label for _, label in labels.items()] if labels else []
        for begin in range(0, min(len(names), _MAX_TRIAL), _TRIAL):
            if problem := _label_problem(row, names[begin:begin + _TRIAL]):
                return problem
        serialize_message(label_info_msg(labels, 0.0, header.stamp))
        for label in names[_MAX_TRIAL:]:
            label.encode()
            if '\0' in label:
                return f'the label {label!r} does not arrive whole'
    except Exception as error:  # noqa: B902 - whatever it is, images would meet it
        return shown(f'{type(error).__name__}: {error}')
    return ''


def _label_problem(row: ResultMessage, names: list[str]) -> str:
    """Send labels through the messages of a task, in both ways to write them."""
    if row.to_cdr is None:
        # Its results have numbers only; the labels are on label_info.
        row = MESSAGES['classification']
    assert row.to_cdr is not None
    sample, header = _sample(row, names), Header(frame_id='trial')
    for data in (serialize_message(row.to_msg(sample, header, 'label')),
                 row.to_cdr(sample, header, 'label')):
        msg = deserialize_message(data, row.msg_type)
        best = msg.results if row.msg_type is ClassificationMsg else [
            each.results[0].hypothesis for each in msg.detections]
        arrived = [each.class_id for each in best]
        for label, other in zip(names, arrived):
            if label != other:
                return f'the label {label!r} arrives as {other!r}'
    return ''


def names_of(result: Any, class_id: str) -> list[str]:
    """Return what the field class_id of each row holds; ``class_id`` is label or index."""
    if class_id == 'label':
        return list(result.labels)
    return [str(number) for number in result.class_ids.tolist()]


def _track_ids(result: Detections) -> list[str] | None:
    return None if result.track_ids is None else result.track_ids.tolist()


def _poses(
        result: Detections,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return centers, sizes and angles; the angle turns x towards y, as y points down."""
    if result.oriented is not None:
        rows = result.oriented.astype(np.float64)
        return rows[:, :2], rows[:, 2:4], rows[:, 4]
    boxes = result.boxes.astype(np.float64)
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2], np.zeros(len(boxes))


def _difference(row: ResultMessage) -> str:
    """Return how the bytes written here differ from the middleware's; empty if they don't."""
    assert row.to_cdr is not None
    # Both alignments of the first element, with ids of objects and without.
    for frame_id, sample in itertools.product(('', 'left'), _samples(row)):
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = 1, 2
        expected = row.to_msg(sample, header, 'label')
        theirs, ours = serialize_message(expected), row.to_cdr(sample, header, 'label')
        if ours[:4] != theirs[:4]:
            return f'it begins with {theirs[:4].hex(" ")}, not {ours[:4].hex(" ")}'
        if len(ours) != len(theirs):
            return f'a sample has {len(theirs)} bytes, not {len(ours)}'
        # Not the bytes themselves: rclpy leaves anything in the padding.
        if deserialize_message(ours, row.msg_type) != expected:
            return 'the fields of a sample are at other offsets'
    return ''


def _samples(row: ResultMessage) -> list[Classification | Detections]:
    sample = _sample(row)
    if not isinstance(sample, Detections):
        return [sample]
    return [sample, replace(sample, track_ids=np.array(['12345', '7'], object))]


def _sample(
        row: ResultMessage, labels: Sequence[str] = ('one', 'zwölf'),
) -> Classification | Detections:
    count = len(labels)
    numbers, scores = np.arange(1, count + 1), np.linspace(0.75, 0.5, count, dtype=np.float32)
    names = np.array(labels, object)
    timing = Timing(0.0, 0.0, 0.0)
    if row.msg_type is ClassificationMsg:
        return Classification(numbers, scores, names, (8, 8), timing)
    boxes = np.resize(np.array([[0, 1, 2, 4], [1, 3, 5, 8]], np.float32), (count, 4))
    oriented = np.resize(np.array(
        [[1, 2.5, 2, 3, 0.5], [3, 5.5, 4, 5, -0.25]], np.float32), (count, 5))
    return Detections(boxes, numbers, scores, names, (8, 8), timing, oriented=oriented)


# The messages contain no timing.
_NO_TIMING = Timing(0.0, 0.0, 0.0)

# The id of a class that is known by name only.
UNKNOWN_ID = -1

# Longer numbers may not fit into 64 bits, so they are names.
_MAX_DIGITS = 18


def classification_from(
        msg: Any, image_size: tuple[int, int], names: Mapping[int, str]) -> Classification:
    """Read a ``vision_msgs/Classification``; ``names`` may be empty."""
    ids, scores, labels, _ = _columns(msg.results, names)
    return Classification(ids, scores, labels, image_size, _NO_TIMING)


def detections_from(
        msg: Any, image_size: tuple[int, int], names: Mapping[int, str]) -> Detections:
    """Read a ``vision_msgs/Detection2DArray``: the best hypothesis of each, boxes clipped."""
    known = [detection for detection in msg.detections if detection.results]
    best = [max((each.hypothesis for each in _of_detector(detection.results, names)),
                key=lambda each: each.score) for detection in known]
    ids, scores, labels, order = _columns(best, names)
    # A corner beyond the range of float32 becomes inf, and is clipped.
    with np.errstate(over='ignore'):
        boxes = np.array(
            [_corners(known[index].bbox) for index in order], np.float32).reshape(-1, 4)
    limits = np.array([*image_size, *image_size], np.float32)
    track_ids = [known[index].id for index in order]
    turned = [known[index].bbox for index in order]
    oriented = None
    if any(box.center.theta for box in turned):
        oriented = np.array([
            (box.center.position.x, box.center.position.y, box.size_x, box.size_y,
             box.center.theta) for box in turned], np.float32)
    return Detections(
        np.clip(boxes, 0, limits), ids, scores, labels, image_size, _NO_TIMING, oriented=oriented,
        track_ids=np.array(track_ids, np.object_) if any(track_ids) else None)


def _of_detector(results: list[Any], names: Mapping[int, str]) -> list[Any]:
    """Return the hypotheses of a detector, without those of a cascade's stages."""
    known = set(names.values())
    own = [each for number, each in enumerate(results)
           if not number or each.hypothesis.class_id in known
           or _OF_STAGE not in each.hypothesis.class_id]
    return own or results


def segmentation_from(
        msg: Any, image_size: tuple[int, int], names: Mapping[int, str]) -> Segmentation:
    """Read a label image; the background is the class of that name, as the message doesn't say."""
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
        # The field is a name or, with the parameter class_id:=index, an id.
        if text not in by_name and text.isdecimal() and len(text) <= _MAX_DIGITS:
            ids.append(int(text))
            labels.append(names.get(int(text), text))
        else:
            ids.append(by_name.get(text, UNKNOWN_ID))
            labels.append(text)
    # A score beyond the range of float32 becomes inf, which the result refuses.
    with np.errstate(over='ignore'):
        scores = np.array([hypotheses[index].score for index in order], np.float32)
    return np.array(ids, np.int64), scores, np.array(labels, np.object_), order


def _corners(box: Any) -> tuple[float, float, float, float]:
    """Return the upright box around a box."""
    x, y, theta = box.center.position.x, box.center.position.y, box.center.theta
    width, height = box.size_x / 2, box.size_y / 2
    if theta:
        cos, sin = abs(math.cos(theta)), abs(math.sin(theta))
        width, height = width * cos + height * sin, width * sin + height * cos
    return (x - width, y - height, x + width, y + height)
