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

"""Engines load real files, name the execution provider, and every error says what to do."""

from __future__ import annotations

import builtins
import logging
import math
from pathlib import Path
import sys
import threading
from typing import Any
import weakref

import numpy as np
import pytest

from ros2_classify import ModelDescriptor, Pipeline
from ros2_classify.engines import bind, Engine, ENGINES, open_engine, providers, TensorSpec
from ros2_classify.engines.error_messages import tidy
from ros2_classify.engines.hardware import default_threads
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import EngineError
from ros2_classify.testing import FakeEngine, save_color_classifier, save_constant_model

onnx = pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a tiny model that tells the means of the colour channels."""
    return save_color_classifier(tmp_path / 'tiny.onnx', metadata={'names': 'red green blue'})


def reason(path: Path, **settings: Any) -> str:
    """Return why a model can't be opened; it is one line, and starts with the file."""
    with pytest.raises(EngineError) as caught:
        open_engine(path, **settings)
    text = str(caught.value)
    assert '\n' not in text
    assert '/onnxruntime_src/' not in text and 'ONNXRuntimeError' not in text
    return text


def test_facts_and_result(model: Path) -> None:
    engine = open_engine(model)
    assert isinstance(engine, Engine)
    assert engine.inputs == (TensorSpec('image', (1, 3, 8, 8), np.dtype(np.float32)),)
    assert engine.outputs == (TensorSpec('scores', (1, 3), np.dtype(np.float32)),)
    assert str(engine.inputs[0]) == "'image' float32 [1, 3, 8, 8]"
    assert engine.provider == 'CPUExecutionProvider'
    assert engine.metadata == {'names': 'red green blue'}
    image = np.random.default_rng(0).random((1, 3, 8, 8)).astype(np.float32)
    outputs = engine.infer({'image': image})
    assert list(outputs) == ['scores']
    assert np.allclose(outputs['scores'], image.mean(axis=(2, 3)), atol=1e-6)


def test_outputs_stay_after_the_next_call(model: Path) -> None:
    engine = open_engine(model)
    first = engine.infer({'image': np.zeros((1, 3, 8, 8), np.float32)})['scores']
    engine.infer({'image': np.ones((1, 3, 8, 8), np.float32)})
    assert (first == 0).all()


def test_bound_to_its_arrays(model: Path) -> None:
    """The arrays are read in place, and the outputs are the same memory at each run."""
    engine = open_engine(model)
    image = np.zeros((1, 3, 8, 8), np.float32)
    run = bind(engine, {'image': image})
    for value in (0.25, 7.0):
        image.fill(value)
        outputs = run()
        assert list(outputs) == ['scores'] and outputs['scores'].tolist() == [[value] * 3]
    assert run()['scores'] is outputs['scores']
    assert engine.infer({'image': image})['scores'] is not outputs['scores']
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        run()


def test_bound_to_the_first_rows_of_a_batch(tmp_path: Path) -> None:
    from onnx import helper, TensorProto

    graph = helper.make_graph(
        [helper.make_node('ReduceMean', ['x'], ['y'], axes=[2, 3], keepdims=0),
         helper.make_node('NonZero', ['y'], ['where'])], 'batches',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['batch', 3, 4, 4])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['batch', 3]),
         helper.make_tensor_value_info('where', TensorProto.INT64, [2, 'found'])])
    path = tmp_path / 'batches.onnx'
    path.write_bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8).SerializeToString())
    engine = open_engine(path)
    rows = np.random.default_rng(1).random((4, 3, 4, 4)).astype(np.float32)
    runs = {count: bind(engine, {'x': rows[:count]}) for count in (1, 3, 4)}
    for count, run in runs.items():
        outputs = run()
        assert outputs['y'].shape == (count, 3)
        assert np.allclose(outputs['y'], rows[:count].mean(axis=(2, 3)), atol=1e-6)
        assert outputs['where'].shape == (2, 3 * count)
    rows[0] = 0
    assert runs[3]()['where'].shape == (2, 6), 'a size that only the model knows'


def save_with_reused_names(path: Path, *nodes: Any) -> Path:
    """Write a model whose output's dimensions have the names of its input's."""
    from onnx import helper, TensorProto

    shape = ['n', 3, 'height', 'width']
    graph = helper.make_graph(
        nodes, 'reused', [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, shape)])
    path.write_bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8).SerializeToString())
    return path


def test_bound_though_one_name_stands_for_sizes_that_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    """As exporters write it that are told the same name for both."""
    from onnx import helper

    engine = open_engine(save_with_reused_names(tmp_path / 'halves.onnx', helper.make_node(
        'MaxPool', ['x'], ['y'], kernel_shape=[2, 2], strides=[2, 2])))
    image = np.zeros((1, 3, 8, 6), np.float32)
    run = bind(engine, {'x': image})
    with caplog.at_level(logging.INFO):
        for value in (0.25, 7.0):
            image.fill(value)
            assert np.array_equal(run()['y'], np.full((1, 3, 4, 3), value, np.float32))
    # Found out once.
    assert caplog.text.count('declares other shapes of outputs') == 1


def test_a_bound_model_that_fails_for_another_reason_says_which(tmp_path: Path) -> None:
    from onnx import helper

    engine = open_engine(save_with_reused_names(
        tmp_path / 'picky.onnx', helper.make_node('Constant', [], ['axes'], value_ints=[2]),
        helper.make_node('Squeeze', ['x', 'axes'], ['s']),
        helper.make_node('Unsqueeze', ['s', 'axes'], ['y'])))
    run = bind(engine, {'x': np.zeros((1, 3, 8, 6), np.float32)})
    for _ in range(2):
        with pytest.raises(EngineError, match=r'picky\.onnx: the model failed: .*Squeeze'):
            run()


@pytest.mark.parametrize(('inputs', 'words'), [
    ({}, "'image' is missing"),
    ({'image': np.zeros((1, 3, 8, 9), np.float32)}, r'\[1, 3, 8, 9\]'),
    ({'image': np.zeros((1, 3, 8, 16), np.float32)[..., ::2]}, 'not C-contiguous'),
])
def test_arrays_that_cannot_be_bound(model: Path, inputs: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        bind(open_engine(model), inputs)


def test_an_engine_without_bindings_is_simply_asked() -> None:
    fake = FakeEngine([TensorSpec('x', (1,), np.dtype(np.float32))], [], {'y': np.ones(1)})
    array = np.zeros(1, np.float32)
    run = bind(fake, {'x': array})
    array[:] = 5
    assert run()['y'].tolist() == [1] and fake.calls[0]['x'].tolist() == [5]


def test_free_dimensions(tmp_path: Path) -> None:
    path = save_constant_model(
        tmp_path / 'free.onnx', {'y': np.ones((1, 2), np.float32)},
        input_shape=('batch', 3, None, 'width'))
    engine = open_engine(path)
    assert engine.inputs[0].shape[0] == 'batch'
    assert not isinstance(engine.inputs[0].shape[2], int)
    assert engine.infer({'image': np.zeros((1, 3, 5, 9), np.float32)})['y'].shape == (1, 2)


def test_weights_listed_as_inputs(tmp_path: Path) -> None:
    """Files of IR version 3 list their weights as inputs; nobody feeds those."""
    from onnx import helper, numpy_helper, TensorProto

    weight = numpy_helper.from_array(np.float32([[2, 0], [0, 3]]), 'w')
    graph = helper.make_graph(
        [helper.make_node('MatMul', ['x', 'w'], ['y'])], 'old',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 2]),
         helper.make_tensor_value_info('w', TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 2])], [weight])
    path = tmp_path / 'old.onnx'
    path.write_bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 7)], ir_version=3).SerializeToString())
    engine = open_engine(path)
    assert [spec.name for spec in engine.inputs] == ['x']
    assert engine.infer({'x': np.float32([[1, 1]])})['y'].tolist() == [[2, 3]]


@pytest.mark.parametrize('dtype', [np.float16, np.uint8])
def test_other_input_types(tmp_path: Path, dtype: Any) -> None:
    engine = open_engine(save_color_classifier(tmp_path / 'tiny.onnx', dtype=dtype))
    assert engine.inputs[0].dtype == dtype
    assert engine.infer({'image': np.full((1, 3, 8, 8), 7, dtype)})['scores'].tolist() == [[7] * 3]


@pytest.mark.parametrize(('content', 'words'), [
    (b'', ['is empty']),
    (b'hello, world\n' * 30, ['not an ONNX model', 'get the file again']),
    (b'<!DOCTYPE html><html><body>404</body></html>', ['web page', 'download the file itself']),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', ['git lfs pull']),
])
def test_files_that_are_something_else(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / 'model.onnx'
    path.write_bytes(content)
    text = reason(path)
    assert text.startswith(f'{path}: ')
    for word in words:
        assert word in text


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert 'No such file' in reason(tmp_path / 'missing.onnx')
    assert 'Is a directory' in reason(tmp_path)


@pytest.mark.parametrize('part', [0.1, 0.5, 0.95])
def test_a_cut_off_file(model: Path, part: float) -> None:
    data = model.read_bytes()
    model.write_bytes(data[:int(len(data) * part)])
    assert str(model) in reason(model)


def edit(path: Path, change: Any) -> Path:
    """Change a model file."""
    loaded = onnx.load(str(path))
    change(loaded)
    path.write_bytes(loaded.SerializeToString())
    return path


def test_an_opset_from_the_future(model: Path) -> None:
    def change(loaded: Any) -> None:
        loaded.opset_import[0].version = 99

    text = reason(edit(model, change))
    assert 'opset 99' in text and 'newer onnxruntime' in text


def test_an_ir_version_from_the_future(model: Path) -> None:
    def change(loaded: Any) -> None:
        loaded.ir_version = 99

    text = reason(edit(model, change))
    assert 'IR version 99' in text and 'newer onnxruntime' in text


def test_an_unknown_operator(model: Path) -> None:
    def change(loaded: Any) -> None:
        loaded.graph.node[0].op_type = 'Frobnicate'

    assert 'Frobnicate' in reason(edit(model, change))


def test_an_operator_of_somebody_else(model: Path) -> None:
    def change(loaded: Any) -> None:
        loaded.graph.node[0].domain = 'com.acme'
        loaded.opset_import.append(onnx.helper.make_opsetid('com.acme', 1))

    assert 'com.acme:Cast' in reason(edit(model, change))


def test_a_broken_graph(model: Path) -> None:
    def change(loaded: Any) -> None:
        loaded.graph.node[1].input[0] = 'nowhere'

    assert 'nowhere' in reason(edit(model, change))


@pytest.mark.parametrize('left', [None, b'\0\0'])
def test_external_weights_that_are_gone(tmp_path: Path, left: bytes | None) -> None:
    from onnx import helper, numpy_helper, TensorProto

    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), 'w')
    graph = helper.make_graph(
        [helper.make_node('MatMul', ['x', 'w'], ['y'])], 'large',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 64])], [weight])
    loaded = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    path = tmp_path / 'large.onnx'
    onnx.save(loaded, str(path), save_as_external_data=True, location='large.weights',
              size_threshold=0)
    weights = tmp_path / 'large.weights'
    assert open_engine(path).infer({'x': np.ones((1, 64), np.float32)})['y'][0, 0] == 64
    weights.unlink()
    if left is not None:
        weights.write_bytes(left)
    text = reason(path)
    assert 'second file' in text
    assert ('large.weights' if left is None else 'cut off') in text


@pytest.mark.parametrize(('inputs', 'words'), [
    ({}, ["'image' is missing"]),
    ({'frame': np.zeros((1, 3, 8, 8), np.float32)}, ["'image' is missing", "'frame'"]),
    ({'image': np.zeros((1, 3, 8, 8))}, ['float64', 'float32 [1, 3, 8, 8]']),
    ({'image': np.zeros((1, 3, 8, 9), np.float32)}, ['[1, 3, 8, 9]', '[1, 3, 8, 8]']),
    ({'image': np.zeros((3, 8, 8), np.float32)}, ['[3, 8, 8]', '[1, 3, 8, 8]']),
    ({'image': np.zeros((1, 3, 8, 8), np.float32), 'more': np.zeros(1)}, ["no input 'more'"]),
])
def test_inputs_that_do_not_fit(model: Path, inputs: Any, words: list[str]) -> None:
    engine = open_engine(model)
    with pytest.raises(EngineError) as caught:
        engine.infer(inputs)
    for word in words:
        assert word in str(caught.value)
    # And the engine works on.
    assert engine.infer({'image': np.zeros((1, 3, 8, 8), np.float32)})


def test_a_model_that_fails_while_it_runs(tmp_path: Path) -> None:
    """A reshape to a size that only some images have."""
    from onnx import helper, numpy_helper, TensorProto

    shape = numpy_helper.from_array(np.array([1, 48], np.int64), 'shape')
    graph = helper.make_graph(
        [helper.make_node('Reshape', ['x', 'shape'], ['y'])], 'picky',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, None, None])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 48])], [shape])
    path = tmp_path / 'picky.onnx'
    path.write_bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8).SerializeToString())
    engine = open_engine(path)
    assert engine.infer({'x': np.zeros((1, 3, 4, 4), np.float32)})['y'].shape == (1, 48)
    with pytest.raises(EngineError, match=r'picky\.onnx: the model failed: .*Reshape'):
        engine.infer({'x': np.zeros((1, 3, 5, 5), np.float32)})


def test_what_is_bound_keeps_no_closed_session(model: Path) -> None:
    engine: Any = open_engine(model)
    run = bind(engine, {'image': np.zeros((1, 3, 8, 8), np.float32)})
    run()
    session = weakref.ref(engine._session)
    engine.close()
    assert session() is None
    with pytest.raises(EngineError, match='the engine is closed'):
        run()


def test_closed(model: Path) -> None:
    engine = open_engine(model)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        engine.infer({'image': np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.parametrize('provider', ['cpu', 'CPU', 'CPUExecutionProvider'])
def test_a_named_provider(model: Path, provider: str) -> None:
    assert open_engine(model, provider=provider).provider == 'CPUExecutionProvider'


def test_an_unknown_provider(model: Path) -> None:
    text = reason(model, provider='banana')
    assert "'banana'" in text and 'auto, cpu, cuda, tensorrt' in text


@pytest.mark.parametrize('provider', ['cuda', 'CUDAExecutionProvider'])
def test_a_provider_that_is_not_installed(
    model: Path, provider: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    monkeypatch.setattr(providers, 'installed_distributions', lambda: ('onnxruntime',))
    text = reason(model, provider=provider)
    assert 'which has cpu' in text
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]"' in text and 'rosdep' in text


class SessionOnCpu:
    """A session that was asked for a GPU and came up without it."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.providers = settings['providers']

    def get_providers(self) -> list[str]:
        return ['CPUExecutionProvider']

    def disable_fallback(self) -> None:
        pass

    def get_inputs(self) -> list[Any]:
        return []

    get_outputs = get_inputs

    def get_modelmeta(self) -> Any:
        return type('Meta', (), {'custom_metadata_map': {}})


@pytest.fixture
def broken_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ONNX Runtime offer CUDA and fail to start it."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, 'get_available_providers',
                        lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider'])
    monkeypatch.setattr(onnxruntime, 'InferenceSession', SessionOnCpu)
    monkeypatch.setattr(onnxruntime, 'preload_dlls', lambda: print('no libcudart'), raising=False)
    monkeypatch.setattr(providers, 'installed_distributions', lambda: ('onnxruntime-gpu',))


def test_a_provider_that_does_not_start(model: Path, broken_gpu: None) -> None:
    text = reason(model, provider='cuda')
    assert 'could not be started' in text and 'CPUExecutionProvider' in text


def test_auto_says_when_the_gpu_is_skipped(
    model: Path, broken_gpu: None, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_engine(model).provider == 'CPUExecutionProvider'
    assert 'CUDAExecutionProvider could not be started' in caplog.text
    assert capsys.readouterr().out == ''


def test_auto_goes_on_when_the_gpu_throws(
    model: Path, broken_gpu: None, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import onnxruntime

    class Throwing(SessionOnCpu):

        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            if 'CUDAExecutionProvider' in self.providers:
                raise RuntimeError('CUDA failure 35: driver too old')

    monkeypatch.setattr(onnxruntime, 'InferenceSession', Throwing)
    assert open_engine(model).provider == 'CPUExecutionProvider'
    assert 'driver too old' in caplog.text
    assert 'driver too old' in reason(model, provider='cuda')


def test_two_packages_of_onnx_runtime(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(
        providers, 'clashing_distributions', lambda: ('onnxruntime', 'onnxruntime-gpu'))
    open_engine(model)
    assert 'onnxruntime and onnxruntime-gpu are installed together' in caplog.text
    assert 'pip uninstall onnxruntime onnxruntime-gpu' in caplog.text


@pytest.mark.parametrize(('installed', 'words'), [
    ((), ['not installed', 'pip install onnxruntime', 'onnxruntime-gpu[cuda,cudnn]']),
    (('onnxruntime',), ['cannot be imported', '--force-reinstall onnxruntime']),
    (('onnxruntime', 'onnxruntime-gpu'), ['installed together', 'pip uninstall']),
])
def test_onnx_runtime_that_cannot_be_imported(
    model: Path, monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], words: list[str],
) -> None:
    real = builtins.__import__

    def fake(name: str, *more: Any, **settings: Any) -> Any:
        if name == 'onnxruntime':
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *more, **settings)

    monkeypatch.setattr(builtins, '__import__', fake)
    monkeypatch.setattr(providers, 'installed_distributions', lambda: installed)
    monkeypatch.setattr(providers, 'clashing_distributions',
                        lambda: installed if len(installed) > 1 else ())
    text = reason(model)
    for word in words:
        assert word in text


def test_the_installed_packages_are_found() -> None:
    pytest.importorskip('onnxruntime')
    found = providers.installed_distributions()
    assert found and all(name.startswith('onnxruntime') for name in found)


def test_an_unknown_format(model: Path) -> None:
    assert "'caffe' is unknown; known formats: onnx" in reason(model, format='caffe')
    assert list(ENGINES) == ['onnx']


def test_threads(model: Path) -> None:
    for threads in (-1, 257, 10**6, 1.5, '2', True):
        assert f'threads is {threads!r}' in reason(model, threads=threads)
    assert open_engine(model, threads=1).infer(
        {'image': np.zeros((1, 3, 8, 8), np.float32)})['scores'].shape == (1, 3)
    assert 1 <= default_threads() <= 4


@pytest.mark.skipif(sys.platform != 'linux', reason='counts the threads of /proc')
@pytest.mark.parametrize('spinning', ['auto', 'never', 'inference'])
def test_no_thread_spins_between_frames(published: Path, spinning: str) -> None:
    """Processor time stands still while nobody asks: it is watched for a tenth of a second."""
    import time

    engine = open_engine(
        published / 'models/SqueezeNet_fp32.onnx',
        settings=EngineSettings(threads=2, spinning=spinning))
    image = np.zeros((1, 3, 224, 224), np.float32)
    for _ in range(3):
        engine.infer({'data_0': image})
    start = time.process_time()
    threading.Event().wait(0.1)
    assert time.process_time() - start < 0.05


def test_nothing_is_printed(published: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """This file makes ONNX Runtime warn of each of its weights."""
    open_engine(published / 'models/version-RFB-320.onnx')
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(('message', 'expected'), [
    ('[ONNXRuntimeError] : 1 : FAIL : Load model from /a/b.onnx failed:Odd thing.', 'Odd thing'),
    ('[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : /onnxruntime_src/core/a.cc:12 '
     'void onnxruntime::Thing::Run(int) const Bad shape', 'Bad shape'),
    ('', 'RuntimeError'),
])
def test_what_is_left_of_a_message(message: str, expected: str) -> None:
    assert tidy(RuntimeError(message)) == expected


def test_the_fake_is_an_engine() -> None:
    assert isinstance(FakeEngine([], [], {}), Engine)


def test_outputs_that_are_not_tensors_are_skipped(tmp_path: Path) -> None:
    """A classifier may give a sequence beside its scores; alone it is of no use."""
    from onnx import helper, TensorProto

    def save(names: list[str]) -> Path:
        values = {
            'scores': helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, 3]),
            'rows': helper.make_tensor_sequence_value_info('rows', TensorProto.FLOAT, [1, 3])}
        graph = helper.make_graph(
            [helper.make_node('Identity', ['image'], ['scores']),
             helper.make_node('SequenceConstruct', ['image'], ['rows'])], 'sequence',
            [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3])],
            [values[name] for name in names])
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
        path = tmp_path / f'{"_".join(names)}.onnx'
        path.write_bytes(model.SerializeToString())
        return path

    engine = open_engine(save(['rows', 'scores']), provider='cpu')
    assert [spec.name for spec in engine.outputs] == ['scores']
    outputs = engine.infer({'image': np.ones((1, 3), np.float32)})
    assert {name: array.tolist() for name, array in outputs.items()} == {'scores': [[1, 1, 1]]}
    with pytest.raises(EngineError, match=r"no output is a tensor of numbers \('rows' seq"):
        open_engine(save(['rows']), provider='cpu')


def save_labelled(path: Path, outputs: list[str]) -> Path:
    """Write a classifier with a label (text) and maps beside its scores, as skl2onnx does."""
    from onnx import helper, TensorProto

    labels = ['cat', 'dog', 'bird']
    infos = {
        'label': helper.make_tensor_value_info('label', TensorProto.STRING, [1]),
        'probabilities': helper.make_tensor_value_info('probabilities', TensorProto.FLOAT, [1, 3]),
        'maps': helper.make_value_info('maps', helper.make_sequence_type_proto(
            helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(
                TensorProto.FLOAT, []))))}
    graph = helper.make_graph(
        [helper.make_node('GlobalAveragePool', ['image'], ['pooled']),
         helper.make_node('Flatten', ['pooled'], ['flat']),
         helper.make_node('Softmax', ['flat'], ['probabilities']),
         helper.make_node('ArgMax', ['flat'], ['best'], axis=1, keepdims=0),
         helper.make_node('LabelEncoder', ['best'], ['label'], domain='ai.onnx.ml',
                          keys_int64s=[0, 1, 2], values_strings=labels),
         helper.make_node('ZipMap', ['probabilities'], ['maps'], domain='ai.onnx.ml',
                          classlabels_strings=labels)],
        'labelled', [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [infos[name] for name in outputs])
    model = helper.make_model(graph, opset_imports=[
        helper.make_opsetid('', 13), helper.make_opsetid('ai.onnx.ml', 2)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_text_and_maps_beside_the_scores_are_ignored_with_a_word(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level('INFO')
    path = save_labelled(tmp_path / 'm.onnx', ['label', 'probabilities', 'maps'])
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'labels': ['cat', 'dog', 'bird'],
        'output': {'decoder': 'classification'}})
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        result: Any = pipeline(np.full((8, 8, 3), (9, 8, 5), np.uint8))
    total = sum(math.exp(value) for value in (9, 8, 5))
    assert list(result.labels) == ['cat', 'dog', 'bird']
    assert result.scores.tolist() == pytest.approx(
        [math.exp(value) / total for value in (9, 8, 5)], rel=1e-5)
    assert "ignored: 'label' tensor(string), 'maps' seq(map(string,tensor(float)))" in caplog.text
    assert open_engine(path).infer({'image': np.zeros((1, 3, 8, 8), np.float32)}).keys() == {
        'probabilities'}


@pytest.mark.parametrize('outputs', [['label'], ['maps'], ['label', 'maps']])
def test_nothing_but_text_and_maps_is_refused(tmp_path: Path, outputs: list[str]) -> None:
    text = reason(save_labelled(tmp_path / 'm.onnx', outputs))
    assert 'no output is a tensor of numbers' in text and 'without ZipMap' in text
    for name in outputs:
        assert repr(name) in text


def save_stale(path: Path, declared: list[Any]) -> Path:
    """Write a model of a free batch whose output is declared otherwise."""
    from onnx import helper, TensorProto

    graph = helper.make_graph(
        [helper.make_node('GlobalAveragePool', ['image'], ['pooled']),
         helper.make_node('Flatten', ['pooled'], ['scores'])], 'stale',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['batch', 3, 8, 8])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, declared)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize('declared', [[64, 3], [128, 3], [1, 3], ['batch', 3], ['n', 3]])
def test_a_stale_batch_in_the_declared_output(
        tmp_path: Path, caplog: pytest.LogCaptureFixture, declared: list[Any]) -> None:
    """As from an export with dynamic axes for the input only; it runs as it is."""
    caplog.set_level('INFO')
    path = save_stale(tmp_path / 'm.onnx', declared)
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': {'decoder': 'classification'},
        'input': {'scale': '1/255'}})
    for max_batch in (1, 4):
        with Pipeline.load(descriptor, provider='cpu', max_batch=max_batch) as pipeline:
            images = [np.full((8, 8, 3), color, np.uint8)
                      for color in ((0, 51, 255), (255, 0, 51), (51, 255, 0))]
            for _ in range(2):
                results: Any = pipeline.many(images)
                assert [result.class_ids.tolist() for result in results] == [
                    [2, 1, 0], [0, 2, 1], [1, 0, 2]]
                assert results[0].scores.tolist() == pytest.approx([1, 0.2, 0])
    stale = declared[0] in (64, 128)
    assert ('declares other shapes' in caplog.text) == stale
    engine = open_engine(path)
    for count in (1, 2, 5):
        image = np.random.default_rng(count).random((count, 3, 8, 8)).astype(np.float32)
        run = bind(engine, {'image': image})
        for _ in range(2):
            assert run()['scores'].tolist() == pytest.approx(image.mean(axis=(2, 3)), abs=1e-6)
