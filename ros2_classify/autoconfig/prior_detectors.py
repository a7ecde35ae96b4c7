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
Detectors whose boxes are relative to cells, priors or anchors.

Where the rule is fixed (SCRFD, CenterFace, FastestDet) they run; where priors or anchors are in
the training code alone, the published sets that fit are named, for the user to choose. So is what
a descriptor must say of rows that hold more than boxes: angles, key points beside the classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ros2_classify.autoconfig import detector_inputs as inputs
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, Strength
from ros2_classify.autoconfig.tails import Tail
from ros2_classify.decoders.boxes import cell_count
from ros2_classify.decoders.priors import make_priors, SETS
from ros2_classify.decoders.yolo_anchors import FAMILIES
from ros2_classify.engines.base import TensorSpec
from ros2_classify.errors import Ros2ClassifyError

_STRIDES = (8, 16, 32)
# Columns of boxes with key points behind the four offsets.
_OFFSETS = (4, 8, 10, 14, 16, 18)
_GRIDS = ((8, 16, 32), (8, 16, 32, 64))
_ANCHORS = 3
# Numbers beyond this are pixels, neither scores nor angles.
_PIXELS = 4.0
# Two or three numbers for each point of a face, a body or a hand.
_POINTS = tuple((points, numbers) for points in (5, 17, 21) for numbers in (2, 3))
_FACE_POINTS = 10


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector of this kind with these outputs may be."""
    for family in (_scrfd, _centerface, _fastestdet, _offsets, _maps, _rotated, _points):
        yield from family(evidence)


def _scrfd(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize scores, distances and perhaps key points of three strides."""
    size, outputs = evidence.size, evidence.outputs
    widths = [tensor.shape[-1] for tensor in outputs if len(tensor.shape) in (2, 3)]
    if size is None or len(widths) != len(outputs) or len(outputs) not in (6, 9) or sorted(
            map(str, widths)) not in (['1'] * 3 + ['4'] * 3, ['1'] * 3 + ['10'] * 3 + ['4'] * 3):
        return
    counts = [cell_count(size, (stride,)) for stride in _STRIDES]
    rows = [tensor.shape[-2] for tensor in outputs if tensor.shape[-1] == 4]
    many = {row // count for row, count in zip(rows, counts)
            if isinstance(row, int) and count and not row % count}
    if len(many) == 1 and all(row == count * next(iter(many))
                              for row, count in zip(rows, counts)):
        logits = any(array.size and (array.min() < 0 or array.max() > 1)
                     for tensor in outputs if tensor.shape[-1] == 1
                     and (array := evidence.arrays.get(tensor.name)) is not None)
        yield Hypothesis(
            'detection', 'scrfd', {'activation': 'sigmoid'} if logits else {},
            f'there are scores and distances for each of the {sum(counts)} cells of strides '
            '8, 16 and 32', Strength.EXACT, inputs.SCRFD)


def _centerface(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize a heat map, sizes, offsets and perhaps key points, a cell four pixels wide."""
    size, outputs = evidence.size, evidence.outputs
    if size is None or any(len(tensor.shape) != 4 for tensor in outputs):
        return
    channels = sorted(str(tensor.shape[1]) for tensor in outputs)
    grids = {tensor.shape[2:] for tensor in outputs}
    # Without key points it may be another detector of centers, with other sizes.
    named = all(any(word in tensor.name.lower() for word in ('heat', 'scale', 'off'))
                for tensor in outputs)
    if (channels == ['1', '10', '2', '2'] or named and channels == ['1', '2', '2']) \
            and grids == {(size[1] // 4, size[0] // 4)}:
        yield Hypothesis(
            'detection', 'centerface', {}, 'there are a heat map, sizes and offsets for cells of '
            'four pixels', Strength.EXACT, inputs.CENTERFACE,
            ('output.outputs: the sizes before the offsets, as CenterFace has them',))


def _fastestdet(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize one map with an objectness, four numbers, and class scores that add up to 1."""
    size, outputs = evidence.size, evidence.outputs
    if size is None or len(outputs) != 1 or len(outputs[0].shape) != 4:
        return
    channels, height, width = outputs[0].shape[1:]
    array = evidence.arrays.get(outputs[0].name)
    if array is None or not isinstance(channels, int) or channels < 6 \
            or (width, height) != (size[0] // 16, size[1] // 16):
        return
    cells = array.reshape(channels, -1)
    if float(cells[0].min()) >= 0 and float(cells[0].max()) <= 1 and bool(
            (np.abs(cells[5:].sum(axis=0) - 1) < 0.02).all()):
        yield Hypothesis(
            'detection', 'fastestdet', {'output': outputs[0].name},
            f'the output {outputs[0]} has an objectness, a box and class scores with a sum of 1 '
            'for each cell', Strength.EXACT, inputs.FASTESTDET)


def _offsets(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize offsets to priors, which are not in the file."""
    outputs = [tensor for tensor in evidence.outputs if len(tensor.shape) == 3]
    if len(outputs) != len(evidence.outputs) or len(outputs) not in (2, 3):
        return
    four = [tensor for tensor in outputs if tensor.shape[-1] == 4]
    boxes = four or [tensor for tensor in outputs if tensor.shape[-1] in _OFFSETS]
    scores = [tensor for tensor in outputs if tensor not in boxes
              and not (four and tensor.shape[-1] in _OFFSETS[2:] and len(outputs) == 3)]
    if len(boxes) != 1 or len(scores) != 1 or boxes[0].shape[1] != scores[0].shape[1]:
        return
    names = f'outputs: {{boxes: {_quoted(boxes[0].name)}, scores: {_quoted(scores[0].name)}}}'
    sets = [f'output: {{decoder: ssd, priors: {name}, {names}}}'
            for name in _fitting_sets(evidence, boxes[0])]
    listed = ('of the published sets these have as many priors as the output has rows: '
              + '; or '.join(sets) if sets else 'no published set has as many priors as the '
              f'output has rows: give yours with output: {{decoder: ssd, priors: FILE, {names}}}')
    yield Hypothesis(
        'detection', 'ssd', {}, f'the output {boxes[0]} has offsets in each row', Strength.USUAL,
        inputs.UNKNOWN,
        missing=f'its boxes are offsets to priors that are not in the file; {listed}; '
        'see docs/decoders.md#ssd')


def _fitting_sets(evidence: Evidence, boxes: TensorSpec) -> list[str]:
    """Return the published sets with as many priors as there are rows."""
    found = []
    for name, each in SETS.items() if evidence.size else ():
        try:
            if evidence.size and len(make_priors(each.grid, evidence.size)) == boxes.shape[1]:
                found.append(name)
        except Ros2ClassifyError:
            continue
    return found


def _maps(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize the raw maps of detectors, whose anchors are not in the file."""
    size = evidence.size
    maps = [tensor for tensor in evidence.outputs if len(tensor.shape) in (4, 5)]
    if size is None or not maps or len(maps) != len(evidence.outputs):
        return
    # One cell is a classifier's pooling.
    if all(_cells(tensor) == 1 for tensor in maps):
        return
    strides = {stride for tensor in maps if (stride := _stride(tensor, size))}
    if not strides or max(strides) < 16 or any(not _stride(tensor, size) for tensor in maps):
        return
    if len(maps) == 3 * len(strides) == 6:
        missing = ('its boxes are relative to anchors that are not in the file: those of the '
                   'published YOLO-FastestV2 are output: {decoder: yolo_fastestv2, anchors: '
                   'coco}; those of your own training are in its anchors6.txt')
    elif len(maps) == len(strides) and not all(_few_channels(tensor) for tensor in maps):
        families = '; or '.join(f'output: {{decoder: yolo_anchors, anchors: {name}}}'
                                for name, each in FAMILIES.items()
                                if len(each.anchors) == len(maps))
        missing = ('its boxes are relative to cells and anchors that are not in the file; declare '
                   f'{families or "yours: output: {decoder: yolo_anchors, anchors: ...}"}; '
                   'see docs/decoders.md#yolo_anchors')
    else:
        return
    yield Hypothesis(
        'detection', 'yolo_anchors', {}, f'the outputs are maps with strides of {sorted(strides)}',
        Strength.USUAL, inputs.UNKNOWN, missing=missing)


def _stride(tensor: TensorSpec, size: tuple[int, int]) -> int:
    """Return the stride of a map's grid, wherever its channels are; 0 if it has none."""
    shape: Sequence[object] = tensor.shape[1:]
    for height, width in zip(shape, shape[1:]):
        if isinstance(height, int) and isinstance(width, int) and width > 0 and height > 0 \
                and not size[0] % width and size[0] // width in (4, 8, 16, 32, 64) \
                and size[0] * height == size[1] * width:
            return size[0] // width
    return 0


def _cells(tensor: TensorSpec) -> int:
    """Return the number of cells of a map, if it has one or a few; channels may be last."""
    sides = sorted(dim for dim in tensor.shape[1:] if isinstance(dim, int))
    return sides[0] * sides[1] if len(sides) > 2 else 0


def _few_channels(tensor: TensorSpec) -> bool:
    channels = tensor.shape[1]
    return len(tensor.shape) == 4 and isinstance(channels, int) and channels < 5


def _quoted(name: str) -> str:
    """Return a tensor's name as YAML needs it."""
    return f"'{name}'" if name[:1].isdigit() or any(
        mark in name for mark in ':{}[],#& ') else name


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
                f'{_quoted(output.name)}, classes: {_quoted(beside[0].name)}}}}}')


def _points(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize rows of three anchors for each cell with key points behind or before the class."""
    for output in evidence.outputs:
        yield from _points_in(evidence, output)


def _points_in(evidence: Evidence, output: TensorSpec) -> Iterator[Hypothesis]:
    size, values = evidence.size, evidence.arrays.get(output.name)
    if size is None or values is None or len(output.shape) != 3 or values.dtype.kind != 'f':
        return
    _, rows, width = values.shape
    strides = next((each for each in _GRIDS if _ANCHORS * cell_count(size, each) == rows), None)
    if strides is None or len(values) != 1:
        return
    table = values[0].astype(np.float64)
    pixels = [column for column in range(4, width) if np.abs(table[:, column]).max() > _PIXELS]
    if width == 6 + _FACE_POINTS and pixels and pixels[0] < 7 and pixels[-1] < width - 1:
        yield _named(
            'yolo', f'the output {output} has five key points between objectness and class, as '
            'YOLOv5-face has them; if so, declare output: {decoder: yolo, output: '
            f'{_quoted(output.name)}, axes: channels_last, objectness: true, classes: 1, '
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
