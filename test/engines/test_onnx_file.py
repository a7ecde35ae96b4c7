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

"""Initializers that are inputs too become constants, and nothing else changes."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import graphs
import numpy as np
import pytest

from ros2_classify.engines import open_engine
from ros2_classify.engines.onnx_file import constant_initializers, read_onnx
from ros2_classify.errors import EngineError

onnx = pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')


def save(path: Path, ir_version: int) -> Path:
    from onnx import helper, numpy_helper, TensorProto

    weight = numpy_helper.from_array(np.float32([[2, 0], [0, 3]]), 'w')
    graph = helper.make_graph(
        [helper.make_node('MatMul', ['x', 'w'], ['y'])], 'old',
        [helper.make_tensor_value_info('w', TensorProto.FLOAT, [2, 2]),
         helper.make_tensor_value_info('x', TensorProto.FLOAT, ['n', 2])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['n', 2])], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 9)],
                              ir_version=ir_version)
    helper.set_model_props(model, {'names': 'a b'})
    path.write_bytes(model.SerializeToString())
    return path


def test_initializers_are_removed_from_the_inputs(tmp_path: Path) -> None:
    path = save(tmp_path / 'm.onnx', 4)
    assert read_onnx(path).initializers_as_inputs
    assert dict(read_onnx(path).inputs) == {'x': ('n', 2)}
    before, after = onnx.load(str(path)), onnx.load_from_string(constant_initializers(path))
    assert [item.name for item in after.graph.input] == ['x']
    del before.graph.input[0]
    assert after == before
    engine = open_engine(path)
    assert engine.metadata == {'names': 'a b'}
    assert engine.infer({'x': np.float32([[1, 1]])})['y'].tolist() == [[2, 3]]


def test_initializers_of_the_oldest_files_are_constants_anyway(tmp_path: Path) -> None:
    path = save(tmp_path / 'm.onnx', 3)
    assert not read_onnx(path).initializers_as_inputs
    assert open_engine(path).infer({'x': np.float32([[1, 1]])})['y'].tolist() == [[2, 3]]


def test_a_published_model_has_the_same_outputs(published: Path) -> None:
    import onnxruntime

    path = published / 'models/version-RFB-320.onnx'
    assert read_onnx(path).initializers_as_inputs
    image = np.random.default_rng(0).random((1, 3, 240, 320)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    plain = onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider']).run(None, {'input': image})
    ours = open_engine(path).infer({'input': image})
    for want, have in zip(plain, ours.values()):
        assert np.abs(want - have).max() < 1e-5


def _many(number: int, inner: Callable[[str], bytes], count: int = 5001) -> bytes:
    return b''.join(graphs.piece(number, inner(f'{each:x}')) for each in range(count))


# Beside the graph, or instead of it.
NAMES = {
    'different operators': lambda n: graphs.piece(7, _many(
        1, lambda name: graphs.piece(4, name), n)),
    'operators of training': lambda n: graphs.piece(20, graphs.piece(1, _many(
        1, lambda name: graphs.piece(4, name), n // 2)) + graphs.piece(2, _many(
            1, lambda name: graphs.piece(4, 'z' + name), n - n // 2))),
    'different functions': lambda n: _many(25, lambda name: graphs.piece(1, name), n),
    'operator sets': lambda n: _many(8, lambda name: graphs.piece(1, name), n),
    'files of weights': lambda n: graphs.piece(7, graphs.piece(5, _many(13, lambda name: (
        graphs.piece(1, 'location') + graphs.piece(2, name)), n))),
    'inputs, outputs and attributes': lambda n: graphs.piece(7, graphs.piece(1, _many(
        1, str.encode, n)))}


@pytest.mark.parametrize('what', list(NAMES))
def test_names_of_a_file_have_an_end(what: str, tmp_path: Path) -> None:
    """Each is an object, and millions of them leave holes in the heap that stay for good."""
    path = tmp_path / 'm.onnx'
    graph = b'' if NAMES[what](1)[:1] == graphs.piece(7, b'')[:1] else graphs.piece(7, b'')
    path.write_bytes(b'\x08\x08' + graph + NAMES[what](5000))
    read_onnx(path)
    path.write_bytes(b'\x08\x08' + graph + NAMES[what](5001))
    with pytest.raises(EngineError, match='more than the 5000 ' + (
            'different operators' if 'training' in what else f'(different )?{what}')):
        read_onnx(path)


def test_a_name_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / 'm.onnx'
    for length, words in ((1 << 16, None), ((1 << 16) + 1, 'larger than the 65536 bytes')):
        path.write_bytes(b'\x08\x08' + graphs.piece(2, 'n' * length) + graphs.piece(7, b''))
        with (nullcontext() if words is None else pytest.raises(EngineError, match=words)):
            read_onnx(path)
