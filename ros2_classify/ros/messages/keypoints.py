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
Key points to messages: those of all objects, and persons as ``hri_msgs/Skeleton2D``.

``hri_msgs`` (REP 155) is used where it is installed. Its skeleton has the 17 points of COCO and
the neck, which is the middle of the shoulders.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.results import Detections
from ros2_classify.ros.messages.vision import load_type

KEYPOINTS_TOPIC = 'keypoints'
SKELETONS_TOPIC = 'skeletons'
_SHOULDERS = ('left_shoulder', 'right_shoulder')
# The points of a skeleton, by COCO's names; the message has a constant for each in capitals.
_BODY = ('nose', *(f'{side}_{part}' for side in ('left', 'right') for part in (
    'eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')))


def keypoints_msg(result: Detections, header: Any) -> Any:
    """Return a ``Keypoints2DArray``; ImportError if the interfaces lack it."""
    array, each, point = (load_type(name, 'msg') for name in (
        'Keypoints2DArray', 'Keypoints2D', 'Keypoint2D'))
    found = result.keypoints
    assert found is not None
    names = found.names or ('',) * found.scores.shape[1]
    return array(
        header=header, skeleton=[end for limb in found.skeleton for end in limb],
        objects=[each(points=[
            point(name=name, x=x, y=y, score=score)
            for name, (x, y), score in zip(names, places, scores)])
            for places, scores in zip(found.points.tolist(), found.scores.tolist())])


def skeleton_type() -> Any:
    """Return the type ``hri_msgs/Skeleton2D``; ImportError if it isn't installed."""
    return importlib.import_module('hri_msgs.msg').Skeleton2D


def is_body(keypoints: Keypoints) -> bool:
    """Tell whether the points are those of a person's skeleton."""
    return set(_BODY) <= set(keypoints.names)


def skeleton_msgs(result: Detections, header: Any) -> list[Any]:
    """
    Return a ``Skeleton2D`` for each person, in the detections' order.

    Places are parts of the image's width and height; as in OpenPose, whose points these are, one
    that isn't in the image is 0, 0 with the score 0. The neck is as sure as the less sure
    shoulder.
    """
    found = result.keypoints
    if found is None or not is_body(found):
        return []
    module = importlib.import_module('hri_msgs.msg')
    kind, point = module.Skeleton2D, module.NormalizedPointOfInterest2D
    at = {name: place for place, name in enumerate(found.names)}
    messages = []
    for places, scores in zip(found.points / np.array(result.image_size), found.scores):
        msg = kind(header=header)
        msg.skeleton = [point() for _ in range(len(_BODY) + 1)]
        rows = {name.upper(): (*places[at[name]], scores[at[name]]) for name in _BODY}
        shoulders = [at[name] for name in _SHOULDERS]
        neck = scores[shoulders].min() if np.abs(places[shoulders] - 0.5).max() <= 0.5 else 0.0
        rows['NECK'] = (*places[shoulders].mean(axis=0), neck)
        for name, (x, y, score) in rows.items():
            one = msg.skeleton[getattr(kind, name)]
            if score > 0 and 0 <= x <= 1 and 0 <= y <= 1:
                one.x, one.y, one.c = float(x), float(y), float(score)
        messages.append(msg)
    return messages
