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

"""Models get a batch dimension where it is safe, and stay as they are where it is not."""

from __future__ import annotations

import builtins
from collections.abc import Callable
import errno
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_classify.engines import batch_dimension, EngineSettings, open_engine
from ros2_classify.engines.batch_dimension import add_batch_dimension, NotBatchableError
from ros2_classify.errors import EngineError

onnx = pytest.importorskip('onnx', reason='models are changed with the package onnx')
from onnx import helper, numpy_helper, TensorProto  # noqa: E402, I100

MODELS = Path(__file__).parents[2] / 'models'
RANDOM = np.random.default_rng(3)


def node(kind: str, *names: str, **attributes: Any) -> Any:
    """Return a node; its last name is the output's."""
    return helper.make_node(kind, list(names[:-1]), [names[-1]], **attributes)


def ints(name: str, *values: int) -> Any:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def floats(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(RANDOM.random(shape).astype(np.float32), name)


def save(path: Path, nodes: list[Any], weights: list[Any], opset: int = 13,
         shape: tuple[int, ...] = (1, 4, 6, 8)) -> Path:
    """Write a model from x to y."""
    graph = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info('y')], weights)
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


# Each keeps images apart: nodes, weights, opset.
SAFE: dict[str, tuple[list[Any], list[Any], int]] = {
    'convolution': ([node('Conv', 'x', 'w', 'b', 'y')],
                    [floats('w', 5, 4, 3, 3), floats('b', 5)], 13),
    'flattened by a reshape': (
        [node('Reshape', 'x', 's', 'f'), node('MatMul', 'f', 'w', 'y')],
        [ints('s', 1, -1), floats('w', 192, 3)], 13),
    'reshape of a free first size': ([node('Reshape', 'x', 's', 'y')], [ints('s', -1, 24, 8)], 13),
    'flatten and gemm': ([node('Flatten', 'x', 'f'), node('Gemm', 'f', 'w', 'b', 'y', transB=1)],
                         [floats('w', 3, 192), floats('b', 3)], 13),
    'a shape asked for': (
        [node('Shape', 'x', 's'), node('Gather', 's', 'i', 'n'),
         node('Concat', 'n', 'm', 't', axis=0), node('Reshape', 'x', 't', 'y')],
        [ints('i', 0), ints('m', -1)], 13),
    'resize to sizes': (
        [node('Resize', 'x', '', '', 's', 'y', mode='nearest')], [ints('s', 1, 4, 12, 16)], 13),
    'resize by factors': ([node('Resize', 'x', '', 'f', 'y', mode='linear')],
                          [numpy_helper.from_array(np.float32([1, 1, 2, 2]), 'f')], 13),
    'mean of all pixels': ([node('ReduceMean', 'x', 'y', axes=[2, 3], keepdims=0)], [], 13),
    'softmax of old': ([node('Softmax', 'x', 'y')], [], 11),
    'softmax of today': ([node('Softmax', 'x', 'y', axis=-1)], [], 13),
    'transposed': ([node('Transpose', 'x', 'y', perm=[0, 2, 3, 1])], [], 13),
    'cut': ([node('Slice', 'x', 'a', 'e', 'i', 'y')],
            [ints('a', 1, 2), ints('e', 9, 5), ints('i', 2, -1)], 13),
    'padded': ([node('Pad', 'x', 'p', 'y')], [ints('p', 0, 0, 1, 1, 0, 0, 2, 2)], 13),
    'joined': ([node('Relu', 'x', 'a'), node('Concat', 'x', 'a', 'y', axis=1)], [], 13),
    'with a row of constants': ([node('Add', 'x', 'c', 'y')], [floats('c', 1, 4, 1, 8)], 13),
    'with constants of lower rank': ([node('Mul', 'c', 'x', 'y')], [floats('c', 4, 1, 1)], 13),
    'attention': ([node('Transpose', 'x', 't', perm=[0, 1, 3, 2]), node('MatMul', 'x', 't', 'y')],
                  [], 13),
    'squeezed': ([node('ReduceMax', 'x', 'm', axes=[2, 3]), node('Squeeze', 'm', 'i', 'y')],
                 [ints('i', 2, 3)], 13),
    'unsqueezed': ([node('Unsqueeze', 'x', 'i', 'y')], [ints('i', 1)], 13),
    'quantized': ([node('QuantizeLinear', 'x', 's', 'z', 'q'),
                   node('DequantizeLinear', 'q', 's', 'z', 'y')],
                  [numpy_helper.from_array(np.float32(0.01), 's'),
                   numpy_helper.from_array(np.uint8(3), 'z')], 13),
}

# Each mixes images, or might: nodes, weights, what is said.
UNSAFE: dict[str, tuple[list[Any], list[Any], str]] = {
    'normalized over the batch': ([node('Softmax', 'x', 'y', axis=0)], [], 'along the batch'),
    'mean of everything': ([node('ReduceMean', 'x', 'y', keepdims=1)], [], 'along the batch'),
    'mean of images': ([node('ReduceMean', 'x', 'y', axes=[0])], [], 'along the batch'),
    'batch lost': ([node('Reshape', 'x', 's', 'y')], [ints('s', -1, 8)], 'has no batch'),
    'batch squeezed': ([node('Squeeze', 'x', 'i', 'y')], [ints('i', 0)], 'takes the batch away'),
    'batch transposed': ([node('Transpose', 'x', 'y', perm=[1, 0, 2, 3])], [], 'moves the batch'),
    'batch behind': ([node('Unsqueeze', 'x', 'i', 'y')], [ints('i', 0)], 'before the batch'),
    'images joined': ([node('Concat', 'x', 'x', 'y', axis=0)], [], 'along the batch'),
    'a constant appended': ([node('Concat', 'x', 'c', 'y', axis=1)], [floats('c', 1, 1, 6, 8)],
                            'appends a constant'),
    'one image taken': ([node('Gather', 'x', 'i', 'y', axis=0)], [ints('i', 0)], 'takes rows'),
    'first image cut': ([node('Slice', 'x', 'a', 'e', 'i', 'y')],
                        [ints('a', 0), ints('e', 1), ints('i', 0)], 'takes rows'),
    'images multiplied': (
        [node('Flatten', 'x', 'f'), node('Transpose', 'f', 't', perm=[1, 0]),
         node('MatMul', 'f', 't', 'y')], [], 'moves the batch'),
    'rows of constants': ([node('Add', 'x', 'c', 'y')], [floats('c', 2, 4, 6, 8)],
                          'more than one row'),
    'noise': ([node('RandomNormalLike', 'x', 'r'), node('Add', 'x', 'r', 'y')], [],
              'not known to keep images separate'),
    'scale of the whole batch': (
        [helper.make_node('DynamicQuantizeLinear', ['x'], ['q', 's', 'z']),
         node('DequantizeLinear', 'q', 's', 'z', 'y')], [], 'not known to keep images separate'),
    'a result without the image': (
        [node('Identity', 'c', 'y')], [floats('c', 1, 4)],
        'does not depend on the image'),
}


@pytest.mark.parametrize('name', SAFE)
def test_what_keeps_images_apart(tmp_path: Path, name: str) -> None:
    nodes, weights, opset = SAFE[name]
    path = save(tmp_path / 'm.onnx', nodes, weights, opset)
    add_batch_dimension(path, tmp_path / 'batched.onnx')
    single, batched = open_engine(path), open_engine(tmp_path / 'batched.onnx')
    assert batched.inputs[0].shape == ('batch', 4, 6, 8)
    images = RANDOM.random((5, 4, 6, 8)).astype(np.float32)
    for count in (1, 5):
        result = batched.infer({'x': images[:count]})['y']
        want = np.concatenate(
            [single.infer({'x': images[row:row + 1]})['y'] for row in range(count)])
        assert np.allclose(result, want, atol=1e-5)


@pytest.mark.parametrize('name', UNSAFE)
def test_what_mixes_them(tmp_path: Path, name: str) -> None:
    nodes, weights, words = UNSAFE[name]
    path = save(tmp_path / 'm.onnx', nodes, weights)
    with pytest.raises(NotBatchableError, match=words):
        add_batch_dimension(path, tmp_path / 'batched.onnx')


def test_a_wrong_rule_is_found_out_by_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second line of defence: a rule that lets a mean over the batch pass."""
    monkeypatch.setitem(batch_dimension.RULES, 'ReduceMean', lambda node: None)
    path = save(tmp_path / 'm.onnx', [
        node('ReduceMean', 'x', 'm', axes=[0]), node('Add', 'x', 'm', 'y')], [])
    with pytest.raises(NotBatchableError, match="in a batch its output 'y' differs"):
        add_batch_dimension(path, tmp_path / 'batched.onnx')


def test_a_model_that_cannot_even_be_loaded_is_found_out_by_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        batch_dimension.RULES, 'Relu', lambda node: setattr(node.proto, 'op_type', 'Not'))
    path = save(tmp_path / 'm.onnx', [node('Relu', 'x', 'y')], [])
    with pytest.raises(NotBatchableError, match='in a batch it fails'):
        add_batch_dimension(path, tmp_path / 'batched.onnx')


def test_graphs_within(tmp_path: Path) -> None:
    inner = helper.make_graph([node('Relu', 'x', 'r')], 'inner', [], [
        helper.make_tensor_value_info('r', TensorProto.FLOAT, [1, 4, 6, 8])])
    path = save(tmp_path / 'm.onnx', [node('If', 'c', 'y', then_branch=inner, else_branch=inner)],
                [numpy_helper.from_array(np.array(True), 'c')])
    with pytest.raises(NotBatchableError, match='a graph of its own'):
        add_batch_dimension(path, tmp_path / 'batched.onnx')


@pytest.mark.parametrize('name', [
    'SqueezeNet_fp32.onnx', 'SqueezeNet_fp16.onnx', 'mobilenet_v1_0.25_224.onnx',
    'version-RFB-320.onnx', 'yolox_nano.onnx'])
def test_published_models(published: Path, tmp_path: Path, name: str) -> None:
    """The comparison is part of the change."""
    add_batch_dimension(published / 'models' / name, tmp_path / name)
    assert open_engine(tmp_path / name).inputs[0].shape[0] == 'batch'


def test_a_published_model_that_chooses_boxes_itself(published: Path, tmp_path: Path) -> None:
    name = 'coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.onnx'
    with pytest.raises(NotBatchableError, match='Squeeze'):
        add_batch_dimension(published / 'models' / name, tmp_path / name)


@pytest.mark.parametrize('name', ['cards_classifier', 'cards_detector'])
def test_the_shipped_models(tmp_path: Path, name: str) -> None:
    settings = EngineSettings(max_batch=3, cache_directory=tmp_path / 'cache')
    engine = open_engine(MODELS / f'{name}.onnx', settings=settings)
    assert engine.inputs[0].shape[0] == 'batch' == engine.outputs[0].shape[0]


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, weights, opset = SAFE['convolution']
    path = save(tmp_path / 'm.onnx', nodes, weights, opset)
    settings = EngineSettings(max_batch=2, cache_directory=tmp_path / 'cache')
    assert open_engine(path, settings=settings).inputs[0].shape[0] == 'batch'
    monkeypatch.setattr(batch_dimension, 'add_batch_dimension', None)
    assert open_engine(path, settings=settings).inputs[0].shape[0] == 'batch'
    assert open_engine(path, settings=settings.replace(max_batch=1)).inputs[0].shape[0] == 1


def test_a_refusal_is_found_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    nodes, weights, _ = UNSAFE['mean of images']
    path = save(tmp_path / 'm.onnx', nodes, weights)
    settings = EngineSettings(max_batch=2, cache_directory=tmp_path / 'cache')
    with caplog.at_level(logging.INFO):
        assert open_engine(path, settings=settings).inputs[0].shape[0] == 1
        monkeypatch.setattr(batch_dimension, 'add_batch_dimension', None)
        assert open_engine(path, settings=settings).inputs[0].shape[0] == 1
    assert caplog.text.count('m.onnx takes one image at a time: the operator ReduceMean') == 2


def test_without_the_package_onnx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told, nothing is noted for later, and the model runs as it is."""
    nodes, weights, opset = SAFE['convolution']
    path = save(tmp_path / 'm.onnx', nodes, weights, opset)
    settings = EngineSettings(max_batch=2, cache_directory=tmp_path / 'cache')
    real: Callable[..., Any] = builtins.__import__

    def fake(name: str, *more: Any, **settings: Any) -> Any:
        if name == 'onnx':
            raise ImportError("No module named 'onnx'")
        return real(name, *more, **settings)

    with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setattr(builtins, '__import__', fake)
        assert open_engine(path, settings=settings).inputs[0].shape[0] == 1
        with pytest.raises(EngineError, match='package onnx is needed'):
            add_batch_dimension(path, tmp_path / 'b.onnx')
    assert 'pip install onnx' in caplog.text
    assert open_engine(path, settings=settings).inputs[0].shape[0] == 'batch'


def test_a_full_disk_keeps_no_model_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    nodes, weights, opset = SAFE['convolution']
    path = save(tmp_path / 'm.onnx', nodes, weights, opset)
    settings = EngineSettings(max_batch=2, cache_directory=tmp_path / 'cache')
    with monkeypatch.context() as patch:
        patch.setattr(onnx, 'save', full)
        assert open_engine(path, settings=settings).inputs[0].shape[0] == 1
    assert 'is full' in caplog.text
    # Nothing is noted for later.
    assert open_engine(path, settings=settings).inputs[0].shape[0] == 'batch'


def test_weights_in_a_file_of_their_own_count(tmp_path: Path) -> None:
    path = save(tmp_path / 'm.onnx', [node('Mul', 'x', 'w', 'y')], [])
    loaded = onnx.load(str(path))
    loaded.graph.initializer.append(numpy_helper.from_array(np.full(8, 2, np.float32), 'w'))
    onnx.save(loaded, str(path), save_as_external_data=True, location='m.weights',
              size_threshold=0)
    settings = EngineSettings(max_batch=2, cache_directory=tmp_path / 'cache')
    ones = np.ones((2, 4, 6, 8), np.float32)
    assert (open_engine(path, settings=settings).infer({'x': ones})['y'] == 2).all()
    (tmp_path / 'm.weights').write_bytes(np.full(8, 3, np.float32).tobytes())
    assert (open_engine(path, settings=settings).infer({'x': ones})['y'] == 3).all()
    (tmp_path / 'm.weights').unlink()
    with pytest.raises(EngineError, match='second file'):
        open_engine(path, settings=settings)


def test_without_a_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodes, weights, opset = SAFE['convolution']
    path = save(tmp_path / 'm.onnx', nodes, weights, opset)
    with caplog.at_level(logging.INFO):
        engine = open_engine(path, settings=EngineSettings(max_batch=2, cache=False))
    assert engine.inputs[0].shape[0] == 1 and 'needs a cache' in caplog.text
