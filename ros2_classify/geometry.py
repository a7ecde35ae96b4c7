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

"""Where a network's pixels lie on the picture: how the picture is cut, and how boxes map back."""

from __future__ import annotations

from dataclasses import dataclass
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.descriptor import InputSpec

# The exact kind of nearest is the one that samples at pixel centres, as all the others do.
_FILTERS = {
    'area': cv2.INTER_AREA, 'linear': cv2.INTER_LINEAR, 'nearest': cv2.INTER_NEAREST_EXACT,
    'cubic': cv2.INTER_CUBIC, 'pyramid': cv2.INTER_LINEAR,
}


@dataclass(frozen=True)
class Geometry:
    """
    How network pixels map to source pixels: ``source = network * scale + offset``, each axis.

    Coordinates are continuous: pixel ``i`` covers ``[i, i + 1)`` and has its centre at
    ``i + 0.5``, so a picture ``w`` pixels wide spans ``0`` to ``w`` and resizing is a pure
    scaling, with no half-pixel terms. (`cv2.resize` samples by the same convention.)

    Parameters
    ----------
    scale_x, scale_y : float
        Source pixels for each network pixel.
    offset_x, offset_y : float
        Source position of the network picture's top left corner; negative inside a letterbox
        that begins with padding.
    source_size : tuple of int
        Width and height of the source picture.
    network_size : tuple of int
        Width and height of the network's picture.

    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    source_size: tuple[int, int]
    network_size: tuple[int, int]

    def to_source(self, boxes: NDArray[np.float32], *, clip: bool = True) -> NDArray[np.float32]:
        """
        Map boxes from the network's picture to the source picture.

        Parameters
        ----------
        boxes : ndarray of float, shape (N, 4)
            ``x1, y1, x2, y2`` in network pixels; not modified.
        clip : bool
            Whether to cut them to the picture.

        Returns
        -------
        ndarray of float32, shape (N, 4)
            ``x1, y1, x2, y2`` in source pixels.

        """
        scale = np.array((self.scale_x, self.scale_y) * 2)
        offset = np.array((self.offset_x, self.offset_y) * 2)
        mapped = boxes * scale + offset
        if clip:
            np.clip(mapped, 0.0, np.array(self.source_size * 2, np.float64), out=mapped)
        result: NDArray[np.float32] = mapped.astype(np.float32)
        return result

    def to_network(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """
        Map boxes from the source picture to the network's: `to_source` turned round, not clipped.

        Parameters
        ----------
        boxes : ndarray of float, shape (N, 4)
            ``x1, y1, x2, y2`` in source pixels; not modified.

        Returns
        -------
        ndarray of float32, shape (N, 4)
            ``x1, y1, x2, y2`` in network pixels.

        """
        scale = np.array((self.scale_x, self.scale_y) * 2)
        offset = np.array((self.offset_x, self.offset_y) * 2)
        mapped: NDArray[np.float32] = ((boxes - offset) / scale).astype(np.float32)
        return mapped


@dataclass(frozen=True)
class Plan:
    """What to do with pictures of one size; worked out once and kept for the next frame."""

    source_size: tuple[int, int]
    network_size: tuple[int, int]
    # The part of the source that is read: x, y, width, height in whole pixels.
    roi: tuple[int, int, int, int]
    # How often that part is halved before the last step (interpolation 'pyramid').
    halvings: int
    # Where the result sits in the network's picture: x, y, width, height.
    window: tuple[int, int, int, int]
    interpolation: int
    # For a growing centre crop, whose part of the source begins between two pixels.
    shift: tuple[float, float, float] | None
    geometry: Geometry


def make_plan(spec: InputSpec, source_size: tuple[int, int]) -> Plan:
    """
    Work out which part of a picture is read, and where it lands.

    Parameters
    ----------
    spec : InputSpec
        What the network wants; its size is known or 'source'.
    source_size : tuple of int
        Width and height of the picture.

    Returns
    -------
    Plan
        The same for every picture of this size.

    """
    width, height = source_size
    if not isinstance(spec.size, tuple):
        target = source_size
    else:
        target = spec.size
    roi = (0, 0, width, height)
    window = (0, 0, *target)
    shift: tuple[float, float, float] | None = None
    offset_x, offset_y = 0.0, 0.0
    if spec.resize == 'center_crop':
        # Network pixels for each source pixel, so that the crop shows this part of the picture.
        ratio = max(target[0] / width, target[1] / height) / spec.crop_fraction
        seen = (target[0] / ratio, target[1] / ratio)
        offset_x, offset_y = (width - seen[0]) / 2, (height - seen[1]) / 2
        if ratio <= 1.0:
            # Shrinking: cut whole source pixels, each at most one of the network's, in one step.
            size = (_clamp(round(seen[0]), 1, width), _clamp(round(seen[1]), 1, height))
            roi = (round((width - size[0]) / 2), round((height - size[1]) / 2), *size)
        else:
            # Growing: the cut runs through source pixels, so a shift does it exactly.
            x0, x1 = _cover(offset_x, seen[0], width)
            y0, y1 = _cover(offset_y, seen[1], height)
            roi = (x0, y0, x1 - x0, y1 - y0)
            step = 1 / ratio
            # From centre to centre: pixel i lies at i + 0.5.
            shift = (step, offset_x - x0 + step / 2 - 0.5, offset_y - y0 + step / 2 - 0.5)
    elif spec.resize == 'letterbox':
        ratio = min(target[0] / width, target[1] / height)
        size = (_clamp(round(width * ratio), 1, target[0]),
                _clamp(round(height * ratio), 1, target[1]))
        left, top = ((target[0] - size[0]) // 2, (target[1] - size[1]) // 2) \
            if spec.anchor == 'center' else (0, 0)
        window = (left, top, *size)
    interpolation, halvings = _FILTERS[spec.interpolation], 0
    if shift is not None:
        scale_x = scale_y = shift[0]
        if spec.interpolation in ('area', 'nearest'):
            interpolation = cv2.INTER_LINEAR if spec.interpolation == 'area' else cv2.INTER_NEAREST
    else:
        shrinks = window[2] <= roi[2] and window[3] <= roi[3]
        if spec.interpolation == 'area' and not shrinks:
            interpolation = cv2.INTER_LINEAR
        if spec.interpolation == 'pyramid':
            while min(roi[2] >> halvings + 1, roi[3] >> halvings + 1) and (
                    roi[2] >> halvings + 1 >= window[2] and roi[3] >> halvings + 1 >= window[3]):
                halvings += 1
            # Pixels that don't halve evenly go: together less than one of the network's.
            roi = (roi[0], roi[1], roi[2] >> halvings << halvings, roi[3] >> halvings << halvings)
        scale_x, scale_y = roi[2] / window[2], roi[3] / window[3]
        offset_x, offset_y = roi[0] - window[0] * scale_x, roi[1] - window[1] * scale_y
    return Plan(
        source_size=source_size, network_size=target, roi=roi, halvings=halvings, window=window,
        interpolation=interpolation, shift=shift,
        geometry=Geometry(scale_x, scale_y, offset_x, offset_y, source_size, target))


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _cover(offset: float, length: float, limit: int) -> tuple[int, int]:
    """Return the whole pixels around a stretch, with two more for the filters to reach."""
    return max(0, math.floor(offset) - 2), min(limit, math.ceil(offset + length) + 2)
