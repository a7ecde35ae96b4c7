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
  others by their columns, such as EfficientDet's ``image, y1, x1, y2, x2, score, class``
  (https://github.com/google/automl, ``efficientdet``) or rows with key points, an angle, or
  coefficients of masks whose prototypes are in another output
  (https://docs.ultralytics.com/modes/export/);
* separate tensors: boxes ``[N, 4]``, classes ``[N]``, scores ``[N]`` and, where the rest is
  padding, a count. So do torchvision's detectors, whose class 0 is the background
  (https://docs.pytorch.org/vision/stable/models.html), RT-DETR and D-FINE
  (https://github.com/lyuwenyu/RT-DETR, https://github.com/Peterande/D-FINE), SSD in the ONNX model
  zoo (https://github.com/onnx/models), and TensorRT's ``EfficientNMS``;
* boxes with their score ``[N, 5]`` beside classes ``[N]``, as MMDeploy writes them
  (https://github.com/open-mmlab/mmdeploy, outputs ``dets`` and ``labels``); for MMRotate
  (https://github.com/open-mmlab/mmrotate) ``[N, 6]``: centre, size, angle, score.

A row is padding where its score is 0, or its class or its batch index is negative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    as_float32, Candidates, CLASS_OFFSET, DecodeContext, Decoder, describe, ignore, misfit, OUTPUT,
    Outputs, pick, read_table, unbatch)
from ros2_classify.decoders.boxes import (
    BOX_FORMAT, BoxFormat, denormalize, finite_candidates, to_xyxy, UNITS, Units, upright)
from ros2_classify.decoders.keypoints import (
    check_points, family, KEYPOINT_NAMES, KEYPOINTS, Limbs, points_of, SKELETON)
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section
from ros2_classify.yaml_config import Fields

Column = Literal['box', 'score', 'class', 'batch', 'keypoints', 'coefficients', 'angle',
                 'unused', 'rest']
_ONCE = ('box', 'score', 'class', 'batch', 'keypoints', 'coefficients', 'angle')
_USUAL: dict[int, tuple[Column, ...]] = {
    6: ('box', 'score', 'class'), 7: ('batch', 'box', 'class', 'score')}
_ROLES = ('boxes', 'classes', 'scores', 'count')
_WORDS = {'boxes': ('box',), 'classes': ('class', 'label'), 'scores': ('score', 'conf'),
          'count': ('num', 'count')}


_OUTPUTS = Section(
    'outputs', 'the output tensors', 'by name, else by shape',
    value='mapping with `rows` and perhaps `prototypes`, with `boxes`, `classes`, `scores`, '
    '`count`, or with `dets` (box and score, `[1, N, 5]`, or with an angle between, `[1, N, 6]`), '
    '`classes`')


@dataclass(frozen=True)
class EndToEndOptions:
    """Options of the decoder ``end_to_end``."""

    rows: str | None = key(None, OUTPUT, under=_OUTPUTS)
    boxes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    classes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    scores: str | None = key(None, OUTPUT, under=_OUTPUTS)
    count: str | None = key(None, OUTPUT, under=_OUTPUTS)
    dets: str | None = key(None, OUTPUT, under=_OUTPUTS)
    prototypes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    columns: tuple[Column, ...] = key(
        (), 'what a row holds, in order; `coefficients` are those of masks; `rest`, at the end, '
        'skips any number of columns; without `class` every box has class 0',
        value='list of `box` (four numbers), `score`, `class`, `batch`, `keypoints`, '
        '`coefficients`, `angle`, `unused`, `rest`',
        unset='for 6 numbers `[box, score, class]`, for 7 `[batch, box, class, score]`')
    keypoints: tuple[int, int] | None = key(None, KEYPOINTS)
    keypoint_names: str | tuple[str, ...] = key((), KEYPOINT_NAMES)
    skeleton: Limbs = key((), SKELETON)
    box_format: BoxFormat = key('xyxy', BOX_FORMAT)
    units: Units = key('model', UNITS)
    class_offset: int = key(0, CLASS_OFFSET)

    def checked(self, fields: Fields) -> EndToEndOptions:
        """Refuse two ways at once, and columns that lack one or have it twice."""
        outputs = fields.section('outputs')
        if self.dets is not None and (self.boxes or self.scores):
            raise outputs.error(
                'dets', 'holds boxes and scores in one; remove it, or boxes and scores')
        separate = self.boxes or self.dets or self.classes or self.scores
        if self.rows is not None and separate:
            raise outputs.error(
                'rows', 'holds boxes, classes and scores in one; remove it, or the other names')
        if self.columns and separate:
            raise fields.error(
                'columns', 'only counts for rows, but separate outputs are named; remove the one '
                'or the other')
        for word in _ONCE if 'columns' in fields else ():
            count = sum(column == word for column in self.columns)
            if count > 1 or (word in ('box', 'score') and not count):
                raise fields.error(
                    'columns', f'has {word} {count} times; box and score are needed once, as in '
                    '[box, score, class]; without class, every box has class 0')
        if 'rest' in self.columns[:-1]:
            raise fields.error(
                'columns', 'has rest before the end; it stands for all columns that follow, so '
                'put it last, or write unused for a single column')
        check_points(self.keypoints[0] if self.keypoints else 0, self.keypoint_names,
                     self.skeleton, fields)
        for word, name, given in (('keypoints', 'output.keypoints', self.keypoints),
                                  ('coefficients', 'output.outputs.prototypes', self.prototypes)):
            if (word in self.columns) != (given is not None):
                raise fields.error('columns', f'has {word} only together with {name}; give both, '
                                   'or neither')
        # Both published forms with an angle have centre and size.
        turned = 'angle' in self.columns
        if turned and (self.box_format not in ('xyxy', 'cxcywh') or self.units == 'normalized' or (
                'box_format' in fields and self.box_format == 'xyxy')):
            raise fields.error('columns', 'has an angle, which needs centre and size in pixels; '
                               'set output.box_format: cxcywh and remove output.units')
        return replace(self, boxes=self.boxes or self.dets,
                       box_format='cxcywh' if turned else self.box_format)


def class_count(outputs: Outputs, options: EndToEndOptions) -> int | None:
    """Return None, for outputs don't tell; 1 for rows without a class."""
    _read(outputs, options)
    return 1 if options.columns and 'class' not in options.columns and (
        not options.class_offset) else None


def decode(outputs: Outputs, options: EndToEndOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold."""
    found = _read(outputs, options)
    boxes, classes, scores = found.boxes, found.classes, found.scores
    # NaN compares as false. A score of 0 is padding, even where the threshold is 0.
    keep = np.flatnonzero((scores >= context.score_threshold) & (scores > 0)
                          & (classes >= 0) & (classes < 2**31))
    chosen = to_xyxy(boxes[keep], options.box_format)
    if options.units == 'normalized':
        chosen = denormalize(chosen, context.input_size)
    class_ids = np.rint(classes[keep]).astype(np.int64) + options.class_offset
    more: dict[str, Any] = {}
    if found.angles is not None:
        more['oriented'] = np.column_stack((boxes[keep], found.angles[keep]))
        chosen = upright(more['oriented'])
    if found.points is not None and options.keypoints is not None:
        points = points_of(found.points[keep], options.keypoints, scores[keep],
                           family(options.keypoint_names, options.skeleton))
        if options.units == 'normalized':
            # What is not finite is looked for later.
            with np.errstate(over='ignore', invalid='ignore'):
                points.values[..., :2] *= np.array(context.input_size, np.float32)
        more['points'] = points
    if found.coefficients is not None and options.prototypes is not None:
        maps = read_table(
            outputs, options.prototypes,
            f'[1, {found.coefficients.shape[1]}, height, width], the prototypes of masks',
            (found.coefficients.shape[1], None, None))
        more.update(masks=found.coefficients[keep], prototypes=maps)
    return finite_candidates(
        chosen, scores[keep], class_ids, in_source_pixels=options.units == 'source', **more)


class _Table(NamedTuple):
    """All rows: ``[N, 4]``, ``[N]``, ``[N]``, and what else there is for each."""

    boxes: NDArray[np.float32]
    classes: NDArray[np.float32]
    scores: NDArray[np.float32]
    angles: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None
    coefficients: NDArray[np.float32] | None = None


def _read(outputs: Outputs, options: EndToEndOptions) -> _Table:
    """Find the form of the outputs and take them apart."""
    if options.rows is not None:
        return _rows(options.rows, outputs, options)
    if not (options.boxes or options.classes or options.scores):
        shaped = [name for name, array in outputs.items() if _fits(array, options, outputs)
                  and name != options.prototypes]
        four = not options.columns and any(
            array.ndim >= 2 and array.shape[-1] == 4 for array in outputs.values())
        # MMRotate's boxes are as wide, with a class for each beside them.
        beside = len(shaped) == 1 and not options.columns and any(
            array.dtype.kind in 'iu' and array.shape == outputs[shaped[0]].shape[:-1]
            for array in outputs.values())
        if len(shaped) == 1 and not four and not beside:
            return _rows(shaped[0], outputs, options)
        if len(outputs) == 1 or options.columns:
            width = '6 or 7' if not options.columns else _width(options, outputs)
            raise OutputError(
                f'an output with {width} numbers a row is expected, '
                f'{"like [1, N, 6]" if not options.columns else "as output.columns says"}; name '
                f'it under output.outputs.rows; the model has {describe(outputs)}')
    return _separate(outputs, options)


def _fits(array: NDArray[Any], options: EndToEndOptions, outputs: Outputs) -> bool:
    """Tell whether an output may hold the rows."""
    columns = options.columns
    if 'rest' in columns:
        # Prototypes of masks are as wide, but have more dimensions.
        flat = array.ndim >= 2 and set(array.shape[:-2]) <= {1}
        return flat and array.shape[-1] >= _end(columns[:-1], options, outputs)
    return array.ndim >= 2 and array.shape[-1] in (
        (_end(columns, options, outputs),) if columns else _USUAL)


def _width(options: EndToEndOptions, outputs: Outputs) -> str:
    """Return the number of declared columns, for errors."""
    if 'rest' in options.columns:
        return f'at least {_end(options.columns[:-1], options, outputs)}'
    return str(_end(options.columns, options, outputs))


def _end(columns: tuple[Column, ...], options: EndToEndOptions, outputs: Outputs) -> int:
    """Return the number of numbers that these columns have."""
    return sum(_size(column, options, outputs) for column in columns)


def _size(column: Column, options: EndToEndOptions, outputs: Outputs) -> int:
    """Return the number of numbers of one column."""
    if column == 'keypoints' and options.keypoints:
        return options.keypoints[0] * options.keypoints[1]
    if column == 'coefficients' and options.prototypes:
        return int(pick(outputs, options.prototypes).shape[-3:][0])
    return 4 if column == 'box' else 1


def _rows(name: str, outputs: Outputs, options: EndToEndOptions) -> _Table:
    """Take one tensor apart."""
    array = pick(outputs, name)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    columns = options.columns or _USUAL.get(array.shape[-1] if array.ndim else 0)
    if columns is None:
        raise misfit(
            name, '[1, N, 6] or [1, N, 7]; for other rows say what they '
            'hold under output.columns, like [box, score, class, rest]', outputs)
    least = _end(tuple(column for column in columns if column != 'rest'), options, outputs)
    width: int | str = least
    if columns[-1] == 'rest':
        columns = columns[:-1]
        width = f'{least} or more'
        if array.ndim and array.shape[-1] >= least:
            if array.shape[-1] > least:
                ignore(outputs, f'{array.shape[-1] - least} numbers at the end of each row of '
                       f'{name!r}: output.columns says rest')
            array = array[..., :least]
    if unused := columns.count('unused'):
        ignore(outputs, f'{unused} of the numbers in each row of {name!r}: output.columns says '
               'unused')
    rows = unbatch(
        name, array, f'[1, N, {width}], in each row {", ".join(columns)}', (None, least), outputs)
    place = {word: _end(columns[:index], options, outputs)
             for index, word in enumerate(columns)}
    if 'batch' in columns:
        if (rows[:, place['batch']] > 0).any():
            raise misfit(name, 'rows of one image, whose batch index is 0', outputs)
        rows = rows[rows[:, place['batch']] == 0]
    part: dict[str, NDArray[np.float32]] = {
        word: rows[:, start:start + _size(word, options, outputs)]
        for word, start in place.items()}
    classes = part['class'][:, 0] if 'class' in part else np.zeros(len(rows), np.float32)
    return _Table(part['box'], classes, part['score'][:, 0],
                  part['angle'][:, 0] if 'angle' in part else None, part.get('keypoints'),
                  part.get('coefficients'))


def _separate(outputs: Outputs, options: EndToEndOptions) -> _Table:
    """Find and check separate tensors."""
    found = _find(outputs, options)
    boxes_name = found['boxes']
    # MMDeploy writes the score behind the box.
    width = () if boxes_name is None else pick(outputs, boxes_name).shape[-1:]
    turned = width == (6,) and found['scores'] is None
    scored = options.dets is not None or turned or (
        width == (5,) and found['scores'] is None)
    for role in _ROLES[:3]:
        if found[role] is None and not (role == 'scores' and scored):
            raise OutputError(
                f'it is unknown which output holds the {role}; name it under '
                f'output.outputs.{role}; the model has {describe(outputs)}')
    boxes_name, classes_name = str(boxes_name), str(found['classes'])
    boxes = read_table(
        outputs, boxes_name, f'[1, N, {4 + turned + scored}], one box '
        f'{"and its score " if scored else ""}a row', (None, 4 + turned + scored))
    classes = _one_each(classes_name, len(boxes), outputs)
    scores = boxes[:, -1] if scored else _one_each(str(found['scores']), len(boxes), outputs)
    angles = boxes[:, 4] if turned else None
    boxes = boxes[:, :4]
    used = len(boxes)
    if found['count'] is not None:
        count = pick(outputs, found['count'])
        if count.size != 1:
            raise misfit(found['count'], '[1], the number of boxes', outputs)
        value = float(as_float32(found['count'], count).reshape(-1)[0])
        # NaN compares as false, so a broken count reads as "all rows", as where there is none.
        used = int(value) if 0 <= value < used else used
    return _Table(boxes[:used], classes[:used], scores[:used],
                  None if angles is None else angles[:used])


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

    if found['boxes'] is None and found['scores'] is None:
        # Rows of five beside no rows of four are boxes with their score.
        wide = [name for name in free() if outputs[name].ndim > 1
                and outputs[name].shape[-1] in (4, 5, 6)]
        if len(wide) == 1 and outputs[wide[0]].shape[-1] != 4:
            found['boxes'] = wide[0]
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
    scored = found['boxes'] is not None and pick(outputs, found['boxes']).shape[-1:] in (
        (5,), (6,))
    for role in ('boxes', 'classes') if scored else ('boxes', 'classes', 'scores'):
        left = [name for name in shapes[role] if name in free()]
        if found[role] is None and len(left) == 1:
            found[role] = left[0]
    return found


END_TO_END = Decoder(
    task='detection', options=EndToEndOptions, decode=decode, class_count=class_count)
