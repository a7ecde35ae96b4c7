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

"""A camera and the server in one process: as programs, and with a camera of one's own."""

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from ros_process import DEADLINE, ROOT
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification


@pytest.fixture
def images(tmp_path):
    """Return a directory of green images."""
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.png'),
                    np.full((48, 64, 3), (60, 200, 10 + number), np.uint8))
    return tmp_path


def test_images_reach_the_server_and_others(start, peer, classifier, images):
    results = peer.collect(Classification, '/robot/classification')
    both = start('composed', {
        'model': classifier, 'source': images, 'rate': 50.0,
        'frame_id': 'front'},
        remap={'__ns': '/robot', 'image': '/front/image_raw'})
    peer.spin_until(lambda: len(results) >= 10, 'results')
    assert {msg.results[0].class_id for msg in results} == {'green'}
    # The server takes them without a subscription.
    names = {info.node_name for info in
             peer.node.get_subscriptions_info_by_topic('/front/image_raw')}
    assert 'server' not in names
    seen = peer.collect(Image, '/front/image_raw', qos_profile_sensor_data)
    peer.spin_until(lambda: len(seen) >= 5, 'images')
    stamps = {(msg.header.stamp.sec, msg.header.stamp.nanosec) for msg in seen}
    peer.spin_until(
        lambda: stamps & {(msg.header.stamp.sec, msg.header.stamp.nanosec) for msg in results},
        'the result of an image that others saw, too')
    assert {msg.header.frame_id for msg in results} == {'front'}
    assert peer.state('/robot/server') == 'active'
    output = both.stop()
    assert '0 unusable, 0 failed' in output
    counts = re.search(r'(\d+) frames received, (\d+) results', output)
    assert int(counts[2]) >= 10


def test_the_camera_s_end_is_the_end(start, peer, classifier, images):
    results = peer.collect(Classification, '/classification')
    both = start('composed', {
        'model': classifier, 'source': images, 'loop': False,
        # The test is a subscriber, too: nothing is sent before it is known.
        'wait_for_subscribers': 2})
    seen = peer.collect(Image, '/image')
    peer.spin_until(lambda: results and seen, 'a result, and an image')
    assert both.wait() == 0
    assert '3 images published, that was the last one' in both.output


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'model': 'nonesuch'}, "there is no model named 'nonesuch'"),
    ({'source': '/nowhere.png'}, 'nowhere.png'),
    ({'rate': -1.0}, 'rate'),
    ({'top_k': 0}, 'top_k'),
])
def test_one_that_cannot_start_ends_both(start, classifier, parameters, words):
    both = start('composed', {'model': classifier, **parameters})
    assert both.wait() == 1, both.output
    assert words in both.output
    assert 'Traceback' not in both.output


def test_every_parameter_that_no_node_has_is_warned_of_once(start, classifier, images):
    names = ('conf', 'labels', 'zebra')
    both = start('composed', {
        'model': classifier, 'source': images, 'diagnostic_updater.period': 1.0,
        **dict.fromkeys(names, 1)})
    both.wait_for_line('active: ')
    both.stop()
    lines = [line for line in both.lines if 'there is no parameter' in line]
    assert len(lines) == 3
    for name, line in zip(names, lines):
        assert '[WARN]' in line and repr(name) in line


# What the page's example leaves to the reader.
TAKE_IMAGE = """
import time
import numpy as np

def take_image():
    time.sleep(0.02)
    return np.full((48, 64, 3), (0, 0, 220), np.uint8)

"""


def test_a_camera_of_one_s_own(peer, classifier, tmp_path):
    program = tmp_path / 'program.py'
    example, = re.findall(
        r'```python\n(.*?)```', (ROOT / 'docs' / 'composition.md').read_text(), re.DOTALL)
    program.write_text(TAKE_IMAGE + example)
    results = peer.collect(Classification, '/classification')
    process = subprocess.Popen(
        [sys.executable, str(program), '--ros-args', '-p', f'model:={classifier}'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    try:
        peer.spin_until(lambda: len(results) >= 3, 'results')
        assert results[0].header.frame_id == 'camera'
        assert results[0].results[0].class_id == 'red'
        process.terminate()
        output = process.communicate(timeout=DEADLINE)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, output
    assert 'frames received' in output and 'Traceback' not in output
