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

"""A subscription that the executor leaves alone: a real executor, with events and messages."""

from time import process_time

import pytest
import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify.ros.server.gate import fetch, Gate
from std_msgs.msg import Header

TURNS = 20
NEWEST = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                    reliability=ReliabilityPolicy.RELIABLE)


class Bed:
    """A publisher and a subscription behind a gate, in one executor."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('gate', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.came, self.woken = [], []
        self.gate = Gate(lambda: self.woken.append(True))
        self.subscription = self.node.create_subscription(
            Header, 'header', self.came.append, NEWEST, callback_group=self.gate,
            event_callbacks=SubscriptionEventCallbacks(message_lost=lambda _: None))
        self.publisher = self.node.create_publisher(Header, 'header', 10)
        for _ in range(1000):
            if self.publisher.get_subscription_count():
                return
            self.spin(0.01)
        pytest.fail('publisher and subscription do not find each other')

    def publish(self, *names):
        """Publish some messages."""
        for name in names:
            self.publisher.publish(Header(frame_id=name))

    def spin(self, seconds=0.05):
        """Run what is ready."""
        for _ in range(TURNS):
            self.executor.spin_once(seconds / TURNS)

    def close(self):
        """End."""
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def bed():
    """Return a publisher and a subscription; all ends after the test."""
    bed = Bed()
    yield bed
    bed.close()


def until_fetched(bed):
    """Fetch until there is a message: it takes its way through the middleware."""
    for _ in range(1000):
        taken = fetch(bed.subscription)
        if taken is not None:
            return taken
        bed.spin(0.01)
    return pytest.fail('nothing to fetch')


def test_an_open_gate_changes_nothing(bed):
    bed.publish('a')
    for _ in range(100):
        bed.spin()
        if bed.came:
            break
    assert [msg.frame_id for msg in bed.came] == ['a']


def test_a_closed_one_leaves_the_newest_message_to_whoever_fetches_it(bed):
    bed.gate.closed = True
    bed.publish('a', 'b', 'c')
    bed.spin()
    assert bed.came == []
    names = [until_fetched(bed)[0].frame_id]
    while names[-1] != 'c':
        names.append(until_fetched(bed)[0].frame_id)
    assert fetch(bed.subscription) is None
    # Once it is open again, the executor gets the next one, and is told to look.
    bed.gate.open()
    assert bed.woken == [True]
    bed.publish('d')
    for _ in range(100):
        bed.spin()
        if bed.came:
            break
    assert [msg.frame_id for msg in bed.came] == ['d']


def test_fetched_messages_are_numbered(bed):
    bed.gate.closed = True
    numbers = []
    for name in 'abc':
        bed.publish(name)
        numbers.append(until_fetched(bed)[1]['publication_sequence_number'])
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_the_executor_does_not_spin_for_a_message_that_waits(bed):
    bed.gate.closed = True
    bed.publish('a')
    bed.spin()
    used = process_time()
    bed.executor.spin_once(0.5)
    # A middleware that reported the waiting message as an event would take all of it.
    assert process_time() - used < 0.25


def test_opening_an_open_gate_wakes_nobody(bed):
    bed.gate.open()
    assert bed.woken == []


def test_a_destroyed_subscription_has_nothing(bed):
    bed.node.destroy_subscription(bed.subscription)
    assert fetch(bed.subscription) is None
