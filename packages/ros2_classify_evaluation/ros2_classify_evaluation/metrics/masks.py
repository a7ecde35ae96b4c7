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


"""Masks of objects as COCO writes them, and how much they share with those of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify import InputError

Pixels = NDArray[np.bool_]
# Steps of the outline for each pixel.
_FINE = 5


def decode(segmentation: Any, height: int, width: int) -> Pixels:
    """
    Return the pixels of an object, bool (height, width).

    Parameters
    ----------
    segmentation
        Polygons (lists of x, y in turn), or run lengths: ``{'size': [h, w], 'counts': …}`` with a
        list of numbers or COCO's text.
    height, width : int
        Of the image.

    Raises
    ------
    InputError
        If it is neither, or does not fit the image.

    """
    if isinstance(segmentation, dict):
        return _of_runs(segmentation, height, width)
    if not isinstance(segmentation, list) or not all(
            isinstance(each, list) and len(each) >= 6 and len(each) % 2 == 0
            for each in segmentation):
        raise InputError('a segmentation is neither a list of polygons with three or more corners '
                         'nor run lengths with size and counts')
    pixels = np.zeros((height, width), bool)
    for polygon in segmentation:
        pixels |= _of_polygon(np.array(polygon, np.float64).reshape(-1, 2), height, width)
    return pixels


def _of_polygon(corners: NDArray[np.float64], height: int, width: int) -> Pixels:
    """
    Fill a polygon as the reference implementation does, which no other filling equals.

    The outline is walked in fifths of a pixel; where it crosses the middle of a column of pixels,
    inside and outside change from there on, column by column.
    """
    if not np.isfinite(corners).all() or np.abs(corners).max() > 1e5:
        raise InputError('a polygon has numbers that are no places on an image')
    places = (corners * _FINE + 0.5).astype(np.int64)
    xs, ys = [], []
    for (x1, y1), (x2, y2) in zip(places.tolist(), np.roll(places, -1, axis=0).tolist()):
        across, down = abs(x2 - x1), abs(y2 - y1)
        steps = np.arange(max(across, down) + 1)
        if across >= down:
            backwards = x1 > x2
            start, slope = (y2, (y1 - y2) / across if across else 0.0) if backwards else (
                y1, (y2 - y1) / across if across else 0.0)
            steps = steps[::-1] if backwards else steps
            xs.append(steps + min(x1, x2))
            ys.append((start + slope * steps + 0.5).astype(np.int64))
        else:
            backwards = y1 > y2
            start, slope = (x2, (x1 - x2) / down) if backwards else (x1, (x2 - x1) / down)
            steps = steps[::-1] if backwards else steps
            ys.append(steps + min(y1, y2))
            xs.append((start + slope * steps + 0.5).astype(np.int64))
    x, y = np.concatenate(xs), np.concatenate(ys)
    moved = x[1:] != x[:-1]
    column = (np.minimum(x[1:], x[:-1])[moved] + 0.5) / _FINE - 0.5
    row = (np.minimum(y[1:], y[:-1])[moved] + 0.5) / _FINE - 0.5
    there = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    turns = column[there].astype(np.int64) * height + np.ceil(
        np.clip(row[there], 0, height)).astype(np.int64)
    return _flipped(turns, height, width)


def _flipped(turns: NDArray[np.int64], height: int, width: int) -> Pixels:
    """Return the pixels, column by column, behind an odd number of turns."""
    count = np.bincount(turns[turns < height * width], minlength=height * width)
    inside = np.cumsum(count) % 2 == 1
    return np.asarray(inside.reshape(width, height).T)


def _of_runs(runs: dict[str, Any], height: int, width: int) -> Pixels:
    counts, size = runs.get('counts'), runs.get('size')
    if size != [height, width]:
        raise InputError(
            f'run lengths are for an image of the size {size}, but it is [{height}, {width}]')
    if isinstance(counts, str):
        counts = _unpacked(counts)
    lengths = np.array(counts if isinstance(counts, list) else [], np.float64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise InputError(f'the run lengths add up to {lengths.sum():g}, but the image has '
                         f'{height * width} pixels')
    return _flipped(np.cumsum(lengths.astype(np.int64)), height, width)


def _unpacked(text: str) -> list[int]:
    """Read COCO's text: five bits a character; from the fourth number on, changes."""
    lengths: list[int] = []
    value = shift = 0
    for each in text:
        bits = ord(each) - 48
        if not 0 <= bits < 64:
            raise InputError(f'run lengths have the character {each!r}')
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths


def overlaps(cutouts: Sequence[tuple[int, int, Pixels]], truths: Sequence[Pixels],
             crowd: Pixels, same: Pixels) -> NDArray[np.float64]:
    """
    Return (N, M) IoUs of masks; of a crowd, the part of the object that is in it.

    Parameters
    ----------
    cutouts : sequence
        x, y and the pixels of each object of the model.
    truths : sequence of ndarray of bool, shape (height, width)
        The true masks.
    crowd : ndarray of bool, shape (M,)
        Which of them stand for many objects.
    same : ndarray of bool, shape (N, M)
        The pairs that matter; others are 0.

    """
    found = np.zeros(same.shape)
    areas = [int(each.sum()) for each in truths]
    for row, (x, y, pixels) in enumerate(cutouts):
        area = int(pixels.sum())
        height, width = pixels.shape
        for column in np.flatnonzero(same[row]).tolist():
            shared = int((truths[column][y:y + height, x:x + width] & pixels).sum())
            union = area if crowd[column] else area + areas[column] - shared
            found[row, column] = shared / union if union else 0.0
    return found
