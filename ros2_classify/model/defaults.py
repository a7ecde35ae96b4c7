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

"""The thresholds, limits and filters that a descriptor holds for its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ros2_classify.errors import OptionsError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.keys import integer, key, Kind, listed, number, TEXT
from ros2_classify.model.labels import MAX_CLASS_ID
from ros2_classify.options import parse_roi, parse_tiles, Points
from ros2_classify.yaml_config import as_integer, as_text, Fields, Where


def _read_class(value: Any, where: Where) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(as_integer(value, where, low=0, high=MAX_CLASS_ID))
    return as_text(value, where).strip()


_CLASS = Kind(_read_class, {'anyOf': [TEXT.schema, integer(0, MAX_CLASS_ID).schema]},
              'names or ids')
_SHARE = number(0, 1)


def _read_class_thresholds(value: Any, where: Where) -> Mapping[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise where.error('must be a mapping of names or ids to scores, like {person: 0.6}')
    return FrozenMapping({
        _read_class(name, where.at(name)): _SHARE.read(score, where.at(name))
        for name, score in value.items()})


def _read_roi(value: Any, where: Where) -> Points:
    try:
        return parse_roi(value)
    except OptionsError as error:
        raise where.error(str(error).removeprefix('roi ')) from error


def _read_tiles(value: Any, where: Where) -> tuple[int, int]:
    try:
        return parse_tiles(value)
    except OptionsError as error:
        raise where.error(str(error).removeprefix('tiles ')) from error


@dataclass(frozen=True)
class Defaults:
    """Thresholds and limits for this model; None means the package's default. See `Options`."""

    score_threshold: float | None = key(
        None, 'results below it are dropped; for segmentation, classes that cover a smaller part '
        'of the image', low=0, high=1,
        unset='detection `0.3`, classification `0`, multi-label `0.5`, segmentation `0`')
    top_k: int | None = key(
        None, 'classification: maximum number of classes', low=1, high=10**6, unset='`5`')
    nms_iou: float | None = key(
        None, 'of two boxes of a class that overlap more, the better one is kept', low=0, high=1,
        unset='`0.45`')
    ioa_threshold: float | None = key(
        None, 'of two boxes of a class whose overlap is more than this part of the smaller one, '
        'the better one is kept; `0` switches this off', low=0, high=1, unset='`0`')
    max_detections: int | None = key(
        None, 'detection: maximum number of boxes', low=1, high=10**6, unset='`100`')
    classes: tuple[str, ...] | None = key(
        None, 'other classes are dropped', unset='all', kind=listed(
            _CLASS, 'name at least one class, or remove the key'))
    class_thresholds: Mapping[str, float] | None = key(
        None, 'what `score_threshold` is for single classes', unset='none', kind=Kind(
            _read_class_thresholds, {'type': 'object', 'additionalProperties': _SHARE.schema},
            'mapping of names or ids to scores from 0 to 1'))
    nms_agnostic: bool | None = key(
        None, 'whether boxes of different classes suppress each other by `nms_iou`, too',
        unset='`false`, or as `output.nms` says')
    min_area: float | None = key(
        None, 'detection: boxes with a smaller part of the image are dropped', low=0, high=1,
        unset='`0`')
    max_area: float | None = key(
        None, 'detection: boxes with a greater part of the image are dropped', low=0, high=1,
        unset='`1`')
    roi: tuple[tuple[float, float], ...] | None = key(
        None, 'the region of interest, in parts of the width and height', unset='the whole image',
        kind=Kind(_read_roi, {'type': 'array', 'items': {'anyOf': [_SHARE.schema, listed(
            _SHARE).schema]}}, 'parts from 0 to 1: `[x1, y1, x2, y2]` of a box, or points '
            '`[[x, y], …]`'))
    tiles: tuple[int, int] | None = key(
        None, 'detection: columns and rows of parts that the model sees one by one, for small '
        'objects', unset='`1x1`', kind=Kind(
            _read_tiles, {'type': 'string', 'pattern': '^[0-9]{1,2}x[0-9]{1,2}$'},
            'such as `3x2`'))
    tile_overlap: float | None = key(
        None, 'the part of a tile that its neighbour sees, too', low=0, high=0.75, unset='`0.2`')
    tile_whole: bool | None = key(
        None, 'whether the whole image is one more tile', unset='`false`')
    max_rate: float | None = key(
        None, 'server: images a second that are used, by their stamps; `0` sets no limit', low=0,
        high=1000, unset='`0`')

    def checked(self, fields: Fields) -> Defaults:
        """Refuse sizes that no box has."""
        if (self.min_area or 0.0) > (1.0 if self.max_area is None else self.max_area):
            raise fields.error('min_area', 'must not be above max_area')
        return self
