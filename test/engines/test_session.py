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

"""Sessions start from cached files, or on the CPU if that is allowed, and say so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_classify.engines import bind, EngineSettings, hardware, open_engine, providers, session
from ros2_classify.errors import EngineError
from ros2_classify.progress import heartbeat
from ros2_classify.testing import save_color_classifier

pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')
IMAGE = np.random.default_rng(0).random((1, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_color_classifier(tmp_path / 'tiny.onnx', metadata={'names': 'red green blue'})


def kept(tmp_path: Path, kind: str) -> list[Path]:
    return sorted((tmp_path / 'cache' / kind).glob('*/*'))


def test_an_optimized_model_is_kept_and_results_the_same(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, 'MANY_NODES', 1)
    settings = EngineSettings(cache_directory=tmp_path / 'cache')
    plain = open_engine(model, settings=settings.replace(cache=False))
    assert not kept(tmp_path, 'optimized')
    results = []
    for _ in range(2):
        engine = open_engine(model, settings=settings)
        assert (engine.inputs, engine.outputs) == (plain.inputs, plain.outputs)
        assert engine.metadata == {'names': 'red green blue'}
        results.append(engine.infer({'image': IMAGE})['scores'])
        (file,) = kept(tmp_path, 'optimized')
    assert (results[0] == results[1]).all()
    # Another kind of CPU has its own.
    monkeypatch.setattr(hardware, 'cpu_features', lambda: 'aarch64')
    open_engine(model, settings=settings)
    assert len(kept(tmp_path, 'optimized')) == 2
    # A damaged one is not used.
    monkeypatch.undo()
    monkeypatch.setattr(session, 'MANY_NODES', 1)
    file.write_bytes(b'damaged')
    assert (open_engine(model, settings=settings).infer({'image': IMAGE})['scores']
            == results[0]).all()


def test_small_models_are_not_worth_it(model: Path, tmp_path: Path) -> None:
    open_engine(model, settings=EngineSettings(cache_directory=tmp_path / 'cache'))
    assert not (tmp_path / 'cache').exists()


def test_without_a_place_to_keep_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, 'MANY_NODES', 1)
    (tmp_path / 'cache').write_text('a file')
    engine = open_engine(model, settings=EngineSettings(cache_directory=tmp_path / 'cache'))
    assert engine.infer({'image': IMAGE})['scores'].shape == (1, 3)


def test_a_full_disk_keeps_no_model_from_starting(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import onnxruntime

    real = onnxruntime.InferenceSession

    def limited(source: Any, sess_options: Any, **more: Any) -> Any:
        if sess_options.optimized_model_filepath:
            raise RuntimeError('Protobuf serialization failed')
        return real(source, sess_options=sess_options, **more)

    monkeypatch.setattr(session, 'MANY_NODES', 1)
    monkeypatch.setattr(onnxruntime, 'InferenceSession', limited)
    engine = open_engine(model, settings=EngineSettings(cache_directory=tmp_path / 'cache'))
    assert engine.infer({'image': IMAGE})['scores'].shape == (1, 3)
    assert 'of tiny.onnx is not cached: Protobuf serialization failed' in caplog.text
    assert not kept(tmp_path, 'optimized')


def test_a_broken_model_is_told_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnx

    monkeypatch.setattr(session, 'MANY_NODES', 1)
    path = save_color_classifier(tmp_path / 'tiny.onnx')
    broken = onnx.load(str(path))
    broken.graph.node[1].input[0] = 'nowhere'
    path.write_bytes(broken.SerializeToString())
    with pytest.raises(EngineError, match='nowhere'):
        open_engine(path, settings=EngineSettings(cache_directory=tmp_path / 'cache'))
    assert not kept(tmp_path, 'optimized')


def test_a_published_model_of_many_nodes(published: Path, tmp_path: Path) -> None:
    path = published / 'models/ssd_mobilenet_v1_0.75_coco/frozen_inference_graph.onnx'
    settings = EngineSettings(cache_directory=tmp_path / 'cache', threads=1)
    image = np.random.default_rng(0).integers(0, 255, (1, 300, 300, 3)).astype(np.uint8)
    results = [open_engine(path, settings=chosen).infer({'image_tensor:0': image})
               for chosen in (settings.replace(cache=False), settings, settings)]
    assert len(kept(tmp_path, 'optimized')) == 1
    for result in results[1:]:
        for name, want in results[0].items():
            assert np.allclose(want, result[name], atol=1e-5)


class FakeGpuSession:
    """A fake of a session on a GPU: it runs on the CPU and notes what it was told."""

    made: list[FakeGpuSession] = []
    real: Any = None
    falls_back = False

    def __init__(self, source: Any, sess_options: Any, providers: list[str],
                 provider_options: list[dict[str, str]], enable_fallback: int) -> None:
        self.providers, self.options = providers, dict(zip(providers, provider_options))
        self.session = self.real(
            source, sess_options=sess_options, providers=['CPUExecutionProvider'])
        self.made.append(self)
        cache = provider_options[0].get('trt_engine_cache_path')
        if cache and not self.falls_back:
            (Path(cache) / 'fake.engine').write_bytes(b'engine')

    def get_providers(self) -> list[str]:
        return self.providers[-1:] if self.falls_back else self.providers

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> type[FakeGpuSession]:
    """Make ONNX Runtime believe in a GPU."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [
        'TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider'])
    monkeypatch.setattr(FakeGpuSession, 'real', onnxruntime.InferenceSession)
    monkeypatch.setattr(FakeGpuSession, 'made', [])
    monkeypatch.setattr(onnxruntime, 'InferenceSession', FakeGpuSession)
    monkeypatch.setattr(onnxruntime, 'preload_dlls', lambda: None, raising=False)
    monkeypatch.setattr(providers, 'installed_distributions', lambda: ('onnxruntime-gpu',))
    monkeypatch.setattr(hardware, 'gpu_name', lambda device: f'Fake GPU {device} 8.6')
    return FakeGpuSession


def test_engines_of_a_fake_tensorrt_are_kept_for_their_gpu(
    model: Path, tmp_path: Path, fake_gpu: type[FakeGpuSession],
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = EngineSettings(
        provider='tensorrt', precision='fp16', cache_directory=tmp_path / 'cache')
    with caplog.at_level(logging.INFO):
        for chosen in (settings, settings, settings.replace(device_id=1),
                       settings.replace(precision='fp32'), settings.replace(cache=False)):
            open_engine(model, settings=chosen)
    assert 'the first time it builds an engine' in caplog.text
    directories = [session.options['TensorrtExecutionProvider'].get('trt_engine_cache_path')
                   for session in fake_gpu.made]
    assert directories[0] == directories[1] and directories[4] is None
    assert len(set(directories)) == 4
    assert {path.name for path in kept(tmp_path, 'tensorrt')} == {'fake.engine', 'complete'}
    assert fake_gpu.made[0].options['CUDAExecutionProvider']['device_id'] == '0'


@pytest.mark.parametrize('provider', ['tensorrt', 'openvino'])
def test_weights_in_files_of_their_own_count_for_what_a_fake_provider_keeps(
    tmp_path: Path, fake_gpu: type[FakeGpuSession], provider: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnx
    import onnxruntime

    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [
        'TensorrtExecutionProvider', 'OpenVINOExecutionProvider', 'CPUExecutionProvider'])
    path = save_color_classifier(tmp_path / 'inside.onnx')
    loaded = onnx.load(str(path))
    loaded.graph.initializer.append(
        onnx.numpy_helper.from_array(np.zeros((1, 3), np.float32), 'shift'))
    loaded.graph.node.append(onnx.helper.make_node('Add', ['scores', 'shift'], ['shifted']))
    loaded.graph.output[0].name = 'shifted'
    path = tmp_path / 'm.onnx'
    onnx.save(loaded, str(path), save_as_external_data=True, location='m.weights',
              size_threshold=0)
    settings = EngineSettings(provider=provider, cache_directory=tmp_path / 'cache')

    def directory() -> str | None:
        engine = open_engine(path, settings=settings)
        assert engine.infer({'image': IMAGE})
        options = fake_gpu.made[-1].options[fake_gpu.made[-1].providers[0]]
        return options.get('trt_engine_cache_path') or options.get('cache_dir')

    first = directory()
    assert first and first == directory()
    # The same model with other weights is another one, though its own file is the same.
    weights = tmp_path / 'm.weights'
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    second = directory()
    assert second and second != first
    weights.unlink()
    with pytest.raises(EngineError, match='second file'):
        directory()


def test_one_engine_of_a_fake_tensorrt_for_all_batches(
    tmp_path: Path, fake_gpu: type[FakeGpuSession],
) -> None:
    from ros2_classify.testing import save_constant_model

    path = save_constant_model(
        tmp_path / 'm.onnx', {'y': np.ones((1, 2), np.float32)}, input_shape=('batch', 3, 5, 9))
    open_engine(path, settings=EngineSettings(provider='tensorrt', max_batch=4, cache=False))
    options = fake_gpu.made[-1].options['TensorrtExecutionProvider']
    assert options['trt_profile_min_shapes'] == 'image:1x3x5x9'
    assert options['trt_profile_max_shapes'] == 'image:4x3x5x9'
    # Also for single images: the free dimension has to be told.
    open_engine(path, settings=EngineSettings(provider='tensorrt', cache=False))
    options = fake_gpu.made[-1].options['TensorrtExecutionProvider']
    assert options['trt_profile_max_shapes'] == 'image:1x3x5x9'
    free = save_constant_model(
        tmp_path / 'f.onnx', {'y': np.ones((1, 2), np.float32)}, input_shape=('b', 3, 'h', 'w'))
    open_engine(free, settings=EngineSettings(provider='tensorrt', max_batch=4, cache=False))
    assert 'trt_profile_min_shapes' not in fake_gpu.made[-1].options['TensorrtExecutionProvider']


def test_building_is_reported(
    model: Path, tmp_path: Path, fake_gpu: type[FakeGpuSession], monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    def noted(what: str) -> Any:
        told.append(what)
        return heartbeat(what)

    monkeypatch.setattr(session, 'heartbeat', noted)
    open_engine(model, settings=EngineSettings(
        provider='tensorrt', cache_directory=tmp_path / 'cache'))
    assert told == ['building the TensorRT engine of tiny.onnx (once for this GPU; takes minutes)']


@pytest.mark.parametrize('provider', ['tensorrt', 'cuda'])
def test_falling_back_is_an_error_or_a_warning(
    model: Path, tmp_path: Path, fake_gpu: type[FakeGpuSession], provider: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fake_gpu, 'falls_back', True)
    settings = EngineSettings(provider=provider, cache_directory=tmp_path / 'cache')
    with pytest.raises(EngineError, match='could not be started .* require_provider'):
        open_engine(model, settings=settings)
    engine = open_engine(model, settings=settings.replace(require_provider=False))
    assert engine.provider == 'CPUExecutionProvider'
    assert 'could not be started and CPUExecutionProvider runs instead' in caplog.text
    assert not [path for path in kept(tmp_path, 'tensorrt') if path.name == 'complete']


def test_a_provider_that_is_not_installed_may_be_replaced(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    engine = open_engine(
        model, settings=EngineSettings(provider='cuda', require_provider=False))
    assert engine.provider == 'CPUExecutionProvider'
    assert 'has no CUDAExecutionProvider and the CPU runs the model instead' in caplog.text


class FakeValue:
    """A fake of memory on a device."""

    def __init__(self, array: Any, device: tuple[str, int]) -> None:
        self.array, self.device = np.array(array), device

    def update_inplace(self, array: Any) -> None:
        self.array[:] = array

    def numpy(self) -> Any:
        return self.array.copy()


class FakeValues:
    """A fake of ``OrtValue``."""

    @staticmethod
    def ortvalue_from_numpy(array: Any, *device: Any) -> FakeValue:
        return FakeValue(array, device)

    @staticmethod
    def ortvalue_from_shape_and_type(shape: Any, dtype: Any, *device: Any) -> FakeValue:
        return FakeValue(np.zeros(shape, dtype), device)


class FakeBinding:
    """A fake of a binding to a device's memory."""

    def __init__(self) -> None:
        self.inputs: dict[str, FakeValue] = {}
        self.outputs: dict[str, FakeValue] = {}

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: FakeValue) -> None:
        self.outputs[name] = value


def test_a_fake_gpu_has_its_arrays_in_fixed_memory_and_a_graph_for_each_binding(
    model: Path, fake_gpu: type[FakeGpuSession], monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnxruntime

    graphs = []

    def run(session: Any, binding: FakeBinding, options: Any) -> None:
        graphs.append(options.get_run_config_entry('gpu_graph_id'))
        feed = {name: value.array for name, value in binding.inputs.items()}
        binding.outputs['scores'].array[:] = session.session.run(None, feed)[0]

    monkeypatch.setattr(fake_gpu, 'io_binding', lambda session: FakeBinding(), raising=False)
    monkeypatch.setattr(fake_gpu, 'run_with_iobinding', run, raising=False)
    monkeypatch.setattr(onnxruntime, 'OrtValue', FakeValues)
    engine = open_engine(
        model, settings=EngineSettings(provider='cuda', device_id=1, cuda_graphs=True))
    image = IMAGE.copy()
    runs = [bind(engine, {'image': image}) for _ in range(2)]
    assert np.allclose(runs[0]()['scores'], image.mean(axis=(2, 3)), atol=1e-6)
    image[:] = 3
    assert runs[1]()['scores'].tolist() == [[3] * 3] == runs[0]()['scores'].tolist()
    assert graphs == ['1', '2', '1']
    assert fake_gpu.made[-1].options['CUDAExecutionProvider']['enable_cuda_graph'] == '1'
