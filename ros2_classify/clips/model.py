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

"""The parts of a model that sees time, by its descriptor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ros2_classify.clips.frames import Frames, Pixels, Vectors
from ros2_classify.clips.memory import Gathered, mean_of_votes, Memory, Remembered, Window
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.decoders.classification import class_scores
from ros2_classify.engines import bind, Engine, Tensors, TensorSpec
from ros2_classify.engines.stateful import bind_states, State, StatefulRun
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.model.clip_spec import ClipSpec
from ros2_classify.model.descriptor import descriptor_error, ModelDescriptor, OutputSpec
from ros2_classify.preprocess.batch import Batch
from ros2_classify.preprocess.extra_inputs import ExtraInputs


class SingleImages(Protocol):
    """What is needed of a model of single images; a `Pipeline` is one."""

    @property
    def descriptor(self) -> ModelDescriptor:
        """The descriptor, complete."""

    @property
    def task(self) -> Any:
        """The type of its results."""

    def new_batch(self) -> Batch:
        """Return an empty batch."""

    def infer(self, batch: Batch) -> list[Tensors]:
        """Run the model."""

    def close(self) -> None:
        """Free the model."""


@dataclass(frozen=True)
class ClipModel:
    """A model that sees time, and what runs it."""

    descriptor: ModelDescriptor  # complete
    engine: Engine
    running: threading.Semaphore  # held while the model runs
    dequantize: Callable[[Tensors], Tensors]
    new_batch: Callable[[], Batch]  # for `clip.vote`
    encoder: SingleImages | None = None

    @property
    def clip(self) -> ClipSpec:
        """Which frames it sees."""
        assert self.descriptor.clip is not None
        return self.descriptor.clip

    def memory(self) -> Memory:
        """Return what one stream remembers, empty."""
        count = self.clip.frames or 1
        if self.clip.vote:
            return Window(self._voters(count), count, mean_of_votes)
        tensor = self._input
        axis = time_axis(self.descriptor, tensor)
        if not self.descriptor.state:
            return Window(self._frames(count, tensor), count, Gathered(axis or 1, self._bind))
        return Remembered(
            self._frames(1, tensor), count,
            lambda rows: self._bind_states(rows if axis is None else np.expand_dims(rows, axis)))

    @property
    def _input(self) -> TensorSpec:
        return next(tensor for tensor in self.engine.inputs
                    if tensor.name == self.descriptor.input.name)

    def _frames(self, count: int, tensor: TensorSpec) -> Frames:
        if self.encoder is None:
            return Pixels(self.descriptor.input, count)
        decoder: Any = DECODERS['embedding']
        options = decoder.parse_options(self.encoder.descriptor.output.options)
        context = DecodeContext((1, 1), 0.0, 1, False, None)
        size = tensor.shape[-1]
        return Vectors(
            self.encoder.new_batch(), self.encoder.infer,
            lambda outputs: decoder.decode(outputs, options, context).values,
            count, size=size if isinstance(size, int) else None, dtype=tensor.dtype,
            name=self.descriptor.origin or self.descriptor.name)

    def _voters(self, count: int) -> Frames:
        """Return the scores of each frame, which are averaged."""
        options: Any = DECODERS['classification'].parse_options(self.descriptor.output.options)
        return Vectors(self.new_batch(), self._infer_batch,
                       lambda outputs: class_scores(outputs, options), count)

    def _infer_batch(self, batch: Batch) -> Sequence[Tensors]:
        with self.running:
            return [self.dequantize(batch.run(self.engine))]

    def _bind(self, array: NDArray[Any]) -> Callable[[], Tensors]:
        bound = bind(self.engine, self._given(array))

        def run() -> Tensors:
            with self.running:
                return self.dequantize(bound())

        return run

    def _bind_states(self, array: NDArray[Any]) -> StatefulRun:
        return _Turns(self, bind_states(self.engine, self._given(array), states_of(
            self.descriptor, self.engine.inputs, self.engine.outputs)))

    def _given(self, array: NDArray[Any]) -> Tensors:
        """Return all inputs that are no states; sizes of images are those of the model input."""
        extra = ExtraInputs(self.descriptor.input.extra, self.engine.inputs)
        return {self._input.name: array, **extra([])}


class _Turns:
    """A stateful run that waits for its turn on the engine."""

    def __init__(self, model: ClipModel, run: StatefulRun) -> None:
        self._model, self._run = model, run
        self.reset = run.reset

    def __call__(self) -> Tensors:
        """Run the model."""
        with self._model.running:
            return self._model.dequantize(self._run())


def time_axis(descriptor: ModelDescriptor, tensor: TensorSpec) -> int | None:
    """Return the dimension of the frames in the model input; None if it takes one frame."""
    if descriptor.clip is not None and descriptor.clip.encoder:
        return 1 if len(tensor.shape) == 3 else None
    layout = descriptor.input.layout or ''
    return layout.index('t') if 't' in layout else None


def voted(descriptor: ModelDescriptor) -> ModelDescriptor:
    """Return the descriptor of the averaged scores of a model of single images."""
    options = {name: value for name, value in descriptor.output.options.items()
               if name not in ('output', 'activation')}
    return replace(descriptor, output=OutputSpec('classification', FrozenMapping(options)))


def states_of(
    descriptor: ModelDescriptor, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec],
) -> list[State]:
    """Return the states as the model file has them; a free dimension is 1."""
    states = []
    for number, state in enumerate(descriptor.state):
        taken, given = (
            _named(tensors, name, f'state[{number}].{kind}', descriptor)
            for tensors, name, kind in (
                (inputs, state.input, 'input'), (outputs, state.output, 'output')))
        fits = taken.dtype == given.dtype and len(taken.shape) == len(given.shape) and all(
            one == other for one, other in zip(taken.shape, given.shape)
            if isinstance(one, int) and isinstance(other, int))
        if not fits:
            raise descriptor_error(
                descriptor, f'state[{number}]: the output {given} cannot be the next '
                f'input {taken}; correct the names')
        shape = tuple(
            one if isinstance(one, int) else other if isinstance(other, int) else 1
            for one, other in zip(taken.shape, given.shape))
        states.append(State(taken.name, given.name, np.full(shape, state.initial, taken.dtype)))
    return states


def _named(
    tensors: Sequence[TensorSpec], name: str, key: str, descriptor: ModelDescriptor,
) -> TensorSpec:
    for tensor in tensors:
        if tensor.name.removesuffix(':0') == name.removesuffix(':0'):
            return tensor
    raise descriptor_error(
        descriptor, f'{key} is {name!r}, but the model has '
        f'{"; ".join(map(str, tensors))}; correct the name')
