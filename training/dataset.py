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
Write labelled images of the demo cards, for measuring models with `ros2_classify evaluate`.

``python -m training.dataset DIR`` needs neither torch nor onnx.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import cv2
import numpy as np

from training.cards import NAMES
from training.crops import make_crop
from training.samples import make_sample
from training.samples import Sample

_WIDTH, _HEIGHT, _SMALLEST = 640, 480, 24.0
# Not the images that the models were trained or reported on.
_KIND = 7


def night(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return the image under a dim sodium lamp: yellow, dark, blurred by motion, noisy."""
    light = np.array([1.0, 0.72, 0.28]) * rng.uniform(0.16, 0.34)
    length = int(rng.integers(3, 9))
    kernel = np.zeros((length, length))
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), rng.uniform(0, 180), 1)
    dark = cv2.filter2D(image, -1, cv2.warpAffine(kernel, turn, (length, length))) * light
    dark = rng.poisson(np.clip(dark, 0, None) * 0.9) / 0.9 + rng.normal(6, 3, image.shape)
    return np.clip(dark, 0, 255).astype(np.uint8)


def draw(count: int, seed: int = 1, shift: str = '') -> list[Sample]:
    """Return images of 640x480 pixels with boxes in whole pixels."""
    made = []
    for number in range(count):
        sample = make_sample(
            np.random.default_rng([seed, _KIND, number]), _WIDTH, _HEIGHT, _SMALLEST)
        boxes = np.concatenate((np.floor(sample.boxes[:, :2]), np.ceil(sample.boxes[:, 2:])), 1)
        image = sample.image
        if shift:
            image = night(np.random.default_rng([seed, _KIND, 2, number]), image)
        made.append(Sample(image, boxes, sample.classes, sample.others))
    return made


def write_images(samples: list[Sample], directory: Path) -> list[str]:
    """Write PNG files, and return their names."""
    directory.mkdir(parents=True, exist_ok=True)
    names = [f'cards_{number:04d}.png' for number in range(len(samples))]
    for name, sample in zip(names, samples):
        cv2.imwrite(str(directory / name), sample.image[..., ::-1])
    return names


def write_coco(samples: list[Sample], directory: Path) -> None:
    """Write ``instances.json`` beside ``images``."""
    names = write_images(samples, directory / 'images')
    annotations = []
    for number, sample in enumerate(samples, 1):
        for (x1, y1, x2, y2), label in zip(sample.boxes.tolist(), sample.classes.tolist()):
            annotations.append({
                'id': len(annotations) + 1, 'image_id': number, 'category_id': label + 1,
                'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1), 'iscrowd': 0})
    (directory / 'instances.json').write_text(json.dumps({
        'images': [{'id': number, 'file_name': name, 'width': _WIDTH, 'height': _HEIGHT}
                   for number, name in enumerate(names, 1)],
        'annotations': annotations,
        'categories': [{'id': number, 'name': name} for number, name in enumerate(NAMES, 1)]}))


def write_yolo(samples: list[Sample], directory: Path) -> None:
    """Write ``data.yaml``, ``images/test`` and ``labels/test``."""
    names = write_images(samples, directory / 'images' / 'test')
    labels = directory / 'labels' / 'test'
    labels.mkdir(parents=True, exist_ok=True)
    size = np.array([_WIDTH, _HEIGHT, _WIDTH, _HEIGHT], float)
    for name, sample in zip(names, samples):
        boxes = sample.boxes / size
        rows = np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), 1)
        (labels / name).with_suffix('.txt').write_text(''.join(
            f'{label} {" ".join(f"{value:.8f}" for value in row)}\n'
            for label, row in zip(sample.classes.tolist(), rows.tolist())))
    (directory / 'data.yaml').write_text(
        'test: images/test\nnames:\n' + ''.join(f'  - {name}\n' for name in NAMES))


def write_voc(samples: list[Sample], directory: Path) -> None:
    """Write ``Annotations`` beside ``JPEGImages``."""
    names = write_images(samples, directory / 'JPEGImages')
    (directory / 'Annotations').mkdir(exist_ok=True)
    for name, sample in zip(names, samples):
        objects = ''.join(
            f'<object><name>{NAMES[label]}</name><difficult>0</difficult><bndbox>'
            f'<xmin>{x1 + 1:.0f}</xmin><ymin>{y1 + 1:.0f}</ymin><xmax>{x2:.0f}</xmax>'
            f'<ymax>{y2:.0f}</ymax></bndbox></object>'
            for (x1, y1, x2, y2), label in zip(sample.boxes.tolist(), sample.classes.tolist()))
        (directory / 'Annotations' / name).with_suffix('.xml').write_text(
            f'<annotation><filename>{name}</filename>{objects}</annotation>\n')


def write_csv(samples: list[Sample], directory: Path) -> None:
    """Write ``boxes.csv`` beside the images; an image without cards has a row without a label."""
    names = write_images(samples, directory)
    with (directory / 'boxes.csv').open('w', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerow(['image', 'label', 'x1', 'y1', 'x2', 'y2'])
        for name, sample in zip(names, samples):
            rows = list(zip(sample.boxes.tolist(), sample.classes.tolist()))
            for box, label in rows:
                writer.writerow([name, NAMES[label], *box])
            if not rows:
                writer.writerow([name, '', '', '', '', ''])


def write_crops(count: int, directory: Path, seed: int = 1) -> None:
    """Write single cards, one directory for each class."""
    for number in range(count):
        image, label = make_crop(np.random.default_rng([seed, _KIND, 1, number]), nothing=0.0)
        place = directory / NAMES[label]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f'{number:04d}.png'), image[..., ::-1])


_WRITERS = {'coco': write_coco, 'yolo': write_yolo, 'voc': write_voc, 'csv': write_csv}


def main() -> None:
    """Write a dataset."""
    parser = argparse.ArgumentParser(
        prog='python -m training.dataset', description='Write labelled images of the demo cards.')
    parser.add_argument('directory', type=Path, metavar='DIR')
    parser.add_argument('--format', choices=[*_WRITERS, 'directories'], default='coco',
                        help='directories: single cards (default: %(default)s)')
    parser.add_argument('--images', type=int, default=100, metavar='N')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--shift', choices=['night'], default='',
                        help='show the same under another light')
    arguments = parser.parse_args()
    if arguments.format == 'directories':
        write_crops(arguments.images, arguments.directory, arguments.seed)
    else:
        _WRITERS[arguments.format](
            draw(arguments.images, arguments.seed, arguments.shift), arguments.directory)


if __name__ == '__main__':
    main()
