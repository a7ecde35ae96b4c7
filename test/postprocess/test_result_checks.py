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

"""What is suspicious about results: scores, boxes, classes, and results that stay the same."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
from ros2_classify.decoders.base import check_score, ScoreError
from ros2_classify.errors import OutputError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.labels import Labels
from ros2_classify.pipeline import Pipeline
from ros2_classify.postprocess.result_checks import ResultChecks, SENTENCES
from ros2_classify.results.results import Classification, Detections, Embedding, Timing
from ros2_classify.testing import FakeEngine, tensor

WIDTH, HEIGHT = 120, 80
IMAGE = np.array((0, 0, WIDTH, HEIGHT), np.float64)
TIMING = Timing(0.0, 0.0, 0.0)


def checks(labels: Labels | None = None) -> ResultChecks:
    return ResultChecks('net', labels)


def wrong_by_hand(box: Any) -> bool:
    """Tell by loops over pixels, or the order of its sides, whether a box can't be right."""
    x1, y1, x2, y2 = (int(side) for side in box)
    if x1 == x2 or y1 == y2:
        return False
    if x2 < x1 or y2 < y1:
        return True
    inside = sum(0 <= x < WIDTH and 0 <= y < HEIGHT
                 for x in range(x1, x2) for y in range(y1, y2))
    return inside < 0.5 * (x2 - x1) * (y2 - y1)


def test_boxes_are_judged_like_pixels_are_counted() -> None:
    rng = np.random.default_rng(3)
    seen = {False: 0, True: 0}
    for _ in range(300):
        box = rng.integers(-60, 160, 4)
        found = checks()
        found.check_boxes(box[np.newaxis].astype(np.float32), IMAGE)
        assert found.boxes == wrong_by_hand(box), box
        seen[bool(found.boxes)] += 1
    assert min(seen.values()) > 20


@pytest.mark.parametrize('box', [
    (3e38, 3e38, 3.3e38, 3.3e38), (-3e38, -3e38, 3e38, 3e38), (50, 40, 10, 5)])
def test_boxes_out_of_any_range_are_wrong(box: Any) -> None:
    found = checks()
    with np.errstate(all='raise', under='ignore'):
        found.check_boxes(np.array([box], np.float32), IMAGE)
    assert found.boxes == 1


def test_boxes_are_a_warning_when_most_of_them_are_wrong_and_only_then() -> None:
    found, right = checks(), np.array([[10, 10, 20, 20]], np.float32)
    wrong = right + 500
    for _ in range(9):
        found.check_boxes(wrong, IMAGE)
    assert found.found() == {}
    found.check_boxes(wrong, IMAGE)
    assert found.found() == {'boxes_outside': {'model': 'net', 'count': 10, 'boxes': 10}}
    # A few boxes are enough for one image that a user looks at.
    single = checks()
    single.check_boxes(np.concatenate((wrong, wrong, right)), IMAGE)
    assert single.found() == {} and list(single.found(least_boxes=1)) == ['boxes_outside']
    # What was wrong long ago is no warning any more; it stays counted.
    for _ in range(300):
        found.check_boxes(right, IMAGE)
    assert found.found() == {} and found.counts()['boxes inverted or outside of the image'] == 10
    found.check_boxes(np.zeros((0, 4), np.float32), IMAGE)


@pytest.mark.parametrize('ids, beyond', [
    ([0, 79], None), ([], None), ([3, 80, 7], 80), ([-1, 3], -1), ([-2, 95], 95)])
def test_classes_beyond_the_labels(ids: list[int], beyond: int | None) -> None:
    found = checks(Labels.from_names(str(index) for index in range(80)))
    found.check_classes(np.array(ids, np.int64))
    found.check_classes(np.array([5], np.int64))
    assert found.found() == ({} if beyond is None else {'class_unknown': {
        'model': 'net', 'count': 1, 'class_id': beyond, 'last': 79}})
    without = checks()
    without.check_classes(np.array(ids, np.int64))
    assert without.found() == {}


@pytest.mark.parametrize('score, good', [
    (0.0, True), (1.0, True), (1.005, True), (-0.0009, True), (1.02, False), (-0.002, False),
    (np.inf, False), (np.nan, False)])
def test_scores_are_from_0_to_1(score: float, good: bool) -> None:
    if good:
        check_score(np.float32(score))
        return
    with pytest.raises(ScoreError, match='output.activation'):
        check_score(np.float32(score))


def classification(score: float = 0.9) -> Classification:
    return Classification(np.array([1]), np.array([score], np.float32),
                          np.array(['a'], object), (WIDTH, HEIGHT), TIMING)


def boxes(x: float = 1.0) -> Detections:
    return Detections(np.array([[x, 2, 30, 40]], np.float32), np.array([1]),
                      np.array([0.9], np.float32), np.array(['a'], object), (WIDTH, HEIGHT),
                      TIMING)


def photo(seed: int, width: int = WIDTH) -> Any:
    """Return an image like no other one."""
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(cells, np.ones((HEIGHT // 8, width // 8, 1), np.uint8))


@pytest.mark.parametrize('make', [classification, boxes])
def test_the_same_result_for_ten_different_images_is_a_warning(make: Any) -> None:
    found = checks()
    for seed in range(10):
        found.check_image('/image', make(), photo(seed))
    assert found.found() == {} and found.images == 9
    found.check_image('/image', make(), photo(10))
    assert found.found() == {'same_result': {'model': 'net', 'count': 10, 'source': '/image'}}
    # A result that is another one in its last digit ends it.
    found.check_image('/image', make(0.9000001), photo(11))
    assert found.found() == {} and found.images == 10


def test_a_still_camera_may_have_one_result() -> None:
    found, rng = checks(), np.random.default_rng(4)
    for number in range(100):
        noise = rng.normal(6 * np.sin(number), 5, (HEIGHT, WIDTH, 3))
        image = np.clip(photo(1) + noise, 0, 255).astype(np.uint8)
        found.check_image('/image', classification(), image)
    assert found.images <= 1
    # Neither are two images that take turns different every time.
    for number in range(100):
        found.check_image('/image', classification(), photo(number % 2))
    assert found.images <= 3 and found.found() == {}


def test_what_says_nothing_about_the_image() -> None:
    found = checks()
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.int64),
                         np.zeros(0, np.float32), np.zeros(0, object), (WIDTH, HEIGHT), TIMING)
    vector = Embedding(np.ones(8, np.float32), (WIDTH, HEIGHT), TIMING)
    for result in (nothing, vector):
        for seed in range(20):
            found.check_image('/image', result, photo(seed))
    # Neither do two cameras of one model.
    for seed in range(9):
        for source in ('/left', '/right'):
            found.check_image(source, boxes(), photo(seed))
    assert found.found() == {} and found.images == 16


def test_images_of_any_size_and_number_of_channels() -> None:
    found = checks()
    for seed in range(11):
        pixels = photo(seed)[..., 0]
        found.check_image('/image', boxes(), pixels[:1 + 7 * seed, :3 + 5 * seed])
    assert list(found.found()) == ['same_result']


def test_each_finding_has_its_sentence() -> None:
    found = checks(Labels.from_names(['a']))
    found.refused(ScoreError(7.5))
    found.check_classes(np.array([1]))
    for seed in range(11):
        found.check_boxes(np.array([[5, 5, 1, 1]], np.float32), IMAGE)
        found.check_image('/image', boxes(), photo(seed))
    assert list(found.found()) == list(SENTENCES)
    for key, fields in found.found().items():
        assert {field for _, field, _, _ in string.Formatter().parse(SENTENCES[key])
                if field} == set(fields)
        assert SENTENCES[key].format(**fields).startswith('net: ')
    assert list(found.counts().values()) == [1, 11, 1, 10]


def detector(rows: Any, labels: Any = ('a', 'b'), resize: str = 'letterbox') -> Any:
    """Return a pipeline on a fake detector of 64x64 pixels that finds these rows in all images."""
    table = np.array(rows, np.float32)[np.newaxis]
    engine = FakeEngine([tensor('image', (1, 3, 64, 64))], [tensor('rows', table.shape)],
                        lambda _: {'rows': table})
    descriptor = ModelDescriptor.from_mapping({
        'name': 'net', 'source': {'path': 'fake.onnx'}, 'labels': list(labels),
        'input': {'resize': resize, 'size': [64, 64]},
        'output': {'decoder': 'end_to_end', 'units': 'model'},
        'defaults': {'score_threshold': 0.3}})
    return Pipeline(descriptor, engine, descriptor.load_labels())


def test_a_detector_is_checked_before_its_boxes_are_clipped() -> None:
    # 128x64 pixels in a letterbox of 64x64: 16 rows of padding above and below.
    pixels = np.zeros((64, 128, 3), np.uint8)
    rows = [(8, 20, 24, 40, 0.9, 0), (8, 0, 24, 14, 0.8, 0), (24, 40, 8, 20, 0.7, 1),
            (8, 60, 24, 90, 0.6, 1), (0, 12, 64, 52, 0.5, 1), (0, 0, 9, 9, 0.2, 0)]
    pipeline = detector(rows)
    result = pipeline(pixels)
    assert len(result) == 2
    assert pipeline.checks.boxes == 3
    # The published boxes are those of before.
    assert np.allclose(result.boxes, [(16, 8, 48, 48), (0, 0, 128, 64)], atol=0.01)


def test_a_detector_with_a_class_beyond_the_labels_is_published_with_its_number() -> None:
    pipeline = detector([(8, 20, 24, 40, 0.9, 0), (8, 20, 24, 40, 0.8, 7)])
    assert pipeline(np.zeros((64, 64, 3), np.uint8)).labels.tolist() == ['a', '7']
    assert pipeline.checks.found()['class_unknown'] == {
        'model': 'net', 'count': 1, 'class_id': 7, 'last': 1}


def test_a_detector_with_logits_is_refused_wherever_they_are() -> None:
    pipeline = detector([(8, 20, 24, 40, 0.9, 0), (8, 20, 24, 40, 4.5, 1)])
    with pytest.raises(OutputError, match='a score is 4.5, but scores are from 0 to 1'):
        pipeline(np.zeros((64, 64, 3), np.uint8))
    assert pipeline.checks.found()['scores_outside'] == {
        'model': 'net', 'count': 1, 'score': 4.5}


@pytest.mark.parametrize('scores, refused', [
    ([[-9.0, -4.0], [-7.0, -5.5]], -9.0), ([[-1.0, -1.0], [0.1, 0.2]], None),
    ([[0.0, 0.1], [0.05, 0.2]], None), ([[np.nan, -np.inf], [0.1, 0.2]], None)])
def test_logits_below_the_threshold_are_refused_by_the_first_result(
        scores: Any, refused: float | None) -> None:
    table = np.array([scores], np.float32)
    boxes = np.array([[(0.1, 0.1, 0.5, 0.5)] * 2], np.float32)
    engine = FakeEngine(
        [tensor('image', (1, 3, 64, 64))],
        [tensor('boxes', boxes.shape), tensor('scores', table.shape)],
        lambda _: {'boxes': boxes, 'scores': table})
    pipeline: Any = Pipeline(ModelDescriptor.from_mapping({
        'source': {'path': 'fake.onnx'}, 'input': {'size': [64, 64]},
        'output': {'decoder': 'boxes_scores', 'outputs': {'boxes': 'boxes', 'scores': 'scores'}},
        'defaults': {'score_threshold': 0.5}}), engine)
    if refused is None:
        assert len(pipeline.warm_up()) == 0
        return
    for _ in range(2):
        with pytest.raises(OutputError, match=f'a score is {refused:g}, but .*from 0 to 1'):
            pipeline.warm_up()
