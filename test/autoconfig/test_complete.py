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

"""Completion: facts from the graph, contradictions, and what is inferred."""

import numpy as np
import pytest

from ros2_classify.autoconfig.complete import complete
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.model.labels import Labels
from ros2_classify.model.source import Source
from ros2_classify.pipeline import Pipeline
from ros2_classify.testing import FakeEngine, tensor

IMAGENET = tensor('probs', [1, 1000])
BARE = ModelDescriptor(name='net', source=Source('/m/net.onnx'), origin='/m/net.onnx')


def declared(output=None, **input_):
    return ModelDescriptor.from_mapping(
        {'source': {'path': 'net.onnx'}, 'input': input_,
         'output': output or {'decoder': 'classification'}}, origin='m.yaml')


def engine(feeds, outputs, metadata=None, **arrays):
    """Return an engine with these outputs, zeros by default; free dimensions are 1."""
    returns = {spec.name: np.zeros([dim if isinstance(dim, int) else 1 for dim in spec.shape],
                                   spec.dtype) for spec in outputs}
    return FakeEngine(feeds, outputs, {**returns, **arrays}, metadata=metadata)


def done(descriptor, feed, *outputs, **metadata):
    return complete(descriptor, engine([feed], outputs or [IMAGENET], metadata))


@pytest.mark.parametrize('shape, layout, size', [
    ([1, 3, 240, 320], 'nchw', (320, 240)), ([1, 240, 320, 3], 'nhwc', (320, 240)),
    (['batch', 3, 240, 320], 'nchw', (320, 240)), ([None, 240, 320, 3], 'nhwc', (320, 240)),
])
@pytest.mark.parametrize('dtype', ['float32', 'float16', 'uint8'])
def test_facts_of_the_graph(shape, layout, size, dtype):
    result = done(declared(), tensor('in', shape, dtype))
    assert result.input == InputSpec(name='in', size=size, layout=layout, dtype=dtype)
    assert result.task == 'classification'
    assert result.inferred == ()


def test_declared_facts_that_agree_stay():
    descriptor = declared(
        name='in', size=[320, 240], layout='nchw', dtype='float32', scale='1/255')
    assert done(descriptor, tensor('in:0', [1, 3, 240, 320])).input.scale == 1 / 255
    assert done(descriptor, tensor('in:0', [1, 3, 240, 320])).input.name == 'in:0'
    assert done(descriptor, tensor('in', [1, 3, 'h', 'w'])).input.size == (320, 240)
    assert done(descriptor, tensor('in', [1, 'c', 240, 'w'])).input.size == (320, 240)


def test_a_fixed_batch_of_clips_is_told_with_its_whole_shape():
    descriptor = ModelDescriptor.from_mapping(
        {'source': {'path': 'net.onnx'}, 'input': {'layout': 'ncthw'}, 'clip': {'rate': 10},
         'output': {'decoder': 'classification'}}, origin='m.yaml')
    with pytest.raises(DescriptorError, match=r'\[2, 3, 16, 8, 8\], a fixed batch of 2 clips'):
        done(descriptor, tensor('in', [2, 3, 16, 8, 8]))


def test_names_with_and_without_tensorflows_suffix():
    descriptor = declared(name='in:0')
    assert done(descriptor, tensor('in', [1, 3, 8, 8])).input.name == 'in'


def test_the_images_own_size():
    descriptor = declared(size='source')
    assert done(descriptor, tensor('in', [1, 3, 'h', 'w'])).input.size == 'source'
    with pytest.raises(DescriptorError, match='input.size is source, but the model takes'):
        done(descriptor, tensor('in', [1, 3, 'h', 8]))


@pytest.mark.parametrize('input_, feed, words', [
    ({'name': 'x'}, tensor('in', [1, 3, 8, 8]), "input.name is 'x', but the model has 'in'"),
    ({'layout': 'nhwc'}, tensor('in', [1, 3, 8, 8]), 'input.color rgb has 3 channels and '
     'input.layout is nhwc, but the model takes'),
    ({'color': 'gray'}, tensor('in', [1, 3, 8, 8]), 'input.color gray has 1 channels'),
    ({}, tensor('in', [1, 1, 8, 8]), 'input.color rgb has 3 channels'),
    ({}, tensor('in', [1, 4, 8, 8]), 'images have 1 or 3 channels'),
    ({}, tensor('in', [1, 3, 8, 3]), 'does not follow from its shape; set input.layout'),
    ({}, tensor('in', [1, 'a', 'b', 'c']), 'does not follow from its shape; set input.layout'),
    ({}, tensor('in', [8, 8]), 'which is not an image: it needs four dimensions'),
    ({}, tensor('in', [8, 3, 8, 8]), 'a fixed batch of 8 images; export it with a batch of 1'),
    ({}, tensor('in', [1, 3, 8, 8], np.int64), 'types are supported: float32, float16, float64'),
    ({'dtype': 'uint8'}, tensor('in', [1, 3, 8, 8]), 'input.dtype is uint8, but the model takes '
     r"'in' float32 \[1, 3, 8, 8\]"),
    ({'size': [8, 9]}, tensor('in', [1, 3, 8, 8]), 'input.size has a height of 9.*a height of 8'),
    ({'size': [9, 8]}, tensor('in', [1, 8, 8, 3]), 'input.size has a width of 9.*a width of 8'),
    ({}, tensor('in', [1, 3, 'h', 'w']), r'any size; set input.size: \[width, height\]'),
    ({'mean': 1}, tensor('in', [1, 3, 8, 8], np.uint8), 'scale, mean and std cannot be applied'),
    ({'scale': '1/255'}, tensor('in', [1, 3, 8, 8], np.uint8), 'cannot be applied'),
    ({'std': 2}, tensor('in', [1, 3, 8, 8], np.uint8), 'cannot be applied'),
])
def test_contradictions(input_, feed, words):
    with pytest.raises(DescriptorError, match=f'^m.yaml: .*{words}'):
        done(declared(**input_), feed)


@pytest.mark.parametrize('count', [0, 2])
def test_models_that_take_more_than_one_image(count):
    feeds = [tensor(f'in{i}', [1, 3, 8, 8]) for i in range(count)]
    with pytest.raises(DescriptorError, match=f'the model has {count} inputs'):
        complete(declared(), engine(feeds, [IMAGENET]))


def test_a_bare_gray_classifier():
    result = done(BARE, tensor('in', [1, 1, 28, 28]), tensor('out', [1, 10]))
    assert result.input.color == 'gray'
    assert len(result.input.mean) == len(result.input.std) == 1


def test_a_declared_task_limits_what_is_inferred():
    descriptor = ModelDescriptor.from_mapping(
        {'source': {'path': 'net.onnx'}, 'task': 'detection'}, origin='m.yaml')
    with pytest.raises(DescriptorError, match='of the decoders yolox, tf_detection, boxes_sc'):
        done(descriptor, tensor('in', [1, 3, 8, 8]))


def test_a_declared_input_is_kept():
    descriptor = ModelDescriptor.from_mapping(
        {'source': {'path': 'net.onnx'}, 'input': {'color': 'bgr', 'scale': '1/255'}})
    result = done(descriptor, tensor('in', [1, 3, 8, 8]))
    assert result.output.decoder == 'classification'
    assert (result.input.scale, result.input.mean) == (1 / 255, (0, 0, 0))
    assert not any(sentence.startswith('input') for sentence in result.inferred)


@pytest.mark.parametrize('text, expected', [
    ("{0: 'person', 1: 'car'}", {0: 'person', 1: 'car'}), ("['a', 'b']", {0: 'a', 1: 'b'}),
    ('{"0": "a", "7": "b"}', {0: 'a', 7: 'b'})])
@pytest.mark.parametrize('key', ['names', 'class_names'])
def test_names_in_the_metadata(key, text, expected):
    result = done(BARE, tensor('in', [1, 3, 8, 8]), **{key: text})
    assert result.labels == Labels(expected)
    assert any(f'the {len(expected)} names' in sentence for sentence in result.inferred)


@pytest.mark.parametrize('text', [
    '', '{', '5', '[]', '{}', "{'a': 'b'}", '[' * 10_000, '__import__("os")',
    "{None: 'a'}", '(' + "'a'," * 400_000 + ')'])
def test_metadata_that_holds_no_names(text):
    assert done(BARE, tensor('in', [1, 3, 8, 8]), names=text).labels is None


def test_declared_labels_win():
    descriptor = ModelDescriptor.from_mapping({'source': {'path': 'n.onnx'}, 'labels': ['mine']})
    result = done(descriptor, tensor('in', [1, 3, 8, 8]), names="['theirs']")
    assert result.labels == Labels.from_names(['mine'])


@pytest.mark.parametrize('text, size', [('[480, 640]', (640, 480)), ('320', (320, 320))])
def test_a_size_in_the_metadata(text, size):
    result = done(BARE, tensor('in', [1, 3, 'h', 'w']), imgsz=text)
    assert result.input.size == size
    assert 'imgsz' in result.inferred[0]


@pytest.mark.parametrize('text', ['[640]', '[0, 640]', 'x', '[1, 2, 3]', "['a', 'b']"])
def test_no_size_in_the_metadata(text):
    with pytest.raises(DescriptorError, match='set input.size'):
        done(BARE, tensor('in', [1, 3, 'h', 'w']), imgsz=text)


def test_completing_twice_changes_nothing():
    feed, output = tensor('in', [1, 3, 64, 64]), tensor('logits', [1, 3])
    once = done(BARE, feed, output)
    assert once.unverified
    assert done(once, feed, output) == once


@pytest.mark.parametrize('file, task, image, label, box', [
    ('models/yolox_nano.onnx', 'detection', 'winml_dog.jpg', '16', [196, 139, 721, 1004]),
    ('models/version-RFB-320.onnx', 'detection', 'winml_dog.jpg', '1', [283, 156, 509, 447]),
    ('models/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.onnx', 'detection', 'winml_dog.jpg', '17',
     [193, 145, 710, 988]),
    ('models/ssd_mobilenet_v1_0.75_coco/frozen_inference_graph.onnx', 'detection', 'winml_dog.jpg',
     '18', [205, 148, 712, 995]),
    ('models/mobilenet_v1_0.25_224.onnx', 'classification', 'ortex_goldfish.jpg', '2', None)])
def test_published_models_work_without_a_descriptor(data, file, task, image, label, box):
    from ros2_classify import read_image
    with Pipeline.load(data / file, provider='cpu') as pipeline:
        assert pipeline.descriptor.inferred
        result = pipeline(read_image(data / 'images' / image), 'bgr')
    assert result.task == task
    assert result.labels[0] == label
    if box:
        assert np.abs(result.boxes[0] - box).max() < 10
