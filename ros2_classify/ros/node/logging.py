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

"""The node's log: throttled lines, and the records of the core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import logging
import threading
import time
from typing import Any

from ros2_classify.limits import shown

# Error texts depend on the senders, so the number of causes is limited.
_MAX_CAUSES = 32
# Lines of one text, and of all, in one period. Normal nodes write far fewer.
_MAX_REPEATED, _MAX_LINES = 5, 200


class ThrottledLog:
    """
    Writes a line for each cause at most once per period, in seconds; for any thread.

    Its lines go to a `NodeLog`: rclpy's own loggers refuse two severities from one line of code.
    """

    def __init__(self, period: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._lock = threading.Lock()
        self._causes: dict[str, tuple[float, int]] = {}

    def __call__(self, write: Callable[[str], Any], text: str, cause: str = '') -> bool:
        """Write a line with a logger's method, or count it; return whether it was written."""
        cause = cause or text
        now = self._clock()
        with self._lock:
            last, hidden = self._causes.pop(cause, (None, 0))
            if last is not None and now - last < self._period:
                self._causes[cause] = (last, hidden + 1)
                return False
            # Evict the oldest entry: dictionaries keep insertion order.
            while len(self._causes) >= _MAX_CAUSES:
                del self._causes[next(iter(self._causes))]
            self._causes[cause] = (now, 0)
        write(f'{text} ({hidden} more like this since the last line)' if hidden else text)
        return True


class NodeLog:
    """
    A node's logger with bounds: printable text, short lines, and not too many in a period.

    Whatever is named in a line may come from others: labels, parameters, replies of a server.
    """

    def __init__(self, log: Any, period: float = 10.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._period = period
        self._clock = clock
        self._lock = threading.Lock()
        self._begin = float('-inf')
        self._lines: dict[tuple[str, str], int] = {}
        self._written = self._hidden = 0

    def __getattr__(self, name: str) -> Any:
        """Return all else from the logger itself."""
        return getattr(self._log, name)

    # rclpy refuses two severities from one line of code.

    def debug(self, message: object, **options: Any) -> bool:
        """Write a line for developers."""
        text = shown(str(message))
        return bool(self._log.debug(text, **options))

    def info(self, message: object, **options: Any) -> bool:
        """Write a line of information."""
        text = self._bounded('info', str(message))
        return text is not None and bool(self._log.info(text, **options))

    def warning(self, message: object, **options: Any) -> bool:
        """Write a warning."""
        text = self._bounded('warning', str(message))
        return text is not None and bool(self._log.warning(text, **options))

    warn = warning

    def error(self, message: object, **options: Any) -> bool:
        """Write an error."""
        text = self._bounded('error', str(message))
        return text is not None and bool(self._log.error(text, **options))

    def fatal(self, message: object, **options: Any) -> bool:
        """Write the last words, which are never hidden."""
        text = shown(str(message))
        return bool(self._log.fatal(text, **options))

    def _bounded(self, severity: str, text: str) -> str | None:
        """Return a line, or None if there were too many in this period."""
        text = shown(text)
        now = self._clock()
        with self._lock:
            if now - self._begin >= self._period:
                if self._hidden:
                    text += (f' ({self._hidden} lines were not shown in the period of '
                             f'{self._period:.0f} s before)')
                self._begin, self._written, self._hidden = now, 0, 0
                self._lines.clear()
            count = self._lines.get((severity, text), 0)
            if count >= _MAX_REPEATED or self._written >= _MAX_LINES:
                self._hidden += 1
                return None
            self._lines[severity, text] = count + 1
            self._written += 1
        return text


class BoundedLogs:
    """A base for nodes whose logger is a `NodeLog`."""

    _bounded_log: NodeLog | None = None

    def get_logger(self) -> Any:
        """Return the node's logger."""
        if self._bounded_log is None:
            self._bounded_log = NodeLog(super().get_logger())  # type: ignore[misc]
        return self._bounded_log


@contextmanager
def core_log_shown(log: Any) -> Iterator[None]:
    """Forward the records of the core, which doesn't use ROS, to a node's log."""
    logger = logging.getLogger('ros2_classify')
    if any(isinstance(each, _Bridge) and each.log is log for each in logger.handlers):
        # An abandoned thread that loads a model still forwards them: log each line once.
        yield
        return
    bridge = _Bridge(log)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(bridge)
    try:
        yield
    finally:
        logger.removeHandler(bridge)
        logger.propagate = propagate
        logger.setLevel(level)


class _Bridge(logging.Handler):
    """Forwards log records to a node's logger."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.INFO)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        write = (self.log.error if record.levelno >= logging.ERROR else
                 self.log.warning if record.levelno >= logging.WARNING else self.log.info)
        write(record.getMessage())
