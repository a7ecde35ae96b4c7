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

"""When the next image is due, and when the next attempt."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time


class Pace:
    """Schedules images at a rate: due times from the first one, restarted after a long delay."""

    def __init__(
            self, ended: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._ended = ended
        self._clock = clock
        self._next: float | None = None

    def wait(self, rate: float) -> bool:
        """Wait until the next image is due; return False if `ended` was set."""
        now = self._clock()
        if self._next is not None and now < self._next:
            self._ended.wait(self._next - now)
        self._count(rate, self._clock())
        return not self._ended.is_set()

    def due(self, rate: float) -> bool:
        """Return whether to take the current image, for sources that set their own pace."""
        now = self._clock()
        if self._next is not None and now < self._next:
            return False
        self._count(rate, now)
        return True

    def _count(self, rate: float, now: float) -> None:
        interval = 1.0 / rate
        if self._next is None or now - self._next > interval:
            self._next = now
        self._next += interval


class Backoff:
    """Pauses between attempts: 1 s, then twice as long each time; `success` starts over."""

    def __init__(self, longest: float, first: float = 1.0) -> None:
        self._first = min(first, longest)
        self._longest = longest
        self.success()

    def success(self) -> None:
        """Note that an attempt brought something."""
        self._next = self._first

    def next(self) -> float:  # noqa: A003
        """Return the seconds to wait now."""
        pause = self._next
        self._next = min(2 * pause, self._longest)
        return pause
