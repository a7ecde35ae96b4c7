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

"""The interface of engines, which run models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable, Union

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
Dim = Union[int, str, None]
MAX_IMAGES = 1 << 16
# Runs a model on the arrays it is bound to; see `bind`.
BoundRun = Callable[[], Tensors]


class Quantization(NamedTuple):
    """The number is ``(stored - zero_point) * scale``."""

    scale: float
    zero_point: int = 0


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model."""

    name: str  # in the graph
    shape: tuple[Dim, ...]  # a free dimension is its symbolic name, None if it has none
    dtype: np.dtype[Any]
    # of whole numbers that stand for real ones, as the file says
    quantization: Quantization | None = None

    def __str__(self) -> str:
        """Return it as ``'images' float32 [1, 3, 416, 416]``."""
        dims = ', '.join('?' if dim is None else str(dim) for dim in self.shape)
        return f"'{self.name}' {self.dtype} [{dims}]"


@runtime_checkable
class Engine(Protocol):
    """
    Runs a model: one method, ``close``, and facts about the model.

    ``infer`` may be called by one thread at a time, but see `parallel_runs`. An engine raises
    :class:`~ros2_classify.errors.EngineError` for all failures inside.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs, initializers not counted."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs, in the order of the graph."""

    @property
    def provider(self) -> str:
        """The execution provider that runs the model, such as ``CPUExecutionProvider``."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Free text that the exporter put into the file."""

    def infer(self, inputs: Tensors) -> Tensors:
        """
        Run the model once on C-contiguous arrays, read in place; the caller owns the outputs.

        EngineError if the arrays don't fit the inputs, or the model fails.
        """

    def close(self) -> None:
        """Free the model; closing twice does nothing."""


@runtime_checkable
class BindingEngine(Engine, Protocol):
    """An engine that can be bound to arrays, which saves work at each inference."""

    def bind(self, inputs: Tensors) -> BoundRun:
        """Bind the model to arrays; see `ros2_classify.engines.bind`."""


@runtime_checkable
class ParallelEngine(Engine, Protocol):
    """An engine whose model several threads may run at once."""

    @property
    def parallel(self) -> int:
        """The number of threads."""


@runtime_checkable
class LimitedEngine(Engine, Protocol):
    """An engine that may know how many images its model takes at once."""

    @property
    def max_batch(self) -> int | None:
        """The number of images; None if it is not known."""


def most_images(engine: Engine) -> int:
    """Return how many images a model takes at once, as far as its engine knows."""
    limit = engine.max_batch if isinstance(engine, LimitedEngine) else None
    return MAX_IMAGES if limit is None else limit


def parallel_runs(engine: Engine) -> int:
    """Return how many threads may run a model at once, each with its own arrays."""
    return engine.parallel if isinstance(engine, ParallelEngine) else 1


def bind(engine: Engine, inputs: Tensors) -> BoundRun:
    """
    Bind a model to its C-contiguous input arrays, to run it on their contents many times.

    The callable that is returned runs the model; its outputs are **valid until its next call**,
    as memory is reused if shapes are known beforehand. One thread at a time may call it, and
    while the engine runs otherwise only as `parallel_runs` allows. Arrays of other shapes, such as
    the first rows of a batch, need their own binding. EngineError if arrays don't fit, as in
    ``infer``, and after ``close``.
    """
    if isinstance(engine, BindingEngine):
        return engine.bind(inputs)
    return lambda: engine.infer(inputs)
