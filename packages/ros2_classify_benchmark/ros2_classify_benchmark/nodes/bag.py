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
Images out of a bag, without rosbag2: SQLite (``.db3``) and MCAP files.

MCAP: https://mcap.dev/spec. Records are an opcode of one byte, a length of eight, and that many
bytes; messages may lie in chunks, which may be compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
import sqlite3
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError
from ros2_classify.sources.image_messages import compressed_to_array, to_array, to_bgr

Pixels = NDArray[np.uint8]
# Topic, type, serialized message.
Recorded = tuple[str, str, bytes]

_MAGIC = b'\x89MCAP0\r\n'
_SUFFIXES = ('.mcap', '.db3')
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 3, 4, 5, 6
_READERS: dict[str, Callable[[Any], tuple[Any, str]]] = {
    'sensor_msgs/msg/Image': to_array,
    'sensor_msgs/msg/CompressedImage': compressed_to_array,
}


def is_bag(path: str) -> bool:
    """Tell whether a path is a bag: a file, or a directory with one in it."""
    return bool(_files(Path(path).expanduser()))


def images_of_bag(path: str, topic: str = '') -> Iterator[Pixels]:
    """Read the images of a topic."""
    from rclpy.serialization import deserialize_message
    import sensor_msgs.msg

    types = {'sensor_msgs/msg/Image': sensor_msgs.msg.Image,
             'sensor_msgs/msg/CompressedImage': sensor_msgs.msg.CompressedImage}
    seen: set[str] = set()
    files = _files(Path(path).expanduser())
    if not files:
        raise InputError(
            f'{path} is no bag: a bag is a .mcap or .db3 file, or the directory of one; what was '
            'compressed as a whole file, .zstd, is unpacked by ros2 bag convert')
    for file in files:
        reader = _mcap if file.suffix == '.mcap' else _sqlite
        for name, kind, data in reader(file):
            if kind not in types:
                continue
            seen.add(name)
            topic = topic or name
            if name == topic:
                try:
                    message = deserialize_message(data, types[kind])
                except Exception as error:  # noqa: B902 -- what rclpy raises is not documented
                    raise InputError(
                        f'the bag {path} is damaged: a message on {name} is no {kind}') from error
                yield to_bgr(*_READERS[kind](message))
    if topic not in seen:
        raise InputError(
            f'the bag {path} has no images on {topic or "any topic"}; there are some on: '
            f'{", ".join(sorted(seen)) or "none"}')


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    return [path] if path.suffix in _SUFFIXES and path.is_file() else []


def _sqlite(path: Path) -> Iterator[Recorded]:
    with sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro', uri=True) as bag:
        try:
            yield from bag.execute(
                'SELECT topics.name, topics.type, messages.data FROM messages '
                'JOIN topics ON topics.id = messages.topic_id ORDER BY messages.timestamp')
        except sqlite3.DatabaseError as error:
            raise InputError(f'the bag {path} cannot be read: {error}') from error


def _mcap(path: Path) -> Iterator[Recorded]:
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        raise InputError(f'{path} is no MCAP file: it starts with {data[:8]!r}')
    try:
        yield from _messages(data, path)
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f'the bag {path} is damaged: {error}') from error


def _messages(data: bytes, path: Path) -> Iterator[Recorded]:
    types: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    for opcode, record in _records(data, len(_MAGIC)):
        inner = _records(_unpacked(record, path), 0) if opcode == _CHUNK else [(opcode, record)]
        for kind, content in inner:
            if kind == _SCHEMA:
                types[struct.unpack_from('<H', content)[0]] = _string(content, 2)[0]
            elif kind == _CHANNEL:
                number, schema = struct.unpack_from('<HH', content)
                channels[number] = (_string(content, 4)[0], types.get(schema, ''))
            elif kind == _MESSAGE:
                number = struct.unpack_from('<H', content)[0]
                # Behind the channel: sequence number, time of recording, time of publishing.
                yield (*channels.get(number, ('', '')), content[22:])


def _records(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + 9 <= len(data) and data[offset:offset + len(_MAGIC)] != _MAGIC:
        opcode, length = struct.unpack_from('<BQ', data, offset)
        offset += 9
        yield opcode, data[offset:offset + length]
        offset += length


def _string(data: bytes, offset: int) -> tuple[str, int]:
    length = struct.unpack_from('<I', data, offset)[0]
    end = offset + 4 + length
    return data[offset + 4:end].decode(), end


def _unpacked(chunk: bytes, path: Path) -> bytes:
    """Return a chunk's records: behind two times, the size and the checksum of its contents."""
    compression, offset = _string(chunk, 28)
    size = struct.unpack_from('<Q', chunk, offset)[0]
    data = chunk[offset + 8:offset + 8 + size]
    if not compression:
        return data
    module = {'zstd': 'zstandard', 'lz4': 'lz4'}.get(compression, '')
    try:
        if compression == 'zstd':
            import zstandard

            return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(data))
        if compression == 'lz4':
            import lz4.frame

            return bytes(lz4.frame.decompress(data))
    except ImportError as error:
        raise InputError(
            f'the bag {path} is compressed with {compression}; install the Python package '
            f'{module}, or convert the bag: ros2 bag convert') from error
    except Exception as error:  # noqa: B902 -- the two packages share no base class
        raise InputError(f'the bag {path} is damaged: {error}') from error
    raise InputError(f'the bag {path} is compressed with {compression!r}; known are zstd and lz4')
