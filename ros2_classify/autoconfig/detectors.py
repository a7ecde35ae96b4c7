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

"""Detector families that are recognized by their names, shapes or metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TYPE_CHECKING

from ros2_classify.model.descriptor import InputSpec, Task

if TYPE_CHECKING:
    from ros2_classify.engines.base import TensorSpec


class InputSettings(NamedTuple):
    """Input settings of a family: fields of `InputSpec`, and the reason in a sentence."""

    fields: Mapping[str, Any]
    sentence: str


class InferredOutput(NamedTuple):
    """A decoder with its options and task, the reasons, and the input settings."""

    decoder: str
    options: Mapping[str, Any]
    task: Task
    sentences: tuple[str, ...]
    input_settings: InputSettings | None = None


_YOLO_INPUT = InputSettings(
    {'scale': 1 / 255, 'resize': 'letterbox', 'anchor': 'center', 'pad_value': 114.0},
    'pixels from 0 to 1, letterbox in the centre padded with 114, as the YOLO family is trained')
_UNIT_INPUT = InputSettings({'scale': 1 / 255}, 'pixels from 0 to 1, stretched, as {} is fed')
# Mean and standard deviation in blue, green, red: the published configurations of NanoDet.
_NANODET_INPUT = InputSettings(
    {'color': 'bgr', 'mean': (103.53, 116.28, 123.675), 'std': (57.375, 57.12, 58.395)},
    'bgr with the mean and standard deviation of ImageNet, stretched, as NanoDet is trained')
_YUNET_INPUT = InputSettings(
    {'color': 'bgr', 'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 0.0},
    'bgr, pixels from 0 to 255, letterbox at the top left padded with 0, as OpenCV feeds YuNet')
_YUNET_SIZE = (640, 640)
_YOLOV3_INPUT = InputSettings(
    {'scale': 1 / 255, 'resize': 'letterbox', 'anchor': 'center', 'pad_value': 128.0},
    'pixels from 0 to 1, letterbox in the centre padded with 128, as YOLOv3 is trained')
_DETR_INPUT = InputSettings(
    {'scale': 1 / 255, 'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)},
    'rgb with the mean and standard deviation of ImageNet, stretched, as DETR is trained')
PYTORCH_INPUT = InputSettings(
    _DETR_INPUT.fields, 'rgb with the mean and standard deviation of ImageNet, stretched, as '
    'segmentation models of PyTorch take them')

_NANODET_WIDTH = 32
_NANODET_STRIDES = (8, 16, 32, 64)
# More rows than this are not a list of final boxes.
_MAX_FINAL = 1000


def infer_detector(
    outputs: Sequence[TensorSpec], spec: InputSpec, names: int | None, task: str, *,
    one_image: bool = False,
) -> InferredOutput | None:
    """Infer what a detector's outputs mean; None if no family fits."""
    if not outputs or task in ('classify', 'obb'):
        return None
    for found in (_yunet(outputs), _nanodet(outputs, spec, names), _detr(outputs, names),
                  _selected_indices(outputs), _final(outputs),
                  _yolo(outputs, spec, names, task), _rows(outputs, one_image)):
        if found is not None:
            return found
    return None


def _inferred(
    decoder: str, options: Mapping[str, Any], settings: InputSettings, *why: str,
) -> InferredOutput:
    first, *rest = why
    return InferredOutput(
        decoder, options, 'detection', (f'output.decoder: {decoder}, because {first}', *rest),
        settings)


def _yunet(outputs: Sequence[TensorSpec]) -> InferredOutput | None:
    """Recognize three outputs for each stride, named after it."""
    names = {_plain(tensor.name) for tensor in outputs}
    if all(f'{role}_{stride}' in names
           for role in ('cls', 'obj', 'bbox') for stride in (8, 16, 32)):
        return _inferred('yunet', {}, _YUNET_INPUT, 'the outputs have the names of YuNet')
    return None


def _nanodet(
    outputs: Sequence[TensorSpec], spec: InputSpec, names: int | None,
) -> InferredOutput | None:
    """Recognize scores and distributions of each stride, in one tensor or two for each."""
    from ros2_classify.decoders.boxes import cells

    if not isinstance(spec.size, tuple):
        return None
    grids = [len(cells(spec.size, (stride,), partial=True)) for stride in _NANODET_STRIDES]
    if len(outputs) == 1 and len(outputs[0].shape) == 3:
        _, rows, columns = outputs[0].shape
        if (rows == sum(grids) and isinstance(columns, int) and columns > _NANODET_WIDTH
                and names in (None, columns - _NANODET_WIDTH)):
            return _inferred(
                'nanodet', {'strides': list(_NANODET_STRIDES)}, _NANODET_INPUT,
                f'the output {outputs[0]} has a row for each of the {rows} cells that strides of '
                '8, 16, 32 and 64 give',
                f'output.reg_max: 7, so that {columns - _NANODET_WIDTH} classes are left')
    shapes = [tensor.shape[-2:] for tensor in outputs]
    for count in (3, 4):
        wide = [shape for shape in shapes if shape[-1:] == (_NANODET_WIDTH,)]
        if len(outputs) == 2 * count and [rows for rows, _ in wide] == grids[:count] \
                and sorted(str(shape[0]) for shape in shapes) == sorted(
                    str(rows) for rows in grids[:count] * 2):
            strides = list(_NANODET_STRIDES[:count])
            return _inferred(
                'nanodet', {'strides': strides}, _NANODET_INPUT,
                f'there are two outputs with a row for each cell of the strides {strides}')
    return None


def _detr(outputs: Sequence[TensorSpec], names: int | None) -> InferredOutput | None:
    """Recognize outputs named logits and boxes, with the same number of rows."""
    logits = [tensor for tensor in outputs if 'logit' in tensor.name.lower()]
    boxes = [tensor for tensor in outputs
             if 'box' in tensor.name.lower() and tensor.shape[-1:] == (4,)]
    if len(logits) != 1 or len(boxes) != 1 or len(logits[0].shape) != 3 \
            or len(boxes[0].shape) != 3:
        return None
    queries, classes = logits[0].shape[1:]
    # DETR has 100 queries and a class for "no object"; those with a sigmoid have 300.
    softmax = queries == 100 if names is None or names not in (classes, _less(classes)) \
        else names != classes
    activation = 'softmax' if softmax else 'sigmoid'
    reason = ('the last class meaning "no object", as in DETR' if softmax
              else 'each class by itself, as in Deformable DETR and RT-DETR')
    return _inferred(
        'detr', {'outputs': {'logits': logits[0].name, 'boxes': boxes[0].name},
                 'activation': activation},
        _DETR_INPUT if softmax else _unit_input('RT-DETR'),
        f'the outputs {logits[0]} and {boxes[0]} have the names of the DETR family',
        f'output.activation: {activation}, {reason}')


def _selected_indices(outputs: Sequence[TensorSpec]) -> InferredOutput | None:
    """Recognize boxes, scores, and integer triples that select from them."""
    if len(outputs) != 3:
        return None
    triples = [tensor for tensor in outputs
               if tensor.shape[-1:] == (3,) and tensor.dtype.kind in 'iu']
    boxes = [tensor for tensor in outputs
             if tensor.shape[-1:] == (4,) and tensor.dtype.kind == 'f']
    if len(triples) != 1 or len(boxes) != 1:
        return None
    scores = next(tensor for tensor in outputs if tensor not in (triples[0], boxes[0]))
    names = {'boxes': boxes[0].name, 'scores': scores.name, 'indices': triples[0].name}
    return _inferred(
        'selected_indices', {'outputs': names}, _YOLOV3_INPUT,
        f'the output {triples[0]} holds triples of whole numbers, as non-maximum suppression '
        'gives them', 'output.box_format: yxyx, as that operator has it')


def _final(outputs: Sequence[TensorSpec]) -> InferredOutput | None:
    """Recognize boxes, one class and one score for each, and perhaps a count."""
    # Masks and key points of torchvision are not read.
    outputs = [tensor for tensor in outputs
               if not any(word in tensor.name.lower() for word in ('mask', 'keypoint'))]
    if len(outputs) not in (3, 4):
        return None
    roles = (('count', ('num',)), ('boxes', ('box',)), ('scores', ('score',)),
             ('classes', ('class', 'label')))
    found: dict[str, TensorSpec] = {}
    for role, words in roles:
        for tensor in outputs:
            if tensor not in found.values() and any(word in tensor.name.lower()
                                                    for word in words):
                found[role] = tensor
                break
    if len(found) != len(outputs) or not {'boxes', 'scores', 'classes'} <= set(found):
        return None
    rank = len(found['boxes'].shape)
    # Exports that squeeze the batch away lose the 4 as well; the names are clear enough.
    if rank not in (2, 3) or isinstance(width := found['boxes'].shape[-1], int) and width != 4 \
            or any(len(found[role].shape) not in (rank - 1, rank)
                   for role in ('scores', 'classes')):
        return None
    # Exports of YOLO with TensorRT's suppression have a count.
    settings = _YOLO_INPUT if 'count' in found else _unit_input(
        'torchvision' if rank == 2 else 'RT-DETR')
    return _inferred(
        'end_to_end', {'outputs': {role: tensor.name for role, tensor in found.items()}}, settings,
        'there are outputs named boxes, scores, and classes or labels',
        'output.units: model, because boxes are in pixels of the input')


def resizes_itself(outputs: Sequence[TensorSpec]) -> bool:
    """Tell whether the outputs are those of torchvision, whose models resize images themselves."""
    found = _final(outputs)
    return found is not None and 'count' not in found.options['outputs'] and all(
        len(tensor.shape) <= 2 for tensor in outputs if tensor.shape[-1:] == (4,))


def usual_size(outputs: Sequence[TensorSpec]) -> tuple[tuple[int, int], str] | None:
    """Return the size of a family whose model takes any, and the reason."""
    if _yunet(outputs) is not None:
        return _YUNET_SIZE, 'the outputs have the names of YuNet, which is published for this size'
    return None


def _rows(outputs: Sequence[TensorSpec], one_image: bool) -> InferredOutput | None:
    """Recognize one output with six or seven numbers for each of a few boxes."""
    if len(outputs) != 1 or len(outputs[0].shape) not in (2, 3) \
            or outputs[0].shape[-1] not in (6, 7):
        return None
    rows = outputs[0].shape[-2]
    # A classifier of six classes has [1, 6] too, or [?, 6] for any number of images.
    if isinstance(rows, int):
        if not 1 < rows <= _MAX_FINAL:
            return None
    elif len(outputs[0].shape) == 2 and not one_image:
        return None
    columns = ('x1, y1, x2, y2, score, class' if outputs[0].shape[-1] == 6
               else 'batch, x1, y1, x2, y2, class, score')
    return _inferred(
        'end_to_end', {'outputs': {'rows': outputs[0].name}}, _YOLO_INPUT,
        f'the output {outputs[0]} has {outputs[0].shape[-1]} numbers a row',
        f'output.columns: {columns}, in the pixels of the input, as YOLO models with their own '
        'non-maximum suppression have it')


def _yolo(
    outputs: Sequence[TensorSpec], spec: InputSpec, names: int | None, task: str,
) -> InferredOutput | None:
    """Recognize one tensor of decoded boxes; masks or raw grids may follow it."""
    from ros2_classify.decoders.yolo import read_shape

    output = outputs[0]
    if len(output.shape) != 3 or not isinstance(spec.size, tuple) or any(
            len(other.shape) < 4 for other in outputs[1:]):
        return None
    options: dict[str, Any] = {}
    _, first, second = output.shape
    if task in ('segment', 'pose') and names is not None:
        # What follows the class scores is ignored.
        options = {'axes': 'channels_first', 'objectness': False, 'classes': names}
        if not isinstance(first, int) or first < 4 + names:
            return None
    elif isinstance(first, int) and isinstance(second, int):
        axes, objectness = read_shape((first, second), names, spec.size)
        if axes is None or objectness is None:
            return None
        options = {'axes': axes, 'objectness': objectness}
        channels, rows = (first, second) if axes == 'channels_first' else (second, first)
        # Six numbers for a few hundred boxes are final boxes, whatever the number of names.
        if channels < 5 + objectness or (
                channels in (6, 7) and rows <= _MAX_FINAL and not _is_grid(rows, spec.size)):
            return None
    elif names is not None:
        # A free dimension counts the boxes; the other one gives the columns.
        told = first if isinstance(first, int) else second
        if not isinstance(told, int) or told - names not in (4, 5):
            return None
        options = {'axes': 'channels_first' if isinstance(first, int) else 'channels_last',
                   'objectness': told - names == 5}
    else:
        return None
    return _inferred(
        'yolo', {'output': output.name, **options}, _YOLO_INPUT,
        f'the output {output} has the shape of the YOLO family',
        'output.axes and objectness: ' + ' '.join((
            'a column for each box,' if options['axes'] == 'channels_first'
            else 'a row for each box,',
            'with objectness' if options['objectness'] else 'without objectness')))


def _is_grid(rows: int, size: tuple[int, int]) -> bool:
    """Tell whether there is one row, or three, for each cell of the usual strides."""
    from ros2_classify.decoders.boxes import cells

    counts = [len(cells(size, _NANODET_STRIDES[:count])) for count in (3, 4)]
    return rows in (*counts, *(3 * count for count in counts))


def _unit_input(family: str) -> InputSettings:
    return InputSettings(_UNIT_INPUT.fields, _UNIT_INPUT.sentence.format(family))


def _less(dim: object) -> int | None:
    return dim - 1 if isinstance(dim, int) else None


def _plain(name: str) -> str:
    return name.partition(':')[0].rpartition('/')[2].lower()
