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


"""Images out of bags: SQLite and MCAP, plain and compressed."""

import sqlite3
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from ros2_classify.errors import InputError
from ros2_classify.ros.messages.image import to_image_msg
from ros2_classify_benchmark.nodes.bag import images_of_bag, is_bag
from std_msgs.msg import Header, String

TYPES = {'/chatter': 'std_msgs/msg/String', '/front': 'sensor_msgs/msg/Image',
         '/rear': 'sensor_msgs/msg/Image'}


def recorded():
    """Return topics and messages: two images in front, one in the rear."""
    def image(value):
        return serialize_message(
            to_image_msg(np.full((4, 6, 3), value, np.uint8), 'bgr8', Header()))

    return [('/chatter', serialize_message(String(data='hello'))), ('/front', image(10)),
            ('/rear', image(20)), ('/front', image(30))]


def write_sqlite(path):
    with sqlite3.connect(path) as bag:
        bag.execute('CREATE TABLE topics (id INTEGER, name TEXT, type TEXT)')
        bag.execute('CREATE TABLE messages (topic_id INTEGER, timestamp INTEGER, data BLOB)')
        names = list(TYPES)
        bag.executemany('INSERT INTO topics VALUES (?, ?, ?)', [
            (number, name, kind) for number, (name, kind) in enumerate(TYPES.items())])
        bag.executemany('INSERT INTO messages VALUES (?, ?, ?)', [
            (names.index(name), when, data) for when, (name, data) in enumerate(recorded())])
    bag.close()


def text(value):
    return struct.pack('<I', len(value)) + value.encode()


def record(opcode, content):
    return struct.pack('<BQ', opcode, len(content)) + content


def write_mcap(path, compression='', pack=lambda data: data):
    """Write an MCAP file with one chunk; https://mcap.dev/spec."""
    content = b''
    for number, (name, kind) in enumerate(TYPES.items(), 1):
        content += record(3, struct.pack('<H', number) + text(kind) + text('ros2msg') + text(''))
        content += record(4, struct.pack('<HH', number, number) + text(name) + text('cdr')
                          + struct.pack('<I', 0))
    names = list(TYPES)
    for when, (name, data) in enumerate(recorded()):
        content += record(
            5, struct.pack('<HIQQ', names.index(name) + 1, when, when, when) + data)
    packed = pack(content)
    chunk = struct.pack('<QQQI', 0, 3, len(content), 0) + text(compression)
    magic = b'\x89MCAP0\r\n'
    path.write_bytes(magic + record(1, text('ros2') + text('test'))
                     + record(6, chunk + struct.pack('<Q', len(packed)) + packed)
                     + record(2, text('')) + magic)


@pytest.fixture(params=['.db3', '.mcap'])
def bag(request, tmp_path):
    """Write a bag in either format; return its directory."""
    directory = tmp_path / 'bag'
    directory.mkdir()
    {'.db3': write_sqlite, '.mcap': write_mcap}[request.param](directory / f'bag{request.param}')
    return directory


def values(*args):
    return [int(image[0, 0, 0]) for image in images_of_bag(*map(str, args))]


def test_the_first_topic_with_images_is_read(bag):
    assert is_bag(str(bag))
    assert values(bag) == [10, 30]


def test_a_topic_can_be_named(bag):
    assert values(bag, '/rear') == [20]
    assert values(next(bag.iterdir()), '/rear') == [20]


def test_a_topic_that_is_not_there_is_said(bag):
    with pytest.raises(InputError, match='no images on /left; there are some on: /front, /rear'):
        values(bag, '/left')


def test_a_directory_of_images_is_no_bag(tmp_path):
    assert not is_bag(str(tmp_path))
    for path in (tmp_path, tmp_path / 'missing'):
        with pytest.raises(InputError, match=f'{path} is no bag: a bag is a .mcap'):
            values(path)


@pytest.mark.parametrize('compression', ['zstd', 'lz4', 'brotli'])
def test_a_compressed_bag_is_read_or_refused_with_the_reason(tmp_path, compression):
    path = tmp_path / 'bag.mcap'
    pack = {'zstd': zstd, 'lz4': lz4}.get(compression)
    write_mcap(path, compression, pack() if pack and pack() else lambda data: data)
    if pack and pack():
        assert values(path) == [10, 30]
        return
    with pytest.raises(InputError, match=f'compressed with .?{compression}'):
        values(path)


def zstd():
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard.ZstdCompressor().compress


def lz4():
    try:
        import lz4.frame
    except ImportError:
        return None
    return lz4.frame.compress


def test_a_published_bag_is_read(data):
    images = list(images_of_bag(str(data / 'bag' / 'car_detection')))
    assert len(images) == 40
    assert {image.shape for image in images} == {(360, 640, 3)}


def test_a_damaged_bag_is_said(tmp_path):
    for name in ('bag.mcap', 'bag.db3'):
        (tmp_path / name).write_bytes(b'nothing of the kind, at some length' * 40)
        with pytest.raises(InputError, match=name):
            values(tmp_path / name)


def test_a_bag_that_was_cut_off_is_read_as_far_as_it_goes_or_said(tmp_path):
    write_mcap(tmp_path / 'whole.mcap')
    whole, path = (tmp_path / 'whole.mcap').read_bytes(), tmp_path / 'cut.mcap'
    said = []
    for length in range(8, len(whole), 7):
        path.write_bytes(whole[:length])
        try:
            assert values(path) in ([10], [10, 30])
        except InputError as error:
            assert str(path) in str(error)
            said.append(str(error))
    assert any('is damaged' in sentence for sentence in said)


def test_a_topic_whose_name_is_no_text_is_said(tmp_path):
    path = tmp_path / 'bag.mcap'
    write_mcap(path)
    path.write_bytes(path.read_bytes().replace(b'/front', b'/fr\xffnt'))
    with pytest.raises(InputError, match='bag.mcap is damaged'):
        values(path)


def test_a_damaged_message_is_reported(tmp_path):
    path = tmp_path / 'bag.db3'
    write_sqlite(path)
    with sqlite3.connect(path) as bag:
        bag.execute("UPDATE messages SET data = x'00010000ff'")
    bag.close()
    with pytest.raises(InputError, match='is damaged: a message on /front is no sensor_msgs'):
        values(path)


def test_a_damaged_chunk_is_said(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError('not a frame')

    monkeypatch.setitem(sys.modules, 'zstandard', SimpleNamespace(ZstdDecompressor=fail))
    path = tmp_path / 'bag.mcap'
    write_mcap(path, 'zstd')
    with pytest.raises(InputError, match='bag.mcap is damaged'):
        values(path)
