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

"""Directories that models must lie in: `..`, symbolic links, and what belongs to a model."""

from __future__ import annotations

import os
from pathlib import Path

from graphs import classifier, meta_graph, saved_model
import pytest

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import ModelNotFoundError, NotAllowedError
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor import load_descriptor
from ros2_classify.model.files import model_file
from ros2_classify.model.labels import load_labels
from ros2_classify.paths import allowed_paths, is_allowed, locate, searching, shipped_directory
from ros2_classify.pipeline import Pipeline
from ros2_classify.testing import save_color_classifier


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """Return a directory that is allowed, with a model in it."""
    directory = tmp_path / 'inside'
    directory.mkdir()
    save_color_classifier(directory / 'net.onnx')
    (directory / 'net.yaml').write_text('source: {path: net.onnx}\nlabels: names.txt\n')
    (directory / 'names.txt').write_text('red\ngreen\nblue\n')
    return directory


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a directory beside it, with another model and a secret."""
    directory = tmp_path / 'outside'
    directory.mkdir()
    save_color_classifier(directory / 'other.onnx')
    (directory / 'secret.txt').write_text('name\npassword\nplace\n')
    return directory


def test_what_is_inside_is_read(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with allowed_paths(str(inside)), Pipeline.load(inside / 'net.yaml') as pipeline:
        assert pipeline.labels is not None and pipeline.labels.name(0) == 'red'
    monkeypatch.chdir(inside.parent)
    # Relative roots and paths, a detour by "..", and the search path.
    with allowed_paths('inside:'), searching('inside'):
        for name in ('inside/net.yaml', 'inside/../inside/net.yaml', 'net.yaml', 'net.onnx'):
            assert model_file(resolve(name)).samefile(inside / 'net.onnx')


@pytest.mark.parametrize('name', ['other.onnx', 'secret.txt', 'missing.onnx'])
def test_what_is_outside_is_not_and_whether_it_exists_is_not_told(
        inside: Path, outside: Path, name: str) -> None:
    for path in (outside / name, inside / '..' / 'outside' / name):
        with allowed_paths(str(inside)), pytest.raises(NotAllowedError) as caught:
            locate(path, None, what='model file')
        assert str(caught.value) == (
            f'the model file {path} is not below the directories that model_roots allows '
            f'({inside}), symbolic links resolved; put it there, or add its '
            'directory to model_roots')


def test_a_directory_whose_name_begins_in_the_same_way_is_outside(inside: Path) -> None:
    (inside.parent / 'inside2').mkdir()
    with allowed_paths(str(inside)):
        assert is_allowed(inside / 'new.onnx') and is_allowed(inside)
        assert not is_allowed(inside.parent / 'inside2' / 'net.onnx')
        assert not is_allowed(inside.parent)
        assert not is_allowed('/')


@pytest.mark.parametrize('link', ['net2.onnx', 'net2.yaml', 'dir'])
def test_symbolic_links_do_not_lead_out(inside: Path, outside: Path, link: str) -> None:
    target = {'net2.onnx': outside / 'other.onnx', 'net2.yaml': outside / 'other.yaml',
              'dir': outside}[link]
    (outside / 'other.yaml').write_text('source: {path: net.onnx}\n')
    (inside / link).symlink_to(target)
    named = inside / link if link != 'dir' else inside / link / 'other.onnx'
    assert model_file(resolve(named)).is_file()
    with allowed_paths(str(inside)), pytest.raises(NotAllowedError, match='is not below'):
        model_file(resolve(named))


def test_a_root_may_be_a_link_itself(inside: Path) -> None:
    link = inside.parent / 'link'
    link.symlink_to(inside)
    with allowed_paths(str(link)):
        assert model_file(resolve(link / 'net.yaml')).name == 'net.onnx'
        assert model_file(resolve(inside / 'net.yaml')).name == 'net.onnx'


@pytest.mark.parametrize('text', [
    'source: {path: ../outside/other.onnx}\n', 'source: {path: net.onnx}\nlabels: {}\n',
    'source: {path: net.onnx}\nlabels: ../outside/secret.txt\n',
    'source: {path: net.onnx}\nlabels: link.txt\n'])
def test_a_descriptor_inside_may_not_name_files_outside(
        inside: Path, outside: Path, text: str) -> None:
    (inside / 'link.txt').symlink_to(outside / 'secret.txt')
    path = inside / 'hostile.yaml'
    path.write_text(text.replace('labels: {}', f'labels: {outside / "secret.txt"}'))
    with Pipeline.load(path):
        pass
    with allowed_paths(str(inside)), pytest.raises(NotAllowedError, match='hostile.yaml: the '):
        Pipeline.load(path)


def test_what_is_beside_a_model_may_not_lead_out(inside: Path, outside: Path) -> None:
    save_color_classifier(inside / 'bare.onnx')
    (inside / 'bare.txt').symlink_to(outside / 'secret.txt')
    with Pipeline.load(inside / 'bare.onnx') as pipeline:
        assert pipeline.labels is not None and pipeline.labels.name(1) == 'password'
    with allowed_paths(str(inside)), pytest.raises(NotAllowedError, match='label file'):
        Pipeline.load(inside / 'bare.onnx')


def test_the_readers_refuse_by_themselves(inside: Path, outside: Path) -> None:
    (outside / 'other.yaml').write_text('source: {path: other.onnx}\n')
    with allowed_paths(str(inside)):
        with pytest.raises(NotAllowedError, match='label file'):
            load_labels(outside / 'secret.txt')
        with pytest.raises(NotAllowedError, match='descriptor file'):
            load_descriptor(outside / 'other.yaml')


def test_urls_of_files_are_files(inside: Path, outside: Path, tmp_path: Path) -> None:
    options = FetchOptions(cache=tmp_path / 'cache')
    for directory, name in ((inside, 'net.onnx'), (outside, 'other.onnx')):
        sha256 = sha256_of_file(directory / name)
        path = inside / f'by_url_{directory.name}.yaml'
        path.write_text(f'source: {{url: "file://{directory / name}", sha256: "{sha256}"}}\n')
    with allowed_paths(str(inside)):
        with pytest.raises(NotAllowedError, match='model file'):
            # The two models are the same; what the cache has by now is not asked for its origin.
            model_file(load_descriptor(inside / 'by_url_outside.yaml'), options)
        assert model_file(
            load_descriptor(inside / 'by_url_inside.yaml'), options).is_file()


def test_a_saved_model_may_not_lead_out(inside: Path, outside: Path) -> None:
    directory = inside / 'saved'
    (directory / 'variables').mkdir(parents=True)
    (directory / 'saved_model.pb').write_bytes(
        saved_model(meta_graph(['serve'], {}, classifier())))
    with allowed_paths(str(inside)):
        assert model_file(resolve(directory)) == directory
    (directory / 'variables' / 'variables.index').symlink_to(outside / 'secret.txt')
    assert model_file(resolve(directory)) == directory
    with allowed_paths(str(inside)), pytest.raises(NotAllowedError, match='variables.index'):
        model_file(resolve(directory))


def test_the_shipped_models_are_part_of_the_package(inside: Path) -> None:
    shipped = shipped_directory()
    assert shipped is not None
    with allowed_paths(str(inside)):
        assert model_file(resolve('cards_detector')) == shipped / 'cards_detector.onnx'


def test_an_inner_context_takes_places_away_only(inside: Path, outside: Path) -> None:
    (inside / 'deep').mkdir()
    with allowed_paths(str(inside)):
        with allowed_paths(str(outside)):
            assert not is_allowed(inside) and not is_allowed(outside)
        with allowed_paths(str(inside / 'deep')):
            assert is_allowed(inside / 'deep') and not is_allowed(inside / 'net.onnx')
        with allowed_paths(''):
            assert is_allowed(inside / 'net.onnx') and not is_allowed(outside)
    assert is_allowed(outside)
    with allowed_paths(''), allowed_paths(''):
        assert is_allowed('/')


@pytest.mark.parametrize('roots', [':', ' ', '  :', '::'])
def test_roots_that_name_no_directory_do_not_allow_every_path(roots: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught, allowed_paths(roots):
        pass
    assert str(caught.value) == (
        f'model_roots is {roots!r}, which has no directory; add one, or leave it empty to allow '
        'all paths')


def test_a_root_that_is_no_directory_is_named(inside: Path) -> None:
    for root in ('/no/such/dir', str(inside / 'net.onnx')):
        with pytest.raises(ModelNotFoundError, match=f'model_roots names {root}'), allowed_paths(
                f'{inside}{os.pathsep}{root}'):
            pass
