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

"""What the camera node tells about itself: one status, for its source and its topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time

from rclpy.node import Node
from ros2_classify.ros.diagnostics.clock_monitor import SimulatedClock
from ros2_classify.ros.diagnostics.issues import Finding
from ros2_classify.ros.diagnostics.statistics import Rate
from ros2_classify.ros.diagnostics.status import Status
from ros2_classify.ros.diagnostics.summary import camera_status, CameraFacts
from ros2_classify.ros.diagnostics.updater import Diagnostics


class CameraReport:
    """
    The camera's ``/diagnostics``.

    Parameters
    ----------
    node : rclpy.node.Node
        The camera.
    source : str
        What it publishes.
    topics : sequence of str
        Where.
    listeners : callable
        Returns how many subscribe.
    asked_rate : callable
        Returns how many images a second there should be; 0 for as many as come.

    """

    def __init__(self, node: Node, source: str, topics: Sequence[str],
                 listeners: Callable[[], int], asked_rate: Callable[[], float]) -> None:
        self._node = node
        self._source = source
        self._topics = topics
        self._listeners = listeners
        self._asked_rate = asked_rate
        self._rate = Rate()
        self._clock = SimulatedClock()
        self._published = 0
        self._last: float | None = None
        self._form = ''
        self._errors = 0
        self._failure: Finding | None = None
        self._diagnostics = Diagnostics(node)
        self._diagnostics.add('images', self._status)

    # ---- in the thread that publishes

    def published(self, form: str) -> None:
        """Note an image: its size and encoding."""
        self._published += 1
        self._last = time.monotonic()
        self._form = form
        self._failure = None

    def failed(self, finding: Finding) -> None:
        """Note that the source gives nothing at the moment."""
        self._errors += 1
        self._failure = finding

    # ---- in the executor's thread

    def _status(self) -> Status:
        failure, last, clock = self._failure, self._last, self._node.get_clock()
        findings = self._clock.look(
            1e-9 * clock.now().nanoseconds if clock.ros_time_is_active else None)
        return camera_status(CameraFacts(
            source=self._source, topics=self._topics, listeners=self._listeners(),
            published=self._published, rate=self._rate.look(self._published),
            asked_rate=self._asked_rate(),
            age=None if last is None else time.monotonic() - last, form=self._form,
            errors=self._errors, findings=[failure, *findings] if failure else findings))
