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

"""A first descriptor: it loads, and means what the bare file was inferred to be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ros2_classify import load_descriptor, ModelDescriptor, Pipeline
from ros2_classify.autoconfig.complete import complete
from ros2_classify.cli import main
from ros2_classify.errors import EngineError
from ros2_classify.inspection import check_model, describe_model, Report
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.model.files import model_file
from ros2_classify.testing import FakeEngine, save_color_classifier, save_constant_model
from test_check import FILES, save_linear


def same(path: Path, report: Report) -> bool:
    """Tell whether a descriptor's file completes to what the bare model was inferred to be."""
    bare = report.descriptor
    written = complete(load_descriptor(path), FakeEngine(report.inputs, report.outputs, {}))
    assert not report.problems
    assert not written.inferred
    pairs = [(getattr(written, name), getattr(bare, name))
             for name in ('name', 'task', 'format', 'labels', 'input', 'output', 'defaults')]
    assert all(ours == theirs for ours, theirs in pairs), pairs
    return model_file(written) == report.file and written.source.sha256 == report.sha256


@pytest.mark.parametrize('file', FILES)
def test_published_models(data: Path, tmp_path: Path, file: str) -> None:
    path = tmp_path / f'{Path(file).stem}.yaml'
    text, report = describe_model(data / 'models' / file, tmp_path)
    path.write_text(text)
    # A first descriptor marks each inferred setting.
    assert '# inferred: ' in path.read_text()
    assert 'Verify color, scale, mean, std' in path.read_text()
    assert max(map(len, path.read_text().splitlines())) < 200
    assert same(path, report)


@pytest.mark.parametrize('names', [
    "{0: 'no', 1: '30', 2: 'a: b # c'}", "{0: 'person', 2: '[x]'}",
    str([f"it's {number}" for number in range(3)])])
def test_names_survive(tmp_path: Path, names: str) -> None:
    model = save_constant_model(
        tmp_path / 'net.onnx', {'prob': np.array([[0.2, 0.3, 0.5]], np.float32)},
        metadata={'names': names})
    text, report = describe_model(model, tmp_path)
    (tmp_path / 'net2.yaml').write_text(text)
    descriptor = load_descriptor(tmp_path / 'net2.yaml')
    assert descriptor.source.path == 'net.onnx'
    assert same(tmp_path / 'net2.yaml', report)
    assert Pipeline.load(descriptor).labels == descriptor.labels


def test_many_names_stand_below_each_other(tmp_path: Path) -> None:
    model = save_constant_model(
        tmp_path / 'net.onnx', {'prob': np.full((1, 20), 0.05, np.float32)},
        metadata={'names': str([f'name {number}' for number in range(20)])})
    text, _ = describe_model(model, tmp_path)
    assert '\n- name 19\n' in text


def test_what_a_run_shows_stands_in_it(tmp_path: Path) -> None:
    text, _ = describe_model(save_linear(tmp_path / 'net.onnx', softmax=True), tmp_path)
    assert '\n  activation: none\n' in text
    assert 'because the graph ends in a softmax' in text.replace('\n#  ', '')


def test_labels_beside_it_are_named(tmp_path: Path) -> None:
    model = save_color_classifier(tmp_path / 'colors.onnx')
    (tmp_path / 'labels.txt').write_text('red\ngreen\nblue\n')
    (tmp_path / 'deep').mkdir()
    for directory, place in ((tmp_path, 'labels.txt'),
                             (tmp_path / 'deep', str(tmp_path / 'labels.txt'))):
        text, _ = describe_model(model, directory)
        assert f'\nlabels: {place}\n' in text
        (directory / 'mine.yaml').write_text(text)
        labels = load_descriptor(directory / 'mine.yaml').load_labels()
        assert labels.names(np.array([2])) == 'blue'


def test_a_file_of_priors_is_named(tmp_path: Path) -> None:
    save_constant_model(tmp_path / 'net.onnx', {
        'boxes': np.zeros((1, 2, 4), np.float32), 'scores': np.full((1, 2, 1), 0.9, np.float32)})
    (tmp_path / 'priors.csv').write_text('0.5, 0.5, 1, 1\n0.5, 0.5, 0.5, 0.5\n')
    (tmp_path / 'net.yaml').write_text(
        'source: {path: net.onnx}\noutput: {decoder: ssd, priors: priors.csv}\n')
    (tmp_path / 'deep').mkdir()
    for directory, place in ((tmp_path, 'priors.csv'),
                             (tmp_path / 'deep', str(tmp_path / 'priors.csv'))):
        text, report = describe_model(tmp_path / 'net.yaml', directory)
        assert not report.problems
        assert f'\n  priors: {place}\n' in text


def test_outputs_that_say_too_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_constant_model(tmp_path / 'net.onnx', {'map': np.zeros((1, 5, 7, 7, 2), np.float32)})
    monkeypatch.chdir(tmp_path)
    assert main(['models', 'describe', 'net.onnx']) == 1
    text, error = capsys.readouterr()
    assert 'what the outputs mean does not follow from them' in error
    assert "# The model gives 'map' float32 [1, 5, 7, 7, 2]" in text
    assert '# output: {decoder: yolox}' in text.replace('classification', 'yolox')
    (tmp_path / 'mine.yaml').write_text(text)
    assert resolve('mine.yaml').source.sha256 == check_model('net.onnx').sha256


def test_a_file_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    model = str(save_color_classifier(tmp_path / 'colors.onnx'))
    path = tmp_path / 'mine.yaml'
    path.write_text('precious')
    assert main(['models', 'describe', model, '--output', str(path)]) == 2
    assert 'exists; choose another name, or use --force' in capsys.readouterr().err
    assert path.read_text() == 'precious'
    assert main(['models', 'describe', model, '--output', str(path), '--force']) == 0
    assert load_descriptor(path).task == 'classification'
    for wrong in (tmp_path / 'mine.txt', tmp_path / 'none' / 'mine.yaml'):
        assert main(['models', 'describe', model, '--output', str(wrong)]) == 2
        assert str(wrong) in capsys.readouterr().err


def test_nothing_to_describe(tmp_path: Path) -> None:
    path = tmp_path / 'net.onnx'
    path.write_bytes(b'text')
    with pytest.raises(EngineError, match='it is not an ONNX model'):
        describe_model(path)


@pytest.mark.parametrize('mapping', [
    {'name': 'm', 'source': {'path': 'n.onnx', 'sha256': 'a' * 64}, 'labels': ['x', 'y'],
     'input': {'size': [8, 9], 'color': 'bgr', 'scale': '1/255', 'mean': [1, 0, 0],
               'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 3,
               'extra': {'size': 'input_size_wh', 'factor': [1, 2]}},
     'output': {'decoder': 'yolox', 'strides': [8, 16]}, 'defaults': {'nms_iou': 0.5},
     'license': 'MIT', 'provenance': 'here: there', 'notes': 'two\nlines'},
    {'name': 'g', 'source': {'path': 'g.pb'}, 'labels': {3: 'x'},
     'input': {'size': 'source', 'dtype': 'uint8', 'color': 'gray'},
     'output': {'decoder': 'tf_detection', 'class_offset': 1},
     'convert': {'inputs': ['a'], 'outputs': ['b'], 'tolerance': 0.1}}])
def test_all_that_is_declared_stays(mapping: dict[str, object]) -> None:
    descriptor = ModelDescriptor.from_mapping(mapping)
    again = ModelDescriptor.from_mapping(mapping_of(descriptor))
    assert dataclasses.asdict(again) == dataclasses.asdict(descriptor)
