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

"""
Average precision as COCO defines it, and what else matching boxes tells.

The rules (https://cocodataset.org/#detection-eval): within an image and a class, predictions take
truths from the best score down, each the one with the greatest IoU; ignored truths (crowds, other
sizes) are taken last and count neither way. Precision is read at 101 points of recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify_evaluation.datasets.base import Objects

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

IOUS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
# Areas in pixels: all, small, medium, large.
SIZES = {'all': (0.0, 1e10), 'small': (0.0, 32.0**2), 'medium': (32.0**2, 96.0**2),
         'large': (96.0**2, 1e10)}
MOST = 100  # predictions of an image and a class


class Predicted(NamedTuple):
    """The predictions for an image, best first; ids are positions in the dataset's names."""

    boxes: Floats  # (N, 4)
    scores: Floats
    class_ids: Ints


class Matches(NamedTuple):
    """The predictions of a class on all images, for one size of objects."""

    scores: Floats  # (N,)
    images: Ints  # (N,) the position of each prediction's image
    right: NDArray[np.bool_]  # (T, N) at each IoU
    ignored: NDArray[np.bool_]  # (T, N)
    positives: Ints  # (images,) how many there are to find


def ious(boxes: Floats, others: Floats, crowd: NDArray[np.bool_] | None = None) -> Floats:
    """Return (N, M) IoUs; of a crowd, the part of the box that is in it."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    other = (others[:, 2:] - others[:, :2]).prod(axis=1)[None, :]
    union = area + other - shared
    if crowd is not None:
        union = np.where(crowd[None, :], area, union)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def match(overlap: Floats, ignored: NDArray[np.bool_], shared: NDArray[np.bool_],
          thresholds: Floats = IOUS) -> Ints:
    """
    Let predictions, best first, take truths.

    Parameters
    ----------
    overlap : ndarray of float64, shape (N, M)
        IoU of each prediction and truth.
    ignored, shared : ndarray of bool, shape (M,)
        Truths that are taken only if there is no other; and that several may take.
    thresholds : ndarray of float64, shape (T,)
        The least IoU.

    Returns
    -------
    ndarray of int64, shape (T, N)
        The truth that each took, or -1.

    """
    taken = np.zeros((len(thresholds), len(ignored)), bool)
    found = np.full((len(thresholds), len(overlap)), -1)
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    levels = np.arange(len(thresholds))
    if not len(ignored):
        return found
    for row, values in enumerate(overlap):
        free = (~taken | shared) & (values >= least)
        for kind in (~ignored, ignored):
            offers = np.where(free & kind & (found[:, row] < 0)[:, None], values, -1.0)
            # Of equal ones the last, as the reference does.
            best = offers.shape[1] - 1 - offers[:, ::-1].argmax(axis=1)
            there = offers[levels, best] >= 0
            found[there, row] = best[there]
        took = found[:, row] >= 0
        taken[levels[took], found[took, row]] = True
    return found


def matches(truths: Sequence[Objects], predictions: Sequence[Predicted], class_id: int,
            size: str = 'all', masks: tuple[Sequence[Floats], Sequence[Floats]] | None = None,
            ) -> Matches:
    """Match the predictions of a class on all images, by boxes or by IoUs and areas of masks."""
    low, high = SIZES[size]
    scores, images, right, ignored = [], [], [], []
    positives = np.zeros(len(truths), np.int64)
    for image, (truth, predicted) in enumerate(zip(truths, predictions)):
        mine = np.flatnonzero(truth.class_ids == class_id)
        rows = np.flatnonzero(predicted.class_ids == class_id)
        rows = rows[np.argsort(-predicted.scores[rows], kind='stable')][:MOST]
        crowd = truth.ignored[mine]
        other_size = (truth.areas[mine] < low) | (truth.areas[mine] > high)
        positives[image] = int((~(crowd | other_size)).sum())
        if not len(rows):
            continue
        boxes = predicted.boxes[rows]
        overlap = ious(boxes, truth.boxes[mine], crowd) if masks is None else (
            masks[0][image][np.ix_(rows, mine)])
        took = match(overlap, crowd | other_size, crowd)
        on_ignored = np.zeros(took.shape, bool)
        if len(mine):
            on_ignored = (took >= 0) & (crowd | other_size)[took]
        area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) if masks is None else (
            masks[1][image][rows])
        elsewhere = (took < 0) & ((area < low) | (area > high))[None, :]
        scores.append(predicted.scores[rows])
        images.append(np.full(len(rows), image))
        right.append((took >= 0) & ~on_ignored)
        ignored.append(on_ignored | elsewhere)
    if not scores:
        empty = np.zeros((len(IOUS), 0), bool)
        return Matches(np.zeros(0), np.zeros(0, np.int64), empty, empty, positives)
    order = np.argsort(-np.concatenate(scores), kind='stable')
    return Matches(
        np.concatenate(scores)[order], np.concatenate(images)[order],
        np.concatenate(right, axis=1)[:, order], np.concatenate(ignored, axis=1)[:, order],
        positives)


def average_precisions(found: Matches, weights: Floats | None = None) -> Floats:
    """
    Return the average precision at each IoU; nan if there is nothing to find.

    Parameters
    ----------
    found : Matches
        Of one class.
    weights : ndarray, shape (images,), optional
        How many times each image counts, for resampling.

    """
    each = np.ones(len(found.positives)) if weights is None else weights
    total = float((found.positives * each).sum())
    if not total:
        return np.full(len(IOUS), np.nan)
    weight = each[found.images]
    true = np.cumsum(found.right * weight, axis=1)
    false = np.cumsum((~found.right & ~found.ignored) * weight, axis=1)
    recall = true / total
    precision = true / (true + false + np.spacing(1))
    # The best precision at this recall or a higher one.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    values = np.zeros((len(IOUS), len(_RECALLS)))
    for level in range(len(IOUS)):
        places = np.searchsorted(recall[level], _RECALLS, side='left')
        there = places < recall.shape[1]
        values[level, there] = precision[level, places[there]]
    return np.asarray(values.mean(axis=1))


class Operating(NamedTuple):
    """
    All predictions of all images, best first, each matched at one IoU whatever its class.

    What comes of a higher threshold is the beginning of these arrays.
    """

    scores: Floats
    images: Ints
    rows: Ints  # of the image's predictions
    class_ids: Ints
    truths: Ints  # the class of the truth that it took, or -1; -2 if that one is ignored
    truth_rows: Ints  # the row of that truth, or -1


def operating(truths: Sequence[Objects], predictions: Sequence[Predicted],
              iou: float = 0.5) -> Operating:
    """Match predictions and truths regardless of class: first like classes, then any."""
    columns: list[list[float]] = []
    for image, (truth, predicted) in enumerate(zip(truths, predictions)):
        overlap = ious(predicted.boxes, truth.boxes, truth.ignored)
        same = predicted.class_ids[:, None] == truth.class_ids[None, :]
        # A prediction prefers a truth of its class to a closer one of another class.
        graded = np.where(same & (overlap >= iou), overlap + 1, overlap)
        took = match(graded, truth.ignored, truth.ignored, np.array([iou]))[0] if (
            len(truth)) else np.full(len(predicted.scores), -1)
        for row, mine in enumerate(took.tolist()):
            kind = -1 if mine < 0 else -2 if truth.ignored[mine] else int(truth.class_ids[mine])
            columns.append([float(predicted.scores[row]), image, row,
                            int(predicted.class_ids[row]), kind, mine])
    table = np.array(columns).reshape(-1, 6)
    table = table[np.argsort(-table[:, 0], kind='stable')]
    return Operating(table[:, 0], *(table[:, column].astype(np.int64) for column in range(1, 6)))


def confusion(found: Operating, truths: Sequence[Objects], threshold: Floats | float,
              classes: int) -> Ints:
    """
    Return how many truths (rows) were taken for which class (columns).

    The last row are false alarms on background, the last column are objects that were missed.
    """
    limits = np.broadcast_to(np.asarray(threshold, float), (classes,))
    chosen = found.scores >= limits[found.class_ids]
    table = np.zeros((classes + 1, classes + 1), np.int64)
    counted = chosen & (found.truths != -2)
    rows = np.where(found.truths < 0, classes, found.truths)[counted]
    np.add.at(table, (rows, found.class_ids[counted]), 1)
    there = np.zeros(classes, np.int64)
    for truth in truths:
        there += np.bincount(truth.class_ids[~truth.ignored], minlength=classes)
    table[:classes, classes] = there - table[:classes, :classes].sum(axis=1)
    return table
