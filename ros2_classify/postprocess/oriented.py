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
Boxes with an angle: suppression by their true overlap, and their way back to the source image.

A row is ``center x, center y, width, height, angle``; the angle, in radians, turns x towards y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.boxes import upright
from ros2_classify.options import MAX_CANDIDATES
from ros2_classify.preprocess.geometry import Geometry

_Rows = NDArray[np.float64]
# Beyond any image.
_FAR = 1e6


def corners(oriented: NDArray[np.floating]) -> _Rows:
    """Return the four corners of each row, ``(N, 4, 2)``, in order around the box."""
    rows = np.asarray(oriented, np.float64)
    cos, sin = np.cos(rows[:, 4]), np.sin(rows[:, 4])
    across = np.stack((cos, sin), axis=1) * rows[:, 2:3] / 2
    along = np.stack((-sin, cos), axis=1) * rows[:, 3:4] / 2
    center = rows[:, :2]
    return np.stack((center - across - along, center + across - along,
                     center + across + along, center - across + along), axis=1)


def shared_areas(one: _Rows, others: _Rows) -> _Rows:
    """
    Return the area that a row ``(5,)`` shares with each of the others ``(N, 5)``, exactly.

    In the frame of the one box, the area is the integral over its width of how much of each
    vertical line the other box covers; along an edge of it that is a clamped line.
    """
    cos, sin = np.cos(one[4]), np.sin(one[4])
    turned = (corners(others) - one[:2]) @ np.array(((cos, -sin), (sin, cos)))
    half_width, half_height = one[2] / 2, one[3] / 2
    start, end = turned, np.roll(turned, -1, axis=1)
    run = end[..., 0] - start[..., 0]
    steep = np.abs(run) < 1e-12
    slope = (end[..., 1] - start[..., 1]) / np.where(steep, 1.0, run)
    left = np.clip(start[..., 0], -half_width, half_width)
    right = np.clip(end[..., 0], -half_width, half_width)
    first = start[..., 1] + (left - start[..., 0]) * slope
    last = start[..., 1] + (right - start[..., 0]) * slope
    rise = last - first
    flat = np.abs(rise) < 1e-9
    mean = np.where(
        flat, np.clip((first + last) / 2, -half_height, half_height),
        (_clamped(last, half_height) - _clamped(first, half_height)) / np.where(flat, 1.0, rise))
    areas: _Rows = np.abs(np.where(steep, 0.0, mean * (right - left)).sum(axis=1))
    return areas


def _clamped(place: _Rows, limit: float) -> _Rows:
    """Return the antiderivative of a number that is cut to ``-limit`` and ``limit``."""
    inner = np.clip(place, -limit, limit)
    return inner ** 2 / 2 + limit * np.abs(place - inner)


def rotated_suppression(
    oriented: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int64],
    threshold: float, *, candidates: int = MAX_CANDIDATES, smaller: bool = False,
) -> NDArray[np.int64]:
    """
    Keep the best of the oriented boxes that overlap, class by class; the rows, best first.

    Measured is intersection over union, or with ``smaller`` over the smaller area.
    """
    order = np.argsort(-scores, kind='stable')[:candidates]
    if len(order) <= 1 or threshold >= 1.0:
        return order
    rows, classes = oriented[order].astype(np.float64), class_ids[order]
    rows[:, 2:4] = np.maximum(rows[:, 2:4], 0.0)
    around, areas = upright(rows), rows[:, 2] * rows[:, 3]
    alive = np.ones(len(order), bool)
    for row in range(len(order) - 1):
        if not alive[row]:
            continue
        rest = row + 1 + np.flatnonzero(alive[row + 1:] & (classes[row + 1:] == classes[row]))
        size = (np.minimum(around[row, 2:], around[rest, 2:])
                - np.maximum(around[row, :2], around[rest, :2]))
        rest = rest[(size > 0).all(axis=1)]
        if len(rest):
            shared = shared_areas(rows[row], rows[rest])
            whole = np.minimum(areas[row], areas[rest]) if smaller else (
                areas[row] + areas[rest] - shared)
            # Multiplied instead of divided: the area may be 0.
            alive[rest[shared > threshold * whole]] = False
    return order[alive]


def to_source(oriented: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """
    Map rows from model pixels to source pixels; angles are from -pi/2 up to pi/2.

    A stretch turns a rectangle into a parallelogram. The row stands for its second moments, as in
    the loss that such models are trained with (https://arxiv.org/abs/2106.06072): these are
    mapped, and the rectangle with the mapped ones is returned. Where both axes have one scale,
    that is the same rectangle, larger or smaller.
    """
    rows = np.clip(np.asarray(oriented, np.float64), -_FAR, _FAR)
    scale = np.array((geometry.scale_x, geometry.scale_y))
    center = rows[:, :2] * scale + (geometry.offset_x, geometry.offset_y)
    size, angle = rows[:, 2:4] * scale, rows[:, 4]
    if not np.isclose(scale[0], scale[1], rtol=1e-4):
        direction = np.stack((np.cos(angle), np.sin(angle)), axis=1)
        first = direction * scale * rows[:, 2:3]
        second = np.stack((-direction[:, 1], direction[:, 0]), axis=1) * scale * rows[:, 3:4]
        moments = (first[:, :, np.newaxis] * first[:, np.newaxis]
                   + second[:, :, np.newaxis] * second[:, np.newaxis])
        squares, axes = np.linalg.eigh(moments)
        sides = np.sqrt(np.maximum(squares, 0.0))
        # The width stays the side that is nearer to its mapped direction.
        major = (np.abs(np.einsum('ni,nij->nj', first, axes)).argmax(axis=1)
                 if len(rows) else np.zeros(0, np.int64))
        each = np.arange(len(rows))
        size = np.stack((sides[each, major], sides[each, 1 - major]), axis=1)
        chosen = axes[each, :, major]
        angle = np.arctan2(chosen[:, 1], chosen[:, 0])
    angle = (angle + np.pi / 2) % np.pi - np.pi / 2
    result: NDArray[np.float32] = np.concatenate(
        (center, size, angle[:, np.newaxis]), axis=1).astype(np.float32)
    return result
