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

"""Several images in one run: each has the result that it has alone."""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Any

import numpy as np
import pytest

from ros2_classify.errors import EngineError, InputError, OptionsError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections
from ros2_classify.testing import FakeEngine, tensor

SIZE = (64, 48)


def make_image(level: int, size: tuple[int, int] = SIZE) -> Any:
    """Return an image of one brightness, with a white stripe."""
    image = np.full((size[1], size[0], 3), level, np.uint8)
    image[:, :4] = 255
    return image


def boxes_and_scores(inputs: Any) -> Any:
    """Find one box in each image: as wide as its middle is bright."""
    level = inputs['image'][:, 0, 24, 32].astype(np.float32)
    boxes = np.zeros((len(level), 1, 4), np.float32)
    boxes[:, 0, 2], boxes[:, 0, 3] = 1 + level / 8, 10
    return {'boxes': boxes, 'scores': np.full((len(level), 1, 1), 0.9, np.float32)}


def make(
    result: Callable[[Any], Any] = boxes_and_scores, *, max_batch: int = 3, batch: Any = 'n',
    output_batch: Any = 'n', extra: Any = None, extra_batch: Any = 'n', size: Any = SIZE,
    **settings: Any,
) -> tuple[Pipeline, FakeEngine]:
    """Return a pipeline on a fake detector, and the fake."""
    width, height = size if isinstance(size, tuple) else (None, None)
    inputs = [tensor('image', (batch, 3, height, width))]
    if extra:
        inputs.append(tensor('sizes', (extra_batch, 2)))
        settings['extra'] = {'sizes': extra}
    engine = FakeEngine(
        inputs, [tensor('boxes', (output_batch, 1, 4)), tensor('scores', (output_batch, 1, 1))],
        result)
    descriptor = ModelDescriptor.from_mapping({
        'name': 'fake', 'source': {'path': 'fake.onnx'},
        'output': {'decoder': 'boxes_scores', 'normalized': False},
        'input': {'name': 'image', 'size': list(size) if isinstance(size, tuple) else size,
                  'layout': 'nchw', 'dtype': 'float32', **settings}}, origin='fake.yaml')
    return Pipeline(descriptor, engine, max_batch=max_batch), engine


def rows(results: Any) -> list[Any]:
    """Return the boxes of all results as lists."""
    assert all(isinstance(result, Detections) for result in results)
    return [result.boxes.tolist() for result in results]


@pytest.mark.parametrize('settings', [
    {}, {'resize': 'letterbox', 'anchor': 'center'}, {'resize': 'center_crop'}])
def test_images_of_all_sizes_together_as_each_alone(settings: Any) -> None:
    images = [make_image(40), make_image(90, (128, 48)), make_image(160, (30, 90)),
              make_image(220),
              make_image(7, (128, 48)), make_image(77, (64, 200)), make_image(3)]
    together, engine = make(**settings)
    alone, _ = make(max_batch=1, **settings)
    engine.calls.clear()
    assert rows(together.many(images)) == rows([alone(image) for image in images])
    assert [len(call['image']) for call in engine.calls] == [3, 3, 1]
    assert together(images[2]).image_size == (30, 90)
    assert together.many([]) == []


def test_bars_of_a_row_do_not_show_in_the_next_batch() -> None:
    pipeline, engine = make(resize='letterbox', pad_value=9)
    tall, wide = make_image(50, (10, 100)), make_image(50, (100, 10))
    engine.calls.clear()
    pipeline.many([tall, wide, tall, wide, tall, wide])
    first, second = (call['image'] for call in engine.calls)
    assert np.array_equal(first[0], second[1]) and np.array_equal(first[1], second[0])
    assert (first[0, :, :, 60:] == 9).all() and (first[1, :, 40:] == 9).all()


def test_the_steps() -> None:
    pipeline, _ = make()
    batch = pipeline.new_batch()
    assert (pipeline.max_batch, batch.capacity, len(batch)) == (3, 3, 0)
    batch.add(make_image(80))
    batch.add(make_image(160, (128, 96)), 'bgr')
    outputs = pipeline.infer(batch)
    assert [output['boxes'].shape for output in outputs] == [(1, 1, 4)] * 2
    assert [geometry.source_size for geometry in batch.geometries] == [(64, 48), (128, 96)]
    results = [pipeline.postprocess(output, geometry, preprocess_time=0.5, inference_time=2.0)
               for output, geometry in zip(outputs, batch.geometries)]
    assert rows(results) == [[[0, 0, 11, 10]], [[0, 0, 42, 20]]]
    assert [result.timing.inference for result in results] == [2.0, 2.0]
    batch.clear()
    assert len(batch) == len(batch.geometries) == 0


def test_two_batches_share_no_memory() -> None:
    pipeline, _ = make()
    one, other = pipeline.new_batch(), pipeline.new_batch()
    one.add(make_image(80))
    other.add(make_image(160))
    assert not np.shares_memory(one.tensors['image'], other.tensors['image'])
    assert one.tensors['image'][0, 0, 24, 32] == 80


def test_a_batch_that_is_full() -> None:
    pipeline, _ = make(max_batch=2)
    batch = pipeline.new_batch()
    for level in (10, 20):
        batch.add(make_image(level))
    before = batch.tensors['image'].copy()
    with pytest.raises(IndexError, match='holds 2 images and is full'):
        batch.add(make_image(30))
    assert len(batch) == 2 and np.array_equal(batch.tensors['image'], before)


def test_a_bad_image_leaves_the_batch_as_it_was() -> None:
    pipeline, _ = make()
    batch = pipeline.new_batch()
    batch.add(make_image(10))
    before = batch.tensors['image'].copy()
    bad: Any = None
    with pytest.raises(InputError):
        batch.add(bad)
    assert len(batch) == len(batch.geometries) == 1
    assert np.array_equal(batch.tensors['image'], before)
    batch.add(make_image(20))
    results = [pipeline.postprocess(output, geometry)
               for output, geometry in zip(pipeline.infer(batch), batch.geometries)]
    assert rows(results) == [[[0, 0, 2.25, 10]], [[0, 0, 3.5, 10]]]


@pytest.mark.parametrize('settings', [
    {'batch': 1}, {'output_batch': 1}, {'size': 'source'},
    {'extra': 'source_size_wh', 'extra_batch': 1}])
def test_models_that_take_one_image(
    settings: Any, caplog: pytest.LogCaptureFixture,
) -> None:
    """That is no fault of theirs, so nobody is warned."""
    with caplog.at_level(logging.INFO):
        pipeline, engine = make(max_batch=4, **settings)
    assert pipeline.max_batch == pipeline.new_batch().capacity == 1
    assert not engine.calls
    assert [record.levelname for record in caplog.records] == ['INFO']
    results = pipeline.many([make_image(80), make_image(160)])
    assert rows(results) == [[[0, 0, 11, 10]], [[0, 0, 21, 10]]]


@pytest.mark.parametrize('extra', ['source_size_wh', 'input_size_hw', [64, 48]])
def test_other_inputs_have_a_row_for_each_image(extra: Any) -> None:
    pipeline, engine = make(extra=extra)
    assert pipeline.max_batch == 3
    pipeline.many([make_image(1), make_image(2, (20, 30))])
    expected = {'source_size_wh': [[64, 48], [20, 30]], 'input_size_hw': [[48, 64]] * 2}.get(
        str(extra), [[64, 48]] * 2)
    assert engine.calls[-1]['sizes'].tolist() == expected


def test_a_limit_counts_from_now_on_and_is_never_raised() -> None:
    pipeline, engine = make(max_batch=4)
    before = pipeline.new_batch()
    for most, limit in ((3, 3), (9, 3), (1, 1), (0, 1)):
        pipeline.limit_batch(most)
        assert pipeline.max_batch == pipeline.new_batch().capacity == limit
    assert before.capacity == 4
    engine.calls.clear()
    images = [np.zeros((4, 4, 3), np.uint8)] * 3
    assert len(pipeline.many(images)) == 3
    assert [len(next(iter(call.values()))) for call in engine.calls] == [1, 1, 1]


def first_row_for_all(inputs: Any) -> Any:
    """Return the outputs of the first image only, as a model with a wrong reshape does."""
    outputs = boxes_and_scores(inputs)
    return {name: np.repeat(array[:1], len(array), axis=0) for name, array in outputs.items()}


def rows_of_all(inputs: Any) -> Any:
    """Give one row for each box, as models with suppression inside do."""
    outputs = boxes_and_scores(inputs)
    return {name: np.concatenate((array, array)) for name, array in outputs.items()}


def one_at_a_time(inputs: Any) -> Any:
    """Fail for more than one image."""
    if len(inputs['image']) > 1:
        raise EngineError('a Reshape inside wants a batch of 1')
    return boxes_and_scores(inputs)


def half_precise(inputs: Any) -> Any:
    """Give numbers that depend a little on the batch, as half precision does."""
    outputs = boxes_and_scores(inputs)
    return {name: array * np.float32(1 + 0.002 * len(array)) for name, array in outputs.items()}


@pytest.mark.parametrize(('result', 'words'), [
    (first_row_for_all, "the output 'boxes' differs in a batch"),
    (rows_of_all, "the output 'boxes' has the shape [4, 1, 4] for 2 images"),
    (one_at_a_time, 'a Reshape inside wants a batch of 1')])
def test_a_model_that_only_looks_as_if_it_took_batches(
    result: Any, words: str, caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline, _ = make(result)
    assert pipeline.max_batch == 1
    assert len(caplog.messages) == 1 and words in caplog.text
    assert 'fake.yaml: the model runs on one image at a time' in caplog.text


def test_half_precision_is_no_difference(caplog: pytest.LogCaptureFixture) -> None:
    assert make(half_precise)[0].max_batch == 3
    assert not caplog.messages


def test_nothing_is_tried_where_no_batch_is_wanted() -> None:
    assert not make(max_batch=1)[1].calls


@pytest.mark.parametrize('wrong', [0, 257, 2.0, True, '2', None])
def test_limits_of_a_batch(wrong: Any) -> None:
    with pytest.raises(OptionsError, match='max_batch is .* whole number from 1 to 256'):
        make(max_batch=wrong)


def test_a_image_that_is_the_input_is_not_kept() -> None:
    """It is fed without a copy, and let go when the batch is cleared."""
    engine = FakeEngine([tensor('image', (1, 48, 64, 3), np.uint8)],
                        [tensor('scores', (1, 2))], {'scores': np.eye(2, dtype=np.float32)[:1]})
    pipeline = Pipeline(ModelDescriptor.from_mapping({
        'source': {'path': 'fake.onnx'}, 'output': {'decoder': 'classification'},
        'input': {'name': 'image', 'size': [64, 48], 'layout': 'nhwc', 'dtype': 'uint8'}}), engine)
    image = make_image(50)
    batch = pipeline.new_batch()
    batch.add(image)
    assert np.shares_memory(batch.tensors['image'], image)
    batch.clear()
    batch.add(make_image(60, (128, 96)))
    assert not np.shares_memory(batch.tensors['image'], image)
    assert batch.tensors['image'][0, 24, 32, 0] == 60


class BindingEngine(FakeEngine):
    """A fake that can be bound: its outputs lie in the same memory at each run."""

    bound: list[int]
    memory: Any = None

    def bind(self, inputs: Any) -> Callable[[], Any]:
        """Return a run on these arrays."""
        self.bound = [*getattr(self, 'bound', []), len(inputs['image'])]
        memory: dict[str, Any] = {}

        def run() -> Any:
            for name, array in self.infer(inputs).items():
                np.copyto(memory.setdefault(name, np.empty_like(array)), array)
            self.memory = memory
            return dict(memory)

        return run


def binding(**settings: Any) -> tuple[Pipeline, BindingEngine]:
    """Return a pipeline on a fake that can be bound."""
    pipeline, plain = make(**settings)
    engine = BindingEngine(plain.inputs, plain.outputs, boxes_and_scores)
    return Pipeline(pipeline.descriptor, engine, max_batch=3), engine


def test_a_batch_is_bound_once_for_each_number_of_images() -> None:
    pipeline, engine = binding(extra='source_size_wh')
    engine.bound.clear()
    images = [make_image(40), make_image(160), make_image(80, (128, 96)), make_image(8)]
    first = rows(pipeline.many(images))
    assert sorted(engine.bound) == [1, 3]
    assert rows(pipeline.many(images[::-1])) == first[::-1]
    assert len(engine.bound) == 2
    assert engine.calls[-2]['sizes'].tolist() == [[64, 48], [128, 96], [64, 48]]
    one, other = pipeline.new_batch(), pipeline.new_batch()
    for batch, level in ((one, 40), (other, 160)):
        batch.add(make_image(level))
    outputs = [pipeline.infer(batch)[0]['boxes'] for batch in (one, other)]
    assert not np.shares_memory(*outputs)
    assert outputs[0][0, 0, 2] == 6 and outputs[1][0, 0, 2] == 21


def test_an_result_outlives_the_memory_of_the_outputs() -> None:
    pipeline, engine = binding()
    result = pipeline(make_image(80))
    assert isinstance(result, Detections)
    for array in engine.memory.values():
        array[:] = -1
        for part in (result.boxes, result.scores, result.class_ids):
            assert not np.shares_memory(part, array)
    assert rows([result]) == [[[0, 0, 11, 10]]]


def test_a_model_for_images_of_any_size_is_not_bound() -> None:
    """The tensor's size changes, and with it its place."""
    pipeline, _ = make(size='source', batch=1)
    engine = BindingEngine(pipeline.engine.inputs, pipeline.engine.outputs, boxes_and_scores)
    source = Pipeline(pipeline.descriptor, engine)
    images = [make_image(80), make_image(160, (128, 96)), make_image(40)]
    assert rows(source.many(images)) == rows([pipeline(image) for image in images])
    assert not hasattr(engine, 'bound')
