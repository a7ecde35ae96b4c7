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

"""Simulated time that stands still or goes back."""

from __future__ import annotations

from collections.abc import Callable
import time

from ros2_classify.ros.diagnostics.issues import find, Issue

# Seconds; a simulation that runs at a tenth of real time is no fault.
_PATIENCE = 5.0


class SimulatedClock:
    """Compares simulated with real time; `jumps` counts how often simulated time went back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[float, float] | None = None
        self.jumps = 0

    def look(self, simulated: float | None) -> list[Issue]:
        """Return what is wrong; call it about once a second, with None for real time."""
        now = self._clock()
        if simulated is None:
            self._last = None
            return []
        if self._last is None or simulated != self._last[0]:
            self.jumps += self._last is not None and simulated < self._last[0]
            self._last = (simulated, now)
        still = now - self._last[1]
        return [] if still < _PATIENCE else [find('clock_stands', at=simulated, seconds=still)]
