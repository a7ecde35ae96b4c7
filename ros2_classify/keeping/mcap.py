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
MCAP recordings that are whole after each image (mcap.dev, specification of version 0).

A chunk holds the messages of one image, so that readers find them by time. What follows the last
chunk, an index and the end of the file, is written together with it. Where a process ended in
the middle of that, `mend` cuts the file behind the last whole chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import os
from pathlib import Path
import struct
from typing import BinaryIO, NamedTuple
import zlib

from ros2_classify.errors import InputError

MAGIC = b'\x89MCAP0\r\n'
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX = range(1, 9)
_STATISTICS, _DATA_END = 0x0b, 0x0f
_RECORD = struct.Struct('<BQ')
_MESSAGE_HEAD = struct.Struct('<HIQQ')
_TWO = struct.Struct('<QQ')


class Message(NamedTuple):
    """A serialized ROS message; `schema` is its definition and those that it uses."""

    topic: str
    kind: str
    schema: str
    data: bytes


class _Chunk(NamedTuple):
    """Where a chunk and its indexes are; `offsets` are those of the indexes, by channel."""

    stamp: int
    begin: int
    length: int
    offsets: Mapping[int, int]
    index_length: int
    size: int


class Growth(NamedTuple):
    """One chunk more: what replaces the tail, where the new one begins, the size of the file."""

    chunk: _Chunk
    data: bytes
    end: int
    size: int


def _record(kind: int, *parts: bytes) -> bytes:
    return _RECORD.pack(kind, sum(map(len, parts))) + b''.join(parts)


def _text(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack('<I', len(data)) + data


@dataclass
class Recording:
    """
    A file that grows by one chunk for each image, and is whole after each.

    All chunks have the channels of the first one.
    """

    path: Path
    head: bytes = b''
    about: bytes = b''  # schemas and channels, again in the summary
    channels: int = 0
    chunks: list[_Chunk] = field(default_factory=list)
    end: int = 0  # of the last chunk with its indexes

    def begin(self, messages: Sequence[Message]) -> None:
        """Know the channels, from the messages of the first image."""
        parts = []
        for number, message in enumerate(messages, 1):
            parts.append(_record(
                _SCHEMA, struct.pack('<H', number), _text(message.kind), _text('ros2msg'),
                _text(message.schema)))
        for number, message in enumerate(messages, 1):
            parts.append(_record(
                _CHANNEL, struct.pack('<HH', number, number), _text(message.topic), _text('cdr'),
                _text(_text('offered_qos_profiles') + _text(''))))
        self.about, self.channels = b''.join(parts), len(messages)
        self.head = MAGIC + _record(_HEADER, _text('ros2'), _text('ros2_classify')) + self.about
        self.end = len(self.head)

    def grow(self, stamp: int, messages: Sequence[Message]) -> Growth:
        """Return what one image more would write."""
        chunk, data = self._chunk(stamp, messages)
        end = self.end + len(data)
        new = data + self._tail([*self.chunks, chunk], end)
        return Growth(chunk, new, end, self.end + len(new))

    def append(self, growth: Growth) -> None:
        """Write it."""
        if self.chunks:
            with self.path.open('r+b') as file:
                file.seek(self.end)
                file.write(growth.data)
        else:
            # The first one appears whole.
            temporary = self.path.with_suffix('.part')
            try:
                temporary.write_bytes(self.head + growth.data)
                os.replace(temporary, self.path)
            finally:
                temporary.unlink(missing_ok=True)
        self.chunks.append(growth.chunk)
        self.end = growth.end

    def _chunk(self, stamp: int, messages: Sequence[Message]) -> tuple[_Chunk, bytes]:
        sequence = len(self.chunks)
        inside, places = [], []
        at = 0
        for number, message in enumerate(messages, 1):
            record = _record(
                _MESSAGE, _MESSAGE_HEAD.pack(number, sequence, stamp, stamp), message.data)
            places.append(at)
            at += len(record)
            inside.append(record)
        content = b''.join(inside)
        data = _record(_CHUNK, struct.pack(
            '<QQQI', stamp, stamp, len(content), zlib.crc32(content)), _text(''),
            struct.pack('<Q', len(content)), content)
        length, offsets, indexes = len(data), {}, []
        at = self.end + length
        for number, place in enumerate(places, 1):
            offsets[number] = at
            indexes.append(_record(
                _MESSAGE_INDEX, struct.pack('<H', number), _text(_TWO.pack(stamp, place))))
            at += len(indexes[-1])
        index = b''.join(indexes)
        return (_Chunk(stamp, self.end, length, offsets, len(index), len(content)), data + index)

    def _tail(self, chunks: Sequence[_Chunk], at: int) -> bytes:
        """Return the end of a file whose data end at a place."""
        end = _record(_DATA_END, struct.pack('<I', 0))
        rows = [_record(
            _CHUNK_INDEX, struct.pack('<QQQQ', each.stamp, each.stamp, each.begin, each.length),
            _text(b''.join(struct.pack('<HQ', *pair) for pair in each.offsets.items())),
            struct.pack('<Q', each.index_length), _text(''), _TWO.pack(each.size, each.size))
            for each in chunks]
        counts = b''.join(struct.pack('<HQ', number, len(chunks))
                          for number in range(1, self.channels + 1))
        stamps = [each.stamp for each in chunks]
        statistics = _record(_STATISTICS, struct.pack(
            '<QHIIIIQQ', len(chunks) * self.channels, self.channels, self.channels, 0, 0,
            len(chunks), min(stamps, default=0), max(stamps, default=0)), _text(counts))
        return b''.join((end, self.about, *rows, statistics, _record(
            _FOOTER, struct.pack('<QQI', at + len(end), 0, 0)), MAGIC))


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield kind, begin and length of each whole record behind the magic."""
    at = len(MAGIC)
    while at + _RECORD.size <= size:
        file.seek(at)
        kind, length = _RECORD.unpack(file.read(_RECORD.size))
        if at + _RECORD.size + length > size:
            return
        yield kind, at, _RECORD.size + length
        at += _RECORD.size + length


def mend(path: Path) -> list[int]:
    """
    Return the stamps of a recording of this module; complete it if a writer was interrupted.

    Raises
    ------
    InputError
        If it is another file, or does not have one whole image.

    """
    with path.open('r+b') as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(f'{path} is not an MCAP recording')
        recording, abouts, whole = Recording(path), [], False
        pending: tuple[int, int, int, int] | None = None
        offsets: dict[int, int] = {}
        for kind, begin, length in _records(file, size):
            if kind == _DATA_END:
                file.seek(-len(MAGIC), os.SEEK_END)
                whole = file.read() == MAGIC and _ends_well(file, size)
                break
            if kind in (_SCHEMA, _CHANNEL):
                file.seek(begin)
                abouts.append(file.read(length))
                recording.channels += kind == _CHANNEL
            elif kind == _CHUNK:
                file.seek(begin + _RECORD.size)
                stamp, _, content, crc = struct.unpack('<QQQI', file.read(28))
                file.seek(begin + length - content)
                # An interrupted writer may leave the length and not the bytes.
                if zlib.crc32(file.read(content)) != crc:
                    break
                pending, offsets = (stamp, begin, length, content), {}
            elif kind == _MESSAGE_INDEX and pending is not None:
                file.seek(begin + _RECORD.size)
                offsets[struct.unpack('<H', file.read(2))[0]] = begin
                if len(offsets) == recording.channels:
                    stamp, at, long, content = pending
                    recording.end = begin + length
                    recording.chunks.append(_Chunk(
                        stamp, at, long, offsets, recording.end - at - long, content))
                    pending = None
        if not recording.chunks:
            raise InputError(f'{path} has no whole image')
        if not whole:
            recording.about = b''.join(abouts)
            file.seek(recording.end)
            file.write(recording._tail(recording.chunks, recording.end))
            file.truncate()
    return [each.stamp for each in recording.chunks]


def _ends_well(file: BinaryIO, size: int) -> bool:
    """Tell whether a footer is before the magic at the end, and points behind the data."""
    begin = size - len(MAGIC) - _RECORD.size - 20
    file.seek(begin)
    kind, length = _RECORD.unpack(file.read(_RECORD.size))
    return bool(kind == _FOOTER and length == 20
                and struct.unpack('<Q', file.read(8))[0] < begin)
