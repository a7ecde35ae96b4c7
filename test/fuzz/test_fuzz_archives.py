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

"""Archives and bundles from anywhere: nothing leaves the directory or grows without end."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from pathlib import Path
import shutil
import tarfile
from typing import Any
import zipfile

from fuzzing import fuzz, spoilt, TEXTS
from hypothesis import strategies as st
import pytest

from ros2_classify.bundle import import_bundle
from ros2_classify.download.archive import Limits, list_members, unpack
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import ArchiveError, Ros2ClassifyError

LIMITS = Limits(members=40, unpacked=200_000)
FILES = {'models/a.yaml': b'name: a\n' * 20, 'models/b.onnx': bytes(range(256)) * 4,
         'empty': b''}
TAR_TYPES = [bytes([kind]) for kind in b'01234567LKxgS\0']


def as_tar(members: list[tuple[Any, ...]], mode: str) -> bytes:
    """Write a tar archive whose headers may say anything."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, errors='surrogateescape') as tar:  # type: ignore
        for name, body, kind, link in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(body), kind, link
            tar.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def as_zip(members: list[tuple[Any, ...]]) -> bytes:
    """Write a zip archive whose headers may say anything."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, body, mode in members:
            info = zipfile.ZipInfo(name or '?')
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body)
    return stream.getvalue()


PLAIN = [(name, body, tarfile.REGTYPE, '') for name, body in FILES.items()]
GOOD = [as_tar(PLAIN, 'w'), as_tar(PLAIN, 'w:gz'), as_tar(PLAIN, 'w:bz2'), as_tar(PLAIN, 'w:xz'),
        as_zip([(name, body, 0o644) for name, body in FILES.items()])]
NAMES = st.one_of(st.sampled_from([
    'a', 'a/b', 'a/../b', '../evil', '/evil', 'a//b', './a', '.', '..', 'a\\b', 'C:evil',
    'x' * 300, 'd/' * 40 + 'f', '~/.bashrc', 'a/./b', 'ä', 'a\nb']), TEXTS.filter(
        lambda text: '\0' not in text and '\ud800' not in text and len(text) < 1000))
ENCODABLE = NAMES.filter(lambda name: not any('\ud800' <= letter <= '\udfff' for letter in name))
TAR_MEMBERS = st.lists(st.tuples(
    ENCODABLE, st.binary(max_size=600), st.sampled_from(TAR_TYPES),
    st.sampled_from(('', '../x', '/etc/passwd', 'a'))), max_size=5)
ZIP_MEMBERS = st.lists(st.tuples(
    ENCODABLE, st.binary(max_size=600),
    st.sampled_from((0, 0o100644, 0o120777, 0o040755, 0o020666, 0o010644))), max_size=5)


def try_out(data: bytes, directory: Path) -> None:
    """Unpack an archive; whatever comes of it is in the directory and within the limits."""
    shutil.rmtree(directory / 'box', ignore_errors=True)
    target = directory / 'box' / 'target'
    target.mkdir(parents=True)
    path = directory / 'archive'
    path.write_bytes(data)
    try:
        members = list_members(path, LIMITS)
        written = unpack(path, target, LIMITS)
    except ArchiveError:
        pass
    else:
        assert set(written) == {member.name for member in members if not member.is_directory}
    found = [Path(base, name) for base, _, names in os.walk(directory / 'box') for name in names]
    assert all(place.is_relative_to(target) and not place.is_symlink() for place in found)
    assert sum(place.stat().st_size for place in found) <= LIMITS.unpacked
    assert len(found) <= LIMITS.members


@fuzz(data=st.one_of(spoilt(st.sampled_from(GOOD)), st.binary(max_size=600)))
def test_spoilt_archives(data: bytes, tmp_path: Path) -> None:
    """Archives that were damaged."""
    try_out(data, tmp_path)


@fuzz(members=TAR_MEMBERS, mode=st.sampled_from(('w', 'w:gz')))
def test_tar_with_odd_members(members: list[Any], mode: str, tmp_path: Path) -> None:
    """Members of every type, with names that lead anywhere."""
    try_out(as_tar(members, mode), tmp_path)


@fuzz(members=ZIP_MEMBERS)
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_zip_with_odd_members(members: list[Any], tmp_path: Path) -> None:
    """The same in a zip archive."""
    try_out(as_zip(members), tmp_path)


@fuzz(0.5, data=spoilt(st.just(gzip.decompress(GOOD[1]))))
def test_spoilt_below_the_compression(data: bytes, tmp_path: Path) -> None:
    """Headers that were damaged before they were compressed: no check sum tells."""
    try_out(gzip.compress(data, 1), tmp_path)


def bundle(index: bytes, files: dict[str, bytes]) -> bytes:
    """Write a bundle."""
    return as_tar([('bundle.json', index, tarfile.REGTYPE, '')] + [
        (name, body, tarfile.REGTYPE, '') for name, body in files.items()], 'w')


BUNDLED = {'models/a.yaml': b'source: {path: b.onnx}\n', 'models/b.onnx': b'model'}
INDEX = {'format': 1, 'files': {
    name: hashlib.sha256(body).hexdigest() for name, body in BUNDLED.items()}}
JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), TEXTS), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(('format', 'files', 'models/a.yaml', 'models/../a', 'files/x/y')), inner,
        max_size=3)), max_leaves=6)


@fuzz(0.5, index=st.one_of(
    JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=60),
    st.builds(lambda files: json.dumps({'format': 1, 'files': files}).encode(), JSON),
    spoilt(st.just(json.dumps(INDEX).encode()))))
def test_bundles_with_odd_indexes(index: bytes, tmp_path: Path) -> None:
    """A bundle is all as its index says, or nothing of it is used."""
    path, directory = tmp_path / 'bundle.tar', tmp_path / 'models'
    shutil.rmtree(directory, ignore_errors=True)
    path.write_bytes(bundle(index, BUNDLED))
    try:
        import_bundle(path, directory, FetchOptions(
            cache=tmp_path / 'cache', progress=lambda *args: None))  # type: ignore[arg-type]
    except Ros2ClassifyError:
        assert not directory.exists()


@pytest.mark.parametrize('opening', [b'[', b'{"a":'])
def test_a_bomb_as_an_index(opening: bytes, tmp_path: Path) -> None:
    """An index that is nested without an end is refused as any other damaged one."""
    path = tmp_path / 'bundle.tar'
    path.write_bytes(bundle(opening * 100_000, BUNDLED))
    with pytest.raises(ArchiveError, match='its index is damaged'):
        import_bundle(path, tmp_path / 'models', FetchOptions(cache=tmp_path / 'cache'))


def test_the_bundle_that_the_others_are_made_of_is_good(tmp_path: Path) -> None:
    """What the test above spoils is imported as it is."""
    path = tmp_path / 'bundle.tar'
    path.write_bytes(bundle(json.dumps(INDEX).encode(), BUNDLED))
    imported = import_bundle(path, tmp_path / 'models', FetchOptions(cache=tmp_path / 'cache'))
    assert [model.name for model in imported.models] == ['a.yaml']
