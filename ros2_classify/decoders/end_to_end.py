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
Models that do their own non-maximum suppression, or need none: final boxes, 0 to n of them.

Formats, both with or without a batch axis:

* rows: one tensor ``[N, 6]``, by default ``x1, y1, x2, y2, score, class`` as YOLOv10 writes it
  (https://github.com/THU-MIG/yolov10), or ``[N, 7]``, by default ``batch, x1, y1, x2, y2, class,
  score`` as YOLOv7 does (``models/experimental.py`` of https://github.com/WongKinYiu/yolov7);
* separate tensors: boxes ``[N, 4]``, classes ``[N]``, scores ``[N]`` and, where the rest is
  padding, a count. So do torchvision's detectors, whose class 0 is the background
  (https://docs.pytorch.org/vision/stable/models.html), RT-DETR and D-FINE
  (https://github.com/lyuwenyu/RT-DETR, https://github.com/Peterande/D-FINE), SSD in the ONNX model
  zoo (https://github.com/onnx/models), and TensorRT's ``EfficientNMS``.

A row is padding where its score is 0, or its class or its batch index is negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    as_float32, Candidates, DecodeContext, Decoder, describe, misfit, Outputs, pick, unbatch)
from ros2_classify.decoders.boxes import (
    BOX_FORMATS, BoxFormat, denormalize, finite_candidates, OLD_UNITS, to_xyxy, UNITS, Units)
from ros2_classify.errors import OutputError
from ros2_classify.yaml_config import Fields

Column = Literal['box', 'score', 'class', 'batch', 'unused']
COLUMNS: tuple[Column, ...] = ('box', 'score', 'class', 'batch', 'unused')
_USUAL: dict[int, tuple[Column, ...]] = {
    6: ('box', 'score', 'class'), 7: ('batch', 'box', 'class', 'score')}
_ROLES = ('boxes', 'classes', 'scores', 'count')
_WORDS = {'boxes': ('box',), 'classes': ('class', 'label'), 'scores': ('score', 'conf'),
          'count': ('num', 'count')}


@dataclass(frozen=True)
class EndToEndOptions:
    """Options of the decoder ``end_to_end``."""

    rows: str | None = None
    boxes: str | None = None
    classes: str | None = None
    scores: str | None = None
    count: str | None = None
    columns: tuple[Column, ...] = ()
    box_format: BoxFormat = 'xyxy'
    units: Units = 'model'
    class_offset: int = 0


def read_options(fields: Fields) -> EndToEndOptions:
    """Take the decoder's options out of a descriptor."""
    names = fields.section('outputs')
    rows = names.text('rows', None)
    boxes, classes, scores, count = (names.text(role, None) for role in _ROLES)
    names.finish()
    if rows is not None and (boxes or classes or scores):
        raise names.error(
            'rows', 'holds boxes, classes and scores in one; remove it, or the other names')
    columns = _read_columns(fields)
    if columns and (boxes or classes or scores):
        raise fields.error(
            'columns', 'only counts for rows, but separate outputs are named; remove the one or '
            'the other')
    return EndToEndOptions(
        rows=rows, boxes=boxes, classes=classes, scores=scores, count=count, columns=columns,
        box_format=fields.choice('box_format', BOX_FORMATS, 'xyxy'),
        units=fields.choice('units', UNITS, 'model', renamed=OLD_UNITS),
        class_offset=fields.integer('class_offset', 0, low=-1000, high=1000))


def _read_columns(fields: Fields) -> tuple[Column, ...]:
    """Return the declared columns, each needed one exactly once."""
    columns: list[Column] = []
    for value, where in fields.sequence('columns', []):
        known = [word for word in COLUMNS if word == value]
        if not known:
            raise where.error(f'{value!r} is not allowed; allowed are {", ".join(COLUMNS)}')
        columns += known
    for word in COLUMNS[:4] if 'columns' in fields else ():
        if columns.count(word) > 1 or (word != 'batch' and word not in columns):
            raise fields.error(
                'columns', f'has {word} {columns.count(word)} times; box, score and class are '
                'needed once, as in [box, score, class]')
    return tuple(columns)


def class_count(outputs: Outputs, options: EndToEndOptions) -> None:
    """Return None: these outputs don't tell how many classes there are."""
    _read(outputs, options)


def decode(outputs: Outputs, options: EndToEndOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold."""
    boxes, classes, scores = _read(outputs, options)
    # NaN compares as false. A score of 0 is padding, even where the threshold is 0.
    keep = np.flatnonzero((scores >= context.score_threshold) & (scores > 0)
                          & (classes >= 0) & (classes < 2**31))
    chosen = to_xyxy(boxes[keep], options.box_format)
    if options.units == 'normalized':
        chosen = denormalize(chosen, context.input_size)
    class_ids = np.rint(classes[keep]).astype(np.int64) + options.class_offset
    return finite_candidates(
        chosen, scores[keep], class_ids, in_source_pixels=options.units == 'source')


_Table = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def _read(outputs: Outputs, options: EndToEndOptions) -> _Table:
    """Return boxes ``[N, 4]``, classes ``[N]`` and scores ``[N]``."""
    if options.rows is not None:
        return _rows(options.rows, outputs, options)
    if not (options.boxes or options.classes or options.scores):
        shaped = [name for name, array in outputs.items()
                  if array.ndim >= 2 and array.shape[-1] in (_width(options) or _USUAL)]
        four = any(array.ndim >= 2 and array.shape[-1] == 4 for array in outputs.values())
        if len(shaped) == 1 and not four:
            return _rows(shaped[0], outputs, options)
        if len(outputs) == 1 or options.columns:
            width = '6 or 7' if not options.columns else str(sum(_width(options)))
            raise OutputError(
                f'an output with {width} numbers a row is expected, '
                f'{"like [1, N, 6]" if not options.columns else "as output.columns says"}; name '
                f'it under output.outputs.rows; the model has {describe(outputs)}')
    return _separate(outputs, options)


def _width(options: EndToEndOptions) -> tuple[int, ...]:
    """Return the number of columns that were declared; nothing where they weren't."""
    return (len(options.columns) + 3,) if options.columns else ()


def _rows(name: str, outputs: Outputs, options: EndToEndOptions) -> _Table:
    """Take one tensor apart."""
    array = pick(outputs, name)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    columns = options.columns or _USUAL.get(array.shape[-1] if array.ndim else 0)
    if columns is None:
        raise misfit(
            name, pick(outputs, name), '[1, N, 6] or [1, N, 7]; for other rows say what they '
            'hold under output.columns', outputs)
    rows = unbatch(
        name, array, f'[1, N, {len(columns) + 3}], in each row {", ".join(columns)}',
        (None, len(columns) + 3), outputs)
    box = columns.index('box')
    place = {word: index + 3 * (index > box) for index, word in enumerate(columns)}
    if 'batch' in columns:
        if (rows[:, place['batch']] > 0).any():
            raise misfit(name, array, 'rows of one image, whose batch index is 0', outputs)
        rows = rows[rows[:, place['batch']] == 0]
    return rows[:, box:box + 4], rows[:, place['class']], rows[:, place['score']]


def _separate(outputs: Outputs, options: EndToEndOptions) -> _Table:
    """Find and check separate tensors."""
    found = _find(outputs, options)
    for role in _ROLES[:3]:
        if found[role] is None:
            raise OutputError(
                f'it is unknown which output holds the {role}; name it under '
                f'output.outputs.{role}; the model has {describe(outputs)}')
    boxes_name, classes_name, scores_name = (str(found[role]) for role in _ROLES[:3])
    boxes = unbatch(boxes_name, pick(outputs, boxes_name), '[1, N, 4], one box a row', (None, 4),
                    outputs)
    classes, scores = (_one_each(name, len(boxes), outputs)
                       for name in (classes_name, scores_name))
    used = len(boxes)
    if found['count'] is not None:
        count = pick(outputs, found['count'])
        if count.size != 1:
            raise misfit(found['count'], count, '[1], the number of boxes', outputs)
        value = float(as_float32(found['count'], count).reshape(-1)[0])
        # NaN compares as false, so a broken count reads as "all rows", as where there is none.
        used = int(value) if 0 <= value < used else used
    return boxes[:used], classes[:used], scores[:used]


def _one_each(name: str, rows: int, outputs: Outputs) -> NDArray[np.float32]:
    """Return one number for each box: ``[N]``, ``[1, N]`` or ``[1, N, 1]``."""
    array = pick(outputs, name)
    if array.ndim > 1 and array.shape[-1] == 1 and array.shape[-2] == rows:
        array = array[..., 0]
    return unbatch(name, array, f'[1, {rows}], one number for each box', (rows,), outputs)


def _find(outputs: Outputs, options: EndToEndOptions) -> dict[str, str | None]:
    """Return the names of the four, found by name and, failing that, by shape and type."""
    found: dict[str, str | None] = {role: getattr(options, role) for role in _ROLES}

    def free() -> list[str]:
        taken = [pick_name for pick_name in found.values() if pick_name]
        return [name for name in outputs
                if name not in taken and name.removesuffix(':0') not in taken]

    # A count may be called num_detections and boxes detection_boxes: the count goes first.
    for role in ('count', 'boxes', 'scores', 'classes'):
        named = [name for name in free() if any(word in name.lower() for word in _WORDS[role])
                 and (role != 'count' or outputs[name].size == 1)]
        if found[role] is None and len(named) == 1:
            found[role] = named[0]
    shapes = {'boxes': [name for name in free()
                        if outputs[name].ndim > 1 and outputs[name].shape[-1] == 4],
              'classes': [name for name in free() if outputs[name].dtype.kind in 'iu'],
              'scores': [name for name in free() if outputs[name].dtype.kind == 'f']}
    for role in ('boxes', 'classes', 'scores'):
        left = [name for name in shapes[role] if name in free()]
        if found[role] is None and len(left) == 1:
            found[role] = left[0]
    return found


END_TO_END = Decoder(
    task='detection', read_options=read_options, decode=decode, class_count=class_count)
