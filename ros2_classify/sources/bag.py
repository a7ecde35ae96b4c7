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

"""Images of a rosbag2 recording (mcap or sqlite3), read by the package rosbags, in bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
import re
import sqlite3
from typing import Any
from urllib.parse import quote

from ros2_classify.errors import InputError
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.input_range import scale
from ros2_classify.limits import open_plain
from ros2_classify.sources import image_messages
from ros2_classify.sources.base import Frame, IMAGES_RATE, Pixels, SourceError, Warn

# One chunk, or one message: the largest image in colour, with something to spare.
MAX_UNPACKED = 4 * MAX_PIXELS
# A compressed file: of images, which hardly shrink. Small ones may.
MAX_RATIO, MAX_SMALL = 100, 1 << 30
_MAX_METADATA = 8 << 20
_MAX_FRAMES = 64
_GENERATED = re.compile(r'\bAS\s*\(|CREATE\s+VIRTUAL', re.IGNORECASE)


def check_files(path: Path) -> None:
    """Refuse a bag with pipes, devices or endless metadata in its directory."""
    if path.is_dir():
        open_plain(path / 'metadata.yaml', _MAX_METADATA).close()
    for file in path.iterdir() if path.is_dir() else (path,):
        if not file.is_dir():
            open_plain(file).close()


def check_tables(path: Path) -> None:
    """Refuse a database that computes what it seems to hold."""
    with closing(sqlite3.connect(f'file:{quote(str(path))}?immutable=1', uri=True)) as database:
        for kind, name, text in database.execute('SELECT type, name, sql FROM sqlite_master'):
            if kind not in ('table', 'index') or _GENERATED.search(text or ''):
                raise InputError(f'its {kind} {str(name)[:80]!r} computes values; only tables are '
                                 'read')


def unpack_zstd(data: bytes, most: int = MAX_UNPACKED) -> bytes:
    """Unpack; `InputError` at the first byte too many."""
    from rosbags.rosbag2 import reader

    parts, total = [], 0
    for _ in range(_MAX_FRAMES):
        decompressor = reader.zstd.ZstdDecompressor()
        parts.append(decompressor.decompress(data, max_length=most + 1 - total))
        total += len(parts[-1])
        _check_size(total, most)
        if not decompressor.eof:
            raise InputError('compressed data is cut off')
        data = decompressor.unused_data
        if not data:
            return b''.join(parts)
    raise InputError(f'compressed data has more than the {_MAX_FRAMES} parts that are allowed')


def unpack_lz4(data: bytes, most: int = MAX_UNPACKED) -> bytes:
    """Unpack; `InputError` at the first byte too many."""
    from lz4.frame import LZ4FrameDecompressor

    decompressor = LZ4FrameDecompressor()
    result: bytes = decompressor.decompress(data, max_length=most + 1)
    _check_size(len(result), most)
    if not decompressor.eof:
        raise InputError('compressed data is cut off')
    return result


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise InputError(f'compressed data unpacks to more than the {most} bytes that are allowed')


class _Zstd:
    """The module that rosbags unpacks messages and files with, bounded."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.ZstdDecompressor = module.ZstdDecompressor

    def decompress(self, data: bytes) -> bytes:
        return unpack_zstd(data)

    def open(self, file: Any, mode: str) -> Any:  # noqa: A003 - the library's name
        size = file.seek(0, 2)
        file.seek(0)
        return _Bounded(self._module.open(file, mode), max(MAX_SMALL, MAX_RATIO * size))


class _Bounded:
    """A file that raises `InputError` when more than some bytes were read of it."""

    def __init__(self, file: Any, most: int) -> None:
        self._file, self._most, self._read = file, most, 0

    def __enter__(self) -> _Bounded:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self._read += len(data)
        _check_size(self._read, self._most)
        return data


def bound_rosbags() -> None:
    """Make rosbags ask here before it unpacks or queries; once for the process."""
    from rosbags.rosbag2 import reader, storage_mcap

    if isinstance(reader.zstd, _Zstd):
        return
    reader.zstd = _Zstd(reader.zstd)
    storage_mcap.DECOMPRESSORS.update({
        'lz4': lambda data, size: unpack_lz4(data, min(size, MAX_UNPACKED)),
        'zstd': lambda data, size: unpack_zstd(data, min(size, MAX_UNPACKED))})
    for plugins in (reader.Reader.STORAGE_PLUGINS, reader.DirectoryReader.STORAGE_PLUGINS):
        for name, plugin in tuple(plugins.items()):
            if plugin is not reader.DirectoryReader:
                plugins[name] = _checked(plugin, plugin is reader.Sqlite3Reader)


def _checked(plugin: Any, tables: bool) -> Any:
    def opened(path: Any) -> Any:
        open_plain(str(path)).close()
        if tables:
            check_tables(Path(str(path)))
        return plugin(path)

    return opened


_SUFFIXES = ('.mcap', '.db3')
_Reader = Callable[[Any, int, image_messages.Scale], tuple[Pixels, str]]
_READERS: dict[str, _Reader] = {
    'sensor_msgs/msg/Image': image_messages.to_array,
    'sensor_msgs/msg/CompressedImage': image_messages.compressed_to_array,
}


class Bag:
    """The images of one topic, with the stamps of their headers."""

    live = False
    longest_pause = 0.0

    def __init__(self, path: Path, topic: str, warn: Warn,
                 to_8_bits: image_messages.Scale | None = None) -> None:
        self._to_8_bits = to_8_bits or scale
        self._path = path
        self._warn = warn
        self._warned = False
        with self._open() as reader:
            self._topic = _choose_topic(reader.connections, path, topic)
            self.length: int | None = sum(
                each.msgcount for each in reader.connections if each.topic == self._topic)
            duration = 1e-9 * (reader.duration or 0)
        self.name = f'{self._topic} of bag {path}'
        steps = (self.length or 0) - 1
        self.rate = steps / duration if steps > 0 and duration > 0 else IMAGES_RATE

    def frames(self) -> Iterator[Frame]:
        """Play the recording once; see `Source.frames`."""
        with self._open() as reader:
            chosen = [each for each in reader.connections if each.topic == self._topic]
            try:
                for number, (connection, recorded, raw) in enumerate(reader.messages(chosen)):
                    message = reader.deserialize(raw, connection.msgtype)
                    stamp = message.header.stamp
                    seconds = stamp.sec + 1e-9 * stamp.nanosec or 1e-9 * recorded
                    yield Frame(f'{self._topic} image {number}', seconds,
                                partial(self._read, message, _READERS[connection.msgtype]))
            except (SourceError, GeneratorExit):
                raise
            except Exception as error:  # noqa: B902 - rosbags raises what its parsers meet
                raise SourceError(f'the bag {self._path} is damaged: {error}') from error

    def close(self) -> None:
        """Do nothing: the file is open only while `frames` runs."""

    def _read(self, message: Any, reader: _Reader) -> Pixels | None:
        try:
            return image_messages.to_bgr(*reader(message, MAX_PIXELS, self._to_8_bits))
        except InputError as error:
            if not self._warned:
                self._warned = True
                self._warn(f'images of {self.name} are skipped: {error}')
            return None

    def _open(self) -> Any:
        try:
            from rosbags.highlevel import AnyReader
            from rosbags.typesys import get_typestore, Stores
        except ImportError as error:
            raise SourceError(
                f'reading the bag {self._path} needs the Python package rosbags, which is not '
                'installed: pip install rosbags') from error
        try:
            bound_rosbags()
            check_files(self._path)
            # Bags of ROS 2 before Iron carry no message definitions.
            reader = AnyReader([self._path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
            reader.open()
        except Exception as error:  # noqa: B902 - rosbags raises what its parsers meet
            raise SourceError(f'the bag {self._path} cannot be read: {error}') from error
        return closing(reader)


def _choose_topic(connections: Iterable[Any], path: Path, topic: str) -> str:
    """Return the topic of images that was asked for, or the only one."""
    found = {each.topic for each in connections if each.msgtype in _READERS}
    names = ', '.join(sorted(found)) or 'none'
    if topic and topic not in found:
        raise SourceError(f'the bag {path} has no images on {topic}; topics with images: {names}')
    if not found:
        others = ', '.join(sorted({each.msgtype for each in connections}))
        raise SourceError(f'the bag {path} has no images, only: {others or "nothing"}')
    # The same images twice: the raw ones are exact.
    several = [each for each in found
               if not each.endswith('/compressed')
               or each.removesuffix('/compressed') not in found]
    if not topic and len(several) > 1:
        raise SourceError(
            f'the bag {path} has images on several topics: choose one with --topic: {names}')
    return topic or several[0]


def is_bag(path: Path) -> bool:
    """Return whether a path is a bag: a file, or a directory with its description."""
    return (path / 'metadata.yaml').is_file() if path.is_dir() else (
        path.suffix in _SUFFIXES and path.is_file())
