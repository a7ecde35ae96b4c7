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

"""Model files: where they are looked for, and their sha256."""

import hashlib
import os
from pathlib import Path

import pytest

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.errors import IntegrityError, ModelNotFoundError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.files import model_file
from ros2_classify.paths import locate, search_path, searching


@pytest.fixture
def places(tmp_path, monkeypatch):
    directories = [tmp_path / name for name in 'abc']
    for directory in directories:
        directory.mkdir()
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', f'{directories[1]}:{directories[2]}')
    return directories


def test_search_path(monkeypatch):
    monkeypatch.setenv('HOME', '/home/robot')
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', os.pathsep.join(['/a', '', '~/b', ' ', 'c']))
    assert search_path() == (Path('/a'), Path('/home/robot/b'), Path('c'))
    monkeypatch.delenv('ROS2_CLASSIFY_MODEL_PATH')
    assert search_path() == ()


def test_further_directories_come_first(places, monkeypatch):
    for directory in places:
        (directory / 'net.onnx').touch()
    monkeypatch.setenv('HOME', '/home/robot')
    with searching(f'~/own:{places[2]}'):
        assert search_path() == (Path('/home/robot/own'), places[2], *places[1:])
        with searching(''), searching('/inner'):
            assert search_path()[:2] == (Path('/inner'), Path('/home/robot/own'))
        assert locate('net.onnx', Path('/none'), what='model file').parent == places[2]
    assert search_path() == tuple(places[1:])
    assert locate('net.onnx', Path('/none'), what='model file').parent == places[1]
    with pytest.raises(KeyError), searching('/own'):
        raise KeyError
    assert search_path() == tuple(places[1:])


def test_the_first_directory_that_has_the_file_counts(places):
    for directory in reversed(places):
        (directory / 'net.onnx').touch()
        assert locate('net.onnx', places[0], what='model file') == directory / 'net.onnx'


def test_paths_below_a_directory(places):
    below = places[2] / 'sub'
    below.mkdir()
    (below / 'net.onnx').touch()
    assert locate('sub/net.onnx', places[0], what='model file') == below / 'net.onnx'


def test_without_a_directory_the_working_one_counts(places, monkeypatch):
    monkeypatch.chdir(places[0])
    Path('net.onnx').touch()
    found = locate('net.onnx', None, what='model file')
    assert found.is_absolute()
    assert found == places[0] / 'net.onnx'


def test_absolute_and_home_paths_are_not_searched(places, monkeypatch):
    monkeypatch.setenv('HOME', str(places[0]))
    (places[0] / 'net.onnx').touch()
    (places[1] / 'other.onnx').touch()
    for path in ('~/net.onnx', places[0] / 'net.onnx'):
        assert locate(path, places[2], what='model file') == places[0] / 'net.onnx'
    with pytest.raises(ModelNotFoundError) as caught:
        locate('~/other.onnx', places[1], what='model file')
    assert str(places[1]) not in str(caught.value)


def test_the_error_lists_each_place_once(places):
    with pytest.raises(ModelNotFoundError) as caught:
        locate('net.onnx', places[1], what='model file', origin='m.yaml')
    assert str(caught.value) == (
        f'm.yaml: the model file net.onnx was not found; searched {places[1]}/net.onnx, '
        f'{places[2]}/net.onnx; check the name, or add its directory to '
        'ROS2_CLASSIFY_MODEL_PATH')


def test_a_directory_is_no_file(places):
    (places[0] / 'net.onnx').mkdir()
    with pytest.raises(ModelNotFoundError, match='a directory, not a file'):
        locate('net.onnx', places[0], what='model file')


def test_urls_are_not_files():
    with pytest.raises(ModelNotFoundError, match='x.org/a.onnx is a URL.*url: instead of path:'):
        locate('https://x.org/a.onnx', None, what='model file')


@pytest.mark.parametrize('size', [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256(tmp_path, size):
    content = bytes(i % 251 for i in range(size))
    (tmp_path / 'f').write_bytes(content)
    assert sha256_of_file(tmp_path / 'f') == hashlib.sha256(content).hexdigest()


def descriptor(directory, sha256=None):
    source = {'path': 'net.onnx', **({'sha256': sha256} if sha256 else {})}
    return ModelDescriptor.from_mapping({'source': source}, origin='m.yaml', directory=directory)


def test_the_right_file_is_given(tmp_path):
    (tmp_path / 'net.onnx').write_bytes(b'abc')
    right = hashlib.sha256(b'abc').hexdigest()
    assert model_file(descriptor(tmp_path)) == tmp_path / 'net.onnx'
    assert model_file(descriptor(tmp_path, right)) == tmp_path / 'net.onnx'
    assert model_file(descriptor(tmp_path, right.upper())) == tmp_path / 'net.onnx'


def test_another_file_is_refused_with_both_hashes(tmp_path):
    (tmp_path / 'net.onnx').write_bytes(b'abd')
    right, wrong = (hashlib.sha256(content).hexdigest() for content in (b'abc', b'abd'))
    with pytest.raises(IntegrityError) as caught:
        model_file(descriptor(tmp_path, right))
    for words in (right, wrong, str(tmp_path / 'net.onnx'), 'm.yaml'):
        assert words in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelNotFoundError, match='m.yaml: the model file net.onnx was not found'):
        model_file(descriptor(tmp_path))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(path, cancel):
        raise PermissionError(13, 'Permission denied', str(path))

    # The mode of a file would not stop root, whom containers run tests as.
    monkeypatch.setattr('ros2_classify.download.fetch.sha256_of_file', refuse)
    (tmp_path / 'net.onnx').write_bytes(b'abc')
    with pytest.raises(ModelNotFoundError, match='Permission denied'):
        model_file(descriptor(tmp_path, 'ab' * 32))
