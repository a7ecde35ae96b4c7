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
Choose thresholds from labelled images, without fooling oneself.

A threshold that is best on some images is too good to be true on others, the more so for each
class by itself. So what it gives is measured by cross-validation: chosen on some folds, counted on
the other one; and the values of classes are drawn towards the common one, the more the fewer
examples there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify import OptionsError
from ros2_classify_evaluation.metrics import detection
from ros2_classify_evaluation.metrics.bootstrap import interval
from ros2_classify_evaluation.predict import Predictions

Floats = NDArray[np.float64]
FOLDS = 5
LEAST_EXAMPLES = 50
# A class with this many examples keeps half of its own choice.
_PRIOR_EXAMPLES = 100
_IOU_LEVEL = 0  # 0.5


@dataclass(frozen=True, eq=False)
class Ranked:
    """The predictions of a class, best first, and how many truths each image has."""

    scores: Floats
    right: NDArray[np.bool_]
    images: NDArray[np.int64]
    positives: NDArray[np.int64]  # (images,)

    def among(self, images: NDArray[np.bool_]) -> Ranked:
        """Return what belongs to some images."""
        rows = images[self.images]
        return Ranked(self.scores[rows], self.right[rows], self.images[rows],
                      np.where(images, self.positives, 0))


@dataclass(frozen=True)
class Goal:
    """
    What a threshold is to reach: see `parse_goal`.

    `value` gets true positives, false positives and the number of truths, as arrays, and returns
    what is to be greatest.
    """

    name: str
    value: Callable[[Floats, Floats, float], Floats]


def parse_goal(text: str) -> Goal:
    """
    Read a goal.

    ``f1``; ``precision=0.95`` and ``recall=0.9``: the greatest recall, or precision, among the
    thresholds that reach it; ``cost=FP:FN``: the least cost of false alarms and misses.
    """
    kind, _, rest = text.partition('=')
    try:
        if kind == 'f1' and not rest:
            return Goal(text, lambda true, false, total: 2 * true / np.maximum(
                true + false + total, 1))
        if kind == 'cost':
            alarm, miss = (float(each) for each in rest.split(':'))
            if alarm < 0 or miss < 0:
                raise ValueError
            return Goal(text, lambda true, false, total: -(alarm * false + miss * (total - true)))
        least = float(rest)
        if kind == 'precision' and 0 < least <= 1:
            return Goal(text, lambda true, false, total: _among(
                true / np.maximum(true + false, 1), least, true / max(total, 1)))
        if kind == 'recall' and 0 < least <= 1:
            return Goal(text, lambda true, false, total: _among(
                true / max(total, 1), least, true / np.maximum(true + false, 1)))
    except ValueError:
        pass
    raise OptionsError(
        f'--for is {text!r} but must be f1, precision=P, recall=R (above 0, up to 1) or '
        'cost=FP:FN, what a false alarm and a miss cost')


def _among(first: Floats, least: float, second: Floats) -> Floats:
    """Return the second measure where the first reaches the least; else how near it comes."""
    return np.where(first >= least, 1 + second, first)


def ranked_classes(found: Predictions) -> list[Ranked]:
    """Return the predictions of each class."""
    images = len(found)
    if found.task == 'detection':
        classes = []
        for number in range(len(found.classes.names)):
            each = detection.matches(found.objects, found.boxes, number)
            kept = ~each.ignored[_IOU_LEVEL]
            classes.append(Ranked(each.scores[kept], each.right[_IOU_LEVEL][kept],
                                  each.images[kept], each.positives))
        return classes
    if found.task != 'classification':
        raise OptionsError(
            f'thresholds are for classification and detection, but the task is {found.task}')
    classes = []
    for number in range(len(found.classes.names)):
        truth = found.truth[:, number]
        # Of one class for each image only the best one is said.
        rows = np.arange(images) if found.multi_label else np.flatnonzero(found.best == number)
        scores = found.scores[rows, number]
        order = np.argsort(-scores, kind='stable')
        classes.append(Ranked(scores[order], truth[rows][order], rows[order],
                              truth.astype(np.int64)))
    return classes


def best_threshold(classes: Sequence[Ranked], goal: Goal) -> float:
    """Return the threshold, common to some classes, that comes nearest to a goal."""
    scores = np.concatenate([each.scores for each in classes])
    right = np.concatenate([each.right for each in classes])
    total = float(sum(int(each.positives.sum()) for each in classes))
    if not len(scores):
        return 1.0
    order = np.argsort(-scores, kind='stable')
    scores, right = scores[order], right[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1]
    true = np.cumsum(right)[last].astype(float)
    values = goal.value(true, last + 1 - true, total)
    # Of equal ones the highest, and between two scores: the next image may be a little worse.
    best = int(values.argmax())
    here = scores[last[best]]
    below = scores[last[best + 1]] if best + 1 < len(last) else 0.0
    return float((here + below) / 2)


def class_thresholds(classes: Sequence[Ranked], goal: Goal) -> tuple[float, Floats, Floats]:
    """Return the common threshold, those of each class, and these drawn towards the common one."""
    common = best_threshold(classes, goal)
    own = np.array([best_threshold([each], goal) if each.positives.any() else common
                    for each in classes])
    examples = np.array([float(each.positives.sum()) for each in classes])
    part = examples / (examples + _PRIOR_EXAMPLES)
    return common, own, common + part * (own - common)


def macro_f1(classes: Sequence[Ranked], thresholds: Floats, weights: Floats | None = None,
             ) -> float:
    """Return the mean F1 of the classes that have truths."""
    values = []
    for each, threshold in zip(classes, thresholds):
        scale = np.ones(len(each.positives)) if weights is None else weights
        total = float((each.positives * scale).sum())
        if total:
            chosen = each.scores >= threshold
            true = float((each.right & chosen) @ scale[each.images])
            false = float((~each.right & chosen) @ scale[each.images])
            values.append(2 * true / (true + false + total))
    return float(np.mean(values)) if values else float('nan')


@dataclass(frozen=True, eq=False)
class Row:
    """A way to choose: its thresholds, F1 on the images that chose, and on others."""

    way: str
    thresholds: Floats
    chosen: float
    others: float
    low: float  # of `others`, with 95 %
    high: float


def choose(found: Predictions, goal: Goal, *, folds: int = FOLDS, seed: int = 0) -> list[Row]:
    """
    Compare four ways to set thresholds.

    Parameters
    ----------
    found : Predictions
        From `predict`.
    goal : Goal
        From `parse_goal`.
    folds, seed : int
        Of the cross-validation.

    Returns
    -------
    list of Row
        ``default``, ``common``, ``per class`` and ``shrunk``.

    """
    classes, images = ranked_classes(found), len(found)
    if images < 2 * folds:
        raise OptionsError(
            f'{images} images are too few to choose a threshold and to check it: give '
            f'{2 * folds} at least')
    count = len(classes)
    fold = np.random.default_rng(seed).permutation(images) % folds

    def ways(part: Sequence[Ranked]) -> dict[str, Floats]:
        common, own, shrunk = class_thresholds(part, goal)
        return {'default': np.full(count, found.threshold), 'common': np.full(count, common),
                'per class': own, 'shrunk': shrunk}

    of_fold = [ways([each.among(fold != number) for each in classes]) for number in range(folds)]
    rows = []
    for way, thresholds in ways(classes).items():
        # Each prediction counts by the thresholds that were chosen without its image.
        shifted = []
        for number, each in enumerate(classes):
            limits = np.array([of_fold[part][way][number] for part in range(folds)])
            shifted.append(Ranked(each.scores - limits[fold[each.images]], each.right,
                                  each.images, each.positives))

        def others(weights: Floats, shifted: list[Ranked] = shifted) -> float:
            return macro_f1(shifted, np.zeros(count), weights)

        rows.append(Row(way, thresholds, macro_f1(classes, thresholds), others(np.ones(images)),
                        *interval(others, images)))
    return rows


def rare(found: Predictions, least: int = LEAST_EXAMPLES) -> list[tuple[str, int]]:
    """Return classes with too few examples to have a threshold of their own."""
    return [(name, int(each.positives.sum()))
            for name, each in zip(found.classes.names, ranked_classes(found))
            if each.positives.sum() < least]
