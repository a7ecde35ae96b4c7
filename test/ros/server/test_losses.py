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

"""Images lost in the middleware: counted, and said when they are a symptom."""

import cv2
import numpy as np
import pytest
from rclpy.event_handler import UnsupportedEventTypeError
from ros2_classify.ros.server.losses import Losses
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def span(losses, clock, came, lost, seconds=5.0):
    """Let so many images come and get lost within a time, and judge at its end."""
    for _ in range(came):
        losses.came()
    losses.add(lost)
    clock.now += seconds
    return losses.judge()


@pytest.mark.parametrize(('came', 'lost', 'said'), [
    (150, 0, ''), (0, 0, ''), (3, 4, ''), (150, 7, ''),
    (95, 5, '5 of 100 images of the last 5 s'),
    (10, 140, '140 of 150 images of the last 5 s'),
    (0, 5, '5 of 5 images of the last 5 s')])
def test_only_a_symptom_is_said(clock, came, lost, said):
    losses = Losses(clock)
    assert span(losses, clock, came, lost) == said
    assert losses.total == lost


def test_nothing_is_judged_too_early_and_nothing_counted_twice(clock):
    losses = Losses(clock)
    assert span(losses, clock, 50, 50, 4.9) == ''
    assert span(losses, clock, 50, 0, 0.2) == '50 of 150 images of the last 5 s'
    assert span(losses, clock, 150, 0, 70.0) == ''
    assert losses.total == 50


def test_the_same_is_said_again_after_a_minute(clock):
    losses = Losses(clock)
    said = [bool(span(losses, clock, 0, 100)) for _ in range(30)]
    assert [index for index, yes in enumerate(said) if yes] == [0, 12, 24]


def test_a_middleware_without_such_events_is_subscribed_to_as_well():
    class Node:

        def create_subscription(self, *args, **options):
            events = options.pop('event_callbacks', None)
            if events and (events.message_lost or not known):
                raise UnsupportedEventTypeError
            return args, options, bool(events)

    for known in (False, True):
        assert Losses().subscribe(Node(), Image, 'image', qos_overriding_options=1) == (
            (Image, 'image'), {'qos_overriding_options': 1}, known)


@pytest.fixture
def large_image(tmp_path):
    """Return an image that is twelve times the segment that Fast DDS has by default."""
    path = tmp_path / 'large.png'
    cv2.imwrite(str(path), np.zeros((1080, 1920, 3), np.uint8))
    return path


def test_the_server_warns_of_a_camera_without_the_profile(
        start, peer, classifier, large_image):
    server = start('server', {'model': classifier})
    peer.collect(Classification, '/classification')
    camera = start('camera', {'source': large_image, 'rate': 30.0},
                   environment={'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'})
    line = server.wait_for_line(r'\d+ of \d+ images of the last \d+ s got lost')
    assert '/image.' in line and 'config/fastdds.xml' in line and 'compressed' in line
    camera.stop()
    server.stop()


def test_the_server_says_nothing_where_it_is_slow_itself(start, peer, classifier, large_image):
    server = start('server', {'model': classifier, 'image_transport': 'compressed'})
    results = peer.collect(Classification, '/classification', 1000)
    images = peer.collect(CompressedImage, '/image/compressed', 1)
    # Far more than can be decoded: most are replaced by newer ones before their turn.
    camera = start('camera', {'source': large_image, 'rate': 300.0, 'wait_for_subscribers': 2})
    peer.spin_until(lambda: len(images) > 1000 and len(results) > 100, 'many images')
    camera.stop()
    counts = server.stop()
    assert 'got lost' not in counts
    assert ' 0 replaced' not in counts
