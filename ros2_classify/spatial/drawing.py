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

"""Boxes in metres, drawn into the image."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.results.detections import Detections
from ros2_classify.results.overlay_colors import colors_of
from ros2_classify.spatial.camera import CameraModel, Floats
from ros2_classify.spatial.positions import Positions

_CORNERS = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
_EDGES = [(a, b) for a, b in itertools.combinations(range(8), 2)
          if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1]
# What is drawn of an object whose depth isn't seen, as a part of its width.
_LEAST_DEPTH = 0.25


def draw_boxes_3d(
        canvas: NDArray[np.uint8], result: Detections, camera: CameraModel, where: Positions,
) -> None:
    """Draw the boxes of positions by depth, from their surface backwards, into the image."""
    line = max(1, round(min(canvas.shape[:2]) / 400))
    colors = colors_of(result)
    for row in np.flatnonzero(where.known).tolist():
        size = where.sizes[row].copy()
        size[2] = max(size[2], _LEAST_DEPTH * size[0])
        corners = where.points[row] + (_CORNERS - (0.5, 0.5, 0.0)) * size
        points = _project(camera, (corners - camera.origin) @ camera.rotation)
        for a, b in _EDGES:
            cv2.line(canvas, tuple(points[a]), tuple(points[b]), colors[row], line, cv2.LINE_AA)


def _project(camera: CameraModel, points: Floats) -> list[list[int]]:
    """Return the pixels at which points in the camera's frame are seen."""
    zero = np.zeros(3)
    if camera.distortion_model == 'equidistant':
        distortion = camera.distortion if len(camera.distortion) else np.zeros(4)
        seen, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, camera.matrix, distortion)
    else:
        seen, _ = cv2.projectPoints(points, zero, zero, camera.matrix, camera.distortion)
    found: list[list[int]] = np.clip(np.rint(seen.reshape(-1, 2)), -9999, 9999).astype(
        int).tolist()
    return found
