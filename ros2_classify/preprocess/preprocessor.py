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

"""Pixels to tensor, and how boxes map back: the first and the last step of the pipeline."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import DescriptorError, InputError
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.preprocess.geometry import Geometry, make_plan, NEAREST, Plan

__all__ = ['Geometry', 'Image', 'Preprocessor', 'SOURCE_COLORS', 'check_image']

Image = NDArray[np.uint8]

# With cameras of more sizes than this, plans and buffers are made again.
_MOST_SIZES = 8

# Colour of a source image -> its number of channels.
SOURCE_COLORS = {'mono': 1, 'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}

_TO_GRAY = {
    'rgb': cv2.COLOR_RGB2GRAY, 'bgr': cv2.COLOR_BGR2GRAY,
    'rgba': cv2.COLOR_RGBA2GRAY, 'bgra': cv2.COLOR_BGRA2GRAY,
}
_REORDER = {
    ('mono', 'rgb'): cv2.COLOR_GRAY2RGB, ('mono', 'bgr'): cv2.COLOR_GRAY2BGR,
    ('rgb', 'bgr'): cv2.COLOR_RGB2BGR, ('bgr', 'rgb'): cv2.COLOR_BGR2RGB,
    ('rgba', 'rgb'): cv2.COLOR_RGBA2RGB, ('rgba', 'bgr'): cv2.COLOR_RGBA2BGR,
    ('bgra', 'rgb'): cv2.COLOR_BGRA2RGB, ('bgra', 'bgr'): cv2.COLOR_BGRA2BGR,
}


class Preprocessor:
    """
    Turns images into rows of a model's input tensor, without allocating for known sizes.

    A row is valid until the next image is written to it; an instance serves one thread at a time.

    The image is resized as 8-bit pixels first, so that all else works on the small one; channels
    are reordered while the planes are split; scale, mean and standard deviation are one fused
    multiply and add from 8 bits into the tensor, or one table of all 256 pixel values.
    """

    def __init__(self, spec: InputSpec, rows: int = 1, *, copies: bool = False) -> None:
        assert rows == 1 or spec.size != 'source', 'images of several sizes fill no tensor'
        self._spec = spec
        self._rows = rows
        self._copies = copies  # of an image that is the tensor, too
        self._dtype: np.dtype[Any] = np.dtype(spec.dtype)
        self._plans: dict[tuple[int, int], Plan] = {}
        self._tensor: NDArray[Any] = np.empty(0)
        # The image that is the tensor itself, or None.
        self._image: NDArray[Any] | None = None
        # The part of each row inside the padding; None before the first image.
        self._windows: list[tuple[int, int, int, int] | None] = []
        self._scratch: dict[tuple[str, tuple[int, ...]], Image] = {}
        self._shrinkers: dict[tuple[tuple[int, ...], tuple[int, int]], AreaShrinker] = {}
        # (pixel * scale - mean) / std  =  pixel * gain + bias
        self._gain = tuple(spec.scale / std for std in spec.std)
        self._bias = tuple(-mean / std for mean, std in zip(spec.mean, spec.std))
        self._whole = self._dtype.kind in 'iu' and spec.quantization is None
        if self._whole and spec.dtype == 'int8':
            raise DescriptorError(
                f'input.dtype {spec.dtype} does not hold pixels from 0 to 255; give '
                'input.quantization: {scale: ..., zero_point: ...}')
        self._uniform = len(set(zip(self._gain, self._bias))) == 1
        self._tables = self._make_tables()

    @property
    def spec(self) -> InputSpec:
        """The input of the model."""
        return self._spec

    def __call__(self, image: Image, color: str = 'rgb', row: int = 0) -> Geometry:
        """Write an image into a row, unless InputError; one that is the tensor isn't copied."""
        image = check_image(image, color)
        plan = self._plan_for(_size_of(image))
        if self._is_direct(image, color, plan):
            self._image = image[np.newaxis] if image.ndim == 3 else \
                image[np.newaxis, ..., np.newaxis]
            return plan.geometry
        self._image = None
        self._make_room(plan, row)
        self._fill(self._resize(image, plan), color, plan, row)
        return plan.geometry

    def tensor(self, count: int = 1) -> NDArray[Any]:
        """Return the first rows of the tensor, not copied."""
        return self._tensor[:count] if self._image is None else self._image

    @property
    def borrows(self) -> bool:
        """Whether an image is the tensor itself, which then is elsewhere in memory."""
        return self._image is not None

    def release(self) -> None:
        """Release an image that was the tensor itself."""
        self._image = None

    def _make_tables(self) -> list[NDArray[Any]]:
        """Return lookup tables of the 256 pixel values: one for each channel, then one for all."""
        values = np.arange(256.0)[:, np.newaxis] * self._gain + self._bias
        table = self._encode(values)[np.newaxis]
        if self._dtype == np.float16:
            # As 16-bit integers: OpenCV has no lookup tables of float16.
            table = table.view(np.uint16)
        return [*(np.ascontiguousarray(table[..., c]) for c in range(table.shape[2])), table]

    def _encode(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Return numbers in the type of the tensor, quantized as ONNX's QuantizeLinear does."""
        quantization = self._spec.quantization
        if quantization is not None and self._dtype.kind in 'iu':
            limits = np.iinfo(self._dtype)
            values = np.clip(np.rint(values / quantization.scale) + quantization.zero_point,
                             limits.min, limits.max)
        return values.astype(self._dtype)

    def _is_direct(self, image: Image, color: str, plan: Plan) -> bool:
        """Tell whether the image already is the tensor, so that nothing is copied."""
        spec = self._spec
        same = color == spec.color or (color == 'mono' and spec.color == 'gray')
        return (same and self._rows == 1 and not self._copies and self._whole
                and self._dtype == np.uint8 and spec.layout == 'nhwc'
                and plan.source_size == plan.scaled == plan.model_size == plan.window[2:]
                and image.flags.c_contiguous)

    def _plan_for(self, size: tuple[int, int]) -> Plan:
        """Return the plan for images of a size; those of a few sizes are cached."""
        plan = self._plans.get(size)
        if plan is None:
            if len(self._plans) >= _MOST_SIZES:
                self._plans.clear()
                self._scratch.clear()
                self._shrinkers.clear()
            plan = self._plans[size] = make_plan(self._spec, size)
        return plan

    def _make_room(self, plan: Plan, row: int) -> None:
        """Allocate the tensor and write the padding of the row."""
        spec = self._spec
        width, height = plan.model_size
        shape = ((self._rows, spec.channels, height, width) if spec.layout == 'nchw'
                 else (self._rows, height, width, spec.channels))
        if self._tensor.shape != shape:
            self._tensor = np.zeros(shape, self._dtype)
            self._windows = [None] * self._rows
        if self._windows[row] != plan.window:
            self._windows[row] = plan.window
            if plan.window != (0, 0, width, height):
                # Written once: each frame writes only its window.
                bars = np.moveaxis(self._tensor[row], 0 if spec.layout == 'nchw' else 2, 0)
                for channel, (gain, bias) in enumerate(zip(self._gain, self._bias)):
                    bars[channel] = self._encode(np.array(spec.pad_value * gain + bias))

    def _buffer(self, name: str, shape: tuple[int, ...]) -> Image:
        """Return the buffer for a shape."""
        key = (name, shape)
        buffer = self._scratch.get(key)
        if buffer is None:
            buffer = self._scratch[key] = np.empty(shape, np.uint8)
        return buffer

    def _resize(self, image: Image, plan: Plan) -> Image:
        """Resize the part of the image that is read to the size of the window, in 8 bits."""
        x, y, width, height = plan.roi
        part = image[y:y + height, x:x + width]
        channels = image.shape[2:]
        if plan.shift is not None:
            step_x, step_y, first_x, first_y = plan.shift
            matrix = np.array(((step_x, 0.0, first_x), (0.0, step_y, first_y)))
            target = self._buffer('resized', (plan.scaled[1], plan.scaled[0], *channels))
            cv2.warpAffine(
                part, matrix, plan.scaled, dst=target, borderMode=cv2.BORDER_REPLICATE,
                flags=plan.interpolation | cv2.WARP_INVERSE_MAP)
            return target
        for step in range(plan.halvings):
            size = (part.shape[1] // 2, part.shape[0] // 2)
            target = self._buffer(f'half{step}', (size[1], size[0], *channels))
            # Exactly 2 by 2 pixels: OpenCV's fastest average.
            cv2.resize(part, size, dst=target, interpolation=cv2.INTER_AREA)
            part = target
        if _size_of(part) != plan.scaled:
            target = self._buffer('resized', (plan.scaled[1], plan.scaled[0], *channels))
            if plan.interpolation == NEAREST:
                rows, columns = (_under_centers(part.shape[axis], plan.scaled[1 - axis])
                                 for axis in (0, 1))
                part.take(rows, axis=0).take(columns, axis=1, out=target, mode='clip')
            elif plan.interpolation == cv2.INTER_AREA and pays(_size_of(part), plan.scaled):
                self._shrinker(part, plan.scaled)(part, target)
            else:
                cv2.resize(part, plan.scaled, dst=target, interpolation=plan.interpolation)
            part = target
        left, top = plan.cut
        return part[top:top + plan.window[3], left:left + plan.window[2]]

    def _shrinker(self, part: Image, size: tuple[int, int]) -> AreaShrinker:
        """Return the shrinker for images of a shape."""
        key = (part.shape, size)
        shrinker = self._shrinkers.get(key)
        if shrinker is None:
            shrinker = self._shrinkers[key] = AreaShrinker(_size_of(part), size, part.shape[2:])
        return shrinker

    def _fill(self, small: Image, color: str, plan: Plan, row: int) -> None:
        """Write the window of a row: channels in order, scaled, in the tensor's type."""
        spec = self._spec
        x, y, width, height = plan.window
        if spec.color == 'gray' and color != 'mono':
            small = _convert(small, _TO_GRAY[color], self._buffer('gray', (height, width)))
            color = 'mono'
        if spec.layout == 'nchw':
            planes = self._tensor[row, :, y:y + height, x:x + width]
            for channel, plane in enumerate(self._split(small, color)):
                self._scale(plane, planes[channel], channel)
            return
        window = self._tensor[row, y:y + height, x:x + width]
        if spec.color == 'gray':
            self._scale(small, window[..., 0], 0)
            return
        if color != spec.color:
            small = _convert(
                small, _REORDER[color, spec.color], self._buffer('color', (height, width, 3)))
        self._scale(small, window, None)

    def _split(self, small: Image, color: str) -> list[Image]:
        """Return the planes in the order of the tensor; a mono image serves all three."""
        if color == 'mono':
            return [small] * self._spec.channels
        planes = [self._buffer(f'plane{c}', small.shape[:2]) for c in range(small.shape[2])]
        cv2.split(small, planes)
        reverse = color[:3] != self._spec.color
        return planes[2::-1] if reverse else planes[:3]

    def _scale(self, pixels: Image, target: NDArray[Any], channel: int | None) -> None:
        """Write ``pixels * gain + bias`` in the tensor's type, in one pass."""
        if self._whole:
            np.copyto(target, pixels)
        elif target.dtype == np.float32 and (channel is not None or self._uniform):
            index = channel or 0
            if self._gain[index] == 1.0 and self._bias[index] == 0.0:
                # The same numbers in half the time.
                np.copyto(target, pixels)
                return
            cv2.addWeighted(pixels, self._gain[index], pixels, 0.0, self._bias[index],
                            dst=target, dtype=cv2.CV_32F)
        else:
            table = self._tables[-1 if channel is None else channel]
            cv2.LUT(pixels, table, dst=target.view(table.dtype))


def check_image(image: Image, color: str) -> Image:
    """Return the image, without a single channel's axis; InputError if it is not one."""
    channels = SOURCE_COLORS.get(color) if isinstance(color, str) else None
    if channels is None:
        raise InputError(
            f'the colour {color!r} is unknown; allowed are {", ".join(SOURCE_COLORS)}')
    if not isinstance(image, np.ndarray):
        raise InputError(
            f'the image is a {type(image).__name__} but must be a numpy array of uint8 '
            '(for a file: cv2.imread(path), which gives bgr)')
    if image.dtype != np.uint8:
        raise InputError(
            f'the image has the type {image.dtype} but must have uint8, values 0 to 255')
    shape = image.shape
    if len(shape) == 3 and shape[2] == 1 and channels == 1:
        image = image[..., 0]
    elif (shape[2:] != (channels,) if channels > 1 else len(shape) != 2):
        wanted = '(height, width)' if channels == 1 else f'(height, width, {channels})'
        raise InputError(
            f'the image has the shape {shape} but {color} must have {wanted}; allowed colours '
            f'and their channels: '
            f'{", ".join(f"{name} {count}" for name, count in SOURCE_COLORS.items())}')
    if 0 in shape:
        raise InputError(
            f'the image is empty: {shape[1]}x{shape[0]} pixels, but it must have at least 1x1')
    return image


def _size_of(image: Image) -> tuple[int, int]:
    """Return the width and height of an image."""
    return image.shape[1], image.shape[0]


def _under_centers(size: int, out: int) -> NDArray[np.int64]:
    """Return which of ``size`` pixels is under the centre of each of ``out`` new ones."""
    return (2 * np.arange(out, dtype=np.int64) + 1) * size // (2 * out)


def _convert(pixels: Image, code: int, target: Image) -> Image:
    """Convert colours into a buffer."""
    cv2.cvtColor(pixels, code, dst=target)
    return target


# Numbers that are processed at once; they and their sums fit into the CPU cache.
_STRIP = 1 << 17


class AreaShrinker:
    """
    Shrinks 8-bit images of one size: each new pixel is the mean of the area it covers.

    OpenCV's ``INTER_AREA`` takes twice the time: pixel by pixel, columns first. Here whole rows
    are summed first: those that begin inside a new row, minus the part of the first one before it,
    plus the part of the one after the last. OpenCV then averages the columns of the few rows that
    are left. Rounding happens once, at the end, so results differ only where a mean is between
    two levels.
    """

    def __init__(
        self, source: tuple[int, int], target: tuple[int, int], channels: tuple[int, ...] = (),
    ) -> None:
        self._source, self._target, self._channels = source, target, channels
        width = source[0] * (channels[0] if channels else 1)
        first, part = np.divmod(np.arange(target[1] + 1) * source[1], target[1])
        self._bounds = list(zip(first[:-1].tolist(), first[1:].tolist()))
        # The source rows in which new rows begin, and the part of each before; the one after the
        # last does not exist and counts nothing.
        self._shared = np.minimum(first, source[1] - 1)
        self._parts = (part[:, np.newaxis] / target[1]).astype(np.float32)
        strip = min(target[1], max(1, _STRIP // width))
        self._starts = range(0, target[1], strip)
        self._sums = np.empty((strip, width), np.float32)
        self._sum_rows = [self._sums[row:row + 1] for row in range(strip)]
        self._edges = np.empty((strip + 1, width), np.float32)
        self._means = np.empty((strip, target[0], *channels), np.float32)

    def __call__(self, image: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
        """Shrink one image."""
        rows = self._rows(image)
        (width, height), target = self._source, self._target
        strip = len(self._sums)
        for start in self._starts:
            count = min(strip, target[1] - start)
            sums, edges, means = self._sums[:count], self._edges[:count + 1], self._means[:count]
            for (top, bottom), row in zip(self._bounds[start:start + count], self._sum_rows):
                cv2.reduce(rows[top:bottom], 0, cv2.REDUCE_SUM, dst=row, dtype=cv2.CV_32F)
            shared = slice(start, start + count + 1)
            np.multiply(rows[self._shared[shared]], self._parts[shared], out=edges)
            sums += edges[1:]
            sums -= edges[:-1]
            cv2.resize(sums.reshape(count, width, *self._channels), (target[0], count), dst=means,
                       interpolation=cv2.INTER_AREA)
            cv2.convertScaleAbs(means, dst=result[start:start + count], alpha=target[1] / height)

    def _rows(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image with all numbers of a row in one dimension."""
        size = self._sums.shape[1]
        stride, *pixel = image.strides
        packed = (1,) if not self._channels else (self._channels[0], 1)
        if tuple(pixel) != packed:
            image = np.ascontiguousarray(image)
            stride = size
        rows: NDArray[np.uint8] = np.lib.stride_tricks.as_strided(
            image, (self._source[1], size), (stride, 1))
        return rows


def pays(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Tell whether `AreaShrinker` is faster: not for few rows, nor for whole ratios."""
    whole = source[0] % target[0] == 0 and source[1] % target[1] == 0
    return source[0] >= target[0] and source[1] >= 2 * target[1] and not whole
