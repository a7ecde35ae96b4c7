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

"""Descriptors: every key, what it accepts, and what its errors say."""

from dataclasses import FrozenInstanceError
from pathlib import Path
import random
import textwrap

import pytest
from ros2_classify.decoders import DECODERS
from ros2_classify.errors import (
    DescriptorError, LabelsError, ModelNotFoundError, OptionsError)
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.model.descriptor import Defaults, load_descriptor, ModelDescriptor, OutputSpec
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.model.labels import Labels
from ros2_classify.model.source import Source
import shared_data

FULL = """\
    name: full-1.0
    task: detection
    source:
      path: models/net.onnx
      sha256: {sha256}
    format: onnx
    labels: {{0: person, 5: "no"}}
    input:
      name: images
      size: [416, 320]
      layout: nchw
      dtype: float16
      color: bgr
      scale: 1/255
      mean: [0.1, 0.2, 0.3]
      std: 0.5
      resize: letterbox
      anchor: top_left
      pad_value: 114
      interpolation: linear
    output:
      decoder: yolox
      strides: [8, 16]
    defaults:
      score_threshold: 0.25
      top_k: 3
      nms_iou: 0.5
      ioa_threshold: 0.8
      max_detections: 50
    license: MIT
    provenance: trained here
    notes: |
      Two
      lines.
    """.format(sha256='AB' * 32)


def write(directory, text):
    path = directory / 'model.yaml'
    path.write_text(textwrap.dedent(text), encoding='utf-8')
    return path


def minimal(**changes):
    return {'source': {'path': 'net.onnx'}, **changes}


def from_mapping(**changes):
    return ModelDescriptor.from_mapping(minimal(**changes))


def test_every_key(tmp_path):
    path = write(tmp_path, FULL)
    descriptor = load_descriptor(str(path))
    assert descriptor == ModelDescriptor(
        name='full-1.0', task='detection', source=Source('models/net.onnx', 'ab' * 32),
        format='onnx', labels=Labels({0: 'person', 5: 'no'}),
        input=InputSpec(
            name='images', size=(416, 320), layout='nchw', dtype='float16', color='bgr',
            scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5), resize='letterbox',
            anchor='top_left', pad_value=114.0, interpolation='linear'),
        output=OutputSpec('yolox', FrozenMapping({'strides': [8, 16]})),
        defaults=Defaults(0.25, 3, 0.5, 0.8, 50), license='MIT', provenance='trained here',
        notes='Two\nlines.\n', origin=str(path), directory=tmp_path)


def test_little_is_needed(tmp_path):
    descriptor = load_descriptor(write(tmp_path, 'source: {path: net.onnx}'))
    assert descriptor.name == 'model'
    assert descriptor.format == 'onnx'
    assert descriptor.task is None
    assert descriptor.labels is None
    assert descriptor.load_labels() is None
    assert descriptor.input == InputSpec()
    assert descriptor.output == OutputSpec()
    assert descriptor.defaults == Defaults()
    assert descriptor.inferred == ()


def test_from_python(tmp_path):
    descriptor = ModelDescriptor.from_mapping(
        minimal(labels=['a', 'b'], output={'decoder': 'classification'}), directory=tmp_path)
    assert descriptor.name == 'net'
    assert descriptor.task == 'classification'
    assert descriptor.directory == tmp_path
    assert descriptor.load_labels() == Labels.from_names(['a', 'b'])
    assert from_mapping().directory == Path.cwd()
    assert from_mapping(labels=Labels.from_names('ab')).labels == Labels.from_names('ab')


def test_descriptors_are_values_that_cannot_change(tmp_path):
    path = write(tmp_path, FULL)
    one, same = load_descriptor(path), load_descriptor(path)
    assert one == same
    assert hash(one) == hash(same)
    with pytest.raises(FrozenInstanceError):
        one.name = 'other'
    with pytest.raises(TypeError):
        one.output.options['strides'] = [1]


def test_frozen_mappings_are_mappings():
    mapping = FrozenMapping({'a': [1, {'b': [2]}]})
    assert mapping == {'a': (1, {'b': (2,)})}
    assert len(mapping) == 1
    assert hash(mapping) == hash(FrozenMapping({'a': (1, {'b': [2]})}))
    assert repr(mapping) == "{'a': (1, {'b': (2,)})}"


@pytest.mark.parametrize('text, words', [
    ('', 'must be "key: value" lines, not nothing'),
    ('- a', 'must be "key: value" lines'),
    ('name: x', 'source is missing; write source: {path: model.onnx}'),
    ('source: net.onnx', 'line 1, source: .*write source: {path: net.onnx}'),
    ('source:', 'line 1, source: is empty'),
    ('source: {}', 'source: path is missing; write path: model.onnx'),
    ('source: {uri: x}', "unknown key 'uri'.*; allowed are path, sha256, url, member, size"),
    ('sorce: {path: a.onnx}', r"line 1, sorce: unknown key 'sorce' \(did you mean 'source'\?\)"),
    ('source: {path: a.onnx}\nlicence: MIT', "line 2, licence: .*did you mean 'license'"),
    ('source: {path: a.onnx, sha256: abc}', 'sha256: .* must be 64 hexadecimal digits'),
    ('source: {path: a.onnx, sha256: 123}', r'bare 123 as 123, but this must be text'),
    ('source: {path: a.bin}',
     "format: is missing, and the suffix '.bin' of a.bin does not show it; "
     'allowed are onnx, frozen_graph, saved_model'),
    ('source: {path: a.onnx}\nformat: tflite', "line 2, format: 'tflite' is not allowed"),
    ('source: {path: a.onnx}\nname: ../x', 'line 2, name: .* letters, digits'),
    ('source: {path: a.onnx}\nname: 5', 'line 2, name: YAML reads a bare 5'),
    ('source: {path: a.onnx}\ntask: detect', r"'detect' is not allowed \(did you mean 'dete"),
    ('source: {path: a.onnx}\nlabels: []', 'line 2, labels: there are no labels'),
    ('source: {path: a.onnx}\nlabels: {}', 'line 2, labels: there are no labels'),
    ('source: {path: a.onnx}\nlabels: 5', 'labels: 5 must be a list'),
    ('source: {path: a.onnx}\nlabels:\n- yes\n', r'line 3, labels\[0\]: YAML reads a bare yes as '
                                                 'true.* write it in quotes: "yes"'),
    ('source: {path: a.onnx}\nlabels: [a, off]', r'labels\[1\]: YAML reads a bare off as false'),
    ('source: {path: a.onnx}\nlabels: [a, 30]', r'labels\[1\]: YAML reads a bare 30 as 30'),
    ('source: {path: a.onnx}\nlabels: [1:30]', r'labels\[0\]: YAML reads a bare 1:30 as 90'),
    ('source: {path: a.onnx}\nlabels: [a, ~]', r'labels\[1\]: YAML reads a bare ~ as nothing'),
    ('source: {path: a.onnx}\nlabels: {a: b}', "labels.a: 'a' must be a whole number"),
    ('source: {path: a.onnx}\nlabels: {-1: b}', 'out of range; it must be from 0'),
])
def test_errors_of_the_top(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(DescriptorError, match=words) as caught:
        load_descriptor(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize('text, words', [
    ('colour: rgb', r"input.colour: unknown key 'colour' \(did you mean 'color'"),
    ('size: 416', r'input.size: 416 must be \[width, height\] in pixels, or source'),
    ('size: [416]', 'must be'), ('size: [1, 2, 3]', 'must be'), ('size: full', "'full' must be"),
    ('size: [416, 0]', r'input.size\[1\]: 0 is out of range; it must be from 1 to 16384'),
    ('size: [416, 20000]', r'size\[1\]'),
    ('size: [416.5, 1]', r'size\[0\]: 416.5 must be a whole'),
    ('layout: NCHW', "'NCHW' is not allowed.*allowed are nchw, nhwc"),
    ('input_range: bright', "input_range: 'bright' must be the number of bits from 8 to 16"),
    ('input_range: 5000..1000', "'5000..1000' must be"),
    ('dtype: int4', "'int4' is not allowed.*allowed are float32, float16, float64, uint8"),
    ('color: grey', r"did you mean 'gray'"),
    ('scale: 0', 'input.scale: 0 is out of range; it must be above 0'),
    ('scale: 1/0', "'1/0' must be a number"), ('scale: .nan', 'nan must be a number'),
    ('scale: true', 'true must be a number'),
    ('mean: [1, 2]', 'mean: .* has 2 numbers but must have 3'),
    ('mean: .inf', 'inf must be a number'),
    ('std: [1, 1, 0]', r'std\[2\]: 0 is out of range; it must be above 0'),
    ('{color: gray, mean: [1, 2, 3]}', 'has 3 numbers but must have 1'),
    ('resize: crop', "'crop' is not allowed"),
    ('resize: center-crop', "did you mean 'center_crop'"),
    ('crop_fraction: 0.875', 'applies only with resize: center_crop, but resize is stretch'),
    ('{resize: center_crop, crop_fraction: 1.1}', 'out of range; it must be above 0 and up to 1'),
    ('{resize: center_crop, anchor: center}', 'anchor: applies only with resize: letterbox'),
    ('pad_value: 114', 'pad_value: applies only with resize: letterbox'),
    ('{resize: letterbox, pad_value: 256}', 'pad_value: 256 is out of range'),
    ('{resize: letterbox, anchor: bottom}', "'bottom' is not allowed"),
    ('{resize: letterbox, size: source}', 'resize: letterbox needs a size, but size is source'),
    ('interpolation: lanczos', "'lanczos' is not allowed"),
    ('name: 5', 'input.name: YAML reads a bare 5'),
    ('mean:', 'input.mean: is empty; give a value or remove the key'),
    ('{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}',
     r'input.std: \[0.229, 0.224, 0.225\] is for pixels from 0 to 1, .*set scale: 1/255'),
    ('{scale: 1/255, mean: [123.7, 116.3, 103.5], std: 58}',
     'input.mean: .* is more than the brightest pixel, 1 after scale'),
])
def test_errors_of_the_input(tmp_path, text, words):
    path = write(tmp_path, f'source: {{path: a.onnx}}\ninput:\n  {text}\n')
    with pytest.raises(DescriptorError, match=f'model.yaml, line 3, .*{words}'):
        load_descriptor(path)


@pytest.mark.parametrize('output, words', [
    ({'decoder': 'yolxx'}, r"output.decoder: 'yolxx' is not allowed \(did you mean 'yolox'"),
    ({'strides': [8]},
     'output: decoder is missing, but strides is given; allowed are classification'),
    ({'decoder': 'yolox', 'stride': [8]}, "output.stride: unknown key 'stride'.*'strides'"),
    ({'decoder': 'yolox', 'strides': [0]}, 'strides'),
    ({'decoder': 'classification', 'activation': 'relu'}, "activation: 'relu' is not allowed"),
    ({'decoder': 'classification', 'background': -1}, 'background: -1 is out of range'),
    ({'decoder': 'classification', 'background': 'first'}, 'background'),
    ({'decoder': 'tf_detection', 'outputs': {'box': 'x'}}, "outputs.box: unknown key 'box'"),
    ({'decoder': 'tf_detection', 'class_offset': 0.5}, 'class_offset: 0.5 must be a whole'),
    ({'decoder': 'boxes_scores', 'box_format': 'ltrb'}, "box_format: 'ltrb' is not allowed"),
    ({'decoder': 'boxes_scores', 'normalized': 1}, 'normalized: 1 must be true or false'),
])
def test_errors_of_the_output(output, words):
    with pytest.raises(DescriptorError, match=words):
        from_mapping(output=output)


@pytest.mark.parametrize('defaults, words', [
    ({'score_threshold': 1.5}, 'score_threshold: 1.5 is out of range; it must be from 0 to 1'),
    ({'top_k': 0}, 'top_k: 0 is out of range; it must be from 1'),
    ({'nms_iou': 'x'}, "nms_iou: 'x' must be a number"),
    ({'max_detections': 1.0}, 'max_detections: 1.0 must be a whole number'),
    ({'ioa_threshold': -1}, 'ioa_threshold'),
    ({'threshold': 0.5}, r"unknown key 'threshold' \(did you mean '\w*threshold'"),
])
def test_errors_of_the_defaults(defaults, words):
    with pytest.raises(DescriptorError, match=f'defaults.*{words}'):
        from_mapping(defaults=defaults)


@pytest.mark.parametrize('decoder', DECODERS)
def test_the_task_follows_from_the_decoder_and_must_agree(decoder):
    task = DECODERS[decoder].task
    other = 'classification' if task != 'classification' else 'detection'
    assert from_mapping(output={'decoder': decoder}).task == task
    with pytest.raises(DescriptorError, match=f'task: {other} does not fit the decoder {decoder}'):
        from_mapping(output={'decoder': decoder}, task=other)


@pytest.mark.parametrize('value', [0, 7, False, 'none'])
def test_a_background_of_zero_is_a_class(value):
    descriptor = from_mapping(output={'decoder': 'classification', 'background': value})
    options = DECODERS['classification'].parse_options(descriptor.output.options)
    assert options.background == (None if value in ('none',) or value is False else value)


def test_gray_has_one_channel():
    spec = from_mapping(input={'color': 'gray', 'mean': 127, 'std': [128]}).input
    assert spec.channels == 1
    assert (spec.mean, spec.std) == ((127.0,), (128.0,))
    assert from_mapping(input={'color': 'gray'}).input.std == (1.0,)


def test_labels_may_be_marked_unused():
    assert dict(from_mapping(labels=['a', '???', 'c']).labels.items()) == {0: 'a', 2: 'c'}


def test_files_that_are_no_descriptors(tmp_path):
    with pytest.raises(ModelNotFoundError, match='there is no descriptor file'):
        load_descriptor(tmp_path / 'none.yaml')
    with pytest.raises(DescriptorError, match='cannot be read: Is a directory'):
        load_descriptor(tmp_path)
    path = tmp_path / 'model.yaml'
    path.write_bytes(b'name: caf\xe9')
    with pytest.raises(DescriptorError, match='byte 9 is not UTF-8 text'):
        load_descriptor(path)
    with open(path, 'wb') as stream:
        stream.truncate(5 * 1024 * 1024)
    with pytest.raises(DescriptorError, match='so not a descriptor'):
        load_descriptor(path)


def test_byte_order_marks_and_windows_line_ends(tmp_path):
    path = tmp_path / 'model.yaml'
    path.write_bytes(b'\xef\xbb\xbfsource:\r\n  path: a.onnx\r\n')
    assert load_descriptor(path).source.path == 'a.onnx'


def test_home_directories(tmp_path, monkeypatch):
    write(tmp_path, 'source: {path: a.onnx}')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert load_descriptor('~/model.yaml').name == 'model'


@pytest.mark.parametrize('seed', range(300))
def test_damaged_descriptors_are_read_or_refused_in_our_words(tmp_path, seed):
    rng = random.Random(seed)
    text = textwrap.dedent(FULL)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(text))
        cut = place + rng.choice([0, 0, 1, 3, 30])
        new = rng.choice([
            '', ' ', '\n', '\t', ':', '- ', '[', '}', '"', '*a', '&a ', '!x ', '1e999', 'null',
            'no', '#', '\x00', '\ud800', '\u2028', '%', '|', '0x', '::', '?'])
        text = text[:place] + new + text[cut:]
    path = tmp_path / 'model.yaml'
    path.write_bytes(text.encode('utf-8', 'surrogatepass'))
    try:
        hash(load_descriptor(path))
    except DescriptorError as error:
        assert str(error).startswith(str(path))


def test_label_files(tmp_path):
    path = write(tmp_path, 'source: {path: a.onnx}\nlabels: names/l.txt')
    with pytest.raises(ModelNotFoundError, match='model.yaml: the label file names/l.txt was not'):
        load_descriptor(path).load_labels()
    (tmp_path / 'names').mkdir()
    (tmp_path / 'names/l.txt').write_text('a\nb\n')
    assert load_descriptor(path).load_labels() == Labels.from_names('ab')
    (tmp_path / 'names/l.txt').write_text('')
    with pytest.raises(LabelsError, match='is empty'):
        load_descriptor(path).load_labels()


@pytest.mark.parametrize('path', sorted((shared_data.ROOT / 'test/descriptors').glob('*.yaml')),
                         ids=lambda path: path.stem)
def test_published_models_are_expressible(published, path):
    descriptor = load_descriptor(path)
    assert descriptor.name == path.stem
    assert descriptor.source.sha256
    assert descriptor.license
    assert len(descriptor.load_labels()) in (1, 80, 1000, 1001)


@pytest.mark.parametrize('word, color, brightest', [
    ('imagenet', 'rgb', 2.64), ('unit', 'rgb', 1.0), ('signed', 'rgb', 1.0),
    ('caffe', 'bgr', 151.0), ('raw', 'rgb', 255.0)])
def test_pixels_in_a_word(word, color, brightest):
    for given in (word, {'pixels': word}):
        spec = ModelDescriptor.from_mapping({'source': {'path': 'm.onnx'}, 'input': given}).input
        assert spec.color == color
        assert max((255 * spec.scale - mean) / std
                   for mean, std in zip(spec.mean, spec.std)) == pytest.approx(brightest, abs=0.01)
    with pytest.raises(DescriptorError, match=f'scale: is part of pixels: {word}'):
        ModelDescriptor.from_mapping(
            {'source': {'path': 'm.onnx'}, 'input': {'pixels': word, 'scale': 1}})


def test_pixels_of_gray_models():
    spec = ModelDescriptor.from_mapping(
        {'source': {'path': 'm.onnx'}, 'input': {'pixels': 'caffe', 'color': 'gray'}}).input
    assert (spec.color, spec.mean) == ('gray', (pytest.approx(344 / 3),))


def test_an_unknown_word_for_pixels():
    with pytest.raises(DescriptorError, match=r"'imagnet' is not allowed .*allowed are imagenet"):
        ModelDescriptor.from_mapping({'source': {'path': 'm.onnx'}, 'input': 'imagnet'})
    with pytest.raises(OptionsError, match='must be one of imagenet, unit'):
        ModelDescriptor.from_mapping({'source': {'path': 'm.onnx'}}).with_pixels('x')
