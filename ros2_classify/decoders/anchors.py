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
Anchors of the YOLO family, from v2 on: published sets, and the boxes of one grid.

The sets are those of the configuration files of https://github.com/AlexeyAB/darknet (v2 to v4),
https://github.com/ultralytics/yolov5 and https://github.com/WongKinYiu/yolov7. That of YOLOv3 tiny
is missing: two versions of it are in use, which differ in the anchors of stride 16.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import describe, least_logit, Outputs, sigmoid, softmax
from ros2_classify.decoders.boxes import read_sizes, Sizes, SIZES_SCHEMA, to_xyxy
from ros2_classify.errors import OutputError
from ros2_classify.keys import Kind
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


def stride_of(size: tuple[int, int], grid: tuple[int, int]) -> int | None:
    """Return the stride of a grid's height and width, if the input is divided evenly."""
    (width, height), (rows, columns) = size, grid
    if not rows or not columns or width % columns or height % rows:
        return None
    return width // columns if width // columns == height // rows else None
