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

"""Classifiers, segmentation models, and what is no such thing, without a descriptor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import pytest
from ros2_classify.autoconfig.complete import complete
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings, Strength
from ros2_classify.autoconfig.trial import Trial
from ros2_classify.errors import DescriptorError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.model.source import Source
from ros2_classify.pipeline import Pipeline
from ros2_classify.preprocess.extra_inputs import ExtraInputs
from ros2_classify.testing import FakeEngine, tensor

RANDOM = np.random.default_rng(3)


def save(
    path: Path, end: str, count: int, *, scale: float | None = None, layout: str = 'nhwc',
    name: str = 'dense_1', mean: bool = True, size: int = 64, weight: float = 0.05,
) -> Path:
    """Save a linear classifier of the mean colours of a 4 x 4 grid, with a last operator."""
    shape = [1, size, size, 3] if layout == 'nhwc' else [1, 3, size, size]
    step = size // 4
    nodes = []
    feed = 'images'
    if scale is not None:
        nodes.append(helper.make_node('Mul', [feed, 'scale'], ['scaled']))
        feed = 'scaled'
    if layout == 'nhwc':
        nodes.append(helper.make_node('Transpose', [feed], ['nchw'], perm=[0, 3, 1, 2]))
        feed = 'nchw'
    nodes += [
        helper.make_node('AveragePool', [feed], ['pooled'], kernel_shape=[step, step],
                         strides=[step, step]),
        helper.make_node('Flatten', ['pooled'], ['flat']),
        helper.make_node('MatMul', ['flat', 'weights'], ['logits'])]
    last = 'logits'
    if end:
        nodes.append(helper.make_node(end, [last], ['ended']))
        last = 'ended'
    nodes.append(helper.make_node('Identity', [last], [name]))
    weights = [numpy_helper.from_array(
        RANDOM.normal(0, weight, (48, count)).astype(np.float32), 'weights')]
    if scale is not None:
        weights.append(numpy_helper.from_array(np.array(scale, np.float32), 'scale'))
    graph = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('images', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)],
                                ir_version=8), path)
    return path


def descriptor_of(path: Path) -> Any:
    with Pipeline.load(path, provider='cpu') as pipeline:
        return pipeline.descriptor


def refusal(path: Path) -> str:
    with pytest.raises(DescriptorError) as caught:
        Pipeline.load(path, provider='cpu')
    return str(caught.value)


@pytest.mark.parametrize('end, options', [
    ('Softmax', {'activation': 'none'}), ('Sigmoid', {'activation': 'none', 'multi_label': True}),
    ('LogSoftmax', {'activation': 'softmax'}), ('', {'activation': 'softmax'})])
def test_the_last_operator_tells_the_activation(
    tmp_path: Path, end: str, options: dict[str, Any],
) -> None:
    found = descriptor_of(save(tmp_path / 'm.onnx', end, 5))
    assert found.output.options == {**options, 'output': 'dense_1'}
    assert 'input.mean' in found.unverified
    # A softmax says classes; five numbers, each from 0 to 1 or not, do not.
    assert ('output.decoder' in found.unverified) == (end in ('', 'Sigmoid'))


@pytest.mark.parametrize('scale, expected', [
    (1 / 255, {'scale': 1.0, 'mean': (0, 0, 0)}), (1 / 127.5, {'scale': 1.0, 'mean': (0, 0, 0)}),
    (4.4, {'scale': 1 / 255, 'mean': (0, 0, 0)}), (None, {'mean': (127.5,) * 3})])
def test_a_graph_that_scales_pixels_itself_is_fed_plain_ones(
    tmp_path: Path, scale: float | None, expected: dict[str, Any],
) -> None:
    found = descriptor_of(save(tmp_path / 'm.onnx', 'Softmax', 5, scale=scale))
    for key, value in expected.items():
        assert getattr(found.input, key) == value
    assert found.unverified == (('input.color', 'input.resize') if scale else (
        'input.color', 'input.scale', 'input.mean', 'input.std', 'input.resize'))


def test_names_beside_a_linear_output_make_it_classes(tmp_path: Path) -> None:
    (tmp_path / 'm.txt').write_text('\n'.join(f'c{index}' for index in range(512)))
    found = descriptor_of(save(tmp_path / 'm.onnx', '', 512))
    assert 'output.decoder' not in found.unverified


def test_one_number_and_two_names_are_two_classes(tmp_path: Path) -> None:
    (tmp_path / 'm.txt').write_text('cat\ndog\n')
    with Pipeline.load(save(tmp_path / 'm.onnx', 'Sigmoid', 1), provider='cpu') as pipeline:
        assert pipeline.descriptor.output.options['binary'] is True
        scores = {row['label']: row['score'] for row in pipeline(
            np.zeros((64, 64, 3), np.uint8)).rows()}
    assert scores['cat'] == pytest.approx(1 - scores['dog'])


@pytest.mark.parametrize('count, end, name, words', [
    (256, '', 'out', 'as many as embeddings usually have'),
    (100, '', 'face_embedding', 'named as an embedding'),
    (5, 'Tanh', 'out', 'ends in Tanh'), (10, '', 'landmarks', 'class scores do not'),
    (1, 'Sigmoid', 'out', 'name both, and declare labels')])
def test_rows_that_are_no_classes_are_asked(
    tmp_path: Path, count: int, end: str, name: str, words: str,
) -> None:
    assert words in refusal(save(tmp_path / 'm.onnx', end, count, name=name))


def save_map(path: Path, out: Any, channels: int = 3, size: int = 64) -> Path:
    """Save a model with a map: `out(graph nodes)` of the input."""
    nodes, shape = out
    graph = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('images', TensorProto.FLOAT,
                                                   [1, 3, size, size])],
        [helper.make_tensor_value_info('map', TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(RANDOM.normal(
            0, 1, (channels, 3, 1, 1)).astype(np.float32), 'weights')])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)],
                                ir_version=8), path)
    return path


def conv(end: str = '') -> list[Any]:
    axis = {'axis': 1} if end == 'Softmax' else {}
    last = [helper.make_node(end, ['conv'], ['map'], **axis)] if end else []
    return [helper.make_node('Conv', ['images', 'weights'], ['conv' if end else 'map']), *last]


def test_an_image_is_no_segmentation(tmp_path: Path) -> None:
    enhanced = [helper.make_node('Mul', ['images', 'images'], ['map'])]
    assert 'models that give images' in refusal(
        save_map(tmp_path / 'm.onnx', (enhanced, [1, 3, 64, 64])))
    assert 'a mask, a depth or an image' in refusal(
        save_map(tmp_path / 'n.onnx', (conv(), [1, 1, 64, 64]), 1))


@pytest.mark.parametrize('end', ['Softmax', ''])
def test_a_map_of_scores_is_a_segmentation(tmp_path: Path, end: str) -> None:
    found = descriptor_of(save_map(tmp_path / 'm.onnx', (conv(end), [1, 6, 64, 64]), 6))
    assert (found.task, found.output.decoder) == ('segmentation', 'segmentation')
    assert ('output.decoder' in found.unverified) == (end == '')


def test_what_the_model_takes_is_no_image(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node('Flatten', ['points'], ['flat']),
         helper.make_node('Softmax', ['flat'], ['out'])], 'g',
        [helper.make_tensor_value_info('points', TensorProto.FLOAT, [1, 21, 2])],
        [helper.make_tensor_value_info('out', TensorProto.FLOAT, [1, 42])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)],
                                ir_version=8), tmp_path / 'm.onnx')
    assert 'which is not an image' in refusal(tmp_path / 'm.onnx')


def infer(shape: list[int], outputs: dict[str, Any]) -> ModelDescriptor:
    """Return the completed descriptor of a bare model with these outputs and no graph."""
    engine = FakeEngine(
        [tensor('images', shape)],
        [tensor(name, list(array.shape), array.dtype) for name, array in outputs.items()],
        {name: array.astype(np.float32) for name, array in outputs.items()})
    return complete(ModelDescriptor(name='net', source=Source('/m/net.onnx')), engine)


IMAGE = [1, 3, 64, 64]


@pytest.mark.parametrize('outputs, words', [
    ({'out': RANDOM.uniform(0.1, 0.9, (1, 14))}, 'no negative number'),
    ({'predictions': np.array([[0, 80, 90, 250, 300, 0.9, 16]])}, 'one box'),
    ({'out': RANDOM.normal(0, 1, (1, 136))}, 'as many as landmarks'),
    ({'out': RANDOM.normal(0, 1, (1, 1404))}, 'as many as landmarks'),
    ({'out': np.abs(RANDOM.normal(0, 0.1, (1, 17, 16, 16)))}, 'heat maps'),
    ({'out': RANDOM.normal(0, 1, (1, 512, 16, 16))}, 'features rather than classes'),
    ({'features': RANDOM.normal(0, 1, (1, 64, 16, 16))}, 'features rather than classes')])
def test_what_is_no_class_scores_is_asked(outputs: dict[str, Any], words: str) -> None:
    with pytest.raises(DescriptorError, match=words):
        infer(IMAGE, outputs)


def test_colors_for_a_gray_image_are_asked() -> None:
    with pytest.raises(DescriptorError, match='for a gray image'):
        infer([1, 1, 64, 64], {'out': RANDOM.normal(0, 1, (1, 2, 64, 64))})


@pytest.mark.parametrize('shape', [
    [1, 1, 21, 2], [1, 2, 21, 1], [1, 30, 42, 3], [1, 3, 60, 17], [1, 3, 300, 18]])
def test_landmarks_and_series_are_no_images(shape: list[int]) -> None:
    with pytest.raises(DescriptorError, match='landmarks and time series'):
        infer(shape, {'out': RANDOM.normal(0, 1, (1, 5))})


@pytest.mark.parametrize('shape', [
    [1, 3, 24, 94], [1, 1, 28, 28], [1, 3, 12, 12], [1, 1, 32, 100], [1, 128, 64, 3],
    [1, 3, 299, 299], [1, 3, 257, 513]])
def test_images_of_all_sizes_are(shape: list[int]) -> None:
    assert infer(shape, {'out': RANDOM.normal(0, 1, (1, 5))}).task == 'classification'


def test_scores_are_found_beside_features() -> None:
    outputs = {'features': RANDOM.normal(0, 1, (1, 512)), 'logits': RANDOM.normal(0, 1, (1, 3))}
    assert infer(IMAGE, outputs).output.options['output'] == 'logits'


def test_one_cell_is_no_map_of_a_detector() -> None:
    found = infer(IMAGE, {'out': RANDOM.normal(0, 1, (1, 20, 1, 1))})
    assert found.output.options['output'] == 'out'


@pytest.mark.parametrize('end, count', [('LogSoftmax', 128), ('LogSoftmax', 512)])
def test_a_logarithm_of_probabilities_is_no_embedding(
        tmp_path: Path, end: str, count: int) -> None:
    found = Pipeline.load(save(tmp_path / 'net.onnx', end, count)).descriptor
    assert found.output.options['activation'] == 'softmax'


def test_percent_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / 'net.onnx', 'Softmax', 3)
    model = onnx.load(path)
    model.graph.node[-1].op_type = 'Mul'
    model.graph.node[-1].input.append('hundred')
    model.graph.initializer.append(numpy_helper.from_array(np.float32(100), 'hundred'))
    onnx.save(model, path)
    with pytest.raises(DescriptorError, match='Mul after Softmax'):
        Pipeline.load(path)


def test_small_probabilities_may_be_lost_in_bytes(tmp_path: Path) -> None:
    """Of a thousand classes nearly all are below half a step; the sum is far from 1."""
    path = save(tmp_path / 'net.onnx', 'Softmax', 1000)
    model = onnx.load(path)
    model.graph.node[-1].op_type = 'QuantizeLinear'
    model.graph.node[-1].input.extend(['step', 'zero'])
    model.graph.initializer.extend([numpy_helper.from_array(np.float32(1 / 256), 'step'),
                                    numpy_helper.from_array(np.uint8(0), 'zero')])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    found = Pipeline.load(path).descriptor
    assert found.output.options['activation'] == 'none'


@pytest.mark.parametrize('layout, resize', [('nhwc', 'stretch'), ('nchw', 'center_crop')])
def test_what_keras_scales_is_not_cropped(tmp_path: Path, layout: str, resize: str) -> None:
    path = save(tmp_path / 'net.onnx', 'Softmax', 3, scale=1 / 255, layout=layout)
    found = Pipeline.load(path).descriptor
    assert (found.input.resize, found.input.scale) == (resize, 1)
    words = {'stretch': 'stretched', 'center_crop': 'centre crop'}[resize]
    assert any(sentence.startswith('input: pixels from 0 to 255') and words in sentence
               for sentence in found.inferred)


@pytest.mark.parametrize('numbers, activation, words', [
    ([[-3.0, 5.0]], 'none', 'from -3 to 5, not from 0 to 1'),
    ([[0.9, 0.9]], 'none', 'sums of 1.8'), ([[0.25, 0.75]], 'softmax', 'probabilities already'),
    ([[0.25, 0.75]], 'none', ''), ([[-3.0, 5.0]], 'softmax', '')])
def test_numbers_speak_against_an_activation(
    numbers: list[list[float]], activation: str, words: str,
) -> None:
    array = np.array(numbers, np.float32)
    engine = FakeEngine([tensor('in', [1, 3, 32, 32])], [tensor('out', [1, 2])], {'out': array})
    evidence = Evidence(
        InputSpec(name='in', size=(32, 32), layout='nchw', dtype='float32'), engine.outputs)
    hypothesis = Hypothesis(
        'classification', 'classification', {'output': 'out', 'activation': activation}, '',
        Strength.STATED, InputSettings({}, ''))
    said = Trial(engine, ExtraInputs(FrozenMapping({}), engine.inputs)).contradiction(
        hypothesis, evidence)
    assert words in said and bool(words) == bool(said)
