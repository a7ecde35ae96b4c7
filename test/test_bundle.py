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

"""Models carried from a machine with a network to one without."""

from __future__ import annotations

import io
import json
from pathlib import Path
import tarfile
from typing import Any

from cache_files import files_in, sha256
from download_fixtures import *  # noqa: F401, F403 - pytest finds fixtures by name
from fake_converter import FakeConverter
import graphs
import numpy as np
import pytest
from ros2_classify import bundle as unbundle, Pipeline
from ros2_classify.bundle import import_bundle, write_bundle
from ros2_classify.download.options import default_import_directory, FetchOptions
from ros2_classify.errors import (
    ArchiveError, DescriptorError, DiskFullError, FetchError, IntegrityError, ModelNotFoundError)
from ros2_classify.model import catalog
from ros2_classify.model.descriptor import load_descriptor
from ros2_classify.model.files import model_file
from web_server import Web

BODY = b'weights' * 5000


@pytest.fixture
def office(web: Web, tmp_path: Path) -> Path:
    """Return a directory with two models: one from a URL with labels, one from a path."""
    directory = tmp_path / 'office'
    (directory / 'labels').mkdir(parents=True)
    (directory / 'labels' / 'two.txt').write_text('cat\ndog\n')
    (directory / 'weights.onnx').write_bytes(b'local network')
    (directory / 'far.yaml').write_text(
        f'source: {{url: {web.serve("/m.onnx", BODY)}, sha256: {sha256(BODY)}}}\n'
        'labels: labels/two.txt\n')
    (directory / 'near.yaml').write_text('source: {path: weights.onnx}\nlabels: labels/two.txt\n')
    return directory


@pytest.fixture
def robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FetchOptions:
    """Return the options of a machine that has nothing, and where nothing is known by name."""
    monkeypatch.setattr(catalog, 'shipped_directory', lambda: None)
    return FetchOptions(cache=tmp_path / 'robot', offline=True)


def _bundle(office: Path, options: Any, *names: str) -> Path:
    path = office / 'models.tar'
    write_bundle([load_descriptor(office / f'{name}.yaml') for name in names], path, options())
    return path


def test_a_bundle_brings_all_that_models_need(
        web: Web, office: Path, options: Any, robot: FetchOptions) -> None:
    path = _bundle(office, options, 'far', 'near')
    imported = import_bundle(path, default_import_directory(), robot)
    assert web.count('/m.onnx') == 1
    assert [model.name for model in imported.models] == ['far.yaml', 'near.yaml']
    assert catalog.names() == ('far', 'near')
    far, near = (catalog.resolve(name) for name in ('far', 'near'))
    assert model_file(far, robot).read_bytes() == BODY
    assert model_file(near, robot).read_bytes() == b'local network'
    labels = far.load_labels()
    assert labels is not None
    assert labels.name(1) == 'dog'
    assert files_in(robot.cache_directory()) == [f'files/{sha256(BODY)}/m.onnx']
    # Once more changes nothing.
    assert import_bundle(path, default_import_directory(), robot).replaced == ()


def test_a_file_of_priors_is_bundled(office: Path, options: Any, robot: FetchOptions) -> None:
    (office / 'labels' / 'priors.csv').write_text('0.5, 0.5, 1, 1\n')
    (office / 'near.yaml').write_text(
        'source: {path: weights.onnx}\noutput: {decoder: ssd, priors: labels/priors.csv}\n')
    import_bundle(_bundle(office, options, 'near'), default_import_directory(), robot)
    near = catalog.resolve('near')
    assert near.directory is not None
    assert (near.directory / 'labels/priors.csv').read_text() == '0.5, 0.5, 1, 1\n'


def test_a_bundle_is_the_same_each_time_and_tells_nothing_of_the_machine(
        office: Path, options: Any) -> None:
    one = _bundle(office, options, 'far', 'near').read_bytes()
    assert _bundle(office, options, 'far', 'near').read_bytes() == one
    assert str(office).encode() not in one
    with tarfile.open(office / 'models.tar') as tar:
        assert {(info.mtime, info.uid, info.uname) for info in tar} == {(0, 0, '')}


def test_a_newer_bundle_replaces_and_says_so(
        office: Path, options: Any, robot: FetchOptions) -> None:
    import_bundle(_bundle(office, options, 'near'), default_import_directory(), robot)
    (office / 'weights.onnx').write_bytes(b'better weights')
    imported = import_bundle(_bundle(office, options, 'near'), default_import_directory(), robot)
    assert [path.name for path in imported.replaced] == ['weights.onnx']
    assert model_file(catalog.resolve('near'), robot).read_bytes() == b'better weights'


def test_what_the_robot_ships_is_not_hidden(
        office: Path, options: Any, robot: FetchOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _bundle(office, options, 'far')
    monkeypatch.setattr(catalog, 'shipped_directory', lambda: office)
    imported = import_bundle(path, default_import_directory(), robot)
    assert imported.models == (office / 'far.yaml',)
    assert not default_import_directory().exists()
    assert len(imported.files) == 1


def test_a_directory_is_carried_over(office: Path, options: Any, robot: FetchOptions) -> None:
    (office / 'saved' / 'variables').mkdir(parents=True)
    (office / 'saved' / 'model.onnx').write_bytes(b'm')
    (office / 'saved' / 'variables' / '0').write_bytes(b'v')
    (office / 'deep.yaml').write_text('source: {path: saved, member: model.onnx}\n')
    import_bundle(_bundle(office, options, 'deep'), default_import_directory(), robot)
    path = model_file(catalog.resolve('deep'), robot)
    assert (path.parent / 'variables' / '0').read_bytes() == b'v'


@pytest.mark.parametrize('named', ['{office}/weights.onnx', '../office/weights.onnx'])
def test_what_is_elsewhere_cannot_be_carried(
        office: Path, options: Any, named: str) -> None:
    (office / 'out.yaml').write_text(f'source: {{path: {named.format(office=office)}}}\n')
    with pytest.raises(DescriptorError, match='out.yaml: the model file .* relative to'):
        _bundle(office, options, 'out')
    assert not list(office.glob('models.tar*'))


def test_a_url_alone_is_bundled_too(
        web: Web, office: Path, options: Any, robot: FetchOptions) -> None:
    url = f'{web.serve("/bare.onnx", BODY)}#sha256={sha256(BODY)}'
    write_bundle([catalog.resolve(url)], office / 'models.tar', options())
    imported = import_bundle(office / 'models.tar', default_import_directory(), robot)
    assert imported.models == ()
    assert model_file(catalog.resolve(url), robot).read_bytes() == BODY


def test_a_model_without_a_descriptor_is_no_bundle(office: Path, options: Any) -> None:
    with pytest.raises(DescriptorError, match='has no descriptor file'):
        write_bundle([catalog.resolve(office / 'weights.onnx')], office / 'models.tar', options())


def test_two_files_of_one_name_are_refused(office: Path, options: Any, tmp_path: Path) -> None:
    other = tmp_path / 'other'
    (other / 'labels').mkdir(parents=True)
    (other / 'labels' / 'two.txt').write_text('other\n')
    (other / 'weights.onnx').write_bytes(b'local network')
    (other / 'third.yaml').write_text((office / 'near.yaml').read_text())
    descriptors = [load_descriptor(path) for path in (office / 'near.yaml', other / 'third.yaml')]
    with pytest.raises(DescriptorError, match='would both be models/labels/two.txt'):
        write_bundle(descriptors, office / 'models.tar', options())


def test_a_model_that_cannot_be_fetched_makes_no_bundle(
        web: Web, office: Path, options: Any) -> None:
    web.results.clear()
    with pytest.raises(FetchError, match='does not exist'):
        _bundle(office, options, 'near', 'far')
    assert not list(office.glob('models.tar*'))
    with pytest.raises(FetchError, match='cannot be written'):
        write_bundle([load_descriptor(office / 'near.yaml')], office / 'no' / 'x.tar', options())


def _rewritten(path: Path, **changes: Any) -> Path:
    """Return a bundle with members changed, added, or (None) removed, and an index to fit."""
    with tarfile.open(path) as tar:
        bodies = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore
    bodies |= {name: body for name, body in changes.items() if name != 'bundle.json'}
    index = json.loads(bodies['bundle.json'])
    index.update(changes.get('bundle.json', {}))
    bodies['bundle.json'] = json.dumps(index).encode()
    target = path.with_name('changed.tar')
    with tarfile.open(target, 'w') as tar:
        for name, body in bodies.items():
            if body is not None:
                info = tarfile.TarInfo(name)
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return target


MODEL_FILE = f'files/{sha256(BODY)}/m.onnx'


@pytest.mark.parametrize('changes, words', [
    ({MODEL_FILE: b'evil'}, 'm.onnx is damaged; copy the bundle again'),
    ({MODEL_FILE: None}, 'm.onnx is missing'),
    ({'models/far.yaml': b'source: {path: /etc/passwd}\n'}, 'far.yaml is damaged'),
    ({'models/extra.yaml': b'x'}, 'models/extra.yaml is not in its index'),
    ({'../evil': b'x'}, 'leaves its directory'),
    ({'bundle.json': {'format': 2}}, 'its format is 2, but 1 is supported'),
    ({'bundle.json': {'files': {'models/far.yaml': 'no hash'}}}, 'its index is damaged'),
    ({'bundle.json': {'files': {'etc/passwd': '0' * 64}}}, 'its index is damaged'),
    ({'bundle.json': {'files': {f'files/{"1" * 64}/m': '0' * 64}}}, 'its index is damaged'),
    ({'bundle.json': {'files': []}}, 'its index is damaged'),
])
def test_a_bundle_that_was_tampered_with_is_refused(
        office: Path, options: Any, robot: FetchOptions, changes: dict[str, Any],
        words: str) -> None:
    path = _rewritten(_bundle(office, options, 'far'), **changes)
    with pytest.raises(ArchiveError, match=words):
        import_bundle(path, default_import_directory(), robot)
    assert files_in(robot.cache_directory()) == []
    assert not default_import_directory().exists()


def test_what_is_no_bundle(office: Path, tmp_path: Path, robot: FetchOptions) -> None:
    with pytest.raises(ArchiveError, match='is not an archive'):
        import_bundle(office / 'near.yaml', default_import_directory(), robot)
    other = tmp_path / 'other.tar'
    with tarfile.open(other, 'w') as tar:
        tar.add(office / 'near.yaml', 'near.yaml')
    with pytest.raises(ArchiveError, match='does not begin with bundle.json.*models bundle'):
        import_bundle(other, default_import_directory(), robot)


def test_a_bundle_cut_off_on_the_way_is_refused(
        office: Path, options: Any, robot: FetchOptions) -> None:
    path = _bundle(office, options, 'far')
    body = path.read_bytes()
    path.write_bytes(body[:len(body) // 2])
    with pytest.raises(ArchiveError):
        import_bundle(path, default_import_directory(), robot)
    assert files_in(robot.cache_directory()) == []


def test_a_descriptor_from_the_future_is_refused(
        office: Path, options: Any, robot: FetchOptions) -> None:
    path = _bundle(office, options, 'near')
    future = b'source: {path: weights.onnx}\ntelepathy: true\n'
    with tarfile.open(path) as tar:
        index = json.load(tar.extractfile('bundle.json'))  # type: ignore[arg-type]
    index['files']['models/near.yaml'] = sha256(future)
    path = _rewritten(path, **{'models/near.yaml': future, 'bundle.json': index})
    with pytest.raises(ArchiveError, match="unknown key 'telepathy'.*newer ros2_classify"):
        import_bundle(path, default_import_directory(), robot)
    assert not default_import_directory().exists()


def test_a_full_disk_on_the_robot(office: Path, options: Any, robot: FetchOptions,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    path = _bundle(office, options, 'far')

    def full(*args: object) -> None:
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(unbundle, '_stage', full)
    with pytest.raises(DiskFullError, match='is full'):
        import_bundle(path, default_import_directory(), robot)
    assert files_in(robot.cache_directory()) == []


def test_an_unknown_model_is_named(office: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        load_descriptor(office / 'nowhere.yaml')


@pytest.fixture
def tensorflow(office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeConverter:
    """Put a TensorFlow model into the office, which has something that passes for TensorFlow."""
    converter = FakeConverter(tmp_path / 'converter')
    monkeypatch.setenv('ROS2_CLASSIFY_CONVERTER_PYTHON', str(converter.python))
    (office / 'frozen.pb').write_bytes(graphs.classifier())
    (office / 'tf.yaml').write_text('source: {path: frozen.pb}\ntask: classification\n')
    return converter


def test_a_tensorflow_model_needs_no_tensorflow_on_the_robot(
        office: Path, options: Any, robot: FetchOptions, tensorflow: FakeConverter,
        monkeypatch: pytest.MonkeyPatch) -> None:
    path = _bundle(office, options, 'tf')
    assert len(tensorflow.requests()) == 1
    monkeypatch.setenv('ROS2_CLASSIFY_CONVERTER_PYTHON', '/no/python')
    imported = import_bundle(path, default_import_directory(), robot)
    place, = imported.converted
    assert sorted(file.name for file in place.iterdir()) == ['model.onnx', 'report.json']
    with Pipeline.load('tf', fetch=robot, provider='cpu') as pipeline:
        assert len(pipeline(np.zeros((8, 8, 3), np.uint8))) == 4
    # Again: what is there and right stays as it is.
    before = (place / 'model.onnx').stat().st_ino
    import_bundle(path, default_import_directory(), robot)
    assert (place / 'model.onnx').stat().st_ino == before
    (place / 'model.onnx').write_bytes(b'damaged')
    import_bundle(path, default_import_directory(), robot)
    Pipeline.load('tf', fetch=robot, provider='cpu').close()


def test_without_tensorflow_here_the_model_is_carried_as_it_is(
        office: Path, options: Any, robot: FetchOptions, tensorflow: FakeConverter,
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv('ROS2_CLASSIFY_CONVERTER_PYTHON', '/no/python')
    path = _bundle(office, options, 'tf')
    assert 'tf is bundled unconverted, and needs TensorFlow on the other machine' in caplog.text
    assert import_bundle(path, default_import_directory(), robot).converted == ()
    monkeypatch.setenv('ROS2_CLASSIFY_CONVERTER_PYTHON', str(tensorflow.python))
    Pipeline.load('tf', fetch=robot, provider='cpu').close()


def test_a_saved_model_is_carried_as_its_directory(
        office: Path, options: Any, robot: FetchOptions, tensorflow: FakeConverter) -> None:
    (office / 'saved' / 'variables').mkdir(parents=True)
    (office / 'saved' / 'saved_model.pb').write_bytes(graphs.saved_model(graphs.meta_graph(
        ['serve'], {'serving_default': graphs.signature(
            {'input': (graphs.FLOAT, (None, 8, 8, 3))},
            {'softmax': (graphs.FLOAT, (None, 4))})})))
    (office / 'saved' / 'variables' / 'variables.index').write_bytes(b'v')
    (office / 'tree.yaml').write_text('source: {path: saved}\nformat: saved_model\n')
    path = _bundle(office, options, 'tree')
    assert len(import_bundle(path, default_import_directory(), robot).converted) == 1
    place = model_file(catalog.resolve('tree'), robot)
    assert (place / 'variables' / 'variables.index').read_bytes() == b'v'


def test_what_has_no_sha256_is_not_carried(web: Web, office: Path, options: Any) -> None:
    (office / 'trial.yaml').write_text(f'source: {{url: {web.serve("/t.onnx", BODY)}}}\n')
    with pytest.raises(IntegrityError, match=f'add "sha256: {sha256(BODY)}" next to url:'):
        write_bundle([load_descriptor(office / 'trial.yaml')], office / 'models.tar',
                     options(allow_unverified=True))
    assert not list(office.glob('models.tar*'))
