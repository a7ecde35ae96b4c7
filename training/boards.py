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

"""What carries a sign: paper, a screen, a whole printed sheet, or nothing but its own edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from training import backgrounds
from training.cards import CARDS
from training.invented import INVENTED
from training.lookalikes import LOOKALIKES
from training.primitives import Drawing
from training.primitives import render

#: Every sign, cards first: the index of a card is its class.
SIGNS: tuple[Drawing, ...] = (
    *CARDS.values(), *(item.drawing for item in LOOKALIKES), *INVENTED)
CLASSES = len(CARDS)
#: Indices of the look-alikes that differ much from every card, and of those that do not.
COARSE = [CLASSES + i for i, item in enumerate(LOOKALIKES) if not item.fine]
FINE = [CLASSES + i for i, item in enumerate(LOOKALIKES) if item.fine]
#: Indices of the signs made up at random.
MADE_UP = list(range(CLASSES + len(LOOKALIKES), len(SIGNS)))
_SIDES = (24, 32, 48, 64, 96, 128, 192, 288, 384)


@dataclass(frozen=True)
class Board:
    """
    A flat image with signs on it.

    Attributes
    ----------
    pixels : ndarray
        uint8 [H, W, 3], RGB.
    alpha : ndarray
        uint8 [H, W], opacity.
    signs : list of (int, ndarray)
        Index into SIGNS, and the outline float32 [N, 2] in pixels of the board.
    side : float
        Side of one sign's square in pixels.

    """

    pixels: np.ndarray
    alpha: np.ndarray
    signs: list[tuple[int, np.ndarray]]
    side: float


@lru_cache(maxsize=None)
def _texture(index: int, side: int) -> np.ndarray:
    return render(SIGNS[index], side, 4 if side < 150 else 2)


@lru_cache(maxsize=None)
def _outline(index: int) -> np.ndarray:
    return np.asarray(SIGNS[index].outline, np.float32)


def _paste(board: np.ndarray, index: int, x: int, y: int, side: int) -> np.ndarray:
    """Blend a sign onto a board; return its outline."""
    texture = _texture(index, side)
    alpha = texture[..., 3:].astype(np.uint16)
    view = board[y:y + side, x:x + side]
    view[:] = (view * (255 - alpha) + texture[..., :3] * alpha + 127) // 255
    return _outline(index) * side + (x, y)


def _ground(rng: np.random.Generator) -> tuple[tuple[int, int, int], bool]:
    """Choose the colour around a sign: mostly paper, or a dark or bright screen."""
    kind = rng.random()
    if kind < 0.65:
        level = rng.integers(205, 256)
        return tuple(int(v) for v in np.clip(level + rng.integers(-12, 13, 3), 0, 255)), False
    if kind < 0.85:
        return tuple(int(v) for v in rng.integers(0, 45, 3)), True
    return backgrounds.random_color(rng), False


def _caption(rng: np.random.Generator, board: np.ndarray, x: int, y: int, side: int,
             ink: int) -> None:
    cv2.putText(board, backgrounds.random_text(rng, 10), (x + int(side * rng.uniform(0, 0.4)), y),
                int(rng.integers(0, 4)), side / float(rng.uniform(130, 260)), (ink, ink, ink),
                1 if side < 150 else 2, cv2.LINE_AA)


def single(rng: np.random.Generator, index: int, size: float) -> Board:
    """Return one sign, bare or on its own piece of paper or screen."""
    side = next((s for s in _SIDES if s >= size), _SIDES[-1])
    if rng.random() < 0.3:
        texture = _texture(index, side)
        return Board(texture[..., :3], texture[..., 3], [(index, _outline(index) * side)], side)
    left, top, right, bottom = (int(v * side) for v in rng.uniform(0.04, 0.45, 4))
    if rng.random() < 0.4:
        left = top = right = bottom = int(side * rng.uniform(0.02, 0.2))
    color, screen = _ground(rng)
    board = np.full((top + side + bottom, left + side + right, 3), color, np.uint8)
    h, w = board.shape[:2]
    if rng.random() < 0.4:
        inset = int(side * rng.uniform(0, 0.05))
        line = int(rng.integers(0, 210))
        cv2.rectangle(board, (inset, inset), (w - 1 - inset, h - 1 - inset), (line, line, line),
                      max(1, int(side * rng.uniform(0.005, 0.04))))
    if bottom > 0.15 * side and rng.random() < 0.6:
        _caption(rng, board, left, top + side + int(bottom * 0.8), side,
                 int(rng.integers(160, 256) if screen else rng.integers(0, 120)))
    outline = _paste(board, index, left, top, side)
    return Board(board, np.full((h, w), 255, np.uint8), [(index, outline)], side)


def sheet(rng: np.random.Generator, indices: list[int], columns: int, size: float) -> Board:
    """Return many signs in rows on one page, like the printed sheet."""
    side = next((s for s in _SIDES[:6] if s >= size), _SIDES[5])
    gap_x, gap_y = (int(side * v) for v in rng.uniform(0.08, 0.6, 2))
    margin = int(side * rng.uniform(0.1, 0.6))
    rows = -(-len(indices) // columns)
    w = 2 * margin + columns * side + (columns - 1) * gap_x
    h = 2 * margin + rows * (side + gap_y)
    color, screen = _ground(rng)
    board = np.full((h, w, 3), color, np.uint8)
    frame, words = rng.random() < 0.5, rng.random() < 0.6
    line = int(rng.integers(0, 220))
    signs = []
    for i, index in enumerate(indices):
        x = margin + (i % columns) * (side + gap_x)
        y = margin + (i // columns) * (side + gap_y)
        if frame:
            pad = gap_x // 2
            cv2.rectangle(board, (x - pad, y - pad), (x + side + pad, y + side + pad), (line,) * 3)
        if words and gap_y > 0.2 * side:
            _caption(rng, board, x, y + side + gap_y // 2, side, 220 if screen else 40)
        signs.append((index, _paste(board, index, x, y, side)))
    return Board(board, np.full((h, w), 255, np.uint8), signs, side)
