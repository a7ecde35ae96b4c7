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

"""Lines and zones in an image: written as texts, in shares of its width and height."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import math

from ros2_classify.errors import OptionsError

Point = tuple[float, float]

# Lines or zones, and points of one: each is compared with each object of each image.
_MOST, _MOST_POINTS = 64, 64


@dataclass(frozen=True)
class Line:
    """A line with a name, from one point to another."""

    name: str
    begin: Point
    end: Point


@dataclass(frozen=True)
class Zone:
    """A polygon with a name, and how long an object must be in it to count."""

    name: str
    points: tuple[Point, ...]
    seconds: float = 0.0


def parse_lines(words: Iterable[str]) -> tuple[Line, ...]:
    """Read texts such as ``door=0.1,0.5,0.9,0.5``; OptionsError if one is wrong."""
    example = 'a name and two points from 0 to 1, such as door=0.1,0.5,0.9,0.5'
    lines = []
    for name, numbers, word in _named('event_lines', words, example):
        points = _points(numbers)
        if len(points) != 2 or points[0] == points[1]:
            raise OptionsError(f'event_lines has {word!r} but each must be {example}')
        lines.append(Line(name, *points))
    return tuple(lines)


def parse_zones(words: Iterable[str]) -> tuple[Zone, ...]:
    """Read texts such as ``desk=0.1,0.5,0.9,0.5,0.5,1@3``; OptionsError if one is wrong."""
    example = ('a name, three or more points from 0 to 1, and seconds if it takes some, such as '
               'desk=0.1,0.5,0.9,0.5,0.5,1@3')
    zones = []
    for name, text, word in _named('event_zones', words, example):
        numbers, _, seconds = text.partition('@')
        points = _points(numbers)
        wait = _number(seconds or '0')
        if len(points) > _MOST_POINTS:
            raise OptionsError(
                f'event_zones: {name!r} has {len(points)} points but may have {_MOST_POINTS}')
        if len(points) < 3 or not 0.0 <= wait <= 86400.0:
            raise OptionsError(f'event_zones has {word!r} but each must be {example}')
        zones.append(Zone(name, points, wait))
    return tuple(zones)


def _named(parameter: str, words: Iterable[str], example: str) -> list[tuple[str, str, str]]:
    found: dict[str, tuple[str, str, str]] = {}
    for word in filter(None, words):
        name, equals, rest = word.partition('=')
        name = name.strip()
        if not name or not equals or not name.isprintable():
            raise OptionsError(f'{parameter} has {word!r} but each must be {example}')
        if name in found:
            raise OptionsError(f'{parameter} has {name!r} twice; give each a name of its own')
        found[name] = (name, rest, word)
    if len(found) > _MOST:
        raise OptionsError(f'{parameter} has {len(found)} places but may have {_MOST}')
    return list(found.values())


def _points(text: str) -> tuple[Point, ...]:
    """Return the points; none if a number is wrong."""
    numbers = [_number(word) for word in text.split(',')]
    if len(numbers) % 2 or not all(0.0 <= number <= 1.0 for number in numbers):
        return ()
    return tuple(zip(numbers[::2], numbers[1::2]))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def side(begin: Point, end: Point, place: Point) -> float:
    """Return the distance from a line: above 0 to the right of one who looks along it."""
    along = (end[0] - begin[0], end[1] - begin[1])
    there = (place[0] - begin[0], place[1] - begin[1])
    length = math.hypot(*along)
    # y points down in images.
    return (along[0] * there[1] - along[1] * there[0]) / length


def crosses(one: Point, other: Point, begin: Point, end: Point) -> bool:
    """Tell whether the way from one point to another meets a line, and ends beyond it."""
    if one == other:
        return False
    return side(one, other, begin) * side(one, other, end) <= 0 and (
        side(begin, end, one) * side(begin, end, other) < 0)


def inside(place: Point, polygon: tuple[Point, ...]) -> bool:
    """Tell whether a point is in a polygon: a ray to the right meets an odd number of edges."""
    x, y = place
    odd = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0])):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            odd = not odd
    return odd
