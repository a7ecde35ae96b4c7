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
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.anchors import (
    anchors_kind, AnchorSet, check_anchors, decode_level, FAMILIES, in_order, Level, SizeRule,
    stride_of)
from ros2_classify.decoders.base import (
    as_float32, Candidates, DecodeContext, Decoder, describe, misfit, OUTPUT, Outputs, pick)
from ros2_classify.decoders.boxes import finite_candidates, Sizes, STRIDES
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Kind, listed, number, Section
from ros2_classify.yaml_config import Fields, Where

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
                name, array, f'[1, {count} * ({least} or more), h, w], [1, {count}, h, w, {least} '
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
