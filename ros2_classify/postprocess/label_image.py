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
Scale the classes of a model output to the source image, pixel by pixel.

Each source pixel takes the class at its centre. Pixels that the model did not see, outside of a
centre crop, have no class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import PixelClasses
from ros2_classify.preprocess.geometry import Geometry

LabelImage = Union[NDArray[np.uint8], NDArray[np.uint16]]

# Source rows that are interpolated at once; they fit into the CPU cache.
_STRIP = 64


def label_image(found: PixelClasses, geometry: Geometry) -> LabelImage:
    """Return a class for each pixel of the source; ``found.unlabeled`` if it has none."""
    height, width = found.grid
    x, columns = geometry.places(0, width)
    y, rows = geometry.places(1, height)
    inside = _interpolated(found, columns, rows) if found.scores is not None else (
        # Columns first, on the few rows of the model; whole rows are then quickly repeated.
        found.classes.take(columns.astype(np.int64), axis=1).take(
            rows.astype(np.int64), axis=0))
    if found.scores is not None and found.below is not None:
        inside[inside == found.below[0]] = found.below[1]
    size = geometry.source_size
    if inside.shape == (size[1], size[0]):
        return inside
    whole = np.full((size[1], size[0]), found.unlabeled, inside.dtype)
    whole[y:y + len(rows), x:x + len(columns)] = inside
    return whole


def only_classes(
    image: LabelImage, class_ids: Sequence[int], found: PixelClasses,
) -> LabelImage:
    """Give the pixels of other classes, the background aside, no class; empty: all classes."""
    if not class_ids:
        return image
    kept = np.full(1 << 8 * image.dtype.itemsize, found.unlabeled, image.dtype)
    for class_id in (*class_ids, *(() if found.background is None else (found.background,))):
        if class_id < len(kept):
            kept[class_id] = class_id
    only: LabelImage = kept[image]
    return only


def classes_on(
    image: LabelImage, ignored: Sequence[int | None], threshold: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the classes from the threshold on and their share, largest first (ties: lower id)."""
    # OpenCV counts several times as fast as bincount, which converts pixels to 64 bits.
    size = 1 << 8 * image.dtype.itemsize
    counted = cv2.calcHist([image], [0], None, [size], [0, size]) if image.size < 1 << 24 else (
        np.bincount(image.reshape(-1), minlength=size))
    counts = counted.reshape(-1).astype(np.float64)
    for class_id in ignored:
        if class_id is not None and class_id < size:
            counts[class_id] = 0
    class_ids = np.flatnonzero(counts)
    class_ids = class_ids[np.argsort(-counts[class_ids], kind='stable')]
    parts = (counts[class_ids] / image.size).astype(np.float32)
    return class_ids[parts >= threshold], parts[parts >= threshold]


def _interpolated(
    found: PixelClasses, columns: NDArray[np.float64], rows: NDArray[np.float64],
) -> LabelImage:
    """Interpolate each class's scores linearly and return the greatest one's class."""
    assert found.scores is not None
    height, width = found.grid
    left, right, across = _between(columns, width)
    top, bottom, down = _between(rows, height)
    winners, mixed = _cells(found)
    classes: LabelImage = winners.take(left, axis=1).take(top, axis=0)
    for start in range(0, len(rows), _STRIP):
        strip = slice(start, start + _STRIP)
        first, last = int(top[strip][0]), int(bottom[strip][-1]) + 1
        # Where all four cells around have one class, it is that of every pixel between them.
        between = np.logical_or.reduce(mixed[first:int(top[strip][-1]) + 1], axis=0)
        chosen = np.flatnonzero(between[left])
        if not len(chosen):
            continue
        part, along = down[strip, np.newaxis], across[chosen]
        best = np.full((len(part), len(chosen)), -np.inf, np.float32)
        names = np.full(best.shape, found.unlabeled, classes.dtype)
        upper, lower = top[strip] - first, bottom[strip] - first
        for class_id, plane in enumerate(found.scores):
            lines = plane[first:last]
            # What is not finite makes NaN, which is greater than nothing.
            with np.errstate(invalid='ignore', over='ignore'):
                lines = lines[:, left[chosen]] * (1 - along) + lines[:, right[chosen]] * along
                scores = lines[upper] * (1 - part) + lines[lower] * part
            np.copyto(names, classes.dtype.type(class_id), where=scores > best)
            np.fmax(best, scores, out=best)
        classes[strip, chosen] = names
    return classes


def _cells(found: PixelClasses) -> tuple[LabelImage, NDArray[np.bool_]]:
    """
    Return the class of each cell, and between which four of them there are several.

    Between four cells with the same best class no other one can be better, for each score there
    is a mean of the four with the same weights. What is not finite has no such mean.
    """
    assert found.scores is not None
    height, width = found.grid
    several = np.ones((max(height - 1, 1), max(width - 1, 1)), np.bool_)
    winners: LabelImage = np.zeros((height, width), found.classes.dtype)
    if not np.isfinite(found.scores).all():
        return winners, several
    best = found.scores[0].copy()
    for class_id, plane in enumerate(found.scores):
        np.copyto(winners, winners.dtype.type(class_id), where=plane > best)
        np.maximum(best, plane, out=best)
    if height > 1 and width > 1:
        corner = winners[:-1, :-1]
        several[:] = corner != winners[1:, 1:]
        several |= (corner != winners[1:, :-1]) | (corner != winners[:-1, 1:])
    return winners, several


def _between(
    places: NDArray[np.float64], cells: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the two cells between whose centres a place lies, and the second one's weight."""
    centered = np.clip(places - 0.5, 0.0, cells - 1.0)
    lower = np.minimum(centered.astype(np.int64), max(cells - 2, 0))
    return lower, np.minimum(lower + 1, cells - 1), (centered - lower).astype(np.float32)
