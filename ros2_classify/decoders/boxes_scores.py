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
Boxes and scores side by side, as SSD heads give them before non-maximum suppression.

Format: one tensor of boxes ``[1, N, 4]`` (or ``[1, N, 1, 4]``) and one of scores ``[1, N, C]``,
row for row. SSD (https://arxiv.org/abs/1512.02325) takes a softmax over the classes with a
background class at index 0; so do the UltraFace detectors, whose boxes are corners as parts of
the image (https://github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, MIT). PP-YOLOE
without its suppression has a column for each box in the scores, ``[1, C, N]``, and pixels
(https://github.com/PaddlePaddle/PaddleDetection, ``ppdet/modeling/heads/ppyoloe_head.py``);
YOLO-NAS has pixels and rows (https://github.com/Deci-AI/super-gradients). Either may lack the
background. Every class of a box that is over the threshold is a candidate of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, describe, find_name, misfit, OUTPUT, Outputs, pick,
    read_table, unbatch)
from ros2_classify.decoders.boxes import (
    BoxFormat, denormalize, finite_candidates, NORMALIZED, scores_over, to_xyxy)
from ros2_classify.decoders.classification import Activation, BACKGROUND
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section

Axes = Literal['auto', 'channels_first', 'channels_last']
_BOXES = '[1, N, 4] or [1, 4, N], four numbers for each box'


_OUTPUTS = Section('outputs', 'the output tensors', 'by name, else by shape')


@dataclass(frozen=True)
class BoxesScoresOptions:
    """Options of the decoder ``boxes_scores``."""

    boxes: str | None = key(None, OUTPUT, under=_OUTPUTS)
    scores: str | None = key(None, OUTPUT, under=_OUTPUTS)
    box_format: BoxFormat = key(
        'xyxy', 'what the four numbers are; `cxcywh` has the centre first, `xywh` the top left '
        'corner')
    normalized: bool = key(True, NORMALIZED)
    background: int | None = key(None, BACKGROUND)
    activation: Activation = key('none', 'what turns the outputs into scores')
    axes: Axes = key(
        'auto', 'whether the scores of a box are a column, `[1, classes, N]`, or a row; `auto` '
        'decides by the number of boxes, and takes rows if both fit')


def class_count(outputs: Outputs, options: BoxesScoresOptions) -> int:
    """Return the number of classes, the background counted."""
    return int(_find(outputs, options)[1].shape[1])


def decode(outputs: Outputs, options: BoxesScoresOptions, context: DecodeContext) -> Candidates:
    """Return every class of every box over the threshold."""
    boxes, scores = _find(outputs, options)
    rows, class_ids, found = scores_over(
        scores, options.activation, options.background, context.score_threshold)
    chosen = to_xyxy(boxes[rows], options.box_format)
    if options.normalized:
        chosen = denormalize(chosen, context.input_size)
    return finite_candidates(chosen, found, class_ids)


def _find(
    outputs: Outputs, options: BoxesScoresOptions,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes ``[N, 4]`` and scores ``[N, C]``."""
    declared = [name and (find_name(outputs, name) or name)
                for name in (options.boxes, options.scores)]
    box_name = declared[0] or _output_for(outputs, 'box', declared[1])
    score_name = declared[1] or _output_for(outputs, 'score', box_name)
    if box_name is None or score_name is None or box_name == score_name:
        raise OutputError(
            'the outputs for boxes and scores cannot be told apart; name them under '
            f'output.outputs (boxes, scores); the model has {describe(outputs)}')
    array = pick(outputs, box_name)
    if array.ndim == 4 and array.shape[2] == 1:
        # One box for all classes, written as [1, N, 1, 4].
        array = array[:, :, 0]
    boxes = unbatch(box_name, array, _BOXES, (None, None), outputs)
    if boxes.shape[1] != 4:
        if boxes.shape[0] != 4:
            raise misfit(box_name, _BOXES, outputs)
        boxes = boxes.T
    return boxes, _scores(score_name, len(boxes), outputs, options)


def _scores(
    name: str, count: int, outputs: Outputs, options: BoxesScoresOptions,
) -> NDArray[np.float32]:
    """Return the scores as ``[N, C]``; of two axes that fit, the first counts the boxes."""
    expected = {
        'auto': f'[1, {count}, classes] or [1, classes, {count}]',
        'channels_last': f'[1, {count}, classes]', 'channels_first': f'[1, classes, {count}]',
    }[options.axes] + f', for {count} boxes'
    scores = read_table(outputs, name, expected, (None, None))
    columns = options.axes == 'channels_first' or (
        options.axes == 'auto' and len(scores) != count)
    if columns:
        scores = scores.T
    if len(scores) != count or scores.shape[1] == 0:
        raise misfit(name, expected, outputs)
    return scores


def _output_for(outputs: Outputs, word: str, other: str | None) -> str | None:
    """Return the one output whose name has a word in it, or whose shape can be nothing else."""
    free = [name for name in outputs if name != other]
    named = [name for name in free if word in name.lower()]
    if len(named) == 1:
        return named[0]
    if len(free) == 1:
        return free[0]
    boxes = [name for name in free if _is_box(outputs[name], -1)] or [
        name for name in free if _is_box(outputs[name], -2)]
    shaped = boxes if word == 'box' else [name for name in free if name not in boxes]
    return shaped[0] if len(shaped) == 1 else None


def _is_box(array: NDArray[Any], axis: int) -> bool:
    return array.ndim >= 2 and array.shape[axis] == 4


BOXES_SCORES = Decoder(
    task='detection', options=BoxesScoresOptions, decode=decode, class_count=class_count,
    needs_nms=True)
