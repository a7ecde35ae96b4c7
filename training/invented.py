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

"""Signs made up at random: a card's colours and shapes in combinations that no card has."""

from __future__ import annotations

import math

import numpy as np

from training import cards
from training.primitives import arc
from training.primitives import BLACK
from training.primitives import Color
from training.primitives import Drawing
from training.primitives import Point
from training.primitives import Polygon
from training.primitives import regular
from training.primitives import rounded
from training.primitives import Shape
from training.primitives import Stroke
from training.primitives import text
from training.primitives import WHITE

_PALETTE: tuple[Color, ...] = (
    cards.RED, cards.GREEN, cards.BLUE, cards.TEAL, cards.ORANGE, cards.PURPLE, cards.YELLOW,
    cards.MAGENTA, cards.LAMP_RED, cards.LAMP_GREEN, BLACK, WHITE, (225, 170, 135),
    (180, 120, 80), (120, 72, 40))
#: Digits in no card.
_DIGITS = '1245789'


def _color(rng: np.random.Generator) -> Color:
    base = np.array(_PALETTE[rng.integers(len(_PALETTE))])
    r, g, b = np.clip(base + rng.integers(-25, 26, 3), 0, 255)
    return int(r), int(g), int(b)


def _outline(rng: np.random.Generator) -> tuple[Point, ...]:
    kind = rng.integers(6)
    if kind == 0:
        radii = (0.48, 0.48) if rng.random() < 0.4 else tuple(rng.uniform(0.22, 0.48, 2))
        return tuple(arc((0.5, 0.5), (float(radii[0]), float(radii[1])), 0, 360, 49)[:-1])
    if kind == 1:
        left, top = (float(v) for v in rng.uniform(0.02, 0.3, 2))
        return rounded(left, top, 1 - left, 1 - top, float(rng.uniform(0.01, 0.2)))
    if kind == 2:
        return regular(int(rng.integers(3, 9)), 0.48, float(rng.uniform(0, 360)))
    if kind == 3:
        drawing = cards.left_post(BLACK) if rng.random() < 0.5 else cards.house(BLACK)
        return drawing.mapped(float(rng.choice([-1, 1])), 1).outline
    corners = int(rng.integers(4, 12))
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    reach = rng.uniform(0.25, 0.49, corners) if kind == 4 else np.full(corners, 0.48)
    return tuple((0.5 + float(r * math.cos(a)), 0.5 + float(r * math.sin(a)))
                 for a, r in zip(angles, reach))


def _arrow(rng: np.random.Generator, color: Color) -> list[Shape]:
    """Return an arrow in any direction but up, which is a card's."""
    turn = math.radians(float(rng.uniform(50, 310)))

    def at(x: float, y: float) -> Point:
        return (0.5 + x * math.cos(turn) - y * math.sin(turn),
                0.5 + x * math.sin(turn) + y * math.cos(turn))
    return [Stroke((at(0, 0.3), at(0, -0.1)), 0.13, color),
            Polygon((at(0, -0.36), at(0.24, -0.04), at(-0.24, -0.04)), color)]


def _inside(rng: np.random.Generator) -> list[Shape]:
    color = (WHITE, WHITE, BLACK, _color(rng))[rng.integers(4)]
    kind = rng.integers(8)
    x, y = (float(v) for v in rng.normal(0.5, 0.06, 2))
    size = float(rng.uniform(0.08, 0.34))
    angle = float(rng.uniform(0, math.pi))
    along = (size * math.cos(angle), size * math.sin(angle))
    if kind == 0:
        flat = float(rng.uniform(0.5, 1))
        return [Polygon(tuple(arc((x, y), (size, size * flat), 0, 360, 33)[:-1]), color)]
    if kind == 1:
        return [Stroke(tuple(arc((x, y), (size, size), 0, 360, 33)), 0.09, color)]
    if kind == 2:
        return [Stroke(((x - along[0], y - along[1]), (x + along[0], y + along[1])),
                       float(rng.uniform(0.05, 0.2)), color)]
    if kind == 3:
        return [Stroke(((x - along[0], y - along[1]), (x + along[0], y + along[1])), 0.1, color),
                Stroke(((x - along[1], y + along[0]), (x + along[1], y - along[0])), 0.1, color)]
    if kind == 4:
        begin = float(rng.uniform(0, 360))
        return [Stroke(tuple(arc((x, y), (size, size), begin, begin + 200)), 0.1, color)]
    if kind == 5:
        return _arrow(rng, color)
    if kind == 6:
        word = ''.join(rng.choice(list(_DIGITS), rng.integers(1, 3)))
        return list(text(word, (0.5, 0.5), 0.4, 0.09, color))
    points = rng.uniform(0.25, 0.75, (int(rng.integers(3, 6)), 2)).tolist()
    return [Polygon(tuple((a, b) for a, b in points), color)]


def invent(rng: np.random.Generator) -> Drawing:
    """Return a sign that nobody has seen before."""
    outline = _outline(rng)
    shapes: list[Shape] = [Polygon(outline, _color(rng))]
    if rng.random() < 0.3:
        center = np.mean(outline, axis=0)
        inner = (np.array(outline) - center) * rng.uniform(0.6, 0.85) + center
        shapes.append(Polygon(tuple((float(a), float(b)) for a, b in inner), _color(rng)))
    for _ in range(rng.integers(0, 4)):
        shapes += _inside(rng)
    return Drawing(outline, tuple(shapes))


_rng = np.random.default_rng(2026)
#: Always the same ones.
INVENTED: tuple[Drawing, ...] = tuple(invent(_rng) for _ in range(320))
