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

"""How pixels are marked on an image: objects with an outline, classes as a tint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Ids = Union[NDArray[np.uint8], NDArray[np.uint16]]
Color = tuple[int, int, int]

# How much of the colour shows: the image stays recognizable.
_TINT = 0.45


def draw_instances(
    canvas: Image, instances: Ids, boxes: NDArray[np.float32], colors: Sequence[Color], line: int,
) -> None:
    """
    Tint each object and draw its outline.

    Parameters
    ----------
    canvas : ndarray of uint8, shape (H, W, 3)
        Is drawn on.
    instances : ndarray of uint8 or uint16, shape (H, W)
        0, or 1 + the object's row.
    boxes : ndarray of float32, shape (N, 4)
        ``x1, y1, x2, y2``: where the pixels of each object are looked for.
    colors : sequence of tuple of int
        Blue, green and red for each object.
    line : int
        The outline's width.

    """
    height, width = canvas.shape[:2]
    # A pixel whose centre is in the box belongs to it, so rounding outwards misses none.
    edges = np.concatenate((np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])), axis=1).astype(int)
    for row, (x1, y1, x2, y2) in enumerate(edges.tolist()):
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
        if x2 <= x1 or y2 <= y1:
            continue
        mask = np.asarray(instances[y1:y2, x1:x2] == row + 1, np.uint8)
        if not mask.any():
            continue
        part = canvas[y1:y2, x1:x2]
        tinted = cv2.addWeighted(
            part, 1 - _TINT, np.full_like(part, colors[row]), _TINT, 0.0)
        cv2.copyTo(tinted, mask, part)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        # Drawn on the object's part alone, so that no line leaves it.
        inner = cv2.drawContours(tinted, outlines, -1, colors[row], line)
        cv2.copyTo(inner, mask, part)


def draw_classes(
    canvas: Image, labels: Ids, left_out: Sequence[int | None], colors: dict[int, Color],
) -> None:
    """
    Tint each pixel in its class's colour.

    Parameters
    ----------
    canvas : ndarray of uint8, shape (H, W, 3)
        Is drawn on.
    labels : ndarray of uint8 or uint16, shape (H, W)
        A class for each pixel.
    left_out : sequence of int or None
        Classes that are not marked.
    colors : dict of int to tuple of int
        Blue, green and red of the classes that are there.

    """
    table = np.zeros((1 << 8 * labels.dtype.itemsize, 3), np.uint8)
    marked = np.zeros(len(table), np.uint8)
    for class_id, color in colors.items():
        if class_id not in left_out:
            table[class_id], marked[class_id] = color, 1
    if not marked.any():
        return
    if labels.dtype == np.uint8:
        tint = cv2.applyColorMap(labels, table.reshape(256, 1, 3))
        mask = cv2.LUT(labels, marked)
    else:
        tint, mask = table[labels], marked[labels]
    cv2.copyTo(cv2.addWeighted(canvas, 1 - _TINT, tint, _TINT, 0.0), mask, canvas)
