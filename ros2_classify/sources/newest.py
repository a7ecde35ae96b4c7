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

"""When frames are due, for who is slower than the source, or must survive its failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import threading
import time

from ros2_classify.sources.base import Frame, Pixels, Source, SourceError, Warn


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


def lasting(source: Source, warn: Warn, ended: threading.Event) -> Iterator[Frame]:
    """
    Yield the frames of a source; a live one is opened again whenever it stops, until `ended`.

    `warn` gets a sentence for each failure, but not the same again and again.
    """
    backoff = Backoff(source.longest_pause or 1.0)
    said = ''
    while not ended.is_set():
        problem = f'{source.name} stopped delivering'
        try:
            for frame in source.frames():
                if ended.is_set():
                    return
                if said:
                    said = ''
                    warn(f'{source.name} delivers again')
                backoff.success()
                yield frame
        except SourceError as error:
            if not source.live:
                raise
            problem = str(error)
        if not source.live:
            return
        if problem != said:
            said = problem
            warn(f'{problem}; trying again until it delivers')
        ended.wait(backoff.next())


class Newest:
    """
    The newest frame of a live source, read by a thread of its own; older ones are dropped.

    Without it, a consumer that is slower than a stream sees an ever older past.
    """

    def __init__(self, source: Source, warn: Warn, ended: threading.Event) -> None:
        self.dropped = 0
        self._source = source
        self._warn = warn
        self._ended = ended
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._failure: Exception | None = None
        self._over = False
        self._thread = threading.Thread(target=self._read, name='newest frame', daemon=True)

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame each time, with its pixels already decoded."""
        self._thread.start()
        while True:
            with self._condition:
                while self._frame is None and not self._over:
                    self._condition.wait(0.5)
                    if self._ended.is_set():
                        return
                frame, self._frame = self._frame, None
            if frame is None:
                if self._failure is not None:
                    raise self._failure
                return
            yield frame

    def _read(self) -> None:
        try:
            for frame in lasting(self._source, self._warn, self._ended):
                pixels = frame.read()
                if pixels is not None:
                    self._put(Frame(frame.name, frame.stamp, _holder(pixels)))
        except Exception as error:  # noqa: B902 - raised in the consumer's thread
            self._failure = error
        with self._condition:
            self._over = True
            self._condition.notify_all()

    def _put(self, frame: Frame) -> None:
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = frame
            self._condition.notify_all()


def _holder(pixels: Pixels) -> Callable[[], Pixels]:
    return lambda: pixels
