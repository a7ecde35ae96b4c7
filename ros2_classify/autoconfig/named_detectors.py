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

"""Detectors that the names or types of their outputs tell: TensorFlow, DETR, YuNet and others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ros2_classify.autoconfig import detector_inputs as inputs
from ros2_classify.autoconfig.box_outputs import (
    array_of, box_formats, detection, fits_units)
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings, plain, Strength
from ros2_classify.engines.base import TensorSpec

_YUNET_SIZE = (640, 640)


def hypotheses(evidence: Evidence) -> Iterator[Hypothesis]:
    """Yield all that a detector of this kind with these outputs may be."""
    for family in (_tf_detection, _yunet, _detr, _selected_indices, _final, _dets_labels):
        yield from family(evidence)


def _tf_detection(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize TensorFlow Object Detection and the post-processing of TFLite by their names."""
    by_name = {plain(tensor.name): tensor.name for tensor in evidence.outputs}
    keys = {'boxes': 'detection_boxes', 'classes': 'detection_classes',
            'scores': 'detection_scores', 'count': 'num_detections'}
    if all(name in by_name for name in keys.values()):
        names = {key: by_name[name] for key, name in keys.items()}
        if 'detection_masks' in by_name:
            names['masks'] = by_name['detection_masks']
        yield detection(
            'tf_detection', {'outputs': names, 'class_offset': 0},
            'the outputs have the names of TensorFlow Object Detection', Strength.STATED,
            inputs.TF if evidence.spec.whole else inputs.SSD,
            'output.class_offset: 0, because label maps of TensorFlow begin at 1 as well')
    tflite = sorted(tensor.name for tensor in evidence.outputs
                    if tensor.name.startswith('TFLite_Detection_PostProcess'))
    if len(evidence.outputs) == len(tflite) == 4:
        names = dict(zip(('boxes', 'classes', 'scores', 'count'), tflite))
        yield detection(
            'tf_detection', {'outputs': names, 'class_offset': 0},
            'the outputs have the names of the detection post-processing of TFLite',
            Strength.STATED, inputs.TF if evidence.spec.whole else inputs.SSD,
            'output.class_offset: 0, because label files of TFLite begin at 0 as well')


def _yunet(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize three outputs for each stride, named after it."""
    if is_yunet(evidence.outputs):
        yield detection('yunet', {}, 'the outputs have the names of YuNet', Strength.STATED,
                        inputs.YUNET)


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


def _detr(evidence: Evidence) -> Iterator[Hypothesis]:
    """Recognize outputs named logits and boxes, with the same number of rows."""
    logits = [tensor for tensor in evidence.outputs if 'logit' in tensor.name.lower()]
    boxes = [tensor for tensor in evidence.outputs
             if 'box' in tensor.name.lower() and tensor.shape[-1:] == (4,)]
    if len(logits) != 1 or len(boxes) != 1 or len(logits[0].shape) != 3 \
            or len(boxes[0].shape) != 3:
        return
    yield from queries(
        evidence, logits[0], boxes[0],
        f'the outputs {logits[0]} and {boxes[0]} have the names of the DETR family',
        Strength.STATED)


def queries(
    evidence: Evidence, logits: TensorSpec, boxes: TensorSpec, why: str, strength: Strength,
) -> Iterator[Hypothesis]:
    """State how logits become scores: a softmax with "no object", or a sigmoid for each class."""
    queries, classes = logits.shape[1:]
    values = array_of(evidence, logits)
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
            yield detection(
                'detr', {'outputs': {'logits': logits.name, 'boxes': boxes.name},
                         'activation': activation}, why, strength,
                inputs.DETR if activation == 'softmax' else InputSettings(
                    inputs.RTDETR.fields, inputs.RTDETR.sentence, inputs.ALL),
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
    centers = box_formats(array_of(evidence, boxes[0])) == ('cxcywh',)
    known = bool(evidence.spec.extra) or centers
    yield detection(
        'selected_indices', {'outputs': names, **({'box_format': 'cxcywh'} if centers else {})},
        f'the output {triples[0]} holds triples of whole numbers, as non-maximum suppression '
        'gives them', Strength.EXACT, inputs.YOLOV3,
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
        settings = inputs.TORCHVISION
    elif 'count' in found:
        # Exports of YOLO with TensorRT's suppression have a count.
        settings = inputs.YOLO
    else:
        settings = InputSettings(inputs.RTDETR.fields, inputs.RTDETR.sentence, inputs.ALL)
    why = 'there are outputs named boxes, scores, and classes or labels'
    for units, words in (('model', 'in pixels of the input'), ('normalized', 'from 0 to 1')):
        if not fits_units(evidence, found['boxes'], units):
            continue
        yield detection(
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
        yield detection(
            'end_to_end', {'outputs': {'dets': dets[0].name, 'classes': classes[0].name}},
            f'the output {dets[0]} has a box and a score in each row, and {classes[0]} its '
            'class, as MMDeploy exports detectors', Strength.EXACT, inputs.MMDET,
            'output.units: model, because boxes are in pixels of the input',
            unverified=() if plain(dets[0].name) == 'dets' else ('output.box_format',))
