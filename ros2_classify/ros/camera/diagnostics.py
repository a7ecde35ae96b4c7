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

"""The camera node's ``/diagnostics``: one status for its source and its topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time

from rclpy.node import Node
from ros2_classify.ros.diagnostics.clock_monitor import SimulatedClock
from ros2_classify.ros.diagnostics.issues import Issue, Status
from ros2_classify.ros.diagnostics.statistics import Rate
from ros2_classify.ros.diagnostics.summary import camera_status
from ros2_classify.ros.diagnostics.updater import Diagnostics


class CameraReport:
    """Publishes the status; ``requested_rate`` returns 0 if images come as fast as they can."""

    def __init__(self, node: Node, source: str, topics: Sequence[str],
                 subscribers: Callable[[], int], requested_rate: Callable[[], float]) -> None:
        self._node = node
        self._source = source
        self._topics = topics
        self._subscribers = subscribers
        self._requested_rate = requested_rate
        self._rate = Rate()
        self._clock = SimulatedClock()
        self._published = 0
        self._last: float | None = None
        self._image_format = ''
        self._errors = 0
        self._failure: Issue | None = None
        self._diagnostics = Diagnostics(node)
        self._diagnostics.add('images', self._status, deprecated='pictures')  # words: old

    # ---- in the thread that publishes

    def published(self, image_format: str) -> None:
        """Note an image: its size and encoding."""
        self._published += 1
        self._last = time.monotonic()
        self._image_format = image_format
        self._failure = None

    def failed(self, issue: Issue) -> None:
        """Note that the source delivers no images at the moment."""
        self._errors += 1
        self._failure = issue

    # ---- in the executor's thread

    def _status(self) -> Status:
        failure, last, clock = self._failure, self._last, self._node.get_clock()
        issues = self._clock.look(
            1e-9 * clock.now().nanoseconds if clock.ros_time_is_active else None)
        return camera_status(
            self._source, self._topics, subscribers=self._subscribers(),
            published=self._published, rate=self._rate.look(self._published),
            requested_rate=self._requested_rate(),
            age=None if last is None else time.monotonic() - last,
            image_format=self._image_format, errors=self._errors,
            issues=[failure, *issues] if failure else issues)
