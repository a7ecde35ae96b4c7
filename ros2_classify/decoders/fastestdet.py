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
FastestDet: one map without anchors; a box is a part of the whole input.

Format (https://github.com/dog-qiuqiu/FastestDet): ``[1, 5 + C, h, w]``: objectness, ``x, y, w, h``
and the class scores. With a cell's column and row ``(gx, gy)``, as parts of the input:

* the center is ``((tanh(x) + gx) / columns, (tanh(y) + gy) / rows)``;
* the size is ``(sigmoid(w), sigmoid(h))``;
* the score is ``objectness ** 0.6 * class ** 0.4``. The model itself applies the sigmoid to
  objectness and the softmax to the classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, first_name, least_logit, misfit, OUTPUT, Outputs,
    read_table, sigmoid, softmax)
from ros2_classify.decoders.boxes import denormalize, finite_candidates, to_xyxy
from ros2_classify.keys import key

_EXPECTED = '[1, 5 + classes, h, w]'
# The exponents of objectness and class score.
_OBJECT, _CLASS = 0.6, 0.4


@dataclass(frozen=True)
class FastestDetOptions:
    """Options of the decoder ``fastestdet``."""

    output: str | None = key(None, OUTPUT, unset='the first output')
    activation: Literal['none', 'softmax'] = key(
        'none', 'what turns the class scores into probabilities; with `softmax`, objectness gets '
        'the sigmoid')


def class_count(outputs: Outputs, options: FastestDetOptions) -> int:
    """Return the number of classes."""
    return len(_map(outputs, options)) - 5


def decode(outputs: Outputs, options: FastestDetOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold, each with its best class."""
    numbers = _map(outputs, options)
    raw, threshold = options.activation == 'softmax', context.score_threshold
    # A class score is at most 1, so cells with a low objectness are dropped first.
    least = threshold ** (1 / _OBJECT) - 1e-6 if threshold > 0 else 0.0
    row, column = np.unravel_index(
        np.flatnonzero(numbers[0] >= (least_logit(least) if raw else least)), numbers.shape[1:])
    cells = numbers[:, row, column].T
    good = np.isfinite(cells[:, :5]).all(axis=1) & np.isfinite(cells[:, 5:].max(axis=1))
    row, column, cells = row[good], column[good], cells[good]
    objectness = sigmoid(cells[:, 0]) if raw else cells[:, 0]
    best = (softmax(cells[:, 5:]) if raw else cells[:, 5:]).max(axis=1, initial=0)
    scores = (objectness ** _OBJECT * best ** _CLASS).astype(np.float32)
    sure = np.flatnonzero(scores >= threshold)
    row, column, cells = row[sure], column[sure], cells[sure]
    grid = np.array((numbers.shape[2], numbers.shape[1]), np.float32)
    center = (np.tanh(cells[:, 1:3]) + np.stack((column, row), axis=1)) / grid
    boxes = to_xyxy(np.concatenate((center, sigmoid(cells[:, 3:5])), axis=1), 'cxcywh')
    return finite_candidates(
        denormalize(boxes.astype(np.float32), context.input_size), scores[sure],
        cells[:, 5:].argmax(axis=1))


def _map(outputs: Outputs, options: FastestDetOptions) -> NDArray[np.float32]:
    """Return the map ``[5 + C, h, w]``."""
    name = options.output or first_name(outputs)
    numbers = read_table(outputs, name, _EXPECTED, (None, None, None))
    if len(numbers) < 6 or 0 in numbers.shape:
        raise misfit(name, _EXPECTED, outputs)
    return numbers


FASTESTDET = Decoder(
    task='detection', options=FastestDetOptions, decode=decode, class_count=class_count,
    needs_nms=True)
