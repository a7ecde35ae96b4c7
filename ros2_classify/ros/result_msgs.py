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
fills it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ros2_classify.labels import Labels
from ros2_classify.results import Classification, Detections, Result, Segmentation
from ros2_classify.ros.image_msg import to_ids_msg
from sensor_msgs.msg import Image
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
        The picture's header; goes into the message as it is.
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


def detections_msg(
        result: Detections, header: Any, class_id: str = 'label') -> Detection2DArray:
    """
    Fill a ``vision_msgs/Detection2DArray``; each detection carries the picture's header, too.

    Parameters
    ----------
    result : Detections
        The answer, best first, boxes in pixels of the source picture.
    header : std_msgs.msg.Header
        The picture's header; goes into the message as it is.
    class_id : str
        ``label`` writes the classes' names into the field of this name, ``index`` their ids.

    Returns
    -------
    vision_msgs.msg.Detection2DArray
        The message.

    """
    msg = Detection2DArray(header=header)
    detections = []
    for name, score, (x1, y1, x2, y2) in zip(
            _names(result, class_id), result.scores.tolist(), result.boxes.tolist()):
        detection = Detection2D(header=header)
        box = detection.bbox
        box.center.position.x = (x1 + x2) / 2
        box.center.position.y = (y1 + y2) / 2
        box.size_x = x2 - x1
        box.size_y = y2 - y1
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = name
        hypothesis.hypothesis.score = score
        detection.results = [hypothesis]
        detections.append(detection)
    msg.detections = detections
    return msg


def segmentation_msg(result: Segmentation, header: Any, class_id: str = 'label') -> Image:
    """
    Fill a ``sensor_msgs/Image`` with the class of each pixel.

    Parameters
    ----------
    result : Segmentation
        The answer.
    header : std_msgs.msg.Header
        The picture's header; goes into the message as it is.
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

    """

    topic: str
    msg_type: type
    to_msg: Callable[[Any, Any, str], Any]
    service: str
    depth: int = 10


MESSAGES = {
    'classification': ResultMessage(
        'classification', ClassificationMsg, classification_msg, 'Classify'),
    'detection': ResultMessage('detections', Detection2DArray, detections_msg, 'Detect'),
    'segmentation': ResultMessage('segmentation', Image, segmentation_msg, 'Segment', depth=1),
}
# Beside the detections of networks that give masks: 1 + the row of the object at each pixel.
INSTANCES_TOPIC = 'instances'


def to_msg(result: Result, header: Any, class_id: str = 'label') -> Any:
    """
    Fill the message of the result's task.

    Parameters
    ----------
    result : Classification, Detections or Segmentation
        The answer.
    header : std_msgs.msg.Header
        The picture's header; goes into the message as it is.
    class_id : str
        ``label`` or ``index``.

    Returns
    -------
    vision_msgs.msg.Classification, vision_msgs.msg.Detection2DArray or sensor_msgs.msg.Image
        The message.

    """
    return MESSAGES[result.task].to_msg(result, header, class_id)


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
