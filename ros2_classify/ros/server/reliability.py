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

"""How reliably to subscribe to images, and how to change it without losing one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
import time
from typing import Any

from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from ros2_classify.ros.server.image_waiter import no_event_callbacks, NotForExecutor

BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
# Seconds that the publishers must be the same ones before a reliable subscription is made.
_SETTLED = 2.0
# Seconds without any publisher after which best effort waits for the next, whatever it offers.
_FORGOTTEN = 10.0
# Publishers need a moment to find a new subscription; the old one stays for as long, and until
# the new one has brought an image, but no longer than the second number of seconds.
_HANDOVER = (1.5, 10.0)
# More than both queues hold, unless qos_overrides ask for longer ones.
_REMEMBERED = 64


# The values of the parameter qos but auto.
FIXED = {'best_effort': BEST_EFFORT, 'reliable': RELIABLE}


def is_overridden(node: Any, topic: str) -> bool:
    """Tell whether the user's qos_overrides say how reliably to subscribe to a topic."""
    # A parameter that was declared once would override every later choice as well. There is no
    # public API for the values that the user gave, hence getattr.
    name = f'qos_overrides.{topic}.subscription.reliability'
    return name in getattr(node, '_parameter_overrides', {})


def subscribe(node: Any, msg_type: type, topic: str, depth: int, reliability: ReliabilityPolicy,
              *, raw: bool = False) -> Any:
    """Create a subscription that the executor leaves alone; qos_overrides have priority."""
    overridable = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH]
    if is_overridden(node, topic):
        overridable.append(QoSPolicyKind.RELIABILITY)
    return node.create_subscription(
        msg_type, topic, lambda msg: None, QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability),
        # The node's own group would remember every subscription there has ever been.
        callback_group=NotForExecutor(), event_callbacks=no_event_callbacks(),
        qos_overriding_options=QoSOverridingOptions(overridable), raw=raw)


def offers(
        node: Any, topic: str, msg_type: type) -> list[tuple[tuple[int, ...], ReliabilityPolicy]]:
    """Return the publishers of a topic and what they offer, as `ReliabilityChoice` takes it."""
    kind = f'sensor_msgs/msg/{msg_type.__name__}'
    return [
        (tuple(publisher.endpoint_gid),
         RELIABLE if publisher.qos_profile.reliability == RELIABLE else BEST_EFFORT)
        for publisher in node.get_publishers_info_by_topic(topic)
        if publisher.topic_type == kind]


class ReliabilityChoice:
    """
    What to subscribe with, from what the publishers offer over time.

    Best effort takes images of every publisher, so it is the choice whenever there is a doubt:
    the dead stay in DDS's discovery for a while, and a publisher may never send. Reliable is
    chosen if all publishers are, have been the same for a while, and images have come from them
    or were lost; it stays while they restart.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._publishers: frozenset[tuple[Any, ReliabilityPolicy]] = frozenset()
        self._since = clock()
        self._images = 0
        self._choice = BEST_EFFORT

    @property
    def settling(self) -> bool:
        """Whether reliable is next, as soon as the publishers have been the same for a while."""
        return self._choice == BEST_EFFORT and bool(self._publishers) and all(
            offered == RELIABLE for _, offered in self._publishers)

    def choose(self, publishers: Iterable[tuple[Any, ReliabilityPolicy]], images: int,
               *, subscribed: bool = True) -> ReliabilityPolicy:
        """
        Return the choice; ask about once a second.

        `publishers` are pairs of an identity and what it offers, `images` counts those that came
        or were lost so far.
        """
        now, present = self._clock(), frozenset(publishers)
        if present != self._publishers:
            self._publishers, self._since, self._images = present, now, images
        if not present:
            if not subscribed or now - self._since >= _FORGOTTEN:
                self._choice = BEST_EFFORT
        elif any(offered != RELIABLE for _, offered in present):
            self._choice = BEST_EFFORT
        elif now - self._since >= _SETTLED and images > self._images:
            self._choice = RELIABLE
        return self._choice


class Handover:
    """
    What two subscriptions to one topic bring, while publishers get to know the new one.

    Each image counts once; what only one of the two lost is not lost.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._delivered = False
        self._seen: deque[tuple[int | None, int | None]] = deque(maxlen=_REMEMBERED)
        self._lost = 0

    @property
    def done(self) -> bool:
        """Whether the old subscription can go."""
        least, most = _HANDOVER
        return self._clock() - self._began >= (least if self._delivered else most)

    def is_new(self, sent: int | None, number: int | None, *, by_new: bool) -> bool:
        """Tell whether the other subscription has not brought an image."""
        self._delivered = self._delivered or by_new
        if (sent, number) in self._seen:
            return False
        self._seen.append((sent, number))
        return True

    def lost(self, count: int) -> None:
        """Note what one of the two lost."""
        self._lost += count

    def explain(self, missing: int, *, ended: bool) -> int:
        """Return how many of the images that neither brought were lost."""
        lost = min(missing, self._lost)
        # Once it has ended, what is left was brought by the other one.
        self._lost = 0 if ended else self._lost - lost
        return lost
