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

"""
ONNX files from anywhere, loaded and run in a process of their own.

ONNX Runtime is C++: what it gets wrong would end the test's process. A file on which it ends is
written to ``.fuzz/`` and its process is started again.
"""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
import select
import subprocess
import sys

from fuzzing import fuzz, spoilt
from hypothesis import strategies as st
import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import pytest

from ros2_classify.testing import save_color_classifier

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 60.0


class Loader:
    """A process that loads models."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def load(self, path: Path) -> str:
        """Return what came of a model; 'ended -6' where it ended the process by signal 6."""
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(f'{path}\n')
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], _PATIENCE)
            run_model = process.stdout.readline().strip() if ready else 'hangs'
        except BrokenPipeError:
            run_model = ''
        if run_model and run_model != 'hangs':
            return run_model
        self.close()
        return run_model or f'ended {process.returncode}'

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        directories = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('onnx_loader.py'))], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(directories)})
        return self._process


@pytest.fixture(scope='module')
def loader() -> Iterator[Loader]:
    """Return a process that loads models."""
    loader = Loader()
    yield loader
    loader.close()


def convolution() -> bytes:
    """Return a model with the operators that most models have."""
    def constant(name: str, *shape: int) -> onnx.TensorProto:
        values = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        return numpy_helper.from_array(values, name)

    nodes = [
        helper.make_node('Conv', ['image', 'w'], ['c'], kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                         strides=[2, 2]),
        helper.make_node('BatchNormalization', ['c', 's', 's', 's', 'one'], ['b']),
        helper.make_node('Clip', ['b', 'low', 'high'], ['r']),
        helper.make_node('MaxPool', ['r'], ['m'], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node('Slice', ['m', 'from', 'to', 'axes'], ['sl']),
        helper.make_node('Concat', ['m', 'sl'], ['cc'], axis=1),
        helper.make_node('Resize', ['cc', '', 'factors'], ['re'], mode='nearest'),
        helper.make_node('GlobalAveragePool', ['re'], ['g']),
        helper.make_node('Reshape', ['g', 'flat'], ['f']),
        helper.make_node('Gemm', ['f', 'k'], ['logits'], transB=1),
        helper.make_node('Softmax', ['logits'], ['scores'], axis=1)]
    graph = helper.make_graph(
        nodes, 'net', [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, 5])],
        initializer=[
            constant('w', 4, 3, 3, 3), constant('s', 4), constant('k', 5, 6),
            numpy_helper.from_array(np.ones(4, np.float32), 'one'),
            numpy_helper.from_array(np.array(0, np.float32), 'low'),
            numpy_helper.from_array(np.array(6, np.float32), 'high'),
            numpy_helper.from_array(np.array([0], np.int64), 'from'),
            numpy_helper.from_array(np.array([2], np.int64), 'to'),
            numpy_helper.from_array(np.array([1], np.int64), 'axes'),
            numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), 'factors'),
            numpy_helper.from_array(np.array([1, -1], np.int64), 'flat')])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    helper.set_model_props(model, {'names': "{0: 'a', 1: 'b', 2: 'c', 3: 'd', 4: 'e'}"})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def suppression() -> bytes:
    """Return a model that ends in non-maximum suppression."""
    nodes = [
        helper.make_node('ReduceMean', ['image'], ['mean'], keepdims=1, axes=[1, 2, 3]),
        helper.make_node('Reshape', ['mean', 'cube'], ['level']),
        helper.make_node('Mul', ['boxes_0', 'level'], ['boxes']),
        helper.make_node('Mul', ['scores_0', 'level'], ['scores']),
        helper.make_node('NonMaxSuppression', ['boxes', 'scores', 'most', 'iou', 'low'],
                         ['indices'])]
    graph = helper.make_graph(
        nodes, 'net',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 'h', 'w'])],
        [helper.make_tensor_value_info('boxes', TensorProto.FLOAT, [1, 6, 4]),
         helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, 2, 6]),
         helper.make_tensor_value_info('indices', TensorProto.INT64, ['n', 3])],
        initializer=[
            numpy_helper.from_array(
                np.arange(24, dtype=np.float32).reshape(1, 6, 4), 'boxes_0'),
            numpy_helper.from_array(np.full((1, 2, 6), 0.7, np.float32), 'scores_0'),
            numpy_helper.from_array(np.array([1, 1, 1], np.int64), 'cube'),
            numpy_helper.from_array(np.array(3, np.int64), 'most'),
            numpy_helper.from_array(np.array(0.5, np.float32), 'iou'),
            numpy_helper.from_array(np.array(0.1, np.float32), 'low')])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    helper.set_model_props(model, {'imgsz': '[32, 32]'})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class Models(tuple[bytes, ...]):
    """Models that work; a failure's report names them and doesn't print them."""

    def __repr__(self) -> str:
        """Return a few words."""
        return f'{len(self)} models'


@pytest.fixture(scope='module')
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Return models that work."""
    path = save_color_classifier(tmp_path_factory.mktemp('net') / 'net.onnx')
    return Models((path.read_bytes(), convolution(), suppression()))


def test_the_models_that_are_spoilt_work(
        loader: Loader, models: Models, tmp_path: Path) -> None:
    """Each of them is loaded and run as it is."""
    for number, model in enumerate(models):
        path = tmp_path / f'{number}.onnx'
        path.write_bytes(model)
        assert loader.load(path) == 'fine'


@fuzz(0.5, data=st.data())
def test_spoilt_models(
        data: st.DataObject, loader: Loader, models: Models, tmp_path: Path) -> None:
    """A damaged model is refused in one sentence, or runs; the process lives on."""
    model = data.draw(spoilt(st.sampled_from(models)))
    path = tmp_path / 'net.onnx'
    path.write_bytes(model)
    run_model = loader.load(path)
    if not run_model.startswith(('fine', 'refused ')):
        kept = ROOT / '.fuzz'
        kept.mkdir(exist_ok=True)
        (kept / f'{hashlib.sha256(model).hexdigest()[:16]}.onnx').write_bytes(model)
    assert run_model.startswith(('fine', 'refused ')), run_model
