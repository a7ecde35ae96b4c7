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

"""How far a conversion is: on one line of a terminal, or in a few lines of a log."""

from __future__ import annotations

from collections.abc import Callable
import logging
import sys
import time

_log = logging.getLogger('ros2_classify')

_LOG_EVERY = 15.0

# Told what is done, and whether it was the last.
Progress = Callable[[str, bool], None]


def default_progress() -> Progress:
    """Return progress for where standard error goes: a terminal, or else the log."""
    if sys.stderr is not None and sys.stderr.isatty():
        return _terminal_line
    return log_progress()


def log_progress() -> Progress:
    """Return progress that is a line in the log once in a while."""
    following = time.monotonic()

    def line_in_log(text: str, done: bool) -> None:
        nonlocal following
        if not done and time.monotonic() >= following:
            following = time.monotonic() + _LOG_EVERY
            _log.info('%s', text)

    return line_in_log


def _terminal_line(text: str, done: bool) -> None:
    # The escape clears the rest of the line, where a longer text may have stood.
    sys.stderr.write(f'\r{text}\x1b[K')
    sys.stderr.flush()
