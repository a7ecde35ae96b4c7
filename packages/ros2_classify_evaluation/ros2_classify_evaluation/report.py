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


"""A report: measures with intervals, tables of classes, curves, and what deceives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify_evaluation.datasets.base import Dataset
from ros2_classify_evaluation.metrics import classification, detection, ranking, tracking
from ros2_classify_evaluation.metrics.bootstrap import interval
from ros2_classify_evaluation.predict import Predictions
from ros2_classify_evaluation.tracks import blocks

Weights = NDArray[np.float64]
# A measure of a resampled dataset: how many times each image counts -> value.
Measure = Callable[[Weights], float]
_DOMINANT = 0.8
_POINTS = 101


@dataclass(frozen=True)
class Value:
    """A measure, and the interval of 95 % in which it would be with other such images."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """Return it in JSON types."""
        return {name: _rounded(number) for name, number in vars(self).items()}


@dataclass(eq=False)
class Report:
    """
    What `evaluate` found.

    Parameters
    ----------
    predictions : Predictions
        What it was made of.
    measures : dict of str to Value
        The headline numbers by name, for example ``map``, the most important first.
    per_class : list of dict
        One row for each class.
    confusion : ndarray of int64, shape (C + 1, C + 1)
        Truths (rows) and predictions (columns); the last ones stand for "none of these".
    curves : dict
        Lists of numbers by name.
    warnings : list of str
        What may deceive a reader.
    resampled : dict of str to callable
        The same measures for resampled images; comparisons use them.
    blocks : dict of str to ndarray
        For measures of sequences, which images are resampled together.

    """

    predictions: Predictions
    dataset: dict[str, Any]
    measures: dict[str, Value]
    per_class: list[dict[str, Any]]
    confusion: NDArray[np.int64]
    curves: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    resampled: dict[str, Measure] = field(default_factory=dict)
    blocks: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        found = self.predictions
        return {
            'model': found.model, 'sha256': found.sha256, 'provider': found.provider,
            'task': found.task, 'dataset': self.dataset,
            'score_threshold': found.threshold,
            'measures': {name: value.to_dict() for name, value in self.measures.items()},
            'per_class': [{name: _rounded(value) for name, value in row.items()}
                          for row in self.per_class],
            'confusion': self.confusion.tolist(), 'curves': self.curves,
            'latency_ms': latency(found), 'warnings': self.warnings}


def latency(found: Predictions) -> dict[str, float]:
    """Return the median and the 95th percentile of an image, in milliseconds."""
    times = found.milliseconds
    return {'median': round(float(np.median(times)), 3),
            'p95': round(float(np.quantile(times, 0.95)), 3)}


def make_report(found: Predictions, dataset: Dataset, threshold: float | None = None) -> Report:
    """
    Measure predictions.

    Parameters
    ----------
    found : Predictions
        From `predict`.
    dataset : Dataset
        What they were made of.
    threshold : float, optional
        The score from which results count where a measure needs one; the model's by default.

    Returns
    -------
    Report

    """
    if threshold is not None:
        found.threshold = threshold
    about = {'source': dataset.source, 'format': dataset.kind, 'images': len(found),
             'classes': list(found.classes.names)}
    report = _MAKERS[found.task](found, about)
    report.warnings += dataset.notes
    if found.outside:
        report.warnings.append(
            f'{found.outside} of {sum(map(len, found.objects))} objects are outside of their '
            'images by more than half: are these the images that were labelled, and the boxes in '
            f'the order of {dataset.kind}?')
    if found.classes.unlabelled and found.task == 'detection':
        report.warnings.append(
            f'{len(found.classes.unlabelled)} classes of the model are not in the dataset; their '
            'boxes count neither way')
    return report


def _values(measures: dict[str, Measure], images: int) -> dict[str, Value]:
    ones = np.ones(images)
    return {name: Value(measure(ones), *interval(measure, images))
            for name, measure in measures.items()}


# ---- classification

def _classes(found: Predictions, about: dict[str, Any]) -> Report:
    if found.multi_label:
        return _labels(found, about)
    count = len(found.classes.names)
    truth = found.truth.argmax(axis=1)
    # A class that the dataset doesn't have is one more.
    best = np.where(found.best < 0, count, found.best)
    right = best == truth

    def table(weights: Weights) -> NDArray[Any]:
        flat = np.bincount(truth * (count + 1) + best, weights, minlength=(count + 1) ** 2)
        return flat.reshape(count + 1, count + 1)

    def f1(weights: Weights) -> float:
        each = classification.per_class(table(weights), count)
        return classification.macro(each.f1[each.support > 0])

    measures: dict[str, Measure] = {
        'balanced_accuracy': lambda weights: classification.balanced_accuracy(table(weights)),
        'macro_f1': f1,
        'accuracy': lambda weights: float((right * weights).sum() / weights.sum()),
    }
    if count > 5:
        top = (found.ranked == truth[:, None]).any(axis=1)
        measures['top_5_accuracy'] = lambda weights: float((top * weights).sum() / weights.sum())
    confusion = table(np.ones(len(found))).astype(np.int64)
    each = classification.per_class(confusion, count)
    per_class = []
    for number, name in enumerate(found.classes.names):
        mine = truth == number
        per_class.append({
            'class': name, 'images': int(each.support[number]),
            'precision': float(each.precision[number]), 'recall': float(each.recall[number]),
            'f1': float(each.f1[number]),
            'ap': ranking.average_precision(mine, found.scores[:, number]),
            'roc_auc': ranking.roc_area(mine, found.scores[:, number])})
    sure = ranking.calibration(right, np.clip(found.best_scores, 0, 1))
    values = _values(measures, len(found))
    values['weighted_f1'] = _plain(classification.weighted(each.f1, each.support))
    values['expected_calibration_error'] = _plain(sure.error)
    report = Report(found, about, values, per_class, confusion, resampled=measures)
    share = float(each.support.max() / each.support.sum())
    largest = found.classes.names[int(each.support.argmax())]
    values['largest_class_share'] = _plain(share)
    values['always_largest_accuracy'] = _plain(share)
    accuracy = values['accuracy'].value
    if share >= _DOMINANT or accuracy <= share:
        better = 'no better than' if accuracy <= share else 'to be compared with'
        report.warnings.append(
            f'accuracy deceives: {share:.1%} of the images are {largest}, so always saying '
            f'{largest} has an accuracy of {share:.1%}; that of the model, {accuracy:.1%}, is '
            f'{better} it; look at balanced accuracy ({values["balanced_accuracy"].value:.1%}) '
            'and at the classes')
    report.curves = {
        'calibration': {'counts': sure.counts.tolist(),
                        'confidence': sure.confidence.round(6).tolist(),
                        'accuracy': sure.accuracy.round(6).tolist()},
        **_ranking_curves(found.truth, found.scores, found.classes.names)}
    return report


def _labels(found: Predictions, about: dict[str, Any]) -> Report:
    count = len(found.classes.names)
    limits = np.full(count, found.threshold)
    chosen = found.scores >= limits

    def f1(weights: Weights) -> float:
        scale = weights[:, None]
        true = (chosen & found.truth) * scale
        each = classification.of_counts(
            true.sum(axis=0), (chosen * scale - true).sum(axis=0),
            (found.truth * scale - true).sum(axis=0))
        return classification.macro(each.f1)

    exact = (chosen == found.truth).all(axis=1)
    measures: dict[str, Measure] = {
        'macro_f1': f1,
        'subset_accuracy': lambda weights: float((exact * weights).sum() / weights.sum())}
    all_ = classification.multi_label(found.truth, found.scores, limits)
    per_class = [
        {'class': name, 'images': int(all_.classes.support[number]),
         'precision': float(all_.classes.precision[number]),
         'recall': float(all_.classes.recall[number]), 'f1': float(all_.classes.f1[number]),
         'ap': float(all_.average_precisions[number])}
        for number, name in enumerate(found.classes.names)]
    values = {
        'map': _plain(float(np.nanmean(all_.average_precisions))
                      if np.isfinite(all_.average_precisions).any() else float('nan')),
        **_values(measures, len(found)), 'micro_f1': _plain(all_.micro_f1),
        'weighted_f1': _plain(
            classification.weighted(all_.classes.f1, all_.classes.support)),
        'hamming_loss': _plain(all_.hamming_loss)}
    warnings = [] if found.threshold > 0 else [
        'the threshold is 0, so that every label counts as said: give --threshold; average '
        'precision needs none']
    both = found.truth[:, :, None] & chosen[:, None, :]
    return Report(found, about, values, per_class, both.sum(axis=0).astype(np.int64),
                  _ranking_curves(found.truth, found.scores, found.classes.names),
                  warnings, resampled=measures)


def _ranking_curves(truth: NDArray[np.bool_], scores: NDArray[np.float64],
                    names: tuple[str, ...]) -> dict[str, Any]:
    """Return precision against recall, and ROC, of each class with both kinds of images."""
    curves: dict[str, Any] = {'precision_recall': {}, 'roc': {}}
    for number, name in enumerate(names):
        mine = truth[:, number]
        if not mine.any() or mine.all():
            continue
        for kind, curve in (
                ('precision_recall', ranking.precision_recall(mine, scores[:, number])),
                ('roc', ranking.roc(mine, scores[:, number]))):
            curves[kind][name] = _thinned(curve.x, curve.y)
    return curves


# ---- detection

def _objects(found: Predictions, about: dict[str, Any]) -> Report:
    names, truths = found.classes.names, found.objects
    count = len(names)
    all_ = [detection.matches(truths, found.boxes, number) for number in range(count)]

    measures: dict[str, Measure] = {}
    values = _precision(found, all_, None, '', measures)
    masked = []
    if found.mask_overlaps:
        masks = found.mask_overlaps, found.mask_areas
        masked = [detection.matches(truths, found.boxes, number, masks=masks)
                  for number in range(count)]
        values |= _precision(found, masked, masks, 'mask_', measures)
    matched = detection.operating(truths, found.boxes)
    confusion = detection.confusion(matched, truths, found.threshold, count)
    each = _at_threshold(all_, found.threshold)
    per_class = []
    for number, name in enumerate(names):
        precisions = detection.average_precisions(all_[number])
        per_class.append({
            'class': name, 'objects': int(all_[number].positives.sum()),
            'ap': float(precisions.mean()), 'ap50': float(precisions[0]),
            'precision': float(each.precision[number]), 'recall': float(each.recall[number]),
            'f1': float(each.f1[number])})
        if masked:
            per_class[-1]['mask_ap'] = float(
                detection.average_precisions(masked[number]).mean())
    there = each.support > 0
    values['macro_f1'] = _plain(classification.macro(each.f1[there]))
    alarms = (matched.scores >= found.threshold) & (matched.truths == -1)
    empty = np.array([not len(truth) for truth in truths])
    values['false_alarms_per_image'] = _plain(float(alarms.sum() / len(found)))
    if empty.any():
        values['false_alarms_per_empty_image'] = _plain(
            float(empty[matched.images[alarms]].sum() / empty.sum()))
    if found.tracks is not None:
        together = blocks(found.samples)
        values |= _tracks(found, about, together, measures)
    about['objects'] = int(sum(int((~truth.ignored).sum()) for truth in truths))
    curves: dict[str, Any] = {'precision_recall': {}, 'f1_confidence': {}}
    for number, name in enumerate(names):
        one = all_[number]
        kept = ~one.ignored[0]
        total = int(one.positives.sum())
        if not total:
            continue
        curve = ranking.precision_recall(one.right[0][kept], one.scores[kept], total)
        curves['precision_recall'][name] = _thinned(curve.x, curve.y)
        f1 = 2 * curve.x * curve.y / np.maximum(curve.x + curve.y, 1e-12)
        curves['f1_confidence'][name] = _thinned(curve.thresholds, f1)
    report = Report(found, about, values, per_class, confusion, curves, resampled=measures)
    if found.tracks is not None:
        report.blocks = {'idf1': together, 'mota': together}
    if not about['objects']:
        report.warnings.append('the dataset has no object, so there is no average precision')
    return report


def _precision(found: Predictions, all_: list[detection.Matches], masks: Any, kind: str,
               measures: dict[str, Measure]) -> dict[str, Value]:
    """Return COCO's six numbers, of boxes or masks, and add those with intervals to measures."""
    def mean(weights: Weights, level: int | None = None) -> float:
        table = np.array([detection.average_precisions(each, weights) for each in all_])
        return _known_mean(table if level is None else table[:, level])

    mine: dict[str, Measure] = {
        f'{kind}map': mean, f'{kind}map50': lambda weights: mean(weights, 0)}
    measures.update(mine)
    values = _values(mine, len(found))
    values[f'{kind}map75'] = _plain(mean(np.ones(len(found)), 5))
    for size in ('small', 'medium', 'large'):
        values[f'{kind}map_{size}'] = _plain(_known_mean(np.array([
            detection.average_precisions(
                detection.matches(found.objects, found.boxes, number, size, masks))
            for number in range(len(all_))])))
    return values


def _known_mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')


def _tracks(found: Predictions, about: dict[str, Any], together: NDArray[np.int64],
            measures: dict[str, Measure]) -> dict[str, Value]:
    """Return what the ids are worth; images of a sequence are resampled in parts."""
    counts = found.tracks
    assert counts is not None
    about['tracks'] = counts.tracks
    table = counts.images
    mine: dict[str, Measure] = {'idf1': lambda weights: tracking.idf1(weights @ table),
                                'mota': lambda weights: tracking.mota(weights @ table)}
    measures.update(mine)
    return {
        **{name: Value(measure(np.ones(len(found))),
                       *interval(measure, len(found), blocks=together))
           for name, measure in mine.items()},
        'id_switches': _plain(float(counts.switches))}


def _at_threshold(all_: list[detection.Matches], threshold: float,
                  ) -> classification.PerClass:
    """Return the measures of each class at an IoU of 0.5 and a threshold."""
    true, false, missed = [], [], []
    for each in all_:
        chosen = each.scores >= threshold
        right = int((each.right[0] & chosen).sum())
        true.append(right)
        false.append(int((~each.right[0] & ~each.ignored[0] & chosen).sum()))
        missed.append(int(each.positives.sum()) - right)
    return classification.of_counts(*(np.array(each, float) for each in (true, false, missed)))


# ---- segmentation

def _pixels(found: Predictions, about: dict[str, Any]) -> Report:
    count = len(found.classes.names)

    def total(weights: Weights) -> NDArray[np.int64]:
        return np.asarray((found.confusion * weights[:, None, None]).sum(axis=0), np.int64)

    def miou(weights: Weights) -> float:
        ious = classification.mean_iou(total(weights))[0][:count]
        return float(np.nanmean(ious)) if np.isfinite(ious).any() else float('nan')

    def accuracy(weights: Weights) -> float:
        table = total(weights)
        return float(np.diagonal(table).sum() / max(int(table.sum()), 1))

    measures: dict[str, Measure] = {'miou': miou, 'pixel_accuracy': accuracy}
    table = total(np.ones(len(found)))
    ious, _ = classification.mean_iou(table)
    each = classification.per_class(table, count)
    per_class = [
        {'class': name, 'pixels': int(each.support[number]), 'iou': float(ious[number]),
         'precision': float(each.precision[number]), 'recall': float(each.recall[number])}
        for number, name in enumerate(found.classes.names)]
    values = _values(measures, len(found))
    report = Report(found, about, values, per_class, table, resampled=measures)
    share = float(each.support.max() / max(int(each.support.sum()), 1))
    values['largest_class_share'] = _plain(share)
    if share >= _DOMINANT:
        report.warnings.append(
            f'pixel accuracy deceives: {share:.1%} of the pixels are '
            f'{found.classes.names[int(each.support.argmax())]}; look at the IoU of the classes')
    return report


_MAKERS: dict[str, Callable[[Predictions, dict[str, Any]], Report]] = {
    'classification': _classes, 'detection': _objects, 'segmentation': _pixels}


def _plain(value: float) -> Value:
    """Return a measure without an interval."""
    return Value(value, float('nan'), float('nan'))


def _rounded(value: Any) -> Any:
    """Return a number as JSON has it: six digits, and null for nan."""
    if not isinstance(value, float):
        return value
    return None if not math.isfinite(value) else round(value, 6)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[list[float]]:
    """Return a curve with few points, both ends among them."""
    rows = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).round().astype(int))
    return [x[rows].round(5).tolist(), y[rows].round(5).tolist()]
