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
Loading of models, one after the other, each with a limit in time.

A model may need for ever: one that never ends its first run, or a driver that hangs. Python
can't interrupt it. So it is loaded in a thread of its own, which is left behind when the time is
over; the caller learns why there is no model, and the next one can be loaded.
"""

from __future__ import annotations

from collections.abc import Callable
import queue
import threading
import time

from rclpy.task import Future
from ros2_classify.errors import EngineError, Ros2ClassifyError
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.node import memory
from ros2_classify.ros.node.process import Stop
from ros2_classify.ros.server.faults import Watchdog
from ros2_classify.ros.server.model import Model, Starting

# Seconds between two looks, less than the watchdog takes for a stop of the whole process.
_LOOK = 0.5
# Seconds after which loading is said to take long; with a limit, half of the limit.
_SLOW = 60.0

Work = Callable[[Starting], Model]


class LoadTimeoutError(EngineError):
    """A model did not come back from being loaded, or from its first run."""


class Loader:
    """
    Loads one model after the other; any thread may ask for one, and waits for it.

    Parameters
    ----------
    stop : ros2_classify.ros.node.process.Stop
        Knows of the threads that the process has left behind.
    timeout : callable
        Returns how many seconds a model may take on a CPU; 0 for no limit.
    clock : callable
        Gives the time in seconds; for tests.

    """

    def __init__(self, stop: Stop, timeout: Callable[[], float],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._stop = stop
        self._timeout = timeout
        self._clock = clock
        # A transition does not know of the load that it has ended: two at once take much memory.
        self._turn = threading.Lock()
        self._present: _Load | None = None

    def check(self) -> None:
        """Raise EngineError if too many threads have been abandoned."""
        if self._stop.abandoned.too_many:
            raise EngineError(
                f'{self._stop.abandoned.count} threads have not come back from models, and each '
                'holds memory and perhaps a processor: no other model is loaded before the '
                'process has been restarted')

    def load(self, name: str, work: Work) -> Model:
        """
        Load a model, when those asked for earlier have been.

        Parameters
        ----------
        name : str
            What people call it.
        work : callable
            Loads it, in a thread of its own, and calls what it is given when all files are there,
            with how many times as long as on a CPU the rest may take.

        Returns
        -------
        Model
            Ready.

        Raises
        ------
        LoadTimeoutError
            If the time was over; the thread is left behind.
        Exception
            What the work raised.

        """
        with self._turn:
            load = self._present = _Load(name, work, self._timeout(), self._clock)
            try:
                return load.wait()
            except LoadTimeoutError:
                self._stop.abandoned.add()
                # The interpreter can't end around a thread in C++ code in the normal way.
                self._stop.has_abandoned_thread = True
                raise
            finally:
                self._present = None

    def issues(self) -> list[Issue]:
        """Return what is wrong with the load under way; any thread may call this."""
        load = self._present
        return [] if load is None else load.issues()


class _Load:
    """One model on its way."""

    def __init__(self, name: str, work: Work, timeout: float,
                 clock: Callable[[], float]) -> None:
        self._name = name
        self._work = work
        self._clock = clock
        self._limit = timeout
        self._slow = timeout / 2.0 or _SLOW
        self._begun: float | None = None
        self._seen = 0.0
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._left = False
        self._model: Model | None = None
        self._error: BaseException | None = None

    def wait(self) -> Model:
        """Return the model, or raise why there is none."""
        threading.Thread(target=self._run, name='loading_model', daemon=True).start()
        dog = Watchdog(self._clock)
        while not self._done.wait(_LOOK):
            begun = self._begun
            self._seen = dog.look(0.0 if begun is None else self._clock() - begun)
            if self._limit and self._seen > self._limit and self._leave():
                raise LoadTimeoutError(find(
                    'load_timeout', model=self._name, seconds=self._seen, limit=self._limit).text)
        model, self._model = self._model, None
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # With its traceback it would hold this frame, and that all that is known here.
                del error
        assert model is not None
        return model

    def issues(self) -> list[Issue]:
        """Return a warning where it takes long."""
        if self._seen <= self._slow:
            return []
        limit = f'it is given up after {self._limit:.0f} s' if self._limit else (
            'load_timeout is 0, so it is never given up')
        return [find('load_slow', model=self._name, seconds=self._seen, limit=limit)]

    def _starting(self, times: float) -> None:
        self._limit *= times
        self._slow *= times
        self._begun = self._clock()

    def _leave(self) -> bool:
        """Wait no longer; return False where it has ended in the last moment."""
        with self._lock:
            self._left = not self._done.is_set()
            return self._left

    def _run(self) -> None:
        try:
            self._model = self._work(self._starting)
        except BaseException as error:  # noqa: B902 - raised again by `wait`
            self._error = error
        with self._lock:
            self._done.set()
            late = self._model if self._left else None
        if late is not None:
            late.retire()


Load = Callable[[str, threading.Event], Model]


class ChangeRefusedError(Ros2ClassifyError):
    """The model can't be changed; the message says why."""


class _Loading:
    """One model on its way; from its thread nothing but the outcome comes out."""

    def __init__(self, name: str, load: Load, wake: Callable[[], None]) -> None:
        self.name = name
        self.outcome: Future = Future()
        self._load = load
        self._wake = wake
        self._cancel = threading.Event()
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._unneeded: Model | None = None
        self._ended = threading.Event()

    @property
    def running(self) -> bool:
        """Whether the thread is still at it."""
        return not self._ended.is_set()

    @property
    def settled(self) -> bool:
        """Whether it is known which model is needed no more."""
        return self._settled.is_set()

    def give_up(self, reason: str) -> None:
        """End it as soon as possible; its callers get the reason at once."""
        self._cancel.set()
        self._tell(None, ChangeRefusedError(reason))

    def settle(self, unneeded: Model | None) -> None:
        """Have the thread free a model as soon as nobody works with it."""
        if unneeded is not None:
            self._unneeded = unneeded
        self._settled.set()

    def run(self) -> None:
        """Do it all; in the thread that loads."""
        try:
            self._run()
        finally:
            self._ended.set()

    def _run(self) -> None:
        model, error = None, None
        try:
            model = self._load(self.name, self._cancel)
        except Ros2ClassifyError as raised:
            error = raised
        except Exception as raised:  # noqa: B902 - told to who asked for the model
            error = ChangeRefusedError(f'unexpected {type(raised).__name__}: {raised}')
        if not self._tell(model, error):
            self.settle(model)
        self._settled.wait()
        if self._unneeded is not None:
            self._unneeded.retire_and_wait()
            self._unneeded = None
        # Loading a model takes several times its size, for a moment.
        memory.trim_malloc()

    def _tell(self, model: Model | None, error: Exception | None) -> bool:
        """Set the outcome; return False where it has been set already."""
        with self._lock:
            if self.outcome.done():
                return False
            self.outcome.set_result((model, error))
        # A future does not wake the executor that sleeps while a callback waits for it.
        self._wake()
        return True


class ModelChange:
    """
    Changes a server's model, one change at a time; all methods are for the executor's thread.

    Parameters
    ----------
    load : callable
        Loads and warms up a model by its name, in a thread of its own; stops with any exception
        when the event is set.
    wake : callable
        Wakes the executor up, from any thread.

    Attributes
    ----------
    refused : str
        Why the last change was refused; empty where it was not.

    """

    def __init__(self, load: Load, wake: Callable[[], None]) -> None:
        self._load = load
        self._wake = wake
        self._loading: _Loading | None = None
        self._queue: queue.SimpleQueue[_Loading | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.refused = ''

    @property
    def running(self) -> bool:
        """Whether the thread is still at a change, even one that was given up."""
        return self._loading is not None and self._loading.running

    async def change(self, name: str, set_model: Callable[[Model], Model]) -> None:
        """
        Load another model and put it in the place of the one that serves.

        Parameters
        ----------
        name : str
            What the parameter ``model`` may be.
        set_model : callable
            Puts the new model in the place of the old one, and returns that; raises
            Ros2ClassifyError, with all as it was, where the new one won't do.

        Raises
        ------
        Ros2ClassifyError
            Why the old model keeps serving.

        """
        try:
            await self._change(name, set_model)
        except Exception as error:
            self.refused = str(error)
            raise
        self.refused = ''

    def give_up(self, reason: str) -> None:
        """Refuse the change that is under way, if there is one, for this reason."""
        if self._loading is not None:
            self._loading.give_up(reason)

    def close(self, reason: str) -> None:
        """Refuse what is under way, and let the thread end."""
        self.give_up(reason)
        self._queue.put(None)

    def _start(self, name: str) -> _Loading:
        if self._thread is None:
            # The same one for all models: the allocator keeps a heap for each thread.
            self._thread = threading.Thread(
                target=_work, args=(self._queue,), name='loading', daemon=True)
            self._thread.start()
        loading = _Loading(name, self._load, self._wake)
        self._queue.put(loading)
        return loading

    async def _change(self, name: str, set_model: Callable[[Model], Model]) -> None:
        # The thread may still free the last one's old model: the next one waits for that.
        if self._loading is not None and not self._loading.settled:
            raise ChangeRefusedError(
                f'the change to the model {self._loading.name} has not ended yet; '
                f'set {name} when it has')
        loading = self._loading = self._start(name)
        model, error = await loading.outcome
        if error is not None:
            loading.settle(None)
            try:
                raise error
            finally:
                # With its traceback it would hold this frame, and that all that is known here.
                del error
        unneeded = model
        try:
            unneeded = set_model(model)
        finally:
            loading.settle(unneeded)


def _work(jobs: queue.SimpleQueue[_Loading | None]) -> None:
    while (loading := jobs.get()) is not None:
        loading.run()
        # What it holds is to be freed now and not by the next one.
        del loading
