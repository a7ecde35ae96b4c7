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

"""Values that nobody means: each is refused in a sentence, and the server goes on as before."""

import math

from action_msgs.msg import GoalStatus
import pytest
from rclpy.action import ActionClient
from ros_stream import Camera
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray

srv = pytest.importorskip(
    'ros2_classify_interfaces.srv', reason='the interfaces package is not built')

NAN, INF = math.nan, math.inf
LONG = 'x\x1b[2J' * 200_000
RING = ','.join(f'{0.5 + 0.4 * f(n / 100):.5f}' for n in range(628) for f in (math.cos, math.sin))
PARAMETERS = {
    **{name: [NAN, INF, -INF, -1.0, 1e308] for name in (
        'track_high', 'track_low', 'track_lost_seconds', 'min_area', 'max_area', 'max_rate')},
    'track_confirm': [-1, 0, 2 ** 62],
    'classes': [['no'] * 10_000, ['\x1b[2J'], [LONG]],
    'class_thresholds': [['=0.5'], ['ball=nan'], ['ball=-1'], ['ball'], ['ball=0.5'] * 10_000],
    'roi': [[NAN] * 6, [0.0] * 6, [-1.0, 0.0, 1.0, 0.0, 1.0, 1.0], [0.1, 0.2], [0.1, 0.9] * 9_999],
    'tiles': ['99999999x99999999', '-1x2', '0x0', 'two'],
    'event_lines': [
        ['=0,0,1,1'], ['a=nan,0,1,1'], ['a=0,0,0,0'], ['a=1'], [f'\x1b[2J{LONG}'],
        [f'l{n}=0.1,0.1,0.9,{n / 5000}' for n in range(5000)]],
    'event_zones': [
        ['z=0,0,1,0,1,1@nan'], ['z=0,0,1,0,1,1@-1'], ['z=0,0,1,0'], [f'z={RING}'],
        [f'z{n}=0,0,1,0,1,1' for n in range(5000)]]}
REQUESTS = (
    {'classes': ['']}, {'classes': [LONG]}, {'classes': ['no'] * 10_000}, {'stream': LONG},
    {'stream': '/'}, {'max_age': -1.0}, {'max_age': INF}, {'timeout': INF}, {'timeout': NAN},
    {'timeout': -1.0}, {'positions': True})


def is_sentence(text):
    return 10 < len(text) <= 2100 and '\x1b' not in text


def test_hostile_values_are_refused_and_the_server_goes_on(start, peer, detector):
    action = pytest.importorskip('ros2_classify_interfaces.action')
    server = start('server', {'model': detector, 'tracking': True})
    results = peer.collect(Detection2DArray, '/detections')
    camera = Camera(peer, '/image', size=(100, 40))
    before = len(camera.result((200, 0, 0), results).detections)
    for name, values in PARAMETERS.items():
        for value in values:
            refused = peer.set_values(**{name: value})
            assert len(refused) == 1 and is_sentence(refused[0]), (name, repr(value)[:60], refused)
    client = ActionClient(peer.node, action.LookUntil, '/server/look_until')
    peer.spin_until(client.server_is_ready, 'the action')
    for request in REQUESTS:
        response = peer.call(srv.Look, '/server/look', srv.Look.Request(**request))
        assert not response.outcome and is_sentence(response.message), repr(request)[:60]
        sent = client.send_goal_async(action.LookUntil.Goal(**request))
        peer.spin_until(sent.done, 'the goal')
        ended = sent.result().get_result_async()
        peer.spin_until(ended.done, 'its result')
        assert ended.result().status == GoalStatus.STATUS_ABORTED
        assert is_sentence(ended.result().result.message), repr(request)[:60]
    assert peer.call(Trigger, '/server/reset_tracks', Trigger.Request()).message == (
        'forgot the objects of 1 stream; new ones have new ids')
    results.clear()
    assert len(camera.result((200, 0, 0), results).detections) == before
    server.stop()
