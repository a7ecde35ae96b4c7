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

"""Models with states: outputs of one run that are inputs of the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ros2_classify.engines.base import Engine, Tensors


class State(NamedTuple):
    """An output that is the input of the next run."""

    input: str  # noqa: A003
    output: str
    initial: NDArray[Any]  # what the input is at first


class StatefulRun(Protocol):
    """A model bound to its inputs and states; a run that fails leaves the states as they were."""

    def __call__(self) -> Tensors:
        """Run the model; the outputs that are no states are valid until the next call."""

    def reset(self) -> None:
        """Begin again with the initial states."""


@runtime_checkable
class StatefulEngine(Engine, Protocol):
    """An engine that keeps states where the model runs."""

    def bind_states(self, inputs: Tensors, states: Sequence[State]) -> StatefulRun:
        """Bind the model to arrays and states."""


def bind_states(engine: Engine, inputs: Tensors, states: Sequence[State]) -> StatefulRun:
    """Bind a model to C-contiguous arrays, as `engines.bind`, and to states of their own."""
    if isinstance(engine, StatefulEngine):
        return engine.bind_states(inputs, states)
    return _PassedStates(engine, inputs, states)


class AlternatingStates:
    """
    Two sets of buffers: a run reads one and writes the other, so no state is ever copied.

    One set does not do: a model may write an output before it has read the input.
    """

    def __init__(self, run: Callable[[int], Tensors], states: Sequence[State],
                 buffers: Sequence[Sequence[Any]]) -> None:
        self._run = run  # from one of the sets to the other
        self._states = states
        self._buffers = buffers
        self._turn = 0

    def __call__(self) -> Tensors:
        """Run the model."""
        outputs = self._run(self._turn)
        self._turn = 1 - self._turn
        return outputs

    def reset(self) -> None:
        """Begin again with the initial states."""
        for state, buffer in zip(self._states, self._buffers[self._turn]):
            buffer.update_inplace(np.ascontiguousarray(state.initial))


class _PassedStates:
    """The states of an engine that can't keep them: passed in and out with each run."""

    def __init__(self, engine: Engine, inputs: Tensors, states: Sequence[State]) -> None:
        self._engine = engine
        self._given = dict(inputs)
        self._states = states
        self.reset()

    def __call__(self) -> Tensors:
        """Run the model."""
        outputs = dict(self._engine.infer(self._given))
        self._given.update({state.input: outputs.pop(state.output) for state in self._states})
        return outputs

    def reset(self) -> None:
        """Begin again with the initial states."""
        self._given.update({state.input: state.initial for state in self._states})
