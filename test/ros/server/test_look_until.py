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

"""The action ``~/look_until``: feedback, outcomes, cancelling, goals side by side."""

import time

from action_msgs.msg import GoalStatus
import numpy as np
import pytest
from rclpy.action import ActionClient
from rgbd_camera import RgbdCamera
from ros_models import save_sleeper
from ros_stream import Camera

action = pytest.importorskip(
    'ros2_classify_interfaces.action', reason='the interfaces package is not built')

GREEN, RED, WHITE = (10, 200, 60), (200, 0, 0), (255, 255, 255)
Goal, Result = action.LookUntil.Goal, action.LookUntil.Result


class Client:
    """The action's client, and a camera whose colours follow each other."""

    def __init__(self, peer, topic='/image'):
        self.peer = peer
        self.camera = Camera(peer, topic)
        self._client = ActionClient(peer.node, action.LookUntil, '/server/look_until')
        peer.spin_until(self._client.server_is_ready, 'the action')
        peer._get_known_to('/server')
        self.feedback = []

    def send(self, **goal):
        """Send a goal; return its handle once it is accepted."""
        future = self._client.send_goal_async(
            Goal(**goal), feedback_callback=lambda msg: self.feedback.append(msg.feedback))
        self.peer.spin_until(future.done, 'the acceptance')
        assert future.result().accepted
        return future.result()

    def result(self, handle, *colors):
        """Return status and result, with an image of the next colour after each feedback."""
        future = handle.get_result_async()
        colors, looked = list(colors), [len(self.feedback), 0.0]

        def done():
            if len(self.feedback) > looked[0] and len(colors) > 1:
                colors.pop(0)
                looked[:] = len(self.feedback), 0.0
            # Best-effort images may get lost.
            if colors and time.monotonic() - looked[1] > 0.5:
                self.camera.send_now(colors[0])
                looked[1] = time.monotonic()
            return future.done()

        self.peer.spin_until(done, 'the result')
        return future.result().status, future.result().result


@pytest.fixture
def client(start, peer, classifier):
    server = start('server', {'model': classifier})
    yield Client(peer)
    server.stop()


def test_it_is_found_when_seen_often_enough(client):
    status, result = client.result(
        client.send(classes=['red'], times=2, images=3), RED, GREEN, GREEN, RED, GREEN, RED)
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert (result.outcome, result.images, result.seen) == (Result.FOUND, 6, 3)
    assert result.message == 'red was seen in 3 of 6 images on /image'
    assert result.classification.results[0].class_id == 'red'
    assert [(each.images, each.seen) for each in client.feedback] == [
        (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3)]
    assert result.best_score == pytest.approx(result.classification.results[0].score, abs=1e-6)


def test_not_found_and_could_not_look_differ(client):
    status, result = client.result(client.send(classes=['red'], timeout=3.0), GREEN)
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.NOT_FOUND)
    assert result.message.startswith('red was seen in 0 of ')
    status, result = client.result(client.send(classes=['red'], timeout=0.5))
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.COULD_NOT_LOOK)
    for words, goal in (("did you mean 'red'?", {'classes': ['rad']}),
                        ('cannot be', {'times': 3, 'images': 2}),
                        ('no camera', {'stream': 'rear'})):
        status, result = client.result(client.send(**goal))
        assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.COULD_NOT_LOOK)
        assert words in result.message


def test_goals_go_on_side_by_side(client):
    red, green = client.send(classes=['red']), client.send(classes=['green'])
    status, result = client.result(red, GREEN, RED)
    assert (status, result.outcome) == (GoalStatus.STATUS_SUCCEEDED, Result.FOUND)
    assert client.result(green)[1].outcome == Result.FOUND


def test_deactivation_ends_a_goal_with_its_reason(client):
    handle = client.send(classes=['red'], timeout=60.0)
    assert client.peer.transition('deactivate')
    status, result = client.result(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.COULD_NOT_LOOK)
    assert result.message.startswith('/server has been deactivated')
    status, result = client.result(client.send(classes=['red']))
    assert result.message == '/server is not active; activate it first'
    assert client.peer.transition('cleanup')
    assert client.peer.transition('configure') and client.peer.transition('activate')
    assert client.result(client.send(classes=['red']), RED)[1].outcome == Result.FOUND


def test_it_is_cancelled_during_an_inference(start, peer, tmp_path):
    server = start('server', {'model': save_sleeper(tmp_path), 'inference_timeout': 3600.0})
    client = Client(peer)
    handle = client.send(timeout=60.0)
    client.camera.send(client.camera.message(WHITE))
    time.sleep(0.5)
    began = time.monotonic()
    canceled = handle.cancel_goal_async()
    peer.spin_until(canceled.done, 'the response')
    assert len(canceled.result().goals_canceling) == 1
    status, result = client.result(handle)
    assert status == GoalStatus.STATUS_CANCELED
    assert result.message.startswith('canceled; ')
    assert time.monotonic() - began < 3.0
    # The model goes round for ever.
    server.kill()


def test_a_goal_ends_with_the_node(start, peer, classifier):
    server = start('server', {'model': classifier})
    client = Client(peer)
    handle = client.send(timeout=60.0)
    future = handle.get_result_async()
    # The request for the result is on its way.
    assert peer.state() == 'active'
    server.stop()
    peer.spin_until(future.done, 'the result')
    assert future.result().result.message.startswith('/server has been deactivated')


def test_positions_come_with_what_was_found(start, peer, detector):
    start('server', {'model': detector, 'image_topics': '[/until/image_raw]',
                     'depth_topic': 'depth'}).wait_for_line('active: ')
    client, camera = Client(peer), RgbdCamera(peer, '/until')
    # With the images that come until its subscription of depth is there.
    handle = client.send(classes=['cup'], positions=True, times=5, timeout=20.0)
    future = handle.get_result_async()
    depth = np.full((480, 640), 2.0, np.float32)
    result = camera.until(lambda: future.done() and future.result().result, depth)
    assert (result.outcome, len(result.detections.detections)) == (Result.FOUND, 1)
    assert list(result.without_position) == ['']
    assert result.detections_3d.detections[0].bbox.center.position.z == pytest.approx(2.0)
