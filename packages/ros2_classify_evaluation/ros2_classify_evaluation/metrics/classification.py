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

"""Measures of classes: one for each image, or several."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify_evaluation.metrics.ranking import average_precision

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class PerClass(NamedTuple):
    """Precision, recall and F1 of each class, and how many truths it has; 0 for 0 / 0."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Counts


def confusion_matrix(truth: Counts, predicted: Counts, count: int) -> Counts:
    """Return how many images of each class (rows) were taken for each one (columns)."""
    flat = np.bincount(truth * count + predicted, minlength=count * count)
    return flat.reshape(count, count)


def per_class(confusion: Counts, classes: int | None = None) -> PerClass:
    """Return the measures of the first `classes` classes; the rest mean "no class"."""
    classes = len(confusion) if classes is None else classes
    true = np.diagonal(confusion)[:classes].astype(float)
    return of_counts(true, confusion.sum(axis=0)[:classes] - true,
                     confusion.sum(axis=1)[:classes] - true)


def of_counts(true: Floats, false: Floats, missed: Floats) -> PerClass:
    """Return the measures of true positives, false positives and false negatives."""
    precision = _ratio(true, true + false)
    recall = _ratio(true, true + missed)
    f1 = _ratio(2 * true, 2 * true + false + missed)
    return PerClass(precision, recall, f1, (true + missed).astype(np.int64))


def macro(values: Floats) -> float:
    """Return the mean over the classes."""
    return float(values.mean()) if len(values) else 0.0


def weighted(values: Floats, support: Counts) -> float:
    """Return the mean over the classes, by how many truths each has."""
    return float((values * support).sum() / support.sum()) if support.sum() else 0.0


def balanced_accuracy(confusion: Counts) -> float:
    """Return the mean recall of the classes that have truths."""
    support = confusion.sum(axis=1)
    there = support > 0
    return float((np.diagonal(confusion)[there] / support[there]).mean())


def top_k_accuracy(truth: Counts, ranked: Counts, k: int) -> float:
    """Return how often the truth is among the first k of each row of `ranked`."""
    return float((ranked[:, :k] == truth[:, None]).any(axis=1).mean())


class MultiLabel(NamedTuple):
    """Measures of images with several labels; `classes` are those of each label."""

    hamming_loss: float
    subset_accuracy: float
    classes: PerClass
    micro_f1: float
    average_precisions: Floats


def multi_label(truth: NDArray[np.bool_], scores: Floats, thresholds: Floats) -> MultiLabel:
    """Return the measures of N images and C labels: both arrays are (N, C)."""
    chosen = scores >= thresholds
    true = (chosen & truth).sum(axis=0).astype(float)
    false = (chosen & ~truth).sum(axis=0).astype(float)
    missed = (~chosen & truth).sum(axis=0).astype(float)
    total = _ratio(np.array([2 * true.sum()]),
                   np.array([2 * true.sum() + false.sum() + missed.sum()]))
    return MultiLabel(
        float((chosen != truth).mean()), float((chosen == truth).all(axis=1).mean()),
        of_counts(true, false, missed), float(total[0]),
        np.array([average_precision(truth[:, label], scores[:, label])
                  for label in range(truth.shape[1])]))


def mean_iou(confusion: Counts) -> tuple[Floats, float]:
    """Return the IoU of each class (nan where it is nowhere), and their mean."""
    true = np.diagonal(confusion).astype(float)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - true
    with np.errstate(invalid='ignore', divide='ignore'):
        ious = np.where(union > 0, true / union, np.nan)
    return ious, float(np.nanmean(ious)) if (union > 0).any() else float('nan')


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
