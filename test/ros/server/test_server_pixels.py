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

"""Numbers for each pixel, over real DDS: instance images, label images, and how they are drawn."""

import re
import time

import cv2
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros2_classify.sources.image_messages import to_array, to_ids
from ros_models import NAMES, save_masks, save_pose, save_segmenter
from ros_stream import Camera
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo

GREEN = (10, 200, 60)
SIZE = (64, 48)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def expected_instances():
    """Return what `save_masks` finds: the left half of the first box, all of the second."""
    image = np.zeros((48, 64), np.uint8)
    image[0:12, 0:32] = 2
    image[24:36, 16:32] = 1
    return image


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'green.png'
    cv2.imwrite(str(path), np.full((48, 64, 3), GREEN[::-1], np.uint8))
    return path


def test_instances_come_with_the_header_and_only_for_somebody(start, peer, tmp_path):
    server = start('server', {'model': save_masks(tmp_path)})
    detections = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=SIZE)
    camera.result(GREEN, detections)
    assert peer.node.count_publishers('/instances') == 1

    instances = peer.collect(Image, '/instances')
    images = peer.collect(Image, '/server/debug_image')
    peer.spin_until(lambda: peer.node.count_subscribers('/instances'), 'the subscription')
    result = camera.result(GREEN, instances)
    assert result.encoding == 'mono8'
    assert np.array_equal(to_ids(result), expected_instances())
    same = peer.spin_until(
        lambda: [d for d in detections if d.header == result.header], 'its detections')[0]
    # The value less 1 is the row.
    assert [d.results[0].hypothesis.class_id for d in same.detections] == list(NAMES)
    drawn = peer.spin_until(
        lambda: [p for p in images if p.header == result.header], 'the annotated image')[0]
    pixels, _ = to_array(drawn)
    assert tuple(pixels[30, 22]) != GREEN[::-1] and tuple(pixels[32, 40]) == GREEN[::-1]

    assert peer.set_values(score_threshold=0.95) == []
    assert not to_ids(camera.result(GREEN, instances)).any()
    server.stop()


def test_a_detector_without_masks_has_no_such_topic(start, peer, detector):
    server = start('server', {'model': detector})
    server.wait_for_line('active:')
    peer.spin_until(lambda: peer.node.count_publishers('/detections'), 'the detections')
    assert not peer.node.count_publishers('/instances')
    assert '/instances' not in server.stop()


def test_key_points_come_with_the_header_and_the_rows(start, peer, tmp_path):
    msgs = pytest.importorskip('ros2_classify_interfaces.msg')
    server = start('server', {'model': save_pose(tmp_path)})
    found = peer.collect(msgs.Keypoints2DArray, '/keypoints')
    detections = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=SIZE)
    result = camera.result(GREEN, found)
    same = peer.spin_until(
        lambda: [d for d in detections if d.header == result.header], 'its detections')[0]
    assert len(result.objects) == len(same.detections) == 2
    # A point is 3 pixels to the right of its box's centre.
    for points, detection in zip(result.objects, same.detections):
        assert [point.name for point in points.points] == ['head', 'tail']
        assert points.points[0].x == pytest.approx(detection.bbox.center.position.x + 3, abs=0.01)
    assert list(result.skeleton) == [0, 1]
    assert not peer.node.count_publishers('/skeletons')
    server.stop()


def test_the_service_returns_key_points_and_pixels(start, peer, tmp_path):
    srv = pytest.importorskip('ros2_classify_interfaces.srv')
    start('server', {'model': save_pose(tmp_path)}).wait_for_line('active:')
    image = Image(width=64, height=48, encoding='rgb8', step=192, data=bytes(64 * 48 * 3))
    response = peer.call(srv.Detect, '/server/detect', srv.Detect.Request(image=image))
    assert response.success, response.message
    assert len(response.keypoints.objects) == len(response.detections.detections)
    assert not response.instances.data


@pytest.mark.parametrize('save', [save_masks, save_pose])
def test_a_look_has_pixels_and_key_points_of_what_it_looks_for(start, peer, tmp_path, save):
    srv = pytest.importorskip('ros2_classify_interfaces.srv')
    start('server', {'model': save(tmp_path)}).wait_for_line('active:')
    camera = Camera(peer, '/image', size=SIZE)
    future = peer.ask(srv.Look, '/server/look', srv.Look.Request(
        classes=[NAMES[1] if save is save_masks else 'fish']))

    def done():
        camera.send_now(GREEN)
        time.sleep(0.05)
        return future.done()

    peer.spin_until(done, 'a response')
    response = future.result()
    assert response.outcome == response.FOUND, response.message
    detections = response.detections.detections
    assert not response.detections_3d.detections and not response.without_position
    if save is save_masks:
        assert len(detections) == 1
        # The second object alone, whose row is the first one now.
        assert np.array_equal(to_ids(response.instances), expected_instances() == 2)
        assert not response.keypoints.objects
    else:
        assert [points.points[0].x for points in response.keypoints.objects] == pytest.approx(
            [each.bbox.center.position.x + 3 for each in detections], abs=0.01)
        assert response.keypoints.header == response.detections.header
        assert not response.instances.data


def test_a_model_with_masks_returns_after_one_without(start, peer, tmp_path, detector):
    masks, pose = save_masks(tmp_path), save_pose(tmp_path)
    server = start('server', {'model': masks, 'model_changes': 'any'})
    instances = peer.collect(Image, '/instances')
    detections = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=SIZE)
    assert np.array_equal(to_ids(camera.result(GREEN, instances)), expected_instances())
    assert peer.set_values(model=str(detector)) == []
    plain = camera.result(GREEN, detections)
    # The topic is there since the start.
    assert peer.set_values(model=str(masks)) == []
    result = camera.result(GREEN, instances)
    assert np.array_equal(to_ids(result), expected_instances())
    assert not [each for each in instances if each.header == plain.header]
    # There was never one of key points.
    assert re.search('publishes key points, for which this node has no topic since masks gives '
                     'none: clean the node up', *peer.set_values(model=str(pose)))
    server.stop()


@pytest.mark.parametrize(('classes', 'encoding'), [(3, 'mono8'), (300, 'mono16')])
def test_segmentation(start, peer, tmp_path, classes, encoding):
    server = start('server', {'model': save_segmenter(tmp_path, classes)})
    results = peer.collect(Image, '/segmentation')
    images = peer.collect(Image, '/server/debug_image')
    labels = peer.collect(LabelInfo, '/label_info', LATCHED)
    peer.spin_until(
        lambda: peer.node.count_publishers('/server/debug_image'), 'the debug image')
    camera = Camera(peer, '/image', size=SIZE)
    result = camera.result(GREEN, results)
    assert (result.encoding, result.width, result.height) == (encoding, *SIZE)
    ids = to_ids(result)
    assert (ids[:, :32] == 0).all() and (ids[:, 32:] == classes - 1).all()
    names = {each.class_id: each.class_name for each in peer.spin_until(
        lambda: labels, 'the labels')[0].class_map}
    assert names[classes - 1] == f'class {classes - 1}' and len(names) == classes
    drawn = peer.spin_until(
        lambda: [p for p in images if p.header == result.header], 'the annotated image')[0]
    pixels, _ = to_array(drawn)
    assert tuple(pixels[44, 2]) == GREEN[::-1] and tuple(pixels[44, 60]) != GREEN[::-1]
    server.stop()


def test_the_client_draws_masks(start, image, tmp_path):
    start('server', {'model': save_masks(tmp_path)}).wait_for_line('active:')
    client = start('client_test', {
        'image': image, 'output': tmp_path / 'out.png', 'timeout': 30.0})
    assert client.wait() == 0, client.output
    changed = (cv2.imread(str(tmp_path / 'out.png')) != cv2.imread(str(image))).any(axis=2)
    # Inside the first box the left half is tinted, the right half is not.
    assert changed[28:33, 20:30].all() and not changed[28:33, 36:44].any()


def test_the_client_shows_a_segmentation(start, image, tmp_path):
    start('server', {'model': save_segmenter(tmp_path)}).wait_for_line('active:')
    client = start('client_test', {
        'image': image, 'output': tmp_path / 'out.png', 'timeout': 30.0})
    assert client.wait() == 0, client.output
    assert re.search(r'segmentation of .* from /segmentation after', client.output)
    assert re.search(r'class 2 +50\.0% +2\n', client.output), client.output
    assert 'background' not in client.output
    changed = (cv2.imread(str(tmp_path / 'out.png')) != cv2.imread(str(image))).any(axis=2)
    assert changed[44, 60] and not changed[44, 2]


def test_the_service_segments(start, peer, tmp_path):
    srv = pytest.importorskip(
        'ros2_classify_interfaces.srv', reason='the interfaces package is not built')
    server = start('server', {'model': save_segmenter(tmp_path)})
    image = Camera(peer, '/still', size=SIZE).message(GREEN)
    if not hasattr(srv, 'Segment'):
        server.wait_for_line('too old .*no service Segment')
        pytest.skip('the installed interfaces package has no service Segment')
    response = peer.call(srv.Segment, '/server/segment', srv.Segment.Request(image=image))
    assert response.success and response.segmentation.header == image.header
    assert (to_ids(response.segmentation)[:, 32:] == 2).all()
    server.stop()
