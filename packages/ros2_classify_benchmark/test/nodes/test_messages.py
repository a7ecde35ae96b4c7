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

"""The bench of messages: its ways are the same message, and it measures what it says."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros2_classify.ros.messages.image import to_image_msg
from ros2_classify_benchmark.nodes import messages
from sensor_msgs.msg import Image
from std_msgs.msg import Header


@pytest.mark.parametrize('frame_id', ['', 'a', 'ab', 'abc', 'abcd', 'links außen'])
@pytest.mark.parametrize(('encoding', 'channels'), [('bgr8', 3), ('mono8', 1), ('bgra8', 4)])
def test_images_are_the_same_in_both_forms(frame_id, encoding, channels):
    pixels = np.random.default_rng(3).integers(0, 256, (5, 7, channels), np.uint8)
    msg = to_image_msg(pixels, encoding, Header(frame_id=frame_id))
    msg.header.stamp.sec, msg.header.stamp.nanosec = -3, 2**32 - 1
    content = messages.image_to_cdr(pixels, encoding, msg.header)
    assert len(content) == len(serialize_message(msg))
    assert deserialize_message(content, Image) == msg
    read = messages.image_from_cdr(serialize_message(msg))
    assert (read.header.stamp.sec, read.header.stamp.nanosec) == (-3, 2**32 - 1)
    for name in ('height', 'width', 'encoding', 'is_bigendian', 'step'):
        assert getattr(read, name) == getattr(msg, name)
    assert bytes(read.data) == pixels.tobytes()


def test_a_hop_between_processes_is_measured():
    with messages._Sender((64, 48)) as sender:
        rows = messages._receive(sender, [('object', 'waiting'), ('bytes', 'waiting')], 1.0)
    for row in rows:
        assert row['came'] > 0.5
        assert 0 < row['p50_ms'] <= row['p95_ms']
        assert row['cpu_percent'] > 0


def test_the_domain_that_is_set_is_left_alone(monkeypatch):
    domains = []
    monkeypatch.setenv('ROS_DOMAIN_ID', '0')
    monkeypatch.setattr(messages.subprocess, 'Popen', lambda command, **words: domains.append(
        words['env']['ROS_DOMAIN_ID']) or SimpleNamespace(communicate=lambda **_: ('{}\n', '')))
    sender = messages._Sender((64, 48), 8)
    messages._receive(sender, [('object', 'waiting')], 0.0)
    monkeypatch.setattr(messages, '_set_up', lambda domain: domains.append(str(domain)))
    monkeypatch.setattr(messages.rclpy, 'create_node', lambda name: SimpleNamespace(
        destroy_node=lambda: None))
    monkeypatch.setattr(messages.rclpy, 'try_shutdown', lambda: None)
    messages._with_node(lambda node: None)
    assert len(domains) == 3 and domains[0] == domains[1]
    assert all(1 <= int(domain) <= 101 for domain in domains)
    assert messages.os.environ['ROS_DOMAIN_ID'] == '0'


def test_words_it_does_not_know_are_refused(capsys):
    assert messages.main(['results', 'nonsense']) == 2
    assert 'nonsense' in capsys.readouterr().err


def test_what_was_asked_for_is_printed_as_json(capsys, monkeypatch):
    monkeypatch.setitem(messages._MEASURES, 'results', lambda: {'detections_1': {'bytes': 0.1}})
    assert messages.main(['results']) == 0
    assert json.loads(capsys.readouterr().out) == {'results': {'detections_1': {'bytes': 0.1}}}
