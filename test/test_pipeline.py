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

"""The steps in their order, on fakes with known results, and on real files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
import re
import threading
from typing import Any

import cv2
import numpy as np
import pytest

from ros2_classify import pipeline as pipeline_module
from ros2_classify.engines import EngineSettings
from ros2_classify.errors import (
    DescriptorError, EngineError, InputError, LabelsError, ModelNotFoundError, OptionsError,
    OutputError)
from ros2_classify.image_io import read_image
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.labels import Labels
from ros2_classify.options import Options
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Classification, Detections
from ros2_classify.testing import FakeEngine, save_color_classifier, tensor

ROOT = Path(__file__).resolve().parents[1]
GREY = np.full((48, 64, 3), 127, np.uint8)


def make(
    outputs: dict[str, Any], output: dict[str, Any], *, labels: Any = None,
    size: tuple[int, int] = (64, 64), defaults: dict[str, Any] | None = None, **settings: Any,
) -> tuple[Pipeline, FakeEngine]:
    """Return a pipeline on a fake model, and the fake."""
    arrays = {name: np.asarray(value, np.float32) for name, value in outputs.items()}
    engine = FakeEngine(
        [tensor('image', (1, 3, size[1], size[0]))],
        [tensor(name, value.shape) for name, value in arrays.items()], arrays)
    descriptor = ModelDescriptor.from_mapping({
        'name': 'fake', 'source': {'path': 'fake.onnx'}, 'output': output,
        'input': {'name': 'image', 'size': list(size), 'layout': 'nchw', 'dtype': 'float32',
                  **settings},
        **({'defaults': defaults} if defaults else {})}, origin='fake.yaml')
    return Pipeline(descriptor, engine, Labels.from_data(labels) if labels else None), engine


def detector(rows: Any, **settings: Any) -> tuple[Pipeline, FakeEngine]:
    """Return a pipeline whose model gives boxes of x1, y1, x2, y2, score, class id."""
    table = np.asarray(rows, np.float32).reshape(-1, 6)
    scores = np.zeros((1, len(table), 10), np.float32)
    scores[0, np.arange(len(table)), table[:, 5].astype(int)] = table[:, 4]
    return make(
        {'boxes': table[np.newaxis, :, :4], 'scores': scores},
        {'decoder': 'boxes_scores', 'normalized': False}, **settings)


def classifier(scores: Any, **settings: Any) -> tuple[Pipeline, FakeEngine]:
    """Return a pipeline whose model gives these scores."""
    output = {'decoder': 'classification', **settings.pop('output', {})}
    return make({'scores': np.asarray(scores)[np.newaxis]}, output, **settings)


def test_a_classification() -> None:
    pipeline, engine = classifier([0.1, 0.7, 0.2], labels=['a', 'b', 'c'])
    result = pipeline(GREY)
    assert isinstance(result, Classification)
    assert (pipeline.task, result.task) == ('classification', 'classification')
    assert result.labels.tolist() == ['b', 'c', 'a']
    assert result.image_size == (64, 48)
    assert result.timing.total > 0 and min(dataclasses.astuple(result.timing)) >= 0
    assert engine.calls[0]['image'].shape == (1, 3, 64, 64)
    assert (engine.calls[0]['image'] == 127).all()


def test_boxes_in_the_images_own_pixels() -> None:
    """A letterbox of 64x48 in 64x64: eight rows above, and the same scale."""
    pipeline, _ = detector([[10, 18, 20, 38, 0.9, 2]], resize='letterbox', anchor='center')
    result = pipeline(GREY)
    assert isinstance(result, Detections)
    assert result.boxes.tolist() == [[10, 10, 20, 30]]
    assert result.labels.tolist() == ['2']
    wide = pipeline(np.zeros((96, 128, 3), np.uint8))
    assert isinstance(wide, Detections)
    assert wide.boxes.tolist() == [[20, 20, 40, 60]]
    assert wide.image_size == (128, 96)


def test_boxes_are_clipped_and_those_outside_are_dropped() -> None:
    pipeline, _ = detector([
        [-10, -10, 30, 30, 0.9, 0], [70, 10, 90, 20, 0.8, 0], [10, 10, 10, 40, 0.7, 0],
        [40, 40, 20, 20, 0.6, 0], [50, 50, 500, 500, 0.5, 0]])
    result = pipeline(np.zeros((64, 64, 3), np.uint8))
    assert result.scores.tolist() == pytest.approx([0.9, 0.5])
    assert isinstance(result, Detections)
    assert result.boxes.tolist() == [[0, 0, 30, 30], [50, 50, 64, 64]]


def test_overlapping_boxes_of_a_class() -> None:
    pipeline, _ = detector([
        [10, 10, 30, 30, 0.6, 1], [11, 10, 31, 30, 0.9, 1], [10, 10, 30, 30, 0.5, 2]])
    assert pipeline(GREY).class_ids.tolist() == [1, 2]
    every = pipeline(GREY, options=pipeline.options.replace(nms_iou=1.0))
    assert every.class_ids.tolist() == [1, 1, 2]


def test_the_overlap_filter_works_in_the_images_pixels_and_before_the_limit() -> None:
    rows = [[0, 0, 60, 60, 0.9, 1], [5, 5, 15, 15, 0.8, 1], [20, 20, 30, 30, 0.7, 1],
            [5, 5, 15, 15, 0.6, 2]]
    pipeline, _ = detector(rows)
    assert len(pipeline(GREY)) == 4
    options = pipeline.options.replace(ioa_threshold=0.5, max_detections=2)
    assert pipeline(GREY, options=options).scores.tolist() == pytest.approx([0.9, 0.6])


def test_the_limit() -> None:
    rows = [[i * 5, 0, i * 5 + 4, 10, 0.9 - i / 100, 1] for i in range(10)]
    pipeline, _ = detector(rows, defaults={'max_detections': 3})
    assert pipeline(GREY).scores.tolist() == pytest.approx([0.9, 0.89, 0.88])


def test_options_change_from_call_to_call() -> None:
    pipeline, _ = classifier([0.1, 0.7, 0.2])
    defaults = pipeline.options
    assert len(pipeline(GREY)) == 3
    assert len(pipeline(GREY, options=defaults.replace(top_k=1))) == 1
    assert len(pipeline(GREY, options=defaults.replace(score_threshold=0.2))) == 2
    assert len(pipeline(GREY, options=defaults.replace(
        top_k=1, multi_label=True, score_threshold=0.15))) == 2
    assert len(pipeline(GREY)) == 3 and pipeline.options is defaults


@pytest.mark.parametrize(('output', 'defaults', 'expected'), [
    ({}, {}, Options(score_threshold=0.0)),
    ({'multi_label': True}, {}, Options(score_threshold=0.5, multi_label=True)),
    ({}, {'score_threshold': 0.2, 'top_k': 3, 'nms_iou': 0.6, 'ioa_threshold': 0.7,
          'max_detections': 9}, Options(0.2, 3, 0.6, 0.7, 9)),
])
def test_defaults(output: Any, defaults: Any, expected: Options) -> None:
    assert classifier([0.5, 0.5], output=output, defaults=defaults)[0].options == expected


def test_defaults_of_a_detector() -> None:
    assert detector([[0, 0, 1, 1, 0.5, 0]])[0].options == Options()


@pytest.mark.parametrize(('changes', 'words'), [
    ({'score_threshold': 1.5}, ['score_threshold is 1.5', 'from 0 to 1']),
    ({'score_threshold': float('nan')}, ['score_threshold is nan']),
    ({'nms_iou': '0.5'}, ["nms_iou is '0.5'"]),
    ({'ioa_threshold': True}, ['ioa_threshold is True']),
    ({'top_k': 0}, ['top_k is 0', 'from 1']),
    ({'max_detections': 2.0}, ['max_detections is 2.0', 'whole number']),
    ({'multi_label': 1}, ['multi_label is 1', 'true or false']),
    ({'threshold': 0.5}, ["'threshold' is unknown", 'score_threshold, top_k, nms_iou']),
])
def test_options_out_of_range(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(OptionsError) as caught:
        Options().replace(**changes)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize('names', [['a', 'b'], ['a', 'b', 'c', 'd'], ['a', '???', 'c', 'd']])
def test_labels_of_another_model(names: list[str]) -> None:
    pipeline, _ = classifier([0.1, 0.7, 0.2], labels=names)
    with pytest.raises(OutputError) as caught:
        pipeline.warm_up()
    assert f'fake.yaml: labels {len([n for n in names if n != "???"])}, outputs 3' \
        in str(caught.value)
    # It is found without a warm-up as well, each time until it is mended.
    for _ in range(2):
        with pytest.raises(OutputError, match='outputs 3'):
            pipeline(GREY)


@pytest.mark.parametrize('names', [['a', 'b', 'c'], ['???', 'b', 'c'], ['???', 'b']])
def test_labels_that_fit(names: list[str]) -> None:
    classifier([0.1, 0.7, 0.2], labels=names)[0].warm_up()


@pytest.mark.parametrize('names, scores, best', [
    ({1: 'a', 2: 'b', 3: 'c'}, [0.1, 0.7, 0.2], 'b'), ({1: 'a', 3: 'c'}, [0.1, 0.2, 0.7], 'c'),
    # With a background class without a name, ids from 1 are right.
    ({1: 'a', 2: 'b'}, [0.1, 0.7, 0.2], 'a'), ({0: 'x', 1: 'a', 2: 'b'}, [0.1, 0.7, 0.2], 'a')])
def test_labels_counted_from_1(
        names: dict[int, str], scores: list[float], best: str,
        caplog: pytest.LogCaptureFixture) -> None:
    pipeline, _ = classifier(scores, labels=names)
    for _ in range(2):
        assert pipeline(GREY).labels[0] == best
    shifted = max(names) == 3
    assert sum('labels are counted from 1 to 3' in text for text in caplog.messages) == shifted
    assert pipeline.labels is not None and (0 in pipeline.labels) == (shifted or 0 in names)


def test_outputs_that_do_not_fit_the_decoder() -> None:
    pipeline, _ = make({'scores': np.zeros((1, 4, 4))}, {'decoder': 'classification'})
    with pytest.raises(OutputError, match=r'\[1, 4, 4\].*\[1, N\]'):
        pipeline.warm_up()


def test_the_warm_up_image() -> None:
    pipeline, engine = classifier([0.1, 0.9], size=(32, 16))
    result = pipeline.warm_up()
    assert result.image_size == (32, 16)
    assert (engine.calls[0]['image'] == 127).all()


def test_bad_images_and_a_good_one_after() -> None:
    pipeline, engine = classifier([0.1, 0.9])
    for image, color in ((None, 'rgb'), (GREY.astype(float), 'rgb'), (GREY, 'yuv')):
        with pytest.raises(InputError):
            pipeline(image, color)  # type: ignore[arg-type]
    assert not engine.calls
    assert len(pipeline(GREY)) == 2


def test_the_steps_one_by_one() -> None:
    pipeline, _ = detector([[10, 10, 30, 30, 0.6, 1]], resize='letterbox')
    batch = pipeline.new_batch()
    batch.add(GREY, 'bgr')
    outputs, = pipeline.infer(batch)
    result = pipeline.postprocess(outputs, batch.geometries[0], preprocess_time=1.0)
    whole = pipeline(GREY, 'bgr')
    assert isinstance(result, Detections) and isinstance(whole, Detections)
    assert result.boxes.tolist() == whole.boxes.tolist()
    assert result.timing.preprocess == 1.0
    assert 0 <= result.timing.postprocess < 1


def test_colours_reach_the_model_in_its_order() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 200
    for wanted, color, channel in (('rgb', 'rgb', 0), ('rgb', 'bgr', 2), ('bgr', 'rgb', 2),
                                   ('bgr', 'bgr', 0)):
        pipeline, engine = classifier([0.5, 0.5], color=wanted)
        pipeline(image, color)
        assert engine.calls[0]['image'].mean(axis=(0, 2, 3))[channel] == 200


def test_the_end() -> None:
    pipeline, engine = classifier([0.1, 0.9])
    with pipeline as same:
        assert same is pipeline
    assert engine.closed
    pipeline.close()
    with pytest.raises(EngineError, match='closed'):
        pipeline(GREY)


def test_calls_from_several_threads_take_turns() -> None:
    pipeline, engine = classifier([0.0, 1.0])
    inside = threading.Semaphore(1)
    clashes = []

    def infer(inputs: Any) -> Any:
        if not inside.acquire(blocking=False):
            clashes.append(1)
        level = float(inputs['image'][0, 0, 0, 0]) / 256
        inside.release()
        return {'scores': np.array([[level, 0.0]], np.float32)}

    engine._returns = infer
    right = []

    def work(level: int) -> None:
        image = np.full((16, 16, 3), level, np.uint8)
        for _ in range(50):
            right.append(pipeline(image).scores[0] == level / 256)

    threads = [threading.Thread(target=work, args=(level,)) for level in (10, 90, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not clashes and right == [True] * 150


def test_an_engine_may_run_for_several_threads_at_once_and_is_closed_when_all_are_done() -> None:
    class Parallel(FakeEngine):
        """An engine that two threads may run."""

        parallel = 2

    together = threading.Barrier(2, timeout=60)
    go_on, started = threading.Event(), threading.Semaphore(0)

    def result(inputs: Any) -> Any:
        together.wait()
        started.release()
        assert go_on.wait(60)
        return {'scores': inputs['image'][:, 0, 0, :2]}

    plain, _ = classifier([0.0, 1.0])
    engine = Parallel(plain.engine.inputs, plain.engine.outputs, result)
    pipeline = Pipeline(plain.descriptor, engine)
    assert (plain.parallel, pipeline.parallel) == (1, 2)
    found: dict[int, float] = {}

    def work(level: int) -> None:
        batch = pipeline.new_batch()
        batch.add(np.full((16, 16, 3), level, np.uint8))
        found[level] = float(pipeline.infer(batch)[0]['scores'][0, 0])

    threads = [threading.Thread(target=work, args=(level,), daemon=True) for level in (10, 90)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert started.acquire(timeout=60)
    closing = [threading.Thread(target=pipeline.close, daemon=True) for _ in range(2)]
    for thread in closing:
        thread.start()
    assert not engine.closed
    go_on.set()
    for thread in (*threads, *closing):
        thread.join(60)
        assert not thread.is_alive()
    assert engine.closed and found == {10: 10.0, 90: 90.0}


@pytest.mark.parametrize('threads', [1, 2])
def test_inferences_side_by_side_give_what_one_after_the_other_gives(threads: int) -> None:
    images = [read_image(path) for path in sorted((ROOT / 'models/scenes').glob('*.jpg'))]
    assert len(images) >= 3
    with Pipeline.load('cards_detector', engine=EngineSettings(
            provider='cpu', threads=threads, parallel=3)) as pipeline:
        assert pipeline.parallel == 3
        expected = [pipeline(image, 'bgr') for image in images]
        wrong: list[str] = []

        def work(first: int) -> None:
            batch = pipeline.new_batch()
            for turn in range(30):
                number = (first + turn) % len(images)
                batch.clear()
                batch.add(images[number], 'bgr')
                got = pipeline.postprocess(pipeline.infer(batch)[0], batch.geometries[0])
                want = expected[number]
                if got.labels.tolist() != want.labels.tolist() or not np.allclose(
                        got.scores, want.scores, atol=1e-3) or not np.allclose(
                        got.boxes, want.boxes, atol=0.5):
                    wrong.append(f'image {number}')

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
    assert not wrong and sum(len(each.scores) for each in expected) > 5


def test_results_stay_after_the_next_call(tmp_path: Path) -> None:
    pipeline = Pipeline.load(save_color_classifier(tmp_path / 'm.onnx'))
    first = pipeline(np.full((8, 8, 3), (250, 0, 0), np.uint8))
    before = first.scores.copy()
    pipeline(np.full((8, 8, 3), (0, 0, 250), np.uint8))
    assert np.array_equal(first.scores, before)


def test_load_a_bare_file_a_path_and_a_descriptor(tmp_path: Path) -> None:
    path = save_color_classifier(tmp_path / 'm.onnx', metadata={'names': "['r', 'g', 'b']"})
    blue = np.zeros((9, 9, 3), np.uint8)
    blue[..., 2] = 255
    declared = ModelDescriptor.from_mapping({
        'name': 'mine', 'source': {'path': 'm.onnx'}, 'labels': ['r', 'g', 'b'],
        'input': {'scale': '1/255'}, 'output': {'decoder': 'classification'}}, directory=tmp_path)
    for model in (path, str(path), declared):
        with Pipeline.load(model, provider='cpu', threads=1) as pipeline:
            assert pipeline(blue).labels[0] == 'b'
            assert pipeline.engine.provider == 'CPUExecutionProvider'
            assert pipeline.labels is not None and len(pipeline.labels) == 3


def test_it_tells_when_the_engine_starts_and_how_long_that_took(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_color_classifier(tmp_path / 'm.onnx')
    now, opened = [50.0], []
    real = pipeline_module.open_engine

    def open_engine(*args: Any, **options: Any) -> Any:
        opened.append('engine')
        now[0] += 7.5
        return real(*args, **options)

    monkeypatch.setattr(pipeline_module, 'open_engine', open_engine)
    monkeypatch.setattr(pipeline_module.time, 'perf_counter', lambda: now[0])
    with Pipeline.load(path, opening=lambda: opened.append('files')) as pipeline:
        assert (opened, pipeline.engine_time) == (['files', 'engine'], 7.5)
    with pytest.raises(ModelNotFoundError):
        Pipeline.load(tmp_path / 'missing.onnx', opening=lambda: opened.append('never'))
    assert opened == ['files', 'engine']


@pytest.mark.parametrize(('changes', 'error'), [
    ({'source': {'path': 'missing.onnx'}}, ModelNotFoundError),
    ({'labels': 'missing.txt'}, ModelNotFoundError),
    ({'labels': 'bad.txt'}, LabelsError),
    ({'input': {'name': 'frame'}}, DescriptorError),
])
def test_what_stands_in_the_way_of_loading(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception],
) -> None:
    save_color_classifier(tmp_path / 'm.onnx')
    (tmp_path / 'bad.txt').write_bytes(b'\xff\xfe\0')
    declared = ModelDescriptor.from_mapping({
        'name': 'mine', 'source': {'path': 'm.onnx'},
        'output': {'decoder': 'classification'}, **changes}, directory=tmp_path)
    with pytest.raises(error):
        Pipeline.load(declared)


@pytest.mark.parametrize(('model', 'image'), [
    ('yolox_nano', 'darknet_dog.jpg'), ('ultraface_rfb_320', 'coral_face.jpg'),
    ('coco_ssd_quant', 'coral_owl.jpg'), ('ssd_mobilenet_v1_075', 'darknet_dog.jpg'),
    ('squeezenet_fp16', 'winml_dog.jpg')])
def test_any_colour_order_gives_the_same_result(
    published: Path, model: str, image: str,
) -> None:
    bgr = cv2.imread(str(published / 'images' / image))
    assert bgr is not None
    with Pipeline.load(model) as pipeline:
        expected = pipeline(bgr, 'bgr')
        assert len(expected)
        for color, code in (('rgb', cv2.COLOR_BGR2RGB), ('rgba', cv2.COLOR_BGR2RGBA),
                            ('bgra', cv2.COLOR_BGR2BGRA)):
            got = pipeline(cv2.cvtColor(bgr, code), color)
            assert got.labels.tolist() == expected.labels.tolist()
            assert np.allclose(got.scores, expected.scores, atol=1e-6)


@pytest.mark.parametrize(('scores', 'words'), [
    ([np.nan] * 3, "fake.yaml: the output 'scores' holds only NaN"),
    ([0.1, 1.0, 0.0], ''), ([np.nan, 0.5, 0.5], '')])
def test_suspicious_numbers_are_warned_about_once(
    scores: list[float], words: str, caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline, _ = classifier(scores)
    for _ in range(2):
        pipeline(GREY)
    assert len(caplog.messages) == bool(words)
    assert re.search(words, ''.join(caplog.messages))


@pytest.mark.parametrize('scores', [
    [0.1, 12.5, 0.3], [-0.4, -3.0, -7.0], [0.1, 0.2, -0.002], [1.011, 0.5, 0.0],
    [np.nan, 2.0, 0.0], [-np.inf, -2.0, -1.0]])
def test_a_score_outside_of_0_to_1_is_an_error(scores: list[float]) -> None:
    pipeline, _ = classifier(scores)
    for count in (1, 2):
        with pytest.raises(OutputError, match='but scores are from 0 to 1: .*output.activation'):
            pipeline(GREY)
        assert pipeline.checks.scores == count
    found = pipeline.checks.found()['scores_outside']
    assert found['count'] == 2 and found['score'] in np.array(scores, np.float32)


@pytest.mark.parametrize('scores', [
    [1.0009, 0.0, 0.0], [-0.0009, 1.0, 0.0], [np.nan, 1.0, 0.0], [-np.inf, 0.5, 0.0]])
def test_rounding_is_no_score_outside_of_0_to_1(scores: list[float]) -> None:
    pipeline, _ = classifier(scores)
    assert len(pipeline(GREY)) and pipeline.checks.scores == 0


def test_options_are_options() -> None:
    pipeline, _ = classifier([0.1, 0.7, 0.2])
    wrong: Any = {'top_k': 1}
    with pytest.raises(OptionsError, match='must be an Options, like pipeline.options.replace'):
        pipeline(GREY, options=wrong)
    with pytest.raises(InputError, match='allowed are mono, rgb'):
        pipeline(GREY, wrong)
    numbers: Any = {'score_threshold': np.float32(0.5), 'top_k': np.int64(2)}
    assert pipeline(GREY, options=Options(**numbers)).class_ids.tolist() == [1]


@pytest.mark.parametrize('tiles', ['1x1', '2x1'])
def test_a_file_is_read_in_its_own_order_of_colours(tmp_path: Path, tiles: str) -> None:
    path = tmp_path / 'image.png'
    image = read_image(ROOT / 'models/scenes/several_cards.jpg')
    cv2.imwrite(str(path), image)
    with Pipeline.load('cards_detector', task='detection', threads=1) as pipeline:
        options = pipeline.options.replace(tiles=tiles)
        expected = pipeline(image, 'bgr', options)
        assert len(expected)
        for found in (pipeline(str(path), options=options),
                      pipeline.many([path], 'rgb', options)[0]):
            assert np.array_equal(found.boxes, expected.boxes)
            assert np.array_equal(found.scores, expected.scores)
        with pytest.raises(InputError, match='absent.png'):
            pipeline(tmp_path / 'absent.png')
