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
The families of detectors: what their outputs look like, and how they are fed.

Each function states the hypotheses of one form of outputs. They are generous: what a model's own
numbers contradict is taken away afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.autoconfig import more_than_boxes, prior_detectors, tails
from ros2_classify.autoconfig.evidence import (
    Evidence, Hypothesis, InputSettings, plain, Strength)
from ros2_classify.decoders.boxes import cell_count
from ros2_classify.engines.base import TensorSpec

_ALL = ('input.color', 'input.scale', 'input.mean', 'input.std')
_YOLO_FIELDS = {'scale': 1 / 255, 'resize': 'letterbox', 'anchor': 'center', 'pad_value': 114.0}
_YOLO_WORDS = 'pixels from 0 to 1, letterbox in the centre padded with 114, as the YOLO family is'
_YOLO_INPUT = InputSettings(_YOLO_FIELDS, f'{_YOLO_WORDS} trained', _ALL)
_ULTRALYTICS_INPUT = InputSettings(_YOLO_FIELDS, f'{_YOLO_WORDS} trained, and Ultralytics exports')
_YOLOX_INPUT = InputSettings(
    {'color': 'bgr', 'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 114.0},
    'bgr, pixels from 0 to 255, letterbox at the top left padded with 114, as YOLOX was '
    'published; its first versions were fed rgb with the mean and standard deviation of ImageNet',
    ('input.mean', 'input.std'))
_RTDETR_INPUT = InputSettings(
    {'scale': 1 / 255}, 'pixels from 0 to 1, stretched, as RT-DETR is fed')
_SSD_INPUT = InputSettings(
    {'mean': (127.5,) * 3, 'std': (127.5,) * 3},
    'pixels from -1 to 1, stretched, as SSD detectors take them', _ALL)
# Mean and standard deviation in blue, green, red: the published configurations of NanoDet.
_NANODET_INPUT = InputSettings(
    {'color': 'bgr', 'mean': (103.53, 116.28, 123.675), 'std': (57.375, 57.12, 58.395)},
    'bgr with the mean and standard deviation of ImageNet, stretched, as NanoDet is trained',
    _ALL)
_YUNET_INPUT = InputSettings(
    {'color': 'bgr', 'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 0.0},
    'bgr, pixels from 0 to 255, letterbox at the top left padded with 0, as OpenCV feeds YuNet')
_YUNET_SIZE = (640, 640)
_YOLOV3_INPUT = InputSettings(
    {'scale': 1 / 255, 'resize': 'letterbox', 'anchor': 'center', 'pad_value': 128.0},
    'pixels from 0 to 1, letterbox in the centre padded with 128, as YOLOv3 is trained', _ALL)
_IMAGENET = {'scale': 1 / 255, 'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
_DETR_INPUT = InputSettings(
    _IMAGENET, 'rgb with the mean and standard deviation of ImageNet, stretched, as DETR is '
    'trained', _ALL)
_MMDET_INPUT = InputSettings(
    {**_IMAGENET, 'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 0.0},
    'rgb with the mean and standard deviation of ImageNet, letterbox at the top left, as '
    'most configurations of MMDetection have it', (*_ALL, 'input.resize'))
_TF_INPUT = InputSettings({}, 'rgb, whole pixels, stretched, as TensorFlow feeds detectors')
_TORCHVISION_INPUT = InputSettings(
    {'scale': 1 / 255}, 'pixels from 0 to 1, as torchvision feeds its detectors')

_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32))
_ANCHORS = 3
_NANODET_WIDTH = 32
_NANODET_STRIDES = (8, 16, 32, 64)
# More rows than this are not a list of final boxes.
_MAX_FINAL = 1000
_COCO = 80
# Of fewer boxes, their order says nothing.
_FEW = 8
# More cells than any image that a model takes has.
_MAX_CELLS = 10**6


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector with these outputs may be."""
    if not evidence.outputs or evidence.exporter_task in ('classify', 'semantic'):
        return
    for family in (_tf_detection, _yunet, _nanodet, _detr, _selected_indices, _final, _dets_labels,
                   _ultralytics, _rows, _dense, _pairs, prior_detectors.hypotheses,
                   more_than_boxes.hypotheses):
        yield from family(evidence)


def _hypothesis(
    decoder: str, options: Mapping[str, Any], why: str, strength: Strength,
    settings: InputSettings, *details: str, **more: Any,
) -> Hypothesis:
    return Hypothesis('detection', decoder, options, why, strength, settings, details, **more)


def _tf_detection(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize TensorFlow Object Detection and the post-processing of TFLite by their names."""
    by_name = {plain(tensor.name): tensor.name for tensor in evidence.outputs}
    keys = {'boxes': 'detection_boxes', 'classes': 'detection_classes',
            'scores': 'detection_scores', 'count': 'num_detections'}
    if all(name in by_name for name in keys.values()):
        names = {key: by_name[name] for key, name in keys.items()}
        if 'detection_masks' in by_name:
            names['masks'] = by_name['detection_masks']
        yield _hypothesis(
            'tf_detection', {'outputs': names, 'class_offset': 0},
            'the outputs have the names of TensorFlow Object Detection', Strength.STATED,
            _TF_INPUT if evidence.spec.whole else _SSD_INPUT,
            'output.class_offset: 0, because label maps of TensorFlow begin at 1 as well')
    tflite = sorted(tensor.name for tensor in evidence.outputs
                    if tensor.name.startswith('TFLite_Detection_PostProcess'))
    if len(evidence.outputs) == len(tflite) == 4:
        names = dict(zip(('boxes', 'classes', 'scores', 'count'), tflite))
        yield _hypothesis(
            'tf_detection', {'outputs': names, 'class_offset': 0},
            'the outputs have the names of the detection post-processing of TFLite',
            Strength.STATED, _TF_INPUT if evidence.spec.whole else _SSD_INPUT,
            'output.class_offset: 0, because label files of TFLite begin at 0 as well')


def _yunet(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize three outputs for each stride, named after it."""
    if is_yunet(evidence.outputs):
        yield _hypothesis('yunet', {}, 'the outputs have the names of YuNet', Strength.STATED,
                          _YUNET_INPUT)


def is_yunet(outputs: Sequence[TensorSpec]) -> bool:
    """Tell whether the outputs have the names of YuNet."""
    names = {plain(tensor.name) for tensor in outputs}
    return all(f'{role}_{stride}' in names
               for role in ('cls', 'obj', 'bbox') for stride in (8, 16, 32))


def usual_size(outputs: Sequence[TensorSpec]) -> tuple[tuple[int, int], str] | None:
    """Return the size of a family whose model takes any, and the reason."""
    if is_yunet(outputs):
        return _YUNET_SIZE, 'the outputs have the names of YuNet, which is published for this size'
    return None


def _nanodet(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize scores and distributions of each stride, in one tensor or two for each."""
    size, outputs = _bounded(evidence.size), evidence.outputs
    if size is None:
        return
    grids = [cell_count(size, (stride,), partial=True) for stride in _NANODET_STRIDES]
    if len(outputs) == 1 and len(outputs[0].shape) == 3:
        _, rows, columns = outputs[0].shape
        if (rows == sum(grids) and isinstance(columns, int) and columns > _NANODET_WIDTH
                and evidence.names in (None, columns - _NANODET_WIDTH)):
            yield _hypothesis(
                'nanodet', {'strides': list(_NANODET_STRIDES)},
                f'the output {outputs[0]} has a row for each of the {rows} cells that strides of '
                '8, 16, 32 and 64 give', Strength.EXACT, _NANODET_INPUT,
                f'output.reg_max: 7, so that {columns - _NANODET_WIDTH} classes are left')
    shapes = [tensor.shape[-2:] for tensor in outputs]
    for count in (3, 4):
        wide = [shape for shape in shapes if shape[-1:] == (_NANODET_WIDTH,)]
        if len(outputs) == 2 * count and [rows for rows, _ in wide] == grids[:count] \
                and sorted(str(shape[0]) for shape in shapes) == sorted(
                    str(rows) for rows in grids[:count] * 2):
            strides = list(_NANODET_STRIDES[:count])
            yield _hypothesis(
                'nanodet', {'strides': strides},
                f'there are two outputs with a row for each cell of the strides {strides}',
                Strength.EXACT, _NANODET_INPUT)


def _detr(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize outputs named logits and boxes, with the same number of rows."""
    logits = [tensor for tensor in evidence.outputs if 'logit' in tensor.name.lower()]
    boxes = [tensor for tensor in evidence.outputs
             if 'box' in tensor.name.lower() and tensor.shape[-1:] == (4,)]
    if len(logits) != 1 or len(boxes) != 1 or len(logits[0].shape) != 3 \
            or len(boxes[0].shape) != 3:
        return
    yield from _queries(
        evidence, logits[0], boxes[0],
        f'the outputs {logits[0]} and {boxes[0]} have the names of the DETR family',
        Strength.STATED)


def _queries(
    evidence: Evidence, logits: TensorSpec, boxes: TensorSpec, why: str, strength: Strength,
) -> Iterator[Hypothesis]:
    """State how logits become scores: a softmax with "no object", or a sigmoid for each class."""
    queries, classes = logits.shape[1:]
    values = _array(evidence, logits)
    ends = None
    if values is not None and values.size and np.ptp(values) > 0:
        rows = values.reshape(-1, values.shape[-1])
        # Few queries of an image see an object: the others say "no object" one way or the other.
        if float((rows.argmax(axis=1) == rows.shape[1] - 1).mean()) > 0.7:
            ends = 'softmax'
        elif float((rows.max(axis=1) < 0).mean()) > 0.7:
            ends = 'sigmoid'
    if isinstance(classes, int) and evidence.names in (classes, classes - 1):
        ends = 'softmax' if evidence.names == classes - 1 else 'sigmoid'
    if ends is None and queries in (100, 300):
        # DETR has 100 queries and a class for "no object"; those with a sigmoid have 300.
        ends = 'softmax' if queries == 100 else 'sigmoid'
    for activation, meaning in (
            ('softmax', 'the last class meaning "no object", as in DETR'),
            ('sigmoid', 'each class by itself, as in Deformable DETR and RT-DETR')):
        if ends in (None, activation):
            yield _hypothesis(
                'detr', {'outputs': {'logits': logits.name, 'boxes': boxes.name},
                         'activation': activation}, why, strength,
                _DETR_INPUT if activation == 'softmax' else InputSettings(
                    _RTDETR_INPUT.fields, _RTDETR_INPUT.sentence, _ALL),
                f'output.activation: {activation}, {meaning}')


def _selected_indices(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize boxes, scores, and integer triples that select from them."""
    if len(evidence.outputs) != 3:
        return
    triples = [tensor for tensor in evidence.outputs
               if tensor.shape[-1:] == (3,) and tensor.dtype.kind in 'iu']
    boxes = [tensor for tensor in evidence.outputs
             if tensor.shape[-1:] == (4,) and tensor.dtype.kind == 'f']
    if len(triples) != 1 or len(boxes) != 1:
        return
    scores = next(tensor for tensor in evidence.outputs if tensor not in (triples[0], boxes[0]))
    names = {'boxes': boxes[0].name, 'scores': scores.name, 'indices': triples[0].name}
    # The operator takes corners in any order, or centre and size.
    centers = _box_formats(_array(evidence, boxes[0])) == ('cxcywh',)
    known = bool(evidence.spec.extra) or centers
    yield _hypothesis(
        'selected_indices', {'outputs': names, **({'box_format': 'cxcywh'} if centers else {})},
        f'the output {triples[0]} holds triples of whole numbers, as non-maximum suppression '
        'gives them', Strength.EXACT, _YOLOV3_INPUT,
        'output.box_format: ' + ('cxcywh, because no box would have corners in order' if centers
                                 else 'yxyx, as that operator has it'),
        unverified=() if known else ('output.box_format',))


def _final(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize boxes, one class and one score for each, and perhaps a count."""
    found = named_final(evidence.outputs)
    if found is None or plain(found['boxes'].name) == 'detection_boxes':
        return
    options: dict[str, Any] = {'outputs': {role: tensor.name for role, tensor in found.items()}}
    if resizes_itself(evidence.outputs) and evidence.size is None:
        settings = _TORCHVISION_INPUT
    elif 'count' in found:
        # Exports of YOLO with TensorRT's suppression have a count.
        settings = _YOLO_INPUT
    else:
        settings = InputSettings(_RTDETR_INPUT.fields, _RTDETR_INPUT.sentence, _ALL)
    why = 'there are outputs named boxes, scores, and classes or labels'
    for units, words in (('model', 'in pixels of the input'), ('normalized', 'from 0 to 1')):
        if not _fits_units(evidence, found['boxes'], units):
            continue
        yield _hypothesis(
            'end_to_end', options if units == 'model' else {**options, 'units': units}, why,
            Strength.STATED, settings, f'output.units: {units}, because boxes are {words}',
            # TensorFlow has y before x. Exporters that have x first are known by more.
            unverified=() if 'count' in found or evidence.size is None or (
                evidence.spec.extra) else ('output.box_format',))


def named_final(outputs: Sequence[TensorSpec]) -> dict[str, TensorSpec] | None:
    """Find outputs named boxes, scores and classes, and a count if there is one."""
    # Masks and key points of torchvision are not read.
    outputs = [tensor for tensor in outputs
               if not any(word in tensor.name.lower() for word in ('mask', 'keypoint'))]
    if len(outputs) not in (3, 4):
        return None
    if (shaped := _shaped_final(outputs)) is not None:
        return shaped
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
    return found


def _shaped_final(outputs: Sequence[TensorSpec]) -> dict[str, TensorSpec] | None:
    """Tell boxes, scores and classes by shape and type alone, where names are numbers."""
    if len(outputs) != 3 or not all(plain(tensor.name).isdigit() for tensor in outputs):
        return None
    found = {}
    for tensor in outputs:
        role = ('boxes' if tensor.shape[-1:] == (4,) and len(tensor.shape) > 1
                else 'classes' if tensor.dtype.kind in 'iu' else 'scores')
        found[role] = tensor
    rows = {tensor.shape[:-1] if role == 'boxes' else tensor.shape
            for role, tensor in found.items()}
    return found if len(found) == 3 and len(rows) == 1 else None


def resizes_itself(outputs: Sequence[TensorSpec]) -> bool:
    """Tell whether the outputs are those of torchvision, whose models resize images themselves."""
    found = named_final(outputs)
    return found is not None and 'count' not in found and len(found['boxes'].shape) == 2


def _dets_labels(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize rows of box and score beside a class for each: MMDetection's deployment."""
    if len(evidence.outputs) not in (2, 3):
        return
    dets = [tensor for tensor in evidence.outputs
            if tensor.shape[-1:] == (5,) and len(tensor.shape) in (2, 3)]
    classes = [tensor for tensor in evidence.outputs if tensor.dtype.kind in 'iu'
               and dets and tensor.shape == dets[0].shape[:-1]]
    if len(dets) == len(classes) == 1:
        yield _hypothesis(
            'end_to_end', {'outputs': {'dets': dets[0].name, 'classes': classes[0].name}},
            f'the output {dets[0]} has a box and a score in each row, and {classes[0]} its '
            'class, as MMDeploy exports detectors', Strength.EXACT, _MMDET_INPUT,
            'output.units: model, because boxes are in pixels of the input',
            unverified=() if plain(dets[0].name) == 'dets' else ('output.box_format',))


def _ultralytics(evidence: Evidence) -> Iterator[Hypothesis]:
    """Read the metadata that the exporter of Ultralytics writes."""
    output, _ = _main(evidence)
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
            yield _hypothesis(
                'end_to_end', {'outputs': {'rows': output.name}, 'box_format': 'cxcywh',
                               'units': 'normalized'},
                f'{author} that the head is RTDETRDecoder: centre, size, score and class',
                Strength.STATED, _RTDETR_INPUT)
        elif second == 4 + names:
            yield _hypothesis(
                'yolo', {'output': output.name, 'axes': 'channels_last', 'objectness': False,
                         'normalized': True},
                f'{author} that the head is RTDETRDecoder: centre, size and class scores',
                Strength.STATED, _RTDETR_INPUT)
        return
    final = _says_final(evidence.metadata) or first < second or first == 300
    if second == 6 + extra and first <= _MAX_FINAL and (final or second != 4 + names):
        yield _hypothesis(
            'end_to_end', beside.in_rows({'outputs': {'rows': output.name}}),
            f'{author} that the model does its own suppression for the task {task or "detect"}',
            Strength.STATED, _ULTRALYTICS_INPUT, *details, class_column=(output.name, 5))
    elif first == 4 + names + extra:
        yield _hypothesis(
            'yolo', {'output': output.name, 'axes': 'channels_first', 'objectness': False,
                     **({'classes': names} if extra else {}), **beside.options},
            f'{author} that there are {names} classes for the task {task or "detect"}, and the '
            f'output {output} has a column for each box', Strength.STATED, _ULTRALYTICS_INPUT,
            *details)


def _main(evidence: Evidence) -> tuple[TensorSpec, list[TensorSpec]]:
    """Return the output with the boxes, whatever its place, and the others."""
    tables = [tensor for tensor in evidence.outputs if len(tensor.shape) < 4]
    main = tables[0] if len(tables) == 1 else evidence.outputs[0]
    return main, [tensor for tensor in evidence.outputs if tensor is not main]


def _says_final(metadata: Mapping[str, str]) -> bool:
    return metadata.get('end2end', '').lower() == 'true' \
        or "'nms': True" in metadata.get('args', '')


def _rows(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize final boxes, each a row with its score and class, in the usual orders."""
    # PaddleDetection writes the number of rows beside them.
    listed = [tensor for tensor in evidence.outputs
              if tensor.dtype.kind == 'f' or any(dim != 1 for dim in tensor.shape)]
    if not listed:
        return
    output, others = _main(replace(evidence, outputs=listed))
    if len(output.shape) not in (2, 3) or any(len(other.shape) < 4 for other in others):
        return
    rows, width = output.shape[-2:]
    if not isinstance(width, int) or width < 6 or isinstance(rows, int) and rows > _MAX_FINAL:
        return
    # A classifier of six classes has [1, 6] too, or [?, 6] for any number of images.
    if len(output.shape) == 2 and (width not in (6, 7) or (
            rows == 1 and output.name not in evidence.rows)):
        return
    if width > 7 and evidence.size and isinstance(rows, int) and rows in _grids(evidence.size):
        return
    name = output.name
    why = f'the output {output} has {width} numbers a row'
    values = _array(evidence, output)
    if width > 7 and (values is None or not values.any()):
        return
    for strength, columns, more, words, column in _orders(width, evidence):
        formats = _box_formats(values, columns.index('box') if 'box' in columns else 0)
        if more.get('box_format', 'xyxy') == 'cxcywh' and 'cxcywh' not in formats \
                or more.get('box_format', 'xyxy') == 'xyxy' and 'xyxy' not in formats:
            continue
        options: dict[str, Any] = {'outputs': {'rows': name}, **(
            {'columns': columns} if columns else {}), **more}
        masks = tails.prototypes(evidence)
        if columns[-1:] == ['rest'] and masks and masks.shape[1] == width - 6:
            options = {**tails.Tail.masks(masks).in_rows(options), **more}
        settings = _RTDETR_INPUT if more.get('units') else _YOLO_INPUT
        if evidence.spec.whole and not more.get('units'):
            settings = _TF_INPUT
        if not evidence.ultralytics:
            # EfficientDet is trained on images with their proportions, but exported with any size.
            resize = ('input.resize',) if more.get('box_format') == 'yxyx' else ()
            settings = InputSettings(settings.fields, settings.sentence, (*_ALL, *resize))
        # In a square image nothing tells x from y.
        unknown = () if evidence.ultralytics or strength == Strength.STATED or more.get(
            'box_format') == 'cxcywh' else ('output.box_format',)
        yield _hypothesis(
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
        stated = plain(_main(evidence)[0].name).endswith('flat_predictions')
        if stated or evidence.spec.layout == 'nchw':
            yield (Strength.STATED if stated else Strength.USUAL, columns, {},
                   'batch, x1, y1, x2, y2, score, class, in the pixels of the input, as YOLO-NAS '
                   'with its own non-maximum suppression has it', 6)
        yield (Strength.USUAL, columns, {'box_format': 'yxyx'},
               'batch, y1, x1, y2, x2, score, class, in the pixels of the input, as EfficientDet '
               'has it', 6)


def _box_formats(values: NDArray[np.float64] | None, first: int = 0) -> tuple[str, ...]:
    """Return the formats that four columns can have: corners in order, or centre and size."""
    if values is None:
        return ('xyxy', 'cxcywh')
    rows = values.reshape(-1, values.shape[-1])[:, first:first + 4]
    rows = rows[rows.any(axis=1)]
    if len(rows) < _FEW:
        return ('xyxy', 'cxcywh')
    ordered = float(((rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])).mean())
    # A box is wider than its centre is far from the edge only if it touches the edge.
    return ('xyxy',) if ordered > 0.97 else ('cxcywh',) if ordered < 0.8 else ('xyxy', 'cxcywh')


def _dense(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize one tensor with a row or a column for each cell or anchor of a grid."""
    output, others = _main(evidence)
    size = _bounded(evidence.size)
    if len(output.shape) != 3 or size is None or any(len(other.shape) < 4 for other in others):
        return
    _, first, second = output.shape
    if not isinstance(first, int) or not isinstance(second, int):
        return
    grids = _grids(size)
    masks = tails.prototypes(evidence)
    extra = tails.Tail.masks(masks) if masks else tails.Tail()
    settings = _ULTRALYTICS_INPUT if evidence.ultralytics else _YOLO_INPUT
    if grids.get(second) == 1 and first > 4 + extra.count and grids.get(first) != 1:
        yield from _columns(evidence, output, first, second, extra, settings)
    if first not in grids or second < 5:
        return
    if grids[first] == _ANCHORS:
        if second - 5 - extra.count >= 1 and _agrees(evidence, second - 5 - extra.count):
            yield _yolo(
                evidence, output, 'channels_last', True, second - 5 - extra.count, extra, settings,
                f'the output {output} has a row for each of three anchors of the '
                f'{first // _ANCHORS} cells', Strength.EXACT)
        return
    why = f'the output {output} has a row for each of the {first} cells'
    strides = next(strides for strides in _STRIDES if cell_count(size, strides) == first)
    if second >= 6 and not evidence.ultralytics:
        listed = ', '.join(map(str, strides[:-1])) + f' and {strides[-1]}'
        yield _hypothesis(
            'yolox', {'strides': list(strides)}, f'{why} that strides of {listed} give',
            Strength.EXACT, _YOLOX_INPUT, boxes=first, strides=strides,
            probabilities=(output.name, 4, second - extra.count))
    whole = _objectness_is_one(evidence, output)
    for objectness in (True,) if whole else (True, False):
        classes = second - 4 - objectness - extra.count
        other = second - 5 + objectness - extra.count
        # COCO's classes are the usual ones.
        if classes < 1 or not _agrees(evidence, classes) or (
                evidence.names is None and other == _COCO):
            continue
        yield _yolo(
            evidence, output, 'channels_last', objectness, classes, extra,
            _YOLOX_INPUT if objectness and not whole and not evidence.ultralytics else settings,
            f'{why}, its box in pixels and {"an" if objectness else "no"} objectness',
            Strength.EXACT)


def _columns(
    evidence: Evidence, output: TensorSpec, height: int, count: int, extra: tails.Tail,
    settings: InputSettings,
) -> Iterator[Hypothesis]:
    """State what columns of YOLOv8 and its successors may hold after the box."""
    why = f'the output {output} has a column for each of the {count} cells'
    classes = height - 4 - extra.count
    if _agrees(evidence, classes):
        yield _yolo(evidence, output, 'channels_first', False, classes, extra, settings, why,
                    Strength.EXACT)
    known = evidence.names
    values = _array(evidence, output)
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
    beside = used.shape[1] < _FEW and bool(((used[4:-1] > 0).any(axis=0) & (used[-1] != 0)).all())
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
    return _hypothesis(
        'yolo', {'output': output.name, 'axes': axes, 'objectness': objectness,
                 **({'classes': classes} if extra.count else {}), **extra.options},
        why, strength, settings,
        f'output.objectness: {"true" if objectness else "false"}, so that {classes} classes '
        'are left', *details, **_grid_of(evidence, output),
        probabilities=(output.name, 4, first + classes) if axes == 'channels_last' else None)


def _grid_of(evidence: Evidence, boxes: TensorSpec) -> dict[str, Any]:
    """Return the strides and anchors whose cells are as many as an output has boxes."""
    size = _bounded(evidence.size)
    for strides in _STRIDES if size else ():
        count = cell_count(size, strides) if size else 0
        for anchors in (1, _ANCHORS):
            if count and count * anchors in boxes.shape[1:]:
                return {'strides': strides, 'anchors': anchors}
    return {}


def _agrees(evidence: Evidence, classes: int) -> bool:
    """Tell whether a number of classes is that of the names that are stated, if any are."""
    return evidence.names in (None, classes)


def _objectness_is_one(evidence: Evidence, output: TensorSpec) -> bool:
    """Tell whether the fifth number of each row is 1, as in YOLOv6."""
    values = _array(evidence, output)
    return values is not None and bool((values.reshape(-1, values.shape[-1])[:, 4] == 1).all())


def _pairs(evidence: Evidence) -> Iterator[Hypothesis]:
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
    places, values = _array(evidence, boxes), _array(evidence, scores)
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
        yield from _queries(evidence, scores, boxes, why, Strength.EXACT)
        return
    background: int | bool = False
    if classes > 1 and (sums or ends == 'Softmax'):
        # Most boxes of any image are empty: the background has most of the probability.
        means = table.mean(axis=0)
        last = int(means.argmax()) == classes - 1 and classes > 2
        background = classes - 1 if last else 0
    grid = _grid_of(evidence, boxes) if classes == 1 else {}
    sentence = ('output.background: none, because the scores of a box are independent'
                if background is False else
                f'output.background: {background}, because it has most of the probability')
    if _are_sides_from_a_corner(places, evidence.size):
        yield _hypothesis(
            'boxes_scores', {}, why, Strength.EXACT, _YOLO_INPUT, missing=(
                f'the boxes of {boxes} read as left, top, width and height, which no decoder '
                'takes; export corners (x1, y1, x2, y2) or centre and size'))
        return
    for box_format in _box_formats(places):
        if box_format == 'xyxy' and evidence.spec.layout == 'nhwc':
            box_format = 'yxyx'
        for normalized in (True, False):
            if not _fits_units(evidence, boxes, 'normalized' if normalized else 'model'):
                continue
            yield _hypothesis(
                'boxes_scores',
                {'outputs': {'boxes': boxes.name, 'scores': scores.name},
                 'box_format': box_format, 'normalized': normalized, 'background': background,
                 **({'axes': 'channels_first'} if across == 'columns' else {})},
                why, Strength.EXACT, _SSD_INPUT if normalized else _YOLO_INPUT,
                f'output.box_format: {box_format}, '
                f'{"from 0 to 1" if normalized else "in pixels of the input"}', sentence,
                # Nothing but the cells that boxes follow tells x from y.
                unverified=() if grid or box_format == 'cxcywh' else ('output.box_format',),
                **grid)


def _are_sides_from_a_corner(
    values: NDArray[np.float64], size: tuple[int, int] | None,
) -> bool:
    """Tell whether boxes are inside only if they are read as left, top, width and height."""
    rows = values.reshape(-1, values.shape[-1])
    rows = rows[rows.any(axis=1)]
    if size is None or len(rows) < _FEW or _box_formats(values) != ('cxcywh',):
        return False
    limits = np.array(size, np.float64) if float(np.abs(rows).max()) > 4.0 else np.ones(2)
    margin = 0.02 * limits
    whole = ((rows[:, :2] >= -margin) & (rows[:, :2] + rows[:, 2:] <= limits + margin)).all(axis=1)
    outside = (rows[:, :2] - rows[:, 2:] / 2 < -margin).any(axis=1)
    return float(whole.mean()) > 0.97 and float(outside.mean()) > 0.05


def _fits_units(evidence: Evidence, boxes: TensorSpec, units: str) -> bool:
    """Tell whether numbers can be fractions of the image, or pixels; both if all are zero."""
    values = _array(evidence, boxes)
    if values is None or not values.size or float(np.abs(values).max()) == 0.0:
        return units != 'normalized'
    return (float(np.abs(values).max()) <= 4.0) == (units == 'normalized')


def _array(evidence: Evidence, tensor: TensorSpec) -> NDArray[np.float64] | None:
    """Return an output's numbers if they are all finite."""
    found = evidence.arrays.get(tensor.name)
    if found is None or found.dtype.kind not in 'fiu':
        return None
    array = found.astype(np.float64)
    return array if np.isfinite(array).all() else None


def _grids(size: tuple[int, int]) -> dict[int, int]:
    """Return how many boxes the usual strides give: one for each cell (1), or three (3)."""
    bounded = _bounded(size)
    if bounded is None:
        return {}
    counts = [cell_count(bounded, strides) for strides in _STRIDES]
    return {**dict.fromkeys([count * _ANCHORS for count in counts], _ANCHORS),
            **dict.fromkeys(counts, 1)}


def _bounded(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return a size that is small enough to count its cells."""
    return size if size and size[0] * size[1] <= _MAX_CELLS * 64 else None
