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

"""One camera's images: what was replaced, longer queues, messages that can't be read."""

import time

import pytest
from rclpy.impl.implementation_singleton import rclpy_implementation
from ros2_classify.ros.server import subscription as subscriptions
from ros2_classify.ros.server.native_take import TakenMessage
from ros2_classify.ros.server.subscription import ImageSubscription, SequenceGaps
from sensor_msgs.msg import Image
from std_msgs.msg import Header


@pytest.mark.parametrize(('numbers', 'missing'), [
    ([1, 2, 3], [0, 0, 0]), ([5, 9, 10, 13], [0, 3, 0, 2]),
    # Another publisher, or the same one started again.
    ([100, 3, 5], [0, 0, 1]),
    # A middleware that doesn't number.
    ([None, None], [0, 0]), ([4, None, 9], [0, 0, 0])])
def test_what_is_missing_between_two_images_was_replaced(numbers, missing):
    gaps = SequenceGaps()
    assert [gaps.taken(number, 0) for number in numbers] == missing


def test_the_numbers_of_several_publishers_mean_nothing():
    gaps = SequenceGaps()
    assert [gaps.taken(number, 0, alone=False) for number in (1, 500, 2, 501)] == [0] * 4
    # Of one that has gone, or of the one that is left.
    assert [gaps.taken(number, 0) for number in (9000, 9004)] == [0, 3]


@pytest.mark.parametrize(('images', 'replaced'), [
    # Number and losses told since the image before.
    ([(1, 0), (6, 4)], [0, 0]), ([(1, 0), (6, 1)], [0, 3]),
    # Told a moment before the gap is seen.
    ([(1, 0), (2, 2), (5, 0)], [0, 0, 0]), ([(1, 0), (2, 2), (6, 1)], [0, 0, 0]),
    # Told in vain: it does not explain what happens much later.
    ([(1, 0), (2, 2), (3, 0), (9, 0)], [0, 0, 0, 5]),
    # Before the first image nothing is counted as replaced.
    ([(7, 5), (9, 0)], [0, 1])])
def test_what_got_lost_was_not_replaced(images, replaced):
    gaps = SequenceGaps()
    assert [gaps.taken(*image) for image in images] == replaced


@pytest.fixture
def source(peer):
    """Return a subscription whose reliability stays: while it changes, numbers begin again."""
    source = ImageSubscription(peer.node, '/image', 'raw', lambda: None, qos='best_effort')
    source.update(wanted=True)
    yield source
    source.unsubscribe()


def until_taken(peer, source, name, publish=lambda: None):
    """Take until an image of this name comes; return all that was taken."""
    found = []

    def came():
        publish()
        taken = source.take()
        if taken is not None:
            found.append(taken)
        return found and found[-1].msg.header.frame_id == name

    peer.spin_until(came, f'the image {name}')
    return found


def test_the_newest_image_is_taken_and_those_it_replaced_are_counted(peer, source):
    witness = peer.collect(Image, '/image')
    publisher = peer.node.create_publisher(Image, '/image', 10)

    def publish(name):
        publisher.publish(Image(header=Header(frame_id=name)))

    peer.spin_until(lambda: publisher.get_subscription_count() == 2, 'both subscriptions')
    until_taken(peer, source, 'open', lambda: publish('open'))
    time.sleep(0.2)
    while source.take() is not None:
        pass
    for name in ('first', 'second', 'last'):
        publish(name)
    peer.spin_until(lambda: witness and witness[-1].header.frame_id == 'last', 'the last one')
    found = until_taken(peer, source, 'last')
    assert len(found) + sum(taken.replaced for taken in found) == 3
    assert source.take() is None
    assert source.lost == 0
    peer.node.destroy_publisher(publisher)


def test_the_numbers_of_a_second_camera_that_has_gone_are_forgotten(peer, source):
    stays, goes = (peer.node.create_publisher(Image, '/image', 10) for _ in range(2))
    subscription, = source.waitables
    peer.spin_until(lambda: subscription.get_publisher_count() == 2 and all(
        each.get_subscription_count() for each in (stays, goes)), 'both cameras')
    for number in range(9):
        stays.publish(Image(header=Header(frame_id=str(number))))
    until_taken(peer, source, '8')
    goes.publish(Image(header=Header(frame_id='other')))
    until_taken(peer, source, 'other')
    peer.node.destroy_publisher(goes)
    peer.spin_until(lambda: subscription.get_publisher_count() == 1, 'the end of the other')
    stays.publish(Image(header=Header(frame_id='last')))
    assert [taken.replaced for taken in until_taken(peer, source, 'last')] == [0]
    peer.node.destroy_publisher(stays)


def test_of_a_longer_queue_the_newest_image_is_taken(source, monkeypatch):
    assert not source._deep
    queue = [TakenMessage(Image(header=Header(frame_id=name)), number, number)
             for number, name in enumerate(('oldest', 'old', 'newest'), 7)]
    monkeypatch.setattr(subscriptions, 'take', lambda _: queue.pop(0) if queue else None)
    source._deep = True
    taken = source.take()
    assert (taken.msg.header.frame_id, taken.replaced) == ('newest', 2)
    assert source.take() is None


def test_an_image_that_cannot_be_taken_costs_itself_only(source, monkeypatch):
    queue = [rclpy_implementation.RCLError('it cannot be read'), TakenMessage(Image(), 1, 1)]

    def take(_):
        item = queue.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    monkeypatch.setattr(subscriptions, 'take', take)
    assert source.take() is None
    assert source.take() is not None


def test_it_is_left_when_nobody_has_wanted_it_for_a_while(peer, source, monkeypatch):
    woken = []
    source._wake = lambda: woken.append(True)
    source.update(wanted=False)
    assert source.subscribed
    monkeypatch.setattr(subscriptions, '_LINGER', 0.0)
    source.update(wanted=False)
    assert not source.subscribed and source.waitables == () and source.take() is None
    # The thread that waits on it looks again.
    assert woken == [True]
    source.ask_for_events()
