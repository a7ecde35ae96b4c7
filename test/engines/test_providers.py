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

"""The choice of providers, their options, and the installed packages."""

from importlib.metadata import distribution, PackageNotFoundError
from pathlib import Path
import sys

import pytest

from ros2_classify.engines import EngineSettings
from ros2_classify.engines.providers import (
    choose_providers, clashing_distributions, DISTRIBUTIONS, installed_distributions,
    provider_options, PROVIDERS)
from ros2_classify.errors import EngineError

CPU, CUDA, TENSORRT, OPENVINO = (
    PROVIDERS[name] for name in ('cpu', 'cuda', 'tensorrt', 'openvino'))
ALL = [TENSORRT, CUDA, OPENVINO, CPU]


@pytest.mark.parametrize(('provider', 'available', 'names'), [
    ('auto', [CPU], [CPU]),
    ('auto', ALL, [CUDA, CPU]),
    ('cpu', ALL, [CPU]),
    ('cuda', ALL, [CUDA, CPU]),
    ('tensorrt', ALL, [TENSORRT, CUDA, CPU]),
    ('tensorrt', [TENSORRT, CPU], [TENSORRT, CPU]),
    ('openvino:gpu', ALL, [OPENVINO, CPU]),
    ('CUDAExecutionProvider', ALL, [CUDA, CPU]),
])
def test_providers_by_preference(provider: str, available: list[str], names: list[str]) -> None:
    assert choose_providers(EngineSettings(provider=provider), available) == names


def test_a_provider_that_is_not_installed() -> None:
    with pytest.raises(EngineError, match='which has cpu; .* or choose provider auto'):
        choose_providers(EngineSettings(provider='cuda'), [CPU])
    lenient = EngineSettings(provider='cuda', require_provider=False)
    assert choose_providers(lenient, [CPU])[0] == CUDA
    with pytest.raises(EngineError, match="'banana' is unknown"):
        choose_providers(lenient.replace(provider='banana'), [CPU])
    with pytest.raises(EngineError, match='only openvino takes a device'):
        choose_providers(EngineSettings(provider='cuda:1'), ALL)


@pytest.mark.parametrize(('provider', 'precision', 'words'), [
    ('auto', 'fp16', 'choose one that does .tensorrt, openvino'),
    ('cpu', 'int8', 'choose one that does .tensorrt.'),
    ('cuda', 'fp16', 'choose one that does'),
    ('tensorrt', 'tf32', 'choose one that does .cuda.'),
    ('openvino', 'fp16', 'openvino:GPU'),
])
def test_precisions_that_are_not_supported(provider: str, precision: str, words: str) -> None:
    settings = EngineSettings(provider=provider).replace(precision=precision)
    with pytest.raises(EngineError, match=words):
        choose_providers(settings, ALL)


@pytest.mark.parametrize('available', [ALL, [CPU]])
def test_tensorrt_with_cuda_graphs_is_refused(available: list[str]) -> None:
    settings = EngineSettings(provider='tensorrt', cuda_graphs=True, require_provider=False)
    with pytest.raises(EngineError, match='never tested on a GPU .* provider to cuda'):
        choose_providers(settings, available)
    assert CUDA in choose_providers(settings.replace(provider='cuda'), ALL)
    assert TENSORRT in choose_providers(settings.replace(cuda_graphs=False), ALL)


def test_options_of_cuda() -> None:
    assert provider_options(CUDA, EngineSettings()) == {
        'device_id': '0', 'arena_extend_strategy': 'kSameAsRequested', 'use_tf32': '0'}
    assert provider_options(CUDA, EngineSettings(
        device_id=1, precision='tf32', memory_limit=512, arena='doubling', cuda_graphs=True)) == {
            'device_id': '1', 'arena_extend_strategy': 'kNextPowerOfTwo', 'use_tf32': '1',
            'gpu_mem_limit': '536870912', 'enable_cuda_graph': '1'}


def test_options_of_tensorrt() -> None:
    assert provider_options(TENSORRT, EngineSettings()) == {
        'device_id': '0', 'trt_fp16_enable': '0', 'trt_int8_enable': '0'}
    options = provider_options(
        TENSORRT, EngineSettings(precision='int8', memory_limit=1),
        Path('/cache/x'), [('images', (1, 3, 4, 5), (8, 3, 4, 5)), ('size', (1, 2), (8, 2))])
    assert options == {
        'device_id': '0', 'trt_fp16_enable': '1', 'trt_int8_enable': '1',
        'trt_max_workspace_size': '1048576', 'trt_engine_cache_enable': '1',
        'trt_engine_cache_path': '/cache/x',
        'trt_timing_cache_enable': '1', 'trt_timing_cache_path': '/cache/x',
        'trt_profile_min_shapes': 'images:1x3x4x5,size:1x2',
        'trt_profile_opt_shapes': 'images:8x3x4x5,size:8x2',
        'trt_profile_max_shapes': 'images:8x3x4x5,size:8x2'}
    assert provider_options(TENSORRT, EngineSettings(precision='fp16'))['trt_int8_enable'] == '0'


def test_options_of_openvino() -> None:
    assert provider_options(OPENVINO, EngineSettings(provider='openvino', threads=2)) == {
        'device_type': 'CPU', 'num_of_threads': '2'}
    assert provider_options(
        OPENVINO, EngineSettings(provider='openvino:gpu', threads=2, precision='fp16'),
        Path('/c')) == {'device_type': 'GPU', 'num_of_threads': '2', 'precision': 'FP16',
                        'cache_dir': '/c'}


def test_packages_clash_in_one_directory_only(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / 'one', tmp_path / 'two'
    for place in (one / 'onnxruntime_openvino-1.24.1.dist-info',
                  two / 'onnxruntime-1.30.0.dist-info'):
        place.mkdir(parents=True)
    monkeypatch.setattr(sys, 'path', [str(one), str(two)])
    # A process uses the first; nothing was overwritten.
    assert clashing_distributions() == ()
    (one / 'onnxruntime-1.30.0.dist-info').mkdir()
    assert clashing_distributions() == ('onnxruntime', 'onnxruntime-openvino')
    monkeypatch.setattr(sys, 'path', [str(two), str(one)])
    assert clashing_distributions() == ()


def test_others_are_told_nothing() -> None:
    assert provider_options(CPU, EngineSettings(memory_limit=5)) == {}


def test_the_installed_packages_are_those_that_importlib_finds(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, file = tmp_path / 'first [1]', tmp_path / 'second', tmp_path / 'all.zip'
    for place in (first / 'onnxruntime_gpu-1.20.0.dist-info', first / 'numpy-2.0.0.dist-info',
                  first / 'onnxruntime_extensions-0.13.0.dist-info', first / 'onnxruntime',
                  second / 'onnxruntime-1.22.1.dist-info',
                  second / 'onnxruntime_qnn-1.0.egg-info'):
        place.mkdir(parents=True)
    file.touch()

    def known(name: str) -> bool:
        try:
            return bool(distribution(name))
        except PackageNotFoundError:
            return False

    for path in ([], [first], [file, tmp_path / 'none', first, second]):
        monkeypatch.setattr(sys, 'path', list(map(str, path)))
        assert installed_distributions() == tuple(filter(known, DISTRIBUTIONS))
    assert installed_distributions() == ('onnxruntime', 'onnxruntime-gpu', 'onnxruntime-qnn')
    monkeypatch.chdir(second)
    monkeypatch.setattr(sys, 'path', [''])
    assert installed_distributions() == ('onnxruntime', 'onnxruntime-qnn')
