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

"""``source`` in a descriptor and URLs as a model: what is accepted, and what is found."""

from __future__ import annotations

import io
from pathlib import Path
import tarfile
from typing import Any

from cache_files import sha256
from download_fixtures import *  # noqa: F401, F403 - pytest finds fixtures by name
import pytest
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import DescriptorError, FetchError, ModelNotFoundError
from ros2_classify.model import catalog
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.files import model_file
from ros2_classify.model.source import Source
from web_server import Web

BODY = b'weights' * 5000
HASH = sha256(BODY)


def _descriptor(source: dict[str, Any], **keys: Any) -> ModelDescriptor:
    return ModelDescriptor.from_mapping({'source': source, **keys})


def test_a_url_with_sha256_and_member() -> None:
    descriptor = _descriptor({'url': 'https://h/x/net.onnx', 'sha256': HASH.upper(), 'size': 7})
    assert descriptor.source == Source('', HASH, 'https://h/x/net.onnx', None, 7)
    assert (descriptor.name, descriptor.format) == ('net', 'onnx')


def test_the_member_tells_name_and_format() -> None:
    descriptor = _descriptor({'url': 'https://h/all.tar.gz', 'member': 'a/net.onnx'})
    assert (descriptor.name, descriptor.format) == ('net', 'onnx')
    with pytest.raises(DescriptorError, match=r"suffix '.gz' of all.tar.gz does not show it"):
        _descriptor({'url': 'https://h/all.tar.gz'})


@pytest.mark.parametrize('source, words', [
    ({}, 'path is missing; write path: model.onnx, or url:'),
    ({'url': 'https://h/m.onnx', 'path': 'm.onnx'}, 'path and url are both given'),
    ({'url': 'ftp://h/m.onnx'}, "source.url: ftp://h/m.onnx begins with 'ftp'; allowed are https"),
    ({'url': 'https://u:s3cret@h/m.onnx'}, 'user name or a password'),
    ({'url': 'm.onnx'}, "begins with ''; allowed are"),
    ({'url': 'https://h/m.onnx', 'sha256': 'abc'}, '64 hexadecimal digits'),
    ({'url': 'https://h/m.onnx', 'size': 0}, 'out of range'),
    ({'url': 'https://h/m.onnx', 'size': '35 MB'}, 'whole number'),
    ({'path': 'a.zip', 'member': '../m.onnx'}, 'source.member: .* without ".."'),
    ({'path': 'a.zip', 'member': '/m.onnx'}, 'source.member'),
    ({'path': 'm.onnx', 'headers': {'Authorization': 'x'}}, "unknown key 'headers'"),
])
def test_what_is_refused(source: dict[str, Any], words: str) -> None:
    with pytest.raises(DescriptorError, match=words) as error:
        _descriptor(source)
    assert 's3cret' not in str(error.value)


def test_a_url_as_a_model(web: Web) -> None:
    descriptor = catalog.resolve(f'{web.serve("/net.onnx", BODY)}#sha256={HASH}')
    assert descriptor.name == 'net'
    assert model_file(descriptor).read_bytes() == BODY
    with pytest.raises(FetchError, match=f'models bundle .*net.onnx#sha256={HASH}'):
        model_file(descriptor, FetchOptions(cache=Path('/nowhere'), offline=True))


@pytest.mark.parametrize('member, name, format_', [
    ('all/net.onnx', 'net', 'onnx'), ('all/frozen.pb', 'frozen', 'frozen_graph'),
    ('all/saved', 'saved', 'saved_model'), ('saved_model.pb', 'saved_model', 'saved_model')])
def test_a_member_of_a_url_as_a_model(
        web: Web, tmp_path: Path, member: str, name: str, format_: str) -> None:
    with tarfile.open(tmp_path / 'a.tgz', 'w:gz') as tar:
        for place in ('all/net.onnx', 'all/frozen.pb', 'all/saved/saved_model.pb',
                      'saved_model.pb'):
            info = tarfile.TarInfo(place)
            info.size = len(BODY)
            tar.addfile(info, io.BytesIO(BODY))
    body = (tmp_path / 'a.tgz').read_bytes()
    url = f'{web.serve("/all.tgz", body)}#sha256={sha256(body)}&member={member}'
    descriptor = catalog.resolve(url)
    assert (descriptor.name, descriptor.format) == (name, format_)
    place = model_file(descriptor)
    assert (place / 'saved_model.pb' if place.is_dir() else place).read_bytes() == BODY
    with pytest.raises(FetchError, match=f'models bundle .*{sha256(body)}&member={member}'):
        model_file(descriptor, FetchOptions(cache=Path('/nowhere'), offline=True))


@pytest.mark.parametrize('model, words', [
    ('https://h/m.onnx#sha256=12', 'ends with "#sha256=12"'),
    ('https://h/m.tar.gz', 'does not end with .onnx.*&member='),
    ('ftp://h/m.onnx', "begins with 'ftp'"),
    ('https://u:s3cret@h/m.onnx', 'user name or a password')])
def test_an_invalid_url_as_a_model(model: str, words: str) -> None:
    with pytest.raises(ModelNotFoundError, match=words) as error:
        catalog.resolve(model)
    assert 's3cret' not in str(error.value)


def test_errors_name_the_descriptor(web: Web, tmp_path: Path, waits: list[float]) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(f'source: {{url: {web.serve("/m.onnx", BODY)}}}\n')
    with pytest.raises(Exception, match=f'{path}: .*"sha256: {HASH}"'):
        model_file(catalog.resolve(path))


def test_offline_names_a_model_as_another_machine_knows_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(f'source: {{url: https://h/m.onnx, sha256: {HASH}}}\n')
    offline = FetchOptions(offline=True)
    with pytest.raises(FetchError, match=f'models bundle {path} --output'):
        model_file(catalog.resolve(path), offline)
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    with pytest.raises(FetchError, match='models bundle mine --output'):
        model_file(catalog.resolve('mine'), offline)


def test_a_directory_is_no_onnx_file(tmp_path: Path) -> None:
    (tmp_path / 'dir.onnx').mkdir()
    with pytest.raises(ModelNotFoundError, match='a directory, not a file'):
        model_file(_descriptor({'path': str(tmp_path / 'dir.onnx')}))
