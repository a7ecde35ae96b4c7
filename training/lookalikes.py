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

"""Signs that are not cards: the models learn to leave them alone."""

from __future__ import annotations

from dataclasses import dataclass

from training import cards
from training.primitives import BLACK
from training.primitives import Color
from training.primitives import disc
from training.primitives import Drawing
from training.primitives import Polygon
from training.primitives import regular
from training.primitives import rounded
from training.primitives import WHITE


@dataclass(frozen=True)
class Lookalike:
    """A sign of no class; `fine` ones differ from a card only in details of a few pixels."""

    drawing: Drawing
    fine: bool


LAMP_YELLOW: Color = (255, 200, 30)
BROWN: Color = (120, 72, 40)


def _plain(outline: tuple[tuple[float, float], ...], color: Color) -> Drawing:
    return Drawing(outline, (Polygon(outline, color),))


def _coarse() -> list[Drawing]:
    c = cards
    drawings = [c.octagon(color, word) for color in (c.BLUE, c.GREEN, c.YELLOW, BLACK)
                for word in ('STOP', '')]
    drawings += [c.triangle(c.BLUE), c.triangle(c.GREEN), c.triangle(BLACK, c.YELLOW),
                 c.triangle(c.RED).mapped(1, -1), c.triangle(c.RED, c.YELLOW).mapped(1, -1),
                 c.triangle(c.RED, c.RED), c.triangle(c.YELLOW, c.YELLOW)]
    drawings += [c.arrow_disc(color) for color in (c.RED, c.BLUE, c.ORANGE, BLACK, c.PURPLE)]
    drawings += [c.left_post(color) for color in (c.ORANGE, c.RED, c.YELLOW, c.PURPLE)]
    drawings += [c.left_post(color).mapped(-1, 1)
                 for color in (c.TEAL, c.BLUE, c.GREEN, c.MAGENTA)]
    drawings += [c.u_diamond(color) for color in (c.YELLOW, c.RED, c.GREEN, c.ORANGE)]
    drawings += [c.ring(color, word) for color in (c.BLUE, BLACK, c.GREEN)
                 for word in ('30', '60')]
    drawings += [c.number_square(color, word) for color in (c.RED, c.GREEN, BLACK, c.ORANGE)
                 for word in ('60', '30')]
    drawings += [c.light(*lamps) for lamps in (
        (c.LAMP_OFF, c.LAMP_OFF), (LAMP_YELLOW, c.LAMP_OFF), (c.LAMP_OFF, LAMP_YELLOW),
        (c.LAMP_OFF, c.LAMP_RED), (c.LAMP_GREEN, c.LAMP_OFF), (WHITE, c.LAMP_OFF))]
    drawings += [c.light(c.LAMP_RED, c.LAMP_RED), c.light(c.LAMP_GREEN, c.LAMP_GREEN),
                 c.light(c.LAMP_RED, c.LAMP_GREEN)]
    drawings += [c.bolt_hexagon(color) for color in (c.RED, c.BLUE, c.GREEN, WHITE)]
    drawings += [c.house(color) for color in (c.BLUE, c.GREEN, c.ORANGE, BROWN)]
    bar = Polygon(((0.2, 0.42), (0.8, 0.42), (0.8, 0.58), (0.2, 0.58)), WHITE)
    round_edge = disc((0.5, 0.5), 0.48)
    drawings.append(Drawing(round_edge, (Polygon(round_edge, c.RED), bar)))
    for color in (c.RED, c.BLUE, c.YELLOW, BLACK, WHITE, c.TEAL, c.ORANGE, c.MAGENTA):
        drawings += [_plain(round_edge, color), _plain(rounded(0.05, 0.05, 0.95, 0.95, 0.05),
                                                       c.GREEN if color == c.BLUE else color)]
        drawings.append(_plain(regular(3, 0.48, -90), color))
        drawings.append(_plain(regular(5, 0.48, -90), color))
    for color in (c.YELLOW, c.RED, c.GREEN, WHITE):
        drawings.append(_plain(regular(4, 0.48, 0), color))
    return drawings


def _fine() -> list[Drawing]:
    c = cards
    numbers = ('10', '20', '40', '50', '70', '80', '90', '100')
    drawings = [c.ring(c.RED, word) for word in (*numbers, '60', '')]
    drawings += [c.number_square(c.BLUE, word) for word in (*numbers, '30', '')]
    drawings += [c.arrow_disc(c.GREEN).mapped(1, -1), _plain(disc((0.5, 0.5), 0.48), c.GREEN)]
    drawings += [c.u_diamond(c.PURPLE).mapped(-1, 1), _plain(regular(4, 0.48, 0), c.PURPLE)]
    drawings += [c.octagon(c.RED), _plain(regular(8, 0.52, 22.5), c.RED)]
    drawings += [c.bolt_hexagon(c.YELLOW, bolt=False), c.house(c.MAGENTA, door=False)]
    drawings += [c.left_post(c.TEAL, arrow=False),
                 c.left_post(c.ORANGE, arrow=False).mapped(-1, 1)]
    return drawings


LOOKALIKES: tuple[Lookalike, ...] = tuple(
    [Lookalike(d, False) for d in _coarse()] + [Lookalike(d, True) for d in _fine()])
