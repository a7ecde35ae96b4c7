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

"""Positions of a real server: numbers, frames, what is said where there are none."""

from __future__ import annotations

from dataclasses import replace
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rclpy.qos import ReliabilityPolicy
from rgbd_camera import FOCAL, RgbdCamera
from ros2_classify import Detections, Options, Timing
from ros2_classify.ros.server.locator import Places, sample
from ros2_classify.ros.server.output import Published
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection2DArray, Detection3DArray

# In pixels of 640x480: those of the detector of the fixtures.
CUP, BALL = (160, 240, 480, 360), (0, 0, 320, 120)
STAND_IN = """
from types import SimpleNamespace as _

class LookupException(Exception):
    pass

POSES = {('base', 'eye'): ((0.1, 0.0, 1.0), (-0.5, 0.5, -0.5, 0.5)),
         ('floor', 'eye'): ((0.0, 0.0, 1.0), (-0.6123724356957945, 0.6123724356957945,
                                             -0.35355339059327373, 0.35355339059327373))}

class Buffer:
    def lookup_transform(self, target, source, time):
        assert time.nanoseconds % 10**9 == 500000000, time
        if (target, source) not in POSES:
            raise LookupException(f'{target} passed to lookupTransform does not exist')
        at, turn = POSES[target, source]
        return _(transform=_(translation=_(x=at[0], y=at[1], z=at[2]),
                             rotation=_(x=turn[0], y=turn[1], z=turn[2], w=turn[3])))

class TransformListener:
    def __init__(self, buffer, node):
        pass
"""


def depths(cup: float = 1.5, ball: float = 3.0, kind: type = np.uint16) -> np.ndarray:
    """Return the depth of two boards before a wall, in millimetres or metres."""
    depth = np.full((480, 640), 6.0)
    for (x1, y1, x2, y2), metres in ((CUP, cup), (BALL, ball)):
        depth[y1:y2, x1:x2] = metres
    return (depth * 1000).astype(np.uint16) if kind is np.uint16 else depth.astype(np.float32)


def middle(box, metres):
    """Return where the middle of a box at a depth is."""
    x1, y1, x2, y2 = box
    return ((x1 + x2) / 2 - 320) / FOCAL * metres, ((y1 + y2) / 2 - 240) / FOCAL * metres, metres


def numbers(vector):
    return [getattr(vector, name) for name in ('x', 'y', 'z', 'w') if hasattr(vector, name)]


@pytest.fixture
def tf2(tmp_path):
    """Return the environment of a process that finds a stand-in of tf2_ros."""
    (tmp_path / 'tf2_ros.py').write_text(STAND_IN)
    return {'PYTHONPATH': str(tmp_path)}


def server(start, detector, base, environment=None, **parameters):
    return start('server', {
        'model': detector, 'image_topics': f'[{base}/image_raw]', 'depth_topic': 'depth',
        'threads': 1, **parameters}, environment=environment)


@pytest.mark.parametrize('kind', [np.uint16, np.float32])
def test_positions_in_the_frame_of_the_image(start, peer, detector, kind):
    base = f'/metres_{kind.__name__}'
    server(start, detector, base, points=True)
    camera = RgbdCamera(peer, base)
    found = peer.collect(Detection3DArray, f'{base}/detections_3d')
    clouds = peer.collect(PointCloud2, f'{base}/points')
    camera.until(lambda: found and clouds, depths(kind=kind))
    msg = found[0]
    assert msg.header.frame_id == 'eye' and msg.header.stamp.nanosec == 500_000_000
    assert [each.results[0].hypothesis.class_id for each in msg.detections] == ['cup', 'ball']
    for detection, box, metres in zip(msg.detections, (CUP, BALL), (1.5, 3.0)):
        assert detection.header == msg.header and detection.id == ''
        for pose in (detection.bbox.center, detection.results[0].pose.pose):
            assert numbers(pose.position) == pytest.approx(middle(box, metres), abs=1e-3)
            assert numbers(pose.orientation) == [0, 0, 0, 1]
        width, height = (box[2] - box[0]) / FOCAL * metres, (box[3] - box[1]) / FOCAL * metres
        assert numbers(detection.bbox.size) == pytest.approx([width, height, 0], abs=1e-3)
    cloud = clouds[0]
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'score', 'class_id', 'row']
    rows = np.frombuffer(cloud.data, np.dtype([
        (field.name, {7: '<f4', 5: '<i4', 6: '<u4'}[field.datatype]) for field in cloud.fields]))
    assert cloud.width == len(rows) and cloud.row_step == len(cloud.data)
    cup = rows[rows['row'] == 0]
    assert (cup['class_id'] == 1).all() and cup['score'] == pytest.approx(0.9)
    assert cup['z'] == pytest.approx(1.5, abs=1e-3)
    assert (cup['x'].min(), cup['x'].max()) == pytest.approx((-0.48, 0.48), abs=1e-3)


@pytest.mark.parametrize('qos, expected', [
    ('auto', ReliabilityPolicy.RELIABLE), ('best_effort', ReliabilityPolicy.BEST_EFFORT)])
def test_depth_of_a_reliable_camera_is_subscribed_to_reliably(
        start, peer, detector, qos, expected):
    """Best effort loses most depth images that don't fit into the shared memory."""
    base = f'/metres_reliable_{qos}'
    server(start, detector, base, qos=qos)
    camera = RgbdCamera(peer, base)
    peer.collect(Detection3DArray, f'{base}/detections_3d')
    peer.spin_until(lambda: camera.depth_subscriptions, 'the subscription')
    offered = []
    for _ in range(100 if qos == 'auto' else 40):
        camera.send(depths())
        until = time.monotonic() + 0.1
        peer.spin_until(lambda: time.monotonic() > until, 'time')
        offered = [info.qos_profile.reliability for info in
                   peer.node.get_subscriptions_info_by_topic(f'{base}/depth')]
        if offered == [expected] != [ReliabilityPolicy.BEST_EFFORT]:
            break
    assert offered == [expected]


def test_markers_show_boxes_texts_and_distances(start, peer, detector):
    from visualization_msgs.msg import Marker, MarkerArray

    base = '/metres_markers'
    server(start, detector, base)
    camera = RgbdCamera(peer, base)
    found = peer.collect(MarkerArray, f'{base}/server/markers')
    camera.until(lambda: found, depths())
    markers = found[0].markers
    assert markers[0].action == Marker.DELETEALL
    boxes = [each for each in markers if each.ns == 'boxes']
    assert [numbers(each.pose.position) for each in boxes] == [
        pytest.approx(middle(CUP, 1.5), abs=1e-3), pytest.approx(middle(BALL, 3.0), abs=1e-3)]
    assert all(min(numbers(each.scale)) > 0 for each in boxes)
    assert [each.text for each in markers if each.ns == 'texts'] == [
        f'cup {np.linalg.norm(middle(CUP, 1.5)):.1f} m',
        f'ball {np.linalg.norm(middle(BALL, 3.0)):.1f} m']


def test_a_target_frame_by_tf_at_the_stamp_of_the_image(start, peer, detector, tf2):
    """`base` has x forward, y left, z up, and the camera 0.1 m ahead and 1 m up."""
    base = '/metres_base'
    server(start, detector, base, tf2, target_frame='base')
    camera = RgbdCamera(peer, base)
    found = peer.collect(Detection3DArray, f'{base}/detections_3d')
    camera.until(lambda: found, depths())
    assert found[0].header.frame_id == 'base'
    for detection, box, metres in zip(found[0].detections, (CUP, BALL), (1.5, 3.0)):
        x, y, z = middle(box, metres)
        assert numbers(detection.bbox.center.position) == pytest.approx(
            (z + 0.1, -x, 1.0 - y), abs=1e-3)
        assert numbers(detection.bbox.center.orientation) == pytest.approx((-0.5, 0.5, -0.5, 0.5))


def test_no_transform_is_no_result_and_a_sentence(start, peer, operator, detector, tf2):
    base = '/metres_nowhere'
    server(start, detector, base, tf2, target_frame='map')
    camera = RgbdCamera(peer, base)
    flat = peer.collect(Detection2DArray, f'{base}/detections')
    found = peer.collect(Detection3DArray, f'{base}/detections_3d')
    camera.until(lambda: len(flat) > 2, depths())
    operator.wait(f'server: positions {base}/image_raw', 'WARN',
                  'no transform from eye to map: map passed to lookupTransform does not exist',
                  without_a_position__no_transform='[1-9].*')
    assert not found


def test_on_the_ground_without_depth(start, peer, detector, tf2):
    """The camera is 1 m up, 30 degrees down; its axis meets the floor at 1 / tan 30."""
    base = '/metres_ground'
    server(start, detector, base, tf2, depth_topic="''", ground_frame='floor')
    camera = RgbdCamera(peer, base)
    found = peer.collect(Detection3DArray, f'{base}/detections_3d')
    camera.until(lambda: found, depths())
    assert found[0].header.frame_id == 'floor'
    # The lower edge of the cup is 120 pixels below the middle, that of the ball as far above.
    angles = np.radians(30) + np.arctan(np.array([120, -120]) / FOCAL)
    x = [each.results[0].pose.pose.position.x for each in found[0].detections]
    assert x == pytest.approx(1 / np.tan(angles), rel=1e-6)
    y = [each.results[0].pose.pose.position.y for each in found[0].detections]
    across = 160 / np.hypot(FOCAL, 120) / np.sin(angles[1])
    assert y == pytest.approx([0, across], abs=1e-6)
    spread = [np.reshape(each.results[0].pose.covariance, (6, 6))[:2, :2].trace()
              for each in found[0].detections]
    assert 0 < spread[0] < spread[1]
    cup = found[0].detections[0].bbox
    assert cup.center.position.z == pytest.approx(cup.size.z / 2)


@pytest.mark.parametrize('roi, edge', [
    ((), 480), ((0, 0.25, 1, 0.5), 240), ((0, 0, 1, 0, 0.5, 0.75), 360)])
def test_the_locator_is_told_where_the_region_ends(roi, edge):
    result = Detections(
        np.array([[0, 0, 9, 9]]), np.array([1]), np.array([0.9]), np.array(['cup'], object),
        (640, 480), Timing(0.0, 0.0, 0.0))
    told = []
    published = Published(
        result, None, None, 'bgr', 'label',
        lambda *words: told.append(words) or Places(result, 1, ('',)),
        SimpleNamespace(options=Options(roi=roi)))
    assert published.located == 1
    assert told == [(result, None, edge)]


def test_what_is_wrong_with_the_depth_is_said(start, peer, operator, detector):
    base = '/metres_wrong'
    server(start, detector, base)
    camera = RgbdCamera(peer, base)
    flat = peer.collect(Detection2DArray, f'{base}/detections')
    found = peer.collect(Detection3DArray, f'{base}/detections_3d')
    part = f'server: positions {base}/image_raw'

    def says(words, depth, **how):
        before = len(operator.statuses(part))
        camera.until(lambda: any(
            words in status.message for status in operator.statuses(part)[before:]),
            depth, **how)

    says(f'no camera_info has come on {base}/camera_info (1 publishers)', depths(),
         with_info=False)
    says('stamps of the image and the nearest depth image on /metres_wrong/depth are 40 ms apart; '
         'depth_sync allows 20 ms', depths(), behind=40_000_000)
    says('not registered to the image: it has 320x240 pixels and the image 640x480',
         depths()[::2, ::2].copy())
    says("its frame is 'depth_eye' and that of the image 'eye'", depths(), frame='depth_eye')
    says("the encoding is 'mono8' but must be 32FC1", depths(), encoding='mono8')
    assert flat, 'the boxes are published without positions'
    # An image of before may have met its depth when the calibration came.
    del found[:]
    holes = depths()
    holes[240:360, 160:480] = 0
    says('100 % of its pixels in the depth image are invalid', holes)
    assert {len(each.detections) for each in found} == {1}
    # 15 ms are within depth_sync.
    count = len(found)
    camera.until(lambda: [each for each in found[count:] if len(each.detections) == 2], depths(),
                 behind=15_000_000)
    values = operator.wait(part, 'OK', 'objects had a position so far')
    assert int(values['without a position: depth_unmatched']) % 2 == 0
    camera.info.width = 1280
    says('it is for images of 1280x480, but those on /metres_wrong/image_raw have 640x480',
         depths())


def test_depth_is_subscribed_to_only_while_positions_are_wanted(start, peer, detector):
    base = '/metres_wanted'
    server(start, detector, base)
    camera = RgbdCamera(peer, base)
    flat = peer.collect(Detection2DArray, f'{base}/detections')
    camera.until(lambda: len(flat) > 3, depths())
    assert camera.depth_subscriptions == 0
    wanted = peer.node.create_subscription(
        Detection3DArray, f'{base}/detections_3d', lambda msg: None, 1)
    peer.spin_until(lambda: camera.depth_subscriptions == 1, 'a subscriber of depth')
    peer.node.destroy_subscription(wanted)
    peer.spin_until(lambda: camera.depth_subscriptions == 0, 'the end of that subscription')


def test_some_objects_of_a_result_keep_what_is_theirs():
    located = sample()
    alone = Places(located.result, located, ['', '']).select(np.array([1]))
    assert (alone.located.rows.tolist(), alone.missing) == ([0], [''])
    assert alone.located.result.labels.tolist() == ['zwölf']
    for name in ('points', 'centers', 'sizes', 'orientations', 'distances', 'covariances'):
        whole = getattr(located, name)
        part = getattr(alone.located, name)
        assert part.tolist() == whole[1:].tolist() if whole is not None else part is None
    # The first one has no position.
    known = located.select(np.array([1]))
    second = replace(known, result=located.result, rows=np.array([1]))
    places = Places(located.result, second, ['why', ''])
    assert places.select(np.array([0])).located.rows.tolist() == []
    assert places.select(np.array([0])).missing == ['why']
    assert places.select(np.array([0, 1])).located.rows.tolist() == [1]


def test_a_request_and_a_look_use_the_depth_of_the_camera(start, peer, detector):
    srv = pytest.importorskip('ros2_classify_interfaces.srv')
    base = '/metres_asked'
    server(start, detector, base)
    camera = RgbdCamera(peer, base)
    assert camera.depth_subscriptions == 0

    def look(depth, **request):
        future = peer.ask(srv.Look, '/server/look', srv.Look.Request(positions=True, **request))
        return camera.until(lambda: future.done() and future.result(), depth)

    found = look(depths(), classes=['ball'])
    assert found.outcome == found.FOUND and len(found.detections.detections) == 1
    (ball,) = found.detections_3d.detections
    assert list(found.without_position) == [''] and found.detections_3d.header.frame_id == 'eye'
    assert numbers(ball.bbox.center.position) == pytest.approx(middle(BALL, 3.0), abs=1e-3)
    holes = depths()
    holes[:] = 0
    found = look(holes, classes=['cup'], timeout=1.0)
    assert found.outcome == found.FOUND and not found.detections_3d.detections
    words = '100 % of its pixels in the depth image are invalid'
    assert f'cup is in the image on {base}/image_raw' in found.message
    assert 'without a position: ' in found.message and words in found.message
    (why,) = found.without_position
    assert words in why

    # What follows is not by the subscription of the looks.
    peer.spin_until(lambda: camera.depth_subscriptions == 0, 'the end of the subscription')

    def detect(**request):
        # Of an image that has been sent together with its depth.
        header = camera.send(depths())
        image = camera.image(header)
        return peer.call(srv.Detect, '/server/detect', srv.Detect.Request(image=image, **request))

    peer.spin_until(lambda: detect(stream=base).detections_3d.detections, 'positions')
    response = detect(stream=f'{base}/image_raw')
    assert list(response.without_position) == ['', '']
    for detection, box, metres in zip(
            response.detections_3d.detections, (CUP, BALL), (1.5, 3.0)):
        assert numbers(detection.bbox.center.position) == pytest.approx(
            middle(box, metres), abs=1e-3)
    # A server's own images and requests without a camera have no depth.
    assert not detect().detections_3d.detections and not detect().without_position
    header = camera.send(depths())
    header.stamp.sec += 100
    response = peer.call(srv.Detect, '/server/detect', srv.Detect.Request(
        image=camera.image(header), stream=base))
    assert response.success and not response.detections_3d.detections
    assert all('depth_sync allows 20 ms' in why for why in response.without_position)
    assert len(response.without_position) == 2
    # Ten seconds after the last request.
    peer.spin_until(lambda: camera.depth_subscriptions == 0, 'the end of the subscription')


def test_a_look_without_a_source_of_positions_is_refused(start, peer, detector):
    srv = pytest.importorskip('ros2_classify_interfaces.srv')
    start('server', {'model': detector}).wait_for_line('active: ')
    response = peer.call(srv.Look, '/server/look', srv.Look.Request(positions=True))
    assert response.outcome == response.COULD_NOT_LOOK
    assert response.message.startswith('/image gives no positions: set depth_topic or ground')


@pytest.mark.parametrize('parameters, words', [
    ({'depth_topic': "''", 'ground_frame': 'floor'}, 'tf2_ros is not installed'),
    ({'depth_topic': 'bad-topic'}, "depth_topic is 'bad-topic', which cannot be used: "),
    ({'camera_info_topic': 'a b'}, "camera_info_topic is 'a b', which cannot be used: "),
    ({'ground_frame': 'floor'}, 'leave one of them empty')])
def test_what_cannot_be_is_refused_at_start(start, detector, parameters, words):
    node = server(start, detector, '/metres_refused', **parameters)
    assert node.wait() != 0
    assert words in node.output and 'unexpected' not in node.output


def test_what_has_no_effect_is_told(start, detector, classifier):
    node = start('server', {'model': detector, 'points': True, 'target_frame': 'map',
                            'event_lines': "['door=0.5,0,0.5,1']"})
    node.wait_for_line('WARN.*/image: event_lines without effect: events take tracking; '
                       'target_frame, points without effect: positions take depth_topic or '
                       'ground_frame')
    node.stop()
    node = start('server', {'model': classifier, 'tracking': True, 'depth_topic': '/depth'})
    node.wait_for_line('WARN.*/image: tracking, depth_topic without effect: this model is for '
                       'classification, and they are for detection')
    node.stop()


def test_without_tf2_positions_are_in_the_frame_of_the_image(start, peer, operator, detector):
    base = '/metres_without_tf2'
    server(start, detector, base, target_frame='base')
    camera = RgbdCamera(peer, base)
    found = peer.collect(Detection3DArray, f'{base}/detections_3d')
    camera.until(lambda: found, depths())
    assert found[0].header.frame_id == 'eye'
    operator.wait(f'server: positions {base}/image_raw', 'WARN',
                  'positions are in the frame of the image, not in base')


def test_ids_are_those_of_the_tracks(start, peer, detector):
    base = '/metres_tracked'
    server(start, detector, base, tracking=True)
    camera = RgbdCamera(peer, base)
    flat = peer.collect(Detection2DArray, f'{base}/detections')
    found = peer.collect(Detection3DArray, f'{base}/detections_3d')
    camera.until(lambda: [each for each in found if each.detections[0].id], depths())
    last = next(each for each in found if each.detections[0].id)
    peer.spin_until(lambda: [each for each in flat if each.header == last.header], 'the boxes')
    same = next(each for each in flat if each.header == last.header)
    assert [each.id for each in last.detections] == [each.id for each in same.detections]
