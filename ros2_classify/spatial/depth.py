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

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError
from ros2_classify.results.detections import Detections
from ros2_classify.spatial.camera import CameraModel, Floats
from ros2_classify.spatial.positions import Missing, Positions

# Of the pixels of a box, or of a mask; fewer are chance.
_LEAST_VALID = 0.02
# A quarter of a box shows what is behind the object and, at its front, an edge of what is before
# it: in synthetic views the only quantile that is right for solid objects and rings.
_QUANTILE = 0.25
# Of more pixels than this, only those on a grid are looked at.
_SAMPLES = 1024


class _Seen(NamedTuple):
    """Depths of all objects in metres: of the surface, from and to; the share of valid pixels."""

    depth: Floats
    near: Floats
    far: Floats
    valid: Floats


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
    boxes = detections.boxes.astype(np.float64)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    # Middle, left, right, top, bottom of each box.
    seen_at = np.tile(middle, (5, 1, 1))
    seen_at[1, :, 0], seen_at[2, :, 0] = boxes[:, 0], boxes[:, 2]
    seen_at[3, :, 1], seen_at[4, :, 1] = boxes[:, 1], boxes[:, 3]
    rays = camera.rays(seen_at.reshape(-1, 2)).reshape(5, count, 3)
    seen = _measure(detections, depth)
    enough = seen.valid >= _LEAST_VALID
    known = enough & np.isfinite(rays).all(axis=(0, 2))
    missing: list[Missing | None] = [None] * count
    for row in np.flatnonzero(~known).tolist():
        missing[row] = Missing('no_ray') if enough[row] else (
            Missing('invalid', 1.0 - float(seen.valid[row])))
    surface = np.where(known, seen.depth, np.nan)
    points = rays[0] * surface[:, None]
    # Of the camera itself, which may not be where its frame is.
    distances = np.sqrt(np.einsum('ij,ij->i', points, points))
    sizes = np.stack((rays[2, :, 0] - rays[1, :, 0], rays[4, :, 1] - rays[3, :, 1],
                      np.ones(count)), axis=1)
    sizes *= surface[:, None]
    thick = np.where(known, seen.far - seen.near, np.nan)
    # Behind the box's object there may be a wall.
    sizes[:, 2] = thick if detections.masks is not None else (
        np.minimum(thick, sizes[:, :2].max(axis=1)))
    return Positions(camera.to_frame(points), sizes, tuple(missing), distances)


def _measure(detections: Detections, depth: NDArray[Any]) -> _Seen:
    """Return the depths of all objects, from the pixels of their masks or their boxes."""
    count = len(detections)
    # One row for each object; what is left of it stays invalid.
    pixels: NDArray[Any] = np.zeros((count, _SAMPLES), depth.dtype)
    counts = np.zeros(count, int)
    if detections.masks is not None:
        quantile = 0.5
        for row in range(count):
            cut = detections.masks.cutout(row, detections.image_size)
            height, width = cut.pixels.shape
            step = _step(width, height)
            seen = depth[cut.y:cut.y + height:step, cut.x:cut.x + width:step][
                cut.pixels[::step, ::step]]
            counts[row] = seen.size
            pixels[row, :seen.size] = seen
    else:
        quantile = _QUANTILE
        edges = np.empty((count, 4), int)
        edges[:, :2] = np.floor(detections.boxes[:, :2])
        edges[:, 2:] = np.maximum(edges[:, :2] + 1, np.ceil(detections.boxes[:, 2:]))
        for row, (left, top, right, bottom) in enumerate(edges.tolist()):
            step = _step(right - left, bottom - top)
            crop = depth[top:bottom:step, left:right:step]
            counts[row] = crop.size
            pixels[row, :crop.size].reshape(crop.shape)[...] = crop
    pixels = pixels[:, :int(counts.max(initial=0))]
    bad = pixels == 0 if depth.dtype == np.uint16 else ~((pixels > 0) & (pixels < np.inf))
    good = pixels.shape[1] - np.count_nonzero(bad, axis=1)
    # Behind all others when they are in order.
    pixels[bad] = np.iinfo(np.uint16).max if depth.dtype == np.uint16 else np.inf
    # Faster than np.partition: it uses the processor's vectors for a thousand numbers.
    pixels.sort(axis=1)
    rows = np.flatnonzero(good)
    values = np.full((3, count), np.nan)
    for number, part in enumerate((quantile, 0.05, 0.95)):
        values[number, rows] = pixels[rows, np.rint(part * (good[rows] - 1)).astype(int)]
    if depth.dtype == np.uint16:
        values *= 1e-3
    return _Seen(values[0], values[1], values[2], good / np.maximum(counts, 1))


def _step(width: int, height: int) -> int:
    """Return the distance of the rows and columns that are looked at."""
    step = max(1, math.isqrt(max(0, width * height - 1) // _SAMPLES))
    # Rows and columns are whole ones.
    while -(-width // step) * -(-height // step) > _SAMPLES:
        step += 1
    return step
