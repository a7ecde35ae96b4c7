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
What HTTP and gRPC have in common: the Open Inference Protocol v2.

Specification: https://github.com/kserve/open-inference-protocol; binary tensors and shared memory
are extensions of Triton: https://github.com/triton-inference-server/server, docs/protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from ros2_classify.engines.base import Tensors, TensorSpec
from ros2_classify.engines.remote.problems import NoRegionError, problem
from ros2_classify.engines.remote.shared_memory import Block
from ros2_classify.limits import MAX_INPUT
from ros2_classify.model.remote_url import RemoteUrl

DATATYPES: Mapping[str, Any] = {
    'BOOL': np.bool_, 'UINT8': np.uint8, 'UINT16': np.uint16, 'UINT32': np.uint32,
    'UINT64': np.uint64, 'INT8': np.int8, 'INT16': np.int16, 'INT32': np.int32,
    'INT64': np.int64, 'FP16': np.float16, 'FP32': np.float32, 'FP64': np.float64,
    'BYTES': np.object_}
NAMES = {np.dtype(dtype): name for name, dtype in DATATYPES.items()}
# Characters of a server's message that are shown.
_SHOWN = 300
_ABSENT = ('unknown model', 'no available versions', 'not found', 'not ready', 'does not exist',
           'unavailable', 'failed to poll')


class Deadline:
    """When a call has to have ended, retries included."""

    def __init__(self, url: RemoteUrl, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; RemoteError if none are."""
        left = self._end - time.monotonic()
        if left <= 0.0:
            raise self.passed()
        return left

    def passed(self) -> Exception:
        """Return the error of a server that is too slow."""
        return problem('slow', url=self._url, seconds=self._seconds)


@dataclass(frozen=True)
class ModelFacts:
    """What a server says about its model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    platform: str = ''
    versions: tuple[str, ...] = ()

    @property
    def tensors(self) -> str:
        """Inputs and outputs for messages."""
        return (f'it takes {"; ".join(map(str, self.inputs))} and gives '
                f'{"; ".join(map(str, self.outputs))}')


@dataclass(frozen=True)
class Request:
    """What is to be inferred; `input_block` and `output_block` hold it in shared memory."""

    inputs: Tensors
    outputs: tuple[TensorSpec, ...]
    input_block: Block | None = None
    output_block: Block | None = None
    # Of an input of the datatype BYTES, whose array has the elements as they are sent.
    bytes_shape: tuple[int, ...] = ()

    def described(self, array: NDArray[Any]) -> tuple[tuple[int, ...], str]:
        """Return shape and datatype that the server is told of an input."""
        if self.bytes_shape:
            return self.bytes_shape, 'BYTES'
        return array.shape, NAMES[array.dtype]


class Connection(Protocol):
    """
    A connection to a server, for one thread at a time; all methods end by the deadline.

    They raise RemoteError, BrokenError if the connection ended, and NoRegionError for shared
    memory that the server doesn't know. After errors other than the last, only `close` may be
    called.
    """

    @property
    def is_usable(self) -> bool:
        """Whether another call may be made."""

    def metadata(self, deadline: Deadline) -> ModelFacts:
        """Ask what the model takes and gives."""

    def server(self, deadline: Deadline) -> str:
        """Ask for the server's name and version."""

    def max_batch(self, deadline: Deadline) -> int | None:
        """Ask how many images the model takes at once; None if the server does not tell."""

    def prepare(self, request: Request) -> Any:
        """Return what every inference of a request sends; it is valid for other connections."""

    def infer(self, prepared: Any, into: Tensors, deadline: Deadline) -> tuple[Tensors, str]:
        """Run the model; return outputs, in the memory of `into` if they fit, and its version."""

    def register(self, block: Block, deadline: Deadline) -> None:
        """Let the server open a block of shared memory."""

    def unregister(self, block: Block, deadline: Deadline) -> None:
        """Let the server close it."""

    def close(self) -> None:
        """End it."""


def spec_of(name: object, datatype: object, shape: object) -> TensorSpec:
    """Return a tensor as a server describes it; ValueError if it can't be."""
    if not isinstance(name, str) or not name or len(name) > 1000:
        raise ValueError('a tensor has no name')
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise ValueError(f'{name!r} has the datatype {shown(datatype)}')
    if not isinstance(shape, Sequence) or len(shape) > 16 or not all(
            isinstance(dim, int) and -1 <= dim <= MAX_INPUT for dim in shape):
        raise ValueError(f'{name!r} has the shape {shown(shape)}')
    return TensorSpec(name, tuple(None if dim < 0 else int(dim) for dim in shape),
                      np.dtype(DATATYPES[datatype]))


def facts_of(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], platform: str,
             versions: Sequence[str]) -> ModelFacts:
    """Return facts; a first dimension that is free everywhere is the batch."""
    if not inputs or not outputs:
        raise ValueError('the server does not say what the model takes and gives')
    if all(spec.shape and spec.shape[0] is None for spec in (*inputs, *outputs)):
        inputs, outputs = ([TensorSpec(spec.name, ('batch', *spec.shape[1:]), spec.dtype)
                            for spec in specs] for specs in (inputs, outputs))
    return ModelFacts(tuple(inputs), tuple(outputs), shown(platform), tuple(versions))


def size_of(name: str, datatype: object, shape: object) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return type and shape of an output; ValueError if a server can't mean it."""
    spec = spec_of(name, datatype, shape)
    sizes = tuple(dim for dim in spec.shape if isinstance(dim, int))
    if len(sizes) != len(spec.shape) or math.prod(sizes) > MAX_INPUT:
        raise ValueError(f'{name!r} has the shape {shown(shape)}')
    if spec.dtype.kind == 'O':
        raise ValueError(f'{name!r} is text')
    return spec.dtype, sizes


def memory_for(into: Tensors, name: str, dtype: np.dtype[Any], shape: tuple[int, ...],
               ) -> NDArray[Any]:
    """Return memory for an output, that of the last run if it fits."""
    array = into.get(name)
    if array is None or array.dtype != dtype or array.shape != shape:
        array = into[name] = np.empty(shape, dtype)
    return array


def shown(value: object) -> str:
    """Return what a server says for messages: one short line."""
    text = ' '.join(''.join(char if char.isprintable() else ' ' for char in str(
        value)[:2 * _SHOWN]).split())
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'


def refusal(url: RemoteUrl, said: str) -> Exception:
    """Return the error of a call that the server refuses with a message."""
    text = shown(said)
    lowered = text.lower()
    if 'shared memory' in lowered:
        return NoRegionError(text)
    if any(words in lowered for words in _ABSENT):
        return problem('wrong_model', url=url, reason=text)
    return problem('failed', url=url, reason=text or 'it does not say why')
