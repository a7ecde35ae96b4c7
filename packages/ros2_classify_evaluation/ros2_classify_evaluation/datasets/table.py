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

"""CSV: one row for each image and label, or for each box."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ros2_classify import InputError
from ros2_classify_evaluation.datasets.base import Dataset, find_image, Names, Objects, Sample
from ros2_classify_evaluation.datasets.reading import MAX_TABLE, read_text

_IMAGE = ('image', 'filename', 'file', 'path')
_LABEL = ('label', 'labels', 'class', 'classes')
_BOX = ('x1', 'y1', 'x2', 'y2')
_SEPARATOR = ';'


def fits(path: Path) -> bool:
    """Tell whether it is a CSV file, or a directory with just one."""
    return _file(path) is not None


def _file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() == '.csv' else None
    found = sorted(path.glob('*.csv'))
    return found[0] if len(found) == 1 else None


def load(path: Path) -> Dataset:
    """Read it: detection if there are the columns x1, y1, x2, y2, else classification."""
    file = _file(path)
    if file is None:
        raise InputError(f'{path} is no CSV file, and has not just one in it')
    reader = csv.DictReader(io.StringIO(read_text(file, MAX_TABLE), newline=''))
    try:
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        image = next((name for name in _IMAGE if name in columns), None)
        label = next((name for name in _LABEL if name in columns), None)
        if image is None or label is None:
            raise InputError(
                f'{file} has the columns {", ".join(columns)} but needs image and label (and x1, '
                'y1, x2, y2 in pixels for boxes)')
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f'{file}, line {reader.line_num}: {error}') from error
    needed = [image, label, *(_BOX if set(_BOX) <= set(columns) else ())]
    for number, row in enumerate(rows, 2):
        if any(row[name] is None for name in needed):
            raise InputError(f'{file}, line {number}: it has fewer columns than the first line')
    if set(_BOX) <= set(columns):
        return _boxes(file, rows, image, label)
    return _classes(file, rows, image, label)


def _classes(file: Path, rows: list[dict[str, str]], image: str, label: str) -> Dataset:
    """Return images with one class, or with several: in one field, or on several rows."""
    names, found = Names(), dict[str, set[int]]()
    several = label in ('labels', 'classes')
    for row in rows:
        classes = found.setdefault(row[image], set())
        several = several or bool(classes)
        for name in filter(None, (each.strip() for each in row[label].split(_SEPARATOR))):
            classes.add(names[name])
    several = several or any(len(classes) != 1 for classes in found.values())
    ordered = sorted(names)
    moved = {names[name]: number for number, name in enumerate(ordered)}
    samples = [
        Sample(name, find_image(file.parent, name), frozenset(moved[each] for each in classes))
        for name, classes in found.items()]
    return Dataset('classification', tuple(ordered), samples, str(file), 'csv', several)


def _boxes(file: Path, rows: list[dict[str, str]], image: str, label: str) -> Dataset:
    """Return images with boxes; a row without a label is an image without objects."""
    ordered = sorted({row[label].strip() for row in rows if row[label].strip()})
    names, found = Names(ordered), dict[str, list[tuple[list[float], int]]]()
    for number, row in enumerate(rows, 2):
        objects = found.setdefault(row[image], [])
        if not row[label].strip():
            continue
        try:
            box = [float(row[edge]) for edge in _BOX]
        except (TypeError, ValueError):
            raise InputError(
                f'{file}, line {number}: the box is '
                f'{", ".join(str(row[edge]) for edge in _BOX)} but must be four numbers in '
                'pixels') from None
        objects.append((box, names[row[label].strip()]))
    samples = [
        Sample(name, find_image(file.parent, name),
               Objects.of([box for box, _ in objects], [each for _, each in objects]))
        for name, objects in found.items()]
    return Dataset('detection', tuple(ordered), samples, str(file), 'csv')
