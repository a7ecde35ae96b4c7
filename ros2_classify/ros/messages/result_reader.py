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

"""From messages back to results: what a subscriber needs to print or draw an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.postprocess.label_image import classes_on
from ros2_classify.results.results import Classification, Detections, Result, Segmentation, Timing
from ros2_classify.ros.messages.image import to_ids

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
