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

"""Resizing and pre-processing in plain numpy, straightforward and slow: what the tests trust."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Luma of ITU-R BT.601, for R, G and B.
LUMA = np.array((0.299, 0.587, 0.114))


def linear_weights(out: int, size: int, step: float | None = None, first: float = 0.0) -> Any:
    """Return the matrix [out, size] of linear interpolation at pixel centres, edges repeated."""
    weights = np.zeros((out, size))
    step = size / out if step is None else step
    for i in range(out):
        place = min(max(first + (i + 0.5) * step - 0.5, 0.0), size - 1.0)
        left = min(math.floor(place), size - 2) if size > 1 else 0
        part = place - left
        weights[i, left] += 1 - part
        if size > 1:
            weights[i, left + 1] += part
    return weights


def area_weights(out: int, size: int) -> Any:
    """Return the matrix [out, size] of averaging: the part of each pixel in each new one."""
    weights = np.zeros((out, size))
    step = size / out
    for i in range(out):
        for j in range(size):
            weights[i, j] = max(0.0, min((i + 1) * step, j + 1) - max(i * step, j)) / step
    return weights


def nearest_weights(out: int, size: int) -> Any:
    """Return the matrix [out, size] that takes the pixel under each new pixel's centre."""
    weights = np.zeros((out, size))
    for i in range(out):
        weights[i, (2 * i + 1) * size // (2 * out)] = 1
    return weights


def cubic_weights(out: int, size: int) -> Any:
    """Return the matrix [out, size] of cubic convolution with a = -0.75, edges repeated."""
    weights = np.zeros((out, size))

    def kernel(x: float) -> float:
        x, a = abs(x), -0.75
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    for i in range(out):
        place = (i + 0.5) * size / out - 0.5
        for j in range(math.floor(place) - 1, math.floor(place) + 3):
            weights[i, min(max(j, 0), size - 1)] += kernel(place - j)
    return weights


def resize(image: Any, size: tuple[int, int], interpolation: str) -> Any:
    """Return an image [H, W, C] of another size (width, height), rounded to 8 bits."""
    height, width = image.shape[:2]
    kind = interpolation
    if kind == 'pyramid':
        while width >= 2 * size[0] and height >= 2 * size[1]:
            width, height = width // 2, height // 2
            image = resize(image[:height * 2, :width * 2], (width, height), 'area')
        kind = 'linear'
    if kind == 'area' and (size[0] > width or size[1] > height):
        kind = 'linear'
    make = {'area': area_weights, 'linear': linear_weights, 'nearest': nearest_weights,
            'cubic': cubic_weights}[kind]
    return apply(make(size[1], height), make(size[0], width), image)


def apply(rows: Any, columns: Any, image: Any) -> Any:
    """Return ``rows @ image @ columns.T`` for each channel, rounded to 8 bits."""
    result = np.einsum('ih,hwc,jw->ijc', rows, image.astype(float), columns)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def center_crop(
    image: Any, size: tuple[int, int], fraction: float, interpolation: str,
) -> Any:
    """Return an image scaled so that its middle shows ``fraction`` of the short side, and cut."""
    height, width = image.shape[:2]
    ratio = max(size[0] / width, size[1] / height) / fraction
    scaled = max(size[0], round(width * ratio)), max(size[1], round(height * ratio))
    left, top = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
    return resize(image, scaled, interpolation)[top:top + size[1], left:left + size[0]]


def letterbox(
    image: Any, size: tuple[int, int], anchor: str, pad: float, interpolation: str,
) -> Any:
    """Return an image that fits into a size with bars around it, as floats."""
    height, width = image.shape[:2]
    ratio = min(size[0] / width, size[1] / height)
    fit = round if anchor == 'center' else (lambda value: math.floor(value + 1e-6))
    inner = (min(size[0], max(1, fit(width * ratio))), min(size[1], max(1, fit(height * ratio))))
    left, top = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2) \
        if anchor == 'center' else (0, 0)
    canvas = np.full((size[1], size[0], image.shape[2]), float(pad))
    canvas[top:top + inner[1], left:left + inner[0]] = resize(image, inner, interpolation)
    return canvas


def to_rgb(image: Any, color: str) -> Any:
    """Return red, green and blue of an image of any colour."""
    if color == 'mono':
        plane = image if image.ndim == 2 else image[..., 0]
        return np.stack([plane] * 3, axis=-1)
    return image[..., [2, 1, 0]] if color in ('bgr', 'bgra') else image[..., :3]


def to_tensor(pixels: Any, spec: Any) -> Any:
    """Return the model's input for red, green and blue pixels [H, W, 3] of its own size."""
    pixels = pixels.astype(float)
    if spec.color == 'gray':
        pixels = np.rint(pixels @ LUMA)[..., np.newaxis]
    elif spec.color == 'bgr':
        pixels = pixels[..., ::-1]
    values = (pixels * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    if spec.layout == 'nchw':
        values = values.transpose(2, 0, 1)
    return values[np.newaxis]


def preprocess(image: Any, color: str, spec: Any) -> Any:
    """Return the model's input for an image, by the book."""
    pixels = to_rgb(image, color)
    size = spec.size if isinstance(spec.size, tuple) else (image.shape[1], image.shape[0])
    if spec.resize == 'letterbox':
        pixels = letterbox(pixels, size, spec.anchor, spec.pad_value, spec.interpolation)
    elif spec.resize == 'center_crop':
        pixels = center_crop(pixels, size, spec.crop_fraction, spec.interpolation)
    else:
        pixels = resize(pixels, size, spec.interpolation)
    return to_tensor(pixels, spec)
