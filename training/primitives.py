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

"""Vector primitives on the unit square, and the renderer that turns them into pixels."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
import math
from typing import Union

import cv2
import numpy as np

Color = tuple[int, int, int]
Point = tuple[float, float]

WHITE: Color = (255, 255, 255)
BLACK: Color = (16, 16, 16)


@dataclass(frozen=True)
class Polygon:
    """A filled polygon; points in the unit square (x right, y down), colour is RGB."""

    points: tuple[Point, ...]
    color: Color


@dataclass(frozen=True)
class Stroke:
    """A line through points with round caps and joins; width in units of the square."""

    points: tuple[Point, ...]
    width: float
    color: Color


Shape = Union[Polygon, Stroke]


@dataclass(frozen=True)
class Drawing:
    """
    Shapes in painting order, and the outline that cuts the drawing out of its background.

    The outline is what a box around the drawing encloses.
    """

    outline: tuple[Point, ...]
    shapes: tuple[Shape, ...]

    def recolored(self, table: dict[Color, Color]) -> Drawing:
        """Return the same drawing with colours exchanged as the table says."""
        return Drawing(
            self.outline,
            tuple(replace(s, color=table.get(s.color, s.color)) for s in self.shapes))

    def mapped(self, x_scale: float, y_scale: float) -> Drawing:
        """Return the drawing scaled about its centre; negative factors mirror it."""
        def move(points: tuple[Point, ...]) -> tuple[Point, ...]:
            return tuple((0.5 + (x - 0.5) * x_scale, 0.5 + (y - 0.5) * y_scale)
                         for x, y in points)
        return Drawing(
            move(self.outline), tuple(replace(s, points=move(s.points)) for s in self.shapes))


def arc(center: Point, radii: Point, start: float, stop: float, count: int = 24) -> list[Point]:
    """Return points of an ellipse's arc; angles in degrees, clockwise from the x axis."""
    angles = [math.radians(start + (stop - start) * i / (count - 1)) for i in range(count)]
    return [(center[0] + radii[0] * math.cos(a), center[1] + radii[1] * math.sin(a))
            for a in angles]


def disc(center: Point, radius: float) -> tuple[Point, ...]:
    """Return a circle as a closed polygon of 64 corners."""
    return tuple(arc(center, (radius, radius), 0, 360, 65)[:-1])


def regular(corners: int, radius: float, rotation: float) -> tuple[Point, ...]:
    """Return a regular polygon about the centre; rotation of its first corner in degrees."""
    return tuple(arc((0.5, 0.5), (radius, radius), rotation, rotation + 360, corners + 1)[:-1])


def rounded(left: float, top: float, right: float, bottom: float,
            radius: float) -> tuple[Point, ...]:
    """Return a rectangle with round corners."""
    r = (radius, radius)
    return tuple(
        arc((right - radius, top + radius), r, -90, 0, 8)
        + arc((right - radius, bottom - radius), r, 0, 90, 8)
        + arc((left + radius, bottom - radius), r, 90, 180, 8)
        + arc((left + radius, top + radius), r, 180, 270, 8))


# Glyphs are strokes in a box 0.6 wide and 1 high.
GLYPHS: dict[str, list[list[Point]]] = {
    '0': [arc((0.3, 0.5), (0.3, 0.5), 0, 360, 33)],
    '1': [[(0.08, 0.2), (0.36, 0.0), (0.36, 1.0)]],
    '2': [arc((0.3, 0.29), (0.29, 0.29), 190, 395) + [(0.02, 1.0), (0.6, 1.0)]],
    '3': [arc((0.29, 0.255), (0.27, 0.255), 205, 450)
          + arc((0.29, 0.745), (0.3, 0.255), -90, 155)],
    '4': [[(0.46, 1.0), (0.46, 0.0), (0.0, 0.7), (0.62, 0.7)]],
    '5': [[(0.56, 0.0), (0.08, 0.0), (0.05, 0.45)]
          + arc((0.28, 0.68), (0.31, 0.32), -135, 145)],
    '6': [arc((0.62, 0.69), (0.61, 0.69), 255, 180, 12)
          + arc((0.3, 0.69), (0.29, 0.31), 180, 540, 33)],
    '7': [[(0.0, 0.0), (0.6, 0.0), (0.2, 1.0)]],
    '8': [arc((0.3, 0.25), (0.25, 0.25), 0, 360, 33), arc((0.3, 0.74), (0.3, 0.26), 0, 360, 33)],
    '9': [[(0.6 - x, 1.0 - y) for x, y in
           arc((0.62, 0.69), (0.61, 0.69), 255, 180, 12)
           + arc((0.3, 0.69), (0.29, 0.31), 180, 540, 33)]],
    'S': [arc((0.3, 0.255), (0.28, 0.255), -35, -270)
          + arc((0.3, 0.745), (0.29, 0.255), -90, 145)],
    'T': [[(0.0, 0.0), (0.6, 0.0)], [(0.3, 0.0), (0.3, 1.0)]],
    'O': [arc((0.3, 0.5), (0.3, 0.5), 0, 360, 33)],
    'P': [[(0.03, 1.0), (0.03, 0.0), (0.3, 0.0)] + arc((0.3, 0.28), (0.29, 0.28), -90, 90)
          + [(0.03, 0.56)]],
}


def text(string: str, center: Point, height: float, width: float,
         color: Color) -> tuple[Shape, ...]:
    """Return a string of GLYPHS as strokes, centred; height without the stroke's own width."""
    advance = 0.6 * height + 1.6 * width
    left = center[0] - (advance * (len(string) - 1) + 0.6 * height) / 2
    top = center[1] - height / 2
    return tuple(
        Stroke(tuple((left + i * advance + x * height, top + y * height) for x, y in line),
               width, color)
        for i, letter in enumerate(string) for line in GLYPHS[letter])


def render(drawing: Drawing, size: int, oversample: int = 4) -> np.ndarray:
    """
    Render a drawing.

    Parameters
    ----------
    drawing
        What to draw.
    size
        Side of the image in pixels.
    oversample
        How many times larger it is drawn before it is averaged down (anti-aliasing).

    Returns
    -------
    ndarray
        uint8 [size, size, 4], R, G, B and opacity. Colour reaches beyond the outline, so that
        no dark rim appears when the image is warped and blended.

    """
    side = size * oversample

    def pixels(points: tuple[Point, ...]) -> np.ndarray:
        return np.round(np.asarray(points) * side * 16 - 8).astype(np.int32).reshape(-1, 1, 2)

    first = drawing.shapes[0].color
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:] = first
    for shape in drawing.shapes:
        if isinstance(shape, Polygon):
            cv2.fillPoly(canvas, [pixels(shape.points)], shape.color, cv2.LINE_8, 4)
        else:
            cv2.polylines(canvas, [pixels(shape.points)], False, shape.color,
                          max(1, round(shape.width * side)), cv2.LINE_8, 4)
    alpha = np.zeros((side, side), np.uint8)
    cv2.fillPoly(alpha, [pixels(drawing.outline)], 255, cv2.LINE_8, 4)
    full = cv2.merge([*cv2.split(canvas), alpha])
    return cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA)
