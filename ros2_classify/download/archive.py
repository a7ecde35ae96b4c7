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

"""
Safe unpacking of archives from untrusted sources.

Every member is checked before the first is written. Extraction by `tarfile` and `zipfile` is not
used, because its safeguards differ between Python releases (PEP 706): only plain files and
directories are created, below the target, with our permissions.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
import gzip
import hashlib
import io
import lzma
from pathlib import Path
import stat
import struct
import tarfile
import threading
from typing import Any, BinaryIO, cast, IO
import zipfile
import zlib

from ros2_classify.download.hashing import check_cancel
from ros2_classify.download.url import SUFFIXES
from ros2_classify.errors import ArchiveError
from ros2_classify.limits import MAX_TAR_HEADERS
from ros2_classify.progress import human_size, Meter

# The longest single read: far more than any honest header, and what we copy data by.
MAX_READ = 1024 * 1024
# What "xz -9" needs to unpack is 65 MiB; a header can ask for 4 GiB.
_XZ_MEMORY = 256 * 1024 * 1024

_MAGICS = (
    ('zip', 0, b'PK\x03\x04'),
    ('zip', 0, b'PK\x05\x06'),
    ('tar.gz', 0, b'\x1f\x8b'),
    ('tar.bz2', 0, b'BZh'),
    ('tar.xz', 0, b'\xfd7zXZ\x00'),
    ('tar', 257, b'ustar'),
)


def kind_of(path: Path) -> str | None:
    """Return 'zip', 'tar', 'tar.gz', 'tar.bz2' or 'tar.xz' by a file's content, or None."""
    with open(path, 'rb') as stream:
        head = stream.read(512)
    for kind, offset, magic in _MAGICS:
        if head[offset:offset + len(magic)] == magic:
            return kind
    return None


class BoundedStream:
    """A stream for `tarfile`: forward only, with limits for each read and for the total."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._position = 0
        self._end_of_headers: int | None = None

    def read(self, count: int = -1) -> bytes:
        """Return ``count`` bytes, or fewer at the end."""
        if not 0 <= count <= MAX_READ:
            raise ArchiveError('a header is larger than any valid one')
        if self._end_of_headers is not None and self._position + count > self._end_of_headers:
            raise ArchiveError('the headers of a member are larger than any valid ones')
        parts = []
        while count and (part := self._stream.read(count)):
            parts.append(part)
            count -= len(part)
            self._position += len(part)
        if self._position > self._limit:
            raise ArchiveError('it is too large when unpacked')
        return b''.join(parts)

    @contextmanager
    def headers(self, most: int) -> Iterator[None]:
        """Read not more than ``most`` bytes in this block."""
        self._end_of_headers = self._position + most
        try:
            yield
        finally:
            self._end_of_headers = None

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Skip bytes, up to a position from the beginning."""
        if whence != io.SEEK_SET or position < self._position:
            raise ArchiveError('its members are not in order')
        while self._position < position:
            if not self.read(min(position - self._position, MAX_READ)):
                break
        return self._position


class _XzReader(io.RawIOBase):
    """Unpacks xz with a memory limit, which `lzma.open` does not offer."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decoder = self._new()
        self._rest = b''

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        view = memoryview(buffer).cast('B')
        while True:
            if self._decoder.eof and not self._next_stream():
                return 0
            fresh = b''
            if self._decoder.needs_input:
                fresh = self._rest or self._source.read(64 * 1024)
                self._rest = b''
                if not fresh:
                    raise EOFError('it is truncated')
            plain = self._decoder.decompress(fresh, len(view))
            if plain:
                view[:len(plain)] = plain
                return len(plain)

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def _next_stream(self) -> bool:
        """Start the next concatenated stream; zeros may separate them."""
        rest = self._decoder.unused_data
        while not rest.lstrip(b'\0'):
            rest = self._source.read(64 * 1024)
            if not rest:
                return False
        self._rest = rest.lstrip(b'\0')
        self._decoder = self._new()
        return True


@contextmanager
def open_tar_stream(path: Path, kind: str, limit: int) -> Iterator[BoundedStream]:
    """Open a tar archive's bytes."""
    with open(path, 'rb') as source:
        if kind == 'tar.gz':
            plain = cast(BinaryIO, gzip.GzipFile(fileobj=source))
        elif kind == 'tar.bz2':
            plain = cast(BinaryIO, bz2.BZ2File(source))
        elif kind == 'tar.xz':
            plain = cast(BinaryIO, io.BufferedReader(_XzReader(source)))
        else:
            plain = source
        with plain:
            yield BoundedStream(plain, limit)


_MAX_DEPTH = 32
_MAX_NAME_BYTES = 200
# Headers and padding of a tar archive, at most, for each member.
_TAR_OVERHEAD = 16 * 1024
# A zip archive's directory: a fixed part and the name, for each member.
_ZIP_ENTRY = 46 + 1024
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP_ENCRYPTED = 0x1
_ZIP64_LOCATOR = b'PK\x06\x07'
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError,
           ValueError, NotImplementedError, RuntimeError, struct.error, OverflowError)


@dataclass(frozen=True)
class Limits:
    """The largest archive that is unpacked."""

    members: int = 10_000  # files and directories
    unpacked: int = 16 * 10 ** 9  # bytes of all files together


@dataclass(frozen=True)
class Member:
    """A file or directory in an archive."""

    # Its path below the archive's top, with ``/`` between and nothing else special in it.
    name: str
    size: int  # bytes, as declared; 0 for a directory
    is_directory: bool  # whether it is a directory


Opener = Callable[[], IO[bytes]]


def list_members(path: Path, limits: Limits = Limits()) -> list[Member]:
    """Look at all members of an archive."""
    with walk(path, limits) as members:
        return [member for member, _ in members]


def unpack(path: Path, target: Path, limits: Limits = Limits(), *, meter: Meter | None = None,
           cancel: threading.Event | None = None) -> dict[str, tuple[int, str]]:
    """Write all members of an archive that `list_members` found harmless."""
    target.mkdir(parents=True, exist_ok=True)
    written = {}
    with walk(path, limits) as members:
        for member, opener in members:
            check_cancel(cancel)
            place = target / member.name
            if member.is_directory:
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with open(place, 'xb') as stream:
                for chunk in read_member(path, member, opener):
                    check_cancel(cancel)
                    stream.write(chunk)
                    digest.update(chunk)
                    if meter:
                        meter.add(len(chunk))
            written[member.name] = member.size, digest.hexdigest()
    return written


def read_member(path: Path, member: Member, opener: Opener) -> Iterator[bytes]:
    """Yield a member's bytes; ArchiveError if the declared size is wrong."""
    left = member.size
    with _reading(path):
        with opener() as source:
            while chunk := source.read(MAX_READ):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
    if left:
        raise ArchiveError(f'{path.name}: {member.name} does not have the declared '
                           f'{member.size} bytes; download the archive again')


@contextmanager
def walk(path: Path, limits: Limits = Limits()) -> Iterator[Iterator[tuple[Member, Opener]]]:
    """Open an archive and go through its members, each checked before it is yielded."""
    with _reading(path):
        kind = kind_of(path)
    if kind is None:
        raise ArchiveError(f'{path.name} is not an archive; supported are '
                           f'{", ".join(SUFFIXES)}')
    raw = _walk_zip(path, limits) if kind == 'zip' else _walk_tar(path, kind, limits)
    try:
        yield _checked(path, raw, limits)
    finally:
        raw.close()


_Raw = Generator[tuple[str, int, str, Opener], None, None]


def _checked(path: Path, raw: _Raw, limits: Limits) -> Iterator[tuple[Member, Opener]]:
    """Yield safe members; raise ArchiveError at the first unsafe one."""
    files: set[str] = set()
    directories: set[str] = set()
    count = total = 0
    while True:
        with _reading(path):
            entry = next(raw, None)
        if entry is None:
            return
        name, size, kind, opener = entry
        if kind not in ('file', 'directory'):
            raise _harmful(path, name, f'is a {kind}; only files and directories are unpacked')
        count, total = count + 1, total + size
        if count > limits.members:
            raise ArchiveError(f'{path.name} is not unpacked: it has more than the '
                               f'{limits.members} members that are allowed')
        if size < 0 or total > limits.unpacked:
            raise ArchiveError(f'{path.name} is not unpacked: its files take more than the '
                               f'{human_size(limits.unpacked)} that are allowed')
        parts = _parts(path, name)
        if not parts:
            continue  # the top itself
        clean = '/'.join(parts)
        parents = {'/'.join(parts[:end]) for end in range(1, len(parts))}
        is_directory = kind == 'directory'
        if clean in files or (clean in directories and not is_directory) or parents & files:
            raise _harmful(path, name, 'occurs twice')
        directories |= parents | ({clean} if is_directory else set())
        if not is_directory:
            files.add(clean)
        yield Member(clean, size, is_directory), opener


def _parts(path: Path, name: str) -> list[str]:
    """Return the parts of a member's path, each checked."""
    # A name that isn't UTF-8 holds surrogates, which aren't printable.
    if not name.isprintable() or '\\' in name:
        raise _harmful(path, name, 'has a backslash or an unprintable character in its name')
    if name.startswith('/') or name[1:2] == ':':
        raise _harmful(path, name, 'has an absolute path')
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if '..' in parts:
        raise _harmful(path, name, 'leaves its directory by ".."')
    if len(parts) > _MAX_DEPTH or any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        raise _harmful(path, name, 'has a path that is too long')
    return parts


def _harmful(path: Path, name: str, problem: str) -> ArchiveError:
    shown = ascii(name) if len(name) < 80 else f'{ascii(name[:76])}…'
    return ArchiveError(f'{path.name} is not unpacked: its member {shown} {problem}; use an '
                        'archive from a source you trust')


def _walk_tar(path: Path, kind: str, limits: Limits) -> _Raw:
    limit = limits.unpacked + limits.members * _TAR_OVERHEAD
    with open_tar_stream(path, kind, limit) as stream:
        with stream.headers(MAX_TAR_HEADERS):
            # "r:" because the stream is unpacked already. This reads the first member's headers.
            tar = tarfile.open(fileobj=stream, mode='r:', errorlevel=2)  # type: ignore
            member = tar.next()
        with tar:
            # Not "for member in tar": that keeps all members in memory.
            while member is not None:
                tar.members = []
                if sum(len(key) + len(value)
                       for key, value in tar.pax_headers.items()) > MAX_TAR_HEADERS:
                    raise ArchiveError('its global headers are larger than any valid ones')
                yield member.name, member.size, _tar_kind(member), _tar_opener(tar, member)
                # Past the data, which tarfile itself skips within "next".
                stream.seek(tar.offset)
                with stream.headers(MAX_TAR_HEADERS):
                    member = tar.next()
        # The checksum of the compressed data is at its end.
        while stream.read(MAX_READ):
            pass


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return 'link'
    if member.isdir():
        return 'directory'
    # A sparse file is written out in full; its size is that one.
    return 'file' if member.isreg() else 'device or another special file'


def _tar_opener(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Opener:
    def open_member() -> IO[bytes]:
        stream = tar.extractfile(member)
        assert stream is not None, 'only files are opened'
        return stream
    return open_member


def _walk_zip(path: Path, limits: Limits) -> _Raw:
    _check_zip_directory(path, limits)
    # Whatever the end of the archive declares, no more than this is read at once.
    with open(path, 'rb') as file, zipfile.ZipFile(
            cast(BinaryIO, _BoundedFile(file, limits.members * _ZIP_ENTRY))) as archive:
        for info in archive.infolist():
            # What zipfile makes of a name ends at the first NUL; the name as written tells.
            yield info.orig_filename, info.file_size, _zip_kind(info), partial(archive.open, info)


class _BoundedFile:
    """A file for `zipfile` with a limit for each read."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.close = file.close

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(self._most + 1 if count < 0 else min(count, self._most + 1))
        if len(data) > self._most:
            raise ArchiveError('its directory is larger than any valid one')
        return data


def _zip_kind(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return 'link'
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return 'device or another special file'
    if info.flag_bits & _ZIP_ENCRYPTED:
        return 'file that needs a password'
    if info.compress_type not in _ZIP_METHODS:
        return f'file packed by method {info.compress_type}'
    return 'directory' if info.is_dir() else 'file'


def _check_zip_directory(path: Path, limits: Limits) -> None:
    """Refuse a huge central directory before zipfile reads it (APPNOTE.TXT 6.3.10, 4.3.16)."""
    with open(path, 'rb') as stream:
        stream.seek(0, 2)
        stream.seek(max(stream.tell() - 65557, 0))
        tail = stream.read()
    start = tail.rfind(b'PK\x05\x06')
    if start < 0 or start + 16 > len(tail):
        raise EOFError('its end is missing')
    count, size = struct.unpack_from('<HI', tail, start + 10)
    if tail[max(start - 20, 0):start].startswith(_ZIP64_LOCATOR) and start >= 76:
        # The record that zipfile takes instead, section 4.3.14, which is right before it.
        count, size = struct.unpack_from('<QQ', tail, start - 76 + 32)
    # Without a locator, 0xFFFF and 0xFFFFFFFF are too large too.
    if count > limits.members or size > limits.members * _ZIP_ENTRY:
        raise ArchiveError(f'{path.name} is not unpacked: it has more than the '
                           f'{limits.members} members that are allowed')


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn every error of a broken archive into an ArchiveError."""
    try:
        yield
    except ArchiveError as error:
        text = str(error)
        if path.name in text:
            raise
        raise ArchiveError(f'{path.name} is not unpacked: {text}; use an archive from a source '
                           'you trust') from error
    except _BROKEN as error:
        raise ArchiveError(f'{path.name} cannot be unpacked ({error}); it is damaged or not '
                           'an archive; download it again') from error
