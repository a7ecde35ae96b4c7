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

"""Messages of positions: the quick way equals the objects; the ring of depth images; Foxglove."""

from __future__ import annotations

from array import array
from dataclasses import replace
import sys
import threading
import time
from types import ModuleType

import numpy as np
import positions_time
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros2_classify import InputError
from ros2_classify.ros.messages.annotations import image_annotations_msg
from ros2_classify.ros.messages.image import depth_array
from ros2_classify.ros.messages.vision_3d import (
    detections_3d_cdr, detections_3d_msg, Trails, writer_3d)
from ros2_classify.ros.server.depth_source import DepthRing
from ros2_classify.ros.server.locator import sample
from ros2_classify.spatial.camera import matrix_of, quaternion_of
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray


@pytest.mark.parametrize('frame', ['', 'a', 'camera', 'base_link'])
@pytest.mark.parametrize('ids', [None, ['', '17'], ['123456', '7'], ['', '']])
@pytest.mark.parametrize('rows', [[], [0], [1], [0, 1]])
def test_the_quick_way_gives_the_same_message(frame, ids, rows):
    whole = sample()
    result = replace(
        whole.result, track_ids=None if ids is None else np.array(ids, object))
    part = {name: getattr(whole, name)[rows] for name in (
        'points', 'centers', 'sizes', 'orientations', 'distances', 'covariances')}
    located = replace(whole, result=result, frame_id=frame, rows=np.array(rows, int), **part)
    header, names = Header(), ['x', 'größer']
    header.stamp.sec, header.stamp.nanosec = 5, 6
    expected = detections_3d_msg(located, header, names)
    found = deserialize_message(detections_3d_cdr(located, header, names), Detection3DArray)
    assert found == expected == deserialize_message(serialize_message(expected), type(expected))


def test_the_quick_way_is_taken():
    assert writer_3d(sample()) is detections_3d_cdr


def depth_message(stamp: float, encoding: str = '16UC1', **fields: object) -> Image:
    msg = Image(width=3, height=2, encoding=encoding, step=8)
    msg.data = array('B', np.arange(16, dtype=np.uint8).tobytes())
    msg.header.stamp.sec, msg.header.stamp.nanosec = int(stamp), round(1e9 * (stamp % 1))
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


def test_depth_is_read_in_place_and_in_either_byte_order():
    msg = depth_message(1.0)
    depth = depth_array(msg)
    assert depth.tolist() == [[0x0100, 0x0302, 0x0504], [0x0908, 0x0B0A, 0x0D0C]]
    msg.data[0] = 7
    assert depth[0, 0] == 0x0107, 'not a view'
    assert depth_array(depth_message(1.0, is_bigendian=1))[0].tolist() == [1, 0x0203, 0x0405]


@pytest.mark.parametrize('fields', [
    {'encoding': 'rgb8'}, {'step': 4}, {'height': 3}, {'width': 0}])
def test_a_damaged_depth_image_is_refused(fields):
    with pytest.raises(InputError):
        depth_array(depth_message(1.0, **fields))


def test_the_ring_takes_the_very_stamp_first_and_then_the_nearest():
    ring = DepthRing()
    assert ring.find(10**9, 10**8, 0.0) == (None, None)
    for stamp in (0.97, 1.0, 1.04):
        ring.add(depth_message(stamp))
    assert ring.find(10**9, 0, 0.0)[1] == 0
    msg, away = ring.find(1_015_000_000, 20_000_000, 0.0)
    assert away == -15_000_000 and msg.header.stamp.sec == 1
    assert ring.find(1_020_000_000, 1_000_000, 0.0) == (None, -20_000_000)


def test_the_ring_drops_what_is_never_the_nearest_again():
    ring = DepthRing()
    for stamp in (0.96, 0.98, 1.0, 1.02):
        ring.add(depth_message(stamp))
    assert ring.find(1_001_000_000, 10**7, 0.0)[1] == -1_000_000
    assert len(ring) == 2
    # The nearest one of the next image too, if its own gets lost.
    assert ring.find(1_009_000_000, 10**7, 0.0)[1] == -9_000_000
    # Time goes back: what is new is kept.
    ring.add(depth_message(0.5))
    assert ring.find(500_000_000, 0, 0.0)[1] == 0
    ring.clear()
    assert len(ring) == 0 and ring._bytes == 0


def test_the_ring_waits_for_the_very_stamp_but_not_in_vain():
    ring = DepthRing()
    ring.add(depth_message(0.99))
    late = threading.Timer(0.05, lambda: ring.add(depth_message(1.0)))
    late.start()
    assert ring.find(10**9, 20_000_000, 5.0)[1] == 0
    late.join()
    # A later one has come: its own will not.
    begun = time.monotonic()
    assert ring.find(995_000_000, 10_000_000, 5.0)[1] in (5_000_000, -5_000_000)
    # Cameras that are not synchronized: the nearest is taken without waiting.
    assert ring.find(1_010_000_000, 20_000_000, 5.0)[1] == -10_000_000
    assert time.monotonic() - begun < 2.0


def test_the_ring_is_bounded():
    ring = DepthRing()
    for stamp in range(500):
        ring.add(depth_message(1.0 + stamp))
    assert len(ring) == 60


def test_trails_are_of_ids_and_of_one_frame():
    trails, where = Trails(), sample()
    assert trails.add(where) == {1: [where.points[1].tolist()]}
    assert len(trails.add(where)[1]) == 2
    assert len(trails.add(replace(where, frame_id='odom'))[1]) == 1


# The fields of foxglove_msgs' messages that are in all of its releases for ROS 2.
FOXGLOVE = {
    'Color': ('r', 'g', 'b', 'a'), 'Point2': ('x', 'y'),
    'TextAnnotation': ('timestamp', 'position', 'text', 'font_size', 'text_color',
                       'background_color'),
    'PointsAnnotation': ('timestamp', 'type', 'points', 'outline_color', 'outline_colors',
                         'fill_color', 'thickness'),
    'ImageAnnotations': ('circles', 'points', 'texts')}


def stand_in(name, fields):
    """Return a message type that has these fields only."""
    def begin(self, **given):
        for field in fields:
            setattr(self, field, given.pop(field, []))
        assert not given, f'{name} has no {given}'

    return type(name, (), {'__slots__': fields, '__init__': begin})


def test_annotations_for_foxglove(monkeypatch):
    """The types are stood in for; test_server_other_messages.py takes the real ones."""
    module = ModuleType('foxglove_msgs.msg')
    for name, fields in FOXGLOVE.items():
        setattr(module, name, stand_in(name, fields))
    module.PointsAnnotation.LINE_LOOP = 2
    monkeypatch.setitem(sys.modules, 'foxglove_msgs', ModuleType('foxglove_msgs'))
    monkeypatch.setitem(sys.modules, 'foxglove_msgs.msg', module)
    result = replace(sample().result, positions=np.array([[0, 3.0, 4.0], [np.nan] * 3]))
    msg = image_annotations_msg(result, Header(), ['one', 'two'])
    assert [text.text for text in msg.texts] == ['one 0.90 5.0 m', '17 two 0.80']
    assert [(point.x, point.y) for point in msg.points[1].points] == [
        (1, 1), (2, 1), (2, 2), (1, 2)]
    # A position is the lower left corner of a text, which must be in the image and legible.
    for text in msg.texts:
        assert text.position.y >= text.font_size
        back, front = (np.array([c.r, c.g, c.b]) @ (0.299, 0.587, 0.114) for c in (
            text.background_color, text.text_color))
        assert abs(back - front) > 0.35


def test_quaternions_and_matrices():
    rng = np.random.default_rng(3)
    for _ in range(200):
        q = rng.normal(size=4)
        q /= np.linalg.norm(q)
        x, y, z, w = q if q[3] >= 0 else -q
        matrix = matrix_of((1, 2, 3), q)
        # v + 2 q x (q x v + w v), the definition by the vector part.
        v, u = rng.normal(size=3), np.array([x, y, z])
        turned = v + 2 * np.cross(u, np.cross(u, v) + w * v)
        np.testing.assert_allclose(matrix @ [*v, 1], [*(turned + (1, 2, 3)), 1], atol=1e-12)
        np.testing.assert_allclose(quaternion_of(matrix[:3, :3]), (x, y, z, w), atol=1e-9)


def test_the_time_of_positions_can_be_measured(ros):
    assert all(each > 0 for each in positions_time.measure(2, '16UC1', 3))
