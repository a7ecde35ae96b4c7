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

"""COCO: one JSON file with images, annotations and categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ros2_classify import InputError
from ros2_classify_evaluation.datasets.base import Dataset, Objects, Sample, size_of
from ros2_classify_evaluation.datasets.consistency import unique
from ros2_classify_evaluation.datasets.reading import read_json

_KEYS = {'images', 'annotations', 'categories'}


def fits(path: Path) -> bool:
    """Tell whether it is such a file, or a directory with just one."""
    return path.suffix.lower() == '.json' if path.is_file() else _file(path) is not None


def _file(path: Path) -> Path | None:
    if path.is_file():
        return path
    found = [file for pattern in ('*.json', 'annotations/*.json')
             for file in sorted(path.glob(pattern)) if _is_coco(file)]
    if len(found) > 1:
        raise InputError(
            f'{path} has {len(found)} COCO files ({", ".join(each.name for each in found[:5])}): '
            'name the one to use')
    return found[0] if found else None


def _is_coco(file: Path) -> bool:
    try:
        data = read_json(file)
    except InputError:
        return False
    return isinstance(data, dict) and _KEYS <= set(data)


def load(path: Path) -> Dataset:
    """Read boxes; the images are beside the file, or in ``images`` or the split's directory."""
    file = _file(path)
    if file is None:
        raise InputError(f'{path} has no COCO file with the keys {", ".join(sorted(_KEYS))}')
    data = read_json(file)
    if not isinstance(data, dict) or not _KEYS <= set(data):
        raise InputError(f'{file} lacks the keys {", ".join(sorted(_KEYS - set(data)))} of COCO')
    categories = sorted(data['categories'], key=lambda each: int(each['id']))
    number_of = {each['id']: number for number, each in enumerate(categories)}
    unique([each['id'] for each in data['images']], 'the image with the id', file)
    for key in ('id', 'name'):
        unique([each[key] for each in categories], f'the category with the {key}', file)
    annotations: dict[Any, list[dict[str, Any]]] = {each['id']: [] for each in data['images']}
    for each in data['annotations']:
        if each['image_id'] not in annotations or each['category_id'] not in number_of:
            raise InputError(
                f'{file}: the annotation {each.get("id")} names the image {each["image_id"]} and '
                f'the category {each["category_id"]}, which are not both in the file')
        annotations[each['image_id']].append(each)
    masked = bool(data['annotations']) and all(
        each.get('segmentation') for each in data['annotations'])
    samples = []
    for image in data['images']:
        rows = annotations[image['id']]
        boxes = [(x, y, x + width, y + height)
                 for x, y, width, height in (each['bbox'] for each in rows)]
        samples.append(Sample(
            image['file_name'], _image(file, path, image['file_name']), Objects.of(
                boxes, [number_of[each['category_id']] for each in rows],
                [bool(each.get('iscrowd', 0) or each.get('ignore', 0)) for each in rows],
                [each.get('area', each['bbox'][2] * each['bbox'][3]) for each in rows],
                segmentations=tuple(each['segmentation'] for each in rows) if masked else None),
            size=size_of(image.get('width'), image.get('height'))))
    return Dataset('detection', tuple(each['name'] for each in categories), samples, str(file),
                   'coco', notes=_prelabels(annotations, data['images']))


def _prelabels(annotations: dict[Any, list[dict[str, Any]]], images: Any) -> tuple[str, ...]:
    """Say that labels come from a model, as `curate` marks them."""
    count = sum(any(each.get('prelabel') for each in annotations[image['id']])
                for image in images if not image.get('checked'))
    return (f'{count} images have pre-labels of a model that nobody has checked: the numbers say '
            'how well two models agree',) if count else ()


def _image(file: Path, path: Path, name: str) -> Path:
    """Return where an image is."""
    split = file.stem.removeprefix('instances_')
    places = [each / part for each in (file.parent, file.parent.parent)
              for part in ('', 'images', split, f'images/{split}')]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise InputError(
        f'{file}: the image {name} is not beside it, nor in images/ or {split}/; put the images '
        'there')
