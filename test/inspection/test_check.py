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

"""Models that are right and models that are broken: a check says what each of them is."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import pytest
from ros2_classify import ModelDescriptor
from ros2_classify.cli import main
from ros2_classify.engines.onnx_file import read_onnx
from ros2_classify.errors import EngineError
from ros2_classify.inspection import check_model
from ros2_classify.inspection.check import count_by_operator, left_to_the_cpu, unknown_operators
from ros2_classify.inspection.output_checks import kind_of
from ros2_classify.testing import save_color_classifier, save_constant_model

FILES = {
    'SqueezeNet_fp16.onnx': ('classification', 66, 'onnx-caffe2'),
    'SqueezeNet_fp32.onnx': ('classification', 66, 'onnx-caffe2'),
    'mobilenet_v1_0.25_224.onnx': ('classification', 60, 'tf2onnx 1.16.1 15c810'),
    'yolox_nano.onnx': ('yolox', 369, 'pytorch 1.10'),
    'version-RFB-320.onnx': ('boxes_scores', 242, 'pytorch 1.2'),
    'coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.onnx': ('tf_detection', None, 'tf2onnx'),
    'ssd_mobilenet_v1_0.75_coco/frozen_inference_graph.onnx': ('tf_detection', None, 'tf2onnx'),
}


def save_linear(path: Path, *, softmax: bool = False, factor: float = 40.0, classes: int = 3,
                **changes: Any) -> Path:
    """Write a classifier: the mean of each channel, times some weights, softmax on request."""
    weights = np.linspace(-factor, factor, 3 * classes, dtype=np.float32).reshape(3, classes)
    nodes = [
        helper.make_node('ReduceMean', ['image'], ['mean'], axes=[2, 3], keepdims=0),
        helper.make_node('MatMul', ['mean', 'weights'], ['product' if softmax else 'scores'])]
    if softmax:
        nodes.append(helper.make_node('Softmax', ['product'], ['scores'], axis=1))
    nodes[-1].CopyFrom(changes.pop('last', nodes[-1]))
    graph = helper.make_graph(
        nodes, 'tiny',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(weights, 'weights')])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', changes.pop('opset', 13))],
        ir_version=changes.pop('ir_version', 8))
    assert not changes
    path.write_bytes(model.SerializeToString())
    return path


def descriptor(path: Path, **keys: Any) -> ModelDescriptor:
    return ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': {'decoder': 'classification'}, **keys})


def no_model(path: Path) -> Any:
    path.write_bytes(b'this is a text and no model at all, whatever its name says')
    return path


def cut_off(path: Path) -> Any:
    whole = save_linear(path).read_bytes()
    path.write_bytes(whole[:len(whole) * 2 // 3])
    return path


def empty(path: Path) -> Any:
    path.write_bytes(b'')
    return path


def web_page(path: Path) -> Any:
    path.write_bytes(b'<!DOCTYPE html><html>404</html>')
    return path


def opset_of_tomorrow(path: Path) -> Any:
    return save_linear(path, opset=999)


def ir_of_tomorrow(path: Path) -> Any:
    return save_linear(path, ir_version=99)


def external_missing(path: Path) -> Any:
    onnx.save_model(onnx.load(save_linear(path)), path, save_as_external_data=True,
                    location='net.weights', size_threshold=0)
    (path.parent / 'net.weights').unlink()
    return path


def no_such_output(path: Path) -> Any:
    return descriptor(save_linear(path), output={'decoder': 'classification', 'output': 'probs'})


def wrong_labels(path: Path) -> Any:
    return descriptor(save_linear(path, softmax=True, classes=91),
                      labels=[f'class {i}' for i in range(80)])


def nothing_but_nan(path: Path) -> Any:
    return save_constant_model(path, {'scores': np.full((1, 5), np.nan, np.float32)})


def logits(path: Path) -> Any:
    return descriptor(save_linear(path))


def softmax_twice(path: Path) -> Any:
    return descriptor(save_linear(path, softmax=True), output={
        'decoder': 'classification', 'activation': 'softmax'})


def unknown_operator(path: Path) -> Any:
    return save_linear(path, last=helper.make_node('Frobnicate', ['mean', 'weights'], ['scores']))


def newer_operator(path: Path) -> Any:
    return save_linear(path, opset=9, last=helper.make_node('Einsum', ['mean', 'weights'],
                                                            ['scores'], equation='ab,bc->ac'))


def all_equal(path: Path) -> Any:
    return save_constant_model(path, {'scores': np.full((1, 4), 0.25, np.float32)})


def unreadable_outputs(path: Path) -> Any:
    return save_constant_model(path, {'map': np.zeros((1, 5, 7, 7, 2), np.float32)})


def pixels_for_parts(path: Path) -> Any:
    boxes = np.array([[[10, 20, 300, 200], [200, 100, 310, 230]]], np.float32)
    save_constant_model(path, {'boxes': boxes, 'scores': np.array(
        [[[0.1, 0.9], [0.6, 0.4]]], np.float32)}, input_shape=(1, 3, 240, 320))
    return descriptor(path, output={'decoder': 'boxes_scores', 'outputs': {
        'boxes': 'boxes', 'scores': 'scores'}})


def parts_for_pixels(path: Path) -> Any:
    rows = np.array([[[0.1, 0.2, 0.5, 0.6, 0.9, 0], [0.5, 0.5, 0.9, 0.9, 0.4, 1]]], np.float32)
    save_constant_model(path, {'rows': rows}, input_shape=(1, 3, 240, 320))
    return descriptor(path, output={'decoder': 'end_to_end', 'outputs': {'rows': 'rows'}})


def class_without_label(path: Path) -> Any:
    rows = np.array([[[10, 20, 50, 60, 0.9, 0], [50, 50, 90, 90, 0.4, 91]]], np.float32)
    save_constant_model(path, {'rows': rows}, input_shape=(1, 3, 240, 320))
    return descriptor(path, labels=['cat', 'dog'], output={'decoder': 'end_to_end', 'outputs': {
        'rows': 'rows'}})


def detector_logits(path: Path) -> Any:
    rows = np.zeros((1, 6, 21), np.float32)
    rows[0, :4] = [[20], [20], [10], [10]]
    rows[0, 4:] = np.linspace(-9, 9, 21)
    save_constant_model(path, {'out': rows}, input_shape=(1, 3, 32, 32))
    return descriptor(path, output={
        'decoder': 'yolo', 'axes': 'channels_first', 'objectness': False})


def sigmoid_twice(path: Path) -> Any:
    rows = np.zeros((1, 6, 21), np.float32)
    rows[0, :4] = [[20], [20], [10], [10]]
    rows[0, 4:] = np.linspace(0, 1, 21)
    save_constant_model(path, {'out': rows}, input_shape=(1, 3, 32, 32))
    return descriptor(path, output={'decoder': 'yolo', 'axes': 'channels_first',
                                    'objectness': False, 'activation': 'sigmoid'})


def priors_softmax_twice(path: Path) -> Any:
    scores = np.tile(np.array([[0.9, 0.1], [0.3, 0.7]], np.float32), (1, 8, 1))
    save_constant_model(path, {'boxes': np.zeros((1, 16, 4), np.float32), 'scores': scores},
                        input_shape=(1, 3, 32, 32))
    return descriptor(path, output={'decoder': 'ssd', 'strides': [8], 'sizes': [[10]],
                                    'activation': 'softmax', 'background': 0})


@pytest.mark.parametrize('make, words', [
    (no_model, 'it is not an ONNX model, or is cut off'),
    (cut_off, 'it is not an ONNX model, or is cut off (the data ends within a field)'),
    (empty, 'the model file is empty'),
    (web_page, 'this is a web page'),
    (opset_of_tomorrow, 'it uses opset 999, but this version knows opsets up to'),
    (ir_of_tomorrow, 'it is written in ONNX IR version 99, but this version knows up to'),
    (external_missing, 'net.weights is missing beside net.onnx: copy it there too'),
    (no_such_output, "the model has no output 'probs'; it has 'scores' float32 [1, 3]"),
    (wrong_labels, 'labels 80, outputs 91'),
    (nothing_but_nan, "the output 'scores' is NaN or infinite in 5 of 5 numbers"),
    (logits, 'these are logits (from '),
    (softmax_twice, 'these are probabilities already (from '),
    (unknown_operator, 'does not know 1 of the operators: Frobnicate (1 node)'),
    (newer_operator, 'Einsum (1 node), which came with opset 12 while the model says 9'),
    (all_equal, "all numbers of the output 'scores' are equal (0.25), whatever the image"),
    (unreadable_outputs, 'what the outputs mean does not follow from them'),
    (pixels_for_parts, 'the descriptor takes pixels for fractions of the image'),
    (parts_for_pixels, 'the descriptor takes fractions of the image, from 0 to 1, for pixels'),
    (class_without_label, 'the model found the class 91, but the labels end at 1'),
    (detector_logits, 'these are logits (scores up to 9), but the descriptor says prob'),
    (sigmoid_twice, 'which would raise all of them above 0.5: use activation: none'),
    (priors_softmax_twice, 'the scores of each box are probabilities already'),
])
def test_broken_models(
    tmp_path: Path, make: Callable[[Path], Any], words: str, capsys: pytest.CaptureFixture[str],
) -> None:
    model = make(tmp_path / 'net.onnx')
    report = check_model(model, provider='cpu')
    assert any(words in problem for problem in report.problems), report.problems
    assert report.file == tmp_path / 'net.onnx'
    if isinstance(model, Path):
        assert main(['models', 'check', str(model)]) == 1
        page = capsys.readouterr().out
        assert words in page.replace('\n', ' ')
        assert page.endswith('problem\n') or page.endswith('problems\n')


@pytest.mark.parametrize('file', FILES)
def test_published_models(data: Path, file: str) -> None:
    decoder, nodes, producer = FILES[file]
    report = check_model(data / 'models' / file, provider='cpu')
    assert not report.problems
    assert report.descriptor.output.decoder == decoder
    assert nodes in (None, report.onnx.nodes)
    assert report.onnx.producer.startswith(producer)
    assert f'`models/{file}` {report.size} bytes sha256 {report.sha256}' in (
        data / 'MANIFEST.md').read_text()
    model = onnx.load(data / 'models' / file, load_external_data=False)
    assert report.onnx.ir_version == model.ir_version
    assert report.onnx.opsets == {item.domain: item.version for item in model.opset_import}


@pytest.mark.parametrize('file, image, label', [
    ('yolox_nano.onnx', 'winml_dog.jpg', '16'),
    ('mobilenet_v1_0.25_224.onnx', 'ortex_goldfish.jpg', '2')])
def test_a_result_for_an_image(
    data: Path, capsys: pytest.CaptureFixture[str], file: str, image: str, label: str,
) -> None:
    words = ['models', 'check', str(data / 'models' / file), '--image',
             str(data / 'images' / image), '--provider', 'cpu']
    assert main([*words, '--json']) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts['ok'] and facts['result']['results'][0]['label'] == label
    assert main(words) == 0
    page = capsys.readouterr().out
    assert f'    {label} ' in page
    assert '\nno problem found\n' in page or '\nnothing contradicts; NOT verified: ' in page
    assert page.count('\n') < 50


def test_tensorflow_models_are_converted_or_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('ROS2_CLASSIFY_CONVERTER_PYTHON', '/no/such/python')
    for file in ('mobilenet_v1_0.25_224_frozen.pb', 'mobilenet_v1_0.25_224_saved_model',
                 'vww_96_saved_model', 'ssd_mobilenet_v1_0.75_coco/frozen_inference_graph.pb'):
        report = check_model(data / 'models' / file)
        assert 'must be converted to ONNX once, but' in report.problems[0]
        assert report.size and len(report.sha256) == 64


@pytest.mark.parametrize('model', [
    'colors.onnx', 'colors.yaml'])
def test_the_right_ones_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str], model: str) -> None:
    save_color_classifier(tmp_path / 'colors.onnx')
    (tmp_path / 'colors.yaml').write_text(
        'source: {path: colors.onnx}\nlabels: [red, green, blue]\ninput: {scale: 1/255}\n'
        'output: {decoder: classification, multi_label: true}\n')
    monkeypatch.chdir(tmp_path)
    assert main(['models', 'check', model, '--json']) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts['problems'], facts['warnings']) == ([], [])
    assert facts['labels'] == 3
    assert facts['onnx']['operators'] == {'Cast': 1, 'ReduceMean': 1}
    assert facts['seen'][0]['shape'] == [1, 3]


def test_models_show_prints_other_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / 'net.yaml'
    path.write_text('source: {path: net.onnx}\ninput: {extra: {size: [1, 2]}}\n')
    assert main(['models', 'show', str(path), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['input']['extra'] == {'size': [1, 2]}


def test_wrong_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_color_classifier(tmp_path / 'colors.onnx')
    assert main(['models', 'check', str(tmp_path / 'colors.onnx'), '--image', 'no.jpg']) == 2
    assert 'no.jpg' in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(['models', 'check'])
    assert caught.value.code == 2
    assert main(['models', 'check', 'no_such_model', '--json']) == 1
    assert 'no model named' in json.loads(capsys.readouterr().out)['problems'][0]


def test_a_provider_that_is_not_there(tmp_path: Path) -> None:
    path = save_color_classifier(tmp_path / 'colors.onnx')
    report = check_model(path, provider='coreml')
    assert "the provider 'coreml' is not in the installed ONNX Runtime" in report.problems[0]
    # The CPU shows the rest.
    assert (report.provider, len(report.runs)) == ('CPUExecutionProvider', 3)


def test_operators_by_provider(tmp_path: Path) -> None:
    path = save_linear(tmp_path / 'net.onnx', softmax=True)
    counts = left_to_the_cpu(path, 'CPUExecutionProvider')
    assert isinstance(counts, str) or counts == {'MatMul': 1, 'ReduceMean': 1, 'Softmax': 1}
    pieces = [SimpleNamespace(ep_name=name, get_nodes=lambda op=op: [SimpleNamespace(op_type=op)])
              for name, op in (('Gpu', 'Conv'), ('Cpu', 'Shape'), ('Cpu', 'Gather'),
                               ('Cpu', 'Shape'))]
    assert count_by_operator(pieces, 'Cpu') == {'Gather': 1, 'Shape': 2}


def test_operators_of_inner_graphs_and_own_functions(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node('Twice', ['x'], ['y'], domain='mine')], 'inner', [],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)])
    other = helper.make_graph(
        [helper.make_node('Nowhere', ['x'], ['z'], domain='theirs')], 'other', [],
        [helper.make_tensor_value_info('z', TensorProto.FLOAT, None)])
    graph = helper.make_graph(
        [helper.make_node('If', ['c'], ['out'], then_branch=inner, else_branch=other)], 'outer',
        [], [helper.make_tensor_value_info('out', TensorProto.FLOAT, None)])
    function = helper.make_function(
        'mine', 'Twice', ['a'], ['b'], [helper.make_node('Add', ['a', 'a'], ['b'])],
        [helper.make_opsetid('', 13)])
    model = helper.make_model(graph, functions=[function], opset_imports=[
        helper.make_opsetid('ai.onnx', 13), helper.make_opsetid('mine', 1)])
    path = tmp_path / 'net.onnx'
    path.write_bytes(model.SerializeToString())
    file = read_onnx(path)
    assert file.operators == {('', 'Add'): 1, ('', 'If'): 1, ('mine', 'Twice'): 1,
                              ('theirs', 'Nowhere'): 1}
    assert file.opsets[''] == 13
    assert unknown_operators(file) == ['theirs:Nowhere (1 node)']


@pytest.mark.parametrize('content', [b'\x08\x08', b'\x3a\x00', b'\x08\x08\x3a\x02\x0a\x07'])
def test_what_is_no_onnx_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'net.onnx'
    path.write_bytes(content)
    with pytest.raises(EngineError, match='it is not an ONNX model, or is cut off'):
        read_onnx(path)


@pytest.mark.parametrize('rows, kind', [
    ([[0.2, 0.8], [1.0, 0.0]], 'probabilities'), ([[0.2, 0.2], [0.9, 0.9]], 'scores'),
    ([[0.2, 0.8], [-3.0, 1.0]], 'logits'), ([[0.0, 2.0]], 'logits'),
    ([[np.nan, 1.0]], None), ([], None)])
def test_kinds_of_numbers(rows: list[list[float]], kind: str | None) -> None:
    assert kind_of([np.array(row) for row in rows]) == kind


@pytest.mark.parametrize('softmax, activation', [(True, 'none'), (False, 'softmax')])
def test_a_run_decides_between_softmax_and_none(
    tmp_path: Path, softmax: bool, activation: str,
) -> None:
    report = check_model(save_linear(tmp_path / 'net.onnx', softmax=softmax), provider='cpu')
    assert not report.problems
    assert report.descriptor.output.options['activation'] == activation
    setting, = [item for item in report.descriptor.inferred if 'output.activation' in item]
    assert f'output.activation: {activation}, because ' in setting


@pytest.mark.parametrize('word', ['imagenet', 'signed', 'caffe', 'raw'])
def test_a_label_tells_how_a_model_is_fed(tmp_path: Path, word: str) -> None:
    """A classifier that is right for one published way to feed it must be found by it."""
    random = np.random.default_rng(5)
    image = random.integers(0, 255, (40, 40, 3), np.uint8)
    path, descriptor = save_known_classifier(tmp_path, image, word)
    report = check_model(descriptor, image, label='wanted', provider='cpu')
    assert not report.problems
    # The descriptor as it is feeds the model plain pixels.
    assert report.variants[0].pixels == ('' if word == 'raw' else word)
    assert [each.rank for each in report.variants].count(1) == (2 if word == 'raw' else 1)
    report = check_model(descriptor, image, label='wantd', provider='cpu')
    assert "no label 'wantd'; did you mean 'wanted'" in report.problems[0]
    assert path.is_file()


def test_a_label_tells_how_images_are_resized(tmp_path: Path) -> None:
    """A classifier of the stretched image must be found by it, if the descriptor crops."""
    small = np.random.default_rng(6).integers(0, 255, (40, 40, 3), np.uint8)
    _, descriptor = save_known_classifier(tmp_path, small, 'imagenet')
    wide = small.repeat(2, axis=1)  # stretched to a square, it is the small one again
    crops = dataclasses.replace(descriptor, input=dataclasses.replace(
        descriptor.input, resize='center_crop', crop_fraction=1.0))
    report = check_model(
        dataclasses.replace(crops, unverified=('input.resize',)), wide, label='wanted',
        provider='cpu')
    best = report.variants[0]
    assert (best.pixels, best.resize, best.rank) == ('imagenet', 'stretch', 1)
    assert str(best).startswith('imagenet, resize stretch: place 1, ')
    assert [each.rank for each in report.variants].count(1) == 1
    # What is declared is not varied.
    report = check_model(crops, wide, label='wanted', provider='cpu')
    assert {each.resize for each in report.variants} == {''}


def save_known_classifier(
    directory: Path, image: np.ndarray, word: str,
) -> tuple[Path, ModelDescriptor]:
    """Save a matched filter for an image that is fed in one way, and its descriptor."""
    rgb = image[..., ::-1].astype(np.float64)
    fed = {'imagenet': (rgb / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
           'signed': rgb / 127.5 - 1, 'caffe': rgb[..., ::-1] - (104, 117, 123), 'raw': rgb}[word]
    flat = fed.transpose(2, 0, 1).ravel()
    # The other class wins unless the filter's value is exactly the image's own.
    weights = np.stack([np.zeros_like(flat), flat / np.linalg.norm(flat) ** 2], 1)
    nodes = [helper.make_node('Flatten', ['in'], ['flat']),
             helper.make_node('MatMul', ['flat', 'w'], ['match']),
             helper.make_node('Sub', ['match', 'target'], ['off']),
             helper.make_node('Mul', ['off', 'off'], ['square']),
             helper.make_node('Mul', ['square', 'minus'], ['scaled']),
             helper.make_node('Add', ['scaled', 'bias'], ['logits']),
             helper.make_node('Softmax', ['logits'], ['out'])]
    weights_of = {'w': weights, 'target': np.array([0.0, 1.0]), 'minus': np.array([0.0, -5e4]),
                  'bias': np.array([2.0, 4.0])}
    graph = helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info('in', TensorProto.FLOAT, [1, 3, 40, 40])],
        [helper.make_tensor_value_info('out', TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(value.astype(np.float32), name)
         for name, value in weights_of.items()])
    path = directory / 'known.onnx'
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)],
                                ir_version=8), path)
    return path, ModelDescriptor.from_mapping(
        {'source': {'path': str(path)}, 'labels': ['other', 'wanted'],
         'output': {'decoder': 'classification'}})


def test_strict_and_words_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    path = save_linear(tmp_path / 'net.onnx', softmax=True)
    assert main(['models', 'check', str(path)]) == 0
    page = capsys.readouterr().out.replace('\n', ' ')
    assert 'nothing contradicts; NOT verified: input.color, input.scale' in page
    assert main(['models', 'check', str(path), '--strict']) == 3
    # A word says what pixels are, not how images are resized.
    assert main(['models', 'check', str(path), '--strict', '--input', 'unit']) == 3
    assert 'NOT verified: input.resize' in capsys.readouterr().out.replace('\n', ' ')
    said = tmp_path / 'said.yaml'
    said.write_text(
        'source: {path: net.onnx}\ninput: {pixels: unit, resize: stretch}\n'
        'output: {decoder: classification}\n')
    assert main(['models', 'check', str(said), '--strict']) == 0
    assert 'no problem found' in capsys.readouterr().out
    assert main(['models', 'check', str(path), '--label', 'x']) == 2
    assert 'give the image too' in capsys.readouterr().err


def test_advice_that_does_not_help_is_not_given(tmp_path: Path) -> None:
    """Scores above 1 that stay above it after a sigmoid of nothing: no advice is right."""
    path = save_constant_model(tmp_path / 'net.onnx', {
        'boxes': np.array([[[0.1, 0.1, 0.9, 0.9]]], np.float32),
        'scores': np.array([[[7.0]]], np.float32)}, input_shape=(1, 3, 32, 32))
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)},
        'output': {'decoder': 'boxes_scores', 'activation': 'softmax', 'background': False,
                   'normalized': False}})
    report = check_model(descriptor, provider='cpu')
    problem, = report.problems
    assert 'within 2 pixels of the corner' in problem and 'use normalized: true' in problem
    assert 'units' not in problem


def test_what_nobody_reads_is_a_note(tmp_path: Path) -> None:
    path = save_constant_model(tmp_path / 'a.onnx', {
        'output0': np.full((1, 84, 6), 0.5, np.float32), 'extra': np.ones((1, 3), np.float32)},
        input_shape=(1, 3, 64, 64))
    (tmp_path / 'a.yaml').write_text(
        'source: {path: a.onnx}\noutput: {decoder: yolo, axes: channels_last, objectness: true}\n')
    notes = check_model(tmp_path / 'a.yaml', provider='cpu').notes
    assert any(note.startswith("ignored: the output 'extra'") for note in notes), (path, notes)
