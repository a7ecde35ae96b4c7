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

"""What is beside a bare model: descriptors and label files, and files that are neither."""

from __future__ import annotations

from pathlib import Path
import shutil

import numpy as np
from published_outputs import dense
import pytest
from ros2_classify import ModelDescriptor, Pipeline
from ros2_classify.autoconfig.complete import complete, labels_of, task_of
from ros2_classify.errors import DescriptorError
from ros2_classify.model.catalog import resolve
from ros2_classify.model.companion_files import with_companion_files
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.model.labels import Labels
from ros2_classify.testing import FakeEngine, save_color_classifier, tensor

RGB = Labels.from_names(['red', 'green', 'blue'])
NAMES = 'red\ngreen\nblue\n'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_color_classifier(tmp_path / 'net.onnx')


@pytest.mark.parametrize('file', [
    'net.txt', 'net.names', 'net.labels', 'net_labels.txt', 'net.labels.txt', 'labels.txt'])
def test_label_files(model: Path, file: str) -> None:
    (model.parent / file).write_text(NAMES)
    found = resolve(model)
    assert (found.labels, found.load_labels()) == (file, RGB)
    assert found.inferred == (f'labels: {file}, because it is beside the model',)
    with Pipeline.load(model, provider='cpu') as pipeline:
        assert pipeline.labels == RGB
        assert found.inferred[0] in pipeline.descriptor.inferred
        assert not any('class ids are used as names' in sentence
                       for sentence in pipeline.descriptor.inferred)


def test_the_nearer_file_wins(model: Path) -> None:
    (model.parent / 'labels.txt').write_text('a\nb\nc\n')
    (model.parent / 'net.txt').write_text(NAMES)
    assert resolve(model).labels == 'net.txt'


def test_a_shared_label_file_belongs_to_one_model_only(model: Path) -> None:
    (model.parent / 'labels.txt').write_text(NAMES)
    save_color_classifier(model.parent / 'other.onnx')
    assert resolve(model).labels is None


@pytest.mark.parametrize('text', [
    'output: {decoder: classification, multi_label: true}\nlabels: [red, green, blue]\n',
    'source: {path: net.onnx}\nlabels: [red, green, blue]\n'
    'output: {decoder: classification, multi_label: true}\n'])
@pytest.mark.parametrize('suffix', ['yaml', 'yml'])
def test_a_descriptor(model: Path, suffix: str, text: str) -> None:
    path = model.parent / f'net.{suffix}'
    path.write_text(text)
    (model.parent / 'net.txt').write_text('not\nthese\nones\n')
    found = resolve(model)
    assert found.origin == str(path)
    assert found.output.options == {'multi_label': True}
    assert found.labels == RGB
    assert 'net.' + suffix in found.inferred[0]
    with Pipeline.load(model, provider='cpu') as pipeline:
        assert len(pipeline.descriptor.inferred) == 1


def test_a_descriptor_without_labels_and_a_label_file(model: Path) -> None:
    (model.parent / 'net.yaml').write_text('output: {decoder: classification}\n')
    (model.parent / 'net.txt').write_text(NAMES)
    assert resolve(model).labels is None


def test_a_wrong_descriptor_is_an_error(model: Path) -> None:
    (model.parent / 'net.yaml').write_text('\ninput: {colour: rgb}\n')
    with pytest.raises(DescriptorError, match=r'net.yaml, line 2, input.colour: unknown key'):
        resolve(model)


@pytest.mark.parametrize('text', [
    'source: {path: other.onnx}\noutput: {decoder: classification}\n', 'a: 1\n', '- x\n',
    'a: [\n', '', 'names: {0: 1.5}\n', 'names: 5\n',
    'source: {path: missing.onnx}\n'])
def test_what_is_meant_for_something_else(model: Path, text: str) -> None:
    shutil.copy(model, model.with_name('other.onnx'))
    (model.parent / 'net.yaml').write_text(text)
    found = resolve(model)
    assert found.origin == str(model)
    assert (found.labels, found.inferred, found.output.decoder) == (None, (), None)


@pytest.mark.parametrize('text', [
    'names: [red, green, blue]\nnc: 3\n', 'path: ../data\nnames: {0: red, 1: green, 2: blue}\n',
    'class_names:\n- red\n- green\n- blue\n'])
def test_names_of_trainers(model: Path, text: str) -> None:
    (model.parent / 'net.yaml').write_text(text)
    found = resolve(model)
    assert found.labels == RGB
    assert 'names in net.yaml, because it is beside the model' in found.inferred[0]


@pytest.mark.parametrize('place', ['model.txt', 'model/labels.txt', 'model/assets/labels.txt'])
def test_beside_and_in_a_saved_model(tmp_path: Path, place: str) -> None:
    directory = tmp_path / 'model'
    (directory / 'assets').mkdir(parents=True)
    (directory / 'saved_model.pb').write_bytes(b'')
    (tmp_path / place).write_text(NAMES)
    found = resolve(directory)
    assert found.load_labels() == RGB
    assert place in found.inferred[0]


def test_files_that_hold_no_names(model: Path) -> None:
    (model.parent / 'net.txt').write_bytes(b'\xff\xfe\x00')
    (model.parent / 'labels.txt').write_text('')
    assert resolve(model).labels is None


def test_a_descriptor_of_its_own_needs_none(model: Path) -> None:
    (model.parent / 'net.txt').write_text(NAMES)
    path = model.parent / 'mine.yaml'
    path.write_text('source: {path: net.onnx}\noutput: {decoder: classification}\n')
    assert resolve(path).labels is None
    bare = resolve(model)
    assert with_companion_files(bare, model).labels == bare.labels


def test_the_number_of_names_tells_classes_from_other_numbers(tmp_path: Path) -> None:
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': 'net.onnx'}, 'labels': ['a', 'b', 'c']})
    rows = dense(64, 3)
    done = complete(descriptor, FakeEngine(
        [tensor('in', [1, 3, 64, 64])], [tensor('out', [1, 'n', 7])], {'out': rows}))
    assert (done.output.decoder, done.output.options['objectness']) == ('yolo', False)
    assert done.input != InputSpec()


@pytest.mark.parametrize('key', [
    'names', 'class_names', 'classes', 'labels', 'id2label', 'categories'])
@pytest.mark.parametrize('text', [
    "{0: 'red', 1: 'green', 2: 'blue'}", '{"0": "red", "1": "green", "2": "blue"}',
    '["red", "green", "blue"]', 'red,green,blue', 'red, green , blue', NAMES])
def test_names_in_the_metadata(key: str, text: str) -> None:
    assert labels_of({key: text}) == RGB


@pytest.mark.parametrize('text, names', [
    ("{0: 7, 1: 30, 2: 'x'}", {0: '7', 1: '30', 2: 'x'}), ('[0, 5, 9]', {0: '0', 1: '5', 2: '9'}),
    ('{"cat": 0, "dog": 1}', {0: 'cat', 1: 'dog'})])
def test_numbers_and_ids_in_the_metadata(text: str, names: dict[int, str]) -> None:
    labels = labels_of({'names': text})
    assert labels is not None and dict(labels.items()) == names


@pytest.mark.parametrize('name, text', [
    ('net.json', '["red", "green", "blue"]'), ('net_labels.json', '{"0": "red", "2": "blue"}'),
    ('net.csv', 'id,name\n0,red\n2,blue\n'), ('labels.json', '{"red": 0, "blue": 2}'),
    ('labels.csv', 'index,label\n0,red\n2,blue\n')])
def test_json_and_csv_beside_the_model(model: Path, name: str, text: str) -> None:
    (model.parent / name).write_text(text)
    labels = resolve(model).load_labels()
    assert labels is not None and (labels.name(0), labels.name(2)) == ('red', 'blue')
    (model.parent / name).write_text('{"learning_rate": [0.1]}')
    assert resolve(model).labels is None


@pytest.mark.parametrize('text', ['red', 'red,,blue', 'a' * 200 + ',b', '{broken, json'])
def test_no_names_in_the_metadata(text: str) -> None:
    assert labels_of({'labels': text}) is None


@pytest.mark.parametrize('word, task', [
    ('classify', 'classification'), ('image_classification', 'classification'),
    ('detect', 'detection'), ('object-detection', 'detection'), ('segment', 'detection'),
    ('semantic', 'segmentation'), ('', None)])
def test_tasks_in_the_metadata(word: str, task: str | None) -> None:
    assert task_of({'task': word}) == task


@pytest.mark.parametrize('key', ['imgsz', 'img_size', 'image_size', 'input_size'])
@pytest.mark.parametrize('stride, size', [
    ('', (650, 480)), ('32', (672, 480)), ('1', (650, 480)), ('x', (650, 480))])
def test_sizes_in_the_metadata(key: str, stride: str, size: tuple[int, int]) -> None:
    bare = ModelDescriptor.from_mapping({'source': {'path': 'net.onnx'}})
    done = complete(bare, FakeEngine(
        [tensor('in', [1, 3, 'h', 'w'])], [tensor('out', [1, 4])],
        {'out': np.zeros((1, 4), np.float32)}, metadata={key: '[480, 650]', 'stride': stride}))
    assert done.input.size == size
    assert np.all([key in done.inferred[0], ('stride' in done.inferred[0]) == (stride == '32')])
