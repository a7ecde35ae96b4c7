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

"""MOT Challenge: sequences of images in ``img1``, and ``gt/gt.txt`` with boxes and ids."""

from __future__ import annotations

import configparser
import csv
import io
from pathlib import Path

from ros2_classify import InputError
from ros2_classify_evaluation.datasets.base import Dataset, images_in, Names, Objects, Sample
from ros2_classify_evaluation.datasets.reading import MAX_TABLE, read_text

_FILE = 'gt/gt.txt'
# Of MOT16 and later (https://motchallenge.net/instructions): pedestrians are measured; people on
# vehicles, static people, distractors and reflections are neither right nor wrong.
_PEDESTRIAN, _NEITHER = 1, (2, 7, 8, 12)
_RATE = 30.0


def fits(path: Path) -> bool:
    """Tell whether it is a sequence, or a directory of sequences."""
    return path.is_dir() and bool(_sequences(path))


def _sequences(path: Path) -> list[Path]:
    if (path / _FILE).is_file():
        return [path]
    return sorted(each.parents[1] for each in path.glob(f'*/{_FILE}'))


def load(path: Path) -> Dataset:
    """Read all sequences; ``gt/labels.txt``, as labelling tools write it, names the classes."""
    samples: list[Sample] = []
    names = Names()
    sequences = _sequences(path)
    if not sequences:
        raise InputError(f'{path} has no {_FILE}, nor directories with one')
    for sequence in sequences:
        samples += _sequence(sequence, names)
    return Dataset('detection', tuple(names), samples, str(path), 'mot')


def _sequence(path: Path, names: Names) -> list[Sample]:
    # Values that name others multiply.
    info = configparser.ConfigParser(interpolation=None)
    try:
        if (path / 'seqinfo.ini').exists():
            info.read_string(read_text(path / 'seqinfo.ini'))
    except configparser.Error as error:
        raise InputError(f'{path / "seqinfo.ini"} cannot be read: {error}') from error
    section = info['Sequence'] if 'Sequence' in info else {}
    place = Path(section.get('imDir', 'img1'))
    if place.is_absolute() or '..' in place.parts:
        raise InputError(f'{path / "seqinfo.ini"}: imDir is {str(place)!r} but must be a '
                         'directory of the sequence, such as img1')
    directory = path / place
    if not directory.is_dir():
        raise InputError(f'{path} has no directory {directory.name} with its images')
    try:
        rate = float(section.get('frameRate', _RATE))
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= 100_000:
        raise InputError(
            f'{path / "seqinfo.ini"}: frameRate is {section["frameRate"]!r} but must be a number '
            'from 0.001 to 100000, of images per second')
    rows = _rows(path, names)
    samples = []
    for image in images_in(directory):
        if not (digits := ''.join(filter(str.isdigit, image.stem))):
            raise InputError(f'{image}: the name has no number of the image')
        number = int(digits)
        mine = rows.pop(number, [])
        samples.append(Sample(
            f'{path.name}/{image.name}', image, Objects.of(
                [row[0] for row in mine], [row[1] for row in mine], [row[2] for row in mine],
                track_ids=tuple(row[3] for row in mine)), None, path.name, number / rate))
    if rows:
        raise InputError(f'{path / _FILE} has boxes of the image {min(rows)}, which is not in '
                         f'{directory}')
    return samples


def _rows(path: Path, names: Names,
          ) -> dict[int, list[tuple[tuple[float, float, float, float], int, bool, str]]]:
    """Return boxes, classes, whether they are ignored, and ids, by the image's number."""
    labels = path / 'gt/labels.txt'
    listed = read_text(labels).split('\n') if labels.is_file() else []
    found: dict[int, list[tuple[tuple[float, float, float, float], int, bool, str]]] = {}
    try:
        table = list(csv.reader(io.StringIO(read_text(path / _FILE, MAX_TABLE), newline='')))
    except csv.Error as error:
        raise InputError(f'{path / _FILE} cannot be read: {error}') from error
    for line, row in enumerate(table, 1):
        if not row:
            continue
        try:
            number, track, left, top, width, height = map(float, row[:6])
            sure = float(row[6]) if len(row) > 6 else 1.0
            kind = int(float(row[7])) if len(row) > 7 else -1
        except ValueError as error:
            raise InputError(f'{path / _FILE}, line {line}: {error}') from error
        if listed:
            if not 1 <= kind <= len(listed):
                raise InputError(f'{path / _FILE}, line {line}: the class {kind} is not in '
                                 f'{labels}, which has {len(listed)}')
            name, ignored = listed[kind - 1].strip(), not sure
        elif kind in (-1, _PEDESTRIAN, *_NEITHER):
            name, ignored = 'pedestrian', not sure or kind in _NEITHER
        else:
            continue
        # Pixels are counted from 1.
        x, y = left - 1, top - 1
        found.setdefault(int(number), []).append(
            ((x, y, x + width, y + height), names[name], ignored, str(int(track))))
    return found
