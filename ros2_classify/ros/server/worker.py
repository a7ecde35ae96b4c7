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
The threads that work, off the executor's thread, so that callbacks never wait for a model.

There are two: while one of them has its frames in the model, the other prepares the next ones.
Where several inferences may run side by side, there is one more for each. Their work has three
steps, *prepare*, *infer* and *finish*. The first and the last one have room for one thread, which
finishes in the order in which frames were taken: no answer overtakes another. Where the next job
waits for the model when one leaves it, the threads exchange their jobs: the one in the model
stays there, the one that waited finishes what is done.

The next frames are taken as late as possible: when the model is free, or when it is going to be
free by the time they are prepared, as earlier ones let expect. So they are the newest there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
import traceback
from typing import Any, Protocol

from ros2_classify.ros.server.mailbox import Mailbox, Taken
from ros2_classify.ros.server.model_turn import Durations, InOrder, ModelTurn

# Added to what a preparation is expected to take, in seconds: a thread needs a moment to wake up.
_MARGIN = 0.0003


class Work(Protocol):
    """What a worker's threads do; no exception of these methods ends a thread."""

    def begin(self) -> int:
        """Get ready to prepare the next job; return how many frames it takes at most."""

    def cancel(self) -> None:
        """Undo `begin`: nothing could be taken."""

    def prepare(self, taken: Taken[Any, Any], slot: int) -> Any:
        """
        Return a job made of what was taken, its length that of its batch, or None.

        No other job between here and the end of `finish` has the same slot, from 0 to the number
        of inferences side by side.
        """

    def infer(self, job: Any) -> None:
        """Run the model; several threads may do so at once, each with a job of its own."""

    def finish(self, job: Any, error: Exception | None) -> None:
        """Send the answers; or say that there are none, where the model failed."""

    def abandon(self, job: Any) -> None:
        """Let go of a job that was prepared when the worker was stopped."""

    def leave(self, frames: list[Any], requests: list[Any]) -> None:
        """Let go of what waited when the worker was stopped."""

    def failed(self, error: Exception) -> None:
        """Note an exception that another method than `infer` raised."""


@dataclass
class _Task:
    """
    A job on its way, the slot that it has until it is finished, and how the model failed.

    Tasks are finished in the order of their numbers.
    """

    job: Any
    slot: int
    number: int
    error: Exception | None = None


class Worker:
    """
    Threads with a mailbox.

    Parameters
    ----------
    work : Work
        What they do.
    streams : int
        How many streams of frames there are.
    delay : float
        How many seconds to wait for the frames of other streams, where several are worked on at
        once.
    parallel : int
        How many inferences may run side by side.
    model : NetworkTurn, optional
        Whose turn it is; for tests.

    """

    def __init__(self, work: Work, streams: int = 1, delay: float = 0.0, parallel: int = 1,
                 model: ModelTurn[_Task] | None = None) -> None:
        self._work = work
        # That of the last job; it changes with the model only.
        self._limit = 1
        self._delay = delay
        self.mailbox: Mailbox[Any, Any] = Mailbox(streams)
        self._preparing = threading.Lock()
        self._model = model or ModelTurn[_Task](parallel)
        self._tasks = 0
        self._finishing = InOrder()
        self._preparations = Durations()
        self._threads = [
            threading.Thread(
                target=self._run, args=(number,), name=f'inference_{number}', daemon=True)
            for number in range(parallel + 1)]

    @property
    def busy_for(self) -> float:
        """Seconds that the model has been at its oldest work; 0 where it has none."""
        return self._model.busy_for

    def start(self) -> None:
        """Start to work."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> bool:
        """
        Finish what is in the model, and nothing after it.

        Parameters
        ----------
        timeout : float
            How many seconds to wait for it.

        Returns
        -------
        bool
            Whether the threads have ended.

        """
        frames, requests = self.mailbox.close()
        self._model.close()
        self._guarded(self._work.leave, frames, requests)
        end = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, number: int) -> None:
        slot: int | None = number
        while slot is not None:
            slot = self._work_once(slot)

    def _work_once(self, slot: int) -> int | None:
        """Do one job; return the slot that is free then, None once the worker was stopped."""
        with self._preparing:
            lead = self._preparations.quantile(0.75) + _MARGIN
            if not self._model.wait_until_nearly_free(lead):
                return None
            job = self._next_job(slot)
            if job is None:
                return None if self.mailbox.closed else slot
            task = _Task(job, slot, self._tasks)
            self._tasks += 1
            done = self._model.enter(task, len(job))
            if done is None:
                # None comes after it, so that nobody waits for its number.
                self._guarded(self._work.abandon, job)
                return None
        if done is task:
            done = self._infer(task)
        with self._finishing.turn(done.number):
            self._guarded(self._work.finish, done.job, done.error)
        return done.slot

    def _infer(self, task: _Task) -> _Task:
        """Run the model while somebody waits for it; return what this thread is to finish."""
        while True:
            try:
                self._work.infer(task.job)
            except Exception as error:  # noqa: B902 - whatever it is, the next frame may be fine
                task.error = error
            following = self._model.leave(task)
            if following is None:
                return task
            task = following

    def _next_job(self, slot: int) -> Any:
        """Wait for frames or a request and prepare them; None where nothing comes of it."""
        if not self.mailbox.wait(self._limit, self._delay):
            return None
        return self._guarded(self._prepare, slot)

    def _prepare(self, slot: int) -> Any:
        begun = time.perf_counter()
        self._limit = self._work.begin()
        try:
            taken = self.mailbox.take(self._limit)
        except BaseException:
            self._work.cancel()
            raise
        job = self._work.prepare(taken, slot)
        if job is not None:
            self._preparations.add(time.perf_counter() - begun)
        return job

    def _guarded(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except Exception as error:  # noqa: B902 - whatever it is, the next frame may be fine
            try:
                self._work.failed(error)
            except Exception:  # noqa: B902 - a thread must not end because of a line in the log
                traceback.print_exc()
            return None
