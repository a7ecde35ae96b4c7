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

"""Inputs of int8, int32, float64 and quantized uint8, against the definitions in plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros2_classify import Pipeline
from ros2_classify.engines import open_engine, Quantization
from ros2_classify.engines.onnx_file import input_quantization
from ros2_classify.errors import DescriptorError, EngineError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.input_spec import InputQuantization, InputSpec
from ros2_classify.preprocess.preprocessor import Preprocessor
from ros2_classify.preprocess.quantization import with_quantization
from ros2_classify.testing import tensor

onnx = pytest.importorskip('onnx', reason='the tiny models are written with the package onnx')

IMAGE = np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8)
IMAGE[0, 0], IMAGE[0, 1] = 0, 255
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OUTPUT = {'decoder': 'classification', 'activation': 'softmax'}
TYPES = {'uint8': 2, 'int8': 3, 'int32': 6, 'float64': 11, 'bfloat16': 16, 'float32': 1}


def reference(dtype: str, scale: float, zero_point: int) -> np.ndarray:
    """Return the input as QuantizeLinear of the normalized RGB pixels defines it, NHWC."""
    real = (IMAGE.astype(np.float64) / 255 - MEAN) / STD
    steps = np.round(real / scale) + zero_point
    limits = np.iinfo(dtype)
    return np.clip(steps, limits.min, limits.max).astype(dtype)[np.newaxis]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def tensors_of(spec: InputSpec) -> np.ndarray:
    preprocessor = Preprocessor(spec)
    preprocessor(IMAGE, 'rgb')
    return preprocessor.tensor()


def spec_of(dtype: str, layout: str = 'nhwc', **settings: Any) -> InputSpec:
    return InputSpec(size=(8, 6), dtype=dtype, layout=layout, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize('layout', ['nchw', 'nhwc'])
@pytest.mark.parametrize('dtype, scale, zero_point', [
    ('int8', 0.0187, -14), ('uint8', 0.0187, 114), ('int8', 0.02, 3), ('int32', 1e-4, 7),
    ('uint8', 0.0187, 118)])
def test_quantized_inputs(dtype: str, scale: float, zero_point: int, layout: str) -> None:
    spec = spec_of(dtype, layout, scale=1 / 255, mean=MEAN, std=STD,
                   quantization=InputQuantization(scale, zero_point))
    want = reference(dtype, scale, zero_point)
    if layout == 'nchw':
        want = want.transpose(0, 3, 1, 2)
    got = tensors_of(spec)
    assert got.dtype == want.dtype and got.shape == want.shape
    # Ties and the last bit of a double may differ by the order of the operations.
    assert np.abs(got.astype(int) - want.astype(int)).max() <= (got != want).any()
    assert (got != want).mean() < 0.01


@pytest.mark.parametrize('layout', ['nchw', 'nhwc'])
def test_doubles_and_whole_pixels(layout: str) -> None:
    axes = (2, 0, 1) if layout == 'nchw' else (0, 1, 2)
    got = tensors_of(spec_of('float64', layout, scale=1 / 255, mean=MEAN, std=STD))
    want = ((IMAGE.astype(np.float64) / 255 - MEAN) / STD).transpose(axes)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got[0], want, rtol=1e-12, atol=1e-12)
    got = tensors_of(spec_of('int32', layout))
    assert got.dtype == np.int32 and (got[0] == IMAGE.transpose(axes)).all()


def test_padding_is_quantized_too() -> None:
    spec = InputSpec(size=(16, 6), dtype='int8', layout='nhwc', resize='letterbox', pad_value=100,
                     quantization=InputQuantization(1.0, -128))
    got = tensors_of(spec)
    assert (got[0, :, :4] == 100 - 128).all()
    assert (got[0, :, 4:12] == IMAGE.astype(int) - 128).all()


def graph(path: Path, dtype: str, scale: float, zero_point: int, *, operator: str = 'dequantize',
          constants: str = 'raw') -> Path:
    """Write a classifier: the mean of each channel of the real numbers, softmax."""
    from onnx import helper, numpy_helper

    kind = TYPES[dtype]
    weights = []
    for name, value, code in (('s', np.float32(scale), 1), ('z', np.dtype(dtype).type(
            zero_point), kind)):
        weights.append(numpy_helper.from_array(np.array(value), name) if constants == 'raw' else
                       helper.make_tensor(name, code, [1] if constants == 'list1' else [],
                                          [value]))
    nodes = [helper.make_node('DequantizeLinear', ['moved', 's', 'z'], ['real']),
             helper.make_node('Transpose', ['x'], ['moved'], perm=[0, 3, 1, 2])][::-1]
    if constants == 'node':
        nodes = [helper.make_node('Constant', [], [item.name], value=item)
                 for item in weights] + nodes
        weights = []
    if operator == 'cast':
        nodes[-1] = helper.make_node('Cast', ['moved'], ['real'], to=1)
    nodes += [helper.make_node('GlobalAveragePool', ['real'], ['pooled']),
              helper.make_node('Flatten', ['pooled'], ['logits'])]
    proto = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('x', kind, [1, 6, 8, 3])],
        [helper.make_tensor_value_info('logits', 1, [1, 3])], weights)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize('constants', ['raw', 'list', 'list1', 'node'])
@pytest.mark.parametrize('dtype, zero_point', [('int8', -14), ('uint8', 114), ('int32', 0)])
def test_the_graphs_own_numbers(
        tmp_path: Path, dtype: str, zero_point: int, constants: str) -> None:
    path = graph(tmp_path / 'm.onnx', dtype, 0.0187, zero_point, constants=constants)
    engine = open_engine(path)
    assert engine.inputs[0].quantization == Quantization(
        pytest.approx(0.0187), zero_point)  # type: ignore[arg-type]
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': OUTPUT,
        'input': {'scale': '1/255', 'mean': list(MEAN), 'std': list(STD)}})
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        result = pipeline(IMAGE, 'rgb')
    numbers = reference(dtype, float(np.float32(0.0187)), zero_point)
    want = softmax((numbers.astype(np.float64) - zero_point).mean(axis=(0, 1, 2)) * 0.0187)
    order = np.argsort(-want)
    assert result.class_ids.tolist() == order.tolist()
    np.testing.assert_allclose(result.scores, want[order], atol=1e-4)


def test_an_int8_model_without_settings(tmp_path: Path) -> None:
    path = graph(tmp_path / 'm.onnx', 'int8', 1 / 127.5, -1)
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': OUTPUT})
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        assert any('pixels minus 128' in text for text in pipeline.descriptor.inferred)
        spec = pipeline.descriptor.input
        result = pipeline(IMAGE, 'rgb')
    assert (tensors_of(spec) == IMAGE.astype(int) - 128).all()
    want = softmax(((IMAGE.astype(np.float64) - 128 + 1) / 127.5).mean(axis=(0, 1)))
    np.testing.assert_allclose(result.scores, np.sort(want)[::-1], atol=1e-5)
    # What describe writes is read again.
    assert with_quantization(
        spec, tensor('x', [1, 6, 8, 3], np.int8), []) == spec


@pytest.mark.parametrize('dtype, zero_point', [('int8', -14), ('uint8', 114)])
def test_a_bare_model(tmp_path: Path, dtype: str, zero_point: int) -> None:
    from onnx import helper

    model = onnx.load(str(graph(tmp_path / 'm.onnx', dtype, 0.1, zero_point)))
    model.graph.node.append(helper.make_node('Softmax', ['logits'], ['probabilities'], axis=1))
    model.graph.output[0].name = 'probabilities'
    # Images of 8x6 could be a time series, and are asked.
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 8
    (tmp_path / 'm.onnx').write_bytes(model.SerializeToString())
    with Pipeline.load(tmp_path / 'm.onnx', provider='cpu') as pipeline:
        result = pipeline(IMAGE, 'rgb')
        unverified = pipeline.descriptor.unverified
    assert result.task == 'classification'
    assert ('input.mean' in unverified) == (dtype == 'int8')
    assert result.scores.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize('dtype', ['uint8', 'int32'])
def test_whole_pixels_as_before(tmp_path: Path, dtype: str) -> None:
    path = graph(tmp_path / 'm.onnx', dtype, 1.0, 0, operator='cast')
    assert open_engine(path).inputs[0].quantization is None
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': OUTPUT})
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        result = pipeline(IMAGE, 'rgb')
    want = np.sort(softmax(IMAGE.mean(axis=(0, 1))))[::-1]
    np.testing.assert_allclose(result.scores, want, rtol=1e-4)


NORMAL = {'scale': 1 / 255, 'mean': MEAN, 'std': STD}


@pytest.mark.parametrize('dtype, settings, known, words', [
    ('int8', {}, None, 'does not hold pixels from 0 to 255.*input.quantization'),
    ('int8', NORMAL, None, 'input.quantization'), ('uint8', NORMAL, None, 'remove the three'),
    ('int32', NORMAL, None, 'remove the three'),
    ('int8', NORMAL, (1.0, -128), 'numbers from -2.118 to 2.64'),
    ('int8', {'scale': 1 / 255}, (1.0, -128), 'training'),
    ('int8', {'scale': 2 / 255, 'mean': (1.0,) * 3}, (1 / 255, -128), 'stand for 0 to 1'),
    ('int32', {}, (0.5e9, 0), 'training'),
    ('int8', {**NORMAL, 'quantization': InputQuantization(0.1, 0)}, (0.0187, -14),
     'remove the key'),
    ('float32', {'quantization': InputQuantization(0.1, 0)}, None, 'is for whole numbers')])
def test_refusals(dtype: str, settings: dict[str, Any], known: Any, words: str) -> None:
    spec = spec_of(dtype, **settings)
    taken = tensor('x', [1, 6, 8, 3], dtype)
    if known:
        taken = type(taken)(taken.name, taken.shape, taken.dtype, Quantization(*known))
    with pytest.raises(DescriptorError, match=words):
        with_quantization(spec, taken, [])


@pytest.mark.parametrize('value, words', [
    ({'scale': 0.1, 'zero': 3}, 'zero'), ({'zero_point': 3}, 'scale is missing'),
    ({'scale': 0, 'zero_point': 1}, 'above 0'), (3, 'key: value')])
def test_bad_keys(value: Any, words: str) -> None:
    with pytest.raises(DescriptorError, match=f'input.quantization.*{words}'):
        ModelDescriptor.from_mapping({
            'source': {'path': 'a.onnx'}, 'output': {'decoder': 'yolo'},
            'input': {'quantization': value}})


def test_several_users_of_an_input(tmp_path: Path) -> None:
    """Two scales for one input mean nothing for its pixels."""
    from onnx import helper

    path = graph(tmp_path / 'm.onnx', 'int8', 0.1, 0)
    model = onnx.load(str(path))
    model.graph.node.append(helper.make_node('Cast', ['x'], ['other'], to=1))
    path.write_bytes(model.SerializeToString())
    assert not input_quantization(path, ['x'])
    model.graph.node.pop()
    path.write_bytes(model.SerializeToString())
    assert input_quantization(path, ['x'])['x'].zero_point == 0
    path.write_bytes(path.read_bytes()[:-30])
    assert not input_quantization(path, ['x'])


@pytest.mark.parametrize('end', ['input', 'output'])
def test_bfloat16(tmp_path: Path, end: str) -> None:
    from onnx import helper

    one, other = (16, 1) if end == 'input' else (1, 16)
    proto = helper.make_graph(
        [helper.make_node('Cast', ['x'], ['y'], to=other)], 'g',
        [helper.make_tensor_value_info('x', one, [1, 3, 4, 4])],
        [helper.make_tensor_value_info('y', other, [1, 3, 4, 4])])
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    (tmp_path / 'm.onnx').write_bytes(model.SerializeToString())
    words = 'bfloat16, which.*float32 or float16' if end == 'input' else 'bfloat16'
    with pytest.raises(EngineError, match=words):
        open_engine(tmp_path / 'm.onnx')
