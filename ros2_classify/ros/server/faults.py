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
Faults of the engine that runs the model: when it is tried again, and what is done about them.

The worker's threads report; the executor's thread asks once a second what is to be done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time

from ros2_classify.errors import (
    EngineError, EngineMemoryError, ProviderLostError, RemoteError)
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.node.process import AbandonedThreads

ACTIONS = ('retry', 'error', 'exit')
# The exit code of a process that ends by a fault of the engine; 3 and less have a meaning.
EXIT_CODE = 4

# This number of faults in a row costs only their images; after that there are pauses.
_FREE_TRIES = 3
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LONGEST_REMOTE_PAUSE = 2.0
# After this number the model is reloaded; a lost device needs that at once.
_FAULTS_UNTIL_RELOAD = 5
# The least number of seconds; a machine under load takes many times as long as at the warm-up.
_TIMEOUT = 10.0
_WARM_UPS = 20.0


@dataclass(frozen=True)
class RecoveryAction:
    """What is to be done about faults."""

    act: str = ''  # ``reload``, ``error`` or ``exit``; empty for nothing
    reason: str = ''  # the fault


class EngineFaults:
    """Counts faults in a row, and decides; abandoned threads are those of the whole process."""

    def __init__(self, action: str, clock: Callable[[], float] = time.monotonic,
                 abandoned: AbandonedThreads | None = None) -> None:
        self._action = action
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._until = 0.0
        self._next = RecoveryAction()
        self.reloading = False
        self.abandoned = abandoned or AbandonedThreads()
        self.total = 0
        self.reloads = 0
        self.last_error = ''

    # ---- any thread

    def pause(self) -> EngineError | None:
        """Return why the model must not be tried at the moment; None if it may."""
        found = self.issues()
        return EngineError(found[0].text) if found else None

    def failed(self, error: Exception) -> None:
        """Note an inference that raised."""
        kind = '' if isinstance(error, EngineError) else f'{type(error).__name__}: '
        with self._lock:
            self._note(f'{kind}{error}')
            if self._action != 'retry':
                self._next = RecoveryAction(self._action, self.last_error)
            elif isinstance(error, RemoteError):
                # It has been tried twice, and comes back by itself: only its facts are read again.
                self._until = min(self._until, self._clock() + _LONGEST_REMOTE_PAUSE)
                if error.kind == 'changed':
                    self._next = RecoveryAction('reload', self.last_error)
            elif isinstance(error, ProviderLostError) or (
                    self._in_a_row >= _FAULTS_UNTIL_RELOAD
                    and not isinstance(error, EngineMemoryError)):
                self._next = RecoveryAction('reload', self.last_error)

    def succeeded(self) -> None:
        """Note an inference that returned outputs."""
        if self._in_a_row:
            with self._lock:
                self._in_a_row = 0
                self._until = 0.0
                if self._next.act == 'reload':
                    self._next = RecoveryAction()

    # ---- the executor's thread

    def timed_out(self, seconds: float, limit: float, step: str = 'the model') -> None:
        """Note a step of a frame that does not come back."""
        reason = find('inference_timeout', step=step, seconds=seconds, limit=limit).text
        self.abandoned.add()
        with self._lock:
            self._note(reason)
            self._next = self._after_timeout(reason)

    def reload_timed_out(self, error: Exception) -> None:
        """Note that reloading the model does not return either."""
        with self._lock:
            self.reloading = False
            self._note(f'reloading the model failed: {error}')
            # It has waited for long enough.
            self._until = 0.0
            self._next = self._after_timeout(self.last_error)

    def reload_failed(self, error: Exception) -> None:
        """Note that reloading failed; it is tried again after a pause."""
        with self._lock:
            self.reloading = False
            self._note(f'reloading the model failed: {error}')
            self._until = max(self._until, self._clock() + _FIRST_PAUSE)
            self._next = RecoveryAction('reload', self.last_error)

    def reloaded(self) -> None:
        """Note that there is a new model: it is tried at once."""
        with self._lock:
            self.reloading = False
            self.reloads += 1
            self._until = 0.0

    def replaced(self) -> None:
        """Note that somebody has set another model: what the old one did is the past."""
        with self._lock:
            self.reloading = False
            self._in_a_row = 0
            self._until = 0.0
            self._next = RecoveryAction()

    def next_action(self) -> RecoveryAction:
        """Return what is to be done now, once."""
        with self._lock:
            if self._next.act == 'reload' and self._clock() < self._until:
                return RecoveryAction()
            action, self._next = self._next, RecoveryAction()
            if action.act == 'reload':
                self.reloading = True
            return action

    def issues(self) -> list[Issue]:
        """Return why the model is not tried at the moment; any thread may call this."""
        left = self._until - self._clock() if self._until else 0.0
        if left > 0.0:
            return [find('engine_fails', count=self._in_a_row, seconds=left,
                         reason=self.last_error)]
        # Between the action and its fulfilment nothing is tried either: it would only fail again.
        if self.reloading or self._next.act == 'reload':
            return [find('reloading', reason=self.last_error)]
        return []

    def _after_timeout(self, reason: str) -> RecoveryAction:
        if self._action != 'retry':
            return RecoveryAction(self._action, reason)
        if not self.abandoned.too_many:
            return RecoveryAction('reload', reason)
        return RecoveryAction(
            'exit', f'{reason}; that is the {self.abandoned.count}th time in this process, and '
            'each leaves its memory behind')

    def _note(self, reason: str) -> None:
        self.total += 1
        self._in_a_row += 1
        self.last_error = reason
        beyond = self._in_a_row - _FREE_TRIES
        if beyond > 0:
            # The exponent's limit keeps the number small after days of faults.
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(beyond - 1, 16))
            self._until = self._clock() + pause


class Watchdog:
    """Notices a stuck inference; only time in which this process ran counts, not a stop."""

    # Between two looks no more than this counts; they are a second apart.
    _LONGEST_LOOK = 2.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self._seen = 0.0

    def look(self, busy_for: float) -> float:
        """Return for how many of these seconds, 0 if idle, the inference was seen at work."""
        now = self._clock()
        since, self._looked = min(now - self._looked, self._LONGEST_LOOK), now
        self._seen = min(busy_for, self._seen + since)
        return self._seen


def timeout(given: float, warm_up_time: float, remote_timeout: float = 0.0) -> float:
    """Return how many seconds an inference may take: the parameter's value, or a safe one."""
    return given or max(_TIMEOUT, _WARM_UPS * warm_up_time, 2.0 * remote_timeout)
