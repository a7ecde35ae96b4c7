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

"""The reliability of the server's subscription, with cameras in processes of their own."""

import re
import time

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros2_classify.ros.server.subscription import ImageSubscription
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification

BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
OVERRIDE = 'qos_overrides./image.{}.reliability'


def wait_for(peer, reliability):
    """Wait until the server's subscription has this reliability."""
    def found():
        infos = peer.node.get_subscriptions_info_by_topic('/image')
        return [info.qos_profile.reliability for info in infos
                if info.node_name == 'server'] == [reliability]
    peer.spin_until(found, f'a subscription with {reliability}')


@pytest.fixture
def image(tmp_path):
    """Return an image that is larger than the segment that Fast DDS has by default."""
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), np.full((480, 640, 3), (0, 0, 255), np.uint8))
    return path


@pytest.fixture
def camera(start, image):
    """Return a function that starts a camera in a process, without the profile."""
    def camera(reliability, name='camera'):
        return start(
            'camera', {'source': image, 'rate': 10.0, OVERRIDE.format('publisher'): reliability},
            remap={'__node': name}, environment={'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'})
    return camera


def test_all_images_of_a_reliable_camera_come_without_the_profile(
        start, peer, classifier, camera):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification', 100)
    camera('reliable')
    wait_for(peer, RELIABLE)
    first = len(results)
    peer.spin_until(lambda: len(results) >= first + 40, '40 results')
    stamps = [result.header.stamp.sec + 1e-9 * result.header.stamp.nanosec
              for result in results[first + 5:]]
    # Of best effort, a third came; on a busy machine newer images replace some.
    assert (stamps[-1] - stamps[0]) / 0.1 < 1.5 * len(stamps)
    # What got lost before has been cured: no cure is named.
    assert 'did not arrive' not in server.stop()


def test_the_subscription_follows_the_cameras_and_nothing_is_forgotten(
        start, peer, classifier, camera):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification', 100)
    wait_for(peer, BEST_EFFORT)
    first = camera('best_effort', 'first')
    peer.spin_until(lambda: len(results) > 2, 'results of the best-effort camera')
    wait_for(peer, BEST_EFFORT)
    first.stop()
    second = camera('reliable', 'second')
    wait_for(peer, RELIABLE)
    before = len(results)
    peer.spin_until(lambda: len(results) > before + 2, 'results of the reliable camera')
    # A mixed topic: reliable would shut the other camera out.
    third = camera('best_effort', 'third')
    wait_for(peer, BEST_EFFORT)
    third.stop()
    wait_for(peer, RELIABLE)
    before = len(results)
    peer.spin_until(lambda: len(results) > before + 2, 'further results')
    second.stop()
    output = server.stop()
    assert 'incompatible QoS' not in output
    published = int(re.search(r'(\d+) results', output)[1])
    assert published >= len(results)


@pytest.mark.parametrize(('parameters', 'expected'), [
    ({'qos': 'best_effort'}, BEST_EFFORT), ({'qos': 'reliable'}, RELIABLE),
    ({OVERRIDE.format('subscription'): 'best_effort'}, BEST_EFFORT)])
def test_the_user_decides(start, peer, classifier, camera, parameters, expected):
    server = start('server', {'model': classifier, **parameters})
    results = peer.collect(Classification, '/classification', 100)
    camera('reliable')
    peer.spin_until(lambda: len(results) > 2, 'results')
    wait_for(peer, expected)
    server.stop()


def test_the_cure_of_losses_begins_with_the_reliability(start, peer, classifier, tmp_path):
    large = tmp_path / 'large.png'
    cv2.imwrite(str(large), np.zeros((1080, 1920, 3), np.uint8))
    server = start('server', {'model': classifier, 'qos': 'best_effort'})
    peer.collect(Classification, '/classification')
    start('camera', {'source': large, 'rate': 30.0},
          environment={'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'})
    line = server.wait_for_line(r'\d+ of \d+ images of the last \d+ s did not arrive')
    assert re.search('set the parameter qos to auto.*config/fastdds.xml', line), line
    server.stop()


@pytest.fixture
def topic(peer):
    """Return a subscription whose publishers are the test's alone, and how to publish there."""
    source = ImageSubscription(peer.node, '/changing_image', 'raw', lambda: None)
    source.update(wanted=True)
    yield source
    source.unsubscribe()


def test_each_image_counts_once_while_the_subscription_changes(peer, topic):
    taken, sent = [], []
    publisher = peer.node.create_publisher(Image, topic.topic, 1)
    peer.spin_until(publisher.get_subscription_count, 'the subscription')
    old, = topic.waitables

    def stream():
        """Publish an image, and look at the topic as a worker and the timer do."""
        sent.append(len(sent))
        publisher.publish(Image(header=Header(frame_id=str(sent[-1]))))
        taken.extend(iter(topic.take, None))
        topic.update(wanted=True)

    def until(condition, what):
        peer.spin_until(lambda: stream() or condition(), what)

    until(lambda: len(topic.waitables) == 2, 'another subscription')
    assert topic.reliability == 'reliable' and old in topic.waitables
    until(lambda: len(topic.waitables) == 1, 'the end of the old one')
    assert old not in topic.waitables
    until(lambda: taken[-1].msg.header.frame_id == str(sent[-1]), 'an image at once')
    names = [int(each.msg.header.frame_id) for each in taken]
    assert names == sorted(set(names))
    # What is neither here nor counted would have vanished.
    counted = len(names) + sum(each.replaced for each in taken) + topic.lost
    assert counted == names[-1] - names[0] + 1
    assert len(names) > 0.9 * counted
    # One that is not reliable comes: best effort again, and again nothing twice.
    poor = peer.node.create_publisher(
        Image, topic.topic, QoSProfile(depth=1, reliability=BEST_EFFORT))
    until(lambda: topic.reliability == 'best_effort', 'best effort')
    until(lambda: len(topic.waitables) == 1, 'the end of the reliable one')
    names = [int(each.msg.header.frame_id) for each in taken]
    assert names == sorted(set(names))
    poor.publish(Image(header=Header(frame_id='-1')))
    peer.spin_until(
        lambda: taken.extend(iter(topic.take, None)) or (
            taken[-1].msg.header.frame_id == '-1') or poor.publish(
                Image(header=Header(frame_id='-1'))), 'an image of the other one')
    for each in (publisher, poor):
        peer.node.destroy_publisher(each)


def test_nothing_changes_while_the_publishers_stay_the_same(peer, topic, monkeypatch):
    publisher = peer.node.create_publisher(Image, topic.topic, 1)
    peer.spin_until(publisher.get_subscription_count, 'the subscription')
    made = []
    use = topic._use_subscription
    monkeypatch.setattr(topic, '_use_subscription', lambda kind: made.append(kind) or use(kind))
    end = time.monotonic() + 8.0
    while time.monotonic() < end:
        publisher.publish(Image())
        peer.spin_until(lambda: True, 'a moment')
        topic.take()
        topic.update(wanted=True)
        time.sleep(0.02)
    assert made == [RELIABLE]
    peer.node.destroy_publisher(publisher)
