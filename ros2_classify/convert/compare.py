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

"""Test inputs for a converted model, and the comparison of its outputs with TensorFlow's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.convert.graph import TensorInfo
from ros2_classify.errors import ConversionError
from ros2_classify.model.input_spec import InputSpec

Arrays = Mapping[str, NDArray[Any]]

# Width and height for inputs that take images of any size.
_ANY_SIZE = (320, 240)
_ROWS = ('detection_boxes', 'detection_classes', 'detection_masks')
_SCORES = 'detection_scores'


def make_feeds(
    inputs: Sequence[TensorInfo], spec: InputSpec, image: Path | None = None,
) -> list[NDArray[Any]]:
    """Make each input: the image (or a sample), stretched, if it has 4 dimensions, else zeros."""
    feeds: list[NDArray[Any]] = []
    for tensor in inputs:
        try:
            dtype = np.dtype(tensor.dtype)
        except TypeError:
            raise ConversionError(
                f'the input {tensor} cannot be fed: its type is {tensor.dtype}; name an input '
                'further inside the graph that takes pixels, under convert.inputs') from None
        shape = tensor.shape
        if shape is None or len(shape) == 4:
            # Nothing is declared: most floating-point inputs take small numbers.
            if spec == InputSpec() and dtype.kind == 'f':
                spec = replace(spec, mean=(127.5,) * 3, std=(127.5,) * 3)
            feeds.append(_pixels(shape, spec, image).astype(dtype))
        else:
            feeds.append(np.zeros([1 if dim is None else dim for dim in shape], dtype))
    return feeds


def sample_image(width: int, height: int) -> NDArray[np.uint8]:
    """Compute an RGB image with slopes, edges and fine detail; the same on every machine."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / max(width, 1), y / max(height, 1)
    pixels = np.stack([90 + 80 * y, 130 + 60 * y, 220 - 90 * y], axis=-1)
    ground = y > 0.65 + 0.03 * np.sin(9 * x)
    pixels[ground] = np.stack([70 + 40 * x, 110 + 30 * np.sin(40 * x), 50 + 40 * y], -1)[ground]
    disc = (x - 0.3) ** 2 + (y - 0.55) ** 2 < 0.04
    pixels[disc] = np.stack([230 - 150 * x, 60 + 120 * y, 40 + 0 * x], axis=-1)[disc]
    box = (abs(x - 0.7) < 0.14) & (abs(y - 0.6) < 0.22)
    pixels[box] = (60, 70, 160)
    pixels[box & ((np.floor(x * 40) + np.floor(y * 40)) % 2 == 0)] = (235, 235, 225)
    grain = 12 * np.sin(311.7 * x + 127.1 * y) * np.cos(269.5 * y - 183.3 * x)
    return np.asarray(np.clip(pixels + grain[..., None], 0, 255), np.uint8)


def compare(results: Arrays, reference: Arrays, tolerance: float) -> dict[str, Any]:
    """
    Compare ONNX Runtime's outputs with TensorFlow's; the tolerance is relative above 1.

    Detections of equal scores may change places: only rows with a unique score are compared.
    """
    # TensorFlow's files have or lack the :0 at will.
    found = {name.removesuffix(':0'): array for name, array in results.items()}
    wanted = {name.removesuffix(':0'): array for name, array in reference.items()}
    for name, array in wanted.items():
        if name not in found:
            raise ConversionError(
                f'the ONNX model lacks the output {name!r}; it has {", ".join(found) or "none"}')
        if found[name].shape != array.shape:
            raise ConversionError(
                f'the output {name!r} has the shape {list(found[name].shape)} in ONNX and '
                f'{list(array.shape)} in TensorFlow')
    rows = _certain_rows(wanted, tolerance)
    differences, wrong = {}, []
    for name, array in wanted.items():
        difference = _difference(found[name], array)
        if difference > tolerance * _size(array) and name in _ROWS and rows is not None:
            difference = _difference(found[name][0][rows], array[0][rows])
        differences[name] = float(f'{difference:.3g}')
        if not difference <= tolerance * _size(array):
            wrong.append(f'{name!r} by {difference:.3g}')
    if wrong:
        raise ConversionError(
            f'the outputs of the ONNX model differ from TensorFlow: {", ".join(wrong)} at most, '
            f'more than the tolerance of {tolerance:g}')
    report: dict[str, Any] = {'differences': differences, 'tolerance': tolerance}
    if rows is not None:
        report['rows_with_a_score_of_their_own'] = len(rows)
    return report


def _pixels(
    shape: tuple[int | None, ...] | None, spec: InputSpec, image: Path | None,
) -> NDArray[np.float32]:
    batch, *sides = shape or (1, None, None, 3)
    planar = spec.layout == 'nchw' or (
        spec.layout is None and sides[0] in (1, 3) and sides[2] not in (1, 3))
    channels, height, width = sides if planar else (sides[2], sides[0], sides[1])
    declared = spec.size if isinstance(spec.size, tuple) else _ANY_SIZE
    pixels = _read(image) if image else None
    if pixels is not None and spec.size == 'source':
        declared = spec.size_for((pixels.shape[1], pixels.shape[0]))
    width, height = width or declared[0], height or declared[1]
    if pixels is None:
        pixels = sample_image(width, height)
    else:
        import cv2
        pixels = np.asarray(cv2.resize(pixels, (width, height)), np.uint8)
    if channels == 1:
        pixels = np.asarray(pixels.mean(axis=-1, keepdims=True), np.uint8)
    elif spec.color == 'bgr':
        pixels = pixels[..., ::-1]
    pixels = pixels.astype(np.float32)
    if spec.channels == pixels.shape[2]:
        pixels = (pixels * spec.scale - np.asarray(spec.mean)) / np.asarray(spec.std)
    if channels not in (1, 3, None):
        pixels = np.resize(pixels, (height, width, channels))
    tensor = pixels.transpose(2, 0, 1) if planar else pixels
    return np.repeat(tensor[None], batch or 1, axis=0).astype(np.float32)


def _read(image: Path) -> NDArray[np.uint8]:
    # Imported here because it brings OpenCV.
    from ros2_classify.image_io import read_image
    return np.ascontiguousarray(read_image(image)[..., ::-1], np.uint8)


def _size(array: NDArray[Any]) -> float:
    """Return the largest number of an output, at least 1."""
    if array.size == 0 or array.dtype.kind not in 'fiu':
        return 1.0
    finite = np.abs(array[np.isfinite(array)].astype(np.float64))
    return max(1.0, float(finite.max(initial=0.0)))


def _difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the largest difference; infinite if the numbers can't be compared."""
    if ours.size == 0:
        return 0.0
    if ours.dtype.kind not in 'fiub' or theirs.dtype.kind not in 'fiub':
        return 0.0 if np.array_equal(ours, theirs) else float('inf')
    first, second = ours.astype(np.float64), theirs.astype(np.float64)
    # Equal infinities and pairs of NaN do not differ.
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid='ignore'):
        gaps = np.where(same, 0.0, np.abs(first - second))
    return float(np.where(np.isnan(gaps), np.inf, gaps).max())


def _certain_rows(outputs: Arrays, tolerance: float) -> NDArray[np.int64] | None:
    """Return the detections with a unique score, or None if the outputs are not detections."""
    scores = outputs.get(_SCORES)
    if scores is None or scores.ndim != 2 or scores.shape[0] != 1:
        return None
    values = scores[0].astype(np.float64)
    gaps = np.abs(values[:, None] - values[None, :]) + np.diag(np.full(len(values), np.inf))
    rows: NDArray[np.int64] = np.flatnonzero(gaps.min(axis=1, initial=np.inf) > 2 * tolerance)
    return rows
