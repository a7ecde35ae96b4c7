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
The one place that loads models: one after the other, each in a thread of its own, with a timeout.

A model may never return from its first run, and Python can't interrupt it. So one thread watches
another one that loads, abandons it after the timeout, and goes on with the next model. A download
or a conversion that nobody waits for any more is not waited for either.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
import queue
import threading
import time
import traceback
from typing import Any

from rclpy.task import Future
from ros2_classify.errors import EngineError, Ros2ClassifyError
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.node.process import Interrupted, Stop, trim_malloc
from ros2_classify.ros.server.faults import Watchdog
from ros2_classify.ros.server.model import Model, Starting

# Seconds between two looks, less than the watchdog counts for a process that was stopped.
_LOOK = 0.5
# Seconds after which fetching and loading are reported as slow; loading with a timeout: half of
# it.
_SLOW = 60.0
# Seconds that a cancelled download, conversion or read may take to end before it is left behind,
# and how many may be left behind: each may hold the memory of a file that it reads.
_GRACE = 2.0
_MAX_LEFT = 2

# Loads a model; the event cancels it.
Work = Callable[[threading.Event, Starting], Model]


class LoadTimeoutError(EngineError):
    """A model has not come back from loading, or from its first run."""


class LoadCancelledError(Ros2ClassifyError):
    """Nobody waits for the model any more; the message says why."""


class LoadingModel:
    """A model that is being loaded: a future; the caller of `result` owns it, else it is freed."""

    def __init__(self, name: str, work: Work, wake: Callable[[], Any],
                 clock: Callable[[], float]) -> None:
        self.name = name
        self._work = work
        self._wake = wake
        self._clock = clock
        self._cancelled = threading.Event()
        self._settled = threading.Event()
        self._ended = threading.Event()
        # Held while it is decided what the outcome is.
        self._lock = threading.RLock()
        self._future: Any = Future()
        self._model: Model | None = None
        self._error: BaseException | None = None
        self._limit = self._slow = self._seen = self._fetched = 0.0
        self._begun: float | None = None

    @property
    def fetching(self) -> bool:
        """Whether its files are not there yet: it can be given up at once."""
        return self._begun is None and not self.ended

    @property
    def ended(self) -> bool:
        """Whether its thread has come back."""
        return self._ended.is_set()

    def done(self) -> bool:
        """Whether there is a model or an error."""
        return self._settled.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the model or an error; return whether there is one."""
        return self._settled.wait(seconds)

    def __await__(self) -> Generator[Any, Any, Model]:
        """Wait for the model in a coroutine of the executor."""
        yield from self._future.__await__()
        return self.result()

    def result(self) -> Model:
        """Return the model, or raise why there is none; call it once."""
        with self._lock:
            model, self._model = self._model, None
            error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # Its traceback holds this frame, and the frame would hold it.
                del error
        assert model is not None
        return model

    def cancel(self, reason: str) -> None:
        """Raise `LoadCancelledError` in the waiters; free the model if it comes nevertheless."""
        with self._lock:
            self._cancelled.set()
            if self._settle(None, LoadCancelledError(reason)) or self._model is None:
                return
            model, self._model = self._model, None
            self._error = LoadCancelledError(reason)
        model.retire()

    def issues(self) -> list[Issue]:
        """Return a warning if loading takes long; any thread may call this."""
        if self._begun is None:
            return [] if self._fetched <= _SLOW else [
                find('fetch_slow', model=self.name, seconds=self._fetched)]
        if self._seen <= self._slow:
            return []
        limit = f'it is given up after {self._limit:.0f} s' if self._limit else (
            'load_timeout is 0, so it is never given up')
        return [find('load_slow', model=self.name, seconds=self._seen, limit=limit)]

    def run(self, timeout: float, on_abandon: Callable[[], Any]) -> None:
        """Load it in another thread; abandon that after the timeout, or once nobody waits."""
        self._limit, self._slow = timeout, timeout / 2.0 or _SLOW
        started = self._clock()
        cancelled: float | None = None
        dog = Watchdog(self._clock)
        try:
            threading.Thread(target=self._load, name='loading', daemon=True).start()
        except RuntimeError as error:  # the machine has no more threads
            self._end(None, error)
        while not self._ended.wait(_LOOK):
            begun = self._begun
            if begun is None:
                self._fetched = self._clock() - started
                if self._cancelled.is_set():
                    cancelled = self._fetched if cancelled is None else cancelled
                    if self._fetched - cancelled >= _GRACE:
                        return
            self._seen = dog.look(0.0 if begun is None else self._clock() - begun)
            if self._limit and self._seen > self._limit and self._abandon(on_abandon):
                return

    # ---- in the thread that loads

    def _load(self) -> None:
        try:
            model = self._work(self._cancelled, self._starting)
        except BaseException as error:  # noqa: B902 - raised again by `result`
            _forget(error)
            self._end(None, error)
        else:
            self._end(model, None)

    def _starting(self, times: float) -> None:
        with self._lock:
            if self._cancelled.is_set():
                # The next one may be starting already.
                raise LoadCancelledError('nobody waits for it any more')
            self._begun = self._clock()
        self._limit *= times
        self._slow *= times

    def _end(self, model: Model | None, error: BaseException | None) -> None:
        with self._lock:
            wanted = self._settle(model, error)
            self._ended.set()
        if not wanted and model is not None:
            model.retire()

    def _abandon(self, on_abandon: Callable[[], Any]) -> bool:
        """Wait no longer; return False if it has ended at the last moment."""
        with self._lock:
            if self._ended.is_set():
                return False
            # First: who gets the error may ask how many there are.
            on_abandon()
            self._settle(None, LoadTimeoutError(find(
                'load_timeout', model=self.name, seconds=self._seen, limit=self._limit).text))
            return True

    def _settle(self, model: Model | None, error: BaseException | None) -> bool:
        """Set the outcome; return False if it has been set before."""
        with self._lock:
            if self._settled.is_set():
                return False
            self._model, self._error = model, error
            self._settled.set()
            self._future.set_result(None)
        # A future does not wake the executor that sleeps while a callback waits for it.
        self._wake()
        return True


def _forget(error: BaseException) -> None:
    """
    Free what the functions that raised it had read: megabytes of a file that is no model.

    They live as long as the error: until its response has been sent, after the heap was trimmed,
    and in a cycle until garbage is collected, which counts objects and not megabytes.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            left += [each.__cause__, each.__context__]


class ModelLoader:
    """
    Loads models, and frees those that were replaced; any thread may call all methods.

    `timeout` returns how many seconds a model may take on a CPU, 0 for no limit; `stop` counts the
    abandoned threads, and `wake` wakes up the executor.
    """

    def __init__(self, stop: Stop, timeout: Callable[[], float],
                 wake: Callable[[], Any] = lambda: None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._stop = stop
        self._timeout = timeout
        self._wake = wake
        self._clock = clock
        # One at a time: two at once take much memory.
        self._jobs: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._thread: threading.Thread | None = None
        self._present: LoadingModel | None = None
        self._left: list[LoadingModel] = []
        self._closed = ''

    @property
    def running(self) -> bool:
        """Whether a thread is loading or freeing a model, even one that was cancelled."""
        return self._unfinished > 0 or any(not each.ended for each in self._left)

    def check(self) -> None:
        """Raise EngineError if too many threads have been abandoned, or left behind."""
        if self._stop.abandoned.too_many:
            raise EngineError(
                f'{self._stop.abandoned.count} threads have not come back from models, and each '
                'holds memory and perhaps a processor: no other model is loaded before the '
                'process has been restarted')
        self._left = left = [each for each in self._left if not each.ended]
        if len(left) >= _MAX_LEFT:
            raise EngineError(
                f'{" and ".join(each.name for each in left)} were given up and have not come '
                'back: the disk may hang, or a file takes long to read; try again later')

    def load(self, name: str, work: Work) -> LoadingModel:
        """
        Load a model after those that are being loaded.

        The work calls its second argument when all files are there, with how many times as long
        as on a CPU the rest may take: the timeout begins then. The future raises what the work
        raises, or LoadTimeoutError, or LoadCancelledError.
        """
        loading = LoadingModel(name, work, self._wake, self._clock)
        if self._closed:
            loading.cancel(self._closed)
        else:
            self._submit(partial(self._load, loading))
        return loading

    def wait(self, loading: LoadingModel, say: Callable[[str], Any] = lambda _: None,
             meanwhile: Callable[[], Any] = lambda: None, every: float = 10.0) -> Model:
        """
        Wait for a model; cancel it and raise `Interrupted` if the process has to end.

        `say` gets the elapsed time every few seconds, and `meanwhile` is called repeatedly.
        """
        begun = said = time.monotonic()
        try:
            while not loading.wait(0.05):
                if self._stop.requested:
                    self._stop.has_abandoned_thread = True
                    raise Interrupted
                meanwhile()
                now = time.monotonic()
                if now - said >= every:
                    said = now
                    say(f'{now - begun:.0f} s')
        except BaseException:
            loading.cancel('nobody waits for it any more')
            raise
        return loading.result()

    def free(self, model: Model) -> None:
        """Free a model when nobody uses it any more, before the next one is loaded."""
        self._submit(model.retire_and_wait)

    def issues(self) -> list[Issue]:
        """Return what is wrong with the model that is being loaded."""
        loading = self._present
        return [] if loading is None else loading.issues()

    def close(self, reason: str) -> None:
        """Load no more models; the thread ends after its present job."""
        self._closed = reason
        self._jobs.put(None)

    def _submit(self, job: Callable[[], Any]) -> None:
        with self._lock:
            self._unfinished += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name='loader', daemon=True)
                self._thread.start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # noqa: B902 - the next model is loaded all the same
                traceback.print_exc()
            # What it holds is to be freed now and not by the next one.
            del job
            # Loading a model takes several times its size, for a moment.
            trim_malloc()
            with self._lock:
                self._unfinished -= 1

    def _load(self, loading: LoadingModel) -> None:
        if loading.done():
            return
        self._present = loading
        try:
            loading.run(self._timeout(), self._count_abandoned)
        finally:
            self._present = None
        if not loading.ended and loading.fetching:
            self._left = [*self._left, loading]
            self._stop.has_abandoned_thread = True

    def _count_abandoned(self) -> None:
        self._stop.abandoned.add()
        # The interpreter can't end around a thread in C++ code in the normal way.
        self._stop.has_abandoned_thread = True
