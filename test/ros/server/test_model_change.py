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

"""One model after the other, without a node: who is told what, and which model is freed when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from ros2_classify.errors import FetchCancelledError, IntegrityError, Ros2ClassifyError
from ros2_classify.options import Options
from ros2_classify.ros.server import model_loader as model_change
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.model_loader import ModelChange
from ros2_classify.ros.server.parameters import ResultSettings

SECONDS = 20.0


class FakeSession:
    """A pipeline that is no more than open or closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def new_batch(self) -> None:
        """Return no batch."""

    def close(self) -> None:
        """Close it."""
        self.closed.set()


def make_model() -> Any:
    """Return a model without a network."""
    return Model(FakeSession(), ResultSettings(Options(), 'label', 1))  # type: ignore[arg-type]


class Outcome:
    """rclpy's future, for the event loop of the test."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()
        self._done = False

    def done(self) -> bool:
        """Tell whether there is a result."""
        return self._done

    def set_result(self, result: Any) -> None:
        """Set it, from any thread."""
        self._done = True
        self._loop.call_soon_threadsafe(self._future.set_result, result)

    def __await__(self) -> Any:
        """Wait for it."""
        return self._future.__await__()


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Return what loads models: what it loads, or raises, and when."""
    monkeypatch.setattr(model_change, 'Future', Outcome)
    loader = SimpleNamespace(
        model=make_model(), error=None, go_on=threading.Event(), begun=threading.Event(),
        cancelled=None)

    def load(name: str, cancel: threading.Event) -> Model:
        loader.begun.set()
        assert loader.go_on.wait(SECONDS)
        loader.cancelled = cancel.is_set()
        if loader.error is not None:
            raise loader.error
        return loader.model

    loader.change = ModelChange(load, lambda: None)
    yield loader
    loader.go_on.set()
    loader.change.close('the test ends')


def test_the_old_model_is_freed_when_the_last_job_has_left_it(loader: SimpleNamespace) -> None:
    old = make_model()
    assert old.acquire()
    loader.go_on.set()
    asyncio.run(loader.change.change('new', lambda new: old))
    assert not old.pipeline.closed.is_set() and loader.change.running
    old.release()
    assert old.pipeline.closed.wait(SECONDS)
    assert not old.acquire()
    assert loader.model.acquire() and not loader.change.refused


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
def test_what_stands_in_the_way_is_told(
        loader: SimpleNamespace, error: Exception, words: str) -> None:
    loader.error = error
    loader.go_on.set()
    with pytest.raises(Ros2ClassifyError, match=words):
        asyncio.run(loader.change.change('new', lambda new: pytest.fail('it was set')))
    assert loader.change.refused == words
    loader.error = None
    asyncio.run(loader.change.change('new', lambda new: make_model()))
    assert not loader.change.refused


def test_a_model_that_will_not_do_is_freed(loader: SimpleNamespace) -> None:
    def set_model(new: Model) -> Model:
        raise Ros2ClassifyError('it has another task')
    loader.go_on.set()
    with pytest.raises(Ros2ClassifyError, match='another task'):
        asyncio.run(loader.change.change('new', set_model))
    assert loader.model.pipeline.closed.wait(SECONDS)


def test_a_second_change_has_to_wait(loader: SimpleNamespace) -> None:
    async def both() -> None:
        first = asyncio.create_task(loader.change.change('one', lambda new: make_model()))
        await asyncio.to_thread(loader.begun.wait, SECONDS)
        with pytest.raises(Ros2ClassifyError, match='model one has not ended yet; set two when'):
            await loader.change.change('two', lambda new: pytest.fail('it was set'))
        loader.go_on.set()
        await first
    asyncio.run(both())


@pytest.mark.parametrize('loaded', [True, False])
def test_a_change_given_up_is_told_at_once_and_frees_what_comes(
        loader: SimpleNamespace, loaded: bool) -> None:
    if not loaded:
        loader.error = FetchCancelledError('cancelled')

    async def give_up() -> None:
        change = asyncio.create_task(
            loader.change.change('new', lambda new: pytest.fail('it was set')))
        await asyncio.to_thread(loader.begun.wait, SECONDS)
        loader.change.give_up('the node has been cleaned up')
        with pytest.raises(Ros2ClassifyError, match='has been cleaned up'):
            await change
        assert loader.change.running
    asyncio.run(give_up())
    loader.go_on.set()
    if loaded:
        assert loader.model.pipeline.closed.wait(SECONDS)
        assert loader.cancelled
