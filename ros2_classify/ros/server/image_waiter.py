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

"""
Waiting for images, and taking them, in the thread that works on them.

rclpy waits in the executor's thread and calls back there; the way from that thread to another
one costs each image half a millisecond. So the executor leaves the image subscriptions alone, and
a worker's thread waits on them itself. What this needs of rclpy and is not documented as public
is used in this file only, and `check_rclpy` tells at start if it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
import threading
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.qos import qos_policy_name_from_kind
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.ros.server.native_take import native_take, TakenMessage

_NEEDED = {
    '': ('WaitSet', 'EventHandle', 'InvalidHandle', 'RCLError', 'UnsupportedEventTypeError',
         'rcl_subscription_event_type_t'),
    'WaitSet': ('clear_entities', 'add_subscription', 'add_guard_condition', 'wait',
                'get_ready_entities', 'destroy_when_not_in_use', '__enter__'),
    'Subscription': ('take_message', 'pointer', '__enter__'),
    'EventHandle': ('take_event', 'destroy_when_not_in_use', '__enter__'),
}


# Seconds until a thread looks whether ROS was shut down, and after a message that is damaged.
_LOOK_AGAIN, _PAUSE = 1.0, 0.001


class RclpyError(Ros2ClassifyError):
    """The installed rclpy lacks something that the server needs; the message names it."""


def check_rclpy(implementation: Any = rclpy_implementation) -> None:
    """Raise RclpyError if this rclpy can't be waited with as this file does."""
    missing = [
        f'{owner}.{name}'.lstrip('.') for owner, names in _NEEDED.items() for name in names
        if not hasattr(getattr(implementation, owner, None) if owner else implementation, name)]
    if missing:
        raise RclpyError(
            f'the installed rclpy lacks {", ".join(missing)}, which the server waits for images '
            'with; it is tested with ROS 2 Jazzy (rclpy 7.1) and Kilted (9.1): use one of these')


class NotForExecutor(MutuallyExclusiveCallbackGroup):
    """The callback group of what an executor neither waits for nor runs."""

    def can_execute(self, entity: Any) -> bool:
        """Tell the executor to leave it alone."""
        return False


class ImageWaiter:
    """
    One wait set over the subscriptions of all cameras, and a guard condition to end the wait.

    One thread at a time may wait, any thread may `wake` it or `close`. A subscription that is
    destroyed meanwhile lives until the wait ends: wake it up then.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._guard = GuardCondition(None, None, context=context)
        self._wait_set: Any = None
        self._capacity = -1

    def wake(self) -> None:
        """End the present wait, or else the next one, at once."""
        with suppress(rclpy_implementation.InvalidHandle):
            self._guard.trigger()

    def wait(self, subscriptions: Sequence[Any], seconds: float) -> list[Any]:
        """Wait until one of the subscriptions has an image; return those that have."""
        with ExitStack() as used:
            try:
                used.enter_context(self._context.handle)
                used.enter_context(self._guard.handle)
            except rclpy_implementation.InvalidHandle:
                # Closed, or ROS was shut down under the node: the caller finds out why.
                return []
            alive = []
            for each in subscriptions:
                with suppress(rclpy_implementation.InvalidHandle):
                    used.enter_context(each.handle)
                    alive.append(each)
            wait_set = self._wait_set_for(len(alive))
            used.enter_context(wait_set)
            wait_set.clear_entities()
            for each in alive:
                wait_set.add_subscription(each.handle)
            wait_set.add_guard_condition(self._guard.handle)
            wait_set.wait(int(1e9 * seconds))
            ready = wait_set.get_ready_entities('subscription')
            return [each for each in alive if each.handle.pointer in ready] if ready else []

    def close(self) -> None:
        """Free it, as soon as nobody waits any more."""
        self._guard.destroy()
        wait_set, self._wait_set, self._capacity = self._wait_set, None, -1
        if wait_set is not None:
            wait_set.destroy_when_not_in_use()

    def _wait_set_for(self, subscriptions: int) -> Any:
        if self._wait_set is None or subscriptions > self._capacity:
            self._wait_set = rclpy_implementation.WaitSet(
                subscriptions, 1, 0, 0, 0, 0, self._context.handle)
            self._capacity = subscriptions
        return self._wait_set


def take(subscription: Any) -> TakenMessage | None:
    """
    Take the oldest message that waits.

    Return None if there is none, or if the subscription has been destroyed. Raise RCLError if the
    middleware can't read it; it is gone then.
    """
    native = native_take(subscription.msg_type)
    try:
        with subscription.handle:
            if native is not None:
                return native(subscription.handle.pointer)
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    except rclpy_implementation.InvalidHandle:
        return None
    if taken is None:
        return None
    msg, info = taken
    return TakenMessage(
        msg, info.get('publication_sequence_number'), info.get('source_timestamp'))


TakeError = rclpy_implementation.RCLError


class TakingThread:
    """
    Takes a subscription's messages for a callback, in a thread of its own.

    An executor looks at all that a node has for each message, which costs 1 ms of the processor.
    The subscription's callback group is `NotForExecutor`. What can't be read is dropped.
    """

    def __init__(self, node: Any, subscription: Any, callback: Callable[[Any], Any]) -> None:
        self._node = node
        self._subscription = subscription
        self._callback = callback
        self._waiter = ImageWaiter(node.context)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name='taking')
        self._thread.start()

    def destroy(self) -> None:
        """Give the subscription back."""
        self._ended.set()
        self._waiter.wake()
        self._thread.join()
        self._waiter.close()
        self._node.destroy_subscription(self._subscription)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                ready = self._waiter.wait([self._subscription], _LOOK_AGAIN)
                if not ready and not self._node.context.ok():
                    # ROS was shut down: a wait would return at once, for ever.
                    self._ended.wait(_LOOK_AGAIN)
                for taken in filter(None, map(take, ready)):
                    self._callback(taken.msg)
            except TakeError:
                # Also of a wait while ROS is shut down.
                self._ended.wait(_PAUSE)


def publisher_count(subscription: Any) -> int:
    """Return how many publishers a subscription has; 0 if it has been destroyed."""
    try:
        return int(subscription.get_publisher_count())
    except (rclpy_implementation.InvalidHandle, rclpy_implementation.RCLError):
        return 0


def no_event_callbacks() -> Any:
    """Return what keeps `create_subscription` from having the executor wait for events."""
    return SubscriptionEventCallbacks(use_default_callbacks=False)


class SubscriptionEvents:
    """What the middleware tells beside messages; asked: Fast DDS ends a wait for any message."""

    def __init__(self, subscription: Any) -> None:
        kinds = rclpy_implementation.rcl_subscription_event_type_t
        self._lost = _event(subscription, kinds.RCL_SUBSCRIPTION_MESSAGE_LOST)
        self._incompatible = _event(
            subscription, kinds.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS)

    def lost(self) -> int:
        """Return how many messages got lost since the last call; 0 if that is not known."""
        event = _take_event(self._lost)
        return event.total_count_change if event is not None else 0

    def incompatible_policy(self) -> str:
        """Return the policy by which a publisher that came since the last call does not fit."""
        event = _take_event(self._incompatible)
        if event is None or not event.total_count_change:
            return ''
        return str(qos_policy_name_from_kind(event.last_policy_kind))

    def destroy(self) -> None:
        """Free them; before the subscription."""
        for event in (self._lost, self._incompatible):
            if event is not None:
                event.destroy_when_not_in_use()


def _event(subscription: Any, kind: Any) -> Any:
    """Return an event's handle, or None if the middleware does not know such events."""
    with subscription.handle, suppress(rclpy_implementation.UnsupportedEventTypeError):
        return rclpy_implementation.EventHandle(subscription.handle, kind)


def _take_event(event: Any) -> Any:
    if event is None:
        return None
    with suppress(rclpy_implementation.InvalidHandle, rclpy_implementation.RCLError), event:
        return event.take_event()
