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

"""Thresholds and limits, which may change from call to call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from dataclasses import dataclass
import math
from typing import Any

import numpy as np

from ros2_classify.errors import OptionsError
from ros2_classify.frozen_mapping import FrozenMapping

# If neither the caller nor the descriptor sets a threshold.
_SCORE_THRESHOLD = {'detection': 0.3, 'classification': 0.0, 'segmentation': 0.0, 'embedding': 0.0}
_MULTI_LABEL_THRESHOLD = 0.5
MAX_COUNT = 10**6
_MOST_CANDIDATES = 100_000
# Non-maximum suppression takes time with the square of the boxes. A frame with more boxes than
# this over the threshold has no information; only the best ones are compared.
MAX_CANDIDATES = 4096
Points = tuple[tuple[float, float], ...]
ONE_TILE = (1, 1)
MOST_TILES = 64
_MOST_OVERLAP = 0.75
_MOST_POINTS = 2 * 64
_NO_THRESHOLDS: Mapping[str, float] = FrozenMapping({})
_WHOLE = (int, np.integer)
_REAL = (float, np.floating, *_WHOLE)


@dataclass(frozen=True)
class Options:
    """
    Thresholds and limits, which may change from call to call.

    Parameters
    ----------
    score_threshold : float
        From 0 to 1: results below it are dropped. For segmentation: classes that cover a smaller
        part of the image are not listed.
    top_k : int
        For classification: maximum number of classes.
    nms_iou : float
        From 0 to 1: of two boxes of a class whose intersection over union is greater, the one
        with the lower score is dropped. Only for decoders that need NMS.
    ioa_threshold : float
        From 0 to 1: of two boxes of a class whose intersection is a greater part of the smaller
        one, the one with the lower score is dropped; 0 disables this filter.
    max_detections : int
        For detection: maximum number of boxes.
    multi_label : bool
        For classification: all classes over the threshold, regardless of ``top_k``.
    max_candidates : int
        For detection: maximum number of boxes that are compared, best first; time grows with
        its square.
    classes : sequence of str or int
        Names or ids: other classes are dropped; for segmentation, their pixels have no class.
        Empty means all.
    class_thresholds : mapping of str or int to float
        From 0 to 1: what ``score_threshold`` is for single classes, by name or id.
    nms_agnostic : bool
        Whether boxes of different classes suppress each other by ``nms_iou``, too.
    min_area, max_area : float
        From 0 to 1: boxes whose area is a smaller or a greater part of the image are dropped.
    roi : sequence of float
        The region of interest in parts of the image's width and height: ``x1, y1, x2, y2`` of a
        box, or the points of a polygon, ``((x, y), ...)``. The model sees the box around it;
        what has its centre outside of it is dropped, and pixels outside have no class. Empty
        means the whole image.
    tiles : str or tuple of int
        For detection: columns and rows, as in ``'3x2'``, of parts of the image that the model
        sees one by one, for objects that are small in a large image.
    tile_overlap : float
        From 0 to 0.75: the part of a tile that its neighbour sees, too; at least as large as
        the objects.
    tile_whole : bool
        Whether to add the whole image as a tile, to find large objects.

    Raises
    ------
    OptionsError
        If a value is out of range.

    Examples
    --------
    >>> from ros2_classify import Options
    >>> Options(score_threshold=0.5).replace(max_detections=1).max_detections
    1

    """

    score_threshold: float = 0.3
    top_k: int = 5
    nms_iou: float = 0.45
    ioa_threshold: float = 0.0
    max_detections: int = 100
    multi_label: bool = False
    max_candidates: int = MAX_CANDIDATES
    classes: tuple[str, ...] = ()
    class_thresholds: Mapping[str, float] = _NO_THRESHOLDS
    nms_agnostic: bool = False
    min_area: float = 0.0
    max_area: float = 1.0
    roi: Points = ()
    tiles: tuple[int, int] = ONE_TILE
    tile_overlap: float = 0.2
    tile_whole: bool = False

    def __post_init__(self) -> None:
        """Check all ranges."""
        for name in ('score_threshold', 'nms_iou', 'ioa_threshold', 'min_area', 'max_area'):
            value = getattr(self, name)
            if not _is_share(value):
                raise OptionsError(f'{name} is {value!r} but must be a number from 0 to 1')
        for name in ('top_k', 'max_detections', 'max_candidates'):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, _WHOLE) or not (
                    1 <= value <= MAX_COUNT):
                raise OptionsError(
                    f'{name} is {value!r} but must be a whole number from 1 to {MAX_COUNT}')
        if self.max_candidates > _MOST_CANDIDATES:
            raise OptionsError(
                f'max_candidates is {self.max_candidates} but must be a whole number from 1 to '
                f'{_MOST_CANDIDATES}')
        for name in ('multi_label', 'nms_agnostic', 'tile_whole'):
            if not isinstance(getattr(self, name), bool):
                raise OptionsError(f'{name} is {getattr(self, name)!r} but must be true or false')
        if self.min_area > self.max_area:
            raise OptionsError(
                f'min_area is {self.min_area} but must not be above max_area, {self.max_area}')
        if self.classes != () or self.class_thresholds != _NO_THRESHOLDS:
            self._check_classes()
        if not isinstance(self.roi, tuple) or self.roi:
            object.__setattr__(self, 'roi', parse_roi(self.roi))
        if self.tiles != ONE_TILE:
            object.__setattr__(self, 'tiles', parse_tiles(self.tiles))
        if not _is_share(self.tile_overlap) or self.tile_overlap > _MOST_OVERLAP:
            raise OptionsError(
                f'tile_overlap is {self.tile_overlap!r} but must be a number from 0 to '
                f'{_MOST_OVERLAP}')

    def _check_classes(self) -> None:
        """Check names and scores, and keep ids as text."""
        given: Any = self.classes
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise OptionsError(
                f"classes is {given!r} but must be a list of names or ids, like ['person']")
        object.__setattr__(self, 'classes', tuple(
            _class_name('classes', each) for each in given))
        if not isinstance(self.class_thresholds, Mapping):
            raise OptionsError(
                f'class_thresholds is {self.class_thresholds!r} but must be scores by name or id, '
                "like {'person': 0.6}")
        for name, score in self.class_thresholds.items():
            if not _is_share(score):
                raise OptionsError(
                    f'class_thresholds of {name!r} is {score!r} but must be a number from 0 to 1')
        object.__setattr__(self, 'class_thresholds', FrozenMapping({
            _class_name('class_thresholds', name): score
            for name, score in self.class_thresholds.items()}))

    @property
    def tile_count(self) -> int:
        """How many times the model runs for an image."""
        columns, rows = self.tiles
        return columns * rows + (self.tile_whole and self.tiles != ONE_TILE)

    def replace(self, **changes: Any) -> Options:
        """Return a copy with some values changed; OptionsError if a name is unknown."""
        known = [field.name for field in dataclasses.fields(self)]
        unknown = [name for name in changes if name not in known]
        if unknown:
            raise OptionsError(
                f'the option {unknown[0]!r} is unknown; known are {", ".join(known)}')
        return dataclasses.replace(self, **changes)


def parse_roi(value: Any) -> Points:
    """Return the two corners of a box, or the points of a polygon; () for the whole image."""
    wrong = OptionsError(
        f'roi is {value!r} but must be x1, y1, x2, y2 of a box with x1 < x2 and y1 < y2, or x, y '
        f'of three to {_MOST_POINTS // 2} points, all from 0 to 1: parts of the width and height')
    try:
        numbers = np.asarray([] if value is None else value, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise wrong from None
    if not len(numbers):
        return ()
    if len(numbers) % 2 or len(numbers) < 4 or len(numbers) > _MOST_POINTS or not (
            (numbers >= 0.0) & (numbers <= 1.0)).all():
        raise wrong
    points = numbers.reshape(-1, 2)
    if len(points) == 2:
        if not (points[0] < points[1]).all():
            raise wrong
        if points.tolist() == [[0.0, 0.0], [1.0, 1.0]]:
            return ()
    # Twice the area, by the shoelace formula.
    x, y = points.T
    if len(points) > 2 and abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) < 1e-9:
        raise wrong
    return tuple((float(a), float(b)) for a, b in points.tolist())


def parse_tiles(value: Any) -> tuple[int, int]:
    """Return columns and rows from a text such as ``3x2`` or from two numbers."""
    given = value.lower().split('x') if isinstance(value, str) else value
    try:
        columns, rows = (int(each) for each in given)
    except (TypeError, ValueError):
        columns = rows = 0
    if columns < 1 or rows < 1 or columns * rows > MOST_TILES:
        raise OptionsError(
            f'tiles is {value!r} but must be columns and rows, such as 3x2, at most '
            f'{MOST_TILES} together')
    return columns, rows


def _is_share(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, _REAL) and bool(
        math.isfinite(value) and 0.0 <= value <= 1.0)


def _class_name(option: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, *_WHOLE)) or (
            not str(value).strip()):
        raise OptionsError(f'{option} has {value!r} but each class must be a name or an id')
    return str(value).strip()


def default_options(
    declared: Mapping[str, Any], task: str, *, multi_label: bool, nms_agnostic: bool = False,
) -> Options:
    """Return the options of a call that sets none: as declared, or else by the task."""
    values: dict[str, Any] = {
        'score_threshold': _MULTI_LABEL_THRESHOLD if multi_label else _SCORE_THRESHOLD[task],
        'multi_label': multi_label, 'nms_agnostic': nms_agnostic}
    known = {field.name for field in dataclasses.fields(Options)}
    values.update((key, value) for key, value in declared.items()
                  if value is not None and key in known)
    return Options(**values)
