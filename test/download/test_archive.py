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

"""Archives: all kinds are read, and each attack is refused before anything is written."""

from __future__ import annotations

from collections.abc import Callable
import gzip
import hashlib
import io
import lzma
from pathlib import Path
import struct
import tarfile
import threading
import tracemalloc
import zipfile
import zlib

from archive_files import make, TAR_ATTACKS, tar_with, ZIP_ATTACKS, zip_with
import pytest
from ros2_classify.download.archive import Limits, list_members, Member, read_member, unpack
from ros2_classify.download.url import is_archive_name, SUFFIXES
from ros2_classify.errors import ArchiveError, FetchCancelledError

FILES = {'model/net.onnx': bytes(range(256)) * 300, 'model/labels.txt': b'a\nb\n',
         'model/empty': b'', 'README': b'read me'}


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_every_kind_is_unpacked(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f'archive{suffix}', FILES)
    assert is_archive_name(path.name)
    assert list_members(path) == [
        Member(name, len(body), False) for name, body in FILES.items()]
    written = unpack(path, tmp_path / 'tree')
    assert written == {name: (len(body), hashlib.sha256(body).hexdigest())
                       for name, body in FILES.items()}
    for name, body in FILES.items():
        assert (tmp_path / 'tree' / name).read_bytes() == body


def test_the_content_tells_the_kind(tmp_path: Path) -> None:
    path = make(tmp_path / 'a.zip', FILES).rename(tmp_path / 'download.tar.gz')
    assert len(list_members(path)) == len(FILES)
    plain = tmp_path / 'model.tar.gz'
    plain.write_bytes(b'\x08\x07network')
    with pytest.raises(ArchiveError, match='model.tar.gz is not an archive.*tar.gz, .tgz'):
        list_members(plain)


def test_directories_and_dots_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / 'a.tar'
    with tarfile.open(path, 'w') as tar:
        for name in ('./', './a/', './a/b/'):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            info.mode = 0
            tar.addfile(info)
        info = tarfile.TarInfo('./a/f')
        info.mode = 0o4777
        tar.addfile(info, io.BytesIO())
    assert list_members(path) == [
        Member('a', 0, True), Member('a/b', 0, True), Member('a/f', 0, False)]
    unpack(path, tmp_path / 'tree')
    assert (tmp_path / 'tree/a/b').is_dir()
    assert (tmp_path / 'tree/a/f').stat().st_mode & 0o7111 == 0


def test_a_sparse_file_counts_in_full(tmp_path: Path) -> None:
    # The old GNU form: a header with the real size, and no data block at all.
    info = tarfile.TarInfo('sparse')
    info.size = 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = tarfile.GNUTYPE_SPARSE
    block[386:482] = bytes(96)
    block[483:495] = b'%011o\0' % 5000
    block[148:156] = b' ' * 8
    block[148:156] = b'%06o\0 ' % sum(block[:512])
    path = tmp_path / 'a.tar'
    path.write_bytes(bytes(block) + bytes(10240))
    with pytest.raises(ArchiveError, match='more than the 4.0 kB'):
        list_members(path, Limits(unpacked=4000))
    unpack(path, tmp_path / 'tree')
    assert (tmp_path / 'tree/sparse').read_bytes() == bytes(5000)


def _assert_refused(path: Path, tmp_path: Path) -> str:
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(ArchiveError) as error:
        list_members(path)
    assert sorted(tmp_path.rglob('*')) == before
    # And where somebody forgets to look first, nothing leaves the target.
    target = tmp_path / 'below' / 'tree'
    with pytest.raises(ArchiveError):
        unpack(path, target)
    assert not [left for left in target.parent.rglob('*')
                if left.is_symlink() or (left.is_file() and left.name != 'good.txt')]
    assert not Path('/tmp/evil').exists()
    assert not (tmp_path / 'evil').exists()
    return str(error.value)


@pytest.mark.parametrize('attack', TAR_ATTACKS.values(), ids=TAR_ATTACKS)
def test_a_hostile_tar_is_refused(tmp_path: Path, attack: Callable[[Path], Path]) -> None:
    path = attack(tmp_path / 'evil.tar.gz')
    message = _assert_refused(path, tmp_path)
    assert 'is not unpacked: its member' in message
    assert message.isprintable()
    with tarfile.open(path) as tar:
        assert ('is a link' in message) == any(
            member.issym() or member.islnk() for member in tar)


@pytest.mark.parametrize('attack', ZIP_ATTACKS.values(), ids=ZIP_ATTACKS)
def test_a_hostile_zip_is_refused(tmp_path: Path, attack: Callable[[Path], Path]) -> None:
    path = attack(tmp_path / 'evil.zip')
    message = _assert_refused(path, tmp_path)
    assert 'is not unpacked: its member' in message
    assert ('is a link' in message) == (path.read_bytes().count(b'/etc/passwd') > 0)


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    path = zip_with(tmp_path / 'evil.zip', lambda info: None, 'evilXname')
    path.write_bytes(path.read_bytes().replace(b'evilXname', b'evil\0name'))
    assert 'unprintable' in _assert_refused(path, tmp_path)


def test_a_password_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / 'a.zip', FILES)
    body = bytearray(path.read_bytes())
    start = body.index(b'PK\x01\x02')
    body[start + 8] |= 1
    path.write_bytes(bytes(body))
    assert 'needs a password' in _assert_refused(path, tmp_path)


@pytest.mark.parametrize('suffix', ['.zip', '.tar.gz'])
def test_too_many_members_are_refused(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f'a{suffix}', {f'f{index}': b'' for index in range(30)})
    assert len(list_members(path, Limits(members=30))) == 30
    with pytest.raises(ArchiveError, match='more than the 29 members'):
        list_members(path, Limits(members=29))


@pytest.mark.parametrize('suffix', ['.zip', '.tar.gz', '.tar.bz2', '.tar.xz'])
def test_a_bomb_is_refused(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f'a{suffix}', {'zeros': bytes(2_000_000)})
    assert path.stat().st_size < 10_000
    with pytest.raises(ArchiveError, match='more than the 1.0 MB'):
        list_members(path, Limits(unpacked=1_000_000))
    with pytest.raises(ArchiveError, match='more than the 1.0 MB'):
        unpack(path, tmp_path / 'tree', Limits(unpacked=1_000_000))
    assert not list((tmp_path / 'tree').rglob('*'))


def test_a_bomb_of_headers_does_not_fill_the_memory(tmp_path: Path) -> None:
    # A name of 300 MB, which unpacks from 300 kB; tarfile alone would read it into memory.
    header = tarfile.TarInfo('././@LongLink')
    header.type = tarfile.GNUTYPE_LONGNAME
    header.size = 300_000_000
    path = tmp_path / 'a.tar.gz'
    with gzip.open(path, 'wb', compresslevel=1) as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(300):
            stream.write(bytes(1_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match='larger than any valid one'):
            list_members(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_zip_directory_that_lies_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / 'a.zip', FILES)
    body = bytearray(path.read_bytes())
    end = body.rindex(b'PK\x05\x06')
    for offset, form, value in ((10, '<H', 0xFFFF), (12, '<I', 0xFFFFFFFF)):
        changed = bytearray(body)
        struct.pack_into(form, changed, end + offset, value)
        path.write_bytes(bytes(changed))
        with pytest.raises(ArchiveError, match='more than the 10000 members'):
            list_members(path)


def test_a_zip_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / 'a.zip', {'zeros': bytes(100_000)})
    body = path.read_bytes().replace(struct.pack('<I', 100_000), struct.pack('<I', 50))
    path.write_bytes(body)
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / 'tree')
    assert sum(left.stat().st_size for left in (tmp_path / 'tree').rglob('*')) <= 50


@pytest.mark.parametrize('size', [3, 5])
def test_a_member_has_the_size_that_was_declared(tmp_path: Path, size: int) -> None:
    # tarfile and zipfile see to it as well; should one of them stop, this is noticed.
    with pytest.raises(ArchiveError, match=f'f does not have the declared {size} bytes'):
        list(read_member(
            tmp_path / 'a.tar', Member('f', size, False), lambda: io.BytesIO(b'1234')))


def test_xz_may_not_take_all_memory(tmp_path: Path) -> None:
    path = make(tmp_path / 'a.tar', FILES)
    # The size of the dictionary stands in a header; nothing that large has to be packed.
    body = bytearray(lzma.compress(path.read_bytes()))
    position = body.index(b'\x21\x01') + 2  # LZMA2, one byte of properties
    body[position] = 38  # 2 ** 31 bytes, by the xz format 1.1.0, section 5.3.1
    start = 12
    length = (body[start] + 1) * 4
    check_sum = zlib.crc32(bytes(body[start:start + length - 4]))
    struct.pack_into('<I', body, start + length - 4, check_sum)
    packed = tmp_path / 'a.tar.xz'
    packed.write_bytes(bytes(body))
    with pytest.raises(ArchiveError, match='[Mm]emory'):
        list_members(packed)


def test_several_xz_streams_are_one(tmp_path: Path) -> None:
    body = make(tmp_path / 'a.tar', FILES).read_bytes()
    path = tmp_path / 'a.tar.xz'
    path.write_bytes(lzma.compress(body[:5000]) + bytes(8) + lzma.compress(body[5000:]) + bytes(4))
    assert len(list_members(path)) == len(FILES)
    assert (unpack(path, tmp_path / 'tree')['model/net.onnx'][0]
            == len(FILES['model/net.onnx']))


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_broken_archive_is_one_sentence(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f'a{suffix}', FILES)
    body = path.read_bytes()
    for number, broken in enumerate((body[:len(body) // 2], body[:20], body[:600] + b'?' * 600)):
        path.write_bytes(broken)
        with pytest.raises(ArchiveError, match=rf'a{suffix} (cannot be unpacked|is not an )|'
                                               rf'a{suffix}: .* does not have the'):
            unpack(path, tmp_path / f'tree{number}')


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match='No such file'):
        list_members(tmp_path / 'missing.zip')


def test_a_pax_header_cannot_hide_a_path(tmp_path: Path) -> None:
    path = tmp_path / 'a.tar'
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo('harmless')
        info.pax_headers = {'path': '../evil'}
        tar.addfile(info)
    assert "'../evil' leaves its" in _assert_refused(path, tmp_path)


def test_cancelling_ends_unpacking(tmp_path: Path) -> None:
    path = make(tmp_path / 'a.zip', FILES)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(FetchCancelledError):
        unpack(path, tmp_path / 'tree', cancel=cancel)


def test_a_damaged_member_is_noticed(tmp_path: Path) -> None:
    path = zip_with(tmp_path / 'a.zip', lambda info: None, 'data', b'x' * 1000)
    path.write_bytes(path.read_bytes().replace(b'x' * 1000, b'y' * 1000))
    with pytest.raises(ArchiveError, match='CRC'):
        unpack(path, tmp_path / 'tree')
    assert zipfile.is_zipfile(path)


def test_the_harmless_part_of_a_hostile_archive_is_not_used(tmp_path: Path) -> None:
    path = tar_with(tmp_path / 'evil.tar.gz', lambda info: None, '../evil')
    with pytest.raises(ArchiveError):
        list_members(path)
    assert [left.name for left in tmp_path.iterdir()] == ['evil.tar.gz']
