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

"""Detectors with boxes in one output and their scores in another, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.autoconfig import detector_inputs as inputs, tails
from ros2_classify.autoconfig.box_outputs import (
    are_sides_from_a_corner, array_of, box_formats, detection, fits_units, grid_of)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, Strength
from ros2_classify.autoconfig.named_detectors import named_final, queries
from ros2_classify.engines.base import TensorSpec


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize two outputs with the same number of rows, one of them with four columns."""
    # Key points of faces stand beside them.
    three = [tensor for tensor in evidence.outputs if len(tensor.shape) == 3]
    masks = [tensor for tensor in evidence.outputs if len(tensor.shape) == 4
             and three and tensor.shape[1] == three[0].shape[1]]
    named = [tensor for tensor in three if tensor.shape[2] == 4
             and any(word in tensor.name.lower() for word in ('box', 'dets'))]
    four = named if len(named) == 1 else [tensor for tensor in three if tensor.shape[2] == 4]
    if len(four) != 1 or len(three) not in (2, 3) \
            or len(three) + len(masks) != len(evidence.outputs):
        return
    boxes = four[0]
    rows = boxes.shape[1]
    rest = [tensor for tensor in three if tensor is not boxes]
    if len(rest) == 2:
        rest = [tensor for tensor in rest if tensor.shape[2] in (1, 2)] or rest
    if len(rest) != 1 or named_final(evidence.outputs) or any(
            'logit' in tensor.name.lower() for tensor in rest):
        return
    scores = rest[0]
    across = 'rows' if scores.shape[1] == rows else 'columns' if scores.shape[2] == rows else ''
    for each in _boxes_and_scores(evidence, boxes, scores, across) if across else ():
        yield tails.with_masks(each, masks)


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
    ends = evidence.graph.end(scores.name)
    sums = bool((np.abs(table.sum(axis=1) - 1) < 0.02).all())
    unit = float(table.min()) >= -1e-3 and float(table.max()) <= 1.01
    if not unit:
        yield from queries(evidence, scores, boxes, why, Strength.EXACT)
        return
    background: int | bool = False
    if classes > 1 and (sums or ends == 'Softmax'):
        # Most boxes of any image are empty: the background has most of the probability.
        means = table.mean(axis=0)
        last = int(means.argmax()) == classes - 1 and classes > 2
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
