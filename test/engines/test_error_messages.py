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

"""ONNX Runtime's errors when memory is short or a device is lost, and ours for them."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ros2_classify.engines import bind, open_engine
from ros2_classify.engines.error_messages import fault
from ros2_classify.errors import EngineError, EngineMemoryError, ProviderLostError
from ros2_classify.testing import save_color_classifier

pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')


@pytest.mark.parametrize('text', [
    '/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 Available memory of 2096896 is '
    'smaller than requested bytes of 3154176',
    'BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 134217',
    'CUDA failure 2: out of memory ; GPU=0 ; hostname=robot',
    'CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED',
    'std::bad_alloc',
])
def test_short_memory_is_recognized(text: str) -> None:
    assert fault(RuntimeError(text)) is EngineMemoryError


@pytest.mark.parametrize('text', [
    'CUDA failure 700: an illegal memory access was encountered ; GPU=0',
    'CUDA failure 719: unspecified launch failure',
    'CUDA failure 100: no CUDA-capable device is detected',
    'CUDA error 46: all CUDA-capable devices are busy or unavailable',
    'CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED',
    'DXGI_ERROR_DEVICE_REMOVED',
    'GPU is lost',
])
def test_a_lost_device_is_recognized(text: str) -> None:
    assert fault(RuntimeError(text)) is ProviderLostError


@pytest.mark.parametrize('text', [
    'Non-zero status code returned while running Reshape node',
    'CUDA failure 209: no kernel image is available for execution on the device',
    'CUDA failure 7000: something new',
    'Got invalid dimensions for input',
])
def test_other_errors_stay_engine_errors(text: str) -> None:
    assert fault(RuntimeError(text)) is EngineError


def test_some_exceptions_are_recognized_by_their_type() -> None:
    assert fault(MemoryError()) is EngineMemoryError
    assert fault(type('DeviceReset', (Exception,), {})('gone')) is ProviderLostError


class Broken:
    """A session that fails; fake, for there is no GPU to lose."""

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, *arguments: Any) -> None:
        raise RuntimeError(self.text)


@pytest.mark.parametrize(('text', 'kind'), [
    ('CUDA failure 700: an illegal memory access was encountered', ProviderLostError),
    ('CUDA failure 2: out of memory', EngineMemoryError),
])
def test_the_engine_raises_the_kind_of_error(
        tmp_path: Path, text: str, kind: type[EngineError]) -> None:
    engine = open_engine(save_color_classifier(tmp_path / 'tiny.onnx'))
    engine._session = Broken(text)  # type: ignore[attr-defined]
    with pytest.raises(kind, match='tiny.onnx: the model failed: CUDA failure'):
        engine.infer({'image': np.zeros((1, 3, 8, 8), np.float32)})


LIMITED = """
import sys
import numpy as np
from ros2_classify.engines import bind, EngineSettings, open_engine
from ros2_classify.errors import EngineMemoryError
engine = open_engine(sys.argv[1], settings=EngineSettings(memory_limit=int(sys.argv[2])))
image = np.zeros((1, 3, 1024, 1024), np.float32)
results = []
for run in (lambda: engine.infer({'image': image}), bind(engine, {'image': image})):
    try:
        run()
        results.append('ok')
    except EngineMemoryError as error:
        results.append(f'{type(error).__name__}: {error}')
print(*results, sep=chr(10))
"""


@pytest.mark.parametrize(('limit', 'result'), [(0, 'ok'), (64, 'ok'), (4, 'EngineMemoryError: ')])
def test_the_cpu_respects_a_memory_limit(tmp_path: Path, limit: int, result: str) -> None:
    """In a process of its own: the limit counts until a process ends. The cast needs 12 MiB."""
    path = save_color_classifier(tmp_path / 'large.onnx', size=(1024, 1024), dtype=np.float32)
    path = _with_a_sum(path)
    done = subprocess.run(
        [sys.executable, '-c', LIMITED, str(path), str(limit)], text=True, capture_output=True,
        timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all(line.startswith(result) for line in lines), lines


def _with_a_sum(path: Path) -> Path:
    """Put a node before the others that needs memory of the image's size."""
    import onnx
    from onnx import helper

    model = onnx.load(str(path))
    model.graph.node.insert(0, helper.make_node('Exp', ['image'], ['more']))
    model.graph.node[1].input[0] = 'more'
    path.write_bytes(model.SerializeToString())
    return path


def test_a_bound_engine_raises_the_same(tmp_path: Path) -> None:
    from onnx import helper, numpy_helper, TensorProto

    shape = numpy_helper.from_array(np.array([1, 48], np.int64), 'shape')
    graph = helper.make_graph(
        [helper.make_node('Reshape', ['x', 'shape'], ['y'])], 'picky',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, None, None])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 48])], [shape])
    path = tmp_path / 'picky.onnx'
    path.write_bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8).SerializeToString())
    run = bind(open_engine(path), {'x': np.zeros((1, 3, 5, 5), np.float32)})
    with pytest.raises(EngineError, match=r'picky.onnx: the model failed: .*Reshape'):
        run()
