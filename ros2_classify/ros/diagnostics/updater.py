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
Publishes a node's ``/diagnostics``, once a second.

Names such as ``server: model`` suit ``diagnostic_aggregator``. If ``diagnostic_updater`` is
installed, its updater publishes; else this module publishes the same messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import os
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logging_directory
from rclpy.node import Node
from ros2_classify.errors import OptionsError
from ros2_classify.limits import shown
from ros2_classify.progress import human_size
from ros2_classify.ros.diagnostics.issues import find, Issue, Level, Status

PERIOD = 1.0
_SHORTEST, _LONGEST = 0.01, 3600.0
_ALLOWED = f'it must be a number of seconds from {_SHORTEST} to {_LONGEST}, such as 1.0'


class Diagnostics:
    """Publish the statuses of the parts of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._parts: set[str] = set()
        self._updater = make_updater(node)
        self._updater.setHardwareID(node.get_fully_qualified_name())
        self._period = _checked(self._updater.period)
        self._published = time.monotonic()
        # Not the node's clock: simulated time may stand still, which has to be reported.
        self._timer = node.create_timer(
            self._period, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, part: str, status: Callable[[], Status], deprecated: str = '') -> None:
        """
        Add a part; `status` is called once a second, in the executor's thread.

        The same status is published under the deprecated name, with a row that names the new one.
        """
        now = Status(Level.STALE, 'not known yet')

        def run(wrapper: Any) -> Any:
            nonlocal now
            try:
                now = status()
            except Exception as error:  # noqa: B902 - the other parts are still reported
                now = Status(Level.ERROR, f'unexpected {type(error).__name__}: {error}')
            return fill(wrapper, now)

        def repeat(wrapper: Any) -> Any:
            notice = ('deprecated status', f'read {self._node.get_name()}: {part}')
            return fill(wrapper, replace(now, values=(*now.values, notice)))

        self._parts.add(part)
        self._updater.add(part, run)
        if deprecated:
            # After the new one: the updater runs them in this order.
            self._updater.add(deprecated, repeat)

    def remove(self, part: str) -> None:
        """Remove a part, if it was added."""
        if part in self._parts:
            self._parts.remove(part)
            self._updater.removeByName(part)

    def publish(self) -> None:
        """Publish at once."""
        self._published = time.monotonic()
        self._updater.force_update()

    def publish_if_due(self) -> None:
        """Publish instead of the timer, while the executor is blocked."""
        if time.monotonic() - self._published >= self._period:
            self.publish()


def fill(wrapper: Any, status: Status) -> Any:
    """Write a status into the updater's own."""
    wrapper.level = bytes([status.level])
    # A name or a reason that somebody sent may have megabytes, which would go out every second.
    wrapper.message = shown(status.message)
    wrapper.values = [KeyValue(key=key, value=shown(value)) for key, value in status.values]
    return wrapper


def make_updater(node: Node) -> Any:
    """Return ROS's updater without its timer, or ours if it isn't installed."""
    try:
        from diagnostic_updater import Updater
    except ImportError:
        return _made(lambda: MessageUpdater(node))
    updater = _made(lambda: Updater(node, PERIOD))
    # It follows the node's clock; see `Diagnostics`.
    node.destroy_timer(updater.timer)
    return updater


def _made(make: Callable[[], Any]) -> Any:
    """Return the updater; it declares its parameters and may make a timer of what they say."""
    try:
        return make()
    except InvalidParameterTypeException as error:
        raise OptionsError(
            f'{str(error).rpartition(": ")[0]}; write a decimal point, such as '
            'diagnostic_updater.period:=1.0') from error
    except (ValueError, OverflowError, rclpy_implementation.RCLError) as error:
        raise OptionsError(f'diagnostic_updater.period is wrong ({error}); {_ALLOWED}') from error


def _checked(period: Any) -> float:
    if not (isinstance(period, float) and _SHORTEST <= period <= _LONGEST):
        raise OptionsError(f'diagnostic_updater.period is {period}; {_ALLOWED}')
    return period


class MessageUpdater:
    """Stands in for ``diagnostic_updater.Updater``, with the same node parameters."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hardware_id = ''
        self._tasks: dict[str, Callable[[Any], Any]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # They count from the start.
        fixed = ParameterDescriptor(read_only=True)
        self.period = node.declare_parameter('diagnostic_updater.period', PERIOD, fixed).value
        full = node.declare_parameter('diagnostic_updater.use_fqn', False, fixed).value
        self._name = node.get_fully_qualified_name() if full else node.get_name()

    def setHardwareID(self, hardware_id: str) -> None:  # noqa: N802 - the updater's own name
        """Set the hardware ID."""
        self._hardware_id = hardware_id

    def add(self, name: str, run: Callable[[Any], Any]) -> None:
        """Add a part."""
        self._tasks[name] = run

    def removeByName(self, name: str) -> bool:  # noqa: N802 - the updater's own name
        """Remove a part."""
        return self._tasks.pop(name, None) is not None

    def force_update(self) -> None:
        """Publish the status of all parts."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [
            run(DiagnosticStatus(name=f'{self._name}: {name}', hardware_id=self._hardware_id))
            for name, run in self._tasks.items()]
        self._publisher.publish(message)


# Bytes: some hundred lines.
_LEAST = 64 << 10


def log_disk_issues(directory: str | None = None) -> list[Issue]:
    """Return a warning if the disk of the log files is full."""
    if '--disable-external-lib-logs' in sys.argv:
        return []
    directory = str(get_logging_directory()) if directory is None else directory
    try:
        disk = os.statvfs(directory)
    except OSError:  # it may have been removed
        return []
    left = disk.f_bavail * disk.f_frsize
    # Some file systems have no size.
    return [] if left >= _LEAST or not disk.f_blocks else [find(
        'log_disk_full', directory=directory, left=human_size(left))]
