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

"""The parameter `model`: one change at a time, all or nothing, and the unneeded model is freed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from ros2_classify.errors import (
    FetchCancelledError, IntegrityError, OptionsError, Ros2ClassifyError)
from ros2_classify.options import Options
from ros2_classify.ros.node.process import Stop
from ros2_classify.ros.server import model_loader, model_parameter
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.model_loader import ModelLoader
from ros2_classify.ros.server.model_parameter import ModelParameter
from ros2_classify.ros.server.parameters import ResultSettings

SECONDS = 20.0


class FakePipeline:
    """A pipeline that is no more than open or closed."""

    descriptor = SimpleNamespace(name='fake')
    options = None

    def __init__(self) -> None:
        self.closed = threading.Event()

    def new_batch(self) -> None:
        """Return no batch."""

    def close(self) -> None:
        """Close it."""
        self.closed.set()


def make_model() -> Any:
    """Return a model without a session."""
    return Model(FakePipeline(), ResultSettings(Options(), 'label', 1))  # type: ignore[arg-type]


class Outcome:
    """rclpy's future, for the event loop of the test."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()

    def set_result(self, result: Any) -> None:
        """Set it, from any thread."""
        self._loop.call_soon_threadsafe(self._future.set_result, result)

    def __await__(self) -> Any:
        """Wait for it."""
        return self._future.__await__()


class Settings(SimpleNamespace):
    """The parameters that decide what may be set: everything."""

    def __getitem__(self, name: str) -> Any:
        """Return a value."""
        return {'model_changes': 'any', 'trusted_models': ['']}.get(name, '')


class Server:
    """A server with a model, and what loads the next one: what comes of it, and when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_loader, 'Future', Outcome)
        monkeypatch.setattr(model_parameter, 'difference', lambda old, new: self.difference)
        monkeypatch.setattr(model_parameter, 'model_defaults', lambda options: {})
        self.loader = ModelLoader(Stop(), lambda: 0.0)
        self.model: Model | None = make_model()
        self.new = make_model()
        self.difference = ''
        self.refusal = ''
        self.misfit: OptionsError | None = None
        self.error: Exception | None = None
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.cancelled = False
        # Whether the files of the next model are there at once.
        self.fetched = True
        self.warnings: list[str] = []
        node: Any = SimpleNamespace(
            get_logger=lambda: SimpleNamespace(
                info=print, error=print, warning=self.warnings.append),
            set_parameters_atomically=lambda parameters: SetParametersResult(
                successful=not self.refusal, reason=self.refusal))
        settings: Any = Settings(
            handle_requests=self._keep, guard=lambda problem_with: None,
            followed=lambda defaults: {},
            check_model_defaults=lambda defaults: None,
            set_model_defaults=lambda defaults: None)
        self.parameter = ModelParameter(node, settings, self)

    def _keep(self, set_atomically: Any) -> None:
        self._set = set_atomically

    def load(self, name: str = '') -> Any:
        """Start to load the next model."""
        self.loader.check()
        return self.loader.load(name, self._work)

    def _work(self, cancel: threading.Event, starting: Any) -> Any:
        if self.fetched:
            starting(1.0)
        self.begun.set()
        assert self.go_on.wait(SECONDS)
        self.cancelled = cancel.is_set()
        if self.error is not None:
            raise self.error
        return self.new

    def free_model(self, model: Model) -> None:
        """Free a model."""
        self.loader.free(model)

    def check_change(self, model: Model, values: Any) -> None:
        """Raise what the test says."""
        if self.misfit is not None:
            raise self.misfit

    def set_requested_model(self, model: Model) -> Any:
        """Use another model."""
        old, self.model = self.model, model
        return old

    async def ask(self, name: str) -> str:
        """Set the parameter; return why it was refused."""
        result = await self._set([Parameter('model', value=name)])
        assert result.successful == (not result.reason)
        return str(result.reason)

    def change(self) -> str:
        """Set the parameter, and wait."""
        self.go_on.set()
        return asyncio.run(self.ask('new'))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return a server; nothing waits any more after the test."""
    server = Server(monkeypatch)
    yield server
    server.go_on.set()
    server.loader.close('the test ends')


def test_the_old_model_is_freed_after_its_last_job(server: Server) -> None:
    old: Any = server.model
    assert old.acquire()
    assert server.change() == ''
    assert server.model is server.new and not server.parameter.refused
    assert not old.pipeline.closed.is_set() and server.loader.running
    old.release()
    assert old.pipeline.closed.wait(SECONDS)
    assert not old.acquire()
    assert server.new.acquire()


def test_a_model_whose_work_never_ends_keeps_no_other_one_waiting() -> None:
    model = make_model()
    assert model.acquire()
    model.retire_and_wait(0.01)
    assert not model.pipeline.closed.is_set()
    model.release()
    assert model.pipeline.closed.is_set()


@pytest.mark.parametrize(('error', 'words'), [
    (IntegrityError('the sha256 is another one'), 'the sha256 is another one'),
    (KeyError('cats'), "unexpected KeyError: 'cats'")])
def test_what_stands_in_the_way_is_told(server: Server, error: Exception, words: str) -> None:
    old = server.model
    server.error = error
    assert server.change() == words
    assert server.parameter.refused == words and server.model is old
    server.error = None
    assert server.change() == ''
    assert not server.parameter.refused


@pytest.mark.parametrize('attribute', ['difference', 'refusal'])
def test_a_model_that_does_not_fit_is_freed(server: Server, attribute: str) -> None:
    old = server.model
    setattr(server, attribute, 'it has another task')
    assert server.change() == 'it has another task'
    assert server.new.pipeline.closed.wait(SECONDS)
    assert server.model is old and old is not None and old.acquire()


def test_a_model_loaded_while_the_old_one_was_replaced_is_refused(server: Server) -> None:
    async def change() -> str:
        task = asyncio.create_task(server.ask('new'))
        await asyncio.to_thread(server.begun.wait, SECONDS)
        server.model = make_model()
        server.go_on.set()
        return await task
    assert 'has been reloaded meanwhile' in asyncio.run(change())
    assert server.new.pipeline.closed.wait(SECONDS)


def test_a_second_change_has_to_wait(server: Server) -> None:
    async def both() -> None:
        first = asyncio.create_task(server.ask('one'))
        await asyncio.to_thread(server.begun.wait, SECONDS)
        assert 'model one has not ended yet; set two when' in await server.ask('two')
        server.go_on.set()
        assert await first == ''
    asyncio.run(both())


def test_a_newer_request_overtakes_a_download(
        server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_loader, '_LOOK', 0.01)
    monkeypatch.setattr(model_loader, '_GRACE', 0.1)
    server.fetched = False

    async def both() -> None:
        first = asyncio.create_task(server.ask('one'))
        await asyncio.to_thread(server.begun.wait, SECONDS)
        # The same request once more is no newer one.
        assert 'one has not ended yet; set another one to give it up' in await server.ask('one')
        assert not first.done()
        server.begun.clear()
        second = asyncio.create_task(server.ask('two'))
        assert await first == (
            "one was given up before its files were there, because model was set to 'two' "
            'meanwhile')
        assert 'given up' not in server.parameter.refused
        assert 'given up before' in server.warnings[-1]
        # Although the first one has not come back.
        assert await asyncio.to_thread(server.begun.wait, SECONDS)
        server.begun.clear()
        third = asyncio.create_task(server.ask('three'))
        assert 'two was given up' in await second
        # Two are left behind, and each may hold memory: that is enough.
        assert await asyncio.to_thread(server.begun.wait, SECONDS)
        assert 'one and two were given up and have not come back' in await server.ask('four')
        assert not third.done()
        server.go_on.set()
        assert await third == ''
    asyncio.run(both())


def test_a_reload_after_a_fault_goes_first(server: Server) -> None:
    server.fetched = False

    async def change() -> None:
        task = asyncio.create_task(server.ask('new'))
        await asyncio.to_thread(server.begun.wait, SECONDS)
        server.parameter.make_way()
        assert await task == 'fake failed and is reloaded first; set model again'
    asyncio.run(change())
    server.go_on.set()


@pytest.mark.parametrize('loaded', [True, False])
def test_a_change_given_up_is_told_at_once_and_frees_what_comes(
        server: Server, loaded: bool) -> None:
    if not loaded:
        server.error = FetchCancelledError('cancelled')

    async def give_up() -> None:
        change = asyncio.create_task(server.ask('new'))
        await asyncio.to_thread(server.begun.wait, SECONDS)
        server.parameter.give_up('the node has been cleaned up')
        assert await change == 'the node has been cleaned up'
        assert server.loader.running
    asyncio.run(give_up())
    server.go_on.set()
    if loaded:
        assert server.new.pipeline.closed.wait(SECONDS)
        assert server.cancelled


def test_the_limit_of_abandoned_threads_is_told(server: Server) -> None:
    def refuse(name: str = '') -> Any:
        raise Ros2ClassifyError('restart the process')
    server.load = refuse  # type: ignore[method-assign]
    assert server.change() == 'restart the process' == server.parameter.refused
    assert server.change() == 'restart the process'
