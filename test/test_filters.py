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

"""Filters by class, score and size, against plain loops over what the model gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from decoder_models import on_image, run_model
import numpy as np
import pytest
from ros2_classify import Detections, Labels, Options, Pipeline, Segmentation
from ros2_classify.errors import DescriptorError, OptionsError
from ros2_classify.filters import (
    class_filter, class_threshold_words, parse_class_thresholds)
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.testing import save_constant_model, save_known_classifier

# x1, y1, x2, y2, score, class in pixels of a model of 64×64.
ROWS = [(8, 8, 24, 24, 0.9, 1), (9, 8, 25, 24, 0.8, 1), (8, 9, 24, 25, 0.7, 0),
        (40, 40, 60, 60, 0.6, 0), (30, 2, 34, 6, 0.55, 2), (0, 0, 64, 60, 0.5, 2),
        (50, 2, 60, 12, 0.25, 2)]
LABELS = ['person', 'car', 'dog']
IMAGE = 128 * 192


def iou(a: Any, b: Any) -> float:
    """Return the intersection over union of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def plain(
    threshold: float = 0.3, classes: Any = (), thresholds: Any = None, agnostic: bool = False,
    low: float = 0.0, high: float = 1.0, most: int = 100,
) -> list[tuple[float, ...]]:
    """Return what a loop over the rows keeps, on the image."""
    kept: list[Any] = []
    for row in sorted(on_image(ROWS), key=lambda row: -row[4]):
        area = (row[2] - row[0]) * (row[3] - row[1]) / IMAGE
        if row[4] < (thresholds or {}).get(row[5], threshold):
            continue
        if classes and row[5] not in classes or not low <= area <= high:
            continue
        if all(iou(row, other) <= 0.5 or (not agnostic and row[5] != other[5]) for other in kept):
            kept.append(row)
    return kept[:most]


@pytest.fixture(scope='module')
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a detector that gives the rows for every image."""
    scores = np.zeros((len(ROWS), 3), np.float32)
    for number, row in enumerate(ROWS):
        scores[number, int(row[5])] = row[4]
    path = save_constant_model(
        tmp_path_factory.mktemp('rows') / 'rows.onnx',
        {'boxes': np.array(ROWS, np.float32)[np.newaxis, :, :4], 'scores': scores[np.newaxis]},
        input_shape=(1, 3, 64, 64))
    with Pipeline.load(ModelDescriptor.from_mapping({
            'source': {'path': str(path)}, 'labels': LABELS,
            'output': {'decoder': 'boxes_scores', 'normalized': False},
            'defaults': {'nms_iou': 0.5}}), task='detection') as pipeline:
        yield pipeline


def result(pipeline: Any, **options: Any) -> list[tuple[float, ...]]:
    """Return the rows of a result."""
    found = pipeline(np.full((192, 128, 3), 100, np.uint8), 'bgr',
                     pipeline.options.replace(**options))
    return [(*box, score, class_id) for box, score, class_id in zip(
        found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist())]


@pytest.mark.parametrize(('options', 'loop', 'count'), [
    ({}, {}, 5),
    ({'classes': ['person']}, {'classes': (0,)}, 2),
    ({'classes': ('dog', 'car')}, {'classes': (1, 2)}, 3),
    ({'classes': [0]}, {'classes': (0,)}, 2),
    ({'classes': ['2', 'person']}, {'classes': (0, 2)}, 4),
    ({'class_thresholds': {'dog': 0.2}}, {'thresholds': {2: 0.2}}, 6),
    ({'class_thresholds': {'person': 0.65, 1: 0.95}}, {'thresholds': {0: 0.65, 1: 0.95}}, 3),
    ({'class_thresholds': {'dog': 0.2}, 'classes': ['person']},
     {'thresholds': {2: 0.2}, 'classes': (0,)}, 2),
    ({'nms_agnostic': True}, {'agnostic': True}, 4),
    # What is dropped suppresses nothing.
    ({'nms_agnostic': True, 'classes': ['person']}, {'agnostic': True, 'classes': (0,)}, 2),
    ({'nms_agnostic': True, 'class_thresholds': {'car': 0.95}},
     {'agnostic': True, 'thresholds': {1: 0.95}}, 4),
    ({'min_area': 0.05}, {'low': 0.05}, 4),
    ({'max_area': 0.5}, {'high': 0.5}, 4),
    ({'min_area': 0.05, 'max_area': 0.08}, {'low': 0.05, 'high': 0.08}, 2),
    ({'max_area': 0.05, 'max_detections': 1}, {'high': 0.05, 'most': 1}, 1),
])
def test_results_are_those_of_a_plain_loop(
        pipeline: Any, options: dict[str, Any], loop: dict[str, Any], count: int) -> None:
    expected = plain(**loop)
    assert len(expected) == count
    np.testing.assert_allclose(result(pipeline, **options), expected, atol=0.02)


def test_candidates_that_are_dropped_take_no_room(pipeline: Any) -> None:
    expected = plain(classes=(2,))[:1]
    np.testing.assert_allclose(
        result(pipeline, classes=['dog'], max_candidates=1), expected, atol=0.02)


def test_boxes_that_the_model_has_suppressed_can_be_suppressed_across_classes(
        tmp_path: Path) -> None:
    outputs = {'rows': np.array(ROWS, np.float32)[np.newaxis]}
    found = run_model(tmp_path, outputs, {'decoder': 'end_to_end'}, nms_iou=0.5)
    assert len(found) == 6
    path = tmp_path / 'net.onnx'
    with Pipeline.load(ModelDescriptor.from_mapping({
            'source': {'path': str(path)}, 'output': {'decoder': 'end_to_end'},
            'defaults': {'nms_agnostic': True, 'nms_iou': 0.5}}), task='detection') as pipeline:
        assert len(pipeline(np.zeros((192, 128, 3), np.uint8))) == len(plain(agnostic=True))


@pytest.mark.parametrize(('options', 'words'), [
    ({'classes': ['persn']}, "classes names 'persn', which is no class .* mean 'person'"),
    ({'classes': ['CAR']}, "did you mean 'car'"),
    ({'classes': ['zebra']}, 'it has 3, such as person, car, dog; give a name or an id'),
    ({'classes': [3]}, "names '3'"),
    ({'class_thresholds': {'dogs': 0.5}}, "class_thresholds names 'dogs'.*did you mean 'dog'"),
])
def test_unknown_classes_are_refused_with_the_nearest(
        pipeline: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        result(pipeline, **options)
    with pytest.raises(OptionsError, match=words):
        pipeline.check_options(pipeline.options.replace(**options))


@pytest.mark.parametrize(('options', 'words'), [
    ({'classes': 'person'}, 'must be a list'), ({'classes': [1.5]}, 'a name or an id'),
    ({'classes': ['']}, 'a name or an id'), ({'classes': [True]}, 'a name or an id'),
    ({'class_thresholds': ['person']}, 'scores by name'),
    ({'class_thresholds': {'person': 2}}, "'person' is 2 but must be a number from 0 to 1"),
    ({'nms_agnostic': 1}, 'true or false'), ({'min_area': -0.1}, 'from 0 to 1'),
    ({'min_area': 0.5, 'max_area': 0.25}, 'must not be above max_area'),
])
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        Options(**options)


def test_options_with_filters_can_be_copied_compared_and_hashed() -> None:
    options = Options(classes=['a', 3], class_thresholds={4: 0.5})
    assert options.classes == ('a', '3') and options.class_thresholds == {'4': 0.5}
    assert options == Options(classes=('a', '3'), class_thresholds={'4': 0.5})
    assert hash(options) == hash(dataclasses.replace(options))
    assert dataclasses.asdict(options)['class_thresholds'] == {'4': 0.5}
    assert Options(classes=[]) == Options()


def test_ids_without_labels_and_names_that_several_classes_have() -> None:
    found = class_filter(Options(classes=['7']), None)
    assert found is not None and found.class_ids == (7,)
    with pytest.raises(OptionsError, match='have no names; give their ids'):
        class_filter(Options(classes=['person']), None)
    cranes = Labels({3: 'crane', 8: 'crane', 9: '7'})
    found = class_filter(Options(classes=['crane', '7', '4']), cranes)
    # A name comes before an id; where labels have gaps, other ids may be classes as well.
    assert found is not None and found.class_ids == (3, 4, 8, 9)
    with pytest.raises(OptionsError):
        class_filter(Options(classes=['12']), cranes, class_count=10)


def test_thresholds_as_words() -> None:
    scores = {'person': 0.6, 'a=b': 0.25, '7': 1.0}
    assert parse_class_thresholds(class_threshold_words(scores)) == scores
    for words in (['person'], ['=0.5'], ['person=x'], ['person=1.5'], ['person=nan']):
        with pytest.raises(OptionsError, match='such as person=0.6'):
            parse_class_thresholds(words)
    with pytest.raises(OptionsError, match='twice'):
        parse_class_thresholds(['a=0.5', 'a=0.6'])


def test_classes_of_a_classifier(tmp_path: Path) -> None:
    path = save_known_classifier(tmp_path, 'ants', (0.5, 0.3, 0.15, 0.05))
    image = np.zeros((8, 8, 3), np.uint8)
    with Pipeline.load(path, task='classification') as pipeline:
        def names(**options: Any) -> list[str]:
            found = pipeline(image, 'bgr', Options(score_threshold=0.0, **options))
            return [str(each) for each in found.labels]
        assert names(classes=['ants 3', 'ants 1']) == ['ants 1', 'ants 3']
        assert names(classes=['ants 3', 'ants 1'], top_k=1) == ['ants 1']
        assert names(class_thresholds={'ants 0': 0.6}, top_k=2) == ['ants 1', 'ants 2']


def test_classes_of_a_segmentation(tmp_path: Path) -> None:
    scores = np.zeros((1, 3, 2, 4), np.float32)
    scores[0, 0, :, 0] = scores[0, 1, :, 1] = scores[0, 2, :, 2:] = 1
    path = save_constant_model(tmp_path / 'a.onnx', {'out': scores}, input_shape=(1, 3, 8, 16))
    with Pipeline.load(ModelDescriptor.from_mapping({
            'source': {'path': str(path)}, 'labels': ['nothing', 'road', 'wall'],
            'output': {'decoder': 'segmentation', 'background': 0}})) as pipeline:
        image = np.zeros((8, 16, 3), np.uint8)
        whole = pipeline(image)
        assert isinstance(whole, Segmentation)
        only = pipeline(image, 'bgr', pipeline.options.replace(classes=['wall']))
        assert isinstance(only, Segmentation)
        expected = whole.label_image.copy()
        expected[expected == 1] = 255
        np.testing.assert_array_equal(only.label_image, expected)
        assert only.labels.tolist() == ['wall']
        small = pipeline(image, 'bgr', pipeline.options.replace(class_thresholds={'road': 0.4}))
        assert small.labels.tolist() == ['wall']
        np.testing.assert_array_equal(small.label_image, whole.label_image)


DEFAULTS = {'classes': ['person', '2'], 'class_thresholds': {'person': 0.6, '2': 0.25},
            'nms_agnostic': True, 'min_area': 0.01, 'max_area': 0.5}


def test_a_descriptor_may_hold_all_of_them(pipeline: Any) -> None:
    mapping = {**mapping_of(pipeline.descriptor), 'defaults': {
        **DEFAULTS, 'classes': ['person', 2], 'class_thresholds': {'person': 0.6, 2: 0.25}}}
    descriptor = ModelDescriptor.from_mapping(mapping)
    assert mapping_of(descriptor)['defaults'] == DEFAULTS
    with Pipeline.load(descriptor, task='detection') as own:
        assert own.options.replace(score_threshold=0.3) == Options(**DEFAULTS, nms_iou=0.45)
        found = own(np.zeros((192, 128, 3), np.uint8))
    assert isinstance(found, Detections)
    assert found.class_ids.tolist() == [0, 0, 2]
    np.testing.assert_allclose(
        found.boxes, [row[:4] for row in on_image([ROWS[2], ROWS[3], ROWS[6]])], atol=0.02)


@pytest.mark.parametrize(('defaults', 'words'), [
    ({'classes': ['persn']}, "defaults.classes names 'persn'.*did you mean 'person'"),
    ({'classes': []}, 'defaults.classes'), ({'classes': 'person'}, 'must be a list'),
    ({'class_thresholds': {'person': 2}}, 'defaults.class_thresholds.person'),
    ({'class_thresholds': ['person=0.5']}, 'must be a mapping'),
    ({'min_area': 0.5, 'max_area': 0.25}, 'min_area.*must not be above max_area'),
])
def test_wrong_defaults_are_refused(pipeline: Any, defaults: Any, words: str) -> None:
    with pytest.raises(DescriptorError, match=words):
        Pipeline.load(ModelDescriptor.from_mapping(
            {**mapping_of(pipeline.descriptor), 'defaults': defaults}))
