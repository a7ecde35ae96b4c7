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

"""Which of several boxes on one object stay: non-maximum suppression and the overlap filter."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.options import MAX_CANDIDATES

# Beyond any image; an absurd box farther out would cost the others their decimals.
_FAR = 1e6
_MAX_CLASS = 10_000


def non_maximum_suppression(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int64],
    iou_threshold: float, limit: int = 0, candidates: int = MAX_CANDIDATES,
) -> NDArray[np.int64]:
    """
    Keep the best of the boxes that overlap, class by class.

    From the best box down, a box goes where its intersection over union with a better one of its
    class that stayed is greater than the threshold. OpenCV's own functions do it
    (https://docs.opencv.org/4.x/d6/d0f/group__dnn.html, ``NMSBoxes``).
    """
    order = np.argsort(-scores, kind='stable')[:candidates]
    if len(order) <= 1 or iou_threshold >= 1.0:
        return order[:limit] if limit else order
    # Classes are told apart by moving each to a place of its own; first to where no coordinate
    # is negative, since that is what tells the places apart.
    corners = np.minimum(np.maximum(boxes[order].astype(np.float64), -_FAR), _FAR)
    origin = corners[:, :2].min(axis=0)
    corners -= np.concatenate((origin, origin))
    span = corners.max() + 1.0
    places = class_ids[order]
    if places.min() < 0 or places.max() > _MAX_CLASS:
        # Far apart, they would leave no digits for the boxes.
        _, places = np.unique(places, return_inverse=True)
    places = places.reshape(-1, 1) * span
    # A box turned inside out has no area; OpenCV takes a negative one for a full overlap.
    sizes = np.maximum(corners[:, 2:] - corners[:, :2], 0.0)
    rects = np.concatenate((corners[:, :2] + places, sizes), axis=1)
    # OpenCV takes x, y, width, height and drops what is not above its score threshold: ranks in
    # place of scores keep every box, and keep the order of equal ones.
    ranks = np.arange(len(order), 0, -1, dtype=np.float32)
    kept: Any = cv2.dnn.NMSBoxes(
        rects.tolist(), ranks.tolist(), 0.0, iou_threshold, top_k=0)
    rows = np.sort(np.asarray(kept, dtype=np.int64).reshape(-1))
    return order[rows[:limit] if limit else rows]


def ioa_filter(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int64],
    ioa_threshold: float, limit: int = 0,
) -> NDArray[np.int64]:
    """
    Drop boxes that lie mostly inside another one of their class, or around it.

    Suppression by intersection over union lets a small box inside a large one pass (a head and
    shoulders inside a person). Here the intersection is divided by the smaller of the two areas,
    and where that part is greater than the threshold, the box with the lower score goes.
    """
    order = np.argsort(-scores, kind='stable')
    limit = limit or len(order)
    if not 0.0 < ioa_threshold < 1.0:
        return order[:limit]
    corners, classes = boxes[order].astype(np.float64), class_ids[order]
    areas = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0.0), axis=1)
    alive = np.ones(len(order), dtype=bool)
    kept: list[int] = []
    # One turn for each box that stays; each turn looks at all the rest at once.
    for row in range(len(order)):
        if not alive[row]:
            continue
        kept.append(row)
        if len(kept) == limit:
            break
        rest = slice(row + 1, None)
        size = (np.minimum(corners[row, 2:], corners[rest, 2:])
                - np.maximum(corners[row, :2], corners[rest, :2]))
        shared = np.prod(np.maximum(size, 0.0), axis=1)
        # Multiplied instead of divided: an empty box divides by nothing.
        inside = shared > ioa_threshold * np.minimum(areas[row], areas[rest])
        alive[rest] &= ~(inside & (classes[rest] == classes[row]))
    return order[kept]
