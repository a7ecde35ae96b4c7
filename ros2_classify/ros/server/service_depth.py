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

"""Positions in the response of ``~/detect``, from the depth image in the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ros2_classify.errors import InputError
from ros2_classify.ros.messages.image import depth_array
from ros2_classify.ros.messages.vision import names_of
from ros2_classify.ros.messages.vision_3d import detections_3d_msg
from ros2_classify.ros.server.locator import published
from ros2_classify.spatial.camera import CameraModel
from ros2_classify.spatial.depth import locate


@dataclass(frozen=True, eq=False)
class DepthOfRequest:
    """The depth and the calibration of a request, checked before its image is looked at."""

    header: Any
    depth: Any
    camera: CameraModel

    def fill(self, response: Any, outcome: Any) -> None:
        """Put the positions into a response; InputError if sizes differ."""
        where = locate(outcome.result, self.camera, self.depth)
        located = published(
            outcome.result, self.header.frame_id, where, where.known, None, None)
        response.detections_3d = detections_3d_msg(
            located, self.header, names_of(outcome.result, outcome.class_id))
        response.without_position = [str(reason or '') for reason in where.missing]


def depth_of(request: Any) -> DepthOfRequest | None:
    """Return the depth of a request; None without; InputError if it is half of it."""
    # An older package of interfaces has none of these fields.
    depth, info = getattr(request, 'depth', None), getattr(request, 'camera_info', None)
    if depth is None or info is None:
        return None
    has_depth = bool(depth.width or depth.height or depth.data)
    has_info = bool(info.width or info.height)
    if not has_depth and not has_info:
        return None
    if not (has_depth and has_info):
        missing = 'depth' if has_info else 'camera_info'
        raise InputError(f'{missing} is empty: positions take depth and camera_info, both of the '
                         'image; send both, or none')
    if depth.header.frame_id != request.image.header.frame_id:
        raise InputError(
            f'the frame of depth is {depth.header.frame_id!r} and that of the image '
            f'{request.image.header.frame_id!r}: use depth that is registered to the image')
    return DepthOfRequest(request.image.header, depth_array(depth), CameraModel.from_info(info))
