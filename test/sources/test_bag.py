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

"""Bags, written by rosbags: both storages, raw and compressed images, and what is wrong."""

import cv2
import numpy as np
import pytest
from ros2_classify.sources import open_source, SourceError

pytest.importorskip('rosbags')

from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from rosbags.typesys import get_typestore, Stores  # noqa: E402

STORAGES = {'mcap': StoragePlugin.MCAP, 'db3': StoragePlugin.SQLITE3}


def write_bag(path, topics, storage='mcap', stamped=True):
    """Write messages of grey levels ``{topic: (kind, levels)}``, 0.1 s apart, from second 100."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    with Writer(path, version=9, storage_plugin=STORAGES[storage]) as writer:
        for topic, (kind, levels) in topics.items():
            name = f'sensor_msgs/msg/{kind}' if kind != 'String' else 'std_msgs/msg/String'
            connection = writer.add_connection(topic, name, typestore=store)
            for number, level in enumerate(levels):
                nanoseconds = 100 * 10**9 + number * 10**8
                stamp = types['builtin_interfaces/msg/Time'](
                    sec=nanoseconds // 10**9 if stamped else 0,
                    nanosec=nanoseconds % 10**9 if stamped else 0)
                header = types['std_msgs/msg/Header'](stamp=stamp, frame_id='camera')
                if kind == 'String':
                    message = types[name](data='text')
                elif kind == 'Image':
                    pixels = np.zeros((30, 40, 3), np.uint8)
                    pixels[..., 0] = level
                    message = types[name](
                        header=header, height=30, width=40, encoding='rgb8', is_bigendian=0,
                        step=120, data=pixels.reshape(-1))
                else:
                    data = cv2.imencode('.png', np.full((30, 40, 3), level, np.uint8))[1]
                    message = types[name](header=header, format='png', data=data.reshape(-1))
                writer.write(connection, nanoseconds, store.serialize_cdr(message, name))
    return path


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('kind', ['Image', 'CompressedImage'])
@pytest.mark.parametrize('stamped', [True, False])
def test_images_of_a_bag(tmp_path, storage, kind, stamped):
    path = write_bag(tmp_path / 'bag', {'/camera': (kind, [10, 20, 30])}, storage, stamped)
    for named in (path, next(path.glob(f'*.{storage}'))):
        source = open_source(str(named), warn=pytest.fail)
        assert not source.live and source.length == 3
        assert source.rate == pytest.approx(10.0, rel=0.01)
        for _ in range(2):
            frames = [(frame.stamp, frame.read()) for frame in source.frames()]
            assert [stamp for stamp, _ in frames] == pytest.approx([100.0, 100.1, 100.2])
            # RGB comes as BGR: the level is in the last channel.
            assert [int(image[0, 0, 2]) for _, image in frames] == [10, 20, 30]
            assert frames[0][1].shape == (30, 40, 3)


def test_several_topics_need_a_choice(tmp_path):
    path = str(write_bag(tmp_path / 'bag', {
        '/a': ('Image', [10]), '/b': ('CompressedImage', [20, 30]), '/c': ('String', [1])}))
    with pytest.raises(SourceError, match='choose one with --topic: /a, /b$'):
        open_source(path)
    source = open_source(path, topic='/b')
    assert source.length == 2 and source.name == f'/b of bag {path}'
    with pytest.raises(SourceError, match='has no images on /c; topics with images: /a, /b'):
        open_source(path, topic='/c')


def test_raw_images_come_before_the_same_ones_compressed(tmp_path):
    path = write_bag(tmp_path / 'bag', {
        '/a/compressed': ('CompressedImage', [20, 30]), '/a': ('Image', [10])})
    assert open_source(str(path)).name == f'/a of bag {path}'


def test_what_is_no_bag_of_images(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/c': ('String', [1])})
    with pytest.raises(SourceError, match='has no images, only: std_msgs/msg/String'):
        open_source(str(path))
    broken = tmp_path / 'broken.mcap'
    broken.write_bytes(b'nothing of the kind')
    with pytest.raises(SourceError, match='broken.mcap cannot be read'):
        open_source(str(broken))
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SourceError, match='a topic belongs to a bag, but image .* is none'):
        open_source(str(tmp_path / 'a.png'), topic='/a')


def test_a_bag_cut_off_is_read_to_its_end_or_refused(tmp_path):
    path = next(write_bag(tmp_path / 'bag', {'/a': ('Image', range(60))}).glob('*.mcap'))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(SourceError, match='cannot be read|is damaged'):
        list(open_source(str(path)).frames())
