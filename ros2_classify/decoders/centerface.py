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
CenterFace: a face detector that marks the centers of faces in a heat map.

Format (https://arxiv.org/abs/1911.03599, and ``prj-python/centerface.py`` of
https://github.com/Star-Clouds/CenterFace): a heat map ``[1, 1, h, w]`` of scores, logarithms of
the boxes' height and width ``[1, 2, h, w]``, offsets of their center in y and x ``[1, 2, h, w]``,
and key points ``[1, 10, h, w]``; a cell is ``s = 4`` pixels wide. With a cell's column and row
``(gx, gy)``:

* the center is ``((gx + x + 0.5) * s, (gy + y + 0.5) * s)``;
* the size is ``(exp(width) * s, exp(height) * s)``;
* a key point is the top left corner of the box and ``(x * box width, y * box height)``, y before x
  in the channels. Key points have no scores, so each gets that of its face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, describe, misfit, OUTPUT, Outputs, read_table)
from ros2_classify.decoders.boxes import finite_candidates, stride_of, to_xyxy
from ros2_classify.decoders.keypoints import KEYPOINT_FAMILIES, points_of
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section
from ros2_classify.yaml_config import Fields

_OUTPUTS = Section(
    'outputs', 'the output tensors; give the first three or none; `points` may be missing',
    'by name, else by shape, `scale` before `offset`')
_WORDS = {'heatmap': ('heat', 'hm'), 'scale': ('scale', 'size'), 'offset': ('off',)}
_CHANNELS = {'heatmap': 1, 'scale': 2, 'offset': 2}


@dataclass(frozen=True)
class CenterFaceOptions:
    """Options of the decoder ``centerface``."""

    heatmap: str | None = key(None, OUTPUT, under=_OUTPUTS)
    scale: str | None = key(None, OUTPUT, under=_OUTPUTS)
    offset: str | None = key(None, OUTPUT, under=_OUTPUTS)
    points: str | None = key(None, OUTPUT, under=_OUTPUTS)
    stride: int = key(4, 'input pixels for each cell', low=1, high=1024)

    def checked(self, fields: Fields) -> CenterFaceOptions:
        """Refuse some names without the others."""
        if len({name is None for name in (self.heatmap, self.scale, self.offset)}) > 1:
            raise fields.error('outputs', 'needs heatmap, scale and offset; give all three')
        return self


def class_count(outputs: Outputs, options: CenterFaceOptions) -> int:
    """Return the number of classes: 1, the face."""
    _maps(outputs, options)
    return 1


def decode(outputs: Outputs, options: CenterFaceOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold."""
    heatmap, scale, offset = _maps(outputs, options)
    rows, columns = heatmap.shape[1:]
    if stride_of(context.input_size, (rows, columns)) != options.stride:
        width, height = context.input_size
        raise OutputError(
            f'the heat map has {rows}x{columns} cells of {options.stride} pixels, but the input '
            f'is {height}x{width}; correct input.size or set output.stride; the model has '
            f'{describe(outputs)}')
    places = np.flatnonzero(heatmap[0] >= context.score_threshold)
    row, column = np.divmod(places, columns)
    scores = heatmap[0, row, column]
    # An overflow gives inf, and the box is dropped.
    with np.errstate(over='ignore', invalid='ignore'):
        cells = np.stack((row, column), axis=1).astype(np.float32)
        center = (cells + offset[:, row, column].T + np.float32(0.5)) * np.float32(options.stride)
        size = np.exp(scale[:, row, column].T) * np.float32(options.stride)
        # Both have y first.
        boxes = to_xyxy(np.concatenate((center[:, ::-1], size[:, ::-1]), axis=1), 'cxcywh')
        points = None
        if (moves := _points(outputs, options, heatmap.shape[1:])) is not None:
            places = moves[:, row, column].T.reshape(-1, 5, 2)[..., ::-1]
            corner, sides = boxes[:, np.newaxis, :2], size[:, np.newaxis, ::-1]
            points = points_of((corner + places * sides).reshape(-1, 10), (5, 2), scores,
                               KEYPOINT_FAMILIES['face'])
    return finite_candidates(boxes, scores, np.zeros(len(scores), np.int64), points=points)


def _points(
    outputs: Outputs, options: CenterFaceOptions, grid: tuple[int, ...],
) -> NDArray[np.float32] | None:
    """Return the key points ``[10, h, w]``, if there are any."""
    name = options.points
    if name is None and options.heatmap is None:
        shaped = [each for each, array in outputs.items() if array.shape[-3:] == (10, *grid)]
        name = shaped[0] if len(shaped) == 1 else None
    return None if name is None else read_table(
        outputs, name, f'[1, 10, {grid[0]}, {grid[1]}], five key points for each cell',
        (10, *grid))


def _maps(outputs: Outputs, options: CenterFaceOptions) -> list[NDArray[np.float32]]:
    """Return heat map, scale and offset, each ``[channels, h, w]``."""
    names = {'heatmap': options.heatmap, 'scale': options.scale, 'offset': options.offset}
    found = _by_shape(outputs) if options.heatmap is None else {
        role: name for role, name in names.items() if name is not None}
    maps: list[NDArray[np.float32]] = []
    for role, name in found.items():
        grid = maps[0].shape[1:] if maps else (None, None)
        expected = f'[1, {_CHANNELS[role]}, {grid[0] or "h"}, {grid[1] or "w"}] for {role}'
        table = read_table(outputs, name, expected, (_CHANNELS[role], *grid))
        if 0 in table.shape:
            raise misfit(name, expected, outputs)
        maps.append(table)
    return maps


def _by_shape(outputs: Outputs) -> dict[str, str]:
    """Tell the maps by words in their names, else by channels in the published order."""
    found = {role: [name for name in outputs if any(word in name.lower() for word in words)]
             for role, words in _WORDS.items()}
    if all(len(names) == 1 for names in found.values()):
        return {role: names[0] for role, names in found.items()}
    shaped = {channels: [name for name, array in outputs.items()
                         if array.ndim in (3, 4) and array.shape[-3] == channels]
              for channels in (1, 2)}
    if len(shaped[1]) != 1 or len(shaped[2]) != 2:
        raise OutputError(
            'the decoder expects a heat map [1, 1, h, w], scale [1, 2, h, w] and offset '
            '[1, 2, h, w]; name them under output.outputs (heatmap, scale, offset); the model has '
            f'{describe(outputs)}')
    return {'heatmap': shaped[1][0], 'scale': shaped[2][0], 'offset': shaped[2][1]}


CENTERFACE = Decoder(
    task='detection', options=CenterFaceOptions, decode=decode, class_count=class_count,
    needs_nms=True)
