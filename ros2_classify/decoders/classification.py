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
Classification: one score for each class.

The outputs are those of the usual image classifiers: logits or probabilities in one tensor with
one axis longer than 1, ``[1, N]`` for most, ``[1, N, 1, 1]`` where the model ends in a global
pooling (SqueezeNet, https://arxiv.org/abs/1602.07360), ``[N]`` for some exports. Independent
classes (several labels on one image) end in one sigmoid each. Two classes may share one sigmoid:
``[1, 1]`` holds the probability of the second
(https://keras.io/examples/vision/image_classification_from_scratch/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    as_float32, check_score, ClassScores, DecodeContext, Decoder, describe, misfit, OUTPUT,
    Outputs, pick, refuse_quantized, sigmoid, softmax)
from ros2_classify.errors import OutputError
from ros2_classify.keys import integer, Key, key, Kind
from ros2_classify.yaml_config import as_integer, Fields, Where

Activation = Literal['none', 'softmax', 'sigmoid']


def _read_background(value: Any, where: Where) -> int | None:
    # Not "in (False, 'none')": 0 equals False, and 0 is a class.
    if value is False or value == 'none':
        return None
    return as_integer(value, where, low=0, high=10**6)


BACKGROUND = Key(
    'a class that means "nothing"; never reported', unset='`none`', kind=Kind(
        _read_background, {'anyOf': [{'enum': [False, 'none']}, integer(0, 10**6).schema]},
        'index, `false`, `none`'))


@dataclass(frozen=True)
class ClassificationOptions:
    """Options of the decoder ``classification``."""

    activation: Activation = key(
        'none', '`none` for probabilities, `softmax` for logits, `sigmoid` for independent logits')
    multi_label: bool = key(
        False, 'classes are independent: every class above the threshold is reported')
    background: int | None = key(None, BACKGROUND)
    output: str | None = key(None, OUTPUT, unset='the only output')
    binary: bool = key(
        False, 'the output is one number, the probability of the second of two labels (its logit '
        'with `activation: sigmoid`)')

    def checked(self, fields: Fields) -> ClassificationOptions:
        """Refuse the softmax of one number."""
        if self.binary and self.activation == 'softmax':
            raise fields.error(
                'binary', 'is true, but the softmax of one number is always 1; set activation: '
                'sigmoid for a logit, none for a probability')
        return self


def class_count(outputs: Outputs, options: ClassificationOptions) -> int:
    """Return the number of classes, the background counted."""
    return len(_flat(outputs, options)) + options.binary


def decode(
    outputs: Outputs, options: ClassificationOptions, context: DecodeContext,
) -> ClassScores:
    """Return the best classes, or every class over the threshold."""
    values = _flat(outputs, options)
    scores = _activated(values, options)
    if options.activation == 'none' and not options.binary:
        _check(scores)
    if options.binary:
        scores = _both(scores, outputs)
        values = np.repeat(values, 2)
    # NaN compares as false, so only infinity needs a look of its own.
    usable = (scores >= context.score_threshold) & (scores < np.inf) & np.isfinite(values)
    if options.background is not None and options.background < len(scores):
        usable[options.background] = False
    ids = np.flatnonzero(usable)
    kept = scores[ids]
    if not context.multi_label and len(ids) > context.top_k:
        ids, kept = _best(ids, kept, context.top_k)
    # A stable sort of the negated scores keeps the lower id first among equals.
    order = np.argsort(-kept, kind='stable')
    return ClassScores(ids[order].astype(np.int64, copy=False), kept[order])


def class_scores(outputs: Outputs, options: ClassificationOptions) -> NDArray[np.float32]:
    """Return what `decode` compares with the threshold, for every class."""
    return _activated(_flat(outputs, options), options)


def _activated(
        values: NDArray[np.float32], options: ClassificationOptions) -> NDArray[np.float32]:
    if options.activation == 'softmax':
        return softmax(values)
    return sigmoid(values) if options.activation == 'sigmoid' else values


def _check(scores: NDArray[np.float32]) -> None:
    """Raise ScoreError for logits: classes below the threshold tell them, too."""
    low, high = scores.min(), scores.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = scores[np.isfinite(scores)]
        low, high = finite.min(initial=1.0), finite.max(initial=0.0)
    check_score(low)
    check_score(high)


def _both(second: NDArray[np.float32], outputs: Outputs) -> NDArray[np.float32]:
    """Return the probabilities of both classes from that of the second."""
    # What is not finite is an overflow, and dropped later.
    if (np.isfinite(second) & ((second < 0) | (second > 1))).any():
        raise OutputError(
            f'output.binary: the output is {second[0]:.4g}, but a probability is expected; for a '
            f'logit, set output.activation: sigmoid; the model has {describe(outputs)}')
    return np.concatenate((np.float32(1.0) - second, second))


def _best(
    ids: NDArray[np.intp], scores: NDArray[np.float32], count: int,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the best few, ids rising; of those that equal the last score the lowest ids."""
    last = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > last)
    level = np.flatnonzero(scores == last)[:count - len(above)]
    chosen = np.sort(np.concatenate((above, level)))
    return ids[chosen], scores[chosen]


def _flat(outputs: Outputs, options: ClassificationOptions) -> NDArray[np.float32]:
    """Return the scores as one row, axes of length 1 removed."""
    if options.output is not None:
        name = options.output
    elif len(outputs) == 1:
        name = next(iter(outputs))
    else:
        raise OutputError(
            'the model has several outputs and output.output does not name the one with the '
            f'scores: {describe(outputs)}')
    array = pick(outputs, name)
    if array.size == 0 or max(array.shape, default=1) != array.size:
        raise misfit(name, "one image's scores, like [1, N] or [1, N, 1, 1]", outputs)
    if options.binary and array.size != 1:
        raise misfit(
            name, '[1, 1], the probability of the second class, as output.binary says', outputs)
    refuse_quantized(name, array)
    return as_float32(name, array.reshape(-1))


CLASSIFICATION = Decoder(
    task='classification', options=ClassificationOptions, decode=decode, class_count=class_count,
    multi_label=lambda options: bool(options.multi_label))
