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

"""Log lines that could repeat with every frame: said at once, and then only now and then."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

# Senders decide what error texts say, so the number of causes remembered must have an end.
_MAX_CAUSES = 32


class ThrottledLog:
    """
    Write a line for each cause at most once in a while.

    Parameters
    ----------
    period : float
        Seconds between two lines of one cause.
    clock : callable
        Gives the time in seconds; for tests.

    """

    def __init__(self, period: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._lock = threading.Lock()
        self._causes: dict[str, tuple[float, int]] = {}

    def __call__(self, write: Callable[[str], Any], text: str, cause: str = '') -> bool:
        """
        Write a line, or count it.

        Parameters
        ----------
        write : callable
            A logger's method.
        text : str
            The line.
        cause : str
            Lines of one cause share their turn; default the text itself.

        Returns
        -------
        bool
            Whether the line was written.

        """
        cause = cause or text
        now = self._clock()
        with self._lock:
            last, hidden = self._causes.pop(cause, (None, 0))
            if last is not None and now - last < self._period:
                self._causes[cause] = (last, hidden + 1)
                return False
            # The oldest entry goes first: dictionaries keep the order of insertion.
            while len(self._causes) >= _MAX_CAUSES:
                del self._causes[next(iter(self._causes))]
            self._causes[cause] = (now, 0)
        _write(write, f'{text} ({hidden} more like this since the last line)' if hidden else text)
        return True


def _write(write: Callable[[str], Any], text: str) -> None:
    """Call the method; each severity has its own place, as rclpy refuses two from one place."""
    severity = getattr(write, '__name__', '')
    if severity == 'info':
        write(text)
    elif severity == 'warning':
        write(text)
    elif severity == 'error':
        write(text)
    else:
        write(text)
