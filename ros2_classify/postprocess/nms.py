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

"""Drop boxes that overlap a better one: non-maximum suppression and the overlap filter."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.options import MAX_CANDIDATES

# Beyond any image; boxes farther out would cost the others their decimals.
_FAR = 1e6
_MAX_CLASS = 10_000


def non_maximum_suppression(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int64],
    iou_threshold: float, limit: int = 0, candidates: int = MAX_CANDIDATES,
) -> NDArray[np.int64]:
    """
    Keep the best of the boxes that overlap, class by class.

    From the best box down, a box is dropped if its intersection over union with a better box of
    its class that stayed is above the threshold. Returns the rows that stay, best first; for
    equal scores, the earlier row first. OpenCV does the work
    (https://docs.opencv.org/4.x/d6/d0f/group__dnn.html, ``NMSBoxes``).
    """
    order = np.argsort(-scores, kind='stable')[:candidates]
    if len(order) <= 1 or iou_threshold >= 1.0:
        return order[:limit] if limit else order
    # Each class is moved to a place of its own, so that classes do not overlap; that needs
    # coordinates that are not negative.
    corners = np.minimum(np.maximum(boxes[order].astype(np.float64), -_FAR), _FAR)
    origin = corners[:, :2].min(axis=0)
    corners -= np.concatenate((origin, origin))
    span = corners.max() + 1.0
    places = class_ids[order]
    if places.min() < 0 or places.max() > _MAX_CLASS:
        # Large offsets would leave no digits for the boxes.
        _, places = np.unique(places, return_inverse=True)
    places = places.reshape(-1, 1) * span
    # An inverted box has no area; OpenCV takes a negative area for a full overlap.
    sizes = np.maximum(corners[:, 2:] - corners[:, :2], 0.0)
    rects = np.concatenate((corners[:, :2] + places, sizes), axis=1)
    # OpenCV drops boxes at its score threshold: ranks instead of scores keep every box, and the
    # order of equal scores.
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
    Drop boxes that are mostly inside a better box of their class, or around one.

    Intersection over union keeps a small box inside a large one, such as head and shoulders
    inside a person. Here the intersection is divided by the smaller area: above the threshold,
    the box with the lower score is dropped; 0 switches the filter off. An empty box stays.
    """
    order = np.argsort(-scores, kind='stable')
    limit = limit or len(order)
    if not 0.0 < ioa_threshold < 1.0:
        return order[:limit]
    corners, classes = boxes[order].astype(np.float64), class_ids[order]
    areas = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0.0), axis=1)
    alive = np.ones(len(order), dtype=bool)
    kept: list[int] = []
    # One iteration for each box that stays compares it with all the rest.
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
        # Multiplied instead of divided: the area may be 0.
        inside = shared > ioa_threshold * np.minimum(areas[row], areas[rest])
        alive[rest] &= ~(inside & (classes[rest] == classes[row]))
    return order[kept]
