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

"""The fakes that users test with do what they say."""

import numpy as np
import pytest

from ros2_classify import Pipeline, testing
from ros2_classify.engines import Engine, open_engine
from ros2_classify.errors import EngineError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.testing import FakeEngine, save_color_classifier, save_constant_model, tensor

RED = np.zeros((20, 30, 3), np.uint8)
RED[..., 0] = 200


def fake(result):
    return FakeEngine([tensor('in', [1, 3, 2, 2])], [tensor('out', [1, 3])], result,
                      metadata={'a': 'b'})


def test_a_fake_is_an_engine_and_remembers():
    engine = fake({'out': np.ones((1, 3), np.float32)})
    assert isinstance(engine, Engine)
    assert (engine.provider, engine.metadata) == ('Fake', {'a': 'b'})
    feed = {'in': np.zeros((1, 3, 2, 2), np.float32)}
    assert engine.infer(feed)['out'].tolist() == [[1, 1, 1]]
    feed['in'][:] = 5
    assert engine.calls[0]['in'].max() == 0
    engine.close()
    engine.close()
    assert engine.closed
    with pytest.raises(EngineError, match='closed'):
        engine.infer(feed)


def test_a_fake_may_compute():
    engine = fake(lambda feed: {'out': feed['in'].mean(axis=(2, 3))})
    assert engine.infer({'in': np.full((1, 3, 2, 2), 7.0)})['out'].tolist() == [[7, 7, 7]]
    with pytest.raises(EngineError, match=r"\['x'\] but must be \['in'\]"):
        engine.infer({'x': np.zeros(1)})


def test_a_fake_runs_in_a_pipeline():
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': 'fake.onnx'}, 'labels': ['red', 'green', 'blue'],
        'input': {'name': 'in', 'size': [2, 2], 'layout': 'nchw', 'dtype': 'float32'},
        'output': {'decoder': 'classification'}})
    engine = fake(lambda feed: {'out': feed['in'].mean(axis=(2, 3)) / 255})
    with Pipeline(descriptor, engine, descriptor.load_labels()) as pipeline:
        result = pipeline(RED)
    assert result.labels[0] == 'red'
    assert result.scores[0] == pytest.approx(200 / 255)
    assert engine.closed


@pytest.mark.parametrize('layout', ['nchw', 'nhwc'])
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'uint8'])
def test_the_colour_classifier(tmp_path, layout, dtype):
    path = save_color_classifier(tmp_path / 'c.onnx', size=(12, 8), layout=layout, dtype=dtype,
                                 metadata={'names': "['red', 'green', 'blue']"})
    assert path.stat().st_size < 1000
    with Pipeline.load(path) as pipeline:
        assert pipeline.descriptor.input.size == (12, 8)
        assert pipeline.descriptor.input.layout == layout
        assert pipeline.descriptor.input.dtype == dtype
        assert pipeline(RED).labels[0] == 'red'
        assert pipeline(RED, 'bgr').labels[0] == 'blue'


def test_the_constant_model(tmp_path):
    outputs = {'boxes': np.array([[[1, 2, 3, 4]]], np.float32), 'n': np.array([7], np.int64)}
    path = save_constant_model(
        tmp_path / 'c.onnx', outputs, input_name='x', input_shape=('b', None, 'w', 3),
        dtype=np.uint8, metadata={'task': 'detect'})
    engine = open_engine(path, provider='cpu')
    assert [output.name for output in engine.outputs] == ['boxes', 'n']
    assert engine.inputs[0].shape[2:] == ('w', 3)
    assert engine.metadata['task'] == 'detect'
    result = engine.infer({'x': np.zeros((1, 5, 6, 3), np.uint8)})
    np.testing.assert_array_equal(result['boxes'], outputs['boxes'])
    assert result['n'].tolist() == [7]


def test_old_names_work_with_a_warning(tmp_path):
    with pytest.warns(DeprecationWarning, match='is now save_constant_model'):
        old = testing.save_constant_network  # words: old
    assert old is testing.save_constant_model
    with pytest.warns(DeprecationWarning, match='answer is now returns'):  # words: old
        engine = testing.FakeEngine([], [], answer={})  # words: old
    assert engine.infer({}) == {}
    with pytest.warns(DeprecationWarning, match='folder is now directory'):  # words: old
        testing.save_known_classifier(
            folder=tmp_path, name='known', scores=[1.0])  # words: old
    assert (tmp_path / 'known.yaml').is_file()
