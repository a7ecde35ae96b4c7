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

"""Join what the tiles of an image have found: each object once, though two tiles see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.options import Options
from ros2_classify.postprocess.nms import ioa_filter
from ros2_classify.preprocess.views import View
from ros2_classify.results.detections import Detections
from ros2_classify.results.masks import JoinedMasks

# A box is cut where it ends within this part of the tile, and at least a pixel, of an inner edge.
_EDGE = 0.01
# Boxes of two tiles, one of them cut, are one object if their overlap is more than this part of
# both together, where both tiles see.
_SAME = 0.5


def merge(parts: Sequence[Detections], views: Sequence[View], options: Options) -> Detections:
    """
    Return what several tiles of an image have found, each object once.

    Boxes of one class and different tiles suppress each other by ``nms_iou``, as those of one
    tile do. If an inner edge of a tile cuts one of them, they are compared where both tiles see:
    the whole box stays; two cut ones become the box around both (with masks, key points or
    angles the better one stays as it is). What stays has the best score of all, and its class: a
    weak whole box must not hide a sure cut one, least of all where a tracker asks for weak ones.
    """
    tile = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    class_ids = np.concatenate([part.class_ids for part in parts])
    seen = np.array([(x, y, x + width, y + height) for x, y, width, height in views], np.float64)
    boxes = np.concatenate([part.boxes for part in parts]).astype(np.float64)
    cut = _cut(boxes, seen[tile], (seen[:, :2].min(axis=0), seen[:, 2:].max(axis=0)))
    order = np.lexsort((-scores, cut))
    groups = np.zeros_like(class_ids) if options.nms_agnostic else class_ids
    joins = all(part.masks is None and part.keypoints is None and part.oriented is None
                for part in parts)
    alive = np.ones(len(scores), np.bool_)
    # For each row the one whose score and class it has.
    best = np.arange(len(scores))
    for place, row in enumerate(order):
        rest = order[place + 1:]
        while alive[row]:
            others = rest[alive[rest] & (groups[rest] == groups[row]) & (tile[rest] != tile[row])]
            if not len(others):
                break
            # Where both tiles see.
            low = np.maximum(seen[tile[row], :2], seen[tile[others], :2])
            high = np.minimum(seen[tile[row], 2:], seen[tile[others], 2:])
            window = np.concatenate((low, np.maximum(low, high)), axis=1)
            part = _iou(_within(boxes[row], window), _within(boxes[others], window))
            partly = (cut[row] | cut[others]) & (part > _SAME)
            same = others[partly | (_iou(boxes[row], boxes[others]) > options.nms_iou)]
            alive[same] = False
            if len(same):
                best[row] = max((best[row], *same), key=lambda each: scores[each])
            if not (cut[row] and joins and len(same)):
                break
            both = np.vstack((boxes[row], boxes[same]))
            boxes[row] = (*both[:, :2].min(axis=0), *both[:, 2:].max(axis=0))
    scores, class_ids = scores[best], class_ids[best]
    rows = np.flatnonzero(alive)
    rows = rows[np.argsort(-scores[rows], kind='stable')]
    if options.ioa_threshold > 0.0:
        rows = rows[ioa_filter(
            boxes[rows].astype(np.float32), scores[rows], class_ids[rows],
            options.ioa_threshold)]
    rows = rows[:options.max_detections]
    return replace(
        parts[0], boxes=boxes[rows].astype(np.float32), scores=scores[rows],
        class_ids=class_ids[rows],
        labels=np.concatenate([part.labels for part in parts])[best[rows]], **_more(parts, rows))


def _cut(
    boxes: NDArray[np.float64], tiles: NDArray[np.float64],
    whole: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.bool_]:
    """Tell which boxes end at an edge of their tile that is not one of the whole."""
    sides = tiles[:, 2:] - tiles[:, :2]
    near: NDArray[np.float64] = np.maximum(1.0, _EDGE * sides)
    first = (boxes[:, :2] - tiles[:, :2] <= near) & (tiles[:, :2] > whole[0])
    last = (tiles[:, 2:] - boxes[:, 2:] <= near) & (tiles[:, 2:] < whole[1])
    return np.asarray((first | last).any(axis=1))


def _within(boxes: NDArray[np.float64], windows: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.minimum(np.maximum(boxes[..., :2], windows[:, :2]), windows[:, 2:])
    high = np.minimum(np.maximum(boxes[..., 2:], windows[:, :2]), windows[:, 2:])
    return np.concatenate((low, high), axis=1)


def _iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union, row by row; 0 for boxes without an area."""
    shared = np.prod(np.maximum(0.0, np.minimum(boxes[..., 2:], others[:, 2:])
                                - np.maximum(boxes[..., :2], others[:, :2])), axis=1)
    areas = [np.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (boxes, others)]
    result: NDArray[np.float64] = shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)
    return result


def _more(parts: Sequence[Detections], rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return masks, key points and oriented boxes of rows of all parts."""
    found = [part for part in parts if len(part)]
    more: dict[str, Any] = {'masks': None, 'keypoints': None, 'oriented': None}
    masks = [part.masks for part in found if part.masks is not None]
    if found and len(masks) == len(found):
        places = [(number, row) for number, part in enumerate(found) for row in range(len(part))]
        more['masks'] = JoinedMasks(masks, np.array(places)[rows])
    points = [part.keypoints for part in found if part.keypoints is not None]
    if found and len(points) == len(found):
        more['keypoints'] = replace(
            points[0], points=np.concatenate([each.points for each in points])[rows],
            scores=np.concatenate([each.scores for each in points])[rows])
    oriented = [part.oriented for part in found if part.oriented is not None]
    if found and len(oriented) == len(found):
        more['oriented'] = np.concatenate(oriented)[rows]
    return more
