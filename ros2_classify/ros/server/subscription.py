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

"""Where the server's images come from: a topic, subscribed to while results are wanted."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from ros2_classify.ros.messages.transports import TRANSPORTS
from ros2_classify.ros.node.intra_process import find_sender, ImageSender
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.server.image_waiter import (
    no_event_callbacks, NotForExecutor, publisher_count, SubscriptionEvents, take, TakeError)

# A subscriber that comes back at once (`ros2 topic echo --once` in a loop) must not make the
# middleware match and unmatch the camera every time.
_LINGER = 2.0
# A middleware that fails again and again takes no processor.
_AFTER_FAILURE = 0.001
# Publishers need a moment to find a new subscription; the old one is kept for as long.
_HANDOVER = 1.5

# The values of the parameter qos.
QOS = ('auto', 'best_effort', 'reliable')
_RELIABILITY = {'best_effort': ReliabilityPolicy.BEST_EFFORT,
                'reliable': ReliabilityPolicy.RELIABLE}


class SequenceGaps:
    """
    Images that newer ones replaced in the middleware's queue: the gaps between those taken.

    The middleware numbers what a publisher sends. What is missing between two images was either
    replaced before it was taken, or lost on the way, which an event tells.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        # Losses that the middleware told of before the gap they explain was seen.
        self._early = 0

    def taken(self, number: int | None, lost: int, *, alone: bool = True) -> int:
        """
        Return how many images were replaced between the one before and this one.

        `lost` counts the losses told since the last call. With several publishers (not `alone`)
        the numbers mean nothing.
        """
        last, self._last = self._last, number if alone else None
        if number is None or last is None or not alone:
            self._early = 0
            return 0
        gap = max(0, number - last - 1)
        explained = min(gap, self._early + lost)
        self._early = min(lost, self._early + lost - explained)
        return gap - explained


class Taken(NamedTuple):
    """An image's message, when it came (`time.perf_counter`), and how many it replaced."""

    msg: Any
    received: float
    replaced: int


class ImageSubscription:
    """
    One camera's topic, subscribed to while results are wanted; its queue holds the newest image.

    The queue is the middleware's own, of depth one, from which a worker's thread takes. A camera
    in the same process hands its images over instead: these wait in a slot here. `wake` is called
    from any thread; `listed` topics are of a list, not what ``image`` was remapped to; `qos` is
    one of `QOS`.
    """

    def __init__(self, node: Node, topic: str, transport: str, wake: Callable[[], Any], *,
                 listed: bool = False, qos: str = 'auto') -> None:
        self._node = node
        self.topic = topic
        self._qos = qos
        self._reliability: ReliabilityPolicy | None = None
        self.transport = TRANSPORTS[transport]
        self.listed = listed
        self._wake = wake
        self._throttled = ThrottledLog()
        self._subscription: Any = None
        self._events: SubscriptionEvents | None = None
        # Of another reliability, until the present one is known to the publishers; and when the
        # present one was made.
        self._previous: Any = None
        self._changed_at = 0.0
        self._last_taken: tuple[int | None, Any] | None = None
        self._gaps = SequenceGaps()
        # Whether the middleware keeps more than the newest image.
        self._deep = False
        self._sender: ImageSender | None = None
        self._slot: tuple[Any, float] | None = None
        self._replaced_in_slot = 0
        # For the slot, and for the events, which two threads ask for.
        self._lock = threading.Lock()
        self._lost_since_taken = 0
        self._last_wanted = 0.0
        self.subscribed_at = 0.0
        # when one was taken or handed over, on ``time.monotonic``
        self.last_image_at: float | None = None
        self.lost = 0  # images that the middleware lost on the way
        # the QoS policy of a publisher that doesn't fit, as the middleware says
        self.incompatible_policy = ''

    @property
    def subscribed(self) -> bool:
        """Whether images are taken at the moment."""
        return self._subscription is not None or self._sender is not None

    @property
    def is_local(self) -> bool:
        """Whether they are handed over by a camera in this process."""
        return self._sender is not None

    @property
    def waitables(self) -> tuple[Any, ...]:
        """The rclpy subscriptions to wait on."""
        return tuple(
            each for each in (self._subscription, self._previous) if each is not None)

    @property
    def has_local_image(self) -> bool:
        """Whether an image that was handed over waits to be taken."""
        return self._slot is not None

    # ---- in the executor's thread

    def update(self, wanted: bool) -> None:
        """Subscribe if results are wanted, unsubscribe if they haven't been for a while."""
        now = time.monotonic()
        if wanted:
            self._last_wanted = now
            if self.subscribed and self._local_sender() is not self._sender:
                # A camera has come to this process, or gone from it.
                self.unsubscribe()
            if not self.subscribed:
                self._subscribe()
            elif self._previous is not None:
                if now - self._changed_at >= _HANDOVER:
                    self._drop_previous()
            elif self._subscription is not None and self._best_reliability() not in (
                    None, self._reliability):
                self._resubscribe()
        elif self.subscribed and now - self._last_wanted >= _LINGER:
            self.unsubscribe()

    def unsubscribe(self) -> None:
        """Give the subscription back."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.leave(self._hand_over)
        self._drop_previous()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with self._lock:
                events, self._events = self._events, None
            if events is not None:
                events.destroy()
            self._destroy(subscription)

    def _drop_previous(self) -> None:
        previous, self._previous = self._previous, None
        if previous is not None:
            self._destroy(previous)

    def _destroy(self, subscription: Any) -> None:
        self._node.destroy_subscription(subscription)
        # A thread that waits on it keeps it until then.
        self._wake()

    def ask_for_events(self) -> None:
        """Ask the middleware what got lost, and which publishers don't fit."""
        with self._lock:
            if self._events is not None:
                lost = self._events.lost()
                self.lost += lost
                self._lost_since_taken += lost
                self.incompatible_policy = (
                    self._events.incompatible_policy() or self.incompatible_policy)

    @property
    def reliability(self) -> str:
        """What is subscribed with, as the parameter qos names it; empty if not subscribed."""
        subscription = self._subscription
        return '' if subscription is None else subscription.qos_profile.reliability.name.lower()

    def qos(self) -> QoSProfile:
        """Return the subscription's quality of service, the user's overrides included."""
        return self._subscription.qos_profile

    def _local_sender(self) -> ImageSender | None:
        """Return the camera of this process that has this topic."""
        return None if self.transport.suffix else find_sender(self.topic)

    def _subscribe(self) -> None:
        self.last_image_at = None
        self.incompatible_policy = ''
        self._gaps = SequenceGaps()
        self.subscribed_at = time.monotonic()
        sender = self._local_sender()
        if sender is not None:
            sender.listen(self._hand_over)
            self._sender = sender
            return
        self._use_subscription(self._best_reliability() or ReliabilityPolicy.BEST_EFFORT)
        self._wake()

    def _resubscribe(self) -> None:
        """Change the reliability; what has been counted, and since when, stays."""
        old, events = self._subscription, self._events
        self.ask_for_events()
        # The new one first: the old one stays if the middleware refuses.
        self._use_subscription(self._best_reliability() or ReliabilityPolicy.BEST_EFFORT)
        self._previous, self._changed_at = old, time.monotonic()
        if events is not None:
            events.destroy()
        self.incompatible_policy = ''
        self._gaps = SequenceGaps()
        self._wake()

    def _use_subscription(self, reliability: ReliabilityPolicy) -> None:
        overridable = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH]
        if self._reliability_is_overridden:
            overridable.append(QoSPolicyKind.RELIABILITY)
        subscription = self._node.create_subscription(
            self.transport.msg_type, self.topic, _never_called, QoSProfile(
                history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability),
            # The node's own group would remember every subscription there has ever been.
            callback_group=NotForExecutor(), event_callbacks=no_event_callbacks(),
            qos_overriding_options=QoSOverridingOptions(overridable))
        asked = subscription.qos_profile
        self._deep = asked.history != HistoryPolicy.KEEP_LAST or asked.depth > 1
        self._reliability = reliability
        with self._lock:
            self._events = SubscriptionEvents(subscription)
        self._subscription = subscription

    @property
    def _reliability_is_overridden(self) -> bool:
        # A parameter that was declared once would override every later choice as well.
        name = f'qos_overrides.{self.topic}.subscription.reliability'
        # There is no public API for the values that the user gave, hence getattr.
        return name in getattr(self._node, '_parameter_overrides', {})

    def _best_reliability(self) -> ReliabilityPolicy | None:
        """Return what to subscribe with; None if nothing says."""
        if self._reliability_is_overridden:
            return None
        if self._qos != 'auto':
            return _RELIABILITY[self._qos]
        offered = self.offered_reliability()
        # Best effort takes images from both kinds, and reliable only from reliable ones.
        if len(offered) > 1:
            return ReliabilityPolicy.BEST_EFFORT
        return offered.pop() if offered else None

    def offered_reliability(self) -> set[ReliabilityPolicy]:
        """Return what the publishers of this topic offer."""
        kind = f'sensor_msgs/msg/{self.transport.msg_type.__name__}'
        return {
            ReliabilityPolicy.RELIABLE
            if publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            else ReliabilityPolicy.BEST_EFFORT
            for publisher in self._node.get_publishers_info_by_topic(self.topic)
            if publisher.topic_type == kind}

    # ---- in the thread of a camera in this process

    def _hand_over(self, msg: Any) -> None:
        with self._lock:
            self._replaced_in_slot += self._slot is not None
            self._slot = (msg, time.perf_counter())
            self.last_image_at = time.monotonic()
        self._wake()

    # ---- in a worker's threads, one at a time

    def take(self) -> Taken | None:
        """Take the newest image; return None if there is none."""
        with self._lock:
            (slot, self._slot), (replaced, self._replaced_in_slot) = (
                (self._slot, None), (self._replaced_in_slot, 0))
        if slot is not None:
            return Taken(*slot, replaced)
        subscription = self._subscription
        if subscription is None:
            return None
        if self._previous is not None:
            return self._take_in_handover()
        newest, replaced = None, 0
        while True:
            try:
                taken = take(subscription)
            except TakeError as error:
                # The middleware has dropped what it could not read.
                self._throttled(
                    self._node.get_logger().error,
                    f'an image on {self.topic} cannot be taken from the middleware: {error}',
                    'take')
                time.sleep(_AFTER_FAILURE)
                break
            if taken is None:
                break
            replaced += newest is not None
            newest, number = taken
            replaced += self._count_replaced(number, subscription)
            # A queue of more than one, which qos_overrides may ask for, gives the oldest first.
            if not self._deep:
                break
        if newest is None:
            return None
        if self._last_taken is not None:
            last, self._last_taken = self._last_taken, None
            if last == (number, newest.header.stamp):
                return None
        self.last_image_at = time.monotonic()
        return Taken(newest, time.perf_counter(), replaced)

    def _take_in_handover(self) -> Taken | None:
        """Take from both subscriptions, each image once."""
        for subscription in self.waitables:
            try:
                taken = take(subscription)
            except TakeError:
                continue
            if taken is None:
                continue
            msg, number = taken
            this = (number, msg.header.stamp)
            if this == self._last_taken:
                continue
            self._last_taken = this
            self.last_image_at = time.monotonic()
            return Taken(msg, time.perf_counter(), 0)
        return None

    def _count_replaced(self, number: int | None, subscription: Any) -> int:
        self.ask_for_events()
        with self._lock:
            lost, self._lost_since_taken = self._lost_since_taken, 0
        return self._gaps.taken(number, lost, alone=publisher_count(subscription) == 1)


def _never_called(msg: Any) -> None:
    """Stand in for the callback that rclpy asks for."""
