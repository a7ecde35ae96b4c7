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

"""The client as a process, against a server in another: results, services, failures."""

import re

import cv2
import numpy as np
import pytest
from ros2_classify.ros.client import node as client_node
from ros_models import BOXES, NAMES, SCORES


@pytest.fixture
def image(tmp_path):
    """Return a green image that is not square."""
    path = tmp_path / 'green.png'
    cv2.imwrite(str(path), np.full((48, 64, 3), (60, 200, 10), np.uint8))
    return path


def test_a_classifier_results_on_topics_and_by_service(start, classifier, image, tmp_path):
    start('server', {'model': classifier}).wait_for_line('active:')
    clients = [start('client_test', {'image': image, 'timeout': 30.0, **more}) for more in (
        {'output': tmp_path / 'out.png'}, {'use_service': True, 'frame_id': 'mine'})]
    for client, source, frame in zip(
            clients, ('/classification', '/server/classify'), ('client_test', 'mine')):
        assert client.wait() == 0, client.output
        assert re.search(
            rf'classification of {re.escape(str(image))} \(64x48\) from {source} after \d+ ms',
            client.output), client.output
        assert re.search(rf'stamp \d+\.\d{{9}}, frame {frame}\n', client.output)
        # The name comes from the result, its number from the server's label_info.
        assert re.search(r'green +0\.784 +1\n', client.output), client.output
    drawn = cv2.imread(str(tmp_path / 'out.png'))
    assert drawn.shape == (48, 64, 3) and (drawn != cv2.imread(str(image))).any()


def test_a_detector_results_and_the_boxes_are_drawn(start, detector, image, tmp_path):
    start('server', {'model': detector, 'image_transport': 'compressed'}).wait_for_line('active:')
    client = start('client_test', {
        'image': image, 'output': tmp_path / 'out.png', 'timeout': 30.0,
        'image_transport': 'compressed'})
    assert client.wait() == 0, client.output
    for name, score, box in zip(NAMES, SCORES, BOXES * [64, 48, 64, 48]):
        edges = ' +'.join(f'{edge:.0f}' for edge in box)
        assert re.search(rf'{name} +{score:.3f} +{edges} ', client.output), client.output
    changed = (cv2.imread(str(tmp_path / 'out.png')) != cv2.imread(str(image))).any(axis=2)
    # The left edge of the first box, a quarter of the width from the left, in its lower part.
    assert changed[32:36, 12:21].any(axis=1).all()
    assert not changed[40:].any()


def test_without_an_result_it_says_why(start, classifier, image):
    server = start('server', {'model': classifier, 'autostart': False})
    server.wait_for_line('autostart is off')
    # The second one asks for what isn't there at all; its simulated time stands still.
    clients = [start('client_test', {'image': image, 'timeout': 4.0, **more}) for more in (
        {}, {'server': 'nobody', 'use_service': True, 'use_sim_time': True})]
    for client in clients:
        assert client.wait() == 1
        assert 'Traceback' not in client.output
    assert re.search(r'no result on /classification or /detections or /segmentation in 4 s: the '
                     'server /server is unconfigured: ros2 lifecycle set /server configure',
                     clients[0].output)
    assert re.search(r'no result on /nobody/classify or /nobody/detect.* in 4 s: nobody offers',
                     clients[1].output)


def test_the_image_that_is_sent_is_not_written_over(start, image):
    client = start('client_test', {'image': image, 'output': image})
    assert client.wait() != 0
    assert 'is the image that is published, and would be replaced' in client.output


def test_a_request_the_server_refuses(start, classifier, image):
    start('server', {'model': classifier, 'max_image_pixels': 100}).wait_for_line('active:')
    client = start('client_test', {'image': image, 'use_service': True, 'timeout': 30.0})
    assert client.wait() == 1
    assert re.search(r'/server/classify replied: the image of 64x48 has more than the 100',
                     client.output), client.output


@pytest.mark.parametrize(('parameters', 'message'), [
    ({'image': '/nowhere.png'}, 'the image /nowhere.png cannot be read'),
    ({'output': '/nowhere/out.png'}, 'there is no directory /nowhere'),
    ({'server': 'my-server'}, "server is 'my-server' but must be the name of a node"),
    ({'task': 'depth'}, 'must be one of: auto, classification, detection, segmentation'),
])
def test_wrong_parameters_end_it_with_one_line(start, parameters, message):
    client = start('client_test', parameters)
    assert client.wait() == 1
    assert message in client.output
    assert len(client.lines) == 1, client.output


def test_it_ends_on_a_signal_while_it_waits(start, peer, image):
    client = start('client_test', {'image': image, 'timeout': 600.0})
    client.wait_for_line('sending')
    names = sorted(spec.name for spec in client_node.PARAMETERS)
    assert all(len(each.description) > 15 for each in peer.describe(names, '/client_test'))
    client.stop()
