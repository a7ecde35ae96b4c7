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

from collections import deque
from collections.abc import Callable
import threading
import time
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify.ros.messages.image import TRANSPORTS
from ros2_classify.ros.node.intra_process import find_sender, ImageSender
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.server.image_waiter import (
    publisher_count, SubscriptionEvents, take, TakeError)
from ros2_classify.ros.server.native_take import TakenMessage
from ros2_classify.ros.server.reliability import (
    FIXED, Handover, is_overridden, offers, ReliabilityChoice, subscribe)

# A subscriber that comes back at once (`ros2 topic echo --once` in a loop) must not make the
# middleware match and unmatch the camera every time.
_LINGER = 2.0
# A middleware that fails again and again takes no processor.
_AFTER_FAILURE = 0.001


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
    one of `specs.QOS`. With a `queue` of more than one, images are taken in their order.
    """

    def __init__(self, node: Node, topic: str, transport: str, wake: Callable[[], Any], *,
                 listed: bool = False, qos: str = 'auto', queue: int = 1) -> None:
        self._node = node
        self.topic = topic
        self._qos = qos
        self._queue = queue
        self._choice = ReliabilityChoice()
        self._reliability: ReliabilityPolicy | None = None
        self.transport = TRANSPORTS[transport]
        self.listed = listed
        self._wake = wake
        self._throttled = ThrottledLog()
        # The present one, and for a while the one before it, of another reliability; both with
        # what the middleware tells of them.
        self._subscriptions: tuple[Any, ...] = ()
        self._events: tuple[SubscriptionEvents, ...] = ()
        self._handover: Handover | None = None
        self._came = 0
        # When the newest image that was taken was sent, as its publisher's middleware says.
        self._newest_sent: int | None = None
        self._gaps = SequenceGaps()
        # Whether the middleware keeps more than the newest image, which is the one to be taken.
        self._deep = False
        self._sender: ImageSender | None = None
        self._slots: deque[tuple[Any, float]] = deque()
        self._replaced_in_slots = 0
        # For the slots, and for the events, which two threads ask for.
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
        return bool(self._subscriptions) or self._sender is not None

    @property
    def is_local(self) -> bool:
        """Whether they are handed over by a camera in this process."""
        return self._sender is not None

    @property
    def waitables(self) -> tuple[Any, ...]:
        """The rclpy subscriptions to wait on."""
        return self._subscriptions

    @property
    def has_local_image(self) -> bool:
        """Whether an image that was handed over waits to be taken."""
        return bool(self._slots)

    # ---- in the executor's thread

    def use_queue(self, queue: int) -> None:
        """Keep this number of images; the next `update` subscribes again if that is new."""
        if queue != self._queue:
            self._queue = queue
            self.unsubscribe()

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
            elif self._subscriptions:
                self._follow_publishers()
        elif self.subscribed and now - self._last_wanted >= _LINGER:
            self.unsubscribe()

    def unsubscribe(self) -> None:
        """Give the subscription back."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.leave(self._hand_over)
        with self._lock:
            subscriptions, self._subscriptions = self._subscriptions, ()
            events, self._events = self._events, ()
        self._handover = None
        self._destroy(subscriptions, events)

    def _destroy(
            self, subscriptions: tuple[Any, ...], events: tuple[SubscriptionEvents, ...]) -> None:
        for each in events:
            each.destroy()
        for subscription in subscriptions:
            self._node.destroy_subscription(subscription)
            # A thread that waits on it keeps it until then.
            self._wake()

    def ask_for_events(self) -> None:
        """Ask the middleware what got lost, and which publishers don't fit."""
        with self._lock:
            if not self._events:
                return
            lost = sum(events.lost() for events in self._events)
            if len(self._events) > 1 and self._handover is not None:
                self._handover.lost(lost)
            else:
                self.lost += lost
                self._lost_since_taken += lost
            self.incompatible_policy = (
                self._events[0].incompatible_policy() or self.incompatible_policy)

    @property
    def changing(self) -> bool:
        """Whether its reliability changes now, or soon: what gets lost until then says nothing."""
        return len(self._subscriptions) > 1 or (self._follows and self._choice.settling)

    @property
    def reliability(self) -> str:
        """What is subscribed with, as the parameter qos names it; empty if not subscribed."""
        subscriptions = self._subscriptions
        return subscriptions[0].qos_profile.reliability.name.lower() if subscriptions else ''

    def qos(self) -> QoSProfile:
        """Return the subscription's quality of service, the user's overrides included."""
        return self._subscriptions[0].qos_profile

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
        self._use_subscription(self._best_reliability())
        self._wake()

    def _follow_publishers(self) -> None:
        """Change the reliability if it must; what has been counted, and since when, stays."""
        if len(self._subscriptions) > 1:
            if self._handover is None or self._handover.done:
                with self._lock:
                    (present, *old), (told, *before) = self._subscriptions, self._events
                    self._subscriptions, self._events = (present,), (told,)
                self._destroy(tuple(old), tuple(before))
            return
        best = self._best_reliability()
        if best == self._reliability:
            return
        self.ask_for_events()
        # The new one first: the old one stays if the middleware refuses.
        self._use_subscription(best)
        self.incompatible_policy = ''
        if best == ReliabilityPolicy.BEST_EFFORT:
            # There are other publishers, with numbers of their own.
            self._gaps = SequenceGaps()
        self._wake()

    def _use_subscription(self, reliability: ReliabilityPolicy) -> None:
        subscription = subscribe(
            self._node, self.transport.msg_type, self.topic, self._queue, reliability)
        asked = subscription.qos_profile
        self._deep = self._queue == 1 and (
            asked.history != HistoryPolicy.KEEP_LAST or asked.depth > 1)
        self._reliability = reliability
        events = SubscriptionEvents(subscription)
        if self._subscriptions:
            self._handover = Handover()
        with self._lock:
            self._events = (events, *self._events)
            self._subscriptions = (subscription, *self._subscriptions)

    @property
    def _follows(self) -> bool:
        return self._qos == 'auto' and not is_overridden(self._node, self.topic)

    def _best_reliability(self) -> ReliabilityPolicy:
        """Return what to subscribe with, if qos_overrides don't say."""
        if self._qos != 'auto':
            return FIXED[self._qos]
        if not self._follows:
            return self._reliability or ReliabilityPolicy.BEST_EFFORT
        return self._choice.choose(
            self._offers(), self._came + self.lost, subscribed=bool(self._subscriptions))

    def offered_reliability(self) -> set[ReliabilityPolicy]:
        """Return what the publishers of this topic offer."""
        return {offered for _, offered in self._offers()}

    def _offers(self) -> list[tuple[tuple[int, ...], ReliabilityPolicy]]:
        return offers(self._node, self.topic, self.transport.msg_type)

    # ---- in the thread of a camera in this process

    def _hand_over(self, msg: Any) -> None:
        with self._lock:
            if len(self._slots) >= self._queue:
                self._replaced_in_slots += 1
                self._slots.popleft()
            self._slots.append((msg, time.perf_counter()))
            self.last_image_at = time.monotonic()
        self._wake()

    # ---- in a worker's threads, one at a time

    def take(self) -> Taken | None:
        """Take the newest image, or of a queue the oldest; return None if there is none."""
        with self._lock:
            slot = self._slots.popleft() if self._slots else None
            replaced, self._replaced_in_slots = self._replaced_in_slots, 0
        if slot is not None:
            return Taken(*slot, replaced)
        subscriptions = self._subscriptions
        if not subscriptions:
            return None
        alone = publisher_count(subscriptions[0]) == 1
        newest, waiting = None, []
        for subscription in subscriptions:
            while (taken := self._take_from(subscription)) is not None:
                if self._is_new(taken, alone, by_new=subscription is subscriptions[0]):
                    waiting.append(taken.number)
                    if newest is None or len(subscriptions) == 1 or (
                            (taken.sent or 0) >= (newest.sent or 0)):
                        newest = taken
                # A queue of more than one, which qos_overrides may ask for, gives the oldest
                # first.
                if not self._deep:
                    break
            if newest is not None and self._queue > 1:
                break
        if newest is None:
            return None
        if len(subscriptions) > 1 and alone:
            waiting.sort(key=lambda number: number or 0)
        replaced = len(waiting) - 1 + sum(
            self._count_replaced(number, alone) for number in waiting)
        self._newest_sent = newest.sent
        self._came += 1
        self.last_image_at = time.monotonic()
        return Taken(newest.msg, time.perf_counter(), replaced)

    def _take_from(self, subscription: Any) -> TakenMessage | None:
        try:
            return take(subscription)
        except TakeError as error:
            # The middleware has dropped what it could not read.
            self._throttled(
                self._node.get_logger().error,
                f'an image on {self.topic} cannot be taken from the middleware: {error}', 'take')
            time.sleep(_AFTER_FAILURE)
            return None

    def _is_new(self, taken: TakenMessage, alone: bool, *, by_new: bool) -> bool:
        """Tell whether an image has not come by another subscription, nor a newer one."""
        handover = self._handover
        if handover is None:
            return True
        if not handover.is_new(taken.sent, taken.number, by_new=by_new):
            return False
        # The gap that it left has been counted.
        return not alone or (taken.sent or 0) >= (self._newest_sent or 0)

    def _count_replaced(self, number: int | None, alone: bool) -> int:
        self.ask_for_events()
        with self._lock:
            lost, self._lost_since_taken = self._lost_since_taken, 0
            missing = self._gaps.taken(number, lost, alone=alone)
            explained = 0
            if self._handover is not None:
                explained = self._handover.explain(
                    missing, ended=len(self._subscriptions) == 1)
                self.lost += explained
        return missing - explained
