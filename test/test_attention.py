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

"""Region of interest and tiles with real models: results are in pixels of the whole image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ros2_classify import Detections, Pipeline, read_image, Segmentation
from ros2_classify.errors import DescriptorError, OptionsError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.preprocess.views import tile_views
from ros2_classify.testing import save_constant_model, save_known_classifier
from ros_models import save_masks
from shared_data import ROOT
import yaml

IMAGES = ROOT / 'models/scenes'
PLACES = ((200, 150), (2900, 300), (1500, 1300), (500, 2300), (3100, 2350))


@pytest.fixture(scope='module')
def cards() -> Any:
    """Return the shipped detector."""
    with Pipeline.load('cards_detector', task='detection', provider='cpu', max_batch=4) as found:
        yield found


@pytest.fixture(scope='module')
def large() -> tuple[Any, list[tuple[str, list[float]]]]:
    """Return an image of 4000×3000 with 60 small cards, and what is where."""
    rng = np.random.default_rng(1)
    image = np.clip(np.full((3000, 4000, 3), (96, 110, 120)) + rng.normal(0, 4, (3000, 4000, 1)),
                    0, 255).astype(np.uint8)
    sheet = read_image(IMAGES / 'many_cards.jpg')
    listed = yaml.safe_load((IMAGES / IMAGES.with_suffix('.yaml').name).read_text())['images']
    drawn = next(each['cards'] for each in listed if each['image'] == 'many_cards.jpg')
    known = []
    for x, y in PLACES:
        image[y:y + 480, x:x + 640] = sheet
        known += [(card['label'], [card['box'][0] + x, card['box'][1] + y,
                                   card['box'][2] + x, card['box'][3] + y]) for card in drawn]
    return image, known


def iou(a: Any, b: Any) -> float:
    """Return the intersection over union of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def test_small_cards_in_a_large_image_are_found_with_tiles_only(cards: Any, large: Any) -> None:
    image, known = large

    def right(result: Detections) -> int:
        return sum(any(label == each and iou(box, other) > 0.5 for other, each in zip(
            result.boxes.tolist(), result.labels)) for label, box in known)

    assert right(cards(image, 'bgr')) == 0
    found = cards(image, 'bgr', cards.options.replace(tiles='5x5'))
    assert right(found) == len(known) == 60 and len(found) == 60
    assert found.image_size == (4000, 3000)
    assert found.timing.inference > 0 and found.timing.preprocess > 0


def test_tiles_are_a_plain_loop_over_crops(cards: Any, large: Any) -> None:
    image, _ = large
    # Without overlap no box is in two tiles: the results are those of the crops, moved.
    options = cards.options.replace(tiles='4x3', tile_overlap=0.0, nms_iou=1.0,
                                    roi=(0.02, 0.0, 0.72, 0.6))
    views = tile_views(options, (4000, 3000))
    plain = []
    for x, y, width, height in views:
        crop = np.ascontiguousarray(image[y:y + height, x:x + width])
        found = cards(crop, 'bgr', cards.options.replace(nms_iou=1.0))
        plain += [(*(box + np.float32([x, y, x, y])), score, class_id) for box, score, class_id in
                  zip(found.boxes, found.scores, found.class_ids)]
    plain.sort(key=lambda row: -row[4])
    found = cards(image, 'bgr', options)
    assert len(found) == len(plain[:100]) > 20
    np.testing.assert_allclose(found.scores, [row[4] for row in plain[:100]], atol=1e-4)
    np.testing.assert_allclose(found.boxes, [row[:4] for row in plain[:100]], atol=0.05)
    assert found.class_ids.tolist() == [row[5] for row in plain[:100]]


@pytest.mark.parametrize('size', [(640, 480), (641, 479), (300, 700)])
@pytest.mark.parametrize('roi', [(0.25, 0.1, 0.9, 0.95), (0.0, 0.5, 0.5, 1.0)])
def test_a_region_gives_what_its_crop_gives(cards: Any, size: Any, roi: Any) -> None:
    image = cv2.resize(read_image(IMAGES / 'several_cards.jpg'), size)
    x, y = int(np.floor(roi[0] * size[0])), int(np.floor(roi[1] * size[1]))
    x2, y2 = int(np.ceil(roi[2] * size[0])), int(np.ceil(roi[3] * size[1]))
    alone = cards(np.ascontiguousarray(image[y:y2, x:x2]), 'bgr')
    found = cards(image, 'bgr', cards.options.replace(roi=roi))
    assert found.image_size == size
    np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, alone.boxes + np.float32([x, y, x, y]), atol=0.01)


def detector(path: Path, output: dict[str, Any], **more: Any) -> Any:
    """Return a pipeline on a model file."""
    return Pipeline.load(ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': output, **more}), provider='cpu')


def test_only_what_has_its_centre_in_a_polygon_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    start = rng.uniform(0, 54, (60, 2))
    boxes = np.concatenate((start, start + 6), axis=1).astype(np.float32)
    scores = np.linspace(0.9, 0.4, 60, dtype=np.float32)
    path = save_constant_model(
        tmp_path / 'a.onnx', {'boxes': boxes[np.newaxis], 'scores': scores[np.newaxis, :, None]},
        input_shape=(1, 3, 64, 64))
    triangle = ((0.5, 0.0), (1.0, 1.0), (0.0, 1.0))
    with detector(path, {'decoder': 'boxes_scores', 'normalized': False}) as pipeline:
        image = np.zeros((100, 200, 3), np.uint8)
        options = pipeline.options.replace(nms_iou=1.0)
        whole = pipeline(image, 'bgr', options)
        found = pipeline(image, 'bgr', options.replace(roi=triangle))
    kept = []
    for box in whole.boxes.tolist():
        x, y = (box[0] + box[2]) / 400, (box[1] + box[3]) / 200
        # Between the two sides that meet at the middle of the top.
        if 0.5 - y / 2 < x < 0.5 + y / 2:
            kept.append(box)
    assert 5 < len(kept) < 55
    np.testing.assert_allclose(found.boxes, kept, atol=1e-3)


@pytest.mark.parametrize('units', ['source', 'model'])
def test_boxes_and_masks_are_moved_once(tmp_path: Path, units: str) -> None:
    """Also of models that return boxes in pixels of the image that they are given."""
    rows = np.array([[[2, 4, 10, 12, 0.9, 0], [20, 10, 30, 20, 0.6, 1]]], np.float32)
    path = save_constant_model(tmp_path / 'a.onnx', {'rows': rows}, input_shape=(1, 3, 50, 50))
    with detector(path, {'decoder': 'end_to_end', 'units': units}) as pipeline:
        image = np.zeros((200, 400, 3), np.uint8)
        found = pipeline(image, 'bgr', pipeline.options.replace(roi=(0.5, 0.25, 1.0, 0.75)))
        scale = np.array([4, 2, 4, 2]) if units == 'model' else 1
    # The crop has 200×100 pixels and begins at 200, 50.
    np.testing.assert_allclose(
        found.boxes, rows[0, :, :4] * scale + [200, 50, 200, 50], atol=1e-3)


def test_masks_are_moved_with_their_boxes(tmp_path: Path) -> None:
    with Pipeline.load(save_masks(tmp_path), task='detection') as pipeline:
        image = np.zeros((200, 400, 3), np.uint8)
        alone = pipeline(np.ascontiguousarray(image[50:150, 200:]))
        found = pipeline(image, 'rgb', pipeline.options.replace(roi=(0.5, 0.25, 1.0, 0.75)))
    expected = np.zeros((200, 400), np.uint8)
    expected[50:150, 200:] = alone.instances()
    assert expected.any()
    np.testing.assert_array_equal(found.instances(), expected)


def test_a_segmentation_has_no_class_outside_of_the_region(tmp_path: Path) -> None:
    scores = np.zeros((1, 2, 2, 4), np.float32)
    scores[0, 0, :, :2] = scores[0, 1, :, 2:] = 1
    path = save_constant_model(tmp_path / 'a.onnx', {'out': scores}, input_shape=(1, 3, 8, 16))
    with detector(path, {'decoder': 'segmentation'}, labels=['left', 'right']) as pipeline:
        image = np.zeros((80, 160, 3), np.uint8)
        box = pipeline(image, 'bgr', pipeline.options.replace(roi=(0.25, 0.5, 0.75, 1.0)))
        assert isinstance(box, Segmentation)
        expected = np.full((80, 160), 255)
        expected[40:, 40:80], expected[40:, 80:120] = 0, 1
        np.testing.assert_array_equal(box.label_image, expected)
        triangle = pipeline(image, 'bgr', pipeline.options.replace(
            roi=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))))
        assert isinstance(triangle, Segmentation)
        y, x = np.mgrid[0:80, 0:160] + 0.5
        expected = np.where(x < 80, 0, 1)
        expected[x / 160 + y / 80 >= 1] = 255
        np.testing.assert_array_equal(triangle.label_image, expected)
        with pytest.raises(OptionsError, match='tiles are for detection.* is segmentation'):
            pipeline.check_options(pipeline.options.replace(tiles='2x2'))


def test_a_classifier_sees_the_crop(tmp_path: Path) -> None:
    with Pipeline.load('cards_classifier', task='classification') as pipeline:
        image = read_image(IMAGES / 'one_card.jpg')
        crop = image[int(np.floor(0.05 * 480)):int(np.ceil(0.85 * 480)),
                     int(np.floor(0.15 * 640)):int(np.ceil(0.65 * 640))]
        alone = pipeline(np.ascontiguousarray(crop), 'bgr')
        found = pipeline(image, 'bgr', pipeline.options.replace(roi=(0.15, 0.05, 0.65, 0.85)))
    np.testing.assert_allclose(found.scores, alone.scores, atol=1e-6)
    assert found.image_size == (640, 480)
    path = save_known_classifier(tmp_path, 'ants', (0.75, 0.25))
    with Pipeline.load(path) as known, pytest.raises(OptionsError, match='are for detection'):
        known(image, 'bgr', known.options.replace(tiles='2x1'))


def test_a_descriptor_may_hold_them(cards: Any) -> None:
    mapping = mapping_of(cards.descriptor)
    mapping['source']['path'] = str(cards.file)
    mapping['defaults'] = {'roi': [0.25, 0.0, 1.0, 1.0], 'tiles': '3x2', 'tile_overlap': 0.1,
                           'tile_whole': True, 'max_rate': 5.0}
    descriptor = ModelDescriptor.from_mapping(mapping)
    assert mapping_of(descriptor)['defaults'] == mapping['defaults']
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        assert pipeline.options.tiles == (3, 2) and pipeline.options.tile_count == 7
        assert pipeline.options.roi == ((0.25, 0.0), (1.0, 1.0))
    points = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]
    mapping['defaults'] = {'roi': points}
    assert mapping_of(ModelDescriptor.from_mapping(mapping))['defaults'] == {'roi': points}
    for defaults, words in (({'roi': [0.5, 0.5]}, 'defaults.roi'), ({'tiles': '3'}, 'such as 3x2'),
                            ({'tile_overlap': 0.9}, 'tile_overlap')):
        with pytest.raises(DescriptorError, match=words):
            ModelDescriptor.from_mapping({**mapping, 'defaults': defaults})


def test_tiles_are_for_detectors_in_a_descriptor_too(tmp_path: Path) -> None:
    path = save_known_classifier(tmp_path, 'ants', (0.75, 0.25), defaults='tiles: 2x2')
    with pytest.raises(DescriptorError, match='defaults.tiles are for detection'):
        Pipeline.load(path)
