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
Whose turn it is to run the model, and when the next turn is going to come.

A thread that leaves the model while another one waits for it goes on with the other one's task,
and hands its own, done, over in exchange. So the model runs on without a pause: a thread that
had to wake up first would take its tenth of a millisecond and more, and start on a cold processor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import threading
import time
from typing import Generic, TypeVar

Task = TypeVar('Task')

# Enough to see what is usual, few enough to follow a change of the image's size.
_REMEMBERED = 16


class Durations:
    """The last few durations of something, in seconds."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        """Remember one more."""
        self._values.append(seconds)

    def quantile(self, part: float) -> float:
        """
        Return what a part of the durations does not exceed.

        Parameters
        ----------
        part : float
            From 0 (the shortest) to 1 (the longest).

        Returns
        -------
        float
            Seconds; 0 while nothing is known.

        """
        values = sorted(self._values)
        return values[round(part * (len(values) - 1))] if values else 0.0


@dataclass(eq=False)
class _Turn(Generic[Task]):
    """What is in the model, since when, and when it is expected to come out."""

    task: Task
    size: int
    begun: float
    due: float


class ModelTurn(Generic[Task]):
    """
    Lets some threads at a time run the model, one by default.

    Parameters
    ----------
    seats : int
        How many.
    clock : callable
        Gives the time in seconds; for tests.

    """

    def __init__(self, seats: int = 1, clock: Callable[[], float] = time.perf_counter) -> None:
        self._seats = seats
        self._clock = clock
        self._changed = threading.Condition()
        self._turns: list[_Turn[Task]] = []
        self._durations: dict[int, Durations] = {}
        # What the one who waits wants to have run, and what it got in exchange.
        self._waiting: tuple[Task, int] | None = None
        self._handed: Task | None = None
        self._closed = False

    @property
    def busy_for(self) -> float:
        """Seconds since the longest of the present turns began; 0 while there is none."""
        now = self._clock()
        return max((now - turn.begun for turn in tuple(self._turns)), default=0.0)

    def wait_until_nearly_free(self, lead: float) -> bool:
        """
        Wait until there is room in the model, or is expected to be soon.

        Parameters
        ----------
        lead : float
            How many seconds before the expected end of a turn to return.

        Returns
        -------
        bool
            False once the turns are closed.

        """
        with self._changed:
            while not self._closed and len(self._turns) == self._seats:
                left = min(turn.due for turn in self._turns) - lead - self._clock()
                if left <= 0.0:
                    break
                self._changed.wait(left)
            return not self._closed

    def enter(self, task: Task, size: int) -> Task | None:
        """
        Wait for a turn, and take it; one thread may wait at a time.

        Parameters
        ----------
        task : object
            What is to be run.
        size : int
            How many images go through the model: turns of one size take the same time.

        Returns
        -------
        object or None
            The task, if this is the caller's turn now. Another one, done, if a thread in the
            model has taken this task over in exchange. None once the turns are closed.

        """
        with self._changed:
            if self._closed:
                return None
            if len(self._turns) < self._seats:
                self._begin(task, size)
                return task
            assert self._waiting is None, 'one thread waits at a time'
            self._waiting = task, size
            self._changed.wait_for(lambda: self._closed or self._waiting is None)
            self._waiting = None
            handed, self._handed = self._handed, None
            return handed

    def leave(self, task: Task) -> Task | None:
        """
        End a turn, or go on with the task of the thread that waits.

        Parameters
        ----------
        task : object
            What has been run; it is handed over to the thread that waits, if there is one.

        Returns
        -------
        object or None
            What is to be run next: it is still the caller's turn. None where nobody waits.

        """
        with self._changed:
            turn = next(turn for turn in self._turns if turn.task is task)
            self._turns.remove(turn)
            self._durations[turn.size].add(self._clock() - turn.begun)
            following = None
            if self._waiting is not None and not self._closed:
                following, size = self._waiting
                self._waiting, self._handed = None, task
                self._begin(following, size)
            self._changed.notify_all()
            return following

    def close(self) -> None:
        """Let nobody wait any longer, and nobody enter."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _begin(self, task: Task, size: int) -> None:
        known = self._durations.setdefault(size, Durations())
        now = self._clock()
        self._turns.append(_Turn(task, size, now, now + known.quantile(0.25)))
        self._changed.notify_all()


class InOrder:
    """Lets one thread at a time through a door, in the order of their numbers, from 0."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Wait until all with lower numbers have come and gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == number)
        try:
            yield
        finally:
            with self._changed:
                self._next += 1
                self._changed.notify_all()
