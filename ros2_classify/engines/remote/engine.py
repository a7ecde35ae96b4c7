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

"""An engine whose model runs on a remote model server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import logging
import threading
import time
from typing import Any, TypeVar

import numpy as np
from ros2_classify.engines.base import bind, BoundRun, Engine, parallel_runs, Tensors, TensorSpec
from ros2_classify.engines.remote.bound import Bound
from ros2_classify.engines.remote.encoded import decoded
from ros2_classify.engines.remote.problems import BrokenError, or_tls, problem
from ros2_classify.engines.remote.protocol import Connection, Deadline, ModelFacts
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import EngineError, RemoteError
from ros2_classify.model.remote_url import RemoteUrl

_LOGGER = logging.getLogger(__name__)
Found = TypeVar('Found')

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# Seconds for which a restart of the server is worth a warning.
_RECENT = 60.0
# Of the largest output: what less precision may change.
_TOLERANCE = 0.05


def connect(url: RemoteUrl, deadline: Deadline) -> Connection:
    """Open a connection of the URL's protocol."""
    if url.is_grpc:
        from ros2_classify.engines.remote.rpc import GrpcConnection

        return GrpcConnection(url, deadline)
    from ros2_classify.engines.remote.http import HttpConnection

    return HttpConnection(url, deadline)


def _has_token(url: RemoteUrl) -> bool:
    # Late: a server whose model runs here needs no HTTP.
    from ros2_classify.download.http import private_headers

    return bool(private_headers(url.origin))


def _unregister(bound: list[Bound], connection: Connection, deadline: Deadline) -> None:
    for each in bound:
        each.unregister(connection, deadline)


class RemoteEngine:
    """
    A model on a remote model server; see `ros2_classify.engines.base.Engine`.

    Every call ends after ``remote_timeout``, retries included. A `local` engine takes over
    while the server fails; a thread tries meanwhile whether it is back.
    """

    def __init__(self, url: RemoteUrl, settings: EngineSettings,
                 local: Engine | None = None) -> None:
        self.url = url
        self.timeout = settings.remote_timeout
        self._parallel = settings.parallel
        self._local = local
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = threading.Event()
        self._probing = False
        self._down: RemoteError | None = None
        self._failures = 0  # in a row
        self._next_try = 0.0
        self._restarts = 0
        self._restarted_at = 0.0
        self._version = url.version
        self._notices: dict[str, dict[str, Any]] = {}
        self._bound: list[Bound] = []
        # Whether tensors go through shared memory; Bound says no if the server can't.
        self.shares = url.shared_memory if url.shared_memory is not None else (
            url.is_here)
        self.max_batch: int | None = None
        self._facts: ModelFacts | None = None
        self.bytes_dims = 0
        self.server = 'unknown'
        if not (url.is_secure or url.is_here) and _has_token(url):
            self._notice('plain_token', secure=f'{url.scheme}s')
            _LOGGER.warning('%s', problem('plain_token', **self._notices['plain_token']))
        try:
            self._open()
        except RemoteError as error:
            if local is None:
                raise
            self._failed(error)
        if local is not None:
            self._compare(local)

    def _open(self) -> None:
        connection = self._connect(self._deadline())
        assert self._facts is not None
        try:
            self.server = connection.server(self._deadline())
            if any('batch' in spec.shape for spec in self._facts.inputs):
                self.max_batch = connection.max_batch(self._deadline())
        except BrokenError as error:
            raise problem('refused', url=self.url, reason=error) from error
        self._give(connection)

    # ---- facts

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs, as the server says; those of the local model if it doesn't."""
        return self._tensors[0]

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs."""
        return self._tensors[1]

    @property
    def _tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        known = self._facts or self._local
        assert known is not None
        return known.inputs, known.outputs

    @property
    def provider(self) -> str:
        """What runs the model now: the server, or the local execution provider."""
        if self._local is not None and self._down is not None:
            return self._local.provider
        return str(self.url)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Nothing: servers don't tell what is in the file."""
        return {}

    @property
    def parallel(self) -> int:
        """How many threads may run it at once."""
        return self._parallel if self._local is None else min(
            self._parallel, parallel_runs(self._local))

    @property
    def transport(self) -> str:
        """How tensors reach the server."""
        shared = any(each.is_shared for each in self._bound)
        return (f'{"gRPC" if self.url.is_grpc else "HTTP"}{" and shared memory" * shared}'
                f'{" and JPEG" if self.bytes_dims else ""}')

    def notices(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return what is wrong now: a key of `problems.SENTENCES` and its fields."""
        with self._lock:
            down, restarts = self._down, self._restarts
            found: list[tuple[str, Mapping[str, Any]]] = list(self._notices.items())
            since = time.monotonic() - self._restarted_at
        if down is not None and self._local is not None:
            left = max(0.0, self._next_try - time.monotonic())
            found.insert(0, ('fallback', {
                'url': self.url, 'provider': self._local.provider, 'seconds': left,
                'reason': down}))
        elif down is not None:
            found.insert(0, (down.kind, down.fields))
        if restarts and since < _RECENT:
            found.append(('restarted', {
                'url': self.url, 'count': restarts, 'seconds': since}))
        return found

    # ---- running

    def infer(self, inputs: Tensors) -> Tensors:
        """Run the model once; see :meth:`~ros2_classify.engines.base.Engine.infer`."""
        bound = Bound(self, inputs, shares=False)
        return self._run(bound.infer, None if self._local is None else (
            lambda: self._local.infer(inputs)))  # type: ignore[union-attr]

    def bind(self, inputs: Tensors) -> BoundRun:
        """Bind the model to arrays; see `ros2_classify.engines.bind`."""
        bound = Bound(self, inputs, shares=True)
        self._bound.append(bound)
        here: list[BoundRun] = []

        def local() -> Tensors:
            assert self._local is not None
            if not here:
                here.append(bind(self._local, inputs))
            return here[0]()

        return lambda: self._run(bound.infer, local if self._local is not None else None)

    def _run(self, remote: Callable[[Connection, Deadline], Tensors],
             local: BoundRun | None) -> Tensors:
        if self._closed.is_set():
            raise EngineError(f'{self.url}: the engine is closed')
        if local is not None and self._down is not None:
            return local()
        try:
            found = self.call(remote)
        except RemoteError as error:
            self._failed(error)
            if local is None:
                raise
            return local()
        if self._failures:
            self._succeeded()
        return found

    def call(self, use: Callable[[Connection, Deadline], Found]) -> Found:
        """Use a connection; again, on a new one, if it breaks."""
        deadline = self._deadline()
        broken: BrokenError | None = None
        for _ in range(2):
            connection, is_new = self._take(deadline)
            try:
                found = use(connection, deadline)
            except BrokenError as error:
                connection.close()
                broken = error
                self.note_restart()
                if is_new:
                    break
            except BaseException:
                connection.close()
                raise
            else:
                self._give(connection)
                return found
        raise problem('refused', url=self.url,
                      reason=f'it ended the connection ({broken})') from broken

    def check(self, outputs: Tensors, version: str) -> None:
        """Raise RemoteError if these are the outputs of another model."""
        for spec in self.outputs:
            array = outputs.get(spec.name)
            if array is None or array.dtype != spec.dtype or len(array.shape) != len(
                    spec.shape) or any(isinstance(want, int) and want != have
                                       for want, have in zip(spec.shape, array.shape)):
                given = 'nothing' if array is None else f'{array.dtype} {list(array.shape)}'
                raise problem('changed', url=self.url,
                              reason=f'it gave {given} in place of {spec}')
        if version and version != self._version:
            if self._version:
                self._notice('version', new=version, old=self._version)
            self._version = self._version or version

    def note_restart(self) -> None:
        """Count that the server lost what it knew of this client."""
        with self._lock:
            self._restarts += 1
            self._restarted_at = time.monotonic()
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Free all connections, shared memory and the local model."""
        if self._closed.is_set():
            return
        self._closed.set()
        bound, self._bound = self._bound, []
        if any(each.is_shared for each in bound) and self._down is None:
            try:
                self.call(lambda connection, deadline: _unregister(
                    bound, connection, deadline))
            except EngineError as error:
                _LOGGER.debug('%s', error)
        for each in bound:
            each.close()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self._local is not None:
            self._local.close()

    def _notice(self, kind: str, **fields: Any) -> None:
        with self._lock:
            self._notices[kind] = {'url': self.url, **fields}

    # ---- connections

    def _deadline(self) -> Deadline:
        return Deadline(self.url, self.timeout)

    def _connect(self, deadline: Deadline) -> Connection:
        """Open a connection to a server that has the model."""
        connection = connect(self.url, deadline)
        try:
            self._check_facts(connection.metadata(deadline))
        except BrokenError as error:
            connection.close()
            raise problem('refused', url=self.url, reason=(
                f'it ended the connection ({error}){or_tls(self.url)}')) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_facts(self, facts: ModelFacts) -> None:
        """Compare what a server has now with what it had, or with the local model."""
        facts, self.bytes_dims = decoded(facts, self.url)
        if self._facts is None and self._local is not None:
            self._check_same(facts, self._local)
        if self._facts is not None and (facts.inputs, facts.outputs) != (
                self._facts.inputs, self._facts.outputs):
            raise problem('changed', url=self.url,
                          reason=f'{facts.tensors}, but {self._facts.tensors} before')
        self._facts = self._facts or facts

    def _check_same(self, facts: ModelFacts, local: Engine) -> None:
        for ours, theirs in ((local.inputs, facts.inputs), (local.outputs, facts.outputs)):
            there = {spec.name: spec for spec in theirs}
            for spec in ours:
                other = there.get(spec.name)
                if other is None or other.dtype != spec.dtype or len(other.shape) != len(
                        spec.shape) or any(
                        isinstance(one, int) and isinstance(two, int) and one != two
                        for one, two in zip(spec.shape, other.shape)):
                    raise problem('wrong_model', url=self.url, reason=(
                        f'the model file has {spec}, but the server: {facts.tensors}'))

    def _take(self, deadline: Deadline) -> tuple[Connection, bool]:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect(deadline), True
            if connection.is_usable:
                return connection, False
            connection.close()

    def _give(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed.is_set() and connection.is_usable:
                self._idle.append(connection)
                return
        connection.close()

    # ---- faults

    def _failed(self, error: RemoteError) -> None:
        with self._lock:
            first = self._down is None
            self._down = error
            self._pause()
            start = self._local is not None and not self._probing and not self._closed.is_set()
            self._probing = self._probing or start
        if first:
            _LOGGER.warning('%s', error)
        if start:
            threading.Thread(target=self._probe, name='remote probe', daemon=True).start()

    def _pause(self) -> None:
        self._failures += 1
        self._next_try = time.monotonic() + min(
            _LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))

    def _succeeded(self) -> None:
        with self._lock:
            self._down, self._failures = None, 0
        _LOGGER.warning('%s runs the model again', self.url)

    def _probe(self) -> None:
        """Try until the server has the model again."""
        while not self._closed.wait(max(0.0, self._next_try - time.monotonic())):
            try:
                connection = self._connect(self._deadline())
            except RemoteError as error:
                with self._lock:
                    self._down = error
                    self._pause()
                continue
            self._give(connection)
            with self._lock:
                # What follows tells whether it runs; the pauses grow until it does.
                self._down, self._probing = None, False
            _LOGGER.info('%s is tried again', self.url)
            return
        self._probing = False

    def _compare(self, local: Engine) -> None:
        """Run both models on the same numbers, where there is but one input of a known size."""
        if self._facts is None:
            return
        spec = self.inputs[0]
        shape = tuple(1 if dim == 'batch' else dim for dim in spec.shape)
        if len(self.inputs) > 1 or not all(isinstance(dim, int) for dim in shape):
            return
        sizes = tuple(dim for dim in shape if isinstance(dim, int))
        noise = np.random.default_rng(0).random(sizes)
        array = (noise if spec.dtype.kind == 'f' else noise * 127).astype(spec.dtype)
        ours = local.infer({spec.name: array})
        theirs = self.infer({spec.name: array})
        for name, one in ours.items():
            other = theirs.get(name)
            if other is None or one.shape != other.shape or one.dtype.kind not in 'fiu':
                continue
            scale = float(np.abs(one).max(initial=0.0)) or 1.0
            differs = float(np.abs(one.astype(np.float64) - other).max(initial=0.0)) / scale
            if not differs <= _TOLERANCE:
                self._notice('differs', reason=f'{name!r} by {100 * differs:.3g} %')
                _LOGGER.warning('%s', problem('differs', **self._notices['differs']))
