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

The names are those that ``diagnostic_aggregator`` sorts by: ``server: camera image``. Where ROS
has ``diagnostic_updater``, its updater publishes; elsewhere this module sends the same messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

PERIOD = 1.0


class Level(IntEnum):
    """How bad it is, with the numbers of ``diagnostic_msgs/DiagnosticStatus``."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Status:
    """
    What one part of a node says about itself.

    Parameters
    ----------
    level : Level
        How bad it is.
    message : str
        One sentence for people: what is, and where something is wrong, what to do.
    values : tuple of (str, str)
        Names and values for whoever looks closer.

    """

    level: Level
    message: str
    values: tuple[tuple[str, str], ...] = ()


class Diagnostics:
    """
    Publish what the parts of a node say about themselves.

    Parameters
    ----------
    node : rclpy.node.Node
        The node; its name stands before each part's.
    hardware_id : str
        What is being watched.

    """

    def __init__(self, node: Node, hardware_id: str) -> None:
        self._node = node
        self._updater = make_updater(node)
        self._updater.setHardwareID(hardware_id)

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
            now = status()
            wrapper.level = bytes([now.level])
            wrapper.message = now.message
            wrapper.values = [KeyValue(key=key, value=value) for key, value in now.values]
            return wrapper

        self._updater.add(part, run)

    def remove(self, part: str) -> None:
        """Report no more on a part."""
        self._updater.removeByName(part)

    def publish(self) -> None:
        """Publish at once: something has changed."""
        self._updater.force_update()


def make_updater(node: Node) -> Any:
    """Return ROS's own updater where it is installed, else the one below."""
    try:
        from diagnostic_updater import Updater
    except ImportError:
        return MessageUpdater(node)
    return Updater(node, PERIOD)


class MessageUpdater:
    """
    What is used here of ``diagnostic_updater.Updater``, for where there is none.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.

    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hardware_id = ''
        self._tasks: dict[str, Callable[[Any], Any]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # Not the node's clock: simulated time may stand still, and that is worth a report, too.
        self._timer = node.create_timer(
            PERIOD, self.force_update, clock=Clock(clock_type=ClockType.STEADY_TIME))

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
            run(DiagnosticStatus(
                name=f'{self._node.get_name()}: {name}', hardware_id=self._hardware_id))
            for name, run in self._tasks.items()]
        self._publisher.publish(message)
