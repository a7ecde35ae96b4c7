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

"""The demo cards that ship: the sheet, the sample images, both models and what is said of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
import re
from typing import Any
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest
from ros2_classify import Pipeline
from sheet_camera import PAGE, photograph, project, View
import yaml

MODELS = Path(__file__).resolve().parent.parent / 'models'
NAMES = ['stop', 'yield', 'go', 'turn_left', 'turn_right', 'u_turn', 'speed_30', 'speed_60',
         'red_light', 'green_light', 'charging', 'home']
SIZE = (640, 480)
VIEWS = {
    'from above': View(420),
    'from its foot': View(480, tilt=40),
    'from the side': View(460, turn=-38, roll=8),
    'askew': View(430, tilt=-25, turn=25, roll=-15),
    'far, in weak light': View(800, tilt=15, lamp=(400, 100, 500)),
}
SAMPLES = MODELS.parent / 'models/scenes'
IMAGES = yaml.safe_load(
    (MODELS.parent / 'models/scenes/scenes.yaml').read_text(encoding='utf-8'))['images']
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')


@pytest.fixture(scope='module')
def detector() -> Pipeline:
    """Return the shipped detector."""
    return Pipeline.load('cards_detector', provider='cpu')


@pytest.fixture(scope='module')
def classifier() -> Pipeline:
    """Return the shipped classifier."""
    return Pipeline.load('cards_classifier', provider='cpu')


@pytest.fixture(scope='module')
def sheet() -> NDArray[np.uint8]:
    """Return the printed page's pixels at 75 dots an inch, BGR."""
    page = read(MODELS / 'cards_sheet.png')
    return cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def read(path: Path) -> NDArray[np.uint8]:
    """Read an image, BGR."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    return image


def corners(number: int) -> list[tuple[float, float]]:
    """Return the corners of a card's square on the page, in millimetres, as the sheet has them."""
    left, top = 12 + 62 * (number % 3) + 7, 24 + 64 * (number // 3) + 4
    return [(left, top), (left + 48, top), (left + 48, top + 48), (left, top + 48)]


def seen_square(number: int, view: View) -> NDArray[np.float64]:
    """Return the box, x1, y1, x2, y2, around a card's square as the camera sees it."""
    points = np.array([project(point, view, SIZE) for point in corners(number)])
    return np.concatenate([points.min(0), points.max(0)])


def overlap(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = float(np.prod(np.clip(high - low, 0, None)))
    return common / float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


@pytest.mark.parametrize('name', ['cards_detector', 'cards_classifier'])
def test_files_are_small_and_name_the_same_classes(name: str) -> None:
    assert (MODELS / f'{name}.onnx').stat().st_size <= 3_000_000
    pipeline = Pipeline.load(name, provider='cpu')
    assert pipeline.labels is not None
    assert [pipeline.labels.name(i) for i in range(12)] == NAMES
    assert pipeline.descriptor.source.sha256


@pytest.mark.parametrize('view', VIEWS.values(), ids=VIEWS)
def test_printed_sheet_is_read_at_an_angle(
    view: View, detector: Pipeline, sheet: NDArray[np.uint8],
) -> None:
    result = detector(photograph(sheet, view, SIZE), 'bgr')
    assert sorted(result.labels) == sorted(NAMES)
    for box, label in zip(result.boxes, result.labels):
        square = seen_square(NAMES.index(label), view)
        center, size = (square[:2] + square[2:]) / 2, square[2:] - square[:2]
        off = np.abs((box[:2] + box[2:]) / 2 - center) / size
        assert off.max() < 0.12, f'{label} is off its place by {off} of its size'
        assert (box[:2] > square[:2] - 0.15 * size).all(), label
        assert (box[2:] < square[2:] + 0.15 * size).all(), label


@pytest.mark.parametrize('entry', IMAGES, ids=[entry['image'] for entry in IMAGES])
def test_sample_images_show_what_is_written_of_them(
    entry: dict[str, Any], detector: Pipeline,
) -> None:
    path = SAMPLES / entry['image']
    assert path.stat().st_size <= 150_000
    result = detector(read(path), 'bgr')
    assert sorted(result.labels) == sorted(card['label'] for card in entry['cards'])
    for card in entry['cards']:
        best = max(overlap(box, np.array(card['box']))
                   for box, label in zip(result.boxes, result.labels) if label == card['label'])
        assert best > 0.6, card


def test_sample_images_are_of_several_kinds() -> None:
    counts = [len(entry['cards']) for entry in IMAGES]
    assert 4 <= len(counts) <= 6
    assert min(counts) == 0
    assert 1 in counts
    assert max(counts) >= 4
    assert {entry['image'] for entry in IMAGES} == {
        path.name for path in SAMPLES.iterdir() if path.suffix in SUFFIXES}


@pytest.mark.parametrize('margin', [0.0, 0.15, 0.5])
@pytest.mark.parametrize('number', range(12), ids=NAMES)
def test_classifier_names_each_card(
    number: int, margin: float, classifier: Pipeline, sheet: NDArray[np.uint8],
) -> None:
    unit = sheet.shape[1] / PAGE[0]
    (left, top), _, (right, bottom), _ = corners(number)
    # The cards beside it must stay outside the image.
    edge = min(margin * 48, 7.0)
    x1, y1, x2, y2 = (round(v * unit) for v in
                      (left - edge, top - min(edge, 4), right + edge, bottom + edge))
    crop = sheet[y1:y2, x1:x2]
    if margin > 0.2:
        rim = round((margin * 48 - edge) * unit)
        crop = cv2.copyMakeBorder(crop, rim, rim, rim, rim, cv2.BORDER_CONSTANT,
                                  value=(90, 110, 120))
    result = classifier(crop, 'bgr')
    assert result.labels[0] == NAMES[number]
    assert result.scores[0] > 0.5


def test_classifier_names_no_card_on_a_plain_image(classifier: Pipeline) -> None:
    ramp = np.linspace(30, 200, 320, dtype=np.uint8)
    image = np.repeat(np.tile(ramp, (240, 1))[..., None], 3, 2)
    assert len(classifier(image, 'bgr')) == 0


def test_photographs_give_no_more_alarms_than_the_report_says(
    data: Path, detector: Pipeline,
) -> None:
    report = json.loads((MODELS / 'cards_report.json').read_text(encoding='utf-8'))
    files = sorted(p for p in (data / 'images').iterdir() if p.suffix.lower() in SUFFIXES)
    alarms = {p.name: len(detector(read(p), 'bgr')) for p in files}
    assert len(files) == report['photographs']['images']
    # One more than reported: a score may lie right at the threshold.
    assert sum(alarms.values()) <= 1 + sum(map(len, report['photographs']['alarms'].values()))


def test_report_meets_the_goals_and_the_model_card_repeats_it() -> None:
    report = json.loads((MODELS / 'cards_report.json').read_text(encoding='utf-8'))
    assert report['detector']['images'] >= 1000
    assert report['detector']['mAP@0.5'] >= 0.95
    assert report['classifier']['top1'] >= 0.98
    for part, file in (('detector', 'cards_detector'), ('classifier', 'cards_classifier')):
        model = (MODELS / f'{file}.onnx').read_bytes()
        assert report[part]['sha256'] == hashlib.sha256(model).hexdigest()
        assert report[part]['fastest_ms'] <= 15
    text = (MODELS / 'MODEL_CARD.md').read_text(encoding='utf-8')
    for value in (report['detector']['mAP@0.5'], report['classifier']['top1'],
                  report['card_free']['plain']['alarms_per_image'],
                  report['photographs']['alarms_per_image']):
        assert f'| {value:.4f} |' in text


def test_pdf_is_one_a4_page_with_every_name() -> None:
    pdf = (MODELS / 'cards_sheet.pdf').read_bytes()
    assert pdf.count(b'/Type /Page ') == 1
    box = re.search(rb'/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]', pdf)
    assert box
    assert [float(v) / 72 * 25.4 for v in box.groups()] == pytest.approx(PAGE, abs=0.1)
    stream = zlib.decompress(pdf.split(b'stream\n', 1)[1].split(b'\nendstream', 1)[0])
    assert all(f'({name}) Tj'.encode() in stream for name in NAMES)
