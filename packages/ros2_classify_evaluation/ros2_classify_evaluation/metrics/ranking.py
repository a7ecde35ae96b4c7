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

"""Measures of a ranking by score: curves, areas below them, calibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Curve(NamedTuple):
    """Two rates for each threshold, from the highest to the lowest score."""

    x: Floats
    y: Floats
    thresholds: Floats


def _counts(right: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Return true and false positives for each different score as the threshold."""
    order = np.argsort(-scores, kind='stable')
    right, scores = right[order], scores[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1] if len(scores) else (
        np.zeros(0, int))
    true = np.cumsum(right)[last].astype(float)
    return true, 1.0 + last - true, scores[last]


def precision_recall(right: NDArray[np.bool_], scores: Floats,
                     positives: int | None = None) -> Curve:
    """
    Return recall (x) and precision (y).

    Parameters
    ----------
    right : ndarray of bool, shape (N,)
        Whether each prediction is right.
    scores : ndarray of float64, shape (N,)
        Their scores.
    positives : int, optional
        How many there are to find, if some have no prediction at all.

    """
    true, false, thresholds = _counts(right, scores)
    total = int(right.sum()) if positives is None else positives
    return Curve(true / max(total, 1), true / np.maximum(true + false, 1), thresholds)


def average_precision(right: NDArray[np.bool_], scores: Floats) -> float:
    """Return the mean precision, weighted by the steps of recall; nan without a positive."""
    if not right.any():
        return float('nan')
    curve = precision_recall(right, scores)
    return float(np.sum(np.diff(np.r_[0.0, curve.x]) * curve.y))


def roc(right: NDArray[np.bool_], scores: Floats) -> Curve:
    """Return the false (x) and true (y) positive rates, from (0, 0) to (1, 1)."""
    true, false, thresholds = _counts(right, scores)
    positives = max(int(right.sum()), 1)
    negatives = max(int((~right).sum()), 1)
    return Curve(np.r_[0.0, false / negatives], np.r_[0.0, true / positives],
                 np.r_[np.inf, thresholds])


def roc_area(right: NDArray[np.bool_], scores: Floats) -> float:
    """Return the area below the ROC curve; nan without a positive or a negative."""
    if not right.any() or right.all():
        return float('nan')
    curve = roc(right, scores)
    return float(np.sum(np.diff(curve.x) * (curve.y[1:] + curve.y[:-1]) / 2))


class Calibration(NamedTuple):
    """Bins of confidence: how many predictions, how sure, how often right; and the error."""

    counts: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats
    error: float  # the expected calibration error


def calibration(right: NDArray[np.bool_], scores: Floats, bins: int = 15) -> Calibration:
    """Return how confidence and accuracy differ, in bins of equal width."""
    place = np.clip(np.ceil(scores * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.maximum(counts, 1)
    confidence = np.bincount(place, scores, bins) / filled
    accuracy = np.bincount(place, right.astype(float), bins) / filled
    error = float((counts * np.abs(accuracy - confidence)).sum() / max(len(scores), 1))
    return Calibration(counts, confidence, accuracy, error)
