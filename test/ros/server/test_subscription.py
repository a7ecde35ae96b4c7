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

"""The server's subscription, on a real node, where the middleware fails."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from rclpy.impl.implementation_singleton import rclpy_implementation
from ros2_classify.ros.server import subscription as image_input
from ros2_classify.ros.server.subscription import ImageInput
from ros_process import Peer
from sensor_msgs.msg import Image
from std_msgs.msg import Header

DEADLINE = 10.0


def test_images_replaced_until_the_gate_is_opened_for_its_events_are_counted(
        peer: Peer) -> None:
    came: list[str] = []
    replaced: list[int] = []
    source = ImageInput(peer.node, '/image', 'raw', lambda msg: came.append(msg.header.frame_id),
                        on_skipped=replaced.append)
    source.update(wanted=True)
    witness = peer.collect(Image, '/image')
    publisher = peer.node.create_publisher(Image, '/image', 10)

    def publish(name: str) -> None:
        publisher.publish(Image(header=Header(frame_id=name)))

    try:
        peer.spin_until(lambda: publisher.get_subscription_count() == 2, 'both subscriptions')
        peer.spin_until(lambda: publish('open') or came, 'an image')
        assert source.hold()
        for name in ('first', 'second', 'last'):
            publish(name)
        peer.spin_until(lambda: witness and witness[-1].header.frame_id == 'last', 'the last one')
        # Once a second the executor may look, for the events; nobody has fetched meanwhile.
        del came[:]
        source.update(wanted=True)
        peer.spin_until(lambda: came, 'the newest image')
        assert came == ['last'] and sum(replaced) >= 2
        # From now on a gap is a loss, of which an event tells.
        counted = sum(replaced)
        source._skipped.taken(0)
        publish('next')
        peer.spin_until(lambda: 'next' in came, 'the next image')
        assert sum(replaced) == counted
    finally:
        source.unsubscribe()
        peer.node.destroy_publisher(publisher)


def test_the_numbers_of_a_second_camera_that_has_gone_are_forgotten(peer: Peer) -> None:
    came: list[str] = []
    replaced: list[int] = []
    source = ImageInput(peer.node, '/image', 'raw', lambda msg: came.append(msg.header.frame_id),
                        on_skipped=replaced.append)
    source.update(wanted=True)
    stays, goes = (peer.node.create_publisher(Image, '/image', 10) for _ in range(2))
    subscription = source._subscription
    try:
        peer.spin_until(lambda: subscription.get_publisher_count() == 2 and all(
            each.get_subscription_count() for each in (stays, goes)), 'both cameras')
        for number in range(9):
            stays.publish(Image(header=Header(frame_id=str(number))))
        peer.spin_until(lambda: '8' in came, 'the images of the one that stays')
        goes.publish(Image(header=Header(frame_id='other')))
        peer.spin_until(lambda: 'other' in came, 'the image of the one that goes')
        peer.node.destroy_publisher(goes)
        peer.spin_until(lambda: subscription.get_publisher_count() == 1, 'the end of the other')
        assert source.hold()
        stays.publish(Image(header=Header(frame_id='last')))
        peer.spin_until(lambda: source.fetch() or 'last' in came, 'the last image')
        assert replaced == []
    finally:
        source.unsubscribe()
        peer.node.destroy_publisher(stays)


def test_the_gate_stays_closed_while_a_image_is_fetched(
        peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The executor would take the older one, and deliver it after the newer one."""
    inside, go_on, opened = threading.Event(), threading.Event(), threading.Event()

    def slow(_: Any) -> None:
        inside.set()
        assert go_on.wait(DEADLINE)

    def look() -> None:
        source.update(wanted=True)
        opened.set()

    source = ImageInput(peer.node, '/image', 'raw', lambda _: None)
    source.update(wanted=True)
    monkeypatch.setattr(image_input, 'fetch', slow)
    threads = [threading.Thread(target=work, daemon=True) for work in (source.fetch, look)]
    try:
        assert source.hold()
        threads[0].start()
        assert inside.wait(DEADLINE)
        threads[1].start()
        assert not opened.wait(0.1) and source._gate.closed
        go_on.set()
        assert opened.wait(DEADLINE) and not source._gate.closed
    finally:
        go_on.set()
        for thread in threads:
            thread.join(DEADLINE)
        source.unsubscribe()


def test_of_a_longer_queue_the_newest_image_is_fetched(
        peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[int] = []
    source = ImageInput(peer.node, '/image', 'raw', lambda _: None, on_skipped=replaced.append)
    source.update(wanted=True)
    assert not source._deep
    queue = [(Image(header=Header(frame_id=name)), {'publication_sequence_number': number})
             for number, name in enumerate(('oldest', 'old', 'newest'), 7)]
    monkeypatch.setattr(image_input, 'fetch', lambda _: queue.pop(0) if queue else None)
    try:
        source._deep = True
        assert source.hold()
        assert source.fetch().header.frame_id == 'newest'
        assert sum(replaced) == 2
        assert source.fetch() is None
        # For nobody, nothing is fetched, whatever there is.
        queue.append((Image(), {}))
        assert source.hold()
        assert source.fetch(wanted=False) is None
        assert queue and not source._gate.closed
    finally:
        source.unsubscribe()


def test_a_image_that_cannot_be_taken_costs_itself_only(
        peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ImageInput(peer.node, '/image', 'raw', lambda _: None)
    source.update(wanted=True)

    def fail(subscription: Any) -> None:
        raise rclpy_implementation.RCLError('it cannot be read')

    monkeypatch.setattr(image_input, 'fetch', fail)
    try:
        assert source.hold()
        assert source.fetch() is None
        # The executor goes on with the next one.
        assert not source._gate.closed
    finally:
        source.unsubscribe()
