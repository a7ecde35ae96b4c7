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

"""Waiting and taking, with real subscriptions: what ends a wait, and what a wait outlives."""

import threading
import time
from types import SimpleNamespace

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify.ros.server.image_waiter import (
    check_rclpy, ImageWaiter, no_event_callbacks, NotForExecutor, publisher_count, RclpyError,
    SubscriptionEvents, take, TakingThread)
from std_msgs.msg import Header

DEADLINE = 10.0
LONG = 60.0
NEWEST = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)


class Bench:
    """A context of its own with a node, a waiter, and a thread that waits."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('waiting', context=self.context)
        self.waiter = ImageWaiter(self.context)
        self.ready = None
        self.error = None
        self.thread = None

    def subscribe(self, topic='header', qos=NEWEST):
        """Return a subscription that executors leave alone."""
        return self.node.create_subscription(
            Header, topic, pytest.fail, qos, callback_group=NotForExecutor(),
            event_callbacks=no_event_callbacks())

    def connect(self, subscription):
        """Return a publisher that the subscription has found."""
        publisher = self.node.create_publisher(Header, subscription.topic_name, 10)
        end = time.monotonic() + DEADLINE
        while not (publisher.get_subscription_count() and publisher_count(subscription)):
            assert time.monotonic() < end
            time.sleep(0.01)
        return publisher

    def wait(self, *subscriptions, seconds=LONG):
        """Wait in a thread, which is inside when this returns."""
        began = threading.Event()

        def run():
            began.set()
            try:
                self.ready = self.waiter.wait(subscriptions, seconds)
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert began.wait(DEADLINE)
        time.sleep(0.05)

    def join(self):
        """Return what the thread's wait returned."""
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()
        assert self.error is None
        return self.ready

    def close(self):
        """End."""
        self.waiter.wake()
        if self.thread is not None:
            self.thread.join(DEADLINE)
        self.waiter.close()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def bench():
    """Return a node with a waiter; all ends after the test."""
    bench = Bench()
    yield bench
    bench.close()


def test_a_message_ends_the_wait_and_tells_whose_it_is(bench):
    subscriptions = [bench.subscribe(name) for name in 'abc']
    publishers = [bench.connect(each) for each in subscriptions]
    bench.wait(*subscriptions)
    assert bench.thread.is_alive()
    publishers[1].publish(Header(frame_id='hello'))
    assert bench.join() == [subscriptions[1]]
    msg, number, sent = take(subscriptions[1])
    assert msg.frame_id == 'hello' and number is not None
    assert take(subscriptions[1]) is None
    # One that came before the wait counts as well.
    publishers[2].publish(Header())
    time.sleep(0.2)
    assert bench.waiter.wait(subscriptions, LONG) == [subscriptions[2]]


def test_only_the_newest_message_waits_and_numbers_tell_how_many_it_replaced(bench):
    subscription = bench.subscribe()
    publisher = bench.connect(subscription)
    publisher.publish(Header(frame_id='first'))
    bench.waiter.wait([subscription], LONG)
    _, first, _ = take(subscription)
    for name in 'abc':
        publisher.publish(Header(frame_id=name))
    end = time.monotonic() + DEADLINE
    taken = None
    while taken is None or taken[0].frame_id != 'c':
        assert time.monotonic() < end
        taken = take(subscription) or taken
    assert taken[1] - first == 3


def test_waking_ends_this_wait_or_the_next_one(bench):
    subscription = bench.subscribe()
    bench.wait(subscription)
    bench.waiter.wake()
    assert bench.join() == []
    bench.waiter.wake()
    began = time.monotonic()
    assert bench.waiter.wait([subscription], LONG) == []
    assert time.monotonic() - began < DEADLINE
    # It counts once.
    began = time.monotonic()
    assert bench.waiter.wait([subscription], 0.3) == []
    assert time.monotonic() - began >= 0.25


def test_without_subscriptions_it_waits_to_be_woken(bench):
    bench.wait()
    assert bench.thread.is_alive()
    bench.waiter.wake()
    assert bench.join() == []


def test_a_subscription_may_be_destroyed_while_a_thread_waits_on_it(bench):
    stays, goes = bench.subscribe('stays'), bench.subscribe('goes')
    publisher = bench.connect(stays)
    for _ in range(20):
        bench.wait(stays, goes)
        bench.node.destroy_subscription(goes)
        bench.waiter.wake()
        assert bench.join() == []
        # One that is gone is passed over.
        assert take(goes) is None and publisher_count(goes) == 0
        publisher.publish(Header())
        assert bench.waiter.wait([goes, stays], LONG) == [stays]
        assert take(stays) is not None
        goes = bench.subscribe('goes')
    assert bench.node.count_subscribers('goes') == 1


def test_closing_while_a_thread_waits_ends_it(bench):
    subscription = bench.subscribe()
    bench.wait(subscription)
    bench.waiter.wake()
    bench.waiter.close()
    assert bench.join() == []
    # As when somebody is late.
    bench.waiter.wake()
    assert bench.waiter.wait([subscription], LONG) == []


def test_the_end_of_ros_under_a_thread_that_waits_crashes_nothing(bench):
    subscription = bench.subscribe()
    bench.wait(subscription, seconds=0.5)
    rclpy.shutdown(context=bench.context)
    bench.thread.join(DEADLINE)
    assert not bench.thread.is_alive()


def test_many_waits_and_changes_at_once(bench):
    """Subscriptions come and go, messages come, and somebody wakes up, all the time."""
    stays = bench.subscribe('stays')
    publisher = bench.connect(stays)
    changing = [bench.subscribe(f'changing_{number}') for number in range(3)]
    stop = threading.Event()
    got, failures = [], []

    def work():
        try:
            while not stop.is_set():
                for each in bench.waiter.wait([stays, *changing], 1.0):
                    taken = take(each)
                    if taken is not None:
                        got.append(taken[1])
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    end = time.monotonic() + 3.0
    count = 0
    while time.monotonic() < end:
        place = count % 3
        bench.node.destroy_subscription(changing[place])
        bench.waiter.wake()
        changing[place] = bench.subscribe(f'changing_{place}')
        publisher.publish(Header(frame_id=str(count)))
        count += 1
        time.sleep(0.002)
    stop.set()
    bench.waiter.wake()
    thread.join(DEADLINE)
    assert not thread.is_alive() and failures == []
    assert len(got) > 100 and got == sorted(set(got))


def test_an_executor_leaves_the_subscription_alone(bench):
    executor = SingleThreadedExecutor(context=bench.context)
    executor.add_node(bench.node)
    subscription = bench.subscribe()
    publisher = bench.connect(subscription)
    for _ in range(20):
        # What it spins over meanwhile is waited for beside it; the callback would fail.
        publisher.publish(Header())
        executor.spin_once(0.01)
    used = time.process_time()
    executor.spin_once(0.5)
    assert time.process_time() - used < 0.25, 'it does not spin for a message that waits'
    assert take(subscription) is not None
    executor.shutdown()


def test_a_publisher_that_does_not_fit_is_told_with_its_policy(bench):
    subscription = bench.subscribe(qos=QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    events = SubscriptionEvents(subscription)
    assert (events.incompatible_policy(), events.lost()) == ('', 0)
    bench.node.create_publisher(Header, 'header', 1)
    end = time.monotonic() + DEADLINE
    while not (policy := events.incompatible_policy()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert policy == 'DURABILITY'
    assert events.incompatible_policy() == '', 'it is told once'
    events.destroy()
    bench.node.destroy_subscription(subscription)
    assert (events.incompatible_policy(), events.lost()) == ('', 0)


def test_a_middleware_without_such_events_tells_nothing(bench, monkeypatch):
    subscription = bench.subscribe()

    def unsupported(*_):
        raise rclpy_implementation.UnsupportedEventTypeError

    monkeypatch.setattr(rclpy_implementation, 'EventHandle', unsupported)
    events = SubscriptionEvents(subscription)
    assert (events.incompatible_policy(), events.lost()) == ('', 0)
    events.destroy()


def test_this_rclpy_will_do():
    check_rclpy()


def test_a_rclpy_that_lacks_something_is_refused_in_a_sentence():
    old = SimpleNamespace(**{name: getattr(rclpy_implementation, name) for name in (
        'WaitSet', 'InvalidHandle', 'RCLError', 'UnsupportedEventTypeError',
        'rcl_subscription_event_type_t')}, Subscription=object())
    with pytest.raises(RclpyError, match=(
            'lacks EventHandle, Subscription.take_message, Subscription.pointer, .*'
            'EventHandle.take_event.* Jazzy .* Kilted')):
        check_rclpy(old)


def test_a_thread_hands_over_messages_until_it_is_destroyed(bench):
    got = []
    subscription = bench.subscribe('thread')
    thread = TakingThread(bench.node, subscription, got.append)
    publisher = bench.connect(subscription)
    end = time.monotonic() + DEADLINE
    for number in range(3):
        publisher.publish(Header(frame_id=str(number)))
        while len(got) <= number and time.monotonic() < end:
            time.sleep(0.01)
    assert [each.frame_id for each in got] == ['0', '1', '2']
    before = time.monotonic()
    thread.destroy()
    assert time.monotonic() - before < 0.9, 'it was not woken'
    assert not thread._thread.is_alive() and subscription not in bench.node.subscriptions
    publisher.publish(Header(frame_id='late'))
    assert len(got) == 3
