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

"""The twelve demo cards: own drawings in the manner of road signs for small robots."""

from __future__ import annotations

from training.primitives import arc
from training.primitives import BLACK
from training.primitives import Color
from training.primitives import disc
from training.primitives import Drawing
from training.primitives import Point
from training.primitives import Polygon
from training.primitives import regular
from training.primitives import rounded
from training.primitives import Shape
from training.primitives import Stroke
from training.primitives import text
from training.primitives import WHITE

RED: Color = (206, 22, 32)
GREEN: Color = (16, 146, 60)
BLUE: Color = (22, 84, 190)
TEAL: Color = (0, 150, 160)
ORANGE: Color = (242, 120, 12)
PURPLE: Color = (122, 40, 160)
YELLOW: Color = (252, 205, 16)
MAGENTA: Color = (214, 24, 120)
GRAY: Color = (150, 150, 150)
LAMP_RED: Color = (255, 40, 36)
LAMP_GREEN: Color = (40, 232, 90)
LAMP_OFF: Color = (74, 74, 74)


def _plate(outline: tuple[Point, ...], color: Color, *shapes: Shape) -> Drawing:
    return Drawing(outline, (Polygon(outline, color), *shapes))


def octagon(color: Color, word: str = '') -> Drawing:
    """Return an octagon with a white rim line inside and a word."""
    edge = regular(8, 0.45, 22.5)
    return _plate(regular(8, 0.52, 22.5), color,
                  Stroke((*edge, edge[0]), 0.028, WHITE),
                  *text(word, (0.5, 0.5), 0.22, 0.042, WHITE))


def triangle(border: Color, inside: Color = WHITE) -> Drawing:
    """Return a triangle that points down, with a thick border."""
    return _plate(((0.02, 0.07), (0.98, 0.07), (0.5, 0.93)), border,
                  Polygon(((0.23, 0.19), (0.77, 0.19), (0.5, 0.675)), inside))


def arrow_disc(color: Color) -> Drawing:
    """Return a disc with a white arrow that points up."""
    return _plate(disc((0.5, 0.5), 0.48), color,
                  Stroke(((0.5, 0.8), (0.5, 0.4)), 0.15, WHITE),
                  Polygon(((0.5, 0.12), (0.76, 0.46), (0.24, 0.46)), WHITE))


def left_post(color: Color, arrow: bool = True) -> Drawing:
    """Return a signpost whose plate itself points left, with a white arrow bent to the left."""
    bent: tuple[Shape, ...] = (
        Stroke(((0.76, 0.74), (0.76, 0.46), (0.44, 0.46)), 0.11, WHITE),
        Polygon(((0.16, 0.46), (0.44, 0.26), (0.44, 0.66)), WHITE))
    return _plate(((0.02, 0.5), (0.34, 0.1), (0.98, 0.1), (0.98, 0.9), (0.34, 0.9)), color,
                  *(bent if arrow else ()))


def u_diamond(color: Color) -> Drawing:
    """Return a diamond with a white arrow that turns back to the left."""
    path = ((0.64, 0.7), *arc((0.5, 0.43), (0.14, 0.14), 0, -180), (0.36, 0.52))
    return _plate(((0.5, 0.02), (0.98, 0.5), (0.5, 0.98), (0.02, 0.5)), color,
                  Stroke(path, 0.095, WHITE),
                  Polygon(((0.36, 0.74), (0.21, 0.52), (0.51, 0.52)), WHITE))


def ring(color: Color, word: str, inside: Color = WHITE, ink: Color = BLACK) -> Drawing:
    """Return a disc with a coloured ring and a number."""
    height = 0.36 if len(word) < 3 else 0.28
    return _plate(disc((0.5, 0.5), 0.48), color, Polygon(disc((0.5, 0.5), 0.37), inside),
                  *text(word, (0.5, 0.5), height, 0.085 if len(word) < 3 else 0.07, ink))


def number_square(color: Color, word: str) -> Drawing:
    """Return a square with round corners and a white number."""
    height = 0.45 if len(word) < 3 else 0.32
    return _plate(rounded(0.03, 0.03, 0.97, 0.97, 0.12), color,
                  *text(word, (0.5, 0.5), height, 0.11 if len(word) < 3 else 0.08, WHITE))


def light(upper: Color, lower: Color, body: Color = BLACK) -> Drawing:
    """Return a signal with two lamps in an upright housing."""
    return _plate(rounded(0.2, 0.02, 0.8, 0.98, 0.14), GRAY,
                  Polygon(rounded(0.235, 0.055, 0.765, 0.945, 0.11), body),
                  Polygon(disc((0.5, 0.285), 0.19), upper),
                  Polygon(disc((0.5, 0.715), 0.19), lower))


def bolt_hexagon(color: Color, bolt: bool = True) -> Drawing:
    """Return a hexagon with a black lightning bolt."""
    flash = Polygon(((0.58, 0.12), (0.27, 0.55), (0.46, 0.55), (0.40, 0.88), (0.73, 0.42),
                     (0.53, 0.42)), BLACK)
    return _plate(regular(6, 0.49, 0), color, *((flash,) if bolt else ()))


def house(color: Color, door: bool = True) -> Drawing:
    """Return the silhouette of a house with a white door and window."""
    outline = ((0.5, 0.03), (0.98, 0.46), (0.98, 0.56), (0.87, 0.56), (0.87, 0.96),
               (0.13, 0.96), (0.13, 0.56), (0.02, 0.56), (0.02, 0.46))
    inside = (Polygon(((0.4, 0.62), (0.6, 0.62), (0.6, 0.96), (0.4, 0.96)), WHITE),
              Polygon(disc((0.5, 0.4), 0.11), WHITE))
    return _plate(outline, color, *(inside if door else ()))


#: The cards by name; their order is the order of the models' classes.
CARDS: dict[str, Drawing] = {
    'stop': octagon(RED, 'STOP'),
    'yield': triangle(RED),
    'go': arrow_disc(GREEN),
    'turn_left': left_post(TEAL),
    'turn_right': left_post(ORANGE).mapped(-1, 1),
    'u_turn': u_diamond(PURPLE),
    'speed_30': ring(RED, '30'),
    'speed_60': number_square(BLUE, '60'),
    'red_light': light(LAMP_RED, LAMP_OFF),
    'green_light': light(LAMP_OFF, LAMP_GREEN),
    'charging': bolt_hexagon(YELLOW),
    'home': house(MAGENTA),
}

NAMES: tuple[str, ...] = tuple(CARDS)
