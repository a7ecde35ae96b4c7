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
Boxes and scores of all candidates, and a list of those that non-maximum suppression selected.

Format: that of the operator ``NonMaxSuppression``
(https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html) with its two inputs beside it: boxes
``[1, N, 4]`` as ``y1, x1, y2, x2``, any two opposite corners, scores ``[1, C, N]``, and indices
``[M, 3]`` of batch, class and box. YOLOv3 and Tiny YOLOv3 of the ONNX model zoo
(https://github.com/onnx/models) end so; they take the image's size as a second input and give
boxes in its pixels. Rows with a negative index are padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    as_float32, Candidates, DecodeContext, Decoder, describe, misfit, OUTPUT, Outputs, pick,
    read_table)
from ros2_classify.decoders.boxes import (
    BOX_FORMAT, BoxFormat, denormalize, finite_candidates, to_xyxy, UNITS, Units)
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section

_ROLES = ('boxes', 'scores', 'indices')


_OUTPUTS = Section('outputs', 'the output tensors', 'by shape and type')


@dataclass(frozen=True)
class SelectedIndicesOptions:
    """Options of the decoder ``selected_indices``."""

    boxes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    scores: str | None = key(None, OUTPUT, under=_OUTPUTS)
    indices: str | None = key(None, OUTPUT, under=_OUTPUTS)
    box_format: BoxFormat = key('yxyx', BOX_FORMAT)
    units: Units = key('model', UNITS)


def class_count(outputs: Outputs, options: SelectedIndicesOptions) -> int:
    """Return the number of classes."""
    return int(_find(outputs, options)[1].shape[0])


def decode(
    outputs: Outputs, options: SelectedIndicesOptions, context: DecodeContext,
) -> Candidates:
    """Return the selected boxes over the threshold."""
    boxes, scores, indices = _find(outputs, options)
    class_ids, rows = indices[:, 1], indices[:, 2]
    chosen = scores[class_ids, rows]
    sure = np.flatnonzero(chosen >= context.score_threshold)
    found = to_xyxy(boxes[rows[sure]], options.box_format)
    # Any two opposite corners are allowed, so they are put in order.
    found = np.concatenate((np.minimum(found[:, :2], found[:, 2:]),
                            np.maximum(found[:, :2], found[:, 2:])), axis=1)
    if options.units == 'normalized':
        found = denormalize(found, context.input_size)
    return finite_candidates(
        found, chosen[sure], class_ids[sure], in_source_pixels=options.units == 'source')


def _find(
    outputs: Outputs, options: SelectedIndicesOptions,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes ``[N, 4]``, scores ``[C, N]`` and the indices without padding."""
    names = {role: getattr(options, role) for role in _ROLES}
    for role, last, kind in (('indices', (3,), 'iu'), ('boxes', (4,), 'f'), ('scores', (), 'f')):
        fitting = [name for name, array in outputs.items()
                   if name not in names.values() and array.dtype.kind in kind
                   and (not last or array.shape[-1:] == last)]
        if names[role] is None and len(fitting) == 1:
            names[role] = fitting[0]
        if names[role] is None:
            raise OutputError(
                f'it is unknown which output holds the {role}; name it under '
                f'output.outputs.{role}; the model has {describe(outputs)}')
    boxes = read_table(outputs, names['boxes'], '[1, N, 4], one box a row', (None, 4))
    scores = read_table(
        outputs, names['scores'], f'[1, classes, {len(boxes)}], one row for each class',
        (None, len(boxes)))
    return boxes, scores, _indices(names['indices'], outputs, (1, *scores.shape))


def _indices(
    name: str, outputs: Outputs, limits: tuple[int, ...],
) -> NDArray[np.int64]:
    """Return rows of batch, class and box, each within its limit."""
    array = pick(outputs, name)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 or array.shape[1] != 3:
        raise misfit(name, '[M, 3], rows of batch, class and box', outputs)
    rows = np.rint(as_float32(name, array)) if array.dtype.kind == 'f' else array
    rows = rows[(rows >= 0).all(axis=1)]
    if (rows >= np.array(limits)).any():
        raise OutputError(
            f'the output {name!r} holds the indices {rows.max(axis=0).tolist()}, but batch, '
            f'class and box must be below {list(limits)}; name the outputs under output.outputs; '
            f'the model has {describe(outputs)}')
    return rows.astype(np.int64)


SELECTED_INDICES = Decoder(
    task='detection', options=SelectedIndicesOptions, decode=decode, class_count=class_count)
