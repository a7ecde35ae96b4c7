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

"""The catalogue: its directories, its names, and the three forms of a model."""

import os
from pathlib import Path
import sys

import pytest
from ros2_classify import paths
from ros2_classify.errors import DescriptorError, ModelNotFoundError
from ros2_classify.model import catalog
from ros2_classify.model.descriptor import load_descriptor
import shared_data


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Let the package seem to be installed below an empty prefix."""
    package = tmp_path / 'prefix/lib/python3/site-packages/ros2_classify'
    package.mkdir(parents=True)
    monkeypatch.setattr(paths, '__file__', str(package / 'paths.py'))
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'python'))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    return package


def share(prefix):
    directory = prefix / 'share/ros2_classify/models'
    directory.mkdir(parents=True)
    return directory


def put(directory, name, text='source: {path: net.onnx}'):
    (directory / name).write_text(text)
    return directory / name


def test_shipped_models_of_a_source_tree(installed):
    assert paths.shipped_directory() is None
    (installed.parent / 'models').mkdir()
    # Any directory called models beside the package is not enough.
    assert paths.shipped_directory() is None
    (installed.parent / 'package.xml').touch()
    assert paths.shipped_directory() == installed.parent / 'models'


def test_shipped_models_of_an_install(installed, tmp_path):
    directory = share(tmp_path / 'prefix')
    assert paths.shipped_directory() == directory


def test_shipped_models_of_a_workspace(installed, tmp_path, monkeypatch):
    directory = share(tmp_path / 'workspace')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path}/none:{tmp_path}/workspace')
    assert paths.shipped_directory() == directory


def test_shipped_models_of_a_virtual_environment(installed, tmp_path):
    directory = share(tmp_path / 'python')
    assert paths.shipped_directory() == directory


def test_this_source_tree():
    assert paths.shipped_directory() == shared_data.ROOT / 'models'


def test_names(installed, tmp_path, monkeypatch):
    own, other = tmp_path / 'own', tmp_path / 'other'
    shipped = share(tmp_path / 'prefix')
    for directory in (own, other):
        directory.mkdir()
    assert catalog.names() == ()
    put(shipped, 'b.yaml')
    put(shipped, 'a.yml')
    put(shipped, 'README.md')
    (shipped / 'tree.yaml').mkdir()
    assert catalog.names() == ('a', 'b')
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', f'{own}:{tmp_path}/none:{other}:{own}')
    first, hidden = put(own, 'b.yaml'), put(other, 'b.yaml')
    put(other, 'c.yaml')
    assert catalog.names() == ('a', 'b', 'c')
    assert catalog.directories() == (own, other, shipped)
    assert catalog.find('b') == first
    first.unlink()
    assert catalog.find('b') == hidden


def test_an_unknown_name(installed, tmp_path):
    with pytest.raises(ModelNotFoundError, match="no model named 'x'; the catalogue is empty"):
        catalog.find('x')
    directory = share(tmp_path / 'prefix')
    put(directory, 'cards_detector.yaml')
    put(directory, 'yolox_nano.yaml')
    with pytest.raises(ModelNotFoundError) as caught:
        catalog.find('yolox_nan')
    assert str(caught.value) == (
        "there is no model named 'yolox_nan' (did you mean yolox_nano?); the catalogue has "
        'cards_detector, yolox_nano; a model is a name from the catalogue, a descriptor file '
        '(.yaml), or a model file (.onnx, .pb, or the directory of a SavedModel)')


def test_resolve_a_name(installed, tmp_path):
    path = put(share(tmp_path / 'prefix'), 'a.yaml')
    assert catalog.resolve('a') == load_descriptor(path)


def test_resolve_a_descriptor_file(tmp_path, monkeypatch):
    path = put(tmp_path, 'a.yaml')
    assert catalog.resolve(str(path)).directory == tmp_path
    assert catalog.resolve(path) == catalog.resolve(str(path))
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    assert catalog.resolve('a.yaml').origin == str(path)
    assert catalog.resolve(catalog.resolve(path)) == catalog.resolve(path)
    put(tmp_path, 'a.yaml', 'nonsense: 1')
    with pytest.raises(DescriptorError, match='unknown key'):
        catalog.resolve(path)


def test_resolve_a_model_file(tmp_path, monkeypatch):
    path = put(tmp_path, 'Net v2.ONNX', '')
    descriptor = catalog.resolve(path)
    assert descriptor.name == 'Net v2'
    assert descriptor.source.path == str(path)
    assert descriptor.output.decoder is None
    monkeypatch.chdir(tmp_path)
    assert catalog.resolve('Net v2.ONNX') == descriptor
    monkeypatch.chdir(os.sep)
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    assert catalog.resolve('Net v2.ONNX') == descriptor


@pytest.mark.parametrize('model, words', [
    ('', 'no model is named; a model is'),
    ('none.yaml', 'the descriptor file none.yaml was not found; searched'),
    ('none.onnx', 'the model file none.onnx was not found; searched'),
    ('some/net', 'no such file: some/net; a model is'),
    (Path('net'), 'no such file: net; a model is'),
    ('net.pb', 'the model file net.pb was not found; searched'),
    ('net/saved_model.pb', 'the model file net was not found; searched'),
    ('net.tflite', "no model named 'net.tflite'"),
    ('./net.tflite', 'no such file: ./net.tflite'),
    ('https://x.org/net', 'https://x.org/net does not end with .onnx'),
    (os.sep, 'not a model: /'),
    ('far/model.tar.gz', 'for an archive write a descriptor .* {path: model.tar.gz, member'),
])
def test_what_cannot_be_resolved(installed, tmp_path, monkeypatch, model, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match=words):
        catalog.resolve(model)


@pytest.mark.parametrize('model', ['~no_such_user/a.yaml', '~no_such_user/a.onnx',
                                   f'{"a" * 300}.onnx', 'a' * 300, Path('~no_such_user/a')])
def test_paths_that_cannot_be(model):
    with pytest.raises(ModelNotFoundError, match=str(model)):
        catalog.resolve(model)


def test_a_name_counts_before_a_directory_of_that_name(installed, tmp_path, monkeypatch):
    path = put(share(tmp_path / 'prefix'), 'cards.yaml')
    (tmp_path / 'cards').mkdir()
    monkeypatch.chdir(tmp_path)
    assert catalog.resolve('cards').origin == str(path)
    with pytest.raises(ModelNotFoundError, match='not a model: cards'):
        catalog.resolve(Path('cards'))


@pytest.mark.parametrize(('name', 'file'), [
    ('yolov8n', 'yolov8n'), ('yolo11s-seg', 'yolo11s-seg'), ('best.pt', 'best'),
    ('rtdetr-l.pt', 'rtdetr-l')])
def test_weights_of_ultralytics_are_told_how_to_export_them(name, file):
    with pytest.raises(ModelNotFoundError) as caught:
        catalog.resolve(name)
    assert f'"yolo export model={file}.pt format=onnx" and name the file {file}.onnx' in str(
        caught.value)


@pytest.mark.parametrize('name', ['cats', 'yolox_nno', 'mobilenet'])
def test_other_unknown_names_are_not(name):
    with pytest.raises(ModelNotFoundError) as caught:
        catalog.resolve(name)
    assert 'yolo export' not in str(caught.value)
