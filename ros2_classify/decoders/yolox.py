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
YOLOX: raw grids of an anchor-free detector.

Format (https://arxiv.org/abs/2107.08430, and ``yolox/utils/demo_utils.py`` of
https://github.com/Megvii-BaseDetection/YOLOX): one tensor ``[1, A, 5 + C]``, a row for each cell
of the grids of all strides, row by row, small strides first. With a cell's column and row
``(gx, gy)`` and its stride ``s``, a row holds ``x, y, w, h, objectness, class scores``:

* centre ``((x + gx) * s, (y + gy) * s)``, size ``(exp(w) * s, exp(h) * s)`` in model pixels;
* objectness and class scores went through a sigmoid already; their product is the score.

Sides that are no multiple of a stride have partial cells at the right and the bottom in some
exports. ``decode_in_inference`` (``yolox/models/yolo_head.py``) puts the two lines above into the
model: with ``decoded``, a row holds centre and size in model pixels, and there may be any number
of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, first_name, misfit, OUTPUT, Outputs, read_table)
from ros2_classify.decoders.boxes import cell_count, cells, finite_candidates, STRIDES
from ros2_classify.keys import key

_EXPECTED = '[1, cells, 5 + classes]'


@dataclass(frozen=True)
class YoloxOptions:
    """Options of the decoder ``yolox``."""

    strides: tuple[int, ...] = key(
        (8, 16, 32), STRIDES,
        meaning="input pixels for each cell, one for each grid, in the output's order")
    output: str | None = key(None, OUTPUT)
    decoded: bool = key(
        False, 'the model has decoded the boxes: center and size in pixels of the input')


def class_count(outputs: Outputs, options: YoloxOptions) -> int:
    """Return the number of classes."""
    return int(_rows(outputs, options)[1].shape[1]) - 5


def decode(outputs: Outputs, options: YoloxOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold, each with its best class."""
    name, rows = _rows(outputs, options)
    grid = None if options.decoded else _grid(name, len(rows), outputs, options, context)
    # A class score is at most 1, so cells whose objectness is too low go before anything else.
    # Not so where the export left the sigmoid out, but then its numbers mean nothing here either.
    likely = (rows[:, 4] >= context.score_threshold).nonzero()[0]
    rows = rows.take(likely, axis=0)
    # An overflow gives inf, and the box is dropped.
    with np.errstate(over='ignore', invalid='ignore'):
        scores = rows[:, 4] * rows[:, 5:].max(axis=1)
        sure = (scores >= context.score_threshold).nonzero()[0]
        if len(sure) < len(rows):
            likely, rows, scores = likely[sure], rows.take(sure, axis=0), scores[sure]
        center, size = rows[:, :2], rows[:, 2:4]
        if grid is not None:
            place = grid.take(likely, axis=0)
            stride = place[:, 2:]
            center = (center + place[:, :2]) * stride
            size = np.exp(size) * stride
        half = size * np.float32(0.5)
        boxes = np.concatenate((center - half, center + half), axis=1)
    return finite_candidates(boxes, scores, rows[:, 5:].argmax(axis=1))


def _grid(
    name: str, count: int, outputs: Outputs, options: YoloxOptions, context: DecodeContext,
) -> NDArray[np.float32]:
    """Return the cells, as many as there are rows; whole ones, or partial ones too."""
    for partial in (False, True):
        if cell_count(context.input_size, options.strides, partial=partial) == count:
            return cells(context.input_size, options.strides, partial=partial)
    width, height = context.input_size
    whole = cell_count(context.input_size, options.strides)
    raise misfit(
        name, f'[1, {whole}, 5 + classes] for an input of {width}x{height} with the strides '
        f'{list(options.strides)}; for boxes that are in pixels already, set output.decoded: '
        'true', outputs)


def _rows(outputs: Outputs, options: YoloxOptions) -> tuple[str, NDArray[np.float32]]:
    """Return the output's name and its rows, checked as far as they can be without a size."""
    name = options.output or first_name(outputs)
    rows = read_table(outputs, name, _EXPECTED, (None, None))
    if rows.shape[1] < 6:
        raise misfit(name, f'{_EXPECTED} with one class at least', outputs)
    return name, rows


YOLOX = Decoder(
    task='detection', options=YoloxOptions, decode=decode, class_count=class_count,
    needs_nms=True)
