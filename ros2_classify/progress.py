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

"""Progress of long steps: on one line of a terminal, or in the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import contextvars
from dataclasses import dataclass
import logging
import sys
import threading
import time
from typing import TextIO

from ros2_classify.limits import shown

_LOGGER = logging.getLogger(__name__)

# Seconds between lines.
PERIOD = 10.0


@contextmanager
def heartbeat(
    what: str, tell: Callable[[str], None] = _LOGGER.info, period: float = PERIOD,
) -> Iterator[None]:
    """Report every few seconds that work is still in progress."""
    done = threading.Event()
    begun = time.monotonic()

    def beat() -> None:
        while not done.wait(period):
            tell(f'still {what} after {time.monotonic() - begun:.0f} s')

    context = contextvars.copy_context()
    thread = threading.Thread(
        target=context.run, args=(beat,), name='ros2_classify heartbeat', daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# Seconds over which the speed is measured.
_WINDOW = 10.0
# In a shorter time, in seconds, speed measures buffers only.
_SHORTEST = 0.05


@dataclass(frozen=True)
class Status:
    """The progress of a step."""

    label: str  # the name of the step
    done: int  # bytes so far, including a resumed attempt
    total: int | None  # bytes in total, if known
    speed: float  # bytes per second over the last few seconds; 0 while unknown
    finished: bool = False  # whether this is the last status

    @property
    def remaining(self) -> float | None:
        """Seconds left at this speed, or None if unknown."""
        if self.total is None or self.speed <= 0:
            return None
        return max(self.total - self.done, 0) / self.speed

    def __str__(self) -> str:
        """Return ``yolox_s: 12.1 of 35.9 MB (34 %), 2.4 MB/s, 10 s left``."""
        parts = [human_size(self.done)]
        if self.total:
            parts = [f'{human_size(self.done)} of {human_size(self.total)} '
                     f'({min(100 * self.done // self.total, 100)} %)']
        if self.speed > 0:
            parts.append(f'{human_size(self.speed)}/s')
        if self.remaining is not None and not self.finished:
            parts.append(f'{human_time(self.remaining)} left')
        return f'{self.label}: {", ".join(parts)}'


Progress = Callable[[Status], None]


class Meter:
    """Counts bytes and measures their speed."""

    def __init__(self, label: str, report: Progress,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._report = report
        self._clock = clock
        self.start(0, None)

    def start(self, done: int, total: int | None) -> None:
        """Start or restart, with ``done`` bytes already there."""
        self._done = done
        self._total = total
        self._before = done
        self._started = self._clock()
        self._samples = deque([(self._started, done)])

    def add(self, count: int) -> None:
        """Count bytes and report."""
        self._done += count
        now = self._clock()
        self._samples.append((now, self._done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW:
            self._samples.popleft()
        self._report(self.status())

    def finish(self) -> None:
        """Report the last status."""
        self._report(self.status(finished=True))

    def status(self, *, finished: bool = False) -> Status:
        """Return the status; the last one has the mean speed of the whole step."""
        (then, before), (now, done) = self._samples[0], self._samples[-1]
        if finished:
            then, before = self._started, self._before
        speed = (done - before) / (now - then) if now - then >= _SHORTEST else 0.0
        return Status(self._label, self._done, self._total, speed, finished)

    def slower_than(self, speed: float, seconds: float) -> bool:
        """Return whether it is slower than ``speed`` bytes per second, after some seconds."""
        now, (then, before) = self._clock(), self._samples[0]
        if now - self._started < seconds:
            return False
        return self._done - before < speed * max(now - then, 1e-9)


def _one_line(text: str) -> str:
    """Return a text that stays on its line: names of models come from their files."""
    return shown(text.replace('\n', ' '), 300)


class TerminalProgress:
    """Rewrites one line of a terminal."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._next = 0.0
        self._width = 0

    def __call__(self, status: Status) -> None:
        """Show a status, at most ten times per second."""
        now = self._clock()
        if now < self._next and not status.finished:
            return
        self._next = now + 0.1
        text = _one_line(str(status))
        self._stream.write(f'\r{text.ljust(self._width)}{chr(10) if status.finished else ""}')
        self._stream.flush()
        self._width = 0 if status.finished else len(text)


class LogProgress:
    """Logs a line every few seconds."""

    def __init__(self, log: Callable[[str], None], interval: float = 5.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._interval = interval
        self._clock = clock
        self._next: float | None = None

    def __call__(self, status: Status) -> None:
        """Log a status if the interval has passed, and always the last one."""
        now = self._clock()
        if self._next is None:
            self._next = now + self._interval
        if now >= self._next or status.finished:
            self._next = None if status.finished else now + self._interval
            self._log(str(status))


def default_progress() -> Progress:
    """Return progress on the terminal if standard error is one, or else in the log."""
    if sys.stderr is not None and sys.stderr.isatty():
        return TerminalProgress(sys.stderr)
    return LogProgress(logging.getLogger('ros2_classify').info)


def human_size(count: float) -> str:
    """Format bytes in powers of 1000: ``35.9 MB``."""
    for unit in ('bytes', 'kB', 'MB'):
        if count < (1000 if unit == 'bytes' else 999.95):
            return f'{count:.0f} bytes' if unit == 'bytes' else f'{count:.1f} {unit}'
        count /= 1000
    return f'{count:.1f} GB'


def human_time(seconds: float) -> str:
    """Format seconds: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} min {whole % 60} s'
    return f'{whole // 3600} h {whole % 3600 // 60} min'


# Called with the name of the step, and whether this is the last call.
StepProgress = Callable[[str, bool], None]

# Seconds between lines of the log for one step.
_LOG_EVERY = 15.0


def default_step_progress() -> StepProgress:
    """Return progress for steps that don't count bytes: on the terminal, or in the log."""
    if sys.stderr is not None and sys.stderr.isatty():
        return _terminal_step
    return log_step_progress()


def log_step_progress() -> StepProgress:
    """Return progress that logs a line every 15 s."""
    log = logging.getLogger('ros2_classify')
    following = time.monotonic()

    def line_in_log(text: str, done: bool) -> None:
        nonlocal following
        if not done and time.monotonic() >= following:
            following = time.monotonic() + _LOG_EVERY
            log.info('%s', text)

    return line_in_log


def _terminal_step(text: str, done: bool) -> None:
    # The escape sequence clears the rest of a longer line.
    sys.stderr.write(f'\r{_one_line(text)}\x1b[K')
    sys.stderr.flush()
