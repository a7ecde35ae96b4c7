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

"""Average precision: equal to pycocotools, the reference implementation, on generated images."""

import contextlib
import io

import numpy as np
from pycocotools import coco
from pycocotools.cocoeval import COCOeval
import pytest

from ros2_classify_evaluation.datasets.base import Objects
from ros2_classify_evaluation.metrics.detection import (
    average_precisions, confusion, IOUS, ious, match, matches, operating, Predicted, SIZES)


def drawn(seed, images=40, classes=3, crowds=True):
    """Return truths and noisy predictions, with many equal scores and sizes of all kinds."""
    random = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(images):
        count = random.integers(0, 8)
        sides = np.exp(random.uniform(np.log(8), np.log(200), (count, 2)))
        corner = random.uniform(0, 400, (count, 2))
        boxes = np.concatenate((corner, corner + sides), axis=1)
        class_ids = random.integers(0, classes, count)
        crowd = random.random(count) < (0.15 if crowds else 0)
        truths.append(Objects.of(boxes, class_ids, crowd))
        near = boxes + random.normal(0, 6, boxes.shape)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        extra = random.integers(0, 6)
        place = random.uniform(0, 400, (extra, 2))
        false = np.concatenate((place, place + random.uniform(5, 150, (extra, 2))), axis=1)
        all_boxes = np.concatenate((near, near[: count // 2] + 3, false))
        ids = np.concatenate((
            np.where(random.random(count) < 0.85, class_ids, random.integers(0, classes, count)),
            class_ids[: count // 2], random.integers(0, classes, extra)))
        scores = np.round(random.random(len(all_boxes)), 2)
        order = np.argsort(-scores, kind='stable')
        predictions.append(Predicted(all_boxes[order], scores[order], ids[order]))
    return truths, predictions


def reference(truths, predictions, classes):
    """Return COCO's twelve numbers, by pycocotools."""
    annotations, results = [], []
    for image, (truth, predicted) in enumerate(zip(truths, predictions), 1):
        for box, each, ignored, area in zip(
                truth.boxes, truth.class_ids, truth.ignored, truth.areas):
            annotations.append({
                'id': len(annotations) + 1, 'image_id': image, 'category_id': int(each) + 1,
                'bbox': [*box[:2], *(box[2:] - box[:2])], 'area': area, 'iscrowd': int(ignored)})
        for box, score, each in zip(*predicted):
            results.append({'image_id': image, 'category_id': int(each) + 1, 'score': score,
                            'bbox': [*box[:2], *(box[2:] - box[:2])]})
    data = coco.COCO()
    data.dataset = {
        'images': [{'id': image} for image in range(1, len(truths) + 1)],
        'annotations': annotations, 'info': {},
        'categories': [{'id': each + 1, 'name': str(each)} for each in range(classes)]}
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        run = COCOeval(data, data.loadRes(results), 'bbox')
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize('seed', range(6))
def test_average_precision_equals_the_reference(seed):
    classes = 3
    truths, predictions = drawn(seed, crowds=seed % 2 == 0)
    expected = reference(truths, predictions, classes)
    for position, size in ((0, 'all'), (3, 'small'), (4, 'medium'), (5, 'large')):
        table = np.array([average_precisions(matches(truths, predictions, each, size))
                          for each in range(classes)])
        assert np.nanmean(table) == pytest.approx(expected[position], abs=1e-9)
        if size == 'all':
            assert np.nanmean(table[:, 0]) == pytest.approx(expected[1], abs=1e-9)
            assert np.nanmean(table[:, 5]) == pytest.approx(expected[2], abs=1e-9)


def test_weights_count_an_image_as_often_as_it_is_there():
    truths, predictions = drawn(7)
    weights = np.random.default_rng(0).integers(0, 3, len(truths)).astype(float)
    twice = [image for image, times in enumerate(weights) for _ in range(int(times))]
    for each in range(3):
        weighted = average_precisions(matches(truths, predictions, each), weights)
        repeated = average_precisions(matches(
            [truths[image] for image in twice], [predictions[image] for image in twice], each))
        assert weighted == pytest.approx(repeated, abs=0.02)


def test_nothing_to_find_has_no_precision():
    none = Objects.of([], [])
    found = Predicted(np.array([[0, 0, 9, 9.0]]), np.array([0.9]), np.array([0]))
    assert np.isnan(average_precisions(matches([none], [found], 0))).all()


def test_iou_of_a_crowd_is_the_part_inside():
    box = np.array([[0, 0, 10, 10.0]])
    crowd = np.array([[0, 0, 5, 100.0]])
    assert ious(box, crowd, np.array([True]))[0, 0] == pytest.approx(0.5)
    assert ious(box, crowd)[0, 0] == pytest.approx(50 / (100 + 500 - 50))


def test_the_better_prediction_takes_the_truth():
    overlap = np.array([[0.6, 0.0], [0.9, 0.0]])
    assert match(overlap, np.zeros(2, bool), np.zeros(2, bool), IOUS[:1]).tolist() == [[0, -1]]


def test_the_confusion_counts_every_truth_and_every_false_alarm():
    truths = [Objects.of([[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]], [0, 1, 1])]
    predictions = [Predicted(
        np.array([[0, 0, 10, 10], [20, 20, 30, 31], [80, 80, 90, 90.0]]),
        np.array([0.9, 0.8, 0.7]), np.array([0, 0, 1]))]
    found = operating(truths, predictions)
    assert confusion(found, truths, 0.5, 2).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert confusion(found, truths, 0.85, 2).tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]
    # A threshold for each class.
    assert confusion(found, truths, np.array([0.85, 0.5]), 2).tolist() == [
        [1, 0, 0], [0, 0, 2], [0, 1, 0]]


def test_a_closer_truth_of_another_class_is_left_to_its_own():
    truths = [Objects.of([[0, 0, 10, 10], [0, 0, 10, 11]], [1, 0])]
    predictions = [Predicted(np.array([[0, 0, 10, 10.0]]), np.array([0.9]), np.array([0]))]
    assert operating(truths, predictions).truths.tolist() == [0]


def test_the_sizes_are_those_of_coco():
    assert list(SIZES) == ['all', 'small', 'medium', 'large']
