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
Raw YOLO maps: a grid for each stride, and in each cell one box for each anchor.

Format: maps ``[1, A * (5 + C), h, w]`` (https://pjreddie.com/darknet/yolo),
``[1, A, h, w, 5 + C]`` (https://github.com/ultralytics/yolov5), ``[1, h, w, A * (5 + C)]`` or
``[1, h, w, A, 5 + C]`` (https://github.com/onnx/models, YOLOv4): for each anchor
``x, y, w, h, objectness`` and the class scores. With a cell's column and row ``(gx, gy)``, the
sigmoid ``s``, an anchor ``(aw, ah)`` and ``k = scale_x_y``:

* the center is ``((s(x) * k - (k - 1) / 2 + gx) * stride, …)``;
* the size is ``(aw * exp(w), ah * exp(h))`` (``exp``: YOLOv2 to v4,
  https://arxiv.org/abs/1804.02767 and https://arxiv.org/abs/2004.10934), or
  ``(aw * (2 * s(w)) ** 2, …)`` with ``k = 2`` (``square``: YOLOv5, YOLOv7
  https://arxiv.org/abs/2207.02696);
* the score is objectness times class score.

The published anchors are those of the configuration files of https://github.com/AlexeyAB/darknet
(v2 to v4), yolov5 and https://github.com/WongKinYiu/yolov7. Those of YOLOv3 tiny are missing: two
versions of it are in use, which differ in the anchors of stride 16.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray
from ros2_classify.decoders.base import (
    as_float32, Candidates, DecodeContext, Decoder, describe, least_logit, misfit, OUTPUT, Outputs,
    pick, sigmoid, softmax)
from ros2_classify.decoders.boxes import (
    finite_candidates, read_sizes, Sizes, SIZES_SCHEMA, stride_of, STRIDES, to_xyxy)
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Kind, listed, number, Section
from ros2_classify.yaml_config import as_word, Fields, Where

SizeRule = Literal['exp', 'square']


class AnchorSet(NamedTuple):
    """The published anchors of a family, and its rule."""

    anchors: Sizes
    strides: tuple[int, ...] = (8, 16, 32)
    size_rule: SizeRule = 'square'
    scale_x_y: tuple[float, ...] = ()
    activation: Literal['sigmoid', 'softmax'] = 'sigmoid'


def _pairs(*levels: tuple[float, ...]) -> Sizes:
    return tuple(tuple(zip(level[::2], level[1::2])) for level in levels)


def _yolov2(*cells: float) -> AnchorSet:
    return AnchorSet(_pairs(tuple(32 * side for side in cells)), (32,), 'exp', (), 'softmax')


_V3 = _pairs((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326))
_V4 = _pairs((12, 16, 19, 36, 40, 28), (36, 75, 76, 55, 72, 146), (142, 110, 192, 243, 459, 401))
_P6 = AnchorSet(_pairs(
    (19, 27, 44, 40, 38, 94), (96, 68, 86, 152, 180, 137), (140, 301, 303, 264, 238, 542),
    (436, 615, 739, 380, 925, 792)), (8, 16, 32, 64))
# Those of COCO, and of VOC where the name says so.
FAMILIES: dict[str, AnchorSet] = {
    'yolov2': _yolov2(0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778,
                      9.77052, 9.16828),
    'yolov2_voc': _yolov2(1.3221, 1.73145, 3.19275, 4.00944, 5.05587, 8.09892, 9.47112, 4.84053,
                          11.2364, 10.0071),
    'yolov2_tiny_voc': _yolov2(1.08, 1.19, 3.42, 4.41, 6.63, 11.38, 9.42, 5.11, 16.62, 10.52),
    'yolov3': AnchorSet(_V3, size_rule='exp'),
    'yolov4': AnchorSet(_V4, size_rule='exp', scale_x_y=(1.2, 1.1, 1.05)),
    # As yolov4-tiny.cfg has it: both grids use the anchor of 81x82.
    'yolov4_tiny': AnchorSet(_pairs((23, 27, 37, 58, 81, 82), (81, 82, 135, 169, 344, 319)),
                             (16, 32), 'exp', (1.05,)),
    'yolov5': AnchorSet(_V3), 'yolov5_p6': _P6,
    'yolov7': AnchorSet(_V4), 'yolov7_tiny': AnchorSet(_V3), 'yolov7_w6': _P6,
}


def anchors_kind(families: tuple[str, ...]) -> Kind:
    """Return the kind of anchors: the name of a published set, or a list for each grid."""
    def checked(value: object, where: Where) -> Any:
        return as_word(value, where, allowed=families) if isinstance(value, str) else read_sizes(
            value, where, flat_pairs=True)
    return Kind(checked, {'anyOf': [{'enum': list(families)}, SIZES_SCHEMA]},
                f'{", ".join(f"`{name}`" for name in families)}, or a list for each grid, of '
                'pairs `[w, h]` or of widths and heights in turn')


def check_anchors(anchors: Sizes, strides: tuple[int, ...], fields: Fields) -> None:
    """Refuse anchors whose numbers don't fit the strides or each other."""
    if strides and anchors and len(strides) != len(anchors):
        raise fields.error('strides', f'has {len(strides)} numbers, but anchors are for '
                           f'{len(anchors)} grids; give one for each')
    if len({len(level) for level in anchors}) > 1:
        raise fields.error('anchors', 'must be as many in each grid; they are '
                           f'{", ".join(str(len(level)) for level in anchors)}')


class Level(NamedTuple):
    """The views of one grid: ``[A, h, w, 4]``, ``[A, h, w]`` and ``[A, h, w, C]``."""

    boxes: NDArray[np.float32]
    objectness: NDArray[np.float32]
    classes: NDArray[np.float32]
    stride: int


Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def in_order(
    levels: list[Level], anchors: Sizes, strides: tuple[int, ...], outputs: Outputs,
) -> list[tuple[int, Level]]:
    """Return each grid with the place of its anchors; OutputError if they don't match."""
    seen = sorted(level.stride for level in levels)
    order = strides or tuple(seen)
    if len(levels) != len(anchors) or sorted(order) != seen or len(set(seen)) != len(seen):
        wanted = f'the strides {list(strides)}' if strides else f'{len(anchors)} grids'
        raise OutputError(
            f'the maps have the strides {seen}, but the anchors are for {wanted}; set '
            'output.anchors and output.strides, or name the maps under output.outputs; the model '
            f'has {describe(outputs)}')
    return sorted(((order.index(level.stride), level) for level in levels),
                  key=lambda pair: pair[0])


def decode_level(
    level: Level, anchors: tuple[tuple[float, float], ...], scale: float, size_rule: SizeRule,
    activation: str, box_activation: str, threshold: float,
) -> Found:
    """Return boxes, scores and classes of one grid, those over the threshold."""
    raw = activation != 'none'
    # A class score is at most 1, so boxes with a low objectness are dropped first.
    limit = least_logit(threshold) if raw else threshold
    anchor, row, column = np.unravel_index(
        np.flatnonzero(level.objectness >= limit), level.objectness.shape)
    likely, numbers = level.objectness[anchor, row, column], level.classes[anchor, row, column]
    good = np.isfinite(likely)
    scores = sigmoid(likely) if raw else likely
    class_ids = np.zeros(len(scores), np.int64)
    if numbers.shape[1]:
        class_ids = numbers.argmax(axis=1)
        best = numbers.max(axis=1)
        good &= np.isfinite(best)
        if activation == 'softmax':
            best = softmax(numbers).max(axis=1, initial=0)
        with np.errstate(over='ignore', invalid='ignore'):
            scores = scores * (sigmoid(best) if activation == 'sigmoid' else best)
    good &= np.isfinite(level.boxes[anchor, row, column]).all(axis=1)
    sure = np.flatnonzero(good & (scores >= threshold))
    anchor, row, column = anchor[sure], row[sure], column[sure]
    moves = level.boxes[anchor, row, column]
    parts = sigmoid(moves) if box_activation == 'sigmoid' else moves
    sides = np.array(anchors, np.float32)[anchor]
    # An overflow gives inf, and the box is dropped.
    with np.errstate(over='ignore', invalid='ignore'):
        cells = np.stack((column, row), axis=1).astype(np.float32)
        center = (parts[:, :2] * scale - (scale - 1) / 2 + cells) * level.stride
        size = sides * (np.exp(moves[:, 2:]) if size_rule == 'exp' else (2 * parts[:, 2:]) ** 2)
        boxes = to_xyxy(np.concatenate((center, size), axis=1).astype(np.float32), 'cxcywh')
    return boxes, scores[sure].astype(np.float32), class_ids[sure]


_SCALE = number(1, 3)


def _read_scales(value: object, where: Where) -> tuple[float, ...]:
    if isinstance(value, (list, tuple)):
        scales: tuple[float, ...] = listed(_SCALE, 'give one for each grid').read(value, where)
        return scales
    return (_SCALE.read(value, where),)


_OUTPUTS = Section('outputs', 'the output tensors', 'by shape',
                   value='mapping with `maps`: a list of names')


@dataclass(frozen=True)
class YoloAnchorsOptions:
    """Options of the decoder ``yolo_anchors``."""

    maps: tuple[str, ...] = key((), OUTPUT, under=_OUTPUTS)
    anchors: Union[str, Sizes] = key(
        (), 'the anchors in input pixels, small strides first, or those of a published family, '
        'which also sets the defaults of the keys below', kind=anchors_kind(tuple(FAMILIES)),
        unset='needed')
    strides: tuple[int, ...] = key(
        (), STRIDES, unset='as the maps have them, the smallest first')
    axes: Literal['auto', 'channels_first', 'channels_last'] = key(
        'auto', 'whether the channels (of five dimensions: the anchors) stand before the grid or '
        'after it; `auto` decides by the grids')
    size_rule: SizeRule | None = key(
        None, 'how the anchors are scaled: `exp` in YOLOv2, v3 and v4, `square` in v5 and v7',
        unset='that of the family; needed for your own anchors')
    scale_x_y: tuple[float, ...] = key(
        (), 'how far a centre may leave its cell; `1`: not at all', kind=Kind(
            _read_scales, {'anyOf': [*_SCALE.schema['anyOf'], listed(_SCALE, 'x').schema]},
            '1 to 3, or one for each grid'),
        unset='that of the family, else 1 for `exp`, 2 for `square`')
    activation: Literal['sigmoid', 'softmax', 'none'] | None = key(
        None, 'what turns objectness and class scores into scores; `softmax` only over the '
        'classes', unset='that of the family, else `sigmoid`')
    box_activation: Literal['none', 'sigmoid'] = key(
        'sigmoid', '`none` if the model itself applies the sigmoid to the boxes')
    classes: int | None = key(
        None, 'the number of class scores, if something follows', low=1, high=10**6,
        unset='all that follows')

    def checked(self, fields: Fields) -> YoloAnchorsOptions:
        """Take from a family what is not said; refuse what does not fit together."""
        if isinstance(self.anchors, str):
            family = FAMILIES[self.anchors]
        else:
            if self.anchors and self.size_rule is None:
                raise fields.error(
                    'size_rule', 'is missing; write size_rule: exp for YOLOv2, v3 and v4, square '
                    'for v5 and v7')
            family = AnchorSet(self.anchors, (), self.size_rule or 'exp')
        strides = self.strides or family.strides
        rule = self.size_rule or family.size_rule
        scales = self.scale_x_y or family.scale_x_y or (2.0 if rule == 'square' else 1.0,)
        scales = scales * len(family.anchors) if len(scales) == 1 else scales
        check_anchors(family.anchors, strides, fields)
        if family.anchors and len(scales) != len(family.anchors):
            raise fields.error(
                'scale_x_y', f'has {len(scales)} numbers, but anchors are for '
                f'{len(family.anchors)} grids; give one number, or one for each')
        return replace(self, anchors=family.anchors, strides=strides, size_rule=rule,
                       scale_x_y=scales, activation=self.activation or family.activation)


def class_count(outputs: Outputs, options: YoloAnchorsOptions) -> int | None:
    """Return the number of classes, if all maps agree on one."""
    if options.classes is not None or not options.anchors:
        return options.classes
    count, possible = len(options.anchors[0]), []
    for name in _names(outputs, options):
        shape = pick(outputs, name).shape
        sides = {'auto': (1, -1), 'channels_first': (1,), 'channels_last': (-1,)}[options.axes]
        numbers = [shape[-1]] if len(shape) == 5 else [
            shape[axis] // count for axis in sides if shape[axis] % count == 0]
        possible.append({max(each - 5, 1) for each in numbers if each >= 5})
    left = set.intersection(*possible) if possible else set()
    return left.pop() if len(left) == 1 else None


def decode(outputs: Outputs, options: YoloAnchorsOptions, context: DecodeContext) -> Candidates:
    """Return the boxes over the threshold, each with its best class."""
    assert not isinstance(options.anchors, str)
    if not options.anchors:
        raise OutputError(
            'the boxes are relative to anchors, which are unknown; set output.anchors to one of '
            f'{", ".join(FAMILIES)} or to the anchors that the model was trained with; the model '
            f'has {describe(outputs)}')
    levels = _levels(outputs, options, context.input_size)
    found = []
    for place, level in in_order(levels, options.anchors, options.strides, outputs):
        found.append(decode_level(
            level, options.anchors[place], options.scale_x_y[place], options.size_rule or 'exp',
            options.activation or 'sigmoid', options.box_activation, context.score_threshold))
    boxes, scores, class_ids = (np.concatenate(parts) for parts in zip(*found))
    return finite_candidates(boxes, scores, class_ids)


def _names(outputs: Outputs, options: YoloAnchorsOptions) -> list[str]:
    """Return the maps: declared, or all outputs of four or five dimensions."""
    names = list(options.maps) or [
        name for name, array in outputs.items() if array.ndim in (4, 5)]
    if not names:
        raise OutputError(
            'the decoder expects maps [1, A * (5 + classes), h, w], [1, A, h, w, 5 + classes] or '
            f'[1, h, w, A * (5 + classes)]; the model has {describe(outputs)}')
    return names


def _levels(
    outputs: Outputs, options: YoloAnchorsOptions, size: tuple[int, int],
) -> list[Level]:
    """Return the views of all maps; OutputError unless they can be read in exactly one way."""
    count = len(options.anchors[0])
    least = 5 + (options.classes or 0)
    maps = {}
    for name in _names(outputs, options):
        array, views = pick(outputs, name), {}
        for axes in ('channels_first', 'channels_last'):
            view = _view(array, count, axes) if options.axes in ('auto', axes) else None
            stride = None if view is None else stride_of(size, (view.shape[1], view.shape[2]))
            if view is not None and view.shape[3] >= least and stride and (
                    not options.strides or stride in options.strides):
                views[axes] = as_float32(name, view), stride
        if not views:
            raise misfit(
                name, f'[1, {count} * ({least} or more), h, w], [1, {count}, h, w, {least} '
                f'or more], or the grid before the rest, for {count} anchors and an input of '
                f'{size[0]}x{size[1]}', outputs)
        maps[name] = views
    # What one map does not tell the others do.
    common = set.intersection(*(set(views) for views in maps.values()))
    if len(common) != 1:
        raise OutputError(
            f'the shapes of the maps {", ".join(maps)} do not tell the axis of the channels; set '
            'output.axes: channels_first or channels_last; the model has '
            f'{describe(outputs)}')
    axes = common.pop()
    end = 5 + options.classes if options.classes else None
    return [Level(view[..., :4], view[..., 4], view[..., 5:end], stride)
            for view, stride in (views[axes] for views in maps.values())]


def _view(array: NDArray[Any], count: int, axes: str) -> NDArray[Any] | None:
    """Return a map as ``[A, h, w, 5 + C]`` without a copy, or None if it does not fit."""
    if array.ndim not in (4, 5) or array.shape[0] != 1 or 0 in array.shape:
        return None
    table: NDArray[Any] = array[0]
    first = axes == 'channels_first'
    if table.ndim == 4:
        fits = table.shape[0 if first else 2] == count and table.shape[3] >= 5
        table = table if first else table.transpose(2, 0, 1, 3)
        return table if fits else None
    channels = table.shape[0 if first else 2]
    if channels % count or channels // count < 5:
        return None
    if first:
        table = table.reshape(count, -1, *table.shape[1:]).transpose(0, 2, 3, 1)
    else:
        table = table.reshape(*table.shape[:2], count, -1).transpose(2, 0, 1, 3)
    return table


YOLO_ANCHORS = Decoder(
    task='detection', options=YoloAnchorsOptions, decode=decode, class_count=class_count,
    needs_nms=True)
