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
Another model in the place of the one that serves, without a pause.

The new one is loaded, verified and warmed up in a thread of its own, beside the old one. Then the
executor's thread puts it in the old one's place between two of the worker's jobs: each job holds
the model that it began with, so no answer is made by two of them. Whatever goes wrong before, the
old model serves on. In the end the same thread frees the model that is needed no more, so that
neither the executor nor the worker waits for that.
"""

from __future__ import annotations

from collections.abc import Callable
import queue
import threading

from rclpy.task import Future
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.ros.node import memory
from ros2_classify.ros.server.model import Model

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
        """End it as soon as possible; whoever waits for the outcome gets the reason at once."""
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

    async def change(self, name: str, adopt: Callable[[Model], Model]) -> None:
        """
        Load another model and put it in the place of the one that serves.

        Parameters
        ----------
        name : str
            What the parameter ``model`` may be.
        adopt : callable
            Puts the new model in the place of the old one, and returns that; raises
            Ros2ClassifyError, with all as it was, where the new one won't do.

        Raises
        ------
        Ros2ClassifyError
            Why the old model serves on.

        """
        try:
            await self._change(name, adopt)
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

    async def _change(self, name: str, adopt: Callable[[Model], Model]) -> None:
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
            unneeded = adopt(model)
        finally:
            loading.settle(unneeded)


def _work(jobs: queue.SimpleQueue[_Loading | None]) -> None:
    while (loading := jobs.get()) is not None:
        loading.run()
        # What it holds is to be freed now and not by the next one.
        del loading
