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

"""Detectors with a row or a column for each cell of a grid: the YOLO family and NanoDet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from ros2_classify.autoconfig import detector_inputs as inputs, tails
from ros2_classify.autoconfig.box_outputs import (
    ANCHORS, array_of, bounded, detection, FEW, grid_of, grids_of, main_output, MAX_FINAL,
    names_agree, STRIDES)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings, Strength
from ros2_classify.decoders.boxes import cell_count
from ros2_classify.engines.base import TensorSpec

_NANODET_WIDTH = 32
_NANODET_STRIDES = (8, 16, 32, 64)
_COCO = 80


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector of this kind with these outputs may be."""
    for family in (_ultralytics, _nanodet, _dense):
        yield from family(evidence)


def _nanodet(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize scores and distributions of each stride, in one tensor or two for each."""
    size, outputs = bounded(evidence.size), evidence.outputs
    if size is None:
        return
    grids = [cell_count(size, (stride,), partial=True) for stride in _NANODET_STRIDES]
    if len(outputs) == 1 and len(outputs[0].shape) == 3:
        _, rows, columns = outputs[0].shape
        if (rows == sum(grids) and isinstance(columns, int) and columns > _NANODET_WIDTH
                and evidence.names in (None, columns - _NANODET_WIDTH)):
            yield detection(
                'nanodet', {'strides': list(_NANODET_STRIDES)},
                f'the output {outputs[0]} has a row for each of the {rows} cells that strides of '
                '8, 16, 32 and 64 give', Strength.EXACT, inputs.NANODET,
                f'output.reg_max: 7, so that {columns - _NANODET_WIDTH} classes are left')
    shapes = [tensor.shape[-2:] for tensor in outputs]
    for count in (3, 4):
        wide = [shape for shape in shapes if shape[-1:] == (_NANODET_WIDTH,)]
        if len(outputs) == 2 * count and [rows for rows, _ in wide] == grids[:count] \
                and sorted(str(shape[0]) for shape in shapes) == sorted(
                    str(rows) for rows in grids[:count] * 2):
            strides = list(_NANODET_STRIDES[:count])
            yield detection(
                'nanodet', {'strides': strides},
                f'there are two outputs with a row for each cell of the strides {strides}',
                Strength.EXACT, inputs.NANODET)


def _ultralytics(evidence: Evidence) -> Iterator[Hypothesis]:
    """Read the metadata that the exporter of Ultralytics writes."""
    output, _ = main_output(evidence)
    if not evidence.ultralytics or len(output.shape) != 3 or evidence.names is None:
        return
    _, first, second = output.shape
    if not isinstance(first, int) or not isinstance(second, int):
        return
    task, names = evidence.exporter_task, evidence.names
    beside = tails.of_task(evidence)
    if beside is None:
        return
    extra, details = beside.count, beside.details
    author = 'the metadata of Ultralytics says'
    if evidence.metadata.get('head') == 'RTDETRDecoder':
        if second == 6:
            yield detection(
                'end_to_end', {'outputs': {'rows': output.name}, 'box_format': 'cxcywh',
                               'units': 'normalized'},
                f'{author} that the head is RTDETRDecoder: centre, size, score and class',
                Strength.STATED, inputs.RTDETR)
        elif second == 4 + names:
            yield detection(
                'yolo', {'output': output.name, 'axes': 'channels_last', 'objectness': False,
                         'normalized': True},
                f'{author} that the head is RTDETRDecoder: centre, size and class scores',
                Strength.STATED, inputs.RTDETR)
        return
    final = _says_final(evidence.metadata) or first < second or first == 300
    if second == 6 + extra and first <= MAX_FINAL and (final or second != 4 + names):
        yield detection(
            'end_to_end', beside.in_rows({'outputs': {'rows': output.name}}),
            f'{author} that the model does its own suppression for the task {task or "detect"}',
            Strength.STATED, inputs.ULTRALYTICS, *details, class_column=(output.name, 5))
    elif first == 4 + names + extra:
        yield detection(
            'yolo', {'output': output.name, 'axes': 'channels_first', 'objectness': False,
                     **({'classes': names} if extra else {}), **beside.options},
            f'{author} that there are {names} classes for the task {task or "detect"}, and the '
            f'output {output} has a column for each box', Strength.STATED, inputs.ULTRALYTICS,
            *details)


def _says_final(metadata: Mapping[str, str]) -> bool:
    return metadata.get('end2end', '').lower() == 'true' \
        or "'nms': True" in metadata.get('args', '')


def _dense(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize one tensor with a row or a column for each cell or anchor of a grid."""
    output, others = main_output(evidence)
    size = bounded(evidence.size)
    if len(output.shape) != 3 or size is None or any(len(other.shape) < 4 for other in others):
        return
    _, first, second = output.shape
    if not isinstance(first, int) or not isinstance(second, int):
        return
    grids = grids_of(size)
    masks = tails.prototypes(evidence)
    extra = tails.Tail.masks(masks) if masks else tails.Tail()
    settings = inputs.ULTRALYTICS if evidence.ultralytics else inputs.YOLO
    if grids.get(second) == 1 and first > 4 + extra.count and grids.get(first) != 1:
        yield from _columns(evidence, output, first, second, extra, settings)
    if first not in grids or second < 5:
        return
    if grids[first] == ANCHORS:
        if second - 5 - extra.count >= 1 and names_agree(evidence, second - 5 - extra.count):
            yield _yolo(
                evidence, output, 'channels_last', True, second - 5 - extra.count, extra, settings,
                f'the output {output} has a row for each of three anchors of the '
                f'{first // ANCHORS} cells', Strength.EXACT)
        return
    why = f'the output {output} has a row for each of the {first} cells'
    strides = next(strides for strides in STRIDES if cell_count(size, strides) == first)
    if second >= 6 and not evidence.ultralytics:
        listed = ', '.join(map(str, strides[:-1])) + f' and {strides[-1]}'
        yield detection(
            'yolox', {'strides': list(strides)}, f'{why} that strides of {listed} give',
            Strength.EXACT, inputs.YOLOX, boxes=first, strides=strides,
            probabilities=(output.name, 4, second - extra.count))
    whole = _objectness_is_one(evidence, output)
    for objectness in (True,) if whole else (True, False):
        classes = second - 4 - objectness - extra.count
        other = second - 5 + objectness - extra.count
        # COCO's classes are the usual ones.
        if classes < 1 or not names_agree(evidence, classes) or (
                evidence.names is None and other == _COCO):
            continue
        yield _yolo(
            evidence, output, 'channels_last', objectness, classes, extra,
            inputs.YOLOX if objectness and not whole and not evidence.ultralytics else settings,
            f'{why}, its box in pixels and {"an" if objectness else "no"} objectness',
            Strength.EXACT)


def _columns(
    evidence: Evidence, output: TensorSpec, height: int, count: int, extra: tails.Tail,
    settings: InputSettings,
) -> Iterator[Hypothesis]:
    """State what columns of YOLOv8 and its successors may hold after the box."""
    why = f'the output {output} has a column for each of the {count} cells'
    classes = height - 4 - extra.count
    if names_agree(evidence, classes):
        yield _yolo(evidence, output, 'channels_first', False, classes, extra, settings, why,
                    Strength.EXACT)
    known = evidence.names
    values = array_of(evidence, output)
    if values is None or extra.count or classes < 2:
        return
    table = values.reshape(height, count)
    for points, numbers in _pose_shapes(height, known):
        tail = table[4 + height - 4 - points * numbers:]
        beyond = float(np.abs(tail).max()) > 2.0
        if beyond:
            yield _yolo(
                evidence, output, 'channels_first', False, height - 4 - points * numbers,
                tails.Tail.points(evidence, points, numbers), settings,
                f'{why}, and {points} key points of {numbers} numbers in pixels', Strength.EXACT)
    scores = table[4:-1]
    # In a model for show with a few boxes, a number beside the score of each may be an angle.
    used = table[:, table[4:].any(axis=0)]
    beside = used.shape[1] < FEW and bool(((used[4:-1] > 0).any(axis=0) & (used[-1] != 0)).all())
    if used.size and known in (None, classes - 1) \
            and (float(table[-1].min()) < -0.01 or beside) \
            and float(np.abs(table[-1]).max()) < 3.2 and float(scores.min()) > -0.01 \
            and float(scores.max()) < 1.01:
        yield _yolo(evidence, output, 'channels_first', False, classes - 1, tails.Tail.angle(),
                    settings, f'{why}, and an angle at its end', Strength.EXACT)


def _pose_shapes(height: int, names: int | None) -> Iterator[tuple[int, int]]:
    """Yield the usual numbers of key points: COCO's 17, 21 of a hand, 5 of a face."""
    for points in (17, 21, 5):
        for numbers in (3, 2):
            classes = height - 4 - points * numbers
            if classes == (names or 1):
                yield points, numbers


def _yolo(
    evidence: Evidence, output: TensorSpec, axes: str, objectness: bool, classes: int,
    extra: tails.Tail, settings: InputSettings, why: str, strength: Strength, *details: str,
) -> Hypothesis:
    details = (*details, *extra.details)
    read = (output.name, extra.options.get('prototypes'))
    if rest := ', '.join(repr(each.name) for each in evidence.outputs if each.name not in read):
        details = (*details, f'output: {output.name} is read, and {rest} not')
    first = 4 + objectness
    return detection(
        'yolo', {'output': output.name, 'axes': axes, 'objectness': objectness,
                 **({'classes': classes} if extra.count else {}), **extra.options},
        why, strength, settings,
        f'output.objectness: {"true" if objectness else "false"}, so that {classes} classes '
        'are left', *details, **grid_of(evidence, output),
        probabilities=(output.name, 4, first + classes) if axes == 'channels_last' else None)


def _objectness_is_one(evidence: Evidence, output: TensorSpec) -> bool:
    """Tell whether the fifth number of each row is 1, as in YOLOv6."""
    values = array_of(evidence, output)
    return values is not None and bool((values.reshape(-1, values.shape[-1])[:, 4] == 1).all())
