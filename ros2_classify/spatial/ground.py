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

"""Without a depth camera: where the lower edge of a box meets the ground."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError
from ros2_classify.results.detections import Detections
from ros2_classify.spatial.camera import CameraModel, Floats
from ros2_classify.spatial.positions import Missing, Positions

# How exact the edges of a box are, in pixels (one standard deviation): a detector's are some
# percent of its size off, and never better than a pixel or two.
_EDGE, _EDGE_PART = 2.0, 0.03
# A row this close to the last one is cut off by it.
_LAST_ROWS = 1.5
# If the distance may as well be twice as large, it is none.
_MOST_UNSURE = 0.5
# Degrees of roll; and the cosine from which on a camera does not look straight down.
_MOST_ROLL, _LEVEL = 30.0, 0.1


def locate_on_ground(
        detections: Detections, camera: CameraModel, ground_from_image: NDArray[Any],
        lower_edge: float | None = None) -> Positions:
    """
    Find where objects stand on level ground, without depth.

    Parameters
    ----------
    detections : Detections
        The objects; each one stands on the ground with the middle of its box's lower edge.
    camera : CameraModel
        The camera of the image.
    ground_from_image : ndarray of float, shape (4, 4)
        The transform from the image's frame (optical: x right, y down, z forward) to the
        frame of the ground, whose plane is z = 0, z up.
    lower_edge : float, optional
        Where what the model saw ends, in pixels from the image's top, such as the lower edge of
        a region of interest; by default that of the image.

    Returns
    -------
    Positions
        Points on the ground, in its frame, with covariances that grow with the distance. Sizes
        are along the view (unknown, so as across), across, and up. Objects whose lower edge is
        above the horizon, or touches that of the image or of the region, have none.

    Raises
    ------
    InputError
        If the camera is of another image size, not above the ground, or rolled by more than 30
        degrees: objects don't stand on the lower edges of their boxes then.

    Examples
    --------
    A camera 1 m above the ground looks along x, 45 degrees down:

    >>> import numpy as np
    >>> from ros2_classify import CameraModel, Detections, locate_on_ground, Timing
    >>> camera = CameraModel((640, 480), np.array([[500, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]))
    >>> s = np.sqrt(0.5)
    >>> pose = np.array([[0, -s, s, 0], [-1, 0, 0, 0], [0, -s, -s, 1], [0, 0, 0, 1]])
    >>> found = Detections(
    ...     np.array([[300, 140, 340, 240]]), np.array([0]), np.array([0.9]),
    ...     np.array(['cone'], object), (640, 480), Timing(0.0, 0.0, 0.0))
    >>> where = locate_on_ground(found, camera, pose)
    >>> where.points.round(3) + 0.0
    array([[1., 0., 0.]])

    """
    width, height = detections.image_size
    if camera.image_size != (width, height):
        raise InputError(
            f'the camera is one of {camera.image_size[0]}x{camera.image_size[1]} pixels, but the '
            f'image has {width}x{height}: use the camera_info of this image')
    transform = np.asarray(ground_from_image, np.float64)
    turn = transform[:3, :3] @ camera.rotation
    eye = transform[:3, :3] @ camera.origin + transform[:3, 3]
    if not eye[2] > 0:
        raise InputError(
            f'the camera is {eye[2]:.2f} m above the ground, but must be above it: is the plane '
            'z = 0 of ground_frame the ground?')
    _check_roll(turn)
    last = height if lower_edge is None else min(lower_edge, height)
    count = len(detections)
    points, sizes = np.full((count, 3), np.nan), np.full((count, 3), np.nan)
    covariances, headings = np.full((count, 3, 3), np.nan), np.full(count, np.nan)
    missing: list[Missing | None] = [None] * count
    boxes = detections.boxes.astype(np.float64)
    x, unsure = (boxes[:, 0] + boxes[:, 2]) / 2, np.maximum(
        _EDGE, _EDGE_PART * (boxes[:, 2:] - boxes[:, :2]))
    # Bottom, its two corners, top, and two points beside the bottom for the covariance. One row
    # up, not down: there the lens model may end.
    seen_at = np.stack([np.stack(pair, axis=1) for pair in (
        (x, boxes[:, 3]), (boxes[:, 0], boxes[:, 3]), (boxes[:, 2], boxes[:, 3]),
        (x, boxes[:, 1]), (x + 0.5, boxes[:, 3]), (x, boxes[:, 3] - 0.5))])
    rays = camera.rays(seen_at.reshape(-1, 2)).reshape(6, count, 3) @ turn.T
    for row in range(count):
        bottom, left, right, top, beside, above = rays[:, row]
        if boxes[row, 3] >= last - _LAST_ROWS:
            missing[row] = Missing('cut_off')
        elif not np.isfinite(rays[:, row]).all():
            missing[row] = Missing('no_ray')
        elif not (bottom[2] < 0 and above[2] < 0 and beside[2] < 0):
            missing[row] = Missing('above_horizon')
        else:
            point = _meet(eye, bottom)
            slopes = np.stack([(_meet(eye, beside) - point)[:2] / 0.5,
                               (_meet(eye, above) - point)[:2] / 0.5], axis=1)
            spread = slopes @ np.diag(unsure[row] ** 2) @ slopes.T
            away = point[:2] - eye[:2]
            far = float(np.hypot(*away))
            if np.sqrt(np.linalg.eigvalsh(spread)[-1]) > _MOST_UNSURE * np.hypot(far, eye[2]):
                missing[row] = Missing('above_horizon')
                continue
            points[row], headings[row] = point, np.arctan2(away[1], away[0])
            covariances[row] = 0.0
            covariances[row, :2, :2] = spread
            sizes[row] = _size(eye, point, left, right, top, far)
    distances = np.linalg.norm(points - eye, axis=1)
    return Positions(points, sizes, tuple(missing), distances, covariances, headings)


def _check_roll(turn: Floats) -> None:
    """Refuse a camera in whose images down is another way; straight down there is none."""
    right, down = turn[2, :2].tolist()
    roll = math.degrees(math.atan2(right, -down))
    if math.hypot(right, down) > _LEVEL and abs(roll) > _MOST_ROLL:
        raise InputError(
            f'the camera is rolled by {roll:.0f} degrees, so objects do not stand on the lower '
            f'edges of their boxes (at most {_MOST_ROLL:.0f} degrees); turn its images upright '
            'before the model sees them, and give the frame of the turned images')


def _meet(eye: Floats, ray: Floats) -> Floats:
    """Return where a ray that goes down meets the ground."""
    met: Floats = eye - ray * (eye[2] / ray[2])
    met[2] = 0.0
    return met


def _size(eye: Floats, point: Floats, left: Floats, right: Floats, top: Floats,
          far: float) -> tuple[float, float, float]:
    """Return the size of an upright object that stands at a point and faces the camera."""
    across = float(np.linalg.norm(_at(left, eye, point) - _at(right, eye, point)))
    level = float(np.hypot(top[0], top[1]))
    # Looking straight down, heights are not seen.
    tall = float(eye[2] + top[2] * far / level) if level > 1e-6 else 0.0
    return across, across, max(0.0, tall)


def _at(ray: Floats, eye: Floats, point: Floats) -> Floats:
    """Return the point of a ray that is as far away as another point, seen along the view."""
    view = point - eye
    at: Floats = ray * (view @ view / (ray @ view))
    return at
