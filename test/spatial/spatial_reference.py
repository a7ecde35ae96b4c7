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

"""Plain geometry for the tests of `ros2_classify.spatial`: cameras that project, rays that hit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from ros2_classify import Detections, Timing


def found(boxes: object, size: tuple[int, int] = (640, 480), **more: object) -> Detections:
    """Return detections of these boxes."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    return Detections(
        boxes, np.arange(count), np.full(count, 0.9), np.array(['thing'] * count, object), size,
        Timing(0.0, 0.0, 0.0), **more)


def camera_info(width: int = 640, height: int = 480, **changes: object) -> SimpleNamespace:
    """Return what a CameraInfo holds: a pinhole in the middle, 500 pixels long."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    fields: dict[str, object] = {
        'width': width, 'height': height, 'distortion_model': 'plumb_bob', 'd': [],
        'k': [500, 0, cx, 0, 500, cy, 0, 0, 1], 'r': np.eye(3).ravel().tolist(),
        'p': [500, 0, cx, 0, 0, 500, cy, 0, 0, 0, 1, 0], 'binning_x': 0, 'binning_y': 0,
        'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)}
    return SimpleNamespace(**{**fields, **changes})


def looking_down(height: float, degrees: float) -> np.ndarray:
    """Return the transform to the ground of an optical frame that looks along x, and down."""
    angle = np.radians(degrees)
    forward = np.array([np.cos(angle), 0, -np.sin(angle)])
    right = np.array([0.0, -1.0, 0.0])
    transform = np.eye(4)
    transform[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    transform[2, 3] = height
    return transform


def project(points: np.ndarray, transform: np.ndarray, focal: float = 500.0,
            size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """Return where a pinhole sees points of the ground's frame; 0 is the image's edge."""
    inside = (np.atleast_2d(points) - transform[:3, 3]) @ transform[:3, :3]
    return focal * inside[:, :2] / inside[:, 2:] + np.array(size) / 2


def ray_cast(spheres: list[tuple[tuple[float, float, float], float]], wall: float,
             size: tuple[int, int] = (640, 480), focal: float = 500.0) -> np.ndarray:
    """Return the depth in metres of spheres before a wall, one ray a pixel."""
    width, height = size
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones_like(u)], -1)
    depth = np.full((height, width), wall)
    for center, radius in spheres:
        along, length = rays @ np.array(center), (rays ** 2).sum(-1)
        root = along ** 2 - length * (np.dot(center, center) - radius ** 2)
        hit = (along - np.sqrt(np.maximum(root, 0))) / length
        depth = np.where((root > 0) & (hit < depth), hit, depth)
    return depth.astype(np.float32)
