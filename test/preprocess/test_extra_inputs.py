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

"""A model's second input: sizes and constants, from the descriptor to boxes on the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, TensorProto
import pytest
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.input_spec import InputSpec, read_extra
from ros2_classify.pipeline import Pipeline
from ros2_classify.preprocess.extra_inputs import ExtraInputs
from ros2_classify.preprocess.geometry import make_plan
from ros2_classify.results.results import Detections
from ros2_classify.testing import tensor
from ros2_classify.yaml_config import Where

# Width 80, height 20 in a model of 40x40: half the size, 15 rows above it in a letterbox.
IMAGE = np.full((20, 80, 3), 90, np.uint8)
MODEL = (40, 40)
# x1, y1, x2, y2 in parts of the model's image; on the image that is 8, 10, 40, 20.
PARTS = np.array([[0.1, 0.5, 0.5, 0.625]], np.float32)
ON_IMAGE = [[8.0, 10.0, 40.0, 15.0]]


def save(path: Path, inputs: list[Any], nodes: list[Any], outputs: list[Any],
         constants: dict[str, Any]) -> Path:
    """Write a model."""
    graph = helper.make_graph(
        nodes, 'sizes',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, ['N', 3, 40, 40]), *inputs],
        outputs, [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def save_rtdetr(path: Path) -> Path:
    """Write a model that scales its boxes by a size of width and height, as RT-DETR does."""
    return save(
        path, [helper.make_tensor_value_info('orig_target_sizes', TensorProto.INT64, ['N', 2])],
        [helper.make_node('Cast', ['orig_target_sizes'], ['wh'], to=TensorProto.FLOAT),
         helper.make_node('Concat', ['wh', 'wh'], ['factor'], axis=1),
         helper.make_node('Mul', ['parts', 'factor'], ['scaled']),
         helper.make_node('Unsqueeze', ['scaled', 'axis'], ['boxes']),
         helper.make_node('Identity', ['one_label'], ['labels']),
         helper.make_node('Identity', ['one_score'], ['scores'])],
        [helper.make_tensor_value_info('labels', TensorProto.INT64, ['N', 1]),
         helper.make_tensor_value_info('boxes', TensorProto.FLOAT, ['N', 1, 4]),
         helper.make_tensor_value_info('scores', TensorProto.FLOAT, ['N', 1])],
        {'parts': PARTS, 'axis': np.array([0]), 'one_label': np.array([[2]]),
         'one_score': np.array([[0.75]], np.float32)})


def save_yolov3(path: Path) -> Path:
    """Write a model that undoes a letterbox for a size of height and width, as YOLOv3 does."""
    node = helper.make_node
    return save(
        path, [helper.make_tensor_value_info('image_shape', TensorProto.FLOAT, ['N', 2])],
        [node('Div', ['model', 'image_shape'], ['ratios']),
         node('ReduceMin', ['ratios'], ['ratio'], keepdims=1),
         node('Mul', ['image_shape', 'ratio'], ['used']),
         node('Sub', ['model', 'used'], ['room']),
         node('Mul', ['room', 'half'], ['offset']),
         node('Concat', ['offset', 'offset'], ['offsets'], axis=1),
         node('Concat', ['ratio', 'ratio', 'ratio', 'ratio'], ['four'], axis=1),
         node('Sub', ['pixels', 'offsets'], ['moved']),
         node('Div', ['moved', 'four'], ['scaled']),
         node('Unsqueeze', ['scaled', 'axis'], ['boxes']),
         node('Identity', ['all_scores'], ['scores']),
         node('Identity', ['selected'], ['indices'])],
        [helper.make_tensor_value_info('boxes', TensorProto.FLOAT, [1, 1, 4]),
         helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, 3, 1]),
         helper.make_tensor_value_info('indices', TensorProto.INT32, [1, 3])],
        {'model': np.array([[40, 40]], np.float32), 'half': np.array([0.5], np.float32),
         'pixels': PARTS[:, [1, 0, 3, 2]] * 40, 'axis': np.array([0]),
         'all_scores': np.array([[[0], [0], [0.75]]], np.float32),
         'selected': np.array([[0, 2, 0]], np.int32)})


def boxes_of(path: Path, decoder: str, extra: Any, units: str | None, **settings: Any) -> Any:
    """Return what a pipeline finds on the image."""
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'input': {'extra': extra, **settings},
        'output': {'decoder': decoder, **({'units': units} if units else {})}})
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        assert pipeline.descriptor.inferred == ()
        result = pipeline(IMAGE)
    assert isinstance(result, Detections)
    assert (result.class_ids.tolist(), result.scores.tolist()) == ([2], [0.75])
    return result.boxes.tolist()


@pytest.mark.parametrize(('word', 'units'), [
    ('source_size_wh', 'source'), ('input_size_wh', None), ([40, 40], None), ([1, 1], None)])
def test_a_model_that_is_told_the_size(tmp_path: Path, word: Any, units: Any) -> None:
    """Stretched, the image's own size and the model's lead to the same boxes."""
    units = 'normalized' if word == [1, 1] else units
    found = boxes_of(save_rtdetr(tmp_path / 'r.onnx'), 'end_to_end',
                     {'orig_target_sizes': word}, units)
    assert found == pytest.approx(np.array([[8, 10, 40, 12.5]]))


def test_a_letterbox_needs_the_models_size(tmp_path: Path) -> None:
    path = save_rtdetr(tmp_path / 'r.onnx')
    found = boxes_of(path, 'end_to_end', {'orig_target_sizes': 'input_size_wh'}, None,
                     resize='letterbox')
    assert found == pytest.approx(np.array([[8, 10, 40, 20]]))


@pytest.mark.parametrize(('word', 'units'), [
    ('source_size_hw', 'source'), ('input_size_hw', None)])
def test_a_model_that_undoes_the_letterbox(tmp_path: Path, word: str, units: Any) -> None:
    """Both lead to the same boxes: the letterbox is undone once."""
    found = boxes_of(save_yolov3(tmp_path / 'y.onnx'), 'selected_indices', {'image_shape': word},
                     units, resize='letterbox')
    assert found == pytest.approx(np.array([[8, 10, 40, 20]]))


@pytest.mark.parametrize(('save_it', 'name', 'decoder'), [
    (save_rtdetr, 'orig_target_sizes', 'end_to_end'),
    (save_yolov3, 'image_shape', 'selected_indices')])
def test_a_bare_model(tmp_path: Path, save_it: Any, name: str, decoder: str) -> None:
    with Pipeline.load(save_it(tmp_path / 'bare.onnx'), provider='cpu') as pipeline:
        descriptor, result = pipeline.descriptor, pipeline(IMAGE)
    assert isinstance(result, Detections)
    assert descriptor.output.decoder == decoder
    assert any(sentence.startswith(f'input.extra.{name}: input_size') for sentence in
               descriptor.inferred)
    # RT-DETR is fed a stretched image, YOLOv3 a letterbox.
    bottom = 12.5 if decoder == 'end_to_end' else 20
    assert result.boxes.tolist() == pytest.approx(np.array([[8, 10, 40, bottom]]))


def test_what_is_fed() -> None:
    geometry = make_plan(InputSpec(size=MODEL), (80, 20)).geometry
    inputs = [tensor('images', [1, 3, 40, 40]), tensor('a', [1, 2]), tensor('b', [2], np.int64),
              tensor('c', ['n', 2], np.int32), tensor('d', []), tensor('e', ['m'], np.float16)]
    fed = ExtraInputs({'a': 'source_size_hw', 'b': 'source_size_wh', 'c': 'input_size_hw',
                       'd': (0.5,), 'e': (1.0, 2.0, 3.0)}, inputs)([geometry])
    expected: dict[str, Any] = {'a': [[20, 80]], 'b': [80, 20], 'c': [[40, 40]], 'd': 0.5,
                                'e': [1, 2, 3]}
    assert {name: array.tolist() for name, array in fed.items()} == expected
    assert all(fed[spec.name].dtype == spec.dtype for spec in inputs[1:])


def test_what_several_images_are_fed() -> None:
    """A free first dimension has a row for each image; the rest is the same for all."""
    geometries = [make_plan(InputSpec(size=MODEL), size).geometry
                  for size in ((80, 20), (30, 50), (7, 9))]
    inputs = [tensor('images', ['n', 3, 40, 40]), tensor('a', ['n', 2], np.int64),
              tensor('b', [1, 2]), tensor('c', ['n', 2]), tensor('d', ['m'])]
    extra = ExtraInputs({'a': 'source_size_wh', 'b': 'input_size_hw', 'c': (0.5, 2.0),
                         'd': (1.0, 2.0)}, inputs)
    assert extra.batchable
    fed = extra(geometries)
    assert {name: array.tolist() for name, array in fed.items()} == {
        'a': [[80, 20], [30, 50], [7, 9]], 'b': [[40, 40]], 'c': [[0.5, 2.0]] * 3,
        'd': [1.0, 2.0]}
    assert not ExtraInputs({'b': 'source_size_hw'}, inputs).batchable


@pytest.mark.parametrize(('extra', 'words'), [
    ({'sizes': 'source_size_hw'}, ["'sizes'", "'orig_target_sizes' int64 [N, 2]", 'input.extra']),
    ({'orig_target_sizes': [1, 2, 3]}, ['input.extra.orig_target_sizes', '3 numbers', '[N, 2]']),
    ({'orig_target_sizes': 'source_size_wh', 'images': 1}, ['input.extra.images', '1 numbers']),
    ({}, ['the model has 2 inputs', 'input.extra', 'image_shape: input_size_hw'])])
def test_what_does_not_fit_the_model(
    tmp_path: Path, extra: Any, words: list[str],
) -> None:
    with pytest.raises(DescriptorError) as caught:
        boxes_of(save_rtdetr(tmp_path / 'r.onnx'), 'end_to_end', extra, None)
    for word in ['the descriptor: ', *words]:
        assert word in str(caught.value)


def test_texts_cannot_be_fed() -> None:
    with pytest.raises(DescriptorError, match='sizes and constants are numbers'):
        ExtraInputs({'a': 'source_size_hw'}, [tensor('a', [1, 2], object)])


@pytest.mark.parametrize(('value', 'words'), [
    ('source_size', ["'source_size' is not allowed", 'input_size_hw, input_size_wh',
                     'source_size_wh, a number']),
    ([], ['empty list']), ([1, 'two'], ['extra.size[1]', 'number']), (True, ['number']),
    ({'a': 1}, ['number']), (None, ['is empty'])])
def test_wrong_values(value: Any, words: list[str]) -> None:
    with pytest.raises(DescriptorError) as caught:
        ModelDescriptor.from_mapping(
            {'source': {'path': 'a.onnx'}, 'input': {'extra': {'size': value}}})
    for word in ['input.extra.size', *words]:
        assert word in str(caught.value)


def test_names_with_and_without_tensorflows_suffix(tmp_path: Path) -> None:
    found = boxes_of(save_rtdetr(tmp_path / 'r.onnx'), 'end_to_end',
                     {'orig_target_sizes:0': 'input_size_wh'}, None)
    assert len(found) == 1


def test_the_old_words_for_sizes_still_work_with_one_warning(
        caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        old = {'a': 'network_size_hw', 'b': 'network_size_wh'}  # words: old
        assert read_extra(old, Where('old.yaml')) == {'a': 'input_size_hw', 'b': 'input_size_wh'}
    assert [record.getMessage() for record in caplog.records] == [
        f'old.yaml, {key}: network_size_{order} was renamed to '  # words: old
        f'input_size_{order} and works until the next release; write input_size_{order}'
        for key, order in (('a', 'hw'), ('b', 'wh'))]
