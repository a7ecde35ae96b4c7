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

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import Candidates
from ros2_classify.keys import Key

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


def finite_candidates(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[Any], *,
    in_source_pixels: bool = False, masks: NDArray[np.float32] | None = None,
) -> Candidates:
    """Return candidates without the rows that are not finite; in masks such cells become 0."""
    # One sum tells whether anything is not finite: NaN and inf survive it.
    with np.errstate(over='ignore', invalid='ignore'):
        clean = np.isfinite(boxes.sum() + scores.sum())
    if not clean:
        good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
        boxes, scores, class_ids = boxes[good], scores[good], class_ids[good]
        masks = None if masks is None else masks[good]
    if masks is not None and not np.isfinite(masks).all():
        masks = np.where(np.isfinite(masks), masks, np.float32(0.0))
    return Candidates(
        boxes, scores, class_ids.astype(np.int64, copy=False), in_source_pixels, masks)


@lru_cache(maxsize=16)
def cells(
    size: tuple[int, int], strides: tuple[int, ...], *, partial: bool = False,
) -> NDArray[np.float32]:
    """
    Return column, row and stride of each cell, grid by grid, row by row; read-only.

    With ``partial``, cells that leave the image at the right or the bottom count too.
    """
    grids = []
    for stride in strides:
        columns, rows = (-(-side // stride) if partial else side // stride for side in size)
        ys, xs = np.mgrid[:rows, :columns]
        grids.append(np.stack((xs.ravel(), ys.ravel(), np.full(xs.size, stride)), axis=1))
    table = np.concatenate(grids).astype(np.float32)
    table.flags.writeable = False
    return table
