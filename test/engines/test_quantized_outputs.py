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

"""Scale and zero point of quantized outputs, from the graph; the results are real numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from decoder_models import pipeline_of
import numpy as np
import pytest
from ros2_classify.engines import open_engine
from ros2_classify.engines.onnx_file import read_onnx

onnx = pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')
PROBABILITIES = np.array([[0.11, 0.62, 0.03, 0.24]], np.float32)


def save(
    path: Path, scale: float = 1 / 256, zero: Any = np.uint8(3), *, after: tuple[str, ...] = (),
    constants: str = 'initializers', values: Any = PROBABILITIES,
) -> Path:
    """Write a model whose output is these values, quantized."""
    from onnx import helper, numpy_helper, TensorProto

    arrays = {'values': values, 'nothing': np.zeros(1, np.float32), 'shape': np.int64([1, -1]),
              'scale': np.array(scale, np.float32)}
    if zero is not None:
        arrays['zero'] = np.asarray(zero)
    nodes = [helper.make_node('ReduceMean', ['image'], ['mean'], keepdims=0),
             helper.make_node('Mul', ['mean', 'nothing'], ['none']),
             helper.make_node('Add', ['values', 'none'], ['real'])]
    initializers = []
    for name, array in arrays.items():
        if name in ('scale', 'zero') and constants == 'nodes':
            nodes.append(helper.make_node(
                'Constant', [], [name], value=numpy_helper.from_array(array)))
        elif name in ('scale', 'zero') and constants == 'typed':
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            initializers.append(helper.make_tensor(name, kind, array.shape, array.reshape(-1)))
        else:
            initializers.append(numpy_helper.from_array(array, name))
    names = ['real', 'scale', *(['zero'] if zero is not None else [])]
    last = 'quantized'
    nodes.append(helper.make_node('QuantizeLinear', names, [last]))
    for index, operator in enumerate(after):
        more = ['shape'] if operator == 'Reshape' else []
        nodes.append(helper.make_node(operator, [last, *more], [f'{operator}_{index}']))
        last = f'{operator}_{index}'
    kind = TensorProto.UINT8 if zero is None else helper.np_dtype_to_tensor_dtype(
        np.asarray(zero).dtype)
    graph = helper.make_graph(
        nodes, 'quantized',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(last, kind, None)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def by_hand(scale: float, zero: Any) -> Any:
    """Round to whole numbers and back."""
    limits = np.iinfo(np.uint8 if zero is None else np.asarray(zero).dtype)
    point = int(0 if zero is None else zero)
    stored = [min(max(round(float(value) / scale) + point, limits.min), limits.max)
              for value in PROBABILITIES[0]]
    return [(value - point) * scale for value in stored]


@pytest.mark.parametrize('constants', ['initializers', 'nodes', 'typed'])
@pytest.mark.parametrize(('scale', 'zero'), [
    (1 / 256, np.uint8(0)), (1 / 256, np.uint8(3)), (0.01, np.int8(-128)), (0.01, np.int8(-5)),
    (1 / 255, None)])
def test_scores_are_probabilities_again(
        tmp_path: Path, constants: str, scale: float, zero: Any) -> None:
    path = save(tmp_path / 'm.onnx', scale, zero, constants=constants)
    found = read_onnx(path).quantized['quantized']
    assert found == (pytest.approx(scale), 0 if zero is None else int(zero))
    with pipeline_of(path, {'decoder': 'classification'}, threshold=0.0) as pipeline:
        result: Any = pipeline(np.zeros((8, 8, 3), np.uint8))
    expected = by_hand(scale, zero)
    assert result.class_ids.tolist() == sorted(range(4), key=lambda row: -expected[row])
    assert result.scores.tolist() == pytest.approx(sorted(expected, reverse=True), abs=1e-6)
    assert max(result.scores) <= 1


@pytest.mark.parametrize('after', [('Reshape',), ('Flatten', 'Identity'), ('Transpose',)])
def test_numbers_may_move_behind_it(tmp_path: Path, after: tuple[str, ...]) -> None:
    path = save(tmp_path / 'm.onnx', after=after)
    assert list(read_onnx(path).quantized.values()) == [(1 / 256, 3)]
    engine = open_engine(path)
    assert engine.outputs[0].quantization == (1 / 256, 3)


def test_other_operators_behind_it_make_other_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / 'm.onnx', after=('Clip',))
    assert read_onnx(path).quantized == {}


def test_what_is_no_single_constant_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path / 'm.onnx')
    model = onnx.load(str(path))
    for change in ('two', 'external', 'computed', 'negative', 'type'):
        altered = onnx.ModelProto()
        altered.CopyFrom(model)
        scale = next(item for item in altered.graph.initializer if item.name == 'scale')
        if change == 'two':
            scale.dims.append(2)
            scale.raw_data = np.float32([0.1, 0.2]).tobytes()
        elif change == 'external':
            scale.ClearField('raw_data')
            scale.data_location = onnx.TensorProto.EXTERNAL
        elif change == 'computed':
            scale.name = 'other'
        elif change == 'negative':
            scale.raw_data = np.float32(-1).tobytes()
        else:
            scale.data_type = onnx.TensorProto.BFLOAT16
        path.write_bytes(altered.SerializeToString())
        assert read_onnx(path).quantized == {}, change


def test_a_loop_of_moves_ends(tmp_path: Path) -> None:
    """ONNX Runtime refuses such a file; reading it must not take forever."""
    model = onnx.load(str(save(tmp_path / 'm.onnx', after=('Identity', 'Identity'))))
    first = next(node for node in model.graph.node if node.output[0] == 'Identity_0')
    first.input[0] = 'Identity_1'
    path = tmp_path / 'loop.onnx'
    path.write_bytes(model.SerializeToString())
    assert read_onnx(path).quantized == {}


def test_a_published_quantized_classifier(published: Path) -> None:
    path = published.parent / 'zoo/models/mobilenet_v1_0.75_192_quant_uint8.onnx'
    if not path.is_file():
        pytest.skip('the model is not here')
    assert list(read_onnx(path).quantized.values()) == [(1 / 256, 0)]
    with pipeline_of(path, {'decoder': 'classification'}, threshold=0.0) as pipeline:
        result: Any = pipeline.warm_up()
    assert 0 < max(result.scores) <= 1
