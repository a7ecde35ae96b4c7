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

"""The stream: images in on one topic, results out on the others, over real DDS."""

from array import array
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify.ros.server.camera_stream import Frame
from ros2_classify.sources.image_messages import to_array
from ros_models import BOXES, NAMES, save_sleeper, SCORES
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo, VisionInfo

GREEN = (10, 200, 60)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_classification_follows_its_parameters(start, peer, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')

    reply = camera.result(GREEN, results)
    assert [(r.class_id, round(r.score, 2)) for r in reply.results] == [
        ('green', 0.78), ('blue', 0.24)]
    assert peer.set_values(class_id='index') == []
    assert [r.class_id for r in camera.result(GREEN, results).results] == ['1', '2']
    assert peer.set_values(score_threshold=0.0, top_k=1) == []
    assert [r.class_id for r in camera.result(GREEN, results).results] == ['1']
    assert peer.set_values(score_threshold=1.0, top_k=3) == []
    assert camera.result(GREEN, results).results == []
    counts = server.stop()
    assert re.search(r'4 results, 0 replaced .* 0 unusable, 0 failed', counts), counts


@pytest.mark.parametrize('reliability', list(ReliabilityPolicy)[1:3])
def test_every_result_carries_the_header_of_its_image(start, peer, classifier, reliability):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image', qos=QoSProfile(depth=1, reliability=reliability))
    colors = {'red': (220, 0, 0), 'green': (0, 220, 0), 'blue': (0, 0, 220)}
    sent = {}
    for turn in range(30):
        name = list(colors)[turn % 3]
        reply = camera.result(colors[name], results, frame_id=f'frame {turn}')
        assert reply.results[0].class_id == name
        sent[reply.header.frame_id] = (reply.header.stamp.sec, reply.header.stamp.nanosec)
    assert len(sent) == 30
    for result in results:
        assert sent[result.header.frame_id] == (
            result.header.stamp.sec, result.header.stamp.nanosec)
    server.stop()


def test_detections_are_in_the_pixels_of_an_image_that_is_not_square(start, peer, detector):
    server = start('server', {'model': detector})
    results = peer.collect(Detection2DArray, '/detections')
    images = peer.collect(Image, '/server/debug_image')
    camera = Camera(peer, '/image', size=(64, 48))
    peer.spin_until(
        lambda: peer.node.count_publishers('/server/debug_image'), 'the debug image')

    reply = camera.result(GREEN, results)
    assert len(reply.detections) == 2
    for detection, box, name, score in zip(reply.detections, BOXES, NAMES, SCORES):
        x1, y1, x2, y2 = box * (64, 48, 64, 48)
        center = detection.bbox.center
        assert (center.position.x, center.position.y) == pytest.approx(
            ((x1 + x2) / 2, (y1 + y2) / 2))
        assert center.theta == 0.0
        assert (detection.bbox.size_x, detection.bbox.size_y) == pytest.approx((x2 - x1, y2 - y1))
        assert detection.header == reply.header
        assert [r.hypothesis.class_id for r in detection.results] == [name]
        assert detection.results[0].hypothesis.score == pytest.approx(score)

    drawn = peer.spin_until(
        lambda: [p for p in images if p.header == reply.header], 'the annotated image')[0]
    assert drawn.encoding == 'bgr8'
    pixels, _ = to_array(drawn)
    assert pixels.shape == (48, 64, 3)
    # The middle of the cup's box is untouched, its edge is not.
    assert tuple(pixels[32, 40]) == GREEN[::-1]
    assert (pixels[22:27, 14:50] != GREEN[::-1]).any()

    assert peer.set_values(max_detections=1) == []
    assert len(camera.result(GREEN, results).detections) == 1
    assert peer.set_values(score_threshold=0.95) == []
    assert camera.result(GREEN, results).detections == []
    server.stop()


def wide(camera, bits):
    """Return a 16-bit image whose values have fewer bits: GREEN, with a black corner."""
    msg = camera.message(GREEN)
    pixels = (np.frombuffer(msg.data, np.uint8).astype(np.uint32) * ((1 << bits) - 1) // 255)
    pixels[:3] = 0
    msg.encoding, msg.step = 'rgb16', 2 * msg.step
    msg.data = array('B', pixels.astype('<u2').tobytes())
    return msg


def test_16_bit_images_with_12_bits_are_warned_of_once_and_input_range_helps(
        start, peer, operator, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    for _ in range(7):
        # Nearly black: no score reaches the threshold.
        assert camera.result_to(wide(camera, 12), results).results == []
    server.wait_for_line(
        r'WARN.*16-bit images on /image: values are from 0 to 3211, but 65535 is white: they '
        r'are nearly black; set input_range to 12 for a camera of 12 bits')
    operator.wait('server: images /image', 'WARN', 'values are from 0 to 3211')
    for value in ('12', '0..4095', 'auto'):
        assert peer.set_values(input_range=value) == []
        reply = camera.result_to(wide(camera, 12), results)
        assert [(r.class_id, round(r.score, 2)) for r in reply.results] == [
            ('green', 0.78), ('blue', 0.24)]
    assert 'number of bits from 8 to 16' in peer.set_values(input_range='bright')[0]
    server.wait_for_line('/image: input_range auto: 12 bits, for the largest value so far, 3211')
    output = server.stop()
    assert output.count('nearly black') == 1


def test_the_descriptor_sets_the_input_range(start, peer, classifier, tmp_path):
    path = tmp_path / 'thermal.yaml'
    text = classifier.read_text().replace('input: {', 'input: {input_range: 12, ')
    path.write_text(text.replace('colors.onnx', str(classifier.with_name('colors.onnx'))))
    server = start('server', {'model': path})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    for _ in range(6):
        assert camera.result_to(wide(camera, 12), results).results[0].class_id == 'green'
    assert 'nearly black' not in server.stop()


def test_a_jpeg_needs_its_data_but_not_its_last_marker(start, peer, classifier):
    server = start('server', {'model': classifier, 'image_transport': 'compressed'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image/compressed', msg_type=CompressedImage)
    msg = camera.message(GREEN)
    whole = bytes(msg.data)
    msg.data = array('B', whole[:-2])
    assert camera.result_to(msg, results).results[0].class_id == 'green'
    cut = camera.message(GREEN)
    cut.data = array('B', whole[:-12] + whole[-2:])
    camera.send(cut)
    server.wait_for_line('unusable image on .*: the JPEG of 64x48 is cut off: its image data')
    server.stop()


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_compressed_images_follow_the_remapped_topic(start, peer, classifier, suffix):
    server = start('server', {'model': classifier, 'image_transport': 'compressed'},
                   remap={'image': '/cam/image_raw'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/cam/image_raw/compressed', msg_type=CompressedImage, suffix=suffix)
    assert camera.result(GREEN, results).results[0].class_id == 'green'
    server.stop()


def test_a_remapped_compressed_topic_wins(start, peer, classifier):
    server = start('server', {'model': classifier, 'image_transport': 'compressed'},
                   remap={'image': '/cam/image_raw', 'image/compressed': '/other'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/other', msg_type=CompressedImage)
    assert camera.result(GREEN, results).results[0].class_id == 'green'
    server.stop()


def test_bad_images_are_counted_and_the_next_good_one_has_a_result(start, peer, classifier):
    # Nothing is to get lost on the way, so that the counts can be compared.
    server = start('server', {
        'model': classifier, 'qos_overrides./image.subscription.reliability': 'reliable',
        'qos_overrides./image.subscription.depth': 20})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image', qos=QoSProfile(depth=20))
    camera.result(GREEN, results)
    # Those before the server was connected are not counted.
    early = len(camera.sent) - 1
    spoilers = [
        {'step': 3}, {'height': 900}, {'encoding': 'rgb565'}, {'width': 0, 'height': 0},
        {'data': b''}, {'encoding': 'nv12', 'height': 33}, {'encoding': '32FC1'}]
    for number, change in enumerate(spoilers):
        bad = camera.message(GREEN)
        for name, value in change.items():
            setattr(bad, name, value)
        camera.send(bad)
        if number == 0:
            server.wait_for_line(
                'unusable image on /image: step is 3, but a row of a rgb8 image of 64x48 '
                'takes 192 bytes')
        camera.result(GREEN, results)
        # On a busy machine a good one is sent again, and has two results.
        stamps = {(result.header.stamp.sec, result.header.stamp.nanosec) for result in results}
        assert len(stamps) == number + 2
    output = server.stop()
    words = [line for line in server.lines if 'unusable image on /image' in line]
    assert len(words) == 1
    unusable, replaced, good = (int(re.search(rf'(\d+) {word}', output)[1])
                                for word in ('unusable', 'replaced', 'results'))
    counted = unusable + replaced + good
    assert unusable >= 1 and len(camera.sent) - early <= counted <= len(camera.sent)


def test_bad_jpegs_are_counted_and_the_next_good_one_has_a_result(start, peer, classifier):
    server = start('server', {'model': classifier, 'image_transport': 'compressed'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image/compressed', msg_type=CompressedImage)
    camera.result(GREEN, results)
    bad = camera.message(GREEN)
    bad.data = bad.data[:len(bad.data) // 2]
    camera.send(bad)
    server.wait_for_line('unusable image on /image/compressed: the JPEG of 64x48 is cut off')
    camera.result(GREEN, results)
    assert '1 unusable' in server.stop()


def test_without_a_listener_there_is_no_subscription_and_no_inference(start, peer, classifier):
    # A topic of its own: a node that another test killed still counts for some seconds.
    server = start('server', {'model': classifier}, remap={'image': '/quiet_image'})
    camera = Camera(peer, '/quiet_image')
    server.wait_for_line('active: .*nobody subscribes')
    listener = peer.node.create_subscription(
        Image, '/server/debug_image', lambda _: None, 10)
    peer.spin_until(lambda: camera.subscriptions == 1, 'the subscription for debug images')
    camera.send(camera.message(GREEN))
    peer.node.destroy_subscription(listener)
    peer.spin_until(lambda: camera.subscriptions == 0, 'the end of the subscription')

    results = peer.collect(Classification, '/classification')
    camera.result(GREEN, results)
    output = server.stop()
    received, published, no_subscribers = (
        int(re.search(rf'(\d+) {word}', output)[1])
        for word in ('frames received', 'results,', 'without subscribers'))
    # The first one may have come before or after the listener had gone.
    assert 1 <= published <= 2 and no_subscribers == received - published <= 1, output


def test_labels_and_model_are_latched(start, peer, detector):
    server = start('server', {'model': detector})
    server.wait_for_line('active: ')
    labels = peer.collect(LabelInfo, '/label_info', LATCHED)
    models = peer.collect(VisionInfo, '/vision_info', LATCHED)
    peer.spin_until(lambda: labels and models, 'the latched messages')
    assert {entry.class_id: entry.class_name for entry in labels[0].class_map} == {
        1: NAMES[0], 2: NAMES[1]}
    assert labels[0].threshold == pytest.approx(0.5)
    assert models[0].method == 'boxes'
    assert models[0].database_location == '/label_info'
    assert models[0].database_version == 1
    assert peer.set_values(score_threshold=0.25) == []
    peer.spin_until(lambda: len(labels) == 2, 'the labels with the new threshold')
    assert labels[1].threshold == pytest.approx(0.25)
    server.stop()


def test_silence_is_explained_in_words(start, peer, classifier):
    # One server for each cause, each in a namespace: they wait side by side.
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    cameras = [
        Camera(peer, '/front/image_raw'), Camera(peer, '/qos/image', qos=best_effort),
        Camera(peer, '/dead/image'), Camera(peer, '/kind/image', msg_type=CompressedImage)]
    servers = {}
    for name in ('nobody', 'qos', 'dead', 'kind'):
        peer.collect(Classification, f'/{name}/classification')
        parameters = {'model': classifier}
        if name == 'nobody':
            # A clock that stands still must not silence it.
            parameters['use_sim_time'] = True
        if name == 'qos':
            parameters['qos_overrides./qos/image.subscription.reliability'] = 'reliable'
        servers[name] = start('server', parameters, remap={'__ns': f'/{name}'})

    line = servers['nobody'].wait_for_line('nobody publishes on /nobody/image')
    assert re.search(r'topics of images are .*/front/image_raw', line), line
    assert re.search(r'--ros-args -r image:=/\w+/image', line), line
    line = servers['qos'].wait_for_line('QoS on /qos/image: /test_peer does not match')
    assert 'reliab' in line.lower() and 'qos_overrides' in line
    line = servers['dead'].wait_for_line('no image from /test_peer on /dead/image for')
    assert 'config/fastdds.xml' in line
    servers['kind'].wait_for_line(
        '/kind/image carries sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image: set the '
        'parameter image_transport to compressed')
    for server in servers.values():
        server.stop()
    for camera in cameras:
        camera.close()


def test_a_large_image_arrives(start, peer, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image', size=(1920, 1080))
    for _ in range(5):
        assert camera.result(GREEN, results).results[0].class_id == 'green'
    server.stop()


def test_of_a_flood_of_images_the_newest_are_processed(start, peer, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification', 1000)
    camera = Camera(peer, '/image', size=(640, 480))
    camera.result(GREEN, results)
    for _ in range(100):
        camera.send(camera.message(GREEN))
    last = camera.result(GREEN, results)
    stamps = [(r.header.stamp.sec, r.header.stamp.nanosec) for r in results]
    assert stamps == sorted(stamps)
    assert results[-1].header == last.header
    counts = [int(n) for n in re.findall(
        r'(\d+) (?:frames received|results,|replaced|without|unusable|failed)',
        server.stop())]
    received, *outcomes = counts
    assert received == sum(outcomes)
    assert received <= 102


def test_images_that_nobody_has_time_for_stay_in_the_middleware(start, peer, tmp_path):
    white, trace = tmp_path / 'white.png', tmp_path / 'times.npz'
    cv2.imwrite(str(white), np.full((48, 64, 3), 255, np.uint8))
    server = start('server', {'model': save_sleeper(tmp_path, turns=20_000),
                              'score_threshold': 0.0, 'trace_file': trace})
    results = peer.collect(Classification, '/classification', 1000)
    # An image takes the model some 20 ms; five come in that time.
    flood = start('camera', {'source': white, 'rate': 250.0, 'wait_for_subscribers': 1})
    peer.spin_until(lambda: len(results) >= 50, 'many results')
    flood.stop()
    # Once all is quiet, every image is delivered as before.
    camera = Camera(peer, '/image')
    for _ in range(3):
        assert camera.result(GREEN, results).results
    stamps = [(r.header.stamp.sec, r.header.stamp.nanosec) for r in results[:50]]
    assert stamps == sorted(set(stamps))
    counts = server.stop()
    received, published, replaced, no_subscribers = (int(n) for n in re.search(
        r'(\d+) frames received, (\d+) results, (\d+) replaced by newer ones, (\d+) without '
        r'subscribers, 0 unusable, 0 failed', counts).groups())
    assert received == published + replaced + no_subscribers and replaced > published
    with np.load(trace) as times:
        taken, skipped = len(times['taken']), int(times['skipped'][:, 0].sum())
    assert taken + skipped == received
    # Most of them were not even taken, and known all the same.
    assert skipped > 0.5 * replaced


def test_images_of_several_encodings_get_the_same_result(start, peer, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    rgb = np.full((48, 64, 3), GREEN, np.uint8)
    for encoding, pixels in (
            ('bgr8', rgb[..., ::-1]), ('rgba8', np.dstack([rgb, rgb[..., 0]])),
            ('rgb16', rgb.astype('<u2') * 257)):
        msg = camera.message(GREEN)
        msg.encoding = encoding
        msg.data = array('B', pixels.tobytes())
        msg.step = len(msg.data) // 48
        reply = camera.result_to(msg, results)
        assert [(r.class_id, round(r.score, 2)) for r in reply.results] == [
            ('green', 0.78), ('blue', 0.24)]
    server.stop()


def test_an_image_without_a_stamp_is_of_when_it_came():
    header = Header()
    frame = Frame(None, SimpleNamespace(header=header), 5.0)
    assert frame.seconds == 5.0
    header.stamp.sec, header.stamp.nanosec = 3, 500_000_000
    assert frame.seconds == 3.5
