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
How a node tells the operator about itself: ``/diagnostics``, once a second.

The names are those that ``diagnostic_aggregator`` sorts by: ``server: model``. Where ROS has
``diagnostic_updater``, its updater publishes; elsewhere this module sends the same messages.
"""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from ros2_classify.ros.diagnostics.status import Level, Status

PERIOD = 1.0


class Diagnostics:
    """
    Publish what the parts of a node say about themselves.

    Parameters
    ----------
    node : rclpy.node.Node
        The node; its name stands before each part's.

    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._parts: set[str] = set()
        self._updater = make_updater(node)
        self._updater.setHardwareID(node.get_fully_qualified_name())
        self._period = float(self._updater.period)
        self._published = time.monotonic()
        # Not the node's clock: simulated time may stand still, and that is worth a report, too.
        self._timer = node.create_timer(
            self._period, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, part: str, status: Callable[[], Status]) -> None:
        """
        Report on one more part.

        Parameters
        ----------
        part : str
            Its name.
        status : callable
            Called once a second, in the executor's thread.

        """
        def run(wrapper: Any) -> Any:
            try:
                now = status()
            except Exception as error:  # noqa: B902 - the other parts are still reported
                now = Status(Level.ERROR, f'unexpected {type(error).__name__}: {error}')
            wrapper.level = bytes([now.level])
            wrapper.message = now.message
            wrapper.values = [KeyValue(key=key, value=value) for key, value in now.values]
            return wrapper

        self._parts.add(part)
        self._updater.add(part, run)

    def remove(self, part: str) -> None:
        """Report no more on a part; nothing happens where nobody did."""
        if part in self._parts:
            self._parts.remove(part)
            self._updater.removeByName(part)

    def publish(self) -> None:
        """Publish at once."""
        self._published = time.monotonic()
        self._updater.force_update()

    def publish_if_due(self) -> None:
        """Publish in the place of the timer, while its executor is held up."""
        if time.monotonic() - self._published >= self._period:
            self.publish()


def make_updater(node: Node) -> Any:
    """Return ROS's own updater where it is installed, without its timer, else the one below."""
    try:
        from diagnostic_updater import Updater
    except ImportError:
        return MessageUpdater(node)
    updater = Updater(node, PERIOD)
    # It follows the node's clock; see `Diagnostics`.
    node.destroy_timer(updater.timer)
    return updater


class MessageUpdater:
    """
    What is used here of ``diagnostic_updater.Updater``, for where there is none.

    Parameters
    ----------
    node : rclpy.node.Node
        The node; it gets the parameters that ROS's updater declares, too.

    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hardware_id = ''
        self._tasks: dict[str, Callable[[Any], Any]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self.period = node.declare_parameter('diagnostic_updater.period', PERIOD).value
        full = node.declare_parameter('diagnostic_updater.use_fqn', False).value
        self._name = node.get_fully_qualified_name() if full else node.get_name()

    def setHardwareID(self, hardware_id: str) -> None:  # noqa: N802 - the updater's own name
        """Say what is being watched."""
        self._hardware_id = hardware_id

    def add(self, name: str, run: Callable[[Any], Any]) -> None:
        """Report on one more part."""
        self._tasks[name] = run

    def removeByName(self, name: str) -> bool:  # noqa: N802 - the updater's own name
        """Report no more on a part."""
        return self._tasks.pop(name, None) is not None

    def force_update(self) -> None:
        """Ask all parts and publish."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [
            run(DiagnosticStatus(name=f'{self._name}: {name}', hardware_id=self._hardware_id))
            for name, run in self._tasks.items()]
        self._publisher.publish(message)
