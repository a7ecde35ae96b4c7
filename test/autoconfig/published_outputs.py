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

"""Outputs as published models give them for an image without objects, made without the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
RANDOM = np.random.default_rng(7)


def grid(size: int, strides: tuple[int, ...] = (8, 16, 32), anchors: int = 1) -> Array:
    """Return x, y of the centre and the stride of each cell, written as loops."""
    rows = []
    for stride in strides:
        for _ in range(anchors):
            for row in range(size // stride):
                for column in range(size // stride):
                    rows.append(((column + 0.5) * stride, (row + 0.5) * stride, stride))
    return np.array(rows, np.float64)


def dense(size: int, classes: int, *, objectness: float | None = None,
          strides: tuple[int, ...] = (8, 16, 32), anchors: int = 1) -> Array:
    """Return rows of centre, size, perhaps objectness, and class scores, in pixels."""
    cell = grid(size, strides, anchors)
    count = len(cell)
    center = cell[:, :2] + RANDOM.normal(0, 0.3, (count, 2)) * cell[:, 2:]
    sides = cell[:, 2:] * RANDOM.uniform(0.5, 2.0, (count, 2))
    parts = [center, sides]
    if objectness is not None:
        parts.append(np.full((count, 1), objectness) if objectness == 1
                     else RANDOM.uniform(0, objectness, (count, 1)))
    parts.append(RANDOM.uniform(0.001, 0.2, (count, classes)))
    return np.concatenate(parts, axis=1).astype(np.float32)[None]


def raw_yolox(size: int, classes: int, strides: tuple[int, ...] = (8, 16, 32)) -> Array:
    """Return offsets to cells, logarithms of sides, objectness and class scores."""
    count = len(grid(size, strides))
    return np.concatenate([
        RANDOM.normal(0.5, 0.3, (count, 2)), RANDOM.normal(0.3, 0.5, (count, 2)),
        RANDOM.uniform(0.001, 0.2, (count, 1 + classes))], axis=1).astype(np.float32)[None]


def corners(count: int, size: float) -> Array:
    """Return x1, y1, x2, y2 inside of an image."""
    first = RANDOM.uniform(0, 0.6, (count, 2))
    return ((np.concatenate([first, first + RANDOM.uniform(0.1, 0.39, (count, 2))], axis=1))
            * size).astype(np.float32)


def centers(count: int, size: float) -> Array:
    """Return the centre and the sides of boxes inside of an image."""
    box = corners(count, size)
    return np.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], axis=1)


def falling(count: int) -> Array:
    """Return scores, the best first."""
    return np.sort(RANDOM.uniform(0.01, 0.2, count).astype(np.float32))[::-1, None]


def ids(count: int, classes: int = 80) -> Array:
    """Return whole numbers."""
    return RANDOM.integers(0, classes, (count, 1)).astype(np.float32)


def stack(*columns: Array) -> Array:
    """Return columns side by side, with a batch axis."""
    return np.concatenate(columns, axis=1).astype(np.float32)[None]


def softmaxed(count: int, classes: int, background: int) -> Array:
    """Return rows of probabilities, most of it the background's."""
    rows = RANDOM.uniform(0, 0.1, (count, classes))
    rows[:, background] = 3
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)[None]
