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

"""How many images are used: by their stamps, and none while a stream is disabled."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ros2_classify.ros.server.image_monitor import RateLimit
from ros_operator import Operator
from ros_process import Peer
from ros_stream import Camera
from std_srvs.srv import SetBool
from vision_msgs.msg import Classification

RED, GREEN = (220, 0, 0), (0, 220, 0)


def used(stamps: list[float], rate: float) -> list[float]:
    """Return the stamps that a limit lets pass."""
    limit = RateLimit()
    return [stamp for stamp in stamps if limit.allows(stamp, rate)]


@pytest.mark.parametrize(('camera', 'rate', 'count'), [
    (30, 10.0, 100), (30, 20.0, 200), (30, 7.0, 70), (30, 30.0, 300), (30, 60.0, 300),
    (5, 10.0, 50), (100, 0.5, 5)])
def test_a_number_of_stamps_passes_in_ten_seconds(camera: int, rate: float, count: int) -> None:
    for jitter in (0.0, 0.2):
        stamps = [1e9 + (each + jitter * ((7 * each) % 5 - 2) / 2) / camera
                  for each in range(10 * camera)]
        passed = used(stamps, rate)
        assert abs(len(passed) - count) <= 2
        assert passed[0] == stamps[0]


def test_gaps_and_time_that_goes_back_begin_again() -> None:
    assert used([0.0, 0.5, 1.0, 100.0, 100.5, 101.0], 1.0) == [0.0, 1.0, 100.0, 101.0]
    assert used([100.0, 100.5, 5.0, 5.5, 6.0], 1.0) == [100.0, 5.0, 6.0]
    # A burst after a gap is no reason to catch up.
    assert used([0.0, 10.0, 10.1, 10.2, 11.0], 1.0) == [0.0, 10.0, 11.0]


def test_images_beyond_the_rate_are_dropped_by_their_stamps(
        start: Any, peer: Peer, classifier: Any) -> None:
    server = start('server', {
        'model': classifier, 'image_topics': '[/rate/left/image, /rate/right/image]',
        'rate.left.max_rate': 1.0})
    left, right = (Camera(peer, f'/rate/{side}/image') for side in ('left', 'right'))
    results = peer.collect(Classification, '/rate/left/classification')
    others = peer.collect(Classification, '/rate/right/classification')
    left.result(RED, results)
    right.result(RED, others)
    last = results[-1].header.stamp.sec

    def send(second: int, nanosecond: int) -> Any:
        msg = left.message(GREEN)
        msg.header.stamp.sec, msg.header.stamp.nanosec = second, nanosecond
        left.send(msg)
        return msg

    # They come one after the other, faster than the stamps say, and slower.
    begun = len(results)
    for second, nanosecond in ((100, 0), (100, 500_000_000), (101, 0), (101, 800_000_000),
                               (102, 0)):
        msg = send(last + second, nanosecond)
        right.result(GREEN, others)
        if nanosecond == 0:
            peer.spin_until(
                lambda msg=msg: results[-1].header.stamp == msg.header.stamp, 'its result')
    stamps = [(each.header.stamp.sec - last, each.header.stamp.nanosec)
              for each in results[begun:]]
    assert stamps == [(100, 0), (101, 0), (102, 0)]
    assert peer.set_values(**{'rate.left.max_rate': 0.0}) == []
    msg = send(last + 102, 1)
    peer.spin_until(lambda: results[-1].header.stamp == msg.header.stamp, 'its result')
    output = server.stop()
    assert re.search(r'/rate/left/image: .* 2 beyond max_rate', output)
    assert not re.search(r'/rate/right/image: .*beyond', output)


def test_a_disabled_camera_is_not_subscribed_to_and_the_model_stays(
        start: Any, peer: Peer, operator: Operator, classifier: Any) -> None:
    server = start('server', {
        'model': classifier, 'image_topics': '[/on/left/image, /on/right/image]'})
    left, right = (Camera(peer, f'/on/{side}/image') for side in ('left', 'right'))
    results = peer.collect(Classification, '/on/left/classification')
    others = peer.collect(Classification, '/on/right/classification')
    left.result(RED, results)
    right.result(RED, others)

    def enable(name: str, value: bool) -> str:
        response = peer.call(SetBool, name, SetBool.Request(data=value), node='/server')
        assert response.success
        return str(response.message)

    assert enable('/on/left/server/enable', False) == 'disabled: /on/left/image'
    peer.spin_until(lambda: left.subscriptions == 0, 'the end of the subscription')
    right.result(GREEN, others)
    operator.wait('server: images /on/left/image', 'OK', 'disabled: the images of /on/left/image')
    assert enable('/server/enable', False) == 'disabled: /on/left/image, /on/right/image'
    peer.spin_until(lambda: right.subscriptions == 0, 'the end of the subscription')
    # It is no part of the lifecycle.
    assert peer.transition('deactivate') and peer.transition('activate')
    operator.wait('server: images /on/right/image', 'OK', 'disabled')
    assert left.subscriptions == right.subscriptions == 0
    assert enable('/server/enable', True) == 'enabled: /on/left/image, /on/right/image'
    left.result(GREEN, results)
    right.result(RED, others)
    output = server.stop()
    assert len(re.findall('loading the model', output)) == 1
