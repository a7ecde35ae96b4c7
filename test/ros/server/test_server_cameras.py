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

"""Several cameras on one server: topics, results, counts and silence of each are its own."""

import re

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_models import save_batch_classifier
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification, LabelInfo, VisionInfo

RED, GREEN, BLUE = (220, 0, 0), (0, 220, 0), (0, 0, 220)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TOPICS = ('/front/image_raw', '/rear/image_raw/compressed', '/robot/arm/image')


def parameters(model, *topics, **others):
    """Return the parameters of a server for these topics."""
    return {'model': model, 'image_topics': f'[{", ".join(topics)}]', **others}


@pytest.mark.parametrize(('batches', 'delay', 'parallel'), [
    (False, 0.0, 1), (False, 0.05, 1), (True, 0.0, 1), (True, 0.05, 1), (False, 0.0, 2),
    (True, 0.05, 3)])
def test_each_camera_has_its_own_results(
        start, peer, classifier, tmp_path, batches, delay, parallel):
    model = save_batch_classifier(tmp_path) if batches else classifier
    # The last topic is relative to the node's namespace.
    server = start('server', parameters(
        model, TOPICS[0], TOPICS[1], 'arm/image', max_batch_delay=delay, max_batch=4 * batches,
        threads=1, parallel=parallel),
        remap={'__ns': '/robot'})
    cameras = [Camera(peer, TOPICS[0]), Camera(peer, TOPICS[1], msg_type=CompressedImage),
               Camera(peer, TOPICS[2], size=(320, 30))]
    spaces = ('/front', '/rear', '/robot/arm')
    results = [peer.collect(Classification, f'{space}/classification') for space in spaces]
    drawn = [peer.collect(Image, f'{space}/server/debug_image') for space in spaces]
    for turn in range(4):
        for number, (camera, found, color, name) in enumerate(zip(
                cameras, results, (RED, GREEN, BLUE), ('red', 'green', 'blue'))):
            result = camera.result(color, found, frame_id=f'camera {number} {turn}')
            assert result.results[0].class_id == name
    # All at once: each gets the result of its own image.
    sent = [camera.message(color) for camera, color in zip(cameras, (BLUE, RED, GREEN))]
    for camera, msg in zip(cameras, sent):
        camera.send(msg)
    for camera, msg, found, name in zip(cameras, sent, results, ('blue', 'red', 'green')):
        assert camera.result_to(msg, found).results[0].class_id == name
    for number, images in enumerate(drawn):
        peer.spin_until(lambda images=images: images, 'an annotated image')
        assert {p.header.frame_id for p in images} <= {
            'eye', *(f'camera {number} {turn}' for turn in range(4))}
    labels = [peer.collect(LabelInfo, f'{space}/label_info', LATCHED) for space in spaces]
    models = [peer.collect(VisionInfo, f'{space}/vision_info', LATCHED) for space in spaces]
    peer.spin_until(lambda: all(labels) and all(models), 'the latched messages')
    assert [info[0].database_location for info in models] == [
        f'{space}/label_info' for space in spaces]
    output = server.stop()
    for topic in TOPICS:
        counts = re.search(rf'stopped: {topic}: (\d+) frames received, (\d+) results', output)
        assert counts and int(counts[2]) >= 5, output
    assert 'stopped: 0 requests handled' in output


def test_one_camera_s_faults_and_listeners_are_its_own(start, peer, classifier):
    server = start('server', parameters(classifier, *TOPICS[:2]))
    front = Camera(peer, TOPICS[0])
    rear = Camera(peer, TOPICS[1], msg_type=CompressedImage)
    results = peer.collect(Classification, '/front/classification')
    server.wait_for_line(f'active: {TOPICS[0]} -> /front/classification, '
                         '/front/server/debug_image')
    server.wait_for_line(f'active: {TOPICS[1]} -> /rear/classification.*nobody subscribes')
    front.result(GREEN, results)
    # Nobody subscribes to the results of the second one.
    peer.spin_until(lambda: rear.subscriptions == 0, 'the end of the second subscription')
    # Two while its reliability changes.
    assert front.subscriptions
    others = peer.collect(Classification, '/rear/classification')
    rear.result(RED, others)
    for camera, found, color, words in (
            (front, results, GREEN, f'{TOPICS[0]}: data has 30 bytes'),
            (rear, others, RED, f'{TOPICS[1]}: the JPEG of')):
        bad = camera.message(color)
        bad.data = bad.data[:len(bad.data) // 2] if camera is rear else bad.data[:30]
        camera.send(bad)
        server.wait_for_line(f'unusable image on {words}')
        camera.result(color, found)
    server.stop()


def test_each_camera_s_silence_is_explained(start, peer, classifier):
    topics = ('/dead/image', '/kind/image', '/nobody/image', '/good/image')
    server = start('server', parameters(classifier, *topics))
    dead, good = Camera(peer, topics[0]), Camera(peer, topics[3])
    kind = Camera(peer, topics[1], msg_type=CompressedImage)
    for space in ('dead', 'kind', 'nobody'):
        peer.collect(Classification, f'/{space}/classification')
    results = peer.collect(Classification, '/good/classification')
    good.result(GREEN, results)
    server.wait_for_line('no image from /test_peer on /dead/image for')
    server.wait_for_line('/kind/image carries sensor_msgs/msg/CompressedImage, not '
                         'sensor_msgs/msg/Image: correct the parameter image_topics')
    line = server.wait_for_line('nobody publishes on /nobody/image')
    assert re.search(r'topics of images are .*/good/image.*; name them in image_topics', line)
    server.stop()
    for camera in (dead, good, kind):
        camera.close()
