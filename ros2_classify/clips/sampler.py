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

"""Which frames of a camera a model at a fixed rate gets."""

from __future__ import annotations

import math
from typing import NamedTuple

# How far a frame may be behind its time, in steps: cameras up to a quarter slower than the model.
_LATE = 0.75
# How much of a frame's distance from its time moves the times to come: clocks differ a little.
_FOLLOW = 0.2
# More than the rounding of stamps since 1970, in seconds.
_EPSILON = 1e-6
# The weight of the newest interval.
_NEWEST = 0.2


class Choice(NamedTuple):
    """What a frame is for."""

    times: int = 0  # how many steps it fills; 0: it is not needed
    holes: int = 0  # steps before it without a frame
    reset: str = ''  # why the past no longer counts
    repeated: bool = False


class Sampler:
    """
    Chooses frames by their stamps, each at once: the one nearest to each step of 1/rate.

    The first frame starts the steps, which then follow the frames that are chosen, so that a clock
    that is a little off never costs a frame. Without a rate, every frame is a step.
    """

    def __init__(self, rate: float | None, gap: float) -> None:
        self._step = 1.0 / rate if rate else 0.0
        self._gap = gap
        self._origin = self._last = self._due = 0.0
        self._begun = False
        self.interval = 0.0  # seconds between frames, smoothed; 0: not known

    def reset(self) -> None:
        """Forget all frames."""
        self._begun = False
        self.interval = 0.0

    def needs(self, stamp: float) -> bool:
        """Tell whether a frame would be chosen, without counting it."""
        if not self._begun:
            return True
        now = stamp - self._origin
        since = now - self._last
        return since < 0 or since > self._gap or (
            since > 0 and (not self._step or self._reach(now) >= self._due))

    def __call__(self, stamp: float) -> Choice:
        """Choose or skip the next frame; `stamp` in seconds."""
        if not self._begun:
            return self._begin(stamp, '')
        now = stamp - self._origin
        since = now - self._last
        if since < 0:
            return self._begin(stamp, 'time went back')
        if since == 0:
            return Choice(repeated=True)
        if since > self._gap:
            return self._begin(stamp, 'gap')
        reach = self._reach(now)
        self._last = now
        self.interval += (since - self.interval) * (_NEWEST if self.interval else 1.0)
        if not self._step:
            return Choice(1)
        if reach < self._due:
            return Choice()
        steps = math.floor((reach - self._due) / self._step) + 1
        late = now - _LATE * self._step - _EPSILON - self._due
        holes = min(steps, max(0, math.ceil(late / self._step)))
        newest = self._due + (steps - 1) * self._step
        self._due = newest + self._step + _FOLLOW * (now - newest)
        return Choice(steps - holes, holes)

    def _reach(self, now: float) -> float:
        """Return the latest time that this frame is nearer to than the next one will be."""
        return now + min(now - self._last, self._step) / 2 + _EPSILON

    def _begin(self, stamp: float, why: str) -> Choice:
        self._begun, self._origin, self._last = True, stamp, 0.0
        self._due, self.interval = self._step, 0.0
        return Choice(1, reset=why)
