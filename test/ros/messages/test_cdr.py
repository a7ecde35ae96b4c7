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

"""Results written as bytes: the same ones that rclpy sends for the message object."""

import random

from builtin_interfaces.msg import Time
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from ros2_classify import Classification, Detections, Timing
from ros2_classify.results.masks import InstanceMasks
from ros2_classify.ros.messages import vision as result_msgs
from ros2_classify.ros.messages.vision import message_writer, MESSAGES
from std_msgs.msg import Header

TIMING = Timing(0.001, 0.01, 0.001)
SIZES = {'int32': 4, 'uint32': 4, 'double': 8}
ALPHABET = 'abcXYZ 059_-/äßéλЖ中文🙂\n'


class Serialized:
    """The bytes that rclpy makes, with zeros where CDR skips bytes: it leaves anything there."""

    def __init__(self, msg):
        self.content = bytearray(serialize_message(msg))
        self.skipped = 0
        self._at = 4
        self._walk(msg)
        assert self._at == len(self.content)

    def _walk(self, msg):
        for name, kind in msg.get_fields_and_field_types().items():
            value = getattr(msg, name)
            if kind.startswith('sequence<'):
                self._number(4)
                for element in value:
                    self._walk(element)
            elif kind.endswith(']'):
                for _ in value:
                    self._number(SIZES[kind.partition('[')[0]])
            elif kind == 'string':
                self._number(4)
                self._at += len(value.encode()) + 1
            elif kind in SIZES:
                self._number(SIZES[kind])
            else:
                self._walk(value)

    def _number(self, size):
        while (self._at - 4) % size:
            self.content[self._at] = 0
            self.skipped += 1
            self._at += 1
        self._at += size


def text(rng, longest=17):
    """Return a text of any length, from nothing on, in letters of one to four bytes."""
    return ''.join(rng.choices(ALPHABET, k=rng.randrange(longest)))


def result(rng, task, count):
    """Return a result of random numbers."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    scores = np.sort(numbers.random(count, np.float32))[::-1]
    ids = numbers.integers(-2**62, 2**62, count)
    names = np.array([text(rng) for _ in range(count)], object)
    if task == 'classification':
        return Classification(ids, scores, names, (64, 48), TIMING)
    corners = np.sort(numbers.uniform(0, 1000, (count, 2, 2)).astype(np.float32), axis=1)
    masks = None
    if rng.random() < 0.5:
        masks = InstanceMasks(
            numbers.random((count, 4, 4), np.float32) > 0.5,
            corners.reshape(count, 4))
    track_ids = None
    if rng.random() < 0.7:
        track_ids = np.array([rng.choice(['', str(rng.randrange(10**9))]) for _ in names], object)
    return Detections(
        corners.reshape(count, 4), ids, scores, names, (1000, 1000), TIMING, masks,
        track_ids=track_ids)


@pytest.mark.parametrize('class_id', ['label', 'index'])
@pytest.mark.parametrize('task', ['classification', 'detection'])
@pytest.mark.parametrize('seed', range(4))
def test_bytes_are_those_of_rclpy(task, class_id, seed):
    rng = random.Random(seed)
    row = MESSAGES[task]
    skipped = 0
    for _ in range(150):
        header = Header(
            frame_id=text(rng, 40), stamp=Time(sec=rng.randrange(-2**31, 2**31),
                                               nanosec=rng.randrange(2**32)))
        count = rng.choice([0, 0, 1, 1, 2, 3, rng.randrange(30)])
        received = result(rng, task, count)
        expected = Serialized(row.to_msg(received, header, class_id))
        assert row.to_cdr(received, header, class_id) == bytes(expected.content)
        skipped += expected.skipped
    assert skipped > 1000


@pytest.mark.parametrize('task', ['classification', 'detection'])
def test_texts_end_at_a_zero_character_as_in_message_objects(task):
    received = result(random.Random(1), task, 2)
    received.labels.flags.writeable = True
    received.labels[:] = ['cut\0off', '\0']
    row, header = MESSAGES[task], Header(frame_id='left\0right')
    plain = deserialize_message(serialize_message(row.to_msg(received, header, 'label')),
                                row.msg_type)
    assert plain.header.frame_id == 'left'
    assert row.to_cdr(received, header, 'label') == bytes(Serialized(plain).content)


@pytest.mark.parametrize('task', ['classification', 'detection'])
def test_the_bytes_are_used_here(task):
    said = []
    assert message_writer(task, said.append) is MESSAGES[task].to_cdr
    assert said == []


def test_images_stay_objects():
    assert message_writer('segmentation') is MESSAGES['segmentation'].to_msg


def other_encapsulation(msg):
    """Serialize as a middleware with version 2 of XCDR would begin."""
    return b'\x00\x07' + serialize_message(msg)[2:]


def one_field_more(msg):
    """Serialize as messages with a further field would end."""
    return serialize_message(msg) + bytes(8)


def refuse(msg):
    """Stand for a middleware that cannot serialize."""
    raise RuntimeError('not supported')


@pytest.mark.parametrize(('serialize', 'reason'), [
    (other_encapsulation, 'begins with 00 07 00 00'), (one_field_more, 'bytes, not'),
    (refuse, 'RuntimeError: not supported')])
@pytest.mark.parametrize('task', ['classification', 'detection'])
def test_objects_are_used_where_the_middleware_serializes_otherwise(
        monkeypatch, task, serialize, reason):
    monkeypatch.setattr(result_msgs, 'serialize_message', serialize)
    said = []
    assert message_writer(task, said.append) is MESSAGES[task].to_msg
    assert len(said) == 1 and reason in said[0] and MESSAGES[task].topic in said[0]


@pytest.mark.parametrize('task', ['classification', 'detection'])
def test_objects_are_used_where_fields_lie_elsewhere(monkeypatch, task):
    row = MESSAGES[task]

    def swapped(message, header, class_id):
        content = row.to_cdr(message, header, class_id)
        return content[:4] + content[8:12] + content[4:8] + content[12:]

    monkeypatch.setitem(
        MESSAGES, task, result_msgs.ResultMessage(
            row.topic, row.msg_type, row.to_msg, row.service, to_cdr=swapped))
    said = []
    assert message_writer(task, said.append) is row.to_msg
    assert 'other offsets' in said[0]


@pytest.mark.parametrize('task', ['classification', 'detection'])
def test_a_subscriber_gets_the_message(peer, task):
    row = MESSAGES[task]
    received, header = result(random.Random(7), task, 20), Header(frame_id='odd')
    publisher = peer.node.create_publisher(row.msg_type, f'written_{task}', 10)
    messages = peer.collect(row.msg_type, f'written_{task}')
    peer.spin_until(publisher.get_subscription_count, 'the subscriber')
    publisher.publish(row.to_cdr(received, header, 'label'))
    peer.spin_until(lambda: messages, 'the message')
    assert messages == [row.to_msg(received, header, 'label')]
    peer.node.destroy_publisher(publisher)
