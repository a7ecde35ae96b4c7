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
DETR family: class logits and boxes for a fixed number of queries.

Formats: logits ``[1, Q, C']`` and boxes ``[1, Q, 4]`` as centre and size, parts of the input's
width and height.

* DETR (https://arxiv.org/abs/2005.12872): a softmax over the classes and, last, "no object"; each
  query is its best class;
* Deformable DETR (https://arxiv.org/abs/2010.04159), RT-DETR (https://arxiv.org/abs/2304.08069),
  RF-DETR (https://github.com/roboflow/rf-detr, outputs ``dets`` and ``labels``) and D-FINE
  (https://github.com/Peterande/D-FINE): a sigmoid for each class; the best of all pairs of query
  and class are taken, so one query may stand for two classes.

RF-DETR's segmenters have masks ``[1, Q, h, w]`` beside, logits on the whole input.

There is no non-maximum suppression: the model was trained to say each object once. Exports of
RT-DETR and D-FINE that do all this inside are read by the decoder ``end_to_end``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, CLASS_OFFSET, DecodeContext, Decoder, describe, misfit, OUTPUT, Outputs,
    read_table, sigmoid, softmax)
from ros2_classify.decoders.boxes import (
    BOX_FORMAT, BoxFormat, denormalize, finite_candidates, NORMALIZED, read_masks, to_xyxy)
from ros2_classify.decoders.classification import BACKGROUND
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section


_OUTPUTS = Section(
    'outputs', 'the output tensors; `masks` may be missing', 'by name, else by shape')


@dataclass(frozen=True)
class DetrOptions:
    """Options of the decoder ``detr``."""

    logits: str | None = key(None, OUTPUT, under=_OUTPUTS)
    boxes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    masks: str | None = key(None, OUTPUT, under=_OUTPUTS)
    activation: Literal['softmax', 'sigmoid'] = key(
        'softmax', '`softmax`: the last class is "no object"; `sigmoid`: each class for itself')
    box_format: BoxFormat = key('cxcywh', BOX_FORMAT)
    normalized: bool = key(True, NORMALIZED)
    class_offset: int = key(0, CLASS_OFFSET)
    background: int | None = key(None, BACKGROUND)


def class_count(outputs: Outputs, options: DetrOptions) -> int | None:
    """Return the number of classes, "no object" not counted; None where ids are shifted."""
    logits, _ = _find(outputs, options)
    count = logits.shape[1]
    last = options.activation == 'softmax' or options.background == count - 1
    return None if options.class_offset else count - last


def decode(outputs: Outputs, options: DetrOptions, context: DecodeContext) -> Candidates:
    """Return what is over the threshold."""
    logits, boxes = _find(outputs, options)
    # An infinite logit is no certainty but a model that overflowed.
    finite = np.isfinite(logits)
    never = options.background
    if options.activation == 'softmax':
        every = softmax(logits)[:, :-1]
        class_ids = every.argmax(axis=1)
        scores = every[np.arange(len(every)), class_ids]
        rows = np.flatnonzero((scores >= context.score_threshold) & finite.all(axis=1)
                              & (class_ids != never))
        scores, class_ids = scores[rows], class_ids[rows]
    else:
        every = sigmoid(logits)
        if never is not None and never < every.shape[1]:
            finite[:, never] = False
        rows, class_ids = np.nonzero((every >= context.score_threshold) & finite)
        scores = every[rows, class_ids]
    chosen = to_xyxy(boxes[rows], options.box_format)
    if options.normalized:
        chosen = denormalize(chosen, context.input_size)
    masks = _masks(outputs, options, len(boxes))
    return finite_candidates(
        chosen, scores, class_ids + options.class_offset, masks_fill_input=masks is not None,
        masks=None if masks is None else sigmoid(masks[rows]))


def _masks(
    outputs: Outputs, options: DetrOptions, queries: int,
) -> NDArray[np.float32] | None:
    """Return the masks ``[Q, h, w]``, where the model gives any."""
    name = options.masks
    if name is None:
        shaped = [each for each, array in outputs.items()
                  if array.ndim == 4 and array.shape[1] == queries]
        name = shaped[0] if len(shaped) == 1 else None
    return None if name is None else read_masks(outputs, name, queries)


def _find(
    outputs: Outputs, options: DetrOptions,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits ``[Q, C']`` and boxes ``[Q, 4]``."""
    boxes_name = options.boxes or _output_for(outputs, ('box', 'dets'), options.logits)
    logits_name = options.logits or _output_for(outputs, ('logit', 'label'), boxes_name)
    if boxes_name is None or logits_name is None or boxes_name == logits_name:
        raise OutputError(
            'the outputs for logits and boxes cannot be told apart; name them under '
            f'output.outputs (logits, boxes); the model has {describe(outputs)}')
    boxes = read_table(outputs, boxes_name, '[1, queries, 4], one box a row', (None, 4))
    expected = f'[1, {len(boxes)}, classes], one row for each box'
    logits = read_table(outputs, logits_name, expected, (len(boxes), None))
    if logits.shape[1] < 1 + (options.activation == 'softmax'):
        raise misfit(
            logits_name, f'{expected}, with one class at least'
            + (' beside "no object"' if options.activation == 'softmax' else ''), outputs)
    return logits, boxes


def _output_for(outputs: Outputs, words: tuple[str, str], other: str | None) -> str | None:
    """Return the one output whose name has a word in it, or whose shape can be nothing else."""
    free = [name for name in outputs if other is None or name.removesuffix(':0')
            != other.removesuffix(':0')]
    named = [name for name in free if any(word in name.lower() for word in words)]
    if len(named) == 1 or len(free) == 1:
        return (named or free)[0]
    shaped = [name for name in free if outputs[name].ndim >= 2
              and (outputs[name].shape[-1] == 4) == ('box' in words)]
    return shaped[0] if len(shaped) == 1 else None


DETR = Decoder(
    task='detection', options=DetrOptions, decode=decode, class_count=class_count)
