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
YOLO-FastestV2: for each stride boxes, objectness and class scores, which all anchors share.

Format (https://github.com/dog-qiuqiu/Yolo-FastestV2): for the strides 16 and 32 three maps,
``[1, 4 * A, h, w]``, ``[1, A, h, w]`` and ``[1, C, h, w]``, as the convolutions give them: a
sigmoid for boxes and objectness and a softmax over the classes follow. The repository's own ONNX
export has these inside, and one map ``[1, h, w, 4 * A + A + C]`` for each stride. The box is that
of YOLOv5, see `ros2_classify.decoders.yolo_anchors`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    as_float32, Candidates, DecodeContext, Decoder, describe, misfit, OUTPUT, Outputs, pick)
from ros2_classify.decoders.boxes import finite_candidates, Sizes, stride_of, STRIDES
from ros2_classify.decoders.yolo_anchors import (
    anchors_kind, check_anchors, decode_level, in_order, Level)
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Section
from ros2_classify.yaml_config import Fields

_COCO: Sizes = (((12.64, 19.39), (37.88, 51.48), (55.71, 138.31)),
                ((126.91, 78.23), (131.57, 214.55), (279.92, 258.87)))
_OUTPUTS = Section(
    'outputs', 'the output tensors', 'by shape',
    value='mapping with `boxes`, `objectness`, `classes`: a list each, one name for each stride; '
    'or with `maps`, if there is one map for each stride')


@dataclass(frozen=True)
class YoloFastestV2Options:
    """Options of the decoder ``yolo_fastestv2``."""

    boxes: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    objectness: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    classes: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    maps: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    anchors: Union[str, Sizes] = key(
        (), 'the anchors in input pixels, small strides first, as the training wrote them into '
        '`anchors6.txt`; `coco`: those of the published model', kind=anchors_kind(('coco',)),
        unset='needed')
    strides: tuple[int, ...] = key((), STRIDES, unset='as the maps have them, the smallest first')
    activation: Literal['auto', 'softmax', 'none'] = key(
        'auto', '`softmax`: the maps are raw; `none`: sigmoid and softmax are in the model; '
        '`auto`: `softmax` for three maps for each stride, `none` for one')

    def checked(self, fields: Fields) -> YoloFastestV2Options:
        """Refuse lists that don't fit together."""
        counts = {len(self.boxes), len(self.objectness), len(self.classes)}
        if len(counts) > 1 or (self.maps and self.boxes):
            raise fields.error(
                'outputs', 'needs boxes, objectness and classes, one name for each stride in all, '
                'or maps alone')
        anchors = _COCO if self.anchors == 'coco' else self.anchors
        assert not isinstance(anchors, str)
        check_anchors(anchors, self.strides, fields)
        return replace(self, anchors=anchors)


# The three maps of a stride, each with its channels last.
_Grid = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def class_count(outputs: Outputs, options: YoloFastestV2Options) -> int | None:
    """Return the number of classes."""
    return int(_grids(outputs, options)[0][2].shape[2]) if options.anchors else None


def decode(outputs: Outputs, options: YoloFastestV2Options, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold, each with its best class."""
    assert not isinstance(options.anchors, str)
    if not options.anchors:
        raise OutputError(
            'the boxes are relative to anchors, which are unknown; set output.anchors to those '
            'that the model was trained with (anchors6.txt), or to coco for the published model; '
            f'the model has {describe(outputs)}')
    levels = []
    for boxes, objectness, classes in _grids(outputs, options):
        rows, columns, count = objectness.shape
        stride = stride_of(context.input_size, (rows, columns))
        if stride is None:
            raise OutputError(
                f'a map of {rows}x{columns} cells does not divide the input of '
                f'{context.input_size[1]}x{context.input_size[0]} evenly; correct input.size; the '
                f'model has {describe(outputs)}')
        levels.append(Level(
            boxes.reshape(rows, columns, count, 4).transpose(2, 0, 1, 3),
            objectness.transpose(2, 0, 1), np.broadcast_to(classes, (count, *classes.shape)),
            stride))
    joined = bool(options.maps) or (not options.boxes and len(outputs) == len(options.anchors))
    activation = options.activation if options.activation != 'auto' else (
        'none' if joined else 'softmax')
    found = [
        decode_level(level, options.anchors[place], 2.0, 'square', activation,
                     'none' if activation == 'none' else 'sigmoid', context.score_threshold)
        for place, level in in_order(levels, options.anchors, options.strides, outputs)]
    boxes, scores, class_ids = (np.concatenate(parts) for parts in zip(*found))
    return finite_candidates(boxes, scores, class_ids)


def _grids(outputs: Outputs, options: YoloFastestV2Options) -> list[_Grid]:
    """Return the three maps of each stride."""
    count = len(options.anchors[0])
    names = list(zip(options.boxes, options.objectness, options.classes))
    if options.maps or (not names and len(outputs) == len(options.anchors)):
        return [_split(name, count, outputs) for name in options.maps or outputs]
    grids = []
    for trio in names or _trios(outputs, count):
        grid = [_last(name, pick(outputs, name), columns, outputs)
                for name, columns in zip(trio, (4 * count, count, None))]
        for name, part in zip(trio, grid):
            if part.shape[:2] != grid[0].shape[:2]:
                raise misfit(
                    name, f'a grid of {grid[0].shape[0]}x{grid[0].shape[1]} like the boxes',
                    outputs)
        grids.append((grid[0], grid[1], grid[2]))
    if len({grid[2].shape[2] for grid in grids}) > 1:
        raise OutputError('the maps of the strides have different numbers of classes; name them '
                          f'under output.outputs; the model has {describe(outputs)}')
    return grids


def _trios(outputs: Outputs, count: int) -> list[tuple[str, str, str]]:
    """Sort the maps by grid and by their number of channels."""
    groups: dict[tuple[int, ...], dict[int, str]] = {}
    for name, array in outputs.items():
        if array.ndim == 4:
            group = groups.setdefault(array.shape[2:], {})
            # Two maps with as many channels cannot be told apart.
            group[-1 if array.shape[1] in group else array.shape[1]] = name
    trios: list[tuple[str, str, str]] = []
    for group in groups.values():
        others = [name for channels, name in group.items() if channels not in (count, 4 * count)]
        if len(group) != 3 or len(others) != 1 or -1 in group:
            trios = []
            break
        trios.append((group[4 * count], group[count], others[0]))
    if not trios:
        raise OutputError(
            'the outputs for boxes, objectness and classes cannot be told apart; the decoder '
            f'expects, for {count} anchors, [1, {4 * count}, h, w], [1, {count}, h, w] and [1, '
            'classes, h, w] for each stride; name them under output.outputs (boxes, objectness, '
            f'classes); the model has {describe(outputs)}')
    return trios


def _last(
    name: str, array: NDArray[Any], channels: int | None, outputs: Outputs,
) -> NDArray[np.float32]:
    """Return ``[1, channels, h, w]`` as ``[h, w, channels]``."""
    if array.ndim != 4 or array.shape[0] != 1 or 0 in array.shape or (
            channels not in (None, array.shape[1])):
        raise misfit(name, f'[1, {channels or "classes"}, h, w]', outputs)
    return as_float32(name, array[0].transpose(1, 2, 0))


def _split(name: str, count: int, outputs: Outputs) -> _Grid:
    """Return the parts of ``[1, h, w, 5 * A + C]``."""
    array = pick(outputs, name)
    if array.ndim != 4 or array.shape[0] != 1 or 0 in array.shape or (
            array.shape[3] <= 5 * count):
        raise misfit(name, f'[1, h, w, {5 * count} + classes]', outputs)
    rows = as_float32(name, array[0])
    return rows[..., :4 * count], rows[..., 4 * count:5 * count], rows[..., 5 * count:]


YOLO_FASTESTV2 = Decoder(
    task='detection', options=YoloFastestV2Options, decode=decode, class_count=class_count,
    needs_nms=True)
