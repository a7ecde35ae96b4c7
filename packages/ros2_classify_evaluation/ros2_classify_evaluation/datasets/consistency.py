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

"""Labels that contradict themselves or their images: refused, or said beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ros2_classify import InputError
from ros2_classify.limits import shown
from ros2_classify_evaluation.datasets.base import Dataset, Objects


def notes_on(dataset: Dataset, place: Path) -> tuple[str, ...]:
    """Return what a reader of the numbers must know; InputError if they would mean nothing."""
    return (*_twice(dataset), *_elsewhere(dataset, place),
            *(_boxes(dataset) if dataset.task == 'detection' else ()))


def _twice(dataset: Dataset) -> Iterator[str]:
    paths = [each.path for each in dataset.samples if each.path is not None]
    if more := len(paths) - len(set(paths)):
        yield f'{more} images are in the dataset more than once, and count each time'


def _elsewhere(dataset: Dataset, place: Path) -> Iterator[str]:
    """Say that images come from elsewhere: YOLO, COCO and CSV may name any file."""
    root = (place if place.is_dir() else place.parent).resolve()
    if root.name == 'annotations':
        root = root.parent
    roots: dict[Path, bool] = {}
    found = []
    for each in dataset.samples:
        if each.path is None:
            continue
        directory = each.path.parent
        if directory not in roots:
            roots[directory] = directory.resolve().is_relative_to(root)
        if not roots[directory] or not each.path.resolve().is_relative_to(root):
            found.append(each.path)
    if found:
        yield (f'{len(found)} images are outside of {root}, such as {shown(str(found[0]))}; they '
               'are read, and may appear in the report')


def _boxes(dataset: Dataset) -> Iterator[str]:
    flat = again = total = 0
    largest = 0.0
    for each in dataset.samples:
        truth = each.truth
        if not len(truth):
            continue
        total += len(truth)
        largest = max(largest, float(np.abs(truth.boxes).max()))
        flat += int((truth.boxes[:, 2:] <= truth.boxes[:, :2]).any(axis=1).sum())
        rows = np.column_stack((truth.boxes, truth.class_ids))[~truth.ignored]
        again += len(rows) - len(np.unique(rows, axis=0))
    if total and largest <= 1:
        raise InputError(
            f'all boxes of {dataset.source} are between 0 and 1, but those of {dataset.kind} are '
            'in pixels; multiply them by the width and height of the images')
    if flat:
        yield (f'{flat} of {total} objects have boxes without an area, which nothing can match: '
               'are their corners or sizes in another order?')
    if again:
        yield f'{again} of {total} objects are there twice, with the same box and class'


def outside(truth: Objects, size: tuple[int, int]) -> int:
    """Return how many boxes are outside of an image of width and height by more than half."""
    boxes = truth.boxes[~truth.ignored]
    inside = np.clip(boxes, 0, [*size, *size])
    areas, rest = ((each[:, 2:] - each[:, :2]).clip(0).prod(axis=1) for each in (boxes, inside))
    return int((rest < areas / 2).sum())


def unique(values: list[Any], what: str, file: Path) -> None:
    """Refuse a file that gives two things one name."""
    seen = set()
    for each in values:
        if each in seen:
            raise InputError(f'{file}: {what} {shown(str(each))} is there twice')
        seen.add(each)
