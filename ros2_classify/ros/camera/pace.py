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

"""Regular intervals that don't drift."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time


class Pace:
    """
    Say when the next image is due.

    Due times are counted on from the first one, so that delays don't add up; who is late by more
    than an interval starts to count anew and doesn't catch up in a burst.

    Parameters
    ----------
    ended : threading.Event
        Ends the waiting.
    clock : callable
        Gives the time in seconds; for tests.

    """

    def __init__(
            self, ended: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._ended = ended
        self._clock = clock
        self._next: float | None = None

    def wait(self, rate: float) -> bool:
        """
        Wait until the next image is due.

        Parameters
        ----------
        rate : float
            Images a second.

        Returns
        -------
        bool
            False where the waiting was ended.

        """
        now = self._clock()
        if self._next is not None and now < self._next:
            self._ended.wait(self._next - now)
        self._count(rate, self._clock())
        return not self._ended.is_set()

    def due(self, rate: float) -> bool:
        """
        Say whether to take the image that is there now; for sources with a pace of their own.

        Parameters
        ----------
        rate : float
            Images a second at most.

        Returns
        -------
        bool
            Whether its time has come.

        """
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
