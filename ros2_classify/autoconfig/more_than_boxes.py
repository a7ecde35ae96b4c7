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
Detectors whose rows hold more than boxes can say: rotated boxes, key points beside the classes.

What a descriptor must say is named, with its line, so that nobody takes it for something else.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ros2_classify.autoconfig import detector_inputs as inputs
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, Strength
from ros2_classify.autoconfig.prior_detectors import quoted
from ros2_classify.autoconfig.tails import Tail
from ros2_classify.decoders.boxes import cell_count
from ros2_classify.engines.base import TensorSpec

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
_ANCHORS = 3
# Numbers beyond this are pixels, neither scores nor angles.
_PIXELS = 4.0
# Two or three numbers for each point of a face, a body or a hand.
_POINTS = tuple((points, numbers) for points in (5, 17, 21) for numbers in (2, 3))
_FACE = 10


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector of this kind with these outputs may be."""
    yield from _rotated(evidence)
    for output in evidence.outputs:
        yield from _points(evidence, output)


def _rotated(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize rows of centre, size, angle and score beside a class for each: MMRotate."""
    whole = [tensor for tensor in evidence.outputs if tensor.dtype.kind in 'iu']
    for output in evidence.outputs:
        beside = [tensor for tensor in whole if tensor.shape == output.shape[:-1]]
        if output.dtype.kind == 'f' and output.shape[-1:] == (6,) and beside:
            yield _named(
                'end_to_end', f'the output {output} has six numbers in each row beside a class, '
                'as MMRotate exports rotated boxes: centre, size, angle and score; if so, declare '
                'output: {decoder: end_to_end, outputs: {dets: '
                f'{quoted(output.name)}, classes: {quoted(beside[0].name)}}}}}')


def _points(evidence: Evidence, output: TensorSpec) -> Iterator[Hypothesis]:
    """Recognize rows of three anchors for each cell with key points behind or before the class."""
    size, values = evidence.size, evidence.arrays.get(output.name)
    if size is None or values is None or len(output.shape) != 3 or values.dtype.kind != 'f':
        return
    _, rows, width = values.shape
    strides = next((each for each in _STRIDES if _ANCHORS * cell_count(size, each) == rows), None)
    if strides is None or len(values) != 1:
        return
    table = values[0].astype(np.float64)
    pixels = [column for column in range(4, width) if np.abs(table[:, column]).max() > _PIXELS]
    if width == 6 + _FACE and pixels and pixels[0] < 7 and pixels[-1] < width - 1:
        yield _named(
            'yolo', f'the output {output} has five key points between objectness and class, as '
            'YOLOv5-face has them; if so, declare output: {decoder: yolo, output: '
            f'{quoted(output.name)}, axes: channels_last, objectness: true, classes: 1, '
            'keypoints: [5, 2], keypoints_place: before_classes}')
        return
    for points, numbers in _POINTS:
        classes, beside = width - 5 - points * numbers, Tail.points(evidence, points, numbers)
        if classes == (evidence.names or 1) and pixels and pixels[0] >= 5 + classes:
            yield Hypothesis(
                'detection', 'yolo',
                {'output': output.name, 'axes': 'channels_last', 'objectness': True,
                 'classes': classes, **beside.options},
                f'the output {output} has a row for each of three anchors of the '
                f'{rows // _ANCHORS} cells, and key points in pixels behind the classes',
                Strength.EXACT, inputs.YOLO, beside.details, strides=strides, anchors=_ANCHORS,
                probabilities=(output.name, 4, 5 + classes))


def _named(decoder: str, missing: str) -> Hypothesis:
    return Hypothesis(
        'detection', decoder, {}, missing, Strength.EXACT, inputs.YOLO, missing=missing)
