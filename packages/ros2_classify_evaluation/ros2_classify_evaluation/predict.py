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


"""Run a model on a dataset, at the thresholds that measures ask for and not at its defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify import (
    Classification, Detections, InputError, Labels, OptionsError, Pipeline, Segmentation)
from ros2_classify_evaluation.datasets.base import Dataset, Objects, Sample
from ros2_classify_evaluation.datasets.consistency import outside
from ros2_classify_evaluation.metrics.detection import Predicted
from ros2_classify_evaluation.metrics.masks import decode, overlaps
from ros2_classify_evaluation.metrics.tracking import Counts
from ros2_classify_evaluation.names import ClassMap, match_names
from ros2_classify_evaluation.tracks import Follower, has_tracks

# As COCO's measure has it; mAP of a model that drops its weak boxes is too low.
_LEAST_SCORE = 0.001
_MOST_BOXES = 100
UNLABELLED = 255


@dataclass(eq=False)
class Predictions:
    """
    What a model says about a dataset, and the truth, in the classes of both.

    Of `truth`, `scores`, `objects`, `boxes` and `confusion` those of the task are set.
    """

    task: str
    classes: ClassMap
    names: list[str]  # of the images
    threshold: float  # the model's default
    model: str = ''
    provider: str = ''
    sha256: str = ''
    multi_label: bool = False
    milliseconds: list[float] = field(default_factory=list)  # of each image, without reading it
    # Classification: (N, C) whether a class is there, and its score, and the best class's
    # position or -1 for one that the dataset doesn't have.
    truth: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    best: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    best_scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    ranked: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    # Detection.
    objects: list[Objects] = field(default_factory=list)
    boxes: list[Predicted] = field(default_factory=list)
    outside: int = 0  # how many objects are not on their images
    tracks: Counts | None = None  # if the objects have ids
    # If the model and the dataset have masks: IoUs (N, M) and pixels (N,) of each image.
    mask_overlaps: list[NDArray[np.float64]] = field(default_factory=list)
    mask_areas: list[NDArray[np.float64]] = field(default_factory=list)
    # Segmentation: (N, C + 1, C + 1) pixels of each image; the last class is any other.
    confusion: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0, 0), np.int64))
    samples: Sequence[Sample] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)


def predict(pipeline: Pipeline[Any], dataset: Dataset, renamed: dict[str, str] | None = None, *,
            threshold: float | None = None,
            progress: Callable[[int, int], Any] = lambda done, total: None) -> Predictions:
    """
    Run a model on all images.

    Parameters
    ----------
    pipeline : Pipeline
        Of the dataset's task.
    dataset : Dataset
        From `open_dataset`.
    renamed : dict of str to str, optional
        What the model calls classes of the dataset.
    threshold : float, optional
        The score from which results count where a measure needs one; the model's by default.
    progress : callable, optional
        Told how many images are done, of how many.

    Returns
    -------
    Predictions

    Raises
    ------
    InputError
        If the task or class names don't fit, or an image can't be read.

    """
    if pipeline.task != dataset.task:
        raise InputError(
            f'{dataset.source} ({dataset.kind}) has labels for {dataset.task}, but the task of '
            f'{pipeline.descriptor.name} is {pipeline.task}; give a dataset for {pipeline.task}, '
            'or say with --format how to read it')
    labels = pipeline.labels
    if labels is None:
        raise OptionsError(
            f'{pipeline.descriptor.name} has no labels, so its classes cannot be compared with '
            'those of the dataset; give a descriptor with the key labels')
    classes = match_names(dataset.names, dict(labels.items()), renamed or {})
    found = Predictions(
        dataset.task, classes, [sample.name for sample in dataset.samples],
        pipeline.options.score_threshold if threshold is None else threshold,
        pipeline.descriptor.name, pipeline.engine.provider,
        multi_label=dataset.multi_label, samples=dataset.samples)
    collect = _COLLECTORS[dataset.task](pipeline, labels, found)
    pipeline.warm_up()
    for number, sample in enumerate(dataset.samples, 1):
        collect.add(sample)
        progress(number, len(dataset))
    collect.finish()
    return found


class _Classes:
    """Collects the scores of all classes."""

    def __init__(self, pipeline: Pipeline[Classification], labels: Labels,
                 found: Predictions) -> None:
        self._pipeline, self._found = pipeline, found
        self._options = pipeline.options.replace(
            score_threshold=0.0, top_k=max(each for each, _ in labels.items()) + 2,
            multi_label=False)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, sample: Sample) -> None:
        result = self._pipeline(sample.read(), 'bgr', self._options)
        classes = self._found.classes
        count = len(classes.names)
        truth, scores = np.zeros(count, bool), np.zeros(count)
        for each in sample.truth:
            if (number := classes.of_dataset[each]) >= 0:
                truth[number] = True
        numbers = classes.from_model(result.class_ids)
        known = numbers >= 0
        # Of two ids with the same name, the better one.
        np.maximum.at(scores, numbers[known], result.scores[known].astype(float))
        best = (int(numbers[0]), float(result.scores[0])) if len(result) else (-1, 0.0)
        self._rows.append((truth, scores, *best, _first(numbers, count)))
        self._found.milliseconds.append(1e3 * result.timing.total)

    def finish(self) -> None:
        found = self._found
        truth, scores, best, best_scores, ranked = zip(*self._rows)
        kept = np.ones(len(truth), bool)
        if not found.multi_label:
            # Images of classes that are dropped.
            kept = np.array([each.any() for each in truth])
            found.names = [name for name, keep in zip(found.names, kept) if keep]
            found.samples = [each for each, keep in zip(found.samples, kept) if keep]
        found.truth, found.scores = np.array(truth)[kept], np.array(scores)[kept]
        found.best = np.array(best, np.int64)[kept]
        found.best_scores = np.array(best_scores)[kept]
        found.ranked = np.array(ranked, np.int64)[kept]


# Positions of the best classes that are kept, for top-k.
_RANKED = 5


def _first(numbers: NDArray[np.int64], count: int) -> list[int]:
    """Return the first different classes, -1 for those that the dataset doesn't have."""
    chosen: list[int] = []
    for number in numbers.tolist():
        if number < 0 or number not in chosen:
            chosen.append(number)
        if len(chosen) == _RANKED:
            break
    return chosen + [-1] * (_RANKED - len(chosen))


class _Objects:
    """Collects the boxes of the classes that the dataset has."""

    def __init__(self, pipeline: Pipeline[Detections], labels: Labels,
                 found: Predictions) -> None:
        self._pipeline, self._found = pipeline, found
        self._options = pipeline.options.replace(
            score_threshold=_LEAST_SCORE, max_detections=_MOST_BOXES)
        self._follower = Follower(found.threshold, found.classes) if (
            has_tracks(found.samples)) else None

    def add(self, sample: Sample) -> None:
        result = self._pipeline(sample.read(), 'bgr', self._options)
        classes, truth = self._found.classes, sample.truth
        numbers = classes.of_dataset[truth.class_ids]
        truth = truth.select(numbers >= 0, numbers)
        self._found.objects.append(truth)
        self._found.outside += outside(truth, result.image_size)
        if self._follower is not None:
            self._follower.add(sample, truth, result)
        numbers = classes.from_model(result.class_ids)
        rows = numbers >= 0
        self._found.boxes.append(Predicted(
            result.boxes[rows].astype(np.float64), result.scores[rows].astype(np.float64),
            numbers[rows]))
        self._add_masks(sample, truth, result, np.flatnonzero(rows), numbers[rows])
        self._found.milliseconds.append(1e3 * result.timing.total)

    def _add_masks(self, sample: Sample, truth: Objects, result: Detections,
                   rows: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        if truth.segmentations is None or result.masks is None:
            return
        width, height = result.image_size
        cutouts = [result.masks.cutout(row, (width, height)) for row in rows.tolist()]
        try:
            masks = [decode(each, height, width) for each in truth.segmentations]
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f'the masks of {sample.name} cannot be read: {error}') from error
        same = numbers[:, None] == truth.class_ids[None, :]
        self._found.mask_overlaps.append(overlaps(cutouts, masks, truth.ignored, same))
        self._found.mask_areas.append(np.array([each.pixels.sum() for each in cutouts], float))

    def finish(self) -> None:
        if self._follower is not None:
            self._found.tracks = self._follower.counts()


class _Pixels:
    """Counts the pixels of each pair of classes."""

    def __init__(self, pipeline: Pipeline[Segmentation], labels: Labels,
                 found: Predictions) -> None:
        self._pipeline, self._found = pipeline, found
        self._tables: list[NDArray[np.int64]] = []

    def add(self, sample: Sample) -> None:
        image = sample.read()
        result = self._pipeline(image, 'bgr')
        truth = sample.truth()
        if truth.shape != image.shape[:2]:
            raise InputError(
                f'the label image of {sample.name} has {truth.shape[1]}x{truth.shape[0]} pixels, '
                f'its image {image.shape[1]}x{image.shape[0]}')
        classes = self._found.classes
        count = len(classes.names)
        expected = np.full(256, -1)
        expected[:len(classes.of_dataset)] = classes.of_dataset
        given = np.full(1 << 16, count)
        for class_id, number in classes.of_model.items():
            given[class_id] = number
        rows, columns = expected[truth.ravel()], given[result.label_image.ravel()]
        if (unknown := truth[(truth != UNLABELLED) & (truth >= len(classes.of_dataset))]).size:
            raise InputError(
                f'the label image of {sample.name} has the number {int(unknown[0])}, but the '
                f'names end at {len(classes.of_dataset) - 1}; only {UNLABELLED} may mean nothing')
        known = rows >= 0
        flat = np.bincount(rows[known] * (count + 1) + columns[known],
                           minlength=(count + 1) ** 2)
        self._tables.append(flat.reshape(count + 1, count + 1))
        self._found.milliseconds.append(1e3 * result.timing.total)

    def finish(self) -> None:
        self._found.confusion = np.array(self._tables)


_COLLECTORS: dict[str, Callable[..., Any]] = {
    'classification': _Classes, 'detection': _Objects, 'segmentation': _Pixels}
