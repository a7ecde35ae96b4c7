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
Images that the middleware loses between the camera and this node.

The middleware numbers what a sender publishes, so its reader knows of every gap and tells it as an
event (``message_lost``). An image that is replaced by a newer one because this node is slow is
none of them: it came.
"""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind

# Seconds that are judged together.
_SPAN = 5.0
# Fewer losses, or a smaller part, are no symptom: best effort promises nothing.
_MIN_LOST = 5
_MIN_PART = 0.05
# Seconds until the same is said again.
_AGAIN = 60.0


class Losses:
    """
    Counts lost images and tells when they are too many; for the executor's thread.

    Parameters
    ----------
    clock : callable
        Gives the time in seconds; for tests.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._said: float | None = None
        self._came = 0
        self._lost = 0
        self.total = 0
        # What the last span showed, said or not; empty where all was well.
        self.symptom = ''

    def came(self, count: int = 1) -> None:
        """Count images that came."""
        self._came += count

    def add(self, count: int) -> None:
        """Count lost images."""
        self._lost += count
        self.total += count

    def subscribe(self, node: Node, *args: Any,
                  on_incompatible: Callable[[str], None] = lambda _: None,
                  on_lost: Callable[[int], None] = lambda _: None,
                  **options: Any) -> Any:
        """
        Create a subscription whose losses are counted, where the middleware tells of them.

        Parameters
        ----------
        node : rclpy.node.Node
            The node; the further arguments are those of its ``create_subscription``.
        on_incompatible : callable
            Called with the name of the policy when the quality of service of a publisher doesn't
            fit, where the middleware tells of that.
        on_lost : callable
            Called with the number of images that got lost since the last time.

        Returns
        -------
        rclpy.subscription.Subscription
            The subscription.

        """
        try:
            from rclpy.event_handler import (
                SubscriptionEventCallbacks, UnsupportedEventTypeError)
        except ImportError:  # before Iron
            from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

        def incompatible(event: Any) -> None:
            on_incompatible(qos_policy_name_from_kind(event.last_policy_kind))

        def lost(event: Any) -> None:
            self.add(event.total_count_change)
            on_lost(event.total_count_change)

        # A middleware may know one of the events, or none.
        for events in ({'message_lost': lost, 'incompatible_qos': incompatible},
                       {'incompatible_qos': incompatible}):
            try:
                return node.create_subscription(
                    *args, event_callbacks=SubscriptionEventCallbacks(**events), **options)
            except UnsupportedEventTypeError:
                continue
        return node.create_subscription(*args, **options)

    def judge(self) -> str:
        """
        Say whether too many images have been lost; call it about once a second.

        Returns
        -------
        str
            ``90 of 100 images of the last 5 s``, or nothing where all is well, where the time
            for a judgement hasn't come, and where it has been said a moment ago.

        """
        now = self._clock()
        span = now - self._began
        if span < _SPAN:
            return ''
        came, lost = self._came, self._lost
        self._began, self._came, self._lost = now, 0, 0
        if lost < _MIN_LOST or lost < _MIN_PART * (lost + came):
            self.symptom = ''
            return ''
        self.symptom = f'{lost} of {lost + came} images of the last {span:.0f} s'
        if self._said is not None and now - self._said < _AGAIN:
            return ''
        self._said = now
        return self.symptom
