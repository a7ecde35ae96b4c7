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

"""YOLO: a data.yaml, and for each image a text file of class and normalized box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ros2_classify import InputError
from ros2_classify_evaluation.datasets.base import Dataset, images_in, Objects, Sample
from ros2_classify_evaluation.datasets.reading import image_size, read_text, read_yaml

# Which list of images is for measuring, best first.
_SPLITS = ('test', 'val', 'train')


def fits(path: Path) -> bool:
    """Tell whether it is such a file, or a directory with one."""
    return _file(path) is not None


def _file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() in ('.yaml', '.yml') else None
    for file in _files(path):
        if isinstance(data := _read(file), dict) and 'names' in data:
            return file
    return None


def _files(path: Path) -> list[Path]:
    return sorted((*path.glob('*.yaml'), *path.glob('*.yml')))


def _read(file: Path) -> Any:
    try:
        return read_yaml(file)
    except InputError:
        return None


def load(path: Path) -> Dataset:
    """Read the boxes of the test images, or of those for validation if there are none."""
    file = _file(path)
    if file is None:
        for each in _files(path):
            read_yaml(each)  # says what is wrong with it
    data = None if file is None else read_yaml(file)
    if file is None or not isinstance(data, dict) or 'names' not in data:
        raise InputError(f'{path} has no YAML file with the key names')
    names = data['names']
    if isinstance(names, dict):
        names = [names[number] for number in range(len(names))]
    split = next((each for each in _SPLITS if data.get(each)), None)
    if split is None:
        raise InputError(f'{file} has none of the keys {", ".join(_SPLITS)}: name the images')
    root = file.parent / str(data.get('path', ''))
    samples = []
    for image in _images(root, data[split], file):
        samples.append(Sample(image.name, image, _objects(image, len(names))))
    notes = () if split == 'test' else (
        f'no test images in {file.name}: measured on {split}',)
    return Dataset('detection', tuple(map(str, names)), samples, str(file), 'yolo', notes=notes)


def _images(root: Path, listed: Any, file: Path) -> list[Path]:
    """Return the images of a split: directories, or files that list them."""
    found = []
    for entry in listed if isinstance(listed, list) else [listed]:
        place = next((each for each in (root / str(entry), file.parent / str(entry))
                      if each.exists()), None)
        if place is None:
            raise InputError(f'{file}: {entry} is not in {root}')
        if place.is_dir():
            found += images_in(place)
        else:
            lines = read_text(place).split()
            found += [root / line if not Path(line).is_absolute() else Path(line)
                      for line in lines]
    return found


def _labels(image: Path) -> Path:
    """Return the file of an image's boxes: labels in the place of images, or beside it."""
    parts = list(image.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == 'images':
            parts[index] = 'labels'
            return Path(*parts).with_suffix('.txt')
    return image.with_suffix('.txt')


def _objects(image: Path, count: int) -> Objects:
    file = _labels(image)
    if not file.is_file():
        return Objects.of([], [])
    width, height = image_size(image)
    boxes, class_ids = [], []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not (words := line.split()):
            continue
        try:
            class_id, values = int(words[0]), [float(word) for word in words[1:]]
        except ValueError:
            raise InputError(f'{file}, line {number}: {line!r} is not a class and numbers'
                             ) from None
        if not 0 <= class_id < count:
            raise InputError(
                f'{file}, line {number}: class {class_id}, but the names end at {count - 1}')
        boxes.append(_corners(values, width, height, f'{file}, line {number}'))
        class_ids.append(class_id)
    return Objects.of(boxes, class_ids)


def _corners(values: list[float], width: int, height: int, where: str) -> list[float]:
    """Return a box in pixels, of four numbers or of the corners of a polygon."""
    if len(values) == 4:
        x, y, across, down = values
        return [(x - across / 2) * width, (y - down / 2) * height,
                (x + across / 2) * width, (y + down / 2) * height]
    if len(values) < 6 or len(values) % 2:
        raise InputError(
            f'{where}: {len(values)} numbers after the class, but a box has 4 and a polygon an '
            'even number from 6')
    xs, ys = values[0::2], values[1::2]
    return [min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height]
