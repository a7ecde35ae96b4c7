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
Semantic segmentation: a class for each pixel.

Formats: scores (logits or probabilities) for each class and cell, ``[1, C, H, W]`` as PyTorch's
exports have them (https://docs.pytorch.org/vision/stable/models.html, output ``out``; SegFormer,
https://arxiv.org/abs/2105.15203, in a quarter of the image's size), or ``[1, H, W, C]`` as
TensorFlow's; or the classes themselves where the greatest score was looked for inside the model,
``[1, H, W]``, ``[1, 1, H, W]`` or ``[1, H, W, 1]`` (DeepLab, https://arxiv.org/abs/1802.02611,
``SemanticPredictions``). The grid covers the model's whole image, whatever its size.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    as_float32, DecodeContext, Decoder, describe, first_name, misfit, OUTPUT, Outputs, pick,
    PixelClasses, sigmoid, softmax)
from ros2_classify.decoders.classification import Activation, BACKGROUND
from ros2_classify.errors import OutputError
from ros2_classify.keys import key
from ros2_classify.yaml_config import Fields

Axes = Literal['channels_first', 'channels_last']
Upsampling = Literal['nearest', 'linear']
_EXPECTED = '[1, C, H, W] or [1, H, W, C] with scores, or [1, H, W] with classes'
# The greatest number of each type stands for "no class".
_SMALL, _LARGE = 0xFF, 0xFFFF
# Grids whose cells are less square than this are no grids; the rest is rounding.
_DISTORTION = 0.25


@dataclass(frozen=True)
class SegmentationOptions:
    """Options of the decoder ``segmentation``."""

    output: str | None = key(None, OUTPUT)
    values: Literal['auto', 'scores', 'classes'] = key(
        'auto', 'its content; `auto` takes whole numbers for classes')
    axes: Literal['auto'] | Axes = key(
        'auto', "the position of the class axis; `auto` decides by the image's shape")
    threshold: float | None = key(
        None, 'a pixel with one score is class 1 if it is greater, otherwise class 0; a pixel '
        'with several, none of them greater, is the background or has no class', low=-1e6,
        high=1e6, unset='needed for one score')
    activation: Activation = key(
        'none', 'what turns the outputs into scores, for `threshold`')
    background: int | None = key(
        None, BACKGROUND, meaning='a class that means "nothing": in the label image, but not '
        'listed and not colored')
    upsampling: Upsampling = key(
        'nearest', '`linear` interpolates the scores: smoother edges, more time')

    def checked(self, fields: Fields) -> SegmentationOptions:
        """Refuse a threshold that no score can pass, or all do."""
        if self.activation != 'none' and self.threshold is not None and not (
                0 <= self.threshold <= 1):
            raise fields.error(
                'threshold', f'{self.threshold:g} is compared with scores from 0 to 1, as '
                f'activation: {self.activation} makes them; give a number between, or remove '
                'activation to compare logits')
        return self


def class_count(outputs: Outputs, options: SegmentationOptions) -> int | None:
    """Return the number of classes, the background counted, where the shape alone tells it."""
    _, array = _squeezed(outputs, options)
    if _holds_classes(array, options) or array.ndim != 3:
        return None
    if options.axes == 'auto':
        return None
    return max(2, int(array.shape[0 if options.axes == 'channels_first' else 2]))


def decode(
    outputs: Outputs, options: SegmentationOptions, context: DecodeContext,
) -> PixelClasses:
    """Return the class of each cell."""
    name, array = _squeezed(outputs, options)
    if _holds_classes(array, options):
        if options.threshold is not None:
            raise OutputError(
                f'output.threshold is for scores, but the output {name!r} holds classes; remove '
                f'it, or set output.values: scores; the model has {describe(outputs)}')
        return _from_classes(name, array, options, context, outputs)
    planes = as_float32(name, _planes(name, array, options, context, outputs))
    if options.activation != 'none':
        planes = _activated(planes, options.activation)
    single = len(planes) == 1
    if single:
        if options.threshold is None:
            raise OutputError(
                f'the output {name!r} has one score for each pixel; set output.threshold (0 for '
                'logits, 0.5 for probabilities) for class 1 above it, or output.values: classes '
                'if it holds classes')
        level = np.full_like(planes, options.threshold)
        # What is not finite has no class, on either side of the threshold.
        planes = np.concatenate((np.where(np.isfinite(planes), level, np.nan), planes))
    count = context.label_count
    if count is not None and count != len(planes):
        raise OutputError(
            f'labels {count}, outputs {len(planes)}: the output {name!r} tells {len(planes)} '
            f'classes apart (0 to {len(planes) - 1}, a background class counted); use the label '
            'file that belongs to this model, or fill unused ids with ???')
    if len(planes) > _LARGE:
        raise OutputError(f'the output {name!r} has {len(planes)} classes; at most {_LARGE} fit')
    none = None
    if options.threshold is not None and not single:
        none = len(planes)
        planes = _with_level(planes, options.threshold)
    kind, unlabeled = _type_for(len(planes) - 1)
    # Where no score is over the threshold.
    below = None if none is None else (
        none, unlabeled if options.background is None else options.background)
    classes: NDArray[Any] = np.full(planes.shape[1:], unlabeled, kind)
    if options.upsampling == 'linear':
        if not _finite(planes):
            planes = np.where(np.isfinite(planes), planes, np.float32(np.nan))
        return PixelClasses(classes, unlabeled, options.background, planes, below)
    # Infinity must not win.
    if not _finite(planes):
        planes = np.where(np.isfinite(planes), planes, np.float32(-np.inf))
    best = np.full(planes.shape[1:], -np.inf, np.float32)
    for class_id, plane in enumerate(planes):
        np.copyto(classes, kind(class_id if class_id != none or below is None else below[1]),
                  where=plane > best)
        np.maximum(best, plane, out=best)
    return PixelClasses(classes, unlabeled, options.background)


def _activated(planes: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Return scores from 0 to 1; what is not finite stays so."""
    scores = sigmoid(planes) if activation == 'sigmoid' else np.moveaxis(
        softmax(np.moveaxis(planes, 0, -1)), -1, 0)
    return scores if _finite(planes) else np.where(np.isfinite(planes), scores, np.nan)


def _with_level(planes: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Append a plane that wins where no score is greater than the threshold."""
    # A score that equals the threshold would win, because it comes first.
    level = np.nextafter(np.float32(threshold), np.float32(np.inf))
    seen = np.isfinite(planes).any(axis=0)
    last = np.where(seen, level, np.float32(np.nan)).astype(np.float32)
    return np.concatenate((planes, last[np.newaxis]))


def _finite(planes: NDArray[np.float32]) -> bool:
    """Tell by one sum whether all numbers are finite; a false no does no harm."""
    with np.errstate(over='ignore', invalid='ignore'):
        return bool(np.isfinite(planes.sum()))


def _from_classes(
    name: str, array: NDArray[Any], options: SegmentationOptions, context: DecodeContext,
    outputs: Outputs,
) -> PixelClasses:
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise misfit(name, '[1, H, W], a class for each pixel', outputs)
    # Classes may come as float numbers; what is not finite is none.
    broken = ~np.isfinite(array) if array.dtype.kind == 'f' else None
    if broken is not None:
        with np.errstate(invalid='ignore'):
            array = np.rint(np.where(broken, 0, array)).astype(np.int64)
    lowest, highest = int(array.min()), int(array.max())
    # The type must not change from image to image, so labels decide where there are any.
    count = context.label_count
    small = array.dtype == np.uint8 or (
        highest <= _SMALL if count is None else count <= _SMALL)
    kind, unlabeled = _type_for(0 if small else _SMALL)
    if lowest < 0 or highest > unlabeled:
        raise OutputError(
            f'the output {name!r} holds the class {lowest if lowest < 0 else highest}, but '
            + (f'there are {count} labels' if small and count else
               f'classes go from 0 to {_LARGE - 1}'))
    classes = array.astype(kind)
    if broken is not None:
        classes[broken] = unlabeled
    return PixelClasses(classes, unlabeled, options.background)


def _type_for(last: int) -> tuple[Any, int]:
    """Return the type of a label image whose greatest class this is, and its number for none."""
    return (np.uint8, _SMALL) if last < _SMALL else (np.uint16, _LARGE)


def _squeezed(outputs: Outputs, options: SegmentationOptions) -> tuple[str, NDArray[Any]]:
    """Return the output's name, and the output without its batch dimension."""
    name = first_name(outputs) if options.output is None else options.output
    array = pick(outputs, name)
    if array.dtype.kind not in 'fiub':
        as_float32(name, array)
    # [1, H, W] holds the classes of one image, or one score for each pixel.
    squeezed = array[0] if array.ndim in (3, 4) and array.shape[0] == 1 else array
    if squeezed.ndim not in (2, 3) or squeezed.size == 0:
        raise misfit(name, _EXPECTED, outputs)
    return name, squeezed


def _holds_classes(array: NDArray[Any], options: SegmentationOptions) -> bool:
    if options.values == 'auto':
        return array.dtype.kind in 'iub'
    return options.values == 'classes'


def _planes(
    name: str, array: NDArray[Any], options: SegmentationOptions, context: DecodeContext,
    outputs: Outputs,
) -> NDArray[Any]:
    """Return scores as ``[C, H, W]``."""
    if array.ndim == 2:
        return array[np.newaxis]
    axes = options.axes
    if axes == 'auto':
        axes = _tell_axes(name, array, context, outputs)
    return array if axes == 'channels_first' else np.moveaxis(array, 2, 0)


def _tell_axes(
    name: str, array: NDArray[Any], context: DecodeContext, outputs: Outputs,
) -> Axes:
    """Tell where the classes are by what else has the image's shape, or by their number."""
    first = _distortion(array.shape[1:], context.input_size)
    last = _distortion(array.shape[:2], context.input_size)
    if min(first, last) > _DISTORTION:
        raise misfit(name, _EXPECTED, outputs)
    if first != last:
        return 'channels_first' if first < last else 'channels_last'
    count = context.label_count
    if count in (array.shape[0], array.shape[2]) and array.shape[0] != array.shape[2]:
        return 'channels_first' if count == array.shape[0] else 'channels_last'
    width, height = context.input_size
    raise OutputError(
        f'whether the output {name!r} holds its classes first ([1, C, H, W]) or last ([1, H, W, '
        f'C]) does not follow from its shape and the input of {width}x{height}; set output.axes: '
        f'channels_first or channels_last; the model has {describe(outputs)}')


def _distortion(grid: tuple[int, ...], size: tuple[int, int]) -> float:
    """Return how much a grid of height and width distorts an image: 0 for not at all."""
    height, width = grid
    return abs(math.log(size[0] * height / (width * size[1])))


SEGMENTATION = Decoder(
    task='segmentation', options=SegmentationOptions, decode=decode, class_count=class_count)
