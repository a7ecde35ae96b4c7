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

"""Detectors with a row for each box: final ones in one output, or boxes and scores in two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.autoconfig import detector_inputs as inputs, tails
from ros2_classify.autoconfig.box_outputs import (
    are_sides_from_a_corner, array_of, box_formats, detection, fits_units, grid_of, grids_of,
    main_output, MAX_FINAL)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings, plain, Strength
from ros2_classify.autoconfig.named_detectors import named_final, queries
from ros2_classify.engines.base import TensorSpec


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector of this kind with these outputs may be."""
    yield from _final_rows(evidence)
    yield from _paired(evidence)


def _final_rows(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize final boxes, each a row with its score and class, in the usual orders."""
    output = _row_output(evidence)
    if output is None:
        return
    width = output.shape[-1]
    assert isinstance(width, int)
    values = array_of(evidence, output)
    if width > 7 and (values is None or not values.any()):
        return
    for order in _orders(width, evidence):
        box_format = order.options.get('box_format', 'xyxy')
        formats = box_formats(
            values, order.columns.index('box') if 'box' in order.columns else 0)
        if box_format == 'yxyx' or box_format in formats:
            # In a square image nothing tells x from y.
            known = (evidence.ultralytics or order.strength == Strength.STATED
                     or box_format == 'cxcywh')
            yield detection(
                'end_to_end', _options(evidence, output.name, width, order),
                f'the output {output} has {width} numbers a row', order.strength,
                _settings(evidence, order), f'output.columns: {order.words}',
                class_column=(output.name, order.class_column),
                unverified=() if known else ('output.box_format',))


def _row_output(evidence: Evidence) -> TensorSpec | None:
    """Return the output that may hold final rows; None if there is none."""
    # PaddleDetection writes the number of rows beside them.
    listed = [tensor for tensor in evidence.outputs
              if tensor.dtype.kind == 'f' or any(dim != 1 for dim in tensor.shape)]
    if not listed:
        return None
    output, others = main_output(replace(evidence, outputs=listed))
    if len(output.shape) not in (2, 3) or any(len(other.shape) < 4 for other in others):
        return None
    rows, width = output.shape[-2:]
    if not isinstance(width, int) or width < 6 or isinstance(rows, int) and rows > MAX_FINAL:
        return None
    # A classifier of six classes has [1, 6] too, or [?, 6] for any number of images.
    if len(output.shape) == 2 and (width > 7 or rows == 1 and output.name not in evidence.rows):
        return None
    if width > 7 and evidence.size and isinstance(rows, int) and rows in grids_of(evidence.size):
        return None
    return output


@dataclass(frozen=True)
class _Order:
    """A published order of the numbers in a row."""

    words: str
    class_column: int
    columns: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    strength: Strength = Strength.USUAL


def _options(evidence: Evidence, name: str, width: int, order: _Order) -> dict[str, Any]:
    """Return the options of the decoder for rows in this order, with masks if there are any."""
    masks = tails.prototypes(evidence)
    options: dict[str, Any] = {'outputs': {'rows': name}}
    if order.columns:
        options['columns'] = list(order.columns)
    if 'rest' in order.columns and masks and masks.shape[1] == width - 6:
        options = tails.Tail.masks(masks).in_rows({**options, **order.options})
    return {**options, **order.options}


def _settings(evidence: Evidence, order: _Order) -> InputSettings:
    """Return how the models with this order are fed."""
    settings = inputs.RTDETR if 'units' in order.options else inputs.YOLO
    if evidence.spec.whole and 'units' not in order.options:
        settings = inputs.TF
    if evidence.ultralytics:
        return settings
    # EfficientDet is trained on images with their proportions, but exported with any size.
    resize = ('input.resize',) if order.options.get('box_format') == 'yxyx' else ()
    return InputSettings(settings.fields, settings.sentence, (*inputs.ALL, *resize))


def _orders(width: int, evidence: Evidence) -> Iterator[_Order]:
    """Yield the published orders of rows of this width."""
    usual = [] if width == 6 else ['box', 'score', 'class', 'rest']
    yield _Order('x1, y1, x2, y2, score, class, in the pixels of the input, as YOLO models with '
                 'their own non-maximum suppression have it', 5, usual)
    yield _Order('x1, y1, x2, y2 from 0 to 1, score, class', 5, usual, {'units': 'normalized'})
    yield _Order('centre and size from 0 to 1, score, class, as RT-DETR has it', 5, usual,
                 {'box_format': 'cxcywh', 'units': 'normalized'})
    if width == 6:
        yield _Order('x1, y1, x2, y2, class, score, in the pixels of the input', 4,
                     ['box', 'class', 'score'])
        yield _Order('class, score, x1, y1, x2, y2, in the pixels of the input, as '
                     'PaddleDetection has it', 0, ['class', 'score', 'box'])
    if width == 7:
        yield _Order('batch, x1, y1, x2, y2, class, score, in the pixels of the input, as YOLOv7 '
                     'with its own non-maximum suppression has it', 5)
        columns = ['batch', 'box', 'score', 'class']
        stated = plain(main_output(evidence)[0].name).endswith('flat_predictions')
        if stated or evidence.spec.layout == 'nchw':
            yield _Order('batch, x1, y1, x2, y2, score, class, in the pixels of the input, as '
                         'YOLO-NAS with its own non-maximum suppression has it', 6, columns,
                         strength=Strength.STATED if stated else Strength.USUAL)
        yield _Order('batch, y1, x1, y2, x2, score, class, in the pixels of the input, as '
                     'EfficientDet has it', 6, columns, {'box_format': 'yxyx'})


def _paired(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize two outputs with the same number of rows, one of them with four columns."""
    three = [tensor for tensor in evidence.outputs if len(tensor.shape) == 3]
    masks = [tensor for tensor in evidence.outputs if len(tensor.shape) == 4
             and three and tensor.shape[1] == three[0].shape[1]]
    if len(three) + len(masks) != len(evidence.outputs) or (pair := _pair(three)) is None:
        return
    boxes, scores = pair
    rows = boxes.shape[1]
    if named_final(evidence.outputs) or 'logit' in scores.name.lower() \
            or rows not in scores.shape[1:]:
        return
    across = 'rows' if scores.shape[1] == rows else 'columns'
    for each in _boxes_and_scores(evidence, boxes, scores, across):
        yield tails.with_masks(each, masks)


def _pair(three: Sequence[TensorSpec]) -> tuple[TensorSpec, TensorSpec] | None:
    """Return boxes and scores of two outputs, or of three with key points; None if unclear."""
    four = [tensor for tensor in three if tensor.shape[2] == 4]
    named = [tensor for tensor in four
             if any(word in tensor.name.lower() for word in ('box', 'dets'))]
    boxes = named if len(named) == 1 else four
    if len(boxes) != 1 or len(three) not in (2, 3):
        return None
    rest = [tensor for tensor in three if tensor is not boxes[0]]
    if len(rest) == 2:
        rest = [tensor for tensor in rest if tensor.shape[2] in (1, 2)] or rest
    return (boxes[0], rest[0]) if len(rest) == 1 else None


def _boxes_and_scores(
    evidence: Evidence, boxes: TensorSpec, scores: TensorSpec, across: str,
) -> Iterator[Hypothesis]:
    places, values = array_of(evidence, boxes), array_of(evidence, scores)
    if places is None or values is None:
        return
    table: NDArray[Any] = values.reshape(values.shape[-2:])
    if across == 'columns':
        table = table.T
    classes = table.shape[-1]
    why = (f'the outputs {boxes} and {scores} have a row of coordinates and '
           f'{"a column" if across == "columns" else "a row"} of scores for each box')
    if not (table.min() >= -1e-3 and table.max() <= 1.01):
        yield from queries(evidence, scores, boxes, why, Strength.EXACT)
        return
    background: int | bool = False
    if classes > 1 and (
            evidence.graph.end(scores.name) == 'Softmax' or _sum_to_one(table)):
        # Most boxes of any image are empty: the background has most of the probability.
        last = int(table.mean(axis=0).argmax()) == classes - 1 and classes > 2
        background = classes - 1 if last else 0
    grid = grid_of(evidence, boxes) if classes == 1 else {}
    sentence = ('output.background: none, because the scores of a box are independent'
                if background is False else
                f'output.background: {background}, because it has most of the probability')
    if are_sides_from_a_corner(places, evidence.size):
        yield detection(
            'boxes_scores', {}, why, Strength.EXACT, inputs.YOLO, missing=(
                f'the boxes of {boxes} read as left, top, width and height, which no decoder '
                'takes; export corners (x1, y1, x2, y2) or centre and size'))
        return
    for box_format in box_formats(places):
        if box_format == 'xyxy' and evidence.spec.layout == 'nhwc':
            box_format = 'yxyx'
        for normalized in (True, False):
            if not fits_units(evidence, boxes, 'normalized' if normalized else 'model'):
                continue
            yield detection(
                'boxes_scores',
                {'outputs': {'boxes': boxes.name, 'scores': scores.name},
                 'box_format': box_format, 'normalized': normalized, 'background': background,
                 **({'axes': 'channels_first'} if across == 'columns' else {})},
                why, Strength.EXACT, inputs.SSD if normalized else inputs.YOLO,
                f'output.box_format: {box_format}, '
                f'{"from 0 to 1" if normalized else "in pixels of the input"}', sentence,
                # Nothing but the cells that boxes follow tells x from y.
                unverified=() if grid or box_format == 'cxcywh' else ('output.box_format',),
                **grid)


def _sum_to_one(table: NDArray[Any]) -> bool:
    """Tell whether the numbers of each row are probabilities of one choice."""
    return bool((np.abs(table.sum(axis=1) - 1) < 0.02).all())
