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

"""What responses hold of a result: the message of its topic, key points, pixels, positions."""

from __future__ import annotations

from typing import Any

from ros2_classify.results.results import Detections, Result
from ros2_classify.ros.messages.image import to_ids_msg
from ros2_classify.ros.messages.keypoints import keypoints_msg
from ros2_classify.ros.messages.vision import MESSAGES, names_of, to_msg
from ros2_classify.ros.messages.vision_3d import detections_3d_msg
from ros2_classify.ros.server.locator import Places


def fill_result(response: Any, result: Result, header: Any, class_id: str) -> None:
    """Put a result into the field of its task, with key points and pixels of detections."""
    setattr(response, MESSAGES[result.task].topic, to_msg(result, header, class_id))
    # An older package of interfaces has none of these fields.
    if not isinstance(result, Detections) or not hasattr(response, 'keypoints'):
        return
    if result.keypoints is not None:
        response.keypoints = keypoints_msg(result, header)
    instances = result.instances()
    if instances is not None:
        response.instances = to_ids_msg(instances, header)


def fill_places(response: Any, places: Places | None, header: Any, class_id: str) -> None:
    """Put positions into a response, and of each detection why it has none."""
    if places is None or not hasattr(response, 'without_position'):
        return
    if places.located is not None:
        response.detections_3d = detections_3d_msg(
            places.located, header, names_of(places.result, class_id))
    response.without_position = list(places.missing)
