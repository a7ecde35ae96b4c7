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
TensorFlow Object Detection outputs: boxes that went through non-maximum suppression already.

Format (https://github.com/tensorflow/models, ``research/object_detection/exporter.py``):
``detection_boxes [1, N, 4]`` as ``ymin, xmin, ymax, xmax``, parts of the image's height and
width, ``detection_classes [1, N]``, ``detection_scores [1, N]`` and ``num_detections [1]``;
rows from ``num_detections`` on are padding. TensorFlow Lite's ``TFLite_Detection_PostProcess``
gives the same four in the order boxes, classes, scores, count; its classes count from 0, those
of the TensorFlow exporter are label ids from 1. Mask R-CNN adds ``detection_masks [1, N, h, w]``:
for each box one small mask, whatever the class, from 0 to 1, that fills the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    as_float32, Candidates, CLASS_OFFSET, DecodeContext, Decoder, describe, find_name, misfit,
    OUTPUT, Outputs, pick, unbatch)
from ros2_classify.decoders.boxes import denormalize, finite_candidates, read_masks, to_xyxy
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section

_ROLES = ('boxes', 'classes', 'scores', 'count')
_USUAL = ('detection_boxes', 'detection_classes', 'detection_scores', 'num_detections')
_USUAL_MASKS = 'detection_masks'


_OUTPUTS = Section(
    'outputs', "the output tensors; `:0` at the end doesn't matter; `masks`, of Mask R-CNN, may "
    'be missing and has no place', 'by their usual names, else by place')


@dataclass(frozen=True)
class TfDetectionOptions:
    """Options of the decoder ``tf_detection``."""

    boxes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    classes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    scores: str | None = key(None, OUTPUT, under=_OUTPUTS)
    count: str | None = key(None, OUTPUT, under=_OUTPUTS)
    masks: str | None = key(None, OUTPUT, under=_OUTPUTS)
    class_offset: int = key(
        0, CLASS_OFFSET, meaning="added to the model's class to get the label's id: `1` if the "
        'model counts from 0 and the label map from 1')


def class_count(outputs: Outputs, options: TfDetectionOptions) -> None:
    """Return None: these outputs don't tell how many classes there are."""
    _find_masks(outputs, options, len(_find(outputs, options)[0]))


def decode(outputs: Outputs, options: TfDetectionOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold."""
    boxes, classes, scores, count = _find(outputs, options)
    # NaN compares as false, so a broken count reads as "all rows", as where there is none.
    used = len(scores) if not 0 <= count < len(scores) else int(count)
    keep = np.flatnonzero((scores[:used] >= context.score_threshold)
                          & (np.abs(classes[:used]) < 2**31))
    chosen = denormalize(to_xyxy(boxes[keep], 'yxyx'), context.input_size)
    class_ids = np.rint(classes[keep]).astype(np.int64) + options.class_offset
    masks = _find_masks(outputs, options, len(boxes))
    return finite_candidates(
        chosen, scores[keep], class_ids, masks=None if masks is None else masks[keep])


def _find(
    outputs: Outputs, options: TfDetectionOptions,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], float]:
    """Return boxes ``[N, 4]``, classes ``[N]``, scores ``[N]`` and the count (NaN: none)."""
    declared = (options.boxes, options.classes, options.scores, options.count)
    # With a usual name or a declared one among them, places mean nothing.
    by_place = not any(declared) and all(find_name(outputs, usual) is None for usual in _USUAL)
    arrays: list[tuple[str, NDArray[np.float32]] | None] = []
    for place, (role, name, usual) in enumerate(zip(_ROLES, declared, _USUAL)):
        if name is None:
            name = (list(outputs)[place] if by_place and place < len(outputs)
                    else find_name(outputs, usual))
        if name is None and role != 'count':
            raise OutputError(
                f'the model has no output {usual!r} for the {role}; name it under '
                f'output.outputs.{role}; the model has {describe(outputs)}')
        arrays.append(None if name is None else (name, pick(outputs, name)))
    first, second, third, last = arrays
    assert first is not None and second is not None and third is not None
    boxes = unbatch(*first, '[1, N, 4], one box a row', (None, 4), outputs)
    rows = (len(boxes),)
    classes = unbatch(*second, f'[1, {rows[0]}], one class for each box', rows, outputs)
    scores = unbatch(*third, f'[1, {rows[0]}], one score for each box', rows, outputs)
    if last is None:
        return boxes, classes, scores, float('nan')
    if last[1].size != 1:
        raise misfit(last[0], '[1], the number of boxes', outputs)
    return boxes, classes, scores, float(as_float32(*last).reshape(-1)[0])


def _find_masks(
    outputs: Outputs, options: TfDetectionOptions, rows: int,
) -> NDArray[np.float32] | None:
    """Return the masks ``[N, h, w]``, where the model gives any."""
    name = options.masks or find_name(outputs, _USUAL_MASKS)
    return None if name is None else read_masks(outputs, name, rows)


TF_DETECTION = Decoder(
    task='detection', options=TfDetectionOptions, decode=decode, class_count=class_count)
