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

"""Images with cards and look-alikes, seen by a moving camera, with the true boxes."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field

import cv2
import numpy as np

from training import backgrounds
from training import boards
from training import camera

_FINE = 36.0


@dataclass
class Sample:
    """
    An image and what is in it.

    Attributes
    ----------
    image : ndarray
        uint8 [H, W, 3], RGB.
    boxes : ndarray
        float32 [N, 4], x1, y1, x2, y2 of each card in pixels, cut at the image's border.
    classes : ndarray
        int64 [N], index into the cards' names.
    others : int
        Number of signs that are no cards.

    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    others: int


@dataclass
class _Layout:
    image: np.ndarray
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    outlines: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def free(self, box: tuple[float, float, float, float]) -> bool:
        """Say whether a new board covers next to nothing of those already there."""
        for other in self.taken:
            w = min(box[2], other[2]) - max(box[0], other[0])
            h = min(box[3], other[3]) - max(box[1], other[1])
            smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
            if w > 0 and h > 0 and w * h > 0.04 * smaller:
                return False
        return True


def _area(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _view(rng: np.random.Generator, w: int, h: int) -> np.ndarray:
    """Return the corners of a w x h board, turned in space and seen by a pinhole camera."""
    if rng.random() < 0.25:
        pitch, yaw, roll = rng.normal(0, 4, 3)
    else:
        pitch, yaw = rng.normal(0, 24, 2).clip(-58, 58)
        roll = np.clip(rng.normal(0, 12), -35, 35)
    rx, _ = cv2.Rodrigues(np.array([np.deg2rad(pitch), 0, 0]))
    ry, _ = cv2.Rodrigues(np.array([0, np.deg2rad(yaw), 0]))
    rz, _ = cv2.Rodrigues(np.array([0, 0, np.deg2rad(roll)]))
    corners = np.array([[-w, -h, 0], [w, -h, 0], [w, h, 0], [-w, h, 0]]) / 2
    turned = corners @ (rz @ rx @ ry).T
    distance = max(w, h) * rng.uniform(1.1, 5)
    return turned[:, :2] * (distance / (distance + turned[:, 2:]))


def _place(rng: np.random.Generator, layout: _Layout, board: boards.Board, size: float,
           keep: float) -> bool:
    """
    Warp a board into the image so that its signs measure `size`; say whether it fitted.

    The size of a sign is the root of its projected square's area. `keep` is the part of each
    sign that must lie inside the image.
    """
    height, width = layout.image.shape[:2]
    h, w = board.pixels.shape[:2]
    corners = _view(rng, w, h)
    square = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
    shrink = np.sqrt(_area(corners) / (w * h)) * board.side
    corners = corners * (size / shrink)
    low, high = corners.min(0), corners.max(0)
    slack = (high - low) * (0.5 if keep < 1 else 0.0)
    room = np.array([width, height]) - high + low
    begin = np.minimum(-slack, room * 0.5)
    corners += rng.uniform(begin, np.maximum(room + slack, begin + 1)) - low
    matrix = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    outlines = []
    for index, points in board.signs:
        seen = cv2.perspectiveTransform(points[None], matrix)[0]
        cut = np.clip(seen, 0, (width, height))
        if _area(cut) < keep * _area(seen):
            return False
        outlines.append((index, seen))
    box = (*corners.min(0), *corners.max(0))
    if not layout.free(box):
        return False
    layout.taken.append(box)
    layout.outlines += outlines
    _warp(rng, layout.image, board, matrix, box)
    return True


def _warp(rng: np.random.Generator, image: np.ndarray, board: boards.Board, matrix: np.ndarray,
          box: tuple[float, float, float, float]) -> None:
    height, width = image.shape[:2]
    x1, y1 = max(0, int(box[0]) - 1), max(0, int(box[1]) - 1)
    x2, y2 = min(width, int(box[2]) + 2), min(height, int(box[3]) + 2)
    if x2 <= x1 or y2 <= y1:
        return
    shift = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1]]) @ matrix
    pixels = board.pixels
    if rng.random() < 0.5:
        pixels = camera.shade(rng, pixels, 0.55, 1.15)
    out = (x2 - x1, y2 - y1)
    seen = cv2.warpPerspective(pixels, shift, out, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpPerspective(board.alpha, shift, out, flags=cv2.INTER_LINEAR)
    alpha = alpha[..., None].astype(np.uint16)
    view = image[y1:y2, x1:x2]
    view[:] = (view * (255 - alpha) + seen * alpha + 127) // 255


def _occlude(rng: np.random.Generator, image: np.ndarray, outline: np.ndarray) -> None:
    """Lay something like a finger, a stick or a leaf over the sign's edge, a fifth at most."""
    height, width = image.shape[:2]
    low = np.floor(outline.min(0)).astype(int) - 2
    size = np.ceil(outline.max(0)).astype(int) + 2 - low
    extent = float(size.max())
    sign = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(sign, [np.int32(outline - low)], 1)
    whole = cv2.countNonZero(sign)
    skin = tuple(int(v) for v in np.array([225, 170, 135]) * rng.uniform(0.3, 1.1))
    color = skin if rng.random() < 0.4 else backgrounds.random_color(rng)
    for _ in range(6):
        start = outline[rng.integers(len(outline))]
        centre = outline.mean(0)
        tip = start + (centre - start) * rng.uniform(-0.1, 0.7)
        away = start + (start - centre) * 1.5 + rng.normal(0, 0.5, 2) * extent
        thick = max(1, int(extent * rng.uniform(0.05, 0.3)))
        ends = [tuple(int(v) for v in p) for p in (tip, away)]
        mask = np.zeros_like(sign)
        local = [(p[0] - int(low[0]), p[1] - int(low[1])) for p in ends]
        cv2.line(mask, local[0], local[1], 1, thick)
        if cv2.countNonZero(mask & sign) <= 0.2 * whole:
            cv2.line(image, ends[0], ends[1], color, thick, cv2.LINE_AA)
            return


def _choose(rng: np.random.Generator, cards: bool, fine: bool, made_up: float) -> int:
    """
    Choose a sign: a card, or another one.

    `fine` allows look-alikes that differ from a card in details, `made_up` is the part of
    the others that are no look-alikes of any card.
    """
    if cards:
        return int(rng.integers(0, boards.CLASSES))
    if made_up and rng.random() < made_up:
        pool = boards.MADE_UP
    else:
        pool = boards.FINE if fine and rng.random() < 0.5 else boards.COARSE
    return pool[rng.integers(0, len(pool))]


def _populate(rng: np.random.Generator, layout: _Layout, smallest: float, fine: float,
              made_up: float, others: float, cards: bool) -> float:
    """Place boards; return the size of the smallest sign placed."""
    height, width = layout.image.shape[:2]
    largest = 1.05 * min(height, width)
    kind = rng.random()
    seen = largest
    if kind < 0.14:
        columns, rows = (int(v) for v in rng.integers(2, 5, 2))
        size = float(rng.uniform(smallest, max(smallest + 1, height / (1.35 * rows))))
        size = min(size, width / (1.35 * columns))
        size = max(size, smallest)
        indices = [_choose(rng, cards and rng.random() < 1 - others, size >= fine, made_up)
                   for _ in range(rows * columns)]
        if cards and rng.random() < 0.3:
            indices = rng.permutation(boards.CLASSES)[:rows * columns].tolist()
        board = boards.sheet(rng, indices, columns, size * 1.1)
        for _ in range(6):
            if _place(rng, layout, board, size, 0.97):
                return size
    count = 1 if kind < 0.3 else int(rng.integers(1, 9))
    for _ in range(count):
        if count == 1 and rng.random() < 0.6:
            size = float(rng.uniform(min(0.3 * largest, largest), largest))
        else:
            size = smallest * (largest / smallest) ** float(rng.beta(1, 1.7))
        chosen = cards and rng.random() < 1 - others
        index = _choose(rng, chosen, size >= fine, made_up)
        board = boards.single(rng, index, size * 1.05)
        for _ in range(5):
            if _place(rng, layout, board, size, 0.7):
                seen = min(seen, size)
                break
    return seen


def make_sample(rng: np.random.Generator, width: int, height: int, smallest: float,
                empty: float = 0.1, fine: float = _FINE, made_up: float = 0.0,
                others: float = 0.25) -> Sample:
    """
    Make one sample.

    Parameters
    ----------
    rng
        The only source of chance: the same state gives the same sample.
    width, height
        Size of the image in pixels.
    smallest
        Size of the smallest sign in pixels: the root of the area of its projected square.
    empty
        Part of the images without cards; half of those show look-alikes.
    fine
        Size in pixels from which on there are look-alikes that differ from a card in details.
    made_up
        Part of the signs without a class that are made up and like no card.
    others
        Part of the signs without a class among all, where there are cards.

    Returns
    -------
    Sample

    """
    layout = _Layout(backgrounds.background(rng, width, height))
    cards = rng.random() >= empty
    size = 60.0
    if cards or rng.random() < 0.5:
        size = _populate(rng, layout, smallest, fine, made_up, others, cards)
    for _, outline in layout.outlines:
        if rng.random() < 0.2:
            _occlude(rng, layout.image, outline)
    image = camera.photograph(rng, layout.image, size)
    boxes, classes = [], []
    for index, outline in layout.outlines:
        if index < boards.CLASSES:
            cut = np.clip(outline, 0, (width, height))
            boxes.append((*cut.min(0), *cut.max(0)))
            classes.append(index)
    return Sample(image, np.array(boxes, np.float32).reshape(-1, 4),
                  np.array(classes, np.int64), len(layout.outlines) - len(boxes))


def make_view(rng: np.random.Generator, card: bool,
              made_up: float = 0.0) -> tuple[np.ndarray, np.ndarray, int]:
    """
    Make a small image of one sign, for the classifier.

    Parameters
    ----------
    rng
        The only source of chance.
    card
        Whether the sign is a card, or another one.
    made_up
        Part of the others that are made up and like no card.

    Returns
    -------
    tuple
        uint8 [H, W, 3] RGB, the sign's box float32 [4] in pixels, its index in `boards.SIGNS`.

    """
    size = 20.0 * 6.0 ** float(rng.beta(1, 1.4))
    width, height = int(size * rng.uniform(1.5, 3)), int(size * rng.uniform(1.5, 2.5))
    while True:
        layout = _Layout(backgrounds.background(rng, width, height))
        index = _choose(rng, card, size >= _FINE, made_up)
        board = boards.single(rng, index, size * 1.05)
        if _place(rng, layout, board, size, 0.8):
            break
    outline = layout.outlines[0][1]
    if rng.random() < 0.2:
        _occlude(rng, layout.image, outline)
    cut = np.clip(outline, 0, (width, height))
    box = np.array((*cut.min(0), *cut.max(0)), np.float32)
    return camera.photograph(rng, layout.image, size), box, index
