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

"""Follow the objects of sequences with the product's tracker, and measure its ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify import Detections, Tracker
from ros2_classify_evaluation.datasets.base import Objects, Sample
from ros2_classify_evaluation.metrics import tracking
from ros2_classify_evaluation.metrics.tracking import Counts, Step


_MANY, _SHORTEST = 10, 10


class Follower:
    """Collects what the tracker makes of the images of each sequence, in the order of time."""

    def __init__(self, threshold: float, classes: Any) -> None:
        self._threshold, self._classes = threshold, classes
        self._trackers: dict[str, Tracker] = {}
        # By sequence and class.
        self._steps: dict[tuple[str, int], list[Step]] = {}

    def add(self, sample: Sample, truth: Objects, result: Detections) -> None:
        """Follow the objects of the next image; `truth` has the classes of the predictions."""
        tracker = self._trackers.setdefault(sample.sequence, Tracker())
        low = np.float32(tracker.options.low)
        result = tracker(result.select(result.scores >= low), sample.stamp)
        tracks = np.array(result.track_ids, object)
        # As the server publishes them.
        shown = (result.scores >= np.float32(self._threshold)) & (tracks != '')
        result = result.select(shown)
        numbers = self._classes.from_model(result.class_ids)
        ids = np.array(truth.track_ids if truth.track_ids is not None else [''] * len(truth),
                       object)
        for number in range(len(self._classes.names)):
            mine, found = truth.class_ids == number, numbers == number
            self._steps.setdefault((sample.sequence, number), []).append(Step(
                ids[mine].tolist(), truth.boxes[mine], truth.ignored[mine],
                tracks[shown][found].tolist(), result.boxes[found].astype(np.float64)))

    def counts(self) -> Counts:
        """Return what all sequences and classes add up to."""
        tables: dict[str, NDArray[np.int64]] = {}
        parts = []
        for (sequence, _), steps in self._steps.items():
            parts.append(tracking.count(steps))
            tables[sequence] = tables.get(sequence, 0) + parts[-1].images
        total = tracking.add_up(parts)
        # Sequences follow each other in the dataset.
        total.images = np.concatenate(list(tables.values()))
        return total


def blocks(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """
    Return a number for each image: neighbours of a sequence, which depend on each other, share it.

    Whole sequences if there are many, else parts of at least ten images.
    """
    names = [sample.sequence for sample in samples]
    if len(set(names)) >= _MANY:
        order = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return np.array([order[name] for name in names])
    length = max(_SHORTEST, -(-len(names) // (2 * _MANY)))
    place: dict[str, int] = {}
    keys = []
    for name in names:
        place[name] = place.get(name, -1) + 1
        keys.append((name, place[name] // length))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def has_tracks(samples: Sequence[Sample]) -> bool:
    """Tell whether all objects have ids."""
    truths = [sample.truth for sample in samples if isinstance(sample.truth, Objects)]
    return any(len(truth) for truth in truths) and all(
        truth.track_ids is not None and all(truth.track_ids) for truth in truths if len(truth))
