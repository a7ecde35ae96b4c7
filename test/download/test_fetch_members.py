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

"""The member of an archive or a directory, through `fetch`."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from archive_files import make, TAR_ATTACKS
from cache_files import files_in, request, sha256
import pytest
from ros2_classify.download import archive as archives
from ros2_classify.download.fetch import fetch, Request
from ros2_classify.download.hashing import sha256_of_directory, sha256_of_file
from ros2_classify.errors import (
    ArchiveError, DescriptorError, DiskFullError, IntegrityError, ModelNotFoundError)
from web_server import Web

FILES = {'ssd/frozen.pb': b'graph' * 1000, 'ssd/saved/model.pb': b'saved', 'ssd/saved/v/0': b'v',
         'ssd/weights.data': b'w', 'README': b'read me'}


def _local(path: Path, member: str | None, declared: str | None = None) -> Request:
    return Request(label='tiny', origin='/robot/tiny.yaml', model='tiny', path=path,
                   sha256=declared, member=member)


@pytest.mark.parametrize('suffix', ['.tar.gz', '.zip'])
def test_a_member_of_a_downloaded_archive(
        web: Web, tmp_path: Path, cache_directory: Path, options: Any, suffix: str) -> None:
    body = make(tmp_path / f'a{suffix}', FILES).read_bytes()
    url = web.serve(f'/a{suffix}', body)
    path = fetch(request(url, body, member='ssd/frozen.pb'), options())
    assert path.read_bytes() == FILES['ssd/frozen.pb']
    directory = fetch(request(url, body, member='ssd/saved/'), options())
    assert (directory / 'v' / '0').read_bytes() == b'v'
    assert web.count(f'/a{suffix}') == 1
    assert {name.split('/')[0] for name in files_in(cache_directory)} == {'files', 'unpacked'}


def test_a_member_that_is_not_there(web: Web, tmp_path: Path, options: Any) -> None:
    body = make(tmp_path / 'a.zip', FILES).read_bytes()
    url = web.serve('/a.zip', body)
    with pytest.raises(ModelNotFoundError, match=r"'frozen.pb' was not found.*ssd/frozen.pb, "):
        fetch(request(url, body, member='frozen.pb'), options())
    with pytest.raises(ModelNotFoundError, match=r"did you mean 'ssd/frozen.pb'\?"):
        fetch(request(url, body, member='ssd/frozen_graph.pb'), options())
    with pytest.raises(DescriptorError, match='must be a relative path'):
        fetch(request(url, body, member='../../evil'), options())


def test_an_archive_without_a_member_lists_what_it_holds(
        web: Web, tmp_path: Path, options: Any) -> None:
    body = make(tmp_path / 'a.zip', FILES).read_bytes()
    with pytest.raises(DescriptorError, match='source.member is missing.*ssd/frozen.pb, ssd/s'):
        fetch(request(web.serve('/a.zip', body), body), options())


@pytest.mark.parametrize('damage', ['change', 'remove', 'remove the directory', 'change beside'])
def test_a_damaged_tree_is_unpacked_again(
        web: Web, tmp_path: Path, options: Any, damage: str) -> None:
    body = make(tmp_path / 'a.zip', FILES).read_bytes()
    wanted = request(web.serve('/a.zip', body), body, member='ssd/frozen.pb')
    path = fetch(wanted, options())
    if damage == 'change':
        path.write_bytes(b'evil')
    elif damage == 'remove':
        path.unlink()
    elif damage == 'change beside':
        (path.parent / 'weights.data').write_bytes(b'evil')
    else:
        (path.parent.parent.parent / 'files.json').write_text('{')
    assert fetch(wanted, options(offline=True)).read_bytes() == FILES['ssd/frozen.pb']
    assert (path.parent / 'weights.data').read_bytes() == b'w'
    assert web.count('/a.zip') == 1


def test_a_hostile_archive_leaves_nothing_but_itself(
        web: Web, tmp_path: Path, cache_directory: Path, options: Any) -> None:
    body = TAR_ATTACKS['parent'](tmp_path / 'a.tar.gz').read_bytes()
    with pytest.raises(ArchiveError, match=r"a.tar.gz is not unpacked: its member '\.\./evil'"):
        fetch(request(web.serve('/a.tar.gz', body), body, member='good.txt'), options())
    assert files_in(cache_directory) == [f'files/{sha256(body)}/a.tar.gz']


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(
        web: Web, tmp_path: Path, cache_directory: Path, options: Any,
        monkeypatch: pytest.MonkeyPatch) -> None:
    body = make(tmp_path / 'a.zip', FILES).read_bytes()
    url = web.serve('/a.zip', body)

    def full(path: Path, target: Path, **kwargs: object) -> None:
        target.mkdir(parents=True)
        (target / 'half').write_bytes(b'half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(archives, 'unpack', full)
    with pytest.raises(DiskFullError, match='is full'):
        fetch(request(url, body, member='ssd/frozen.pb'), options())
    assert files_in(cache_directory) == [f'files/{sha256(body)}/a.zip']


def test_a_member_of_a_local_archive(tmp_path: Path, cache_directory: Path, options: Any) -> None:
    path = make(tmp_path / 'a.tgz', FILES)
    assert fetch(_local(path, 'README'), options()).read_bytes() == b'read me'
    declared = sha256_of_file(path)
    assert fetch(_local(path, 'README', declared), options()).is_file()
    with pytest.raises(IntegrityError, match='/robot/tiny.yaml declares'):
        fetch(_local(path, 'README', '0' * 64), options())
    assert not [name for name in files_in(cache_directory) if not name.startswith('unpacked/')]
    plain = tmp_path / 'plain.onnx'
    plain.write_bytes(b'\x08\x07')
    with pytest.raises(ArchiveError, match='plain.onnx is not an archive'):
        fetch(_local(plain, 'README'), options())


def test_a_directory_and_its_members(tmp_path: Path, cache_directory: Path, options: Any) -> None:
    directory = tmp_path / 'saved'
    (directory / 'variables').mkdir(parents=True)
    (directory / 'model.pb').write_bytes(b'saved')
    (directory / 'variables' / '0').write_bytes(b'v')
    assert fetch(_local(directory, None), options()) == directory
    assert fetch(_local(directory, 'variables'), options()) == directory / 'variables'
    with pytest.raises(ModelNotFoundError, match='available are model.pb, variables, variables/0'):
        fetch(_local(directory, 'x'), options())
    declared = sha256_of_directory(directory)
    assert fetch(_local(directory, None, declared), options()) == directory
    (directory / 'variables' / '0').write_bytes(b'w')
    with pytest.raises(IntegrityError, match='the directory was changed'):
        fetch(_local(directory, None, declared), options())
    assert files_in(cache_directory) == []
