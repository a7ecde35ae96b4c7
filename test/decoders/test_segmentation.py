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

"""The decoder of segmentation models against a loop over the cells, alone and as ONNX."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.pipeline import Pipeline
from ros2_classify.postprocess.label_image import label_image
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.results.results import Segmentation
from ros2_classify.testing import save_constant_model

DECODER = DECODERS['segmentation']
SIZE = (64, 48)


def decode(array: Any, labels: int | None = None, **options: Any) -> Any:
    """Return what the decoder makes of one output."""
    return DECODER.decode({'out': np.asarray(array)}, DECODER.parse_options(options),
                          DecodeContext(SIZE, 0.0, label_count=labels))


def logits(classes: int = 5, grid: tuple[int, int] = (12, 16), seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 3, (1, classes, *grid)).astype(np.float32)


def by_hand(planes: Any) -> list[list[int]]:
    """Walk over the cells; of equal scores the lower class."""
    _, height, width = planes.shape
    return [[max(range(len(planes)), key=lambda c: planes[c, y, x])
             for x in range(width)] for y in range(height)]


@pytest.mark.parametrize('classes', [2, 5, 12, 16])
@pytest.mark.parametrize('last', [False, True])
def test_scores(classes: int, last: bool) -> None:
    array = logits(classes)
    given = np.moveaxis(array, 1, 3) if last else array
    found = decode(given)
    assert found.classes.tolist() == by_hand(array[0])
    assert (found.classes.dtype, found.unlabeled, found.scores) == (np.uint8, 255, None)
    half = decode(given.astype(np.float16), axes='channels_last' if last else 'channels_first')
    assert half.classes.tolist() == by_hand(array[0].astype(np.float16))
    linear = decode(given, upsampling='linear')
    assert np.array_equal(linear.scores, array[0]) and linear.classes.shape == (12, 16)


def test_equal_scores_and_many_classes() -> None:
    assert not decode(np.zeros((1, 3, 12, 16), np.float32)).classes.any()
    array = np.zeros((1, 300, 3, 4), np.float32)
    array[0, 299, 1, 2] = 1
    found = decode(array)
    assert found.classes.dtype == np.uint16 and found.classes[1, 2] == 299
    assert found.unlabeled == 65535
    assert decode(array[:, :255]).classes.dtype == np.uint8
    assert decode(array[:, :256]).classes.dtype == np.uint16


@pytest.mark.parametrize('shape', [(1, 12, 16), (1, 1, 12, 16), (1, 12, 16, 1), (12, 16)])
@pytest.mark.parametrize('dtype', [np.int64, np.int32, np.uint8])
def test_classes_that_the_model_found(shape: Any, dtype: Any) -> None:
    array = np.random.default_rng(4).integers(0, 21, (12, 16)).astype(dtype)
    for labels in (None, 21):
        found = decode(array.reshape(shape), labels)
        assert found.classes.dtype == np.uint8
        assert np.array_equal(found.classes, array)


def test_classes_as_float_numbers() -> None:
    array = np.array([[[0, 1.0], [np.nan, 3]]], np.float32)
    found = decode(array, values='classes')
    assert found.classes.tolist() == [[0, 1], [255, 3]]


@pytest.mark.parametrize(('labels', 'highest', 'dtype'), [
    (None, 254, np.uint8), (None, 255, np.uint8), (None, 256, np.uint16), (300, 5, np.uint16),
    (255, 254, np.uint8), (256, 5, np.uint16)])
def test_labels_decide_the_type(labels: int | None, highest: int, dtype: Any) -> None:
    found = decode(np.array([[[0, highest]]], np.int64), labels)
    assert found.classes.dtype == dtype and found.classes.tolist() == [[0, highest]]


def test_one_score_and_a_threshold() -> None:
    array = np.array([[[[0.2, 0.6, 7, -3], [0.5, np.nan, 1, 0]]]], np.float32)
    options = {'threshold': 0.5, 'axes': 'channels_first'}
    assert decode(array, **options).classes.tolist() == [[0, 1, 1, 0], [0, 255, 1, 0]]
    assert decode(array, 2, upsampling='linear', **options).scores.shape == (2, 2, 4)
    whole = logits(1)
    assert np.array_equal(decode(whole, threshold=0).classes, whole[0, 0] > 0)
    assert np.array_equal(decode(whole[0], threshold=0).classes, whole[0, 0] > 0)
    with pytest.raises(OutputError, match='output.threshold'):
        decode(whole)


def score_of(values: list[float], class_id: int, activation: str) -> float:
    """Return one class's score at a pixel."""
    if activation == 'sigmoid':
        return 1 / (1 + math.exp(-values[class_id]))
    if activation == 'softmax':
        return math.exp(values[class_id]) / sum(math.exp(value) for value in values)
    return values[class_id]


@pytest.mark.parametrize(('activation', 'threshold'), [
    ('sigmoid', 0.9), ('sigmoid', 0.5), ('softmax', 0.6), ('none', 2.0), ('none', 1000.0),
    ('none', -1000.0)])
@pytest.mark.parametrize('background', [None, 0, 2])
def test_a_threshold_for_several_scores(
        activation: str, threshold: float, background: int | None) -> None:
    """A pixel whose best score is not over it is the background, or has no class."""
    array = logits(4)
    none = 255 if background is None else background
    expected = []
    for y in range(12):
        for x in range(16):
            values = array[0, :, y, x].tolist()
            best = max(range(4), key=lambda c: values[c])
            expected.append(best if score_of(values, best, activation) > threshold else none)
    options = {} if background is None else {'background': background}
    found = decode(array, activation=activation, threshold=threshold, **options)
    assert found.classes.reshape(-1).tolist() == expected
    assert (found.background, found.unlabeled) == (background, 255)
    # At the centre of each cell, interpolated scores are those of the cell.
    found = decode(array, activation=activation, threshold=threshold, upsampling='linear',
                   **options)
    whole = label_image(found, Geometry(1, 1, 0, 0, (16, 12), (16, 12), (0, 0, 16, 12)))
    assert whole.reshape(-1).tolist() == expected


def test_a_threshold_between_the_cells() -> None:
    """Interpolated sigmoids, pixel by pixel; where a score is not finite there is no class."""
    array = logits(3, (5, 6), 7)
    array[0, :, 0, 0] = np.nan
    found = decode(array, activation='sigmoid', threshold=0.7, upsampling='linear', background=0,
                   axes='channels_first')
    whole = label_image(found, Geometry(4, 4, 0, 0, (24, 20), (6, 5), (0, 0, 6, 5)))
    scores = 1 / (1 + np.exp(-array[0].astype(float)))
    for y in range(20):
        for x in range(24):
            cy, cx = (min(max((v + 0.5) / 4 - 0.5, 0), n - 1) for v, n in ((y, 5), (x, 6)))
            top, left = min(int(cy), 3), min(int(cx), 4)
            down, right = cy - top, cx - left
            values = [float(
                (plane[top, left] * (1 - right) + plane[top, left + 1] * right) * (1 - down)
                + (plane[top + 1, left] * (1 - right) + plane[top + 1, left + 1] * right) * down)
                for plane in scores]
            best = max(range(3), key=lambda c: values[c])
            if math.isnan(values[0]):
                assert whole[y, x] == 255
            elif abs(values[best] - 0.7) > 1e-5:
                assert whole[y, x] == (best if values[best] > 0.7 else 0)
    assert {0, 1, 2, 255} == set(np.unique(whole).tolist())


def test_a_score_that_equals_the_threshold_and_no_score_at_all() -> None:
    array = np.float32([[[[0.5, 0.5000001, np.nan, np.inf]], [[0.25, 0.1, np.nan, 0.75]]]])
    options = {'threshold': 0.5, 'axes': 'channels_first'}
    assert decode(array, **options).classes.tolist() == [[255, 0, 255, 1]]
    assert decode(array, background=0, **options).classes.tolist() == [[0, 0, 255, 1]]
    assert decode(array, 2, background=1, **options).classes.tolist() == [[1, 0, 255, 1]]


def test_one_logit_and_a_probability(tmp_path: Path) -> None:
    """The same as its logit's threshold; a threshold that fits no score is refused."""
    array = logits(1)
    found = decode(array, activation='sigmoid', threshold=0.8)
    assert np.array_equal(found.classes, array[0, 0] > math.log(4))
    with pytest.raises(DescriptorError, match='from 0 to 1, as activation: sigmoid'):
        decode(array, activation='sigmoid', threshold=1000)
    with pytest.raises(OutputError, match='threshold is for scores.*holds classes'):
        decode(np.zeros((1, 12, 16), np.int64), threshold=0.5)
    options = {'threshold': 0.8, 'activation': 'sigmoid', 'background': 0}
    result = run_model(tmp_path, logits(3, (48, 64)), (64, 48), output=options,
                       labels=['none', 'a', 'b'])
    best = logits(3, (48, 64))[0].max(axis=0)
    assert np.array_equal(
        result.label_image != 0,
        (best > math.log(4)) & (logits(3, (48, 64))[0].argmax(axis=0) != 0))


def test_what_is_not_finite_wins_nowhere() -> None:
    array = logits(3)
    array[0, 0, 0, 0] = np.nan
    array[0, 1, 0, 1] = np.inf
    array[0, :, 0, 2] = np.nan
    array[0, 2, 0, 3] = -np.inf
    with np.errstate(all='raise'):
        found = decode(array)
        linear = decode(array, upsampling='linear')
    first = found.classes[0]
    assert first[0] == 1 + (array[0, 2, 0, 0] > array[0, 1, 0, 0])
    assert first[1] == 2 * (array[0, 2, 0, 1] > array[0, 0, 0, 1])
    assert first[2] == 255 and first[3] in (0, 1)
    assert not np.isinf(linear.scores).any()


@pytest.mark.parametrize(('array', 'options', 'words'), [
    (np.zeros((1, 9, 12, 16), np.float32), {}, 'output.axes: channels_first or channels_last'),
    (np.zeros((1, 3, 20, 85), np.float32), {}, r'\[1, C, H, W\]'),
    (np.zeros((2, 3, 12, 16), np.float32), {}, r'\[2, 3, 12, 16\]'),
    (np.zeros((1, 21), np.float32), {}, 'output.threshold'),
    (np.zeros((7,), np.float32), {}, r'\[7\]'),
    (np.zeros((1, 3, 0, 16), np.float32), {}, r'\[1, 3, 0, 16\]'),
    (np.zeros((1, 3, 12, 16), np.int64), {}, 'a class for each pixel'),
    (np.full((1, 3, 4), -1), {}, 'holds the class -1'),
    (np.full((1, 3, 4), 65536), {}, 'holds the class 65536'),
    (np.zeros((1, 3, 12, 16), np.float32), {'output': 'logits'}, "no output 'logits'"),
    (np.zeros((1, 3, 12, 16), 'U4'), {}, 'must hold numbers')])
def test_what_does_not_fit(array: Any, options: Any, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        decode(array, **options)


def test_labels_of_another_model() -> None:
    with pytest.raises(OutputError, match='labels 21, outputs 5'):
        decode(logits(5), 21)
    with pytest.raises(OutputError, match='class 300, but there are 21 labels'):
        decode(np.full((1, 3, 4), 300), 21)
    both = np.zeros((1, 9, 12, 16), np.float32)
    assert decode(both, 9).classes.shape == (12, 16)
    assert decode(both, 16).classes.shape == (9, 12)
    with pytest.raises(DescriptorError, match='upsampling'):
        DECODER.parse_options({'upsampling': 'cubic'})


@pytest.mark.parametrize('options', [{}, {'axes': 'channels_first'}])
def test_the_number_of_classes(options: Any) -> None:
    given = DECODER.parse_options(options)
    expected = 5 if options else None
    assert DECODER.class_count({'out': logits(5)}, given) == expected
    assert DECODER.class_count({'out': np.zeros((1, 3, 4), np.int64)}, given) is None


# ---- the whole pipeline on an ONNX model

def run_model(directory: Path, array: Any, image_size: tuple[int, int] = (128, 96), *,
              output: Any = None, **more: Any) -> Segmentation:
    path = save_constant_model(directory / 'seg.onnx', {'out': array}, input_shape=(1, 3, 48, 64))
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'task': 'segmentation',
        'output': {'decoder': 'segmentation', **(output or {})}, **more})
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        assert pipeline.task == 'segmentation'
        assert pipeline.options.score_threshold == (0.01 if 'defaults' in more else 0.0)
        result = pipeline(np.zeros((image_size[1], image_size[0], 3), np.uint8))
    assert isinstance(result, Segmentation)
    return result


def test_a_model_that_tells_four_fields(tmp_path: Path) -> None:
    array = np.zeros((1, 4, 6, 8), np.float32)
    array[0, 1, :3, :4] = array[0, 2, 3:, :4] = array[0, 3, 3:, 4:] = 1
    array[0, 3, 0, 7] = 2
    result = run_model(tmp_path, array, output={'background': 0},
                       labels=['background', 'sky', 'road', 'car'])
    image = result.label_image
    assert image.shape == (96, 128) and image.dtype == np.uint8
    assert (image[:48, :64] == 1).all() and (image[48:, :64] == 2).all()
    assert (image[48:, 64:] == 3).all() and (image[:16, 112:] == 3).all()
    assert not image[16:48, 64:].any()
    assert result.labels.tolist() == ['car', 'sky', 'road']
    part = 16 * 16 / (96 * 128)
    assert result.scores.tolist() == pytest.approx([0.25 + part, 0.25, 0.25])
    assert result.rows()[0] == {
        'class_id': 3, 'label': 'car', 'score': round(0.25 + part, 6)}
    assert str(result).splitlines()[1].split() == ['car', '27.1%', '3']


def save_edges(path: Path) -> Path:
    """Write a model for images of free size in multiples of 32; class 1 is bright pixels."""
    from onnx import helper, numpy_helper, TensorProto

    graph = helper.make_graph(
        [helper.make_node('Reshape', ['image', 'blocks'], ['split']),
         helper.make_node('Reshape', ['split', 'like'], ['whole']),
         helper.make_node('ReduceMean', ['whole'], ['mean'], axes=[1], keepdims=1)], 'edges',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 'h', 'w'])],
        [helper.make_tensor_value_info('mean', TensorProto.FLOAT, [1, 1, 64, 96])],
        [numpy_helper.from_array(np.int64([1, 3, 2, 32, 3, 32]), 'blocks'),
         numpy_helper.from_array(np.int64([1, 3, 64, 96]), 'like')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize('size', [(96, 64), (90, 50), (65, 33)])
def test_the_size_of_the_image_rounded_up(tmp_path: Path, size: tuple[int, int]) -> None:
    path = save_edges(tmp_path / 'edges.onnx')
    given = {'source': {'path': str(path)},
             'output': {'decoder': 'segmentation', 'threshold': 128},
             'input': {'size': 'source', 'size_multiple': 32, 'interpolation': 'nearest'}}
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[size[1] // 3:, size[0] // 2:] = 255
    with Pipeline.load(ModelDescriptor.from_mapping(given), provider='cpu') as pipeline:
        batch = pipeline.new_batch()
        batch.add(image)
        assert batch.tensors['image'].shape == (1, 3, 64, 96)
        assert batch.geometries[0].model_size == (96, 64)
        result: Any = pipeline(image)
    assert result.label_image.shape == image.shape[:2]
    # Stretched by less than a half, every pixel finds itself again.
    assert np.array_equal(result.label_image, image[..., 0] // 255)
    assert mapping_of(ModelDescriptor.from_mapping(given))['input']['size_multiple'] == 32


def test_a_multiple_of_a_given_size_is_refused() -> None:
    for size in ({}, {'size': [64, 64]}):
        with pytest.raises(DescriptorError, match='size_multiple: applies only with size: source'):
            ModelDescriptor.from_mapping(
                {'source': {'path': 'a.onnx'}, 'input': {'size_multiple': 32, **size}})


def test_beside_a_centre_crop_is_no_class(tmp_path: Path) -> None:
    array = np.ones((1, 48, 64), np.int64)
    result = run_model(tmp_path, array, (128, 48), input={'resize': 'center_crop'})
    shown = result.label_image == 1
    # 7/8 of the height, and as much of the width as has the input's shape.
    assert shown.any(axis=1).sum() == 42 and shown.any(axis=0).sum() == 56
    assert (result.label_image[~shown] == 255).all()
    assert result.class_ids.tolist() == [1]
    assert result.scores[0] == pytest.approx(42 * 56 / (128 * 48))


def test_a_share_below_the_threshold_is_not_listed(tmp_path: Path) -> None:
    array = np.zeros((1, 48, 64), np.int64)
    array[0, 0, 0] = 1
    result = run_model(tmp_path, array, defaults={'score_threshold': 0.01})
    assert result.class_ids.tolist() == [0] and 1 in result.label_image


@pytest.mark.parametrize(('array', 'metadata', 'options'), [
    (np.zeros((1, 5, 12, 16), np.float32), {}, {'axes': 'channels_first', 'background': False}),
    (np.zeros((1, 12, 16, 5), np.float32), {'names': "['Background', 'a', 'b', 'c', 'd']"},
     {'axes': 'channels_last', 'background': 0}),
    (np.zeros((1, 48, 64), np.int64), {}, {'background': False})])
def test_a_bare_model(tmp_path: Path, array: Any, metadata: Any, options: Any) -> None:
    path = save_constant_model(
        tmp_path / 'seg.onnx', {'out': array}, input_shape=(1, 3, 48, 64), metadata=metadata)
    with Pipeline.load(path, provider='cpu') as pipeline:
        assert dict(pipeline.descriptor.output.options) == options
        assert any(sentence.startswith('output.decoder: segmentation')
                   for sentence in pipeline.descriptor.inferred)
        assert len(pipeline.descriptor.input.mean) == 3
        assert pipeline(np.zeros((20, 20, 3), np.uint8)).task == 'segmentation'


@pytest.mark.parametrize('shape', [(1, 125, 3, 4), (1, 3, 20, 85), (1, 1, 12, 16)])
def test_grids_of_detectors_are_not_inferred(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save_constant_model(
        tmp_path / 'net.onnx', {'out': np.zeros(shape, np.float32)}, input_shape=(1, 3, 48, 64))
    with pytest.raises(DescriptorError, match='declare'):
        Pipeline.load(path, provider='cpu')
