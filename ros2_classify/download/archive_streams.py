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
Compressed tar archives as a stream that can't be made to eat the memory.

`tarfile` trusts what a header says: it reads a name of four gigabytes where one is announced. It
reads through `BoundedStream` here, which refuses that.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from contextlib import contextmanager
import gzip
import io
import lzma
from pathlib import Path
from typing import Any, BinaryIO, cast

from ros2_classify.errors import ArchiveError

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
    """
    A stream for `tarfile`: forward only, and bounded in each read and in all.

    Parameters
    ----------
    stream : binary file
        The unpacked bytes.
    limit : int
        How many of them there may be.

    """

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._position = 0

    def read(self, count: int = -1) -> bytes:
        """Return so many bytes, or fewer at the end."""
        if not 0 <= count <= MAX_READ:
            raise ArchiveError('a header announces more than any honest one holds')
        parts = []
        while count and (part := self._stream.read(count)):
            parts.append(part)
            count -= len(part)
            self._position += len(part)
        if self._position > self._limit:
            raise ArchiveError('it is larger unpacked than is allowed')
        return b''.join(parts)

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
    """Unpacks xz within a limit of memory, which `lzma.open` does not offer."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decoder = self._new()
        self._rest = b''

    def readable(self) -> bool:
        """Tell that it can be read."""
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
                    raise EOFError('it ends too early')
            plain = self._decoder.decompress(fresh, len(view))
            if plain:
                view[:len(plain)] = plain
                return len(plain)

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def _next_stream(self) -> bool:
        """Begin the next of several streams, after the zeros that may lie between them."""
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
    """
    Open a tar archive's bytes.

    Parameters
    ----------
    path : Path
        The archive.
    kind : str
        'tar', 'tar.gz', 'tar.bz2' or 'tar.xz'.
    limit : int
        How many bytes it may unpack to, headers included.

    Yields
    ------
    BoundedStream
        What `tarfile` can read without compression.

    """
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
