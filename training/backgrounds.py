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

"""Images without cards: textures, gradients, rooms, clutter and writing, all computed."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import string

import cv2
import numpy as np

_Kind = Callable[[np.random.Generator, int, int], np.ndarray]

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX,
          cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX)
_LETTERS = np.array(list(string.ascii_letters + string.digits + '  .,-:!'))


def random_color(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a colour: a third of them grey, a third muted, a third strong."""
    hue, kind = rng.integers(0, 180), rng.integers(3)
    saturation = (rng.integers(0, 25), rng.integers(25, 110), rng.integers(110, 256))[kind]
    pixel = np.array([[[hue, saturation, rng.integers(20, 256)]]], np.uint8)
    r, g, b = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(r), int(g), int(b)


def random_text(rng: np.random.Generator, longest: int = 14) -> str:
    """Return letters, digits and spaces."""
    return ''.join(rng.choice(_LETTERS, rng.integers(1, longest)))


def put_text(rng: np.random.Generator, image: np.ndarray) -> None:
    """Write a random line of text at a random place."""
    h, w = image.shape[:2]
    cv2.putText(image, random_text(rng), (int(rng.integers(-w // 8, w)), int(rng.integers(0, h))),
                _FONTS[rng.integers(len(_FONTS))], float(rng.uniform(0.3, 3.0)),
                random_color(rng), int(rng.integers(1, 7)), cv2.LINE_AA)


def _smooth(rng: np.random.Generator, w: int, h: int) -> np.ndarray:
    cells = rng.integers(2, 7, 2)
    base = np.array(random_color(rng))
    spread = rng.integers(5, 120)
    grid = np.clip(base + rng.integers(-spread, spread + 1, (*cells, 3)), 0, 255)
    return cv2.resize(grid.astype(np.uint8), (w, h), interpolation=cv2.INTER_CUBIC)


def _fractal(rng: np.random.Generator, w: int, h: int) -> np.ndarray:
    """Sum octaves of noise and colour them between two colours, like stone, wood or carpet."""
    total = np.zeros((h, w), np.float32)
    stretch = float(rng.choice([1, 1, 4, 12]))
    weight, cells, decay = 1.0, 3.0, float(rng.uniform(0.45, 0.9))
    while cells < w / 2:
        grid = rng.random((max(2, int(cells * h / w)), max(2, int(cells / stretch))), np.float32)
        total += weight * cv2.resize(grid, (w, h), interpolation=cv2.INTER_LINEAR)
        weight *= decay
        cells *= 2.3
    total -= total.min()
    total /= max(float(total.max()), 1e-6)
    lookup = np.linspace(random_color(rng), random_color(rng), 256).astype(np.uint8)
    return lookup[(total * 255).astype(np.uint8)]


def _tiles(rng: np.random.Generator, w: int, h: int) -> np.ndarray:
    """Repeat a small image and look at it from an angle: floors, fabrics, brick walls."""
    side = int(rng.integers(8, 90))
    tile = np.full((side, side, 3), random_color(rng), np.uint8)
    for _ in range(rng.integers(1, 4)):
        a, b = rng.integers(0, side, (2, 2))
        if rng.random() < 0.6:
            cv2.rectangle(tile, a.tolist(), b.tolist(), random_color(rng),
                          int(rng.choice([-1, 1, 2])))
        else:
            cv2.circle(tile, a.tolist(), int(rng.integers(1, side)), random_color(rng),
                       int(rng.choice([-1, 2])))
    big = np.tile(tile, (2 * h // side + 1, 2 * w // side + 1, 1))[:2 * h, :2 * w]
    source = np.float32([[0, 0], [2 * w, 0], [2 * w, 2 * h], [0, 2 * h]])
    corners = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
    outward = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    target = corners + outward * rng.uniform(0, 0.7, (4, 2)).astype(np.float32) * (w, h)
    matrix = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    return cv2.warpPerspective(big, matrix, (w, h), borderMode=cv2.BORDER_REFLECT)


def _leaves(rng: np.random.Generator, w: int, h: int) -> np.ndarray:
    """Lay shapes of all sizes over each other (the dead leaves model of natural images)."""
    image = _smooth(rng, w, h)
    palette = [random_color(rng) for _ in range(rng.integers(3, 16))]
    for _ in range(rng.integers(20, 160)):
        size = min(4.0 / rng.uniform(0.012, 1.0), 0.5 * w)
        clutter_shape(rng, image, size, palette[rng.integers(len(palette))])
    return image


def _room(rng: np.random.Generator, w: int, h: int) -> np.ndarray:
    image = _PLAIN[rng.integers(len(_PLAIN))](rng, w, h)
    other = _PLAIN[rng.integers(len(_PLAIN))](rng, w, h)
    level = rng.uniform(0.3, 0.8, 2) * h
    mask = np.zeros((h, w), np.uint8)
    cv2.fillPoly(mask, [np.int32([[0, level[0]], [w, level[1]], [w, h], [0, h]])], 1)
    image[mask > 0] = other[mask > 0]
    return image


_PLAIN = (_smooth, _fractal, _tiles, _leaves)
_ALL = (_smooth, _smooth, _fractal, _fractal, _tiles, _leaves, _leaves, _room, _room)
#: Kinds for training and, apart from them, for a test on what no training saw.
SEEN_KINDS = (_smooth, _fractal, _leaves)
UNSEEN_KINDS = (_tiles, _room)


def clutter_shape(rng: np.random.Generator, image: np.ndarray, size: float,
                  color: tuple[int, int, int]) -> None:
    """Draw one filled or hollow shape of about `size` pixels at a random place."""
    h, w = image.shape[:2]
    x, y = float(rng.uniform(0, w)), float(rng.uniform(0, h))
    kind = rng.integers(5)
    thickness = -1 if rng.random() < 0.7 else int(rng.integers(1, max(2, int(size / 6) + 2)))
    if kind == 0:
        axes = (int(size * rng.uniform(0.3, 1)) + 1, int(size * rng.uniform(0.3, 1)) + 1)
        cv2.ellipse(image, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, color,
                    thickness, cv2.LINE_AA)
    elif kind == 1:
        end = (int(x + rng.normal() * size * 3), int(y + rng.normal() * size * 3))
        cv2.line(image, (int(x), int(y)), end, color, int(rng.integers(1, 8)), cv2.LINE_AA)
    else:
        corners = 4 if kind < 4 else int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        if kind == 2:
            angles = rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2
        points = np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.3, 1)], 1) * size
        points = np.int32(points + (x, y))
        if thickness < 0:
            cv2.fillPoly(image, [points], color, cv2.LINE_AA)
        else:
            cv2.polylines(image, [points], True, color, thickness, cv2.LINE_AA)


def background(rng: np.random.Generator, width: int, height: int,
               kinds: Sequence[_Kind] = _ALL) -> np.ndarray:
    """Return an image without cards, uint8 [height, width, 3] RGB."""
    image = kinds[rng.integers(len(kinds))](rng, width, height)
    image = np.ascontiguousarray(image)
    for _ in range(rng.integers(0, 25) if rng.random() < 0.7 else 0):
        clutter_shape(rng, image, width * float(rng.uniform(0.01, 0.2)), random_color(rng))
    if rng.random() < 0.4:
        sigma = float(rng.uniform(0.6, 5))
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    for _ in range(rng.integers(1, 8) if rng.random() < 0.35 else 0):
        put_text(rng, image)
    return image
