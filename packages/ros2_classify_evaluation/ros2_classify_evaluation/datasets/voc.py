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

"""Pascal VOC: one XML file for each image, and label images for segmentation."""

from __future__ import annotations

from pathlib import Path

from ros2_classify import InputError
from ros2_classify_evaluation.datasets.base import (
    Dataset, find_image, Objects, Sample, size_of)
from ros2_classify_evaluation.datasets.directories import class_names, segmentation
from ros2_classify_evaluation.datasets.reading import read_xml


def fits(path: Path) -> bool:
    """Tell whether there are Annotations or SegmentationClass."""
    return path.is_dir() and (
        any((path / 'Annotations').glob('*.xml')) or (path / 'SegmentationClass').is_dir())


def load(path: Path) -> Dataset:
    """Read boxes, or label images if there are no boxes."""
    images = path / 'JPEGImages'
    if not images.is_dir():
        images = path / 'images' if (path / 'images').is_dir() else path / 'Annotations'
    files = sorted((path / 'Annotations').glob('*.xml'))
    if not files:
        return segmentation(path, images, path / 'SegmentationClass', class_names(path), 'voc')
    read = [(file, *_boxes(file)) for file in files]
    names = sorted({name for _, _, objects, _ in read for name, _, _ in objects})
    number_of = {name: number for number, name in enumerate(names)}
    samples = [
        Sample(image, find_image(images, image), Objects.of(
            [box for _, box, _ in objects], [number_of[name] for name, _, _ in objects],
            [difficult for _, _, difficult in objects]), size=size)
        for _, image, objects, size in read]
    return Dataset('detection', tuple(names), samples, str(path), 'voc')


def _boxes(file: Path) -> tuple[str, list[tuple[str, list[float], bool]], tuple[int, int] | None]:
    """Return an image's name; label, box and difficulty of each object; the image's size."""
    root, objects = read_xml(file), []
    for each in root.iter('object'):
        name, box = (each.findtext('name') or '').strip(), each.find('bndbox')
        try:
            assert box is not None and name
            # Pixels are counted from 1, and a box holds its last one.
            x1, y1, x2, y2 = (float(box.findtext(edge) or 'missing')
                              for edge in ('xmin', 'ymin', 'xmax', 'ymax'))
        except (AssertionError, ValueError):
            raise InputError(f'{file}: an object has no name, or no box of four numbers') from None
        difficult = (each.findtext('difficult') or '0').strip() == '1'
        objects.append((name, [x1 - 1, y1 - 1, x2, y2], difficult))
    return (root.findtext('filename') or file.stem).strip() or file.stem, objects, size_of(
        root.findtext('size/width'), root.findtext('size/height'))
