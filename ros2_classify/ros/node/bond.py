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
Heartbeats for a lifecycle manager that checks by a bond whether a node lives, as Nav2's does.

The protocol is that of the packages bondcpp and bondpy: both sides publish `bond/msg/Status` on
one topic, with the node's name as the id; one that stops says so, and the other confirms it.
"""

from __future__ import annotations

import time
from typing import Any
import uuid

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

TOPIC = 'bond'
# Nav2's nodes send ten in a second; its manager waits four seconds for one.
_PERIOD = 0.1
_TIMEOUT = 4.0
# Seconds for which the end is told if the manager does not confirm it.
_FAREWELL = 2.0


class Bond:
    """One node's side, in the executor's thread; without the package bond it does nothing."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._status: Any = None
        self._publisher: Any = None
        self._timer: Any = None
        self._instance = ''
        self._ends_at: float | None = None

    def start(self) -> None:
        """Send heartbeats until `stop`, or until the manager ends the bond."""
        if self._status is None and not self._connect():
            return
        self._rest()
        # Each bond is another one, also of the same node.
        self._instance = str(uuid.uuid4())
        self._ends_at = None
        self._timer = self._node.create_timer(
            _PERIOD, self._beat, callback_group=MutuallyExclusiveCallbackGroup(),
            # Simulated time may stand still.
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._beat()

    def stop(self) -> None:
        """Tell the manager that this side ends, until it confirms."""
        if self._timer is not None and self._ends_at is None:
            self._ends_at = time.monotonic() + _FAREWELL
            self._publish(active=False)

    def _connect(self) -> bool:
        try:
            from bond.msg import Status
        except ImportError:
            self._node.get_logger().info(
                'no bond: the package bond is not installed; set bond_timeout to 0.0 if the '
                'lifecycle manager is that of Nav2')
            return False
        self._status = Status
        self._publisher = self._node.create_publisher(Status, TOPIC, 5)
        self._node.create_subscription(Status, TOPIC, self._heard, 100)
        return True

    def _beat(self) -> None:
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            self._rest()
        else:
            self._publish(active=self._ends_at is None)

    def _heard(self, msg: Any) -> None:
        if (self._timer is None or msg.id != self._node.get_name()
                or msg.instance_id == self._instance or msg.active):
            return
        if self._ends_at is None:
            # The manager ends it: confirm.
            self._publish(active=False)
        self._rest()

    def _rest(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            self._node.destroy_timer(timer)

    def _publish(self, *, active: bool) -> None:
        msg = self._status(
            id=self._node.get_name(), instance_id=self._instance, active=active,
            heartbeat_timeout=_TIMEOUT, heartbeat_period=_PERIOD)
        msg.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(msg)
