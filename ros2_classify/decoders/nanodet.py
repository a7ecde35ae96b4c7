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
NanoDet family: distances to the four sides of a box, each as a distribution.

Format (Generalized Focal Loss, https://arxiv.org/abs/2006.04388, and
https://github.com/RangiLyu/nanodet): for each cell of the grids of all strides, row by row, class
scores that went through a sigmoid, and ``4 * (reg_max + 1)`` logits. A softmax over the
``reg_max + 1`` logits of a side weighs the distances 0 to reg_max, in strides: left, top, right
and bottom of the cell's point.

* NanoDet-Plus: one tensor ``[1, cells, C + 4 * (reg_max + 1)]``, strides 8 to 64; a cell's point
  is its corner, ``column * stride``;
* NanoDet, as OpenCV's model zoo has it (https://github.com/opencv/opencv_zoo): for each stride one
  tensor of scores ``[1, cells, C]`` and one of logits ``[1, cells, 4 * (reg_max + 1)]``, strides 8
  to 32; the point is ``column * stride + (stride - 1) / 2``, the middle of its pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, describe, first_name, misfit, OUTPUT, Outputs, read_table,
    row_maxima, sigmoid, softmax)
from ros2_classify.decoders.boxes import cell_count, cells, finite_candidates, STRIDES
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section
from ros2_classify.yaml_config import Fields

_WORDS = {'scores': ('cls', 'score', 'class'), 'distances': ('dis', 'reg', 'box', 'bbox')}


_OUTPUTS = Section(
    'outputs', 'the output tensors of each stride', 'by shape',
    value='mapping with `scores`, `distances`: a list each, one name for each stride')


@dataclass(frozen=True)
class NanodetOptions:
    """Options of the decoder ``nanodet``."""

    scores: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    distances: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    output: str | None = key(None, 'the one tensor', unset='the only output')
    strides: tuple[int, ...] = key(
        (), STRIDES, unset='8, 16, 32, and 64 if there are four grids')
    reg_max: int = key(7, 'the largest distance, in strides', low=1, high=1000)
    point: Literal['auto', 'corner', 'middle'] = key(
        'auto', 'the point of a cell from which distances are measured; `auto`: the corner for '
        'one tensor, the middle for several')
    activation: Literal['none', 'sigmoid'] = key('none', 'what turns class scores into scores')

    def checked(self, fields: Fields) -> NanodetOptions:
        """Refuse lists that don't fit together."""
        if len(self.scores) != len(self.distances) or (self.output and self.scores):
            raise fields.error(
                'outputs', 'needs scores and distances, one name for each stride in both, and no '
                'output.output beside them')
        if self.scores and self.strides and len(self.scores) != len(self.strides):
            raise fields.error(
                'strides', f'has {len(self.strides)} numbers, but {len(self.scores)} outputs are '
                'named for scores; give one for each')
        return self


def class_count(outputs: Outputs, options: NanodetOptions) -> int:
    """Return the number of classes."""
    return int(_levels(outputs, options)[0][0].shape[1])


def decode(outputs: Outputs, options: NanodetOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold, each with its best class."""
    levels = _levels(outputs, options)
    strides = options.strides or ((8, 16, 32, 64) if len(levels) in (1, 4) else (8, 16, 32))
    grids = _grids(context.input_size, strides, [len(scores) for scores, _ in levels], outputs)
    middle = options.point == 'middle' or (options.point == 'auto' and len(levels) > 1)
    found = [_level(*level, grid, middle, options, context)
             for level, grid in zip(levels, grids)]
    boxes, scores, class_ids = (np.concatenate(parts) for parts in zip(*found))
    return finite_candidates(boxes, scores, class_ids)


def _level(
    scores: NDArray[np.float32], logits: NDArray[np.float32], grid: NDArray[np.float32],
    middle: bool, options: NanodetOptions, context: DecodeContext,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes, scores and classes of the rows over the threshold."""
    quick = row_maxima(scores)
    if options.activation == 'sigmoid':
        quick = sigmoid(quick)
    # A quick look shows which few rows are worth a close one.
    few = np.flatnonzero(quick >= context.score_threshold)
    scores, logits, grid = scores[few], logits[few], grid[few]
    best = scores.max(axis=1)
    values = sigmoid(best) if options.activation == 'sigmoid' else best
    sure = np.flatnonzero((values >= context.score_threshold) & np.isfinite(best))
    # softmax takes a logit that is not finite for impossible; here it means a broken row.
    sure = sure[np.isfinite(logits[sure]).all(axis=1)]
    steps = options.reg_max + 1
    parts = softmax(logits[sure].reshape(-1, 4, steps))
    stride = grid[sure, 2:]
    distances = (parts @ np.arange(steps, dtype=np.float32)) * stride
    points: NDArray[np.float32] = grid[sure, :2] * stride
    if middle:
        points += (stride - 1) * np.float32(0.5)
    boxes = np.concatenate((points - distances[:, :2], points + distances[:, 2:]), axis=1)
    return (boxes.astype(np.float32, copy=False), values[sure],
            scores[sure].argmax(axis=1))


def _grids(
    size: tuple[int, int], strides: tuple[int, ...], rows: list[int], outputs: Outputs,
) -> list[NDArray[np.float32]]:
    """Return the cells of each level, as many as it has rows."""
    groups = [strides] if len(rows) == 1 else [(stride,) for stride in strides]
    # Models with three strides in one tensor are told by their rows.
    fewer = [[strides[:3]]] if len(rows) == 1 and len(strides) == 4 else []
    for wanted in [groups, *fewer]:
        if [cell_count(size, group, partial=True) for group in wanted] == rows:
            return [cells(size, group, partial=True) for group in wanted]
    counts = [cell_count(size, group, partial=True) for group in groups]
    raise OutputError(
        f'the outputs have {rows} rows but an input of {size[0]}x{size[1]} with the strides '
        f'{list(strides)} has {counts} cells; set output.strides; the '
        f'model has {describe(outputs)}')


_Levels = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def _levels(outputs: Outputs, options: NanodetOptions) -> _Levels:
    """Return scores ``[cells, C]`` and logits ``[cells, 4 * (reg_max + 1)]`` of each level."""
    width = 4 * (options.reg_max + 1)
    if options.output is not None or (len(outputs) == 1 and not options.scores):
        name = options.output or first_name(outputs)
        expected = f'[1, cells, classes + {width}]'
        rows = read_table(outputs, name, expected, (None, None))
        if rows.shape[1] <= width:
            raise misfit(name, f'{expected} with one class at least', outputs)
        return [(rows[:, :-width], rows[:, -width:])]
    levels: _Levels = []
    for score_name, distance_name in _pairs(outputs, options, width):
        logits = read_table(outputs, distance_name, f'[1, cells, {width}]', (None, width))
        expected = f'[1, {len(logits)}, classes]'
        scores = read_table(outputs, score_name, expected, (len(logits), None))
        if scores.shape[1] == 0 or (levels and scores.shape[1] != levels[0][0].shape[1]):
            raise misfit(
                score_name, f'{expected}, as many classes as at the other strides', outputs)
        levels.append((scores, logits))
    return levels


def _pairs(
    outputs: Outputs, options: NanodetOptions, width: int,
) -> Iterable[tuple[str, str]]:
    """Return the names of scores and logits of each level, the most cells (least stride) first."""
    if options.scores:
        return zip(options.scores, options.distances)
    groups: dict[str, list[str]] = {'scores': [], 'distances': []}
    for name, array in outputs.items():
        role = _role(name, array, width, outputs)
        if role:
            groups[role].append(name)
    for names in groups.values():
        names.sort(key=lambda name: -outputs[name].size)
    if not groups['scores'] or len(groups['scores']) != len(groups['distances']):
        raise OutputError(
            'the outputs for scores and distances cannot be told apart; name them for each '
            'stride under output.outputs (scores, distances), and set output.reg_max if it '
            f'is not {options.reg_max}; the model has {describe(outputs)}')
    return zip(groups['scores'], groups['distances'])


def _role(
    name: str, array: NDArray[np.float32], width: int, outputs: Outputs,
) -> str | None:
    """Tell scores from logits by the number of columns; only where that is equal by name."""
    if array.ndim < 2:
        return None
    if any(other.ndim > 1 and other.shape[-1] != width for other in outputs.values()):
        return 'distances' if array.shape[-1] == width else 'scores'
    named = [role for role, words in _WORDS.items()
             if any(word in name.lower() for word in words)]
    return named[0] if len(named) == 1 else None


NANODET = Decoder(
    task='detection', options=NanodetOptions, decode=decode, class_count=class_count,
    needs_nms=True)
