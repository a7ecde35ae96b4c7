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

"""Detectors whose only output has a row for each final box, with its score and class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ros2_classify.autoconfig import detector_inputs as inputs, tails
from ros2_classify.autoconfig.box_outputs import (
    array_of, box_formats, detection, grids_of, main_output, MAX_FINAL)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings, plain, Strength


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize final boxes, each a row with its score and class, in the usual orders."""
    # PaddleDetection writes the number of rows beside them.
    listed = [tensor for tensor in evidence.outputs
              if tensor.dtype.kind == 'f' or any(dim != 1 for dim in tensor.shape)]
    if not listed:
        return
    output, others = main_output(replace(evidence, outputs=listed))
    if len(output.shape) not in (2, 3) or any(len(other.shape) < 4 for other in others):
        return
    rows, width = output.shape[-2:]
    if not isinstance(width, int) or width < 6 or isinstance(rows, int) and rows > MAX_FINAL:
        return
    # A classifier of six classes has [1, 6] too, or [?, 6] for any number of images.
    if len(output.shape) == 2 and (width not in (6, 7) or (
            rows == 1 and output.name not in evidence.rows)):
        return
    if width > 7 and evidence.size and isinstance(rows, int) and rows in grids_of(evidence.size):
        return
    name = output.name
    why = f'the output {output} has {width} numbers a row'
    values = array_of(evidence, output)
    if width > 7 and (values is None or not values.any()):
        return
    for strength, columns, more, words, column in _orders(width, evidence):
        formats = box_formats(values, columns.index('box') if 'box' in columns else 0)
        if more.get('box_format', 'xyxy') == 'cxcywh' and 'cxcywh' not in formats \
                or more.get('box_format', 'xyxy') == 'xyxy' and 'xyxy' not in formats:
            continue
        options: dict[str, Any] = {'outputs': {'rows': name}, **(
            {'columns': columns} if columns else {}), **more}
        masks = tails.prototypes(evidence)
        if columns[-1:] == ['rest'] and masks and masks.shape[1] == width - 6:
            options = {**tails.Tail.masks(masks).in_rows(options), **more}
        settings = inputs.RTDETR if more.get('units') else inputs.YOLO
        if evidence.spec.whole and not more.get('units'):
            settings = inputs.TF
        if not evidence.ultralytics:
            # EfficientDet is trained on images with their proportions, but exported with any size.
            resize = ('input.resize',) if more.get('box_format') == 'yxyx' else ()
            settings = InputSettings(settings.fields, settings.sentence, (*inputs.ALL, *resize))
        # In a square image nothing tells x from y.
        unknown = () if evidence.ultralytics or strength == Strength.STATED or more.get(
            'box_format') == 'cxcywh' else ('output.box_format',)
        yield detection(
            'end_to_end', options, why, strength, settings, f'output.columns: {words}',
            class_column=(name, column), unverified=unknown)


def _orders(
    width: int, evidence: Evidence,
) -> Iterator[tuple[Strength, list[str], dict[str, Any], str, int]]:
    """Yield the published orders of a row: columns, options, words and the class's column."""
    usual = [] if width == 6 else ['box', 'score', 'class', 'rest']
    yield (Strength.USUAL, usual, {}, 'x1, y1, x2, y2, score, class, in the pixels of the input, '
           'as YOLO models with their own non-maximum suppression have it', 5)
    yield (Strength.USUAL, usual, {'units': 'normalized'},
           'x1, y1, x2, y2 from 0 to 1, score, class', 5)
    yield (Strength.USUAL, usual, {'box_format': 'cxcywh', 'units': 'normalized'},
           'centre and size from 0 to 1, score, class, as RT-DETR has it', 5)
    if width == 6:
        yield (Strength.USUAL, ['box', 'class', 'score'], {},
               'x1, y1, x2, y2, class, score, in the pixels of the input', 4)
        yield (Strength.USUAL, ['class', 'score', 'box'], {},
               'class, score, x1, y1, x2, y2, in the pixels of the input, as PaddleDetection has '
               'it', 0)
    if width == 7:
        yield (Strength.USUAL, [], {}, 'batch, x1, y1, x2, y2, class, score, in the pixels of the '
               'input, as YOLOv7 with its own non-maximum suppression has it', 5)
        columns = ['batch', 'box', 'score', 'class']
        stated = plain(main_output(evidence)[0].name).endswith('flat_predictions')
        if stated or evidence.spec.layout == 'nchw':
            yield (Strength.STATED if stated else Strength.USUAL, columns, {},
                   'batch, x1, y1, x2, y2, score, class, in the pixels of the input, as YOLO-NAS '
                   'with its own non-maximum suppression has it', 6)
        yield (Strength.USUAL, columns, {'box_format': 'yxyx'},
               'batch, y1, x1, y2, x2, score, class, in the pixels of the input, as EfficientDet '
               'has it', 6)
