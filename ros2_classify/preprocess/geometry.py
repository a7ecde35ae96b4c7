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

"""How an image is cropped and resized for a model, and how boxes map back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.model.input_spec import InputSpec

# OpenCV's 'nearest' samples at pixel corners, and its exact variant crashes on images wider than
# 32767 pixels: NEAREST marks a step that does not use OpenCV.
NEAREST = -1
_FILTERS = {
    'area': cv2.INTER_AREA, 'linear': cv2.INTER_LINEAR, 'nearest': NEAREST,
    'cubic': cv2.INTER_CUBIC, 'pyramid': cv2.INTER_LINEAR,
}

# An image is enlarged whole before the crop up to this many times the model's pixels.
_MOST_ENLARGED = 16


@dataclass(frozen=True)
class Geometry:
    """
    How model pixels map to source pixels: ``source = model * scale + offset``, each axis.

    Coordinates are continuous: pixel ``i`` covers ``[i, i + 1)`` and has its centre at
    ``i + 0.5``, so an image ``w`` pixels wide spans ``0`` to ``w`` and resizing is a pure
    scaling, with no half-pixel terms. (`cv2.resize` samples by the same convention.) Sizes are
    width and height.
    """

    scale_x: float  # source pixels for each model pixel
    scale_y: float
    offset_x: float  # source position of the model image's left edge; negative in a letterbox
    offset_y: float
    source_size: tuple[int, int]
    model_size: tuple[int, int]
    # x, y, width, height of the whole source; None if it was cut
    window: tuple[int, int, int, int] | None = None
    # x, y, width, height of the part of the source that was planned for; None: all of it
    crop: tuple[int, int, int, int] | None = None

    def cropped(self, x: int, y: int, source_size: tuple[int, int]) -> Geometry:
        """Return that of a crop as that of the source from which it was cut at ``x``, ``y``."""
        return replace(
            self, offset_x=self.offset_x + x, offset_y=self.offset_y + y,
            source_size=source_size, crop=(x, y, *self.source_size))

    @property
    def given_size(self) -> tuple[int, int]:
        """The size of what was planned for: the source image, or its crop."""
        return self.source_size if self.crop is None else self.crop[2:]

    @property
    def origin(self) -> tuple[int, int]:
        """Where in the source image what was planned for begins."""
        return (0, 0) if self.crop is None else self.crop[:2]

    # Cached, because each frame needs them.

    @cached_property
    def _scale(self) -> NDArray[np.float64]:
        return np.array((self.scale_x, self.scale_y) * 2)

    @cached_property
    def _offset(self) -> NDArray[np.float64]:
        return np.array((self.offset_x, self.offset_y) * 2)

    @cached_property
    def _low(self) -> NDArray[np.float64] | float:
        return 0.0 if self.crop is None else np.array(self.crop[:2] * 2, np.float64)

    @cached_property
    def _limit(self) -> NDArray[np.float64]:
        return np.array(self.given_size * 2, np.float64) + self._low

    @cached_property
    def given_box(self) -> NDArray[np.float64]:
        """The whole of what was planned for as ``x1, y1, x2, y2``, in its own pixels."""
        return np.array((0, 0, *self.given_size), np.float64)

    @cached_property
    def model_box(self) -> NDArray[np.float64]:
        """The whole of what was planned for as ``x1, y1, x2, y2``, in model pixels."""
        return (self.given_box + self._low - self._offset) / self._scale

    def to_source(self, boxes: NDArray[np.float32], *, clip: bool = True) -> NDArray[np.float32]:
        """Map boxes from model pixels to source pixels."""
        mapped = boxes * self._scale + self._offset
        if clip:
            # Two calls take half the time of np.clip for few boxes.
            np.minimum(np.maximum(mapped, self._low, out=mapped), self._limit, out=mapped)
        result: NDArray[np.float32] = mapped.astype(np.float32)
        return result

    def clip(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clip boxes in source pixels to what was planned for: the source image, or its crop."""
        return np.clip(boxes, np.float32(self._low), self._limit.astype(np.float32))

    def places(self, axis: int, cells: int) -> tuple[int, NDArray[np.float64]]:
        """Return the first source pixel that the model sees, and the grid cell of each."""
        scale, offset = ((self.scale_x, self.offset_x), (self.scale_y, self.offset_y))[axis]
        begin = 0 if self.crop is None else self.crop[axis]
        model = (np.arange(self.given_size[axis]) + begin + 0.5 - offset) / scale
        start, end, first = 0, self.model_size[axis], begin
        if self.window is not None:
            # All pixels are shown, even the few at the end that halving dropped.
            start, end = self.window[axis], self.window[axis] + self.window[axis + 2]
        else:
            shown = np.flatnonzero((model >= start) & (model < end))
            first = begin + (int(shown[0]) if len(shown) else 0)
            model = model[shown]
        factor = cells / self.model_size[axis]
        return first, np.clip(model, start, np.nextafter(float(end), 0.0)) * factor


@dataclass(frozen=True)
class Plan:
    """How images of one size are resized and cropped; sizes are width and height."""

    source_size: tuple[int, int]
    model_size: tuple[int, int]
    roi: tuple[int, int, int, int]  # the part that is read: x, y, width, height in pixels
    halvings: int  # of that part, before the last step
    scaled: tuple[int, int]  # what it is resized to
    cut: tuple[int, int]  # where the window begins in what was resized
    window: tuple[int, int, int, int]  # where that is in the model's input: x, y, width, height
    interpolation: int  # OpenCV's number for the last step, or `NEAREST`
    # (step_x, step_y, x, y) in source pixels: a thin image's centre, sampled in one step
    shift: tuple[float, float, float, float] | None
    geometry: Geometry


def make_plan(spec: InputSpec, source_size: tuple[int, int]) -> Plan:
    """Plan which part of an image is read, and where it is in the model input."""
    model = spec.size_for(source_size)
    if spec.resize == 'center_crop':
        return _center_crop(spec, source_size, model)
    window = (0, 0, *model)
    if spec.resize == 'letterbox':
        ratio = min(model[0] / source_size[0], model[1] / source_size[1])
        centered = spec.anchor == 'center'
        # As published: YOLOX (top left) truncates, the Ultralytics family (centre) rounds. Half a
        # pixel moves some scores by 0.05.
        fit = round if centered else _whole
        size = (_clamp(fit(source_size[0] * ratio), 1, model[0]),
                _clamp(fit(source_size[1] * ratio), 1, model[1]))
        window = ((model[0] - size[0]) // 2 if centered else 0,
                  (model[1] - size[1]) // 2 if centered else 0, *size)
    return _resized(spec, source_size, model, (0, 0, *source_size), window[2:], (0, 0), window)


def _center_crop(
    spec: InputSpec, source: tuple[int, int], model: tuple[int, int],
) -> Plan:
    """
    Plan the usual classifier's input: scaled to a round number of pixels, then cut to the middle.

    The rounding and the cut's first pixel (``(long - size) // 2``) are those that models were
    trained and published with; half a pixel more or less moves some scores by a tenth.
    """
    ratio = max(model[0] / source[0], model[1] / source[1]) / spec.crop_fraction
    scaled = (max(model[0], round(source[0] * ratio)), max(model[1], round(source[1] * ratio)))
    cut = ((scaled[0] - model[0]) // 2, (scaled[1] - model[1]) // 2)
    window = (0, 0, *model)
    if scaled[0] <= source[0] and scaled[1] <= source[1]:
        # Shrinking: pixels that are cropped are not read, if that changes no other pixel.
        x, width, scaled_x, cut_x = _trim(source[0], scaled[0], cut[0], model[0])
        y, height, scaled_y, cut_y = _trim(source[1], scaled[1], cut[1], model[1])
        return _resized(spec, source, model, (x, y, width, height), (scaled_x, scaled_y),
                        (cut_x, cut_y), window)
    if scaled[0] * scaled[1] <= _MOST_ENLARGED * model[0] * model[1]:
        return _resized(spec, source, model, (0, 0, *source), scaled, cut, window)
    # A thin image would become enormous first, so only the model's pixels are sampled, to a 32nd
    # of a source pixel.
    step = (source[0] / scaled[0], source[1] / scaled[1])
    first = (cut[0] * step[0], cut[1] * step[1])
    x, x_end = _cover(first[0], model[0] * step[0], source[0])
    y, y_end = _cover(first[1], model[1] * step[1], source[1])
    # From centre to centre: pixel i is at i + 0.5.
    shift = (*step, first[0] - x + step[0] / 2 - 0.5, first[1] - y + step[1] / 2 - 0.5)
    interpolation = {'nearest': cv2.INTER_NEAREST, 'cubic': cv2.INTER_CUBIC}.get(
        spec.interpolation, cv2.INTER_LINEAR)
    return Plan(
        source_size=source, model_size=model, roi=(x, y, x_end - x, y_end - y), halvings=0,
        scaled=model, cut=(0, 0), window=window, interpolation=interpolation, shift=shift,
        geometry=Geometry(*step, *first, source, model))


def _resized(
    spec: InputSpec, source: tuple[int, int], model: tuple[int, int],
    roi: tuple[int, int, int, int], scaled: tuple[int, int], cut: tuple[int, int],
    window: tuple[int, int, int, int],
) -> Plan:
    """Plan a part of the source that is resized, cut, and put into the model input."""
    x, y, width, height = roi
    halvings = 0
    interpolation = _FILTERS[spec.interpolation]
    if spec.interpolation == 'area' and (scaled[0] > width or scaled[1] > height):
        interpolation = cv2.INTER_LINEAR
    if spec.interpolation == 'pyramid':
        while width >> halvings + 1 >= scaled[0] and height >> halvings + 1 >= scaled[1]:
            halvings += 1
        # Pixels that don't halve evenly are dropped: less than one model pixel.
        width, height = width >> halvings << halvings, height >> halvings << halvings
    scale_x, scale_y = width / scaled[0], height / scaled[1]
    return Plan(
        source_size=source, model_size=model, roi=(x, y, width, height), halvings=halvings,
        scaled=scaled, cut=cut, window=window, interpolation=interpolation, shift=None,
        geometry=Geometry(
            scale_x, scale_y, x + (cut[0] - window[0]) * scale_x,
            y + (cut[1] - window[1]) * scale_y, source, model,
            window if spec.resize != 'center_crop' else None))


def _trim(source: int, scaled: int, cut: int, wanted: int) -> tuple[int, int, int, int]:
    """Exclude from a resize what is cropped: the grids meet at each ``gcd``-th part of an axis."""
    parts = math.gcd(source, scaled)
    source_step, scaled_step = source // parts, scaled // parts
    first, last = cut // scaled_step, -(-(cut + wanted) // scaled_step)
    return (first * source_step, (last - first) * source_step, (last - first) * scaled_step,
            cut - first * scaled_step)


def _whole(value: float) -> int:
    """Truncate, but 415.99999999999994 is 416."""
    return math.floor(value + 1e-6)


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _cover(offset: float, length: float, limit: int) -> tuple[int, int]:
    """Return the whole pixels around a stretch, and two more for the filters."""
    return max(0, math.floor(offset) - 2), min(limit, math.ceil(offset + length) + 2)
