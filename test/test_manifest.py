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
Every published ONNX model gives the results that its manifest records, on every image.

The manifest's own tables are the reference; they were made by other programs. Same labels, scores
within 0.03, boxes with an IoU of at least 0.9.
"""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import re
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from ros2_classify import Detections, load_descriptor, Pipeline, read_image
import shared_data

SCORE = 0.03
IOU = 0.9

# The tests' descriptors, by what the manifest calls their models.
DESCRIPTORS = {
    'SqueezeNet_fp16.onnx': 'squeezenet_fp16',
    'SqueezeNet_fp32.onnx': 'squeezenet_fp32',
    'mobilenet_v1_0.25_224.onnx': 'mobilenet_v1_025',
    'yolox_nano.onnx': 'yolox_nano',
    'version-RFB-320.onnx': 'ultraface_rfb_320',
    'coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.onnx': 'coco_ssd_quant',
    'ssd_mobilenet_v1_0.75_coco': 'ssd_mobilenet_v1_075',
}
_ROW = re.compile(r'(?:(\D.*?) )?(\d\.\d+) \[(-?\d+), (-?\d+), (-?\d+), (-?\d+)\]')
_TOP = re.compile(r'(.+?) (\d\.\d+)(?: \[(.+?) (\d\.\d+)\])?')


class Top(NamedTuple):
    """The best class by centre crop, and by stretching (score None where not recorded)."""

    crop: tuple[str, float]
    stretch: tuple[str, float | None]


class Row(NamedTuple):
    """One recorded box."""

    label: str
    score: float
    box: tuple[int, ...]


class Found(NamedTuple):
    """The recorded boxes of one image, and how many there were in all."""

    rows: list[Row]
    total: int


def classification_results(manifest: str) -> dict[tuple[str, str], Top]:
    """Read the table of classification results: by model and image."""
    section = manifest.split('## Verified classification results')[1].split('\n## ')[0]
    table = [[cell.strip() for cell in line.strip('|').split('|')]
             for line in section.splitlines() if line.startswith('|')]
    results = {}
    for image, *cells in table[2:]:
        for model, cell in zip(table[0][1:], cells):
            match = _TOP.fullmatch(cell)
            label, score, stretched, stretched_score = match.groups()
            results[model, image] = Top(
                (label, float(score)),
                (stretched, float(stretched_score)) if stretched else (label, None))
    return results


def detection_results(manifest: str) -> dict[tuple[str, str], Found]:
    """Read the list of detection results: by model and image."""
    section = manifest.split('## Verified detection results')[1].split('\n## ')[0]
    results = {}
    for line in section.splitlines():
        if line.startswith('- **'):
            image = line.strip('- *')
        elif line.startswith('  - '):
            model, _, text = line[4:].partition(': ')
            results[model, image] = _found(text)
    return results


def _found(text: str) -> Found:
    faces = re.match(r'(\d+) face\(s\): ', text)
    more = re.search(r'\(\+(\d+) more\)', text)
    rows = [Row(label or 'face', float(score), tuple(map(int, box)))
            for label, score, *box in _ROW.findall(text[faces.end():] if faces else text)]
    # A separator sticks to every label but the first.
    rows = [row._replace(label=row.label.lstrip('; ') or 'face') for row in rows]
    return Found(rows, int(faces[1]) if faces else len(rows) + (int(more[1]) if more else 0))


DATA = shared_data.find_data()
MANIFEST = (DATA / 'MANIFEST.md').read_text(encoding='utf-8') if DATA else ''
CLASSES = classification_results(MANIFEST) if DATA else {}
BOXES = detection_results(MANIFEST) if DATA else {}
CLASSIFIERS = sorted({model for model, _ in CLASSES})
DETECTORS = sorted({model for model, _ in BOXES})

pytestmark = pytest.mark.skipif(DATA is None, reason=shared_data.REASON)


def iou(one, other):
    """Return the overlap of two boxes, computed plainly."""
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def match(result: Detections, row: Row, taken: set[int]) -> int | None:
    """Return the index of the free result that is the recorded row."""
    width, height = result.image_size
    # Recorded boxes may leave the image.
    whole = np.clip(row.box, 0, (width, height, width, height))
    for index, box in enumerate(result.boxes):
        # They were cut to whole pixels, which is much for a face of 7 pixels: of all boxes that
        # would have been written like this, the nearest one counts.
        recorded = np.clip(box, whole, whole + 1)
        if (index not in taken and result.labels[index] == row.label
                and abs(result.scores[index] - row.score) <= SCORE
                and iou(box, recorded) >= IOU):
            return index
    return None


def test_the_tables_were_read_whole():
    images = {path.name for path in (DATA / 'images').iterdir()}
    assert {image for _, image in CLASSES} == images
    assert {image for _, image in BOXES} == images
    assert set(CLASSIFIERS) | set(DETECTORS) == set(DESCRIPTORS)
    assert len(CLASSES) == 3 * len(images)
    assert len(BOXES) == 4 * len(images)
    assert CLASSES['mobilenet_v1_0.25_224.onnx', 'tf2onnx_car.JPEG'] == Top(
        ('moving van', 0.41), ('limousine', 0.14))
    assert BOXES['version-RFB-320.onnx', 'ultraface_1.jpg'].total == 19
    # Each box of the section was read.
    assert sum(len(found.rows) for found in BOXES.values()) == len(
        re.findall(r'\[-?\d+, ', MANIFEST.split('## Verified detection results')[1]))
    assert {row.label for found in BOXES.values() for row in found.rows} > {
        'person', 'face', 'traffic light'}


def test_each_onnx_model_of_the_directory_has_a_descriptor(published):
    known = {load_descriptor(path).source.path
             for path in (shared_data.ROOT / 'test/descriptors').glob('*.yaml')}
    assert known == {path.name for path in (DATA / 'models').rglob('*.onnx')}


@pytest.mark.parametrize('model', CLASSIFIERS)
@pytest.mark.parametrize('resize', ['center_crop', 'stretch'])
def test_classifier(published, model, resize):
    descriptor = load_descriptor(
        shared_data.ROOT / f'test/descriptors/{DESCRIPTORS[model]}.yaml')
    assert descriptor.input.resize == 'center_crop'
    descriptor = replace(descriptor, input=replace(descriptor.input, resize=resize))
    wrong = []
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        for (name, image), top in CLASSES.items():
            if name != model:
                continue
            label, score = top.crop if resize == 'center_crop' else top.stretch
            result = pipeline(read_image(published / 'images' / image), 'bgr')
            if result.labels[0] != label or (
                    score is not None and abs(result.scores[0] - score) > SCORE):
                wrong.append(f'{image}: {label} {score}, got {result.rows()[0]}')
    assert not wrong


@pytest.mark.parametrize('model', DETECTORS)
def test_detector(published, model):
    wrong = []
    with Pipeline.load(DESCRIPTORS[model], provider='cpu') as pipeline:
        threshold = pipeline.options.score_threshold
        for (name, image), found in BOXES.items():
            if name != model:
                continue
            result = pipeline(read_image(published / 'images' / image), 'bgr')
            taken: set[int] = set()
            for row in found.rows:
                index = match(result, row, taken)
                if index is not None:
                    taken.add(index)
                elif row.score >= threshold + SCORE:
                    wrong.append(f'{image}: {row} is missing from\n{result}')
            # A score this near to the threshold may fall on either side.
            sure = int((result.scores >= threshold + SCORE).sum())
            near = len(result) + sum(row.score < threshold + SCORE for row in found.rows)
            # The manifest records at most 12 boxes of these.
            limit = 12 if model == 'yolox_nano.onnx' else 100
            if not min(sure, limit) <= found.total <= near:
                wrong.append(f'{image}: {found.total} boxes recorded, got\n{result}')
    assert not wrong, '\n'.join(wrong)


def test_wrong_colours_give_wrong_results(published):
    """The negative control that the manifest names: these tests can fail."""
    descriptor = load_descriptor(shared_data.ROOT / 'test/descriptors/squeezenet_fp32.yaml')
    spec = replace(descriptor.input, color='rgb', scale=1 / 255, mean=(0.485, 0.456, 0.406),
                   std=(0.229, 0.224, 0.225))
    right = 0
    with Pipeline.load(replace(descriptor, input=spec), provider='cpu') as pipeline:
        for (name, image), top in CLASSES.items():
            if name == 'SqueezeNet_fp32.onnx':
                result = pipeline(read_image(published / 'images' / image), 'bgr')
                right += result.labels[0] == top.crop[0]
    assert right <= 2


@pytest.mark.parametrize('model, image', [
    ('SqueezeNet_fp16.onnx', 'ortex_goldfish.jpg'),
    ('SqueezeNet_fp32.onnx', 'winml_dog.jpg'),
    ('mobilenet_v1_0.25_224.onnx', 'coral_sunflower.bmp'),
    ('yolox_nano.onnx', 'darknet_dog.jpg'),
    ('version-RFB-320.onnx', 'coral_face.jpg'),
    ('coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.onnx', 'tfls_grace_hopper.jpg'),
    ('ssd_mobilenet_v1_0.75_coco', 'skimage_chelsea.png'),
])
def test_command_line(published: Path, model: str, image: str):
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_classify', 'infer', '--json', '--provider', 'cpu',
         '--model', DESCRIPTORS[model], '--image', str(published / 'images' / image)],
        capture_output=True, text=True, check=False, timeout=120, cwd=shared_data.ROOT)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result) == ['model', 'task', 'image', 'results', 'timing_ms', 'provider',
                            'unverified', 'best_score']
    best = result['results'][0]
    if model in CLASSIFIERS:
        expected = CLASSES[model, image].crop
        assert list(best) == ['class_id', 'label', 'score']
    else:
        row = BOXES[model, image].rows[0]
        expected = row[:2]
        assert list(best) == ['class_id', 'label', 'score', 'box']
        size = result['image']['width'], result['image']['height']
        assert iou(best['box'], np.clip(row.box, 0, size * 2)) >= IOU
    assert best['label'] == expected[0]
    assert best['score'] == pytest.approx(expected[1], abs=SCORE)
