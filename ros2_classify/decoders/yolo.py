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
YOLO family: one tensor of boxes that are decoded already, before non-maximum suppression.

Formats:

* YOLOv8, v9 and v11 (https://docs.ultralytics.com/modes/export/): ``[1, 4 + C, N]``, a column for
  each cell with ``x, y, w, h`` and the class scores;
* YOLOv5 (https://github.com/ultralytics/yolov5), YOLOv7 (https://arxiv.org/abs/2207.02696) and
  YOLOv6 (https://arxiv.org/abs/2209.02976): ``[1, N, 5 + C]``, a row for each anchor with
  ``x, y, w, h, objectness`` and the class scores; the score is objectness times class score.

Centre and size are in model pixels, and the sigmoid is inside. Exports vary: the axes may be
swapped, the box format may differ or be normalized, and the sigmoid may be missing.

After the class scores may follow:

* ``K`` key points of two or three numbers: x, y and a score (in YOLOv5-face,
  https://github.com/deepcam-cn/yolov5-face, before them);
* ``M`` coefficients of masks, with the prototypes ``[1, M, h, w]`` in another output: a mask is
  ``sigmoid(coefficients @ prototypes)`` inside the box;
* an angle in radians, by which the box is turned from x towards y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, first_name, ignore, misfit, OUTPUT, Outputs, pick,
    read_table, row_maxima, sigmoid)
from ros2_classify.decoders.boxes import (
    BOX_FORMAT, BoxFormat, cell_count, denormalize, finite_candidates, NORMALIZED, to_xyxy,
    upright)
from ros2_classify.decoders.keypoints import (
    check_points, family, KEYPOINT_NAMES, KEYPOINTS, Limbs, points_of, SKELETON)
from ros2_classify.errors import OutputError
from ros2_classify.keys import key
from ros2_classify.yaml_config import Fields

Axes = Literal['channels_first', 'channels_last']
_EXPECTED = '[1, 4 + classes, N] or [1, N, 5 + classes]'
# The usual grids: three strides, four in the large models, two in the tiny ones.
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32))
_ANCHORS = 3


@dataclass(frozen=True)
class YoloOptions:
    """Options of the decoder ``yolo``."""

    output: str | None = key(None, OUTPUT)
    axes: Literal['auto'] | Axes = key(
        'auto', 'whether a box is a column, `[1, 4 + classes, N]`, or a row')
    objectness: Literal['auto'] | bool = key(
        'auto', 'whether an objectness stands between box and class scores')
    classes: int | None = key(
        None, 'the number of class scores, if more follows than the keys below say', low=1,
        high=10**6, unset='all that is left')
    activation: Literal['none', 'sigmoid'] = key(
        'none', 'what turns objectness and class scores into scores')
    box_format: BoxFormat = key('cxcywh', BOX_FORMAT)
    normalized: bool = key(False, NORMALIZED)
    keypoints: tuple[int, int] | None = key(None, KEYPOINTS)
    keypoints_place: Literal['after_classes', 'before_classes'] = key(
        'after_classes', 'where the key points are; `before_classes` in YOLOv5-face')
    keypoint_names: str | tuple[str, ...] = key((), KEYPOINT_NAMES)
    skeleton: Limbs = key((), SKELETON)
    prototypes: str | None = key(
        None, 'the output with the prototypes of masks, whose coefficients follow the class '
        'scores', unset='no masks')
    angle: bool = key(False, 'whether an angle follows the class scores, in radians: the boxes '
                      'are turned')

    def checked(self, fields: Fields) -> YoloOptions:
        """Refuse key points that don't fit, and boxes that can't be turned."""
        check_points(self.keypoints[0] if self.keypoints else 0, self.keypoint_names,
                     self.skeleton, fields)
        if self.angle and (self.box_format != 'cxcywh' or self.normalized):
            raise fields.error('angle', 'needs centre and size in pixels; remove '
                               'output.box_format and output.normalized')
        return self


def class_count(outputs: Outputs, options: YoloOptions) -> int | None:
    """Return the number of classes; None if only the labels tell."""
    _, table = _table(outputs, options)
    if options.classes is not None:
        return options.classes
    if options.axes == 'auto' or options.objectness == 'auto':
        return None
    channels = table.shape[0] if options.axes == 'channels_first' else table.shape[1]
    return int(channels) - 4 - options.objectness - sum(_extra(outputs, options).values())


def decode(outputs: Outputs, options: YoloOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold, each with its best class."""
    extra = _extra(outputs, options)
    data, objectness, classes = _columns(outputs, options, context, sum(extra.values()))
    before = options.keypoints_place == 'before_classes'
    first = 4 + objectness + before * extra['keypoints']
    likely: NDArray[np.float32] | None = None
    if objectness:
        # A class score is at most 1, so boxes with a low objectness are dropped first.
        certainty = _activated(data[4], options)
        kept = np.flatnonzero(certainty >= context.score_threshold)
        likely, data = certainty[kept], data[:, kept]
    elif data.strides[0] < data.strides[1]:
        # The numbers of a box are adjacent: a fast maximum selects the few boxes that count.
        quick = _activated(row_maxima(data[first:first + classes].T), options)
        data = data[:, np.flatnonzero(quick >= context.score_threshold)]
    best = data[first:first + classes].max(axis=0)
    scores = _activated(best, options)
    if likely is not None:
        # No probabilities, and refused later.
        with np.errstate(over='ignore'):
            scores = scores * likely
    # NaN compares as false; infinite logits are not scores either.
    sure = np.flatnonzero((scores >= context.score_threshold) & np.isfinite(best))
    data, scores = data[:, sure], scores[sure]
    class_ids = data[first:first + classes].argmax(axis=0)
    boxes = to_xyxy(data[:4].T, options.box_format)
    if options.normalized:
        boxes = denormalize(boxes, context.input_size)
    after = {}
    at = first + classes
    for name, count in extra.items():
        start = first - count if name == 'keypoints' and before else at
        after[name] = data[start:start + count].T
        at += 0 if name == 'keypoints' and before else count
    if at < len(data):
        ignore(outputs, f'{len(data) - at} numbers after the {classes} class scores of each box: '
               'output.keypoints, output.prototypes and output.angle say what such numbers are')
    more: dict[str, Any] = {}
    if options.keypoints is not None:
        points = points_of(after['keypoints'], options.keypoints, scores,
                           family(options.keypoint_names, options.skeleton))
        if options.normalized:
            # What is not finite is looked for later.
            with np.errstate(over='ignore', invalid='ignore'):
                points.values[..., :2] *= np.array(context.input_size, np.float32)
        more['points'] = points
    if options.prototypes is not None:
        more.update(masks=after['coefficients'],
                    prototypes=prototypes(options.prototypes, outputs))
    if options.angle:
        more['oriented'] = np.concatenate((data[:4].T, after['angle']), axis=1)
        boxes = upright(more['oriented'])
    return finite_candidates(boxes, scores, class_ids, **more)


def prototypes(name: str, outputs: Outputs) -> NDArray[np.float32]:
    """Return the prototypes of masks as ``[M, h, w]``."""
    expected = '[1, M, height, width], the prototypes of masks'
    table = read_table(outputs, name, expected, (None, None, None))
    if 0 in table.shape:
        raise misfit(name, expected, outputs)
    return table


def _extra(outputs: Outputs, options: YoloOptions) -> dict[str, int]:
    """Return how many numbers of each box are neither box nor scores, in their order."""
    return {
        'keypoints': options.keypoints[0] * options.keypoints[1] if options.keypoints else 0,
        'coefficients': 0 if options.prototypes is None else len(
            prototypes(options.prototypes, outputs)),
        'angle': int(options.angle)}


def _axes_of(
    shape: tuple[int, int], classes: int | None, size: tuple[int, int],
) -> Axes | None:
    """Tell which axis counts the boxes: by the labels, by the grids, or because it is longer."""
    both: tuple[tuple[Axes, int, int], ...] = (
        ('channels_first', shape[0], shape[1]), ('channels_last', shape[1], shape[0]))
    if classes is not None:
        fitting = [axes for axes, channels, _ in both if channels - classes in (4, 5)]
        if len(fitting) == 1:
            return fitting[0]
    counts = _cell_counts(size)
    grids = counts | {count * _ANCHORS for count in counts}
    fitting = [axes for axes, _, rows in both if rows in grids]
    if len(fitting) == 1:
        return fitting[0]
    fitting = [axes for axes, channels, rows in both if rows >= 2 * channels]
    return fitting[0] if fitting else None


def _objectness_of(
    shape: tuple[int, int], axes: Axes, classes: int | None, size: tuple[int, int],
) -> bool | None:
    """Tell whether there is an objectness: by the labels, or by the number of anchors."""
    channels, rows = shape if axes == 'channels_first' else shape[::-1]
    counts = _cell_counts(size)
    anchored = rows not in counts and any(rows == count * _ANCHORS for count in counts)
    if classes is not None:
        if channels - classes == 4:
            return False
        # A fifth number in columns may also be an angle behind the class scores.
        return True if channels - classes == 5 and (
            axes == 'channels_last' or anchored) else None
    if anchored:
        return True
    return False if axes == 'channels_first' and rows in counts else None


def _cell_counts(size: tuple[int, int]) -> set[int]:
    """Return the numbers of cells that the usual strides give."""
    return {cell_count(size, strides) for strides in _STRIDES}


def _table(outputs: Outputs, options: YoloOptions) -> tuple[str, NDArray[np.float32]]:
    """Return the output's name and its two dimensions."""
    name = options.output or first_name(outputs)
    return name, read_table(outputs, name, _EXPECTED, (None, None))


def _columns(
    outputs: Outputs, options: YoloOptions, context: DecodeContext, extra: int,
) -> tuple[NDArray[np.float32], bool, int]:
    """Return the numbers as ``[4 + objectness + C, N]``, whether there is objectness, and C."""
    name, table = _table(outputs, options)
    shape = (table.shape[0], table.shape[1])
    known = options.classes or context.label_count
    # As many as there would be if all numbers behind were class scores.
    seen = None if known is None else known + extra
    axes = options.axes if options.axes != 'auto' else _axes_of(
        shape, seen, context.input_size)
    if axes is None:
        raise OutputError(
            f'the output {name!r} has the shape {list(pick(outputs, name).shape)}, which '
            'does not tell the axis of the boxes; set output.axes: channels_first for '
            '[1, 4 + classes, N], or channels_last for [1, N, 5 + classes]')
    objectness = options.objectness if options.objectness != 'auto' else _objectness_of(
        shape, axes, seen, context.input_size)
    data = table if axes == 'channels_first' else table.T
    if objectness is None:
        count = '' if known is None else f' for {known} classes'
        raise OutputError(
            f'the output {name!r} has the shape {list(pick(outputs, name).shape)}, {len(data)} '
            f'numbers for each box; 4 or 5 more than classes are expected, and{count} it is '
            'unknown whether objectness is one of them; set output.objectness: true or false, '
            'and output.classes if more follows the class scores')
    left = len(data) - 4 - objectness - extra
    classes = options.classes or left
    if not 1 <= classes <= left:
        least = 4 + objectness + (options.classes or 1) + extra
        raise misfit(
            name, f'at least {least} numbers for each box: 4 of the box, '
            f'{"the objectness, " if objectness else ""}and the class scores'
            + (f', and {extra} more as output.keypoints, prototypes and angle say' if extra
               else ''), outputs)
    return data, objectness, classes


def _activated(values: NDArray[np.float32], options: YoloOptions) -> NDArray[np.float32]:
    return sigmoid(values) if options.activation == 'sigmoid' else values


YOLO = Decoder(
    task='detection', options=YoloOptions, decode=decode, class_count=class_count,
    needs_nms=True)
