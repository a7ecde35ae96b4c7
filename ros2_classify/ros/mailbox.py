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
The meeting point of callbacks and worker: one slot for frames, a short queue for requests.

Whoever delivers never waits. A new frame takes the place of one that nobody has begun to work on,
so that the worker always gets the newest; requests of services wait for their turn in a bounded
queue. Where both are waiting they take turns, so that neither can starve the other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import threading
from typing import Generic, TypeVar

Frame = TypeVar('Frame')
Request = TypeVar('Request')


@dataclass(frozen=True)
class Taken(Generic[Frame, Request]):
    """What the worker is to do next: exactly one of the two is not None."""

    frame: Frame | None = None
    request: Request | None = None


class Mailbox(Generic[Frame, Request]):
    """
    Hold the newest frame and the requests that wait.

    Parameters
    ----------
    max_requests : int
        How many requests may wait; further ones are turned away.

    """

    def __init__(self, max_requests: int = 8) -> None:
        self._max_requests = max_requests
        self._ready = threading.Condition()
        self._frame: Frame | None = None
        self._requests: deque[Request] = deque()
        self._request_was_last = False
        self._closed = False
        self._replaced = 0

    @property
    def replaced(self) -> int:
        """Frames dropped so far because a newer one came before the worker was free."""
        return self._replaced

    def put(self, frame: Frame) -> None:
        """Leave a frame; it replaces one that still waits. Ignored after `close`."""
        with self._ready:
            if self._closed:
                return
            if self._frame is not None:
                self._replaced += 1
            self._frame = frame
            self._ready.notify()

    def ask(self, request: Request) -> bool:
        """Queue a request; return False where the queue is full or the mailbox closed."""
        with self._ready:
            if self._closed or len(self._requests) >= self._max_requests:
                return False
            self._requests.append(request)
            self._ready.notify()
            return True

    def take(self) -> Taken[Frame, Request] | None:
        """Wait for something to do and return it, or None once the mailbox is closed."""
        with self._ready:
            self._ready.wait_for(
                lambda: self._closed or self._frame is not None or self._requests)
            if self._closed:
                return None
            if self._requests and (self._frame is None or not self._request_was_last):
                self._request_was_last = True
                return Taken(request=self._requests.popleft())
            self._request_was_last = False
            frame, self._frame = self._frame, None
            return Taken(frame=frame)

    def close(self) -> list[Request]:
        """Wake the worker for the last time; return the requests that nobody will answer now."""
        with self._ready:
            self._closed = True
            self._frame = None
            left = list(self._requests)
            self._requests.clear()
            self._ready.notify_all()
            return left
