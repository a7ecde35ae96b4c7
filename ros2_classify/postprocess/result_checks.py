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
Checks of every result for what a right one does not have; they cost microseconds.

A score outside of 0 to 1 is an error, raised before there is a result. The rest is counted, and
said as a warning: a right model can have one such result, but not most of them.
"""

from __future__ import annotations

from collections.abc import Mapping
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import ScoreError
from ros2_classify.model.labels import Labels
from ros2_classify.results.results import Detections, Embedding, Result

# The sentences, by what was found; the fields are those of `ResultChecks.found`.
SENTENCES = {
    'scores_outside': (
        '{model}: {count} results had a score outside of 0 to 1 and were not published, the last '
        'one {score:.4g}: if the model returns logits, set output.activation'),
    'boxes_outside': (
        '{model}: {count} of the last {boxes} boxes are inverted or mostly outside of the image, '
        'before they are clipped: the others are probably wrong, too; check output.box_format, '
        'and whether coordinates are pixels or fractions of the image'),
    'class_unknown': (
        '{model}: {count} results had a class beyond the labels, the last one {class_id}, while '
        'they end at {last}; such a class is named by its number, and other names may be wrong, '
        'too: use the label file of this model, or check output.class_offset'),
    'same_result': (
        '{model}: {count} different images of {source} in a row had the same result; input.scale, '
        'mean and std probably cut the image off, or the weights are damaged: run models check'),
}
# Boxes that are judged together, at least and at most, and how many of one result are looked at.
_LEAST_BOXES, _MOST_BOXES, _BEST = 10, 200, 32
# How much of a box must be inside the image.
_INSIDE = 0.5
# This number of different images with one result is no accident.
_IMAGES = 10
# Images are compared on a grid of about this many rows and columns; a still camera's noise and
# flicker are below the mean difference (of 255) from which two images are different.
_GRID = 10
_DIFFERENT = 12.0


class ResultChecks:
    """
    What is suspicious about the results of one model; any thread may call any method.

    Attributes
    ----------
    scores, boxes, classes, images : int
        Results with a score outside of 0 to 1; boxes that are inverted or mostly outside of the
        image; results with a class beyond the labels; images with the result of another one.

    """

    def __init__(self, model: str, labels: Labels | None = None) -> None:
        self._model = model
        self._lock = threading.Lock()
        self.set_labels(labels)
        self.clear()

    def clear(self) -> None:
        """Forget all results so far."""
        self.scores = self.boxes = self.classes = self.images = 0
        self._score = 0.0
        self._class_id = 0
        # Boxes of late, and the wrong ones of them.
        self._recent = [0, 0]
        self._repeats: dict[str, _Repeats] = {}

    def set_labels(self, labels: Labels | None) -> None:
        """Use other labels from now on."""
        self._last = None if labels is None else max(class_id for class_id, _ in labels.items())

    def refused(self, error: ScoreError) -> None:
        """Count a result that an error stands for."""
        with self._lock:
            self.scores += 1
            self._score = error.score

    def check_boxes(
        self, boxes: NDArray[np.float32], image: NDArray[np.float64],
    ) -> None:
        """Count the boxes that are not in the image, ``x1, y1, x2, y2`` in the boxes' units."""
        if not len(boxes):
            return
        # For few boxes this takes a third of the time of arrays; and no square overflows.
        corners = boxes[:_BEST].tolist()
        left, top, right, bottom = image.tolist()
        wrong = 0
        for x1, y1, x2, y2 in corners:
            width = max(min(x2, right) - max(x1, left), 0.0)
            height = max(min(y2, bottom) - max(y1, top), 0.0)
            # An inverted box shows nothing, and has an area that is not 0.
            wrong += width * height < _INSIDE * abs((x2 - x1) * (y2 - y1))
        with self._lock:
            self.boxes += wrong
            total, before = self._recent
            if total >= _MOST_BOXES:
                total, before = total // 2, before // 2
            self._recent = [total + len(corners), before + wrong]

    def check_classes(self, class_ids: NDArray[np.int64]) -> None:
        """Count a result with a class that the labels don't reach."""
        if self._last is None or not len(class_ids):
            return
        highest, lowest = int(class_ids.max()), int(class_ids.min())
        if highest > self._last or lowest < 0:
            with self._lock:
                self.classes += 1
                self._class_id = highest if highest > self._last else lowest

    def check_image(self, source: str, result: Result, pixels: NDArray[Any]) -> None:
        """Count an image of a source that has the result of another image before it."""
        repeats = self._repeats.get(source)
        if repeats is None:
            repeats = self._repeats.setdefault(source, _Repeats())
        if repeats.look(result, pixels):
            with self._lock:
                self.images += 1

    def counts(self) -> dict[str, int]:
        """Return all counts, by names for people."""
        return {'scores outside of 0 to 1': self.scores,
                'boxes inverted or outside of the image': self.boxes,
                'results with a class beyond the labels': self.classes,
                'images with the result of another one': self.images}

    def found(self, least_boxes: int = _LEAST_BOXES) -> dict[str, Mapping[str, Any]]:
        """Return what is worth a warning: the key of its sentence, and the fields."""
        with self._lock:
            model, (boxes, wrong) = {'model': self._model}, self._recent
            found: dict[str, Mapping[str, Any]] = {}
            if self.scores:
                found['scores_outside'] = {**model, 'count': self.scores, 'score': self._score}
            if boxes >= least_boxes and wrong > boxes / 2:
                found['boxes_outside'] = {**model, 'count': wrong, 'boxes': boxes}
            if self.classes:
                found['class_unknown'] = {**model, 'count': self.classes, 'last': self._last,
                                          'class_id': self._class_id}
            for source, repeats in list(self._repeats.items()):
                if repeats.count >= _IMAGES:
                    found['same_result'] = {**model, 'count': repeats.count, 'source': source}
            return found


class _Repeats:
    """How many different images of one source have had the same result, one after the other."""

    def __init__(self) -> None:
        self.count = 0
        self._result: Result | None = None
        # Samples of the images, newest last; more of them would only say the same.
        self._samples: list[NDArray[np.int16]] = []

    def look(self, result: Result, pixels: NDArray[Any]) -> bool:
        """Return whether the image is different and its result is not; one thread at a time."""
        before, self._result = self._result, result
        if before is None or not _same(before, result):
            self.count = 0
            self._samples = []
            return False
        # Only a result that comes again is worth a look at the image.
        height, width = pixels.shape[:2]
        sample = pixels[::-(-height // _GRID), ::-(-width // _GRID)].astype(np.int16)
        if any(other.shape == sample.shape and np.abs(other - sample).mean() < _DIFFERENT
               for other in reversed(self._samples)):
            return False
        self._samples = [*self._samples[1 - _IMAGES:], sample]
        self.count += 1
        return True


def _same(one: Result, other: Result) -> bool:
    """Tell whether two results are equal to the last bit, and not empty."""
    if isinstance(one, Embedding) or isinstance(other, Embedding):
        return False
    if not len(one) or len(one) != len(other):
        return False
    # Of a segmentation, scores are parts of the image. They differ first, if anything does.
    return (np.array_equal(one.scores, other.scores)
            and np.array_equal(one.class_ids, other.class_ids)
            and (not isinstance(one, Detections) or not isinstance(other, Detections)
                 or np.array_equal(one.boxes, other.boxes)))
