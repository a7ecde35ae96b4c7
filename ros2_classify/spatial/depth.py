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

"""From an image of depths to positions: which depth of a box is that of its object."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError
from ros2_classify.results.detections import Detections
from ros2_classify.spatial.camera import CameraModel
from ros2_classify.spatial.positions import Missing, Positions

# Of the pixels of a box, or of a mask; fewer are chance.
_LEAST_VALID = 0.02
# A quarter of a box shows what is behind the object and, at its front, an edge of what is before
# it: in synthetic views the only quantile that is right for solid objects and rings.
_QUANTILE = 0.25
# More pixels of a box than about this are looked at on a grid.
_SAMPLES = 2048


class _Seen(NamedTuple):
    """The depths of an object in metres: of its surface, from and to; the share of valid ones."""

    depth: float
    near: float
    far: float
    valid: float


def locate(detections: Detections, camera: CameraModel, depth: NDArray[Any]) -> Positions:
    """
    Measure where objects are, from an image of depths.

    Parameters
    ----------
    detections : Detections
        The objects. Those with masks are measured by the median of the mask's depths, others by
        the 25th percentile of the box's.
    camera : CameraModel
        The camera of the image.
    depth : ndarray of float32 or uint16, shape (H, W)
        How far each pixel of the same image is along the optical axis (REP 118): float32 in
        metres, where NaN, infinite and 0 are invalid; uint16 in millimetres, where 0 is.

    Returns
    -------
    Positions
        The middle of each box on the object's surface. The size along z is that of what is
        visible. Objects with less than 2 % valid pixels have none.

    Raises
    ------
    InputError
        If the sizes of image, camera and depth differ, or the depth has another type.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import CameraModel, Detections, locate, Timing
    >>> camera = CameraModel((640, 480), np.array([[500, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]))
    >>> found = Detections(
    ...     np.array([[320, 190, 420, 290]]), np.array([0]), np.array([0.9]),
    ...     np.array(['cup'], object), (640, 480), Timing(0.0, 0.0, 0.0))
    >>> where = locate(found, camera, np.full((480, 640), 2000, np.uint16))
    >>> where.points, where.sizes
    (array([[0.2, 0. , 2. ]]), array([[0.4, 0.4, 0. ]]))

    """
    width, height = detections.image_size
    if camera.image_size != (width, height):
        raise InputError(
            f'the camera is one of {camera.image_size[0]}x{camera.image_size[1]} pixels, but the '
            f'image has {width}x{height}: use the camera_info of this image')
    if depth.shape != (height, width):
        size = 'x'.join(str(side) for side in depth.shape[::-1])
        raise InputError(
            f'the depth image has {size} pixels, but the image has {width}x{height}: use the '
            'depth that is registered to the image')
    if depth.dtype not in (np.float32, np.uint16):
        raise InputError(f'the depth is {depth.dtype} but must be float32 (metres) or uint16 '
                         '(millimetres)')
    count = len(detections)
    points, sizes = np.full((count, 3), np.nan), np.full((count, 3), np.nan)
    missing: list[Missing | None] = [None] * count
    boxes = detections.boxes.astype(np.float64)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    # Middle, left, right, top, bottom of each box.
    seen_at = np.stack([middle, *(np.stack(pair, axis=1) for pair in (
        (boxes[:, 0], middle[:, 1]), (boxes[:, 2], middle[:, 1]),
        (middle[:, 0], boxes[:, 1]), (middle[:, 0], boxes[:, 3])))])
    rays = camera.rays(seen_at.reshape(-1, 2)).reshape(5, count, 3)
    for row in range(count):
        seen = _measure(detections, row, depth)
        ray = rays[:, row]
        if seen.valid < _LEAST_VALID:
            missing[row] = Missing('invalid', 1.0 - seen.valid)
        elif not np.isfinite(ray).all():
            missing[row] = Missing('no_ray')
        else:
            points[row] = ray[0] * seen.depth
            across, down = ray[2, 0] - ray[1, 0], ray[4, 1] - ray[3, 1]
            sizes[row] = across * seen.depth, down * seen.depth, seen.far - seen.near
            # Behind the box's object there may be a wall.
            if detections.masks is None:
                sizes[row, 2] = min(sizes[row, 2], max(sizes[row, :2]))
    # Of the camera itself, which may not be where its frame is.
    distances = np.sqrt(np.einsum('ij,ij->i', points, points))
    return Positions(camera.to_frame(points), sizes, tuple(missing), distances)


def _measure(detections: Detections, row: int, depth: NDArray[Any]) -> _Seen:
    """Return the depth of an object, from the pixels of its mask or its box."""
    if detections.masks is not None:
        cut = detections.masks.cutout(row, detections.image_size)
        height, width = cut.pixels.shape
        step = _step(width * height)
        pixels = depth[cut.y:cut.y + height:step, cut.x:cut.x + width:step][
            cut.pixels[::step, ::step]]
        quantile = 0.5
    else:
        x1, y1, x2, y2 = detections.boxes[row].tolist()
        left, top = int(x1), int(y1)
        right, bottom = max(left + 1, int(np.ceil(x2))), max(top + 1, int(np.ceil(y2)))
        step = _step((right - left) * (bottom - top))
        pixels = depth[top:bottom:step, left:right:step].ravel()
        quantile = _QUANTILE
    if not pixels.size:
        return _Seen(np.nan, np.nan, np.nan, 0.0)
    if pixels.dtype == np.uint16:
        good, unit = pixels[pixels != 0], 1e-3
    else:
        good, unit = pixels[(pixels > 0) & (pixels < np.inf)], 1.0
    valid = good.size / pixels.size
    if valid < _LEAST_VALID:
        return _Seen(np.nan, np.nan, np.nan, valid)
    ranks = [round(part * (good.size - 1)) for part in (0.05, quantile, 0.95)]
    # Faster than np.partition: it uses the processor's vectors for a few thousand numbers.
    ordered = np.sort(good)
    near, surface, far = (float(ordered[rank]) * unit for rank in ranks)
    return _Seen(surface, near, far, valid)


def _step(pixels: int) -> int:
    """Return the distance of the rows and columns that are looked at."""
    return max(1, int(np.sqrt(pixels / _SAMPLES)))
