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

"""What a stream remembers: the last frames of a window, or the states of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ros2_classify.clips.frames import Frames, Taken
from ros2_classify.engines import Tensors
from ros2_classify.engines.stateful import StatefulRun
from ros2_classify.preprocess.preprocessor import Image
from ros2_classify.preprocess.views import View


class Memory(Protocol):
    """The frames of one stream that count, whatever the kind of the model."""

    @property
    def begin(self) -> float:
        """The stamp of the first frame that the next result sees."""

    @property
    def ready(self) -> bool:
        """Whether there are enough frames for a result."""

    def clear(self) -> None:
        """Forget everything."""

    def hole(self) -> None:
        """Note that a frame is missing."""

    def take(self, stamp: float, times: int, image: Image, color: str,
             view: View | None) -> Taken:
        """Remember a frame, which fills one step or more."""

    def infer(self) -> Tensors:
        """Return the model outputs for what is remembered."""


class Window:
    """The last frames, which the model sees together; a hole makes all before it useless."""

    def __init__(self, frames: Frames, count: int,
                 run: Callable[[NDArray[Any], list[int]], Tensors]) -> None:
        self._frames = frames
        self._run = run
        self._count = count
        self._next = 0
        self._rows: deque[int] = deque(maxlen=count)
        self._stamps: deque[float] = deque(maxlen=count)

    @property
    def begin(self) -> float:
        """The stamp of the first frame."""
        return self._stamps[0]

    @property
    def ready(self) -> bool:
        """Whether the window is full."""
        return len(self._rows) == self._count

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self._stamps.clear()

    hole = clear

    def take(self, stamp: float, times: int, image: Image, color: str,
             view: View | None) -> Taken:
        """Remember a frame; one that fills two steps is stored once."""
        row = self._next
        taken = self._frames.take(row, image, color, view)
        self._next = (row + 1) % self._count
        self._rows.extend([row] * times)
        self._stamps.extend([stamp] * times)
        return taken

    def infer(self) -> Tensors:
        """Run the model on the window."""
        return self._run(self._frames.rows, list(self._rows))


class Gathered:
    """Runs a model on rows of frames, in its own input."""

    def __init__(self, axis: int, bind: Callable[[NDArray[Any]], Callable[[], Tensors]]) -> None:
        self._axis = axis
        self._bind = bind
        self._input: NDArray[Any] | None = None

    def __call__(self, frames: NDArray[Any], rows: list[int]) -> Tensors:
        """Run the model on these rows, in their order."""
        if self._input is None:
            shape = list(frames.shape[1:])
            shape.insert(self._axis - 1, len(rows))
            self._input = np.empty((1, *shape), frames.dtype)
            self._bound = self._bind(self._input)
        for target, row in zip(np.moveaxis(self._input[0], self._axis - 1, 0), rows):
            target[...] = frames[row]
        return self._bound()


def mean_of_votes(votes: NDArray[Any], rows: list[int]) -> Tensors:
    """Return the mean of the frames' scores as the output of a model."""
    return {'scores': votes[rows].mean(axis=0, keepdims=True, dtype=np.float64).astype(
        np.float32)}


class Remembered:
    """The states of a model that sees one frame after the other."""

    def __init__(self, frames: Frames, need: int,
                 bind: Callable[[NDArray[Any]], StatefulRun]) -> None:
        self._frames = frames
        self._bind = bind
        self._bound: StatefulRun | None = None
        self._need = need
        self._seen = 0  # frames since the last hole, without that after it
        self._outputs: Tensors = {}
        self._begin = 0.0
        self._fresh = True

    @property
    def begin(self) -> float:
        """The stamp of the first frame with these states."""
        return self._begin

    @property
    def ready(self) -> bool:
        """Whether the model has seen enough frames without a hole."""
        return self._seen >= self._need

    def clear(self) -> None:
        """Begin with the initial states."""
        self._seen, self._fresh = 0, True

    def hole(self) -> None:
        """Count from 0 again: the model takes the next frame for one that follows."""
        self._seen = -1 if not self._fresh else 0

    def take(self, stamp: float, times: int, image: Image, color: str,
             view: View | None) -> Taken:
        """Run the model on a frame, as often as it fills steps."""
        taken = self._frames.take(0, image, color, view)
        begun = time.perf_counter()
        if self._bound is None:
            self._bound = self._bind(self._frames.rows[:1])
        elif self._fresh:
            self._bound.reset()
        if self._fresh:
            self._begin = stamp
        for _ in range(times):
            self._outputs = self._bound()
            self._fresh = False
        self._seen += times
        return taken._replace(inference=taken.inference + time.perf_counter() - begun)

    def infer(self) -> Tensors:
        """Return the outputs for the last frame."""
        return self._outputs
