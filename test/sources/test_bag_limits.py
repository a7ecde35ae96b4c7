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

"""Bags that multiply or never end are refused, with little memory."""

from __future__ import annotations

import os
import resource
import sqlite3
import struct
import time

import numpy as np
import pytest
from ros2_classify.errors import InputError
from ros2_classify.sources import open_source, SourceError
from ros2_classify.sources.bag import check_tables, MAX_UNPACKED, unpack_lz4, unpack_zstd

pytest.importorskip('rosbags')

from lz4.frame import compress as lz4_compress  # noqa: E402, I100
from rosbags.rosbag2 import CompressionFormat, CompressionMode, reader, Writer  # noqa: E402
from rosbags.typesys import get_typestore, Stores  # noqa: E402
from test_bag import write_bag  # noqa: E402

zstd = reader.zstd


def repeated(compress, count=64 << 20):
    return compress(bytes(count))


@pytest.mark.parametrize('unpack, compress', [
    (unpack_zstd, lambda data: zstd.compress(data)), (unpack_lz4, lz4_compress)])
def test_what_unpacks_to_too_much(unpack, compress):
    data = repeated(compress, 1 << 20)
    assert unpack(data, 1 << 20) == bytes(1 << 20)
    with pytest.raises(InputError, match='more than the 1048575 bytes'):
        unpack(data, (1 << 20) - 1)
    with pytest.raises(InputError, match='cut off'):
        unpack(data[:-8], 1 << 20)


def test_parts_of_compressed_data_are_counted():
    part = zstd.compress(b'x')
    assert unpack_zstd(part * 64) == b'x' * 64
    with pytest.raises(InputError, match='more than the 64 parts'):
        unpack_zstd(part * 65)


def test_a_large_part_takes_no_more_memory_than_is_allowed():
    data = repeated(zstd.compress, MAX_UNPACKED + 1)
    assert len(data) < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match='unpacks to more'):
        unpack_zstd(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 * MAX_UNPACKED / 1024


@pytest.mark.parametrize('mode', [CompressionMode.MESSAGE, CompressionMode.FILE])
def test_compressed_bags_are_still_read(tmp_path, mode):
    path = tmp_path / 'bag'
    store = get_typestore(Stores.ROS2_JAZZY)
    writer = Writer(path, version=9)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    types = store.types
    with writer:
        connection = writer.add_connection('/a', 'sensor_msgs/msg/Image', typestore=store)
        header = types['std_msgs/msg/Header'](
            stamp=types['builtin_interfaces/msg/Time'](sec=1, nanosec=0), frame_id='')
        message = types['sensor_msgs/msg/Image'](
            header=header, height=2, width=2, encoding='mono8', is_bigendian=0, step=2,
            data=np.full(4, 7, np.uint8))
        writer.write(connection, 10**9, store.serialize_cdr(message, message.__msgtype__))
    frame, = open_source(str(path)).frames()
    assert frame.read()[0, 0, 0] == 7


def test_a_chunk_that_unpacks_to_more_than_it_says(tmp_path):
    """Of zeros, which are no records: without the bound they would all be unpacked first."""
    packed = repeated(lz4_compress)
    chunk = struct.pack('<QQQI', 0, 1 << 60, 1000, 0) + struct.pack('<I', 3) + b'lz4'
    chunk += struct.pack('<Q', len(packed)) + packed
    path = tmp_path / 'bomb.mcap'
    path.write_bytes(b'\x89MCAP0\r\n' + b'\1' + struct.pack('<QI', 12, 4)
                     + b'ros2' + bytes(4)
                     + b'\6' + struct.pack('<Q', len(chunk)) + chunk
                     + b'\x0f' + struct.pack('<QI', 4, 0) + b'\2' + struct.pack('<Q', 20)
                     + bytes(20) + b'\x89MCAP0\r\n')
    with pytest.raises(SourceError, match='more than the 1000 bytes'):
        list(open_source(str(path)).frames())


@pytest.mark.parametrize('statement', [
    'CREATE VIEW schema AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) '
    'SELECT count(*) AS schema_version FROM n',
    'CREATE TABLE extra(a, b AS (zeroblob(1000000000)))',
    'CREATE TRIGGER t AFTER INSERT ON topics BEGIN SELECT 1; END',
    'CREATE VIRTUAL TABLE found USING fts5(text)'])
def test_a_database_that_computes(tmp_path, statement):
    path = next(write_bag(tmp_path / 'bag', {'/a': ('Image', [1])}, 'db3').glob('*.db3'))
    check_tables(path)
    with sqlite3.connect(path) as database:
        database.execute('DROP TABLE IF EXISTS schema')
        database.execute(statement)
    begin = time.monotonic()
    for named in (path, path.parent):
        with pytest.raises(SourceError, match='computes values'):
            list(open_source(str(named)).frames())
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize('name', ['more.mcap', 'pipe'])
def test_a_pipe_in_a_bag(tmp_path, name):
    path = write_bag(tmp_path / 'bag', {'/a': ('Image', [1])})
    os.mkfifo(path / name)
    with pytest.raises(SourceError, match='not a regular file'):
        open_source(str(path))


def test_endless_metadata(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/a': ('Image', [1])})
    with (path / 'metadata.yaml').open('r+b') as file:
        file.truncate(1 << 33)
    with pytest.raises(SourceError, match='more than the 8388608 that are allowed'):
        open_source(str(path))
