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

"""A result as lines, points and texts for a viewer; Foxglove's messages have these kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from ros2_classify.results.overlay_colors import Color, colors_of, text_color
from ros2_classify.results.overlay_keypoints import corners_of, limbs_of

Points = list[tuple[float, float]]

# Pixels that the outline of a mask may be off.
_OUTLINE = 1.0
_TINT = 0.35
_WHITE = (255, 255, 255)


class Shape(NamedTuple):
    """Points in pixels of the image: ``LINE_LOOP``, ``LINE_LIST`` or ``POINTS``."""

    points: Points
    kind: str
    # How much of the inside is tinted.
    alpha: float
    thickness: float

    @property
    def colored(self) -> bool:
        """Whether its lines have the colour of the class; points are white."""
        return self.kind != 'POINTS'


def font_size(result: Any) -> float:
    """Return the height of letters, in pixels."""
    return float(max(10.0, 0.03 * min(result.image_size)))


def text_place(result: Any, row: int) -> tuple[float, float]:
    """Return the lower left corner of the text at a row; texts are not above the image."""
    size = font_size(result)
    if result.task == 'detection':
        x, y = result.boxes[row, :2].tolist()
        return max(x, 0.0), max(y, 1.25 * size)
    # Classes of the whole image are a list in its corner.
    return 0.0, (row + 1) * 1.5 * size


def text_of(result: Any, row: int, name: str = '') -> str:
    """Return what is written at a row; ``name`` in the place of its label."""
    words = [name or str(result.labels[row]), f'{result.scores[row]:.2f}']
    if result.task == 'detection':
        if result.track_ids is not None:
            words.insert(0, result.track_ids[row])
        if result.positions is not None and np.isfinite(result.positions[row]).all():
            words.append(f'{np.linalg.norm(result.positions[row]):.1f} m')
        words += [f'| {label} {score:.2f}' for _, label, score, _ in result.said(row)]
    return ' '.join(filter(None, words))


def shapes_of(result: Any, row: int) -> list[Shape]:
    """Return the lines and points of one row."""
    line = max(2.0, min(result.image_size) / 270)
    if result.task == 'classification':
        return []
    if result.task == 'segmentation':
        return [Shape(points, 'LINE_LOOP', _TINT, line)
                for points in _outlines(result.label_image == result.class_ids[row])]
    shapes = []
    if result.masks is not None:
        shapes += [Shape(points, 'LINE_LOOP', _TINT, line)
                   for points in _outlines(result.select([row]).instances() > 0)]
    if result.oriented is not None:
        corners = corners_of(result.oriented[row])
    else:
        x1, y1, x2, y2 = result.boxes[row].tolist()
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    shapes.append(Shape(corners, 'LINE_LOOP', 0.0, line))
    if result.keypoints is not None:
        points, limbs = limbs_of(result.keypoints, row)
        shapes += [Shape(limbs, 'LINE_LIST', 0.0, line)] if limbs else []
        shapes += [Shape(points, 'POINTS', 0.0, 2 * line)] if points else []
    return shapes


def foxglove_annotations(
    messages: Any, result: Any, stamp: Any, kind_of: Callable[[str], Any],
    names: Sequence[str] | None = None,
) -> tuple[list[Any], list[Any]]:
    """
    Return Foxglove's annotations of a result: lines and points, and texts.

    ``messages`` has their classes: those of ROS, or those of Foxglove's own package, which differ
    in how the kind of a `Shape` is written.
    """
    def paint(bgr: Color, alpha: float = 1.0) -> Any:
        blue, green, red = bgr
        return messages.Color(r=red / 255, g=green / 255, b=blue / 255, a=alpha)

    points, texts = [], []
    for row, bgr in enumerate(colors_of(result)):
        for shape in shapes_of(result, row):
            points.append(messages.PointsAnnotation(
                timestamp=stamp, type=kind_of(shape.kind),
                points=[messages.Point2(x=x, y=y) for x, y in shape.points],
                outline_color=paint(bgr if shape.colored else _WHITE),
                fill_color=paint(bgr, shape.alpha), thickness=shape.thickness))
        x, y = text_place(result, row)
        texts.append(messages.TextAnnotation(
            timestamp=stamp, position=messages.Point2(x=x, y=y), font_size=font_size(result),
            text=text_of(result, row, names[row] if names is not None else ''),
            text_color=paint(text_color(bgr)), background_color=paint(bgr)))
    return points, texts


def _outlines(mask: Any) -> list[Points]:
    found, _ = cv2.findContours(
        np.asarray(mask, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [[(float(x), float(y)) for x, y in cv2.approxPolyDP(line, _OUTLINE, True)[:, 0]]
            for line in found]
