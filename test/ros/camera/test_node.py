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

"""The camera node as a process: what it publishes, when it ends, what it says."""

import re
import signal

import cv2
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data, QoSProfile
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.ros.camera import node as camera_node
from ros2_classify.sources import capture
from ros2_classify.sources.image_messages import compressed_to_array, to_array
from sensor_msgs.msg import CompressedImage, Image
import source_files

RELIABLE = QoSProfile(depth=100)


def stamp(msg):
    """Return a message's stamp in nanoseconds."""
    return msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec


@pytest.fixture
def directory(tmp_path):
    """Return a directory of three images of one colour each, with a damaged one among them."""
    for name, color in (('1.png', (10, 20, 30)), ('3.png', (110, 120, 130)),
                        ('10.png', (210, 220, 230))):
        cv2.imwrite(str(tmp_path / name), np.full((30, 40, 3), color, np.uint8))
    (tmp_path / '2.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    return tmp_path


def test_a_directory_is_published_once_and_the_node_ends(start, peer, directory):
    images = peer.collect(Image, '/image', RELIABLE)
    camera = start('camera', {
        'source': directory, 'loop': False, 'rate': 50.0, 'frame_id': 'front'})
    assert camera.wait() == 0
    peer.spin_until(lambda: len(images) == 3, 'three images')
    assert [to_array(msg)[0][0, 0].tolist() for msg in images] == [
        [10, 20, 30], [110, 120, 130], [210, 220, 230]]
    assert {(msg.encoding, msg.width, msg.height, msg.header.frame_id) for msg in images} == {
        ('bgr8', 40, 30, 'front')}
    stamps = [stamp(msg) for msg in images]
    assert stamps == sorted(set(stamps))
    assert len(re.findall(r'skipped: .*2\.png', camera.output)) == 1
    assert '3 images published' in camera.output


def test_it_loops_and_obeys_a_rate_set_while_it_runs(start, peer, directory):
    images = peer.collect(Image, '/image', qos_profile_sensor_data)
    camera = start('camera', {'source': directory, 'rate': 100.0})
    peer.spin_until(lambda: len(images) > 9, 'more images than there are files')
    assert len(re.findall('skipped', camera.output)) == 1
    assert peer.set_values('/camera', rate=10.0) == []
    seen = len(images)
    peer.spin_until(lambda: len(images) >= seen + 12, 'slower images')
    gaps = np.diff([stamp(msg) for msg in images[seen + 2:]]) / 1e9
    assert np.median(gaps) == pytest.approx(0.1, abs=0.02)
    assert 'rate' in peer.set_values('/camera', rate=-1.0)[0]
    assert 'bgr8, rgb8, mono8' in peer.set_values('/camera', encoding='jpeg')[0]
    assert 'read-only' in peer.set_values('/camera', width=7)[0]
    names = sorted(spec.name for spec in camera_node.PARAMETERS)
    assert set(names) <= set(peer.list_parameters('/camera'))
    assert all(len(each.description) > 20 for each in peer.describe(names, '/camera'))
    camera.stop()


def test_a_video_comes_frame_by_frame_at_its_own_rate(start, peer, tmp_path):
    values = list(range(10, 250, 10))
    path = source_files.save_video(tmp_path / 'v.avi', values, rate=20.0)
    images = peer.collect(Image, '/image', RELIABLE)
    camera = start('camera', {'source': path, 'loop': False})
    assert camera.wait() == 0
    peer.spin_until(lambda: len(images) == len(values), 'all frames')
    seen = [to_array(msg)[0].mean() for msg in images]
    assert seen == pytest.approx(values, abs=3)
    gaps = np.diff([stamp(msg) for msg in images]) / 1e9
    assert np.median(gaps) == pytest.approx(0.05, abs=0.015)


def test_encodings_compression_and_sizes(start, peer, directory):
    raw = peer.collect(Image, '/cam/image', qos_profile_sensor_data)
    compressed = peer.collect(CompressedImage, '/cam/image/compressed', qos_profile_sensor_data)
    camera = start('camera', {
        'source': directory / '3.png', 'width': 20, 'rate': 50.0, 'encoding': 'rgb8'},
        {'image': '/cam/image'})

    def images(encoding, codec):
        """Return a raw and a compressed image of one moment, in this form."""
        def found():
            by_stamp = {stamp(msg): msg for msg in raw if msg.encoding == encoding}
            return next(((by_stamp[stamp(msg)], msg) for msg in compressed
                         if stamp(msg) in by_stamp and f' {codec} ' in msg.format), None)
        return peer.spin_until(found, f'{encoding} and {codec} with one stamp')

    colors = np.array([110, 120, 130])
    for encoding, codec, start_bytes, tolerance in (
            ('rgb8', 'jpeg', b'\xff\xd8', 3), ('bgr8', 'png', b'\x89PNG', 0),
            ('mono8', 'png', b'\x89PNG', 0)):
        assert peer.set_values('/camera', encoding=encoding, compressed_format=codec) == []
        plain, packed = images(encoding, codec)
        pixels, color = to_array(plain)
        assert pixels.shape[:2] == (15, 20) and color == encoding[:-1]
        wanted = {'rgb': colors[::-1], 'bgr': colors, 'mono': 122}[color]
        assert (pixels[7, 7] == wanted).all()
        assert bytes(packed.data).startswith(start_bytes)
        assert packed.format.startswith('mono8;' if color == 'mono' else 'bgr8;')
        unpacked, order = compressed_to_array(packed)
        assert order == ('mono' if color == 'mono' else 'bgr')
        assert np.abs(unpacked - (122.0 if color == 'mono' else colors)).max() <= tolerance
    camera.stop(signal.SIGTERM)


def test_it_waits_for_subscribers_and_ends_while_waiting(start, peer, directory):
    camera = start('camera', {'source': directory, 'wait_for_subscribers': 2})
    peer.collect(Image, '/image', qos_profile_sensor_data)
    camera.wait_for_line('waiting for 2 subscriber.*, 1 so far')
    # An impatient user, or a terminal and `ros2 launch` both.
    while camera.process.poll() is None:
        camera.send_signal(signal.SIGINT)
    assert camera.wait() == 0 and 'Traceback' not in camera.output, camera.output
    assert 'publishing' not in camera.output


def test_a_source_that_cannot_be_used_ends_it_with_one_line(start):
    camera = start('camera', {'source': 99})
    assert camera.wait() == 1
    assert 'webcam 99 delivers no image' in camera.output
    assert len(camera.lines) == 1, camera.output


@pytest.mark.parametrize(('parameters', 'message'), [
    ({'source': '/nowhere'}, "there is no '/nowhere'; a source is an image file, a directory"),
    ({'source': 1.5}, 'source is 1.5 but must be a string or a whole number'),
    ({'encoding': 'jpeg'}, "encoding is 'jpeg' but must be one of: bgr8, rgb8, mono8"),
    ({'rate': 5000.0}, 'rate is 5000.0 but must be from 0.0 to 1000.0'),
    ({'rate': 5}, 'write a decimal point'),
])
def test_wrong_parameters_are_named(ros, monkeypatch, parameters, message):
    """In this process: a start takes a second."""
    from rclpy.node import Node
    from rclpy.parameter import Parameter

    from ros2_classify.ros.node.process import Stop

    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    init = Node.__init__
    nodes = []

    def with_parameters(node, name):
        nodes.append(node)
        init(node, name, parameter_overrides=overrides)

    monkeypatch.setattr(Node, '__init__', with_parameters)
    with pytest.raises(Ros2ClassifyError, match=re.escape(message)):
        camera_node.CameraNode(Stop())
    nodes[0].destroy_node()


def test_a_webcam_that_stops_is_opened_again(peer, monkeypatch, tmp_path):
    """In this process: the driver is replaced."""
    from ros2_classify.ros.node.process import Stop

    webcam = source_files.FakeCapture
    monkeypatch.setattr(webcam, 'frames', [1, 4, 0, 5])
    monkeypatch.setattr(webcam, 'opened', [])
    monkeypatch.setattr(cv2, 'VideoCapture', webcam)
    monkeypatch.setattr(capture.Webcam, 'longest_pause', 0.05)
    device = tmp_path / 'video'
    device.touch()
    source = camera_node.open_source
    monkeypatch.setattr(
        camera_node, 'open_source', lambda text, *others: source('/dev/video0', *others))
    monkeypatch.setattr(capture, 'Path', lambda _: device)

    stop = Stop()
    images = peer.collect(Image, '/image', RELIABLE)
    node = camera_node.CameraNode(stop)
    lines = []
    monkeypatch.setattr(
        node, '_log', lambda write, text, cause: lines.append(text))
    node.start()
    try:
        peer.spin_until(lambda: len(images) >= 7 and len(lines) >= 3, 'images after the gap')
        assert webcam.opened[:3] == ['/dev/video0'] * 3
        assert re.match('webcam /dev/video0 stopped delivering; opening it again', lines[0])
        assert re.match('webcam /dev/video0 delivers no image', lines[1])
        assert not stop.requested
    finally:
        node.close()
        node.destroy_node()
