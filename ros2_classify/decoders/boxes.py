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

"""What detection decoders share: box formats, grids of cells, and options about them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, least_logit, misfit, Outputs, read_table, sigmoid, softmax)
from ros2_classify.errors import OutputError
from ros2_classify.keys import Key, Kind, listed, number, TEXT
from ros2_classify.limits import MAX_CELLS
from ros2_classify.yaml_config import as_list, Where

BoxFormat = Literal['xyxy', 'yxyx', 'cxcywh', 'xywh']
BOX_FORMAT = Key('what the four numbers are')
Units = Literal['model', 'source', 'normalized']
UNITS = Key(
    'pixels of the input, pixels of the source image, or from 0 to 1 of the input',
    renamed={'network': 'model'})  # words: old
NORMALIZED = Key('from 0 to 1 of the input, otherwise input pixels')
STRIDES = Key(
    'input pixels for each cell, one for each grid', low=1, high=1024,
    empty='give one stride for each grid', value='list of whole numbers')

Sizes = tuple[tuple[tuple[float, float], ...], ...]
_LENGTH = number(0, 1e5, above=True)
_SIDES = listed(_LENGTH, 'give the sizes of this grid')
_PAIR = {**listed(_LENGTH).schema, 'minItems': 2, 'maxItems': 2}


def _read_names(value: object, where: Where) -> tuple[str, ...]:
    if isinstance(value, str):
        return (TEXT.read(value, where),)
    return tuple(TEXT.read(name, place) for name, place in as_list(value, where))


# A name, or a list of them.
NAMES = Kind(_read_names, {'anyOf': [TEXT.schema, listed(TEXT).schema]}, 'text, or list of texts')


def read_sizes(value: object, where: Where, *, flat_pairs: bool) -> Sizes:
    """
    Read widths and heights: a list of lists, one for each grid.

    A grid's list has pairs ``[w, h]``, or plain numbers: the sides of squares, or, with
    ``flat_pairs``, width and height in turn.
    """
    levels = []
    for level, place in as_list(value, where):
        items = as_list(level, place)
        if any(isinstance(item, (list, tuple)) for item, _ in items):
            pairs = [_pair(_SIDES.read(*item), item[1]) for item in items]
        else:
            sides = _SIDES.read(level, place)
            pairs = [_pair(sides[at:at + 2], place) for at in range(0, len(sides), 2)] \
                if flat_pairs else [(side, side) for side in sides]
        levels.append(tuple(pairs))
    return tuple(levels)


def _pair(sides: tuple[float, ...], where: Where) -> tuple[float, float]:
    if len(sides) != 2:
        raise where.error(f'has {len(sides)} numbers; give width and height in pairs')
    return sides[0], sides[1]


SIZES_SCHEMA = {'type': 'array', 'items': {
    'anyOf': [_SIDES.schema, {'type': 'array', 'items': _PAIR, 'minItems': 1}]}}


def to_xyxy(boxes: NDArray[np.float32], box_format: BoxFormat) -> NDArray[np.float32]:
    """Convert boxes to ``x1, y1, x2, y2``; cxcywh is centre and size, xywh corner and size."""
    if box_format == 'xyxy':
        return boxes
    if box_format == 'yxyx':
        return boxes[:, [1, 0, 3, 2]]
    first, size = boxes[:, :2], boxes[:, 2:]
    # Values that are not finite are dropped later.
    with np.errstate(over='ignore', invalid='ignore'):
        if box_format == 'cxcywh':
            first = first - size * np.float32(0.5)
        return np.concatenate((first, first + size), axis=1)


def denormalize(
    boxes: NDArray[np.float32], input_size: tuple[int, int],
) -> NDArray[np.float32]:
    """Scale boxes from 0 to 1 to pixels of the model input."""
    # Values that are not finite are dropped later.
    with np.errstate(over='ignore', invalid='ignore'):
        return boxes * np.array(input_size * 2, np.float32)


def scores_over(
    scores: NDArray[np.float32], activation: str, background: int | None, threshold: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return row, class and score of each number of ``[N, C]`` over the threshold."""
    if activation == 'softmax':
        scores = softmax(scores)
    logits = activation == 'sigmoid'
    over = scores >= (least_logit(threshold) if logits else threshold)
    if background is not None and background < scores.shape[1]:
        over[:, background] = False
    # Many times as fast as nonzero() of two dimensions, for there are few.
    rows, class_ids = np.divmod(np.flatnonzero(over), scores.shape[1])
    found = scores[rows, class_ids]
    if logits:
        # An infinite logit is no score.
        logit, found = found, sigmoid(found)
        sure = np.flatnonzero((found >= threshold) & np.isfinite(logit))
        rows, class_ids, found = rows[sure], class_ids[sure], found[sure]
    return rows, class_ids, found


def finite_candidates(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[Any],
    **more: Any,
) -> Candidates:
    """
    Return candidates without the rows that are not finite; ``more`` are fields of `Candidates`.

    Cells of masks and coefficients that are not finite become 0; such key points get the middle
    of the box and the score 0.
    """
    found = Candidates(boxes, scores, class_ids.astype(np.int64, copy=False), **more)
    # One sum tells whether anything is not finite: NaN and inf survive it.
    with np.errstate(over='ignore', invalid='ignore'):
        clean = np.isfinite(boxes.sum() + scores.sum())
    if not clean:
        found = found.select(np.isfinite(boxes).all(axis=1) & np.isfinite(scores))
    masks, points = found.masks, found.points
    if masks is not None and not np.isfinite(masks).all():
        found = replace(found, masks=np.where(np.isfinite(masks), masks, np.float32(0.0)))
    if points is not None and not np.isfinite(points.values).all():
        halves = found.boxes[:, np.newaxis] / 2
        middle = halves[..., :2] + halves[..., 2:]
        unknown = np.concatenate((middle, np.zeros_like(middle[..., :1])), axis=2)
        known = np.isfinite(points.values).all(axis=2, keepdims=True)
        found = replace(found, points=replace(
            points, values=np.where(known, points.values, unknown)))
    return found


def read_masks(outputs: Outputs, name: str, rows: int) -> NDArray[np.float32]:
    """Return the masks ``[N, h, w]``, one for each box."""
    expected = f'[1, {rows}, height, width], one mask for each box'
    masks = read_table(outputs, name, expected, (rows, None, None))
    if 0 in masks.shape[1:]:
        raise misfit(name, expected, outputs)
    return masks


def upright(oriented: NDArray[Any]) -> NDArray[Any]:
    """Return the boxes ``x1, y1, x2, y2`` around ``center, size, angle``."""
    # Values that are not finite are dropped later.
    with np.errstate(over='ignore', invalid='ignore'):
        cos, sin = np.abs(np.cos(oriented[:, 4:])), np.abs(np.sin(oriented[:, 4:]))
        width, height = np.abs(oriented[:, 2:3]), np.abs(oriented[:, 3:4])
        half = np.concatenate(
            (width * cos + height * sin, width * sin + height * cos), axis=1) / 2
        return np.concatenate((oriented[:, :2] - half, oriented[:, :2] + half), axis=1)


def cell_count(
    size: tuple[int, int], strides: tuple[int, ...], *, partial: bool = False,
) -> int:
    """Return the number of `cells`, without making them."""
    width, height = size
    return sum(-(-width // stride) * -(-height // stride) if partial else
               (width // stride) * (height // stride) for stride in strides)


@lru_cache(maxsize=16)
def cells(
    size: tuple[int, int], strides: tuple[int, ...], *, partial: bool = False,
) -> NDArray[np.float32]:
    """
    Return column, row and stride of each cell, grid by grid, row by row; read-only.

    With ``partial``, cells that leave the image at the right or the bottom count too.
    OutputError if there are too many.
    """
    if (count := cell_count(size, strides, partial=partial)) > MAX_CELLS:
        raise OutputError(
            f'an input of {size[0]}x{size[1]} with the strides {list(strides)} has {count} cells, '
            f'more than the {MAX_CELLS} that are allowed; use a smaller input')
    grids = []
    for stride in strides:
        columns, rows = (-(-side // stride) if partial else side // stride for side in size)
        ys, xs = np.mgrid[:rows, :columns]
        grids.append(np.stack((xs.ravel(), ys.ravel(), np.full(xs.size, stride)), axis=1))
    table = np.concatenate(grids).astype(np.float32)
    table.flags.writeable = False
    return table


def stride_of(size: tuple[int, int], grid: tuple[int, int]) -> int | None:
    """Return the stride of a grid's height and width, if the input is divided evenly."""
    (width, height), (rows, columns) = size, grid
    if not rows or not columns or width % columns or height % rows:
        return None
    return width // columns if width // columns == height // rows else None
