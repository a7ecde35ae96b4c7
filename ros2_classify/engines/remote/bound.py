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

"""A remote model bound to input arrays, through shared memory where that works."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, Protocol

import numpy as np
from ros2_classify.engines.base import Tensors, TensorSpec
from ros2_classify.engines.remote.encoded import encode
from ros2_classify.engines.remote.problems import BrokenError, NoRegionError, problem
from ros2_classify.engines.remote.protocol import Connection, Deadline, NAMES, Request
from ros2_classify.engines.remote.shared_memory import Block
from ros2_classify.errors import EngineError, RemoteError
from ros2_classify.model.remote_url import RemoteUrl

_LOGGER = logging.getLogger(__name__)
# Blocks of requests without a reply, which the server may still use: at most this number, and how
# many seconds until the server is told to forget them.
_MOST_STALE, _PATIENCE = 4, 60.0


class Owner(Protocol):
    """The engine."""

    url: RemoteUrl
    shares: bool
    bytes_dims: int  # see `encoded`

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the model."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Its outputs."""

    def check(self, outputs: Tensors, version: str) -> None:
        """Raise RemoteError if these are the outputs of another model."""

    def note_restart(self) -> None:
        """Count that the server has forgotten the shared memory."""


class Bound:
    """
    Runs a model on arrays; their contents at each call count.

    Memory of a request whose reply did not come is never used again: a server that was
    frozen may read and write it much later.
    """

    def __init__(self, owner: Owner, inputs: Tensors, *, shares: bool) -> None:
        self._owner = owner
        self._inputs = inputs
        self._check_inputs()
        self._shares = shares
        self._prepared: Any = None
        self._blocks: list[Block] = []
        self._stale: list[tuple[float, Block]] = []
        self._into: Tensors = {}

    @property
    def is_shared(self) -> bool:
        """Whether it uses shared memory at present."""
        return bool(self._blocks)

    def infer(self, connection: Connection, deadline: Deadline) -> Tensors:
        """Run the model by a connection."""
        try:
            return self._infer(connection, deadline)
        except (RemoteError, BrokenError):
            self._retire()
            raise

    def _infer(self, connection: Connection, deadline: Deadline) -> Tensors:
        if self._owner.bytes_dims:
            self._prepared = None  # an image is as long as what it shows needs
        for _ in range(2):
            self._prepare(connection, deadline)
            if self._blocks:
                for name, array in self._inputs.items():
                    np.copyto(self._blocks[0].arrays[name], array)
            try:
                outputs, version = connection.infer(self._prepared, self._into, deadline)
            except NoRegionError as error:
                if not self._blocks:
                    raise problem('failed', url=self._owner.url,
                                  reason=error) from error
                _LOGGER.info('%s: shared memory is set up again: %s', self._owner.url, error)
                self._owner.note_restart()
                self._retire()
                continue
            self._owner.check(outputs, version)
            return outputs
        self._refuse('the server forgets it')
        return self._infer(connection, deadline)

    def _prepare(self, connection: Connection, deadline: Deadline) -> None:
        if self._prepared is not None:
            return
        now = time.monotonic()
        for entry in [each for each in self._stale if now - each[0] > _PATIENCE]:
            self._stale.remove(entry)
            _forget(entry[1], connection, deadline)
        if self._shares and self._owner.shares and len(self._stale) < _MOST_STALE:
            self._share(connection, deadline)
        self._prepared = connection.prepare(self._request())

    def _request(self) -> Request:
        dims = self._owner.bytes_dims
        if not dims:
            blocks: list[Block | None] = [*self._blocks, None, None]
            return Request(self._inputs, self._owner.outputs, blocks[0], blocks[1])
        (name, images), = self._inputs.items()
        return Request({name: encode(images, self._owner.url.jpeg)}, self._owner.outputs,
                       bytes_shape=(len(images), 1)[:dims])

    def _share(self, connection: Connection, deadline: Deadline) -> None:
        shapes = _known_shapes(self._owner, self._inputs)
        try:
            self._blocks.append(Block({
                name: (array.shape, array.dtype) for name, array in self._inputs.items()}))
            if shapes:
                self._blocks.append(Block(shapes))
            for block in self._blocks:
                connection.register(block, deadline)
                # The server has opened it: nothing is left if this process is killed.
                block.unlink()
        except (NoRegionError, OSError, ValueError) as error:
            self._refuse(str(error))
        except BaseException:
            self._retire()
            raise

    def _refuse(self, reason: str) -> None:
        """Do without shared memory from now on."""
        self._owner.shares = False
        self._retire()
        asked = self._owner.url.shared_memory
        _LOGGER.log(logging.WARNING if asked else logging.INFO,
                    '%s: tensors do not go through shared memory: %s', self._owner.url, reason)

    def _retire(self) -> None:
        """Give up memory that the server may still use."""
        self._stale += [(time.monotonic(), block) for block in self._blocks]
        for block in self._blocks:
            block.close()
        self._blocks, self._prepared, self._into = [], None, {}

    def unregister(self, connection: Connection, deadline: Deadline) -> None:
        """Let the server close the blocks in use."""
        for block in self._blocks:
            _forget(block, connection, deadline)

    def close(self) -> None:
        """Free the memory."""
        self._retire()

    def _check_inputs(self) -> None:
        takes = '; '.join(map(str, self._owner.inputs))
        specs = {spec.name: spec for spec in self._owner.inputs}
        for name in specs.keys() ^ self._inputs.keys():
            raise EngineError(f'{self._owner.url}: the inputs are '
                              f'{sorted(self._inputs)} ({name!r} is wrong); it takes {takes}')
        for name, array in self._inputs.items():
            spec = specs[name]
            if (array.dtype != spec.dtype or len(array.shape) != len(spec.shape) or any(
                    isinstance(want, int) and want != have
                    for want, have in zip(spec.shape, array.shape))
                    or not array.flags.c_contiguous or array.dtype not in NAMES):
                raise EngineError(
                    f'{self._owner.url}: the input {name!r} was given {array.dtype} '
                    f'{list(array.shape)}; it takes {takes}')


def _forget(block: Block, connection: Connection, deadline: Deadline) -> None:
    try:
        connection.unregister(block, deadline)
    except NoRegionError:
        pass  # it was restarted


def _known_shapes(owner: Owner, inputs: Tensors,
                  ) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the outputs' shapes; nothing if the inputs do not decide them."""
    batch = next((array.shape[0] for spec in owner.inputs for name, array in inputs.items()
                  if spec.name == name and spec.shape and spec.shape[0] == 'batch'), None)
    shapes = {}
    for spec in owner.outputs:
        dims = [batch if dim == 'batch' else dim for dim in spec.shape]
        sizes = tuple(dim for dim in dims if isinstance(dim, int))
        if len(sizes) != len(dims) or not math.prod(sizes) or spec.dtype.kind == 'O':
            return {}
        shapes[spec.name] = sizes, spec.dtype
    return shapes
