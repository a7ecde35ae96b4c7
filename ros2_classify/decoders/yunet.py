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
YuNet: a face detector without anchors, four tensors for each stride.

Format (https://doi.org/10.1007/s11633-023-1423-y, and ``face_detect.cpp`` of
https://github.com/opencv/opencv): for each stride ``s`` the tensors ``cls_s [1, cells, C]``,
``obj_s [1, cells, 1]``, ``bbox_s [1, cells, 4]`` and ``kps_s [1, cells, 10]``, a row for each cell
of the grid, row by row. With a cell's column and row ``(gx, gy)``:

* the score is ``sqrt(cls * obj)``, both cut to 0 to 1;
* the centre is ``((x + gx) * s, (y + gy) * s)``, the size ``(exp(w) * s, exp(h) * s)``.

* the key points (eyes, nose, corners of the mouth) are ``((x + gx) * s, (y + gy) * s)``; they have
  no scores, so each gets that of its face.

Models without ``kps_s`` have no key points.
"""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, describe, find_name, misfit, OUTPUT, Outputs, read_table)
from ros2_classify.decoders.boxes import cells, finite_candidates, STRIDES
from ros2_classify.decoders.keypoints import KEYPOINT_FAMILIES, points_of
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section
from ros2_classify.yaml_config import Fields

_ROLES = ('cls', 'obj', 'bbox')
_FACE = KEYPOINT_FAMILIES['face']


_OUTPUTS = Section(
    'outputs', 'the output tensors', 'those called `cls_8` and so on',
    value='mapping with `cls`, `obj`, `bbox` and perhaps `kps`: a list each, one name for each '
    'stride')


@dataclass(frozen=True)
class YunetOptions:
    """Options of the decoder ``yunet``."""

    cls: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    obj: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    bbox: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    kps: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    strides: tuple[int, ...] = key((8, 16, 32), STRIDES)

    def checked(self, fields: Fields) -> YunetOptions:
        """Refuse a number of names that is not that of the strides."""
        for role in (*_ROLES, 'kps'):
            if (names := getattr(self, role)) and len(names) != len(self.strides):
                raise fields.section('outputs').error(
                    role, f'has {len(names)} names, but there are {len(self.strides)} strides '
                    f'({", ".join(map(str, self.strides))}); give one for each')
        return self


def class_count(outputs: Outputs, options: YunetOptions) -> int:
    """Return the number of classes: 1, the face."""
    name = _name(outputs, options, 'cls', 0)
    table = read_table(outputs, name, '[1, cells, classes]', (None, None))
    return int(table.shape[1])


def decode(outputs: Outputs, options: YunetOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold, each with its best class."""
    with_points = bool(options.kps) or all(
        find_name(outputs, f'kps_{stride}') for stride in options.strides)
    found = [_level(outputs, options, place, context, with_points)
             for place in range(len(options.strides))]
    boxes, scores, class_ids, kps = (np.concatenate(parts) for parts in zip(*found))
    points = points_of(kps, (5, 2), scores, _FACE) if with_points else None
    return finite_candidates(boxes, scores, class_ids, points=points)


def _level(
    outputs: Outputs, options: YunetOptions, place: int, context: DecodeContext,
    with_points: bool,
) -> tuple[NDArray[Any], ...]:
    """Return boxes, scores, classes and key points of one stride, those over the threshold."""
    stride = options.strides[place]
    grid = cells(context.input_size, (stride,))
    every, objectness, boxes = (
        _table(outputs, _name(outputs, options, role, place), len(grid), columns, stride, context)
        for role, columns in zip(_ROLES, (None, 1, 4)))
    class_ids = every.argmax(axis=1)
    best = every[np.arange(len(every)), class_ids]
    # NaN goes through the clipping and compares as false; infinity is caught before it.
    usable = np.isfinite(best) & np.isfinite(objectness[:, 0])
    scores = np.sqrt(np.clip(best, 0, 1) * np.clip(objectness[:, 0], 0, 1))
    sure = np.flatnonzero((scores >= context.score_threshold) & usable)
    # An overflow gives inf, and the box is dropped.
    with np.errstate(over='ignore', invalid='ignore'):
        center = (boxes[sure, :2] + grid[sure, :2]) * stride
        half = np.exp(boxes[sure, 2:]) * np.float32(stride * 0.5)
        corners = np.concatenate((center - half, center + half), axis=1)
        points = np.zeros((len(sure), 0), np.float32)
        if with_points:
            table = _table(outputs, _name(outputs, options, 'kps', place), len(grid), 10, stride,
                           context)
            points = (table[sure] + np.tile(grid[sure, :2], 5)) * stride
    return corners, scores[sure], class_ids[sure], points


def _table(
    outputs: Outputs, name: str, rows: int, columns: int | None, stride: int,
    context: DecodeContext,
) -> NDArray[np.float32]:
    """Return one tensor as ``[rows, columns]``."""
    width, height = context.input_size
    expected = (f'[1, {rows}, {columns or "classes"}], for the stride {stride} and an input of '
                f'{width}x{height}')
    table = read_table(outputs, name, expected, (rows, columns))
    if table.shape[1] == 0:
        raise misfit(name, expected, outputs)
    return table


def _name(outputs: Outputs, options: YunetOptions, role: str, place: int) -> str:
    """Return the name of a role's tensor at a stride: declared, or with the stride at its end."""
    declared: tuple[str, ...] = getattr(options, role)
    stride = options.strides[place]
    usual = f'{role}_{stride}'
    name = declared[place] if declared else usual
    if find_name(outputs, name) is None:
        others = ', '.join(sorted(
            (other for other in outputs if re.match(role, other)), key=len))
        raise OutputError(
            f'the model has no output {name!r}{f" (there are {others})" if others else ""}; '
            f'name those for each stride under output.outputs.{role}, or set output.strides; '
            f'the model has {describe(outputs)}')
    return name


YUNET = Decoder(
    task='detection', options=YunetOptions, decode=decode, class_count=class_count,
    needs_nms=True)
