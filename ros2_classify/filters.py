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

"""Which results count: filters by class, score and size, resolved with a model's labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import OptionsError
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options


@dataclass(frozen=True)
class ClassFilter:
    """The classes that count, and the score that each of them needs."""

    class_ids: tuple[int, ...]  # empty: all
    thresholds: Mapping[int, float]
    threshold: float  # of all other classes

    @property
    def least(self) -> float:
        """The least score that any class needs."""
        if self.class_ids:
            return min(self.thresholds.get(each, self.threshold) for each in self.class_ids)
        return min((self.threshold, *self.thresholds.values()))

    def wanted(self, class_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which classes count, whatever the scores."""
        if not self.class_ids:
            return np.ones(class_ids.shape, np.bool_)
        return np.isin(class_ids, self.class_ids)

    def passes(
        self, class_ids: NDArray[np.int64], scores: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Tell which rows count."""
        least = np.full(scores.shape, self.threshold, np.float32)
        for class_id, threshold in self.thresholds.items():
            least[class_ids == class_id] = threshold
        return self.wanted(class_ids) & (scores >= least)


def class_filter(
    options: Options, labels: Labels | None, class_count: int | None = None,
) -> ClassFilter | None:
    """Return the filter by class; None if there is none, OptionsError for an unknown class."""
    if not options.classes and not options.class_thresholds:
        return None
    ids = {each for name in options.classes
           for each in _ids_of(name, 'classes', labels, class_count)}
    thresholds = {each: float(score) for name, score in options.class_thresholds.items()
                  for each in _ids_of(name, 'class_thresholds', labels, class_count)}
    return ClassFilter(tuple(sorted(ids)), thresholds, options.score_threshold)


def _ids_of(
    name: str, option: str, labels: Labels | None, class_count: int | None,
) -> list[int]:
    """Return the ids of all classes of this name, or the id that it is."""
    named = [] if labels is None else list(labels.items())
    found = [class_id for class_id, label in named if label == name]
    if not found and name.isdecimal():
        class_id = int(name)
        # Some labels name some classes only.
        count = class_count if class_count is not None else (
            None if labels is None else labels.class_count)
        if count is None or class_id < count:
            return [class_id]
    if found:
        return found
    if not named:
        raise OptionsError(
            f'{option} names {name!r}, but the classes of this model have no names; give their '
            'ids, such as 0')
    parts = [part.strip() for part in name.split(',')]
    if len(parts) > 1 and set(parts) <= {label for _, label in named}:
        raise OptionsError(f'{option} names {name!r} as one class; write {" ".join(parts)}')
    near = get_close_matches(name, [label for _, label in named], 1, 0.5) or [
        label for _, label in named if label.casefold() == name.casefold()]
    known = ', '.join(label for _, label in named[:5])
    raise OptionsError(
        f'{option} names {name!r}, which is no class of this model; '
        + (f'did you mean {near[0]!r}?' if near else
           f'it has {len(named)}, such as {known}; give a name or an id'))


def colors_by_label(colors: Mapping[str, str], labels: Labels | None) -> dict[str, str]:
    """Return a descriptor's colours by the names of results; OptionsError for an unknown one."""
    return {str(class_id) if labels is None else labels.name(class_id): color
            for name, color in colors.items()
            for class_id in _ids_of(name, 'colors', labels, None)}


def size_passes(
    boxes: NDArray[np.float32], image_size: tuple[int, int], options: Options,
) -> NDArray[np.bool_]:
    """Tell which boxes, in source pixels, have an area that counts."""
    sides = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0.0)
    parts = sides[:, 0] * sides[:, 1] / (image_size[0] * image_size[1])
    passes: NDArray[np.bool_] = (parts >= options.min_area) & (parts <= options.max_area)
    return passes


def parse_class_thresholds(words: Iterable[str]) -> dict[str, float]:
    """Return scores by class from texts such as ``person=0.6``; OptionsError if one is wrong."""
    found: dict[str, float] = {}
    for word in words:
        name, equals, score = word.rpartition('=')
        try:
            value = float(score)
        except ValueError:
            value = -1.0
        if not equals or not name.strip() or not 0.0 <= value <= 1.0:
            raise OptionsError(
                f'class_thresholds has {word!r} but each must be a class and a score from 0 to 1, '
                'such as person=0.6')
        if name.strip() in found:
            raise OptionsError(f'class_thresholds has {name.strip()!r} twice; give one score')
        found[name.strip()] = value
    return found


def class_threshold_words(thresholds: Mapping[str, Any]) -> list[str]:
    """Return texts from which `parse_class_thresholds` makes the same scores."""
    return [f'{name}={score!r}' for name, score in thresholds.items()]
