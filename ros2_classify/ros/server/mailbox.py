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
The meeting point of callbacks and worker: one slot for each stream, a short queue for requests.

Whoever delivers never waits. A new frame takes the place of one of its stream that nobody has
begun to work on, so that the worker always gets the newest; requests of services wait for their
turn in a bounded queue. Where both are waiting they take turns, and where more streams wait than
one batch holds, those come first that have waited longest for a turn: nobody starves.

A stream whose frames come faster than they are taken may be fetched from instead: its newest frame
is asked for when it is its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Generic, TypeVar

Frame = TypeVar('Frame')
Request = TypeVar('Request')

# A stream that has been silent for so many seconds is not waited for.
_LIVELY = 1.0


@dataclass(frozen=True)
class Taken(Generic[Frame, Request]):
    """
    What the worker is to do next: frames or a request.

    Parameters
    ----------
    frames : tuple
        The newest frame of each stream that has its turn.
    request : object or None
        A request; there are no frames beside it.

    """

    frames: tuple[Frame, ...] = ()
    request: Request | None = None


class Mailbox(Generic[Frame, Request]):
    """
    Hold the newest frame of each stream and the requests that wait.

    Parameters
    ----------
    streams : int
        How many streams there are.
    max_requests : int
        How many requests may wait; further ones are turned away.
    clock : callable
        Gives the time in seconds; for tests.

    """

    def __init__(self, streams: int = 1, max_requests: int = 8,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._max_requests = max_requests
        self._clock = clock
        self._ready = threading.Condition()
        self._frames: dict[int, Frame] = {}
        self._fetchers: dict[int, Callable[[bool], Frame | None]] = {}
        # The stream whose last turn is longest ago comes first.
        self._order = list(range(streams))
        self._last_put = [-_LIVELY] * streams
        self._requests: deque[Request] = deque()
        self._request_was_last = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._closed

    def put(self, frame: Frame, stream: int = 0) -> bool | None:
        """
        Leave a frame; it replaces one of its stream that still waits.

        Parameters
        ----------
        frame : object
            The frame.
        stream : int
            Its stream's number, from 0.

        Returns
        -------
        bool or None
            Whether another frame was dropped for it; None after `close`: this one is.

        """
        with self._ready:
            if self._closed:
                return None
            replaces = stream in self._frames
            self._frames[stream] = frame
            self._last_put[stream] = self._clock()
            self._ready.notify()
            return replaces

    def fetch_from(self, stream: int, fetch: Callable[[bool], Frame | None]) -> None:
        """
        Have the frames of a stream fetched, until there is none.

        Parameters
        ----------
        stream : int
            Its number.
        fetch : callable
            Returns its newest frame that has not been fetched or put; None where there is none,
            and from then on frames are put again. It is told whether a frame that was put is
            dropped for the one that it returns.

        """
        with self._ready:
            if not self._closed:
                self._fetchers[stream] = fetch
                self._ready.notify()

    def ask(self, request: Request) -> bool:
        """Queue a request; return False where the queue is full or the mailbox closed."""
        with self._ready:
            if self._closed or len(self._requests) >= self._max_requests:
                return False
            self._requests.append(request)
            self._ready.notify()
            return True

    def wait(self, limit: int = 1, delay: float = 0.0) -> bool:
        """
        Wait for something to do, or until there may be a frame to fetch.

        Parameters
        ----------
        limit : int
            At most so many frames are going to be taken at once.
        delay : float
            With one frame there, how many seconds to wait for those of other streams. Streams
            that have been silent for a while are not waited for.

        Returns
        -------
        bool
            False once the mailbox is closed.

        """
        with self._ready:
            self._ready.wait_for(
                lambda: self._closed or self._frames or self._requests or self._fetchers)
            if delay > 0.0 and limit > 1 and not self._is_request_next:
                self._ready.wait_for(lambda: self._closed or self._complete(limit), delay)
            return not self._closed

    def take(self, limit: int = 1) -> Taken[Frame, Request]:
        """
        Take what is there: a request, or frames of different streams.

        Parameters
        ----------
        limit : int
            At most so many frames.

        Returns
        -------
        Taken
            Empty where there is nothing.

        """
        with self._ready:
            if self._is_request_next:
                self._request_was_last = True
                return Taken(request=self._requests.popleft())
            self._request_was_last = False
            chosen: dict[int, Frame] = {}
            try:
                for stream in tuple(self._order):
                    frame = self._newest(stream)
                    if frame is not None:
                        chosen[stream] = frame
                        self._order.remove(stream)
                        self._order.append(stream)
                    if len(chosen) == limit:
                        break
            except BaseException:
                # Of one stream nothing can be fetched: those of the others wait for the next turn.
                self._frames.update(chosen)
                raise
            return Taken(frames=tuple(chosen.values()))

    def _newest(self, stream: int) -> Frame | None:
        """Take the newest frame of a stream, or None."""
        # Where it raises, it is not asked again: nobody else would ever have a turn.
        fetch = self._fetchers.pop(stream, None)
        fetched = None if fetch is None else fetch(stream in self._frames)
        put = self._frames.pop(stream, None)
        if fetch is None or fetched is None:
            return put
        self._fetchers[stream] = fetch
        self._last_put[stream] = self._clock()
        return fetched

    @property
    def _is_request_next(self) -> bool:
        # Frames that are fetched wait elsewhere, but they wait.
        frames = self._frames or self._fetchers
        return bool(self._requests) and not (frames and self._request_was_last)

    def _complete(self, limit: int) -> bool:
        """Tell whether waiting for more frames is of no use."""
        since = self._clock() - _LIVELY
        lively = sum(put > since for put in self._last_put)
        return len(self._frames.keys() | self._fetchers.keys()) >= min(limit, lively)

    def close(self) -> tuple[list[Frame], list[Request]]:
        """Wake the worker for the last time; return what nobody will answer now."""
        with self._ready:
            self._closed = True
            frames, requests = list(self._frames.values()), list(self._requests)
            self._frames.clear()
            self._fetchers.clear()
            self._requests.clear()
            self._ready.notify_all()
            return frames, requests
