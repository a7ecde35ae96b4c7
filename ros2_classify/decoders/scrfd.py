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
SCRFD: a face detector with distances to the four sides of a box, for each stride.

Format (https://arxiv.org/abs/2105.04714, and ``python-package/insightface/model_zoo/scrfd.py`` of
https://github.com/deepinsight/insightface): for each stride ``s`` scores ``[cells * A, 1]``,
distances ``[cells * A, 4]`` and, in some models, key points ``[cells * A, 10]``, with or without a
batch axis; ``A`` boxes for each cell, the cells row by row. Scores went through a sigmoid. The
distances, in strides, are to the left, top, right and bottom of ``(column * s, row * s)``.

Key points are ``x, y`` in strides from the same point. They have no scores, so each gets that of
its face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, describe, misfit, OUTPUT, Outputs, read_table)
from ros2_classify.decoders.boxes import cells, finite_candidates, scores_over, STRIDES
from ros2_classify.decoders.keypoints import KEYPOINT_FAMILIES, points_of
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section
from ros2_classify.yaml_config import Fields

_OUTPUTS = Section(
    'outputs', 'the output tensors of each stride', 'by shape',
    value='mapping with `scores`, `boxes` and perhaps `points`: a list each, one name for each '
    'stride')
_FACE = KEYPOINT_FAMILIES['face']


@dataclass(frozen=True)
class ScrfdOptions:
    """Options of the decoder ``scrfd``."""

    scores: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    boxes: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    points: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    strides: tuple[int, ...] = key((8, 16, 32), STRIDES)
    activation: Literal['none', 'sigmoid'] = key('none', 'what turns the outputs into scores')

    def checked(self, fields: Fields) -> ScrfdOptions:
        """Refuse lists that don't fit together."""
        counts = {len(self.scores), len(self.boxes)}
        if counts not in ({0}, {len(self.strides)}) or len(self.points) not in (
                0, len(self.strides)):
            raise fields.error(
                'outputs', f'needs scores and boxes, {len(self.strides)} names in both (and in '
                f'points, if there are any), one for each stride '
                f'({", ".join(map(str, self.strides))})')
        return self


def class_count(outputs: Outputs, options: ScrfdOptions) -> int:
    """Return the number of classes: 1, the face."""
    return int(_tables(outputs, options)[0][0].shape[1])


def decode(outputs: Outputs, options: ScrfdOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold."""
    tables = _tables(outputs, options)
    places = _points(outputs, options, [len(boxes) for _, boxes in tables])
    found = [_level(scores, distances, points, stride, options, context, outputs)
             for (scores, distances), points, stride in zip(tables, places, options.strides)]
    boxes, scores, class_ids, kps = (np.concatenate(parts) for parts in zip(*found))
    points = points_of(kps, (5, 2), scores, _FACE) if kps.shape[1] else None
    return finite_candidates(boxes, scores, class_ids, points=points)


def _level(
    scores: NDArray[np.float32], distances: NDArray[np.float32], moves: NDArray[np.float32],
    stride: int, options: ScrfdOptions, context: DecodeContext, outputs: Outputs,
) -> tuple[NDArray[Any], ...]:
    """Return boxes, scores, classes and key points of one stride, those over the threshold."""
    grid = cells(context.input_size, (stride,))
    if not len(grid) or not len(scores) or len(scores) % len(grid):
        width, height = context.input_size
        raise OutputError(
            f'the outputs of the stride {stride} have {len(scores)} rows, but an input of '
            f'{width}x{height} has {len(grid)} cells, and the rows must be a multiple of them; '
            f'set output.strides or correct input.size; the model has {describe(outputs)}')
    rows, class_ids, found = scores_over(
        scores, options.activation, None, context.score_threshold)
    points = grid[rows // (len(scores) // len(grid)), :2] * np.float32(stride)
    # An overflow gives inf, and the box is dropped.
    with np.errstate(over='ignore', invalid='ignore'):
        sides = distances[rows] * np.float32(stride)
        boxes = np.concatenate((points - sides[:, :2], points + sides[:, 2:]), axis=1)
        places = moves[rows] * np.float32(stride) + np.tile(points, moves.shape[1] // 2)
    return boxes, found, class_ids, places


def _points(
    outputs: Outputs, options: ScrfdOptions, rows: list[int],
) -> list[NDArray[np.float32]]:
    """Return the key points ``[N, 10]`` of each stride, or ``[N, 0]`` without any."""
    names: tuple[str | None, ...] = options.points
    if not names and not options.scores:
        shaped = {count: [name for name, array in outputs.items() if array.ndim in (2, 3)
                          and array.shape[-2:] == (count, 10)] for count in rows}
        if all(len(found) == 1 for found in shaped.values()) and len(shaped) == len(rows):
            names = tuple(shaped[count][0] for count in rows)
    if not names:
        return [np.zeros((count, 0), np.float32) for count in rows]
    return [read_table(outputs, str(name), f'[1, {count}, 10], five key points for each box',
                       (count, 10)) for name, count in zip(names, rows)]


_Table = tuple[NDArray[np.float32], NDArray[np.float32]]


def _tables(outputs: Outputs, options: ScrfdOptions) -> list[_Table]:
    """Return scores ``[N, C]`` and distances ``[N, 4]`` of each stride."""
    tables: list[_Table] = []
    for score_name, box_name in zip(*_names(outputs, options)):
        boxes = read_table(outputs, box_name, '[1, cells * A, 4]', (None, 4))
        expected = f'[1, {len(boxes)}, 1], a row for each box'
        scores = read_table(outputs, score_name, expected, (len(boxes), None))
        if scores.shape[1] == 0 or (tables and scores.shape[1] != tables[0][0].shape[1]):
            raise misfit(score_name, expected, outputs)
        tables.append((scores, boxes))
    return tables


def _names(
    outputs: Outputs, options: ScrfdOptions,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of scores and boxes for each stride, most rows first, as strides grow."""
    if options.scores:
        return options.scores, options.boxes
    named = {role: sorted((name for name, array in outputs.items()
                           if array.ndim in (2, 3) and array.shape[-1] in columns),
                          key=lambda name: -outputs[name].size)
             for role, columns in (('scores', (1,)), ('boxes', (4,)))}
    count = len(options.strides)
    if any(len(names) != count for names in named.values()):
        raise OutputError(
            f'the decoder expects scores [1, N, 1] and boxes [1, N, 4] for each of {count} '
            'strides; set output.strides, or name them under output.outputs (scores, boxes); the '
            f'model has {describe(outputs)}')
    # The names are in the order of ascending strides; the declared order may be another.
    order = np.argsort(np.argsort(options.strides))
    scores, boxes = (tuple(names[place] for place in order) for names in named.values())
    return scores, boxes


SCRFD = Decoder(
    task='detection', options=ScrfdOptions, decode=decode, class_count=class_count,
    needs_nms=True)
