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

"""What changes about one camera's images while they come, and how many of them are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time
from typing import Any

from ros2_classify.ros.diagnostics.issues import find, Issue, Level

# Seconds that something which happened once is shown.
_SHOWN = 10.0
# Stamps may differ from the arrival by this number of seconds before the clocks are doubted.
_AHEAD = 0.5
_BEHIND = 60.0


class ImageMonitor:
    """Notes what changes from image to image of one camera, at no cost worth measuring."""

    def __init__(self, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._topic = topic
        self._clock = clock
        self.jumps = 0  # how often an image's stamp was older than the one before
        self.changes = 0  # how often size or encoding changed
        self.interruptions = 0  # how often images came again after they had been missed
        self.image_format = ''  # size and encoding of the last image; empty before the first
        self._stamp: float | None = None
        self._jumped: tuple[float, float] = (-_SHOWN, 0.0)
        self._unusable: tuple[float, str] = (-_SHOWN, '')
        self._last_unusable = False
        self._offset: float | None = None
        self._unstamped = False
        self._arrived: float | None = None
        # One of them may span an interruption.
        self._intervals: deque[float] = deque(maxlen=5)

    def arrived(self, images: int, since: float) -> None:
        """Note that this many images have come by now, to a subscription that began at `since`."""
        now, before = self._clock(), self._arrived
        self._arrived = now
        if before is not None and before >= since:
            self._intervals.append((now - before) / images)

    @property
    def interval(self) -> float | None:
        """The usual seconds from image to image; None before there are two."""
        intervals = sorted(self._intervals)
        return intervals[len(intervals) // 2] if intervals else None

    def stamped(self, stamp: Any) -> None:
        """Note the stamp of an image that has come; called by one thread at a time."""
        self._unstamped = not (stamp.sec or stamp.nanosec)
        if self._unstamped:
            return
        now = stamp.sec + 1e-9 * stamp.nanosec
        before, self._stamp = self._stamp, now
        if before is not None and now < before:
            self.jumps += 1
            self._jumped = (self._clock(), before - now)

    def usable(self, image_format: str) -> str:
        """Note a readable image's format; return the previous one if it changed. One thread."""
        self._last_unusable = False
        before, self.image_format = self.image_format, image_format
        if not before or before == image_format:
            return ''
        self.changes += 1
        return before

    def unusable(self, reason: str) -> None:
        """Note an image that could not be read; called by the thread that calls `usable`."""
        self._unusable = (self._clock(), reason)
        self._last_unusable = True

    @property
    def last_unusable(self) -> str:
        """Why the last image could not be read; empty if it could."""
        return self._unusable[1] if self._last_unusable else ''

    def published(self, latency: float) -> None:
        """Note the seconds from an image's stamp to its result, on the node's clock."""
        self._offset = latency

    def issues(self) -> list[Issue]:
        """Return what is wrong with the images that come; any thread may call this."""
        now = self._clock()
        found = []
        when, reason = self._unusable
        if self._last_unusable or now - when < _SHOWN:
            issue = find('unusable', topic=self._topic, reason=reason)
            level = issue.level if self._last_unusable else Level.WARN
            found.append(Issue(issue.key, level, issue.text))
        when, seconds = self._jumped
        if now - when < _SHOWN:
            found.append(find('jumped_back', topic=self._topic, seconds=seconds))
        offset = self._offset
        if self._unstamped:
            found.append(find('unstamped', topic=self._topic))
        elif offset is not None and not -_AHEAD <= offset <= _BEHIND:
            found.append(find(
                'clocks_differ', topic=self._topic, seconds=abs(offset),
                side='behind' if offset > 0 else 'ahead of'))
        return found


class LossMonitor:
    """Tells when too many images get lost on the way; one replaced by a newer one is not lost."""

    # Seconds that are judged together.
    _SPAN = 5.0
    # Fewer losses, or a smaller part, are no symptom: best effort promises nothing.
    _MIN_LOST = 5
    _MIN_PART = 0.05
    # Seconds until the same is said again.
    _AGAIN = 60.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._base = (clock(), 0, 0)
        self._said: float | None = None
        self.symptom = ''  # what the last span showed, said or not; empty if all was well

    def judge(self, received: int, lost: int, *, changing: bool = False) -> str:
        """
        Return ``90 of 100 images of the last 5 s``, or nothing; each second, counts so far.

        While the subscription is `changing`, its cure is under way: judge what comes after it.
        """
        now = self._clock()
        if changing:
            self._base = (now, received, lost)
            return ''
        began, received_before, lost_before = self._base
        span = now - began
        if span < self._SPAN:
            return ''
        self._base = (now, received, lost)
        came, missed = received - received_before, lost - lost_before
        if missed < self._MIN_LOST or missed < self._MIN_PART * (missed + came):
            self.symptom = ''
            return ''
        self.symptom = f'{missed} of {missed + came} images of the last {span:.0f} s'
        if self._said is not None and now - self._said < self._AGAIN:
            return ''
        self._said = now
        return self.symptom


# Stamps jitter: this part of a period early is in time.
_EARLY = 0.1


class RateLimit:
    """
    Tells which images to use so that their stamps come at most so often.

    The beat goes on where an image is early or late, so that the mean rate is the one asked for
    if the camera has enough images. When time goes back, a new beat begins.
    """

    def __init__(self) -> None:
        self._due: float | None = None
        self._last = 0.0

    def allows(self, stamp: float, rate: float) -> bool:
        """Tell whether the image of this time, in seconds, is to be used; rates are in Hz."""
        period = 1.0 / rate
        back, self._last = stamp < self._last, stamp
        if self._due is None or back or stamp - self._due >= period or (
                self._due - stamp > (1.0 + 2.0 * _EARLY) * period):
            self._due = stamp
        if stamp < self._due - _EARLY * period:
            return False
        self._due += period
        return True
