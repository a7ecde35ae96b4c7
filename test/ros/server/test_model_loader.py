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

"""Models are loaded one after the other, with a timeout on a clock of the test, and cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import gc
import itertools
import threading
import time
import traceback
from typing import Any
import weakref

import pytest
from ros2_classify.engines import EngineSettings
from ros2_classify.errors import EngineError
from ros2_classify.ros.node.process import Interrupted, Stop
from ros2_classify.ros.server import model_loader as loading
from ros2_classify.ros.server.model import patience_for
from ros2_classify.ros.server.model_loader import (
    LoadCancelledError, LoadTimeoutError, ModelLoader)

DEADLINE = 20.0


class FakeModel:
    """A model that can only be retired."""

    def __init__(self) -> None:
        self.retired = threading.Event()
        self.unused = threading.Event()

    def retire(self) -> None:
        """Note it."""
        self.retired.set()

    def retire_and_wait(self) -> None:
        """Note it, when nobody uses it any more."""
        assert self.unused.wait(DEADLINE)
        self.retired.set()


class Bed:
    """A loader whose clock goes on by a second with each look, and loads that wait."""

    def __init__(self, timeout: float) -> None:
        self.stop = Stop()
        self.go_on = threading.Event()
        self.model: Any = FakeModel()
        self.looks = 0
        self.on_look: dict[int, Callable[[], Any]] = {}
        self.woken = threading.Event()
        self.loader = ModelLoader(self.stop, lambda: timeout, self.woken.set, self._tick)

    def _tick(self) -> float:
        self.looks += 1
        self.on_look.get(self.looks, lambda: None)()
        return float(self.looks)

    def work(self, cancel: threading.Event, starting: Callable[[float], None]) -> Any:
        """Begin with the model, and wait until the test says so."""
        starting(1.0)
        assert self.go_on.wait(DEADLINE)
        return self.model

    def begin(self, work: Any = None) -> Any:
        """Begin to load a model."""
        return self.loader.load('colors', work or self.work)

    def load(self, work: Any = None) -> Any:
        """Load a model."""
        loading = self.begin(work)
        assert loading.wait(DEADLINE)
        return loading.result()

    def until_idle(self) -> None:
        """Wait until no thread of the loader has anything to do."""
        end = time.monotonic() + DEADLINE
        while self.loader.running:
            assert time.monotonic() < end
            time.sleep(0.001)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look as often as possible."""
    monkeypatch.setattr(loading, '_LOOK', 0.001)


@pytest.fixture
def make() -> Iterator[Callable[[float], Bed]]:
    """Return a function that makes a bed; nothing waits any more after the test."""
    beds: list[Bed] = []

    def make(timeout: float) -> Bed:
        beds.append(Bed(timeout))
        return beds[-1]

    yield make
    for bed in beds:
        bed.go_on.set()
        bed.loader.close('the test ends')


def test_a_model_comes_and_an_error_goes_through(make: Callable[[float], Bed]) -> None:
    bed = make(5.0)
    bed.go_on.set()
    assert bed.load() is bed.model

    def fail(cancel: Any, starting: Any) -> Any:
        raise EngineError('no such file')

    with pytest.raises(EngineError, match='no such file'):
        bed.load(fail)
    assert bed.load() is bed.model
    assert bed.stop.abandoned.count == 0 and not bed.stop.has_abandoned_thread


def test_what_was_read_of_a_model_that_is_refused_is_freed_before_its_error_is_told(
        make: Callable[[float], Bed]) -> None:
    class Text:
        """Megabytes of a file."""

    read = []

    def parse(text: Text) -> None:
        own = Text()
        read.extend(map(weakref.ref, (text, own)))
        try:
            raise KeyError
        except KeyError as error:
            again = error  # a cycle, as in many a parser
            raise ValueError('no model') from again

    def work(*_: Any) -> Any:
        text = Text()
        try:
            parse(text)
        except ValueError as error:
            raise EngineError('refused') from error

    bed = make(0.0)
    gc.disable()
    try:
        failing = bed.begin(work)
        assert failing.wait(DEADLINE)
        assert [each() for each in read] == [None, None]
        with pytest.raises(EngineError, match='refused') as caught:
            failing.result()
    finally:
        gc.enable()
    # Where it was raised is known all the same.
    assert isinstance(caught.value.__cause__, ValueError)
    assert 'in parse' in ''.join(traceback.format_exception(caught.value))


def test_a_model_that_never_comes_back_is_abandoned(make: Callable[[float], Bed]) -> None:
    bed = make(5.0)
    with pytest.raises(LoadTimeoutError, match='colors has not .* for [67] s.*_timeout is 5 s'):
        bed.load()
    # Counted before the caller gets the error.
    assert bed.stop.abandoned.count == 1 and bed.stop.has_abandoned_thread
    bed.until_idle()
    assert bed.loader.issues() == []
    # Another model can be loaded.
    other: Any = FakeModel()
    assert bed.load(lambda cancel, starting: other) is other
    # It comes back after all, and is freed.
    bed.go_on.set()
    assert bed.model.retired.wait(DEADLINE) and not other.retired.is_set()


def test_fetching_and_converting_do_not_count(make: Callable[[float], Bed]) -> None:
    bed = make(5.0)

    def fetch(cancel: Any, starting: Any) -> Any:
        assert bed.go_on.wait(DEADLINE)
        starting(1.0)
        return bed.model

    bed.on_look[100] = bed.go_on.set
    assert bed.load(fetch) is bed.model


@pytest.mark.parametrize(('timeout', 'times', 'looks'), [(0.0, 1.0, 500), (5.0, 30.0, 120)])
def test_without_a_limit_and_for_an_engine_it_may_take_longer(
        make: Callable[[float], Bed], timeout: float, times: float, looks: int) -> None:
    bed = make(timeout)

    def build(cancel: Any, starting: Any) -> Any:
        starting(times)
        assert bed.go_on.wait(DEADLINE)
        return bed.model

    bed.on_look[looks] = bed.go_on.set
    assert bed.load(build) is bed.model


@pytest.mark.parametrize(('timeout', 'slow', 'words'), [
    (40.0, 20.0, 'it is given up after 40 s'), (0.0, 60.0, 'it is never given up')])
def test_it_is_said_when_loading_takes_long(
        make: Callable[[float], Bed], timeout: float, slow: float, words: str) -> None:
    bed = make(timeout)
    seen: list[tuple[int, str]] = []

    def look() -> None:
        found = bed.loader.issues()
        if found and not seen:
            seen.append((found[0].level, found[0].text))
            bed.go_on.set()

    bed.on_look = dict.fromkeys(range(1, 1000), look)
    bed.load()
    bed.until_idle()
    level, text = seen[0]
    assert level == 1 and words in text
    assert f'for {slow + 1:.0f} s' in text or f'for {slow + 2:.0f} s' in text
    assert bed.loader.issues() == []


def test_it_is_said_when_the_files_of_a_model_take_long(make: Callable[[float], Bed]) -> None:
    bed = make(40.0)
    seen: list[tuple[int, str]] = []

    def look() -> None:
        seen.extend((each.level, each.text) for each in bed.loader.issues())
        if seen:
            bed.go_on.set()

    def fetch(cancel: threading.Event, starting: Callable[[float], None]) -> Any:
        assert bed.go_on.wait(DEADLINE)
        starting(1.0)
        return bed.model

    bed.on_look = dict.fromkeys(range(1, 1000), look)
    bed.load(fetch)
    bed.until_idle()
    assert seen[0][0] == 1 and 'colors has been on its way for 6' in seen[0][1]
    assert bed.loader.issues() == []


def test_a_process_that_was_stopped_finds_no_hanging_load(make: Callable[[float], Bed]) -> None:
    bed = make(5.0)
    # An hour between two looks.
    times = itertools.chain([0.0, 1.0], itertools.repeat(3600.0))
    bed.loader._clock = lambda: next(times)
    threading.Timer(0.05, bed.go_on.set).start()
    assert bed.load() is bed.model


def test_one_is_loaded_after_the_other(make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    order: list[str] = []
    began = threading.Event()

    def first(cancel: Any, starting: Any) -> Any:
        began.set()
        assert bed.go_on.wait(DEADLINE)
        order.append('first')
        return bed.model

    def second(cancel: Any, starting: Any) -> Any:
        order.append('second')
        return bed.model

    loads = [bed.begin(work) for work in (first, second)]
    assert began.wait(DEADLINE)
    assert order == [] and not loads[1].wait(0.05)
    bed.go_on.set()
    assert all(load.wait(DEADLINE) for load in loads)
    assert order == ['first', 'second']


def test_after_too_many_the_process_has_to_be_restarted(
        make: Callable[[float], Bed]) -> None:
    bed = make(5.0)
    for _ in range(4):
        bed.loader.check()
        with pytest.raises(LoadTimeoutError):
            bed.load()
        bed.until_idle()
    with pytest.raises(EngineError, match='4 threads have not come back .*restarted'):
        bed.loader.check()


def test_the_executor_is_woken_when_a_model_is_there(make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    loading = bed.begin()
    assert not loading.done() and not bed.woken.is_set() and bed.loader.running
    bed.go_on.set()
    assert bed.woken.wait(DEADLINE) and loading.done()
    bed.until_idle()


def test_a_load_that_is_cancelled_ends_at_once_and_its_model_is_freed(
        make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    began, cancelled = threading.Event(), threading.Event()

    def work(cancel: threading.Event, starting: Any) -> Any:
        began.set()
        assert cancel.wait(DEADLINE)
        cancelled.set()
        assert bed.go_on.wait(DEADLINE)
        return bed.model

    loading = bed.begin(work)
    waiting = bed.begin(lambda cancel, starting: pytest.fail('it was loaded'))
    assert began.wait(DEADLINE)
    for load in (loading, waiting):
        load.cancel('cleaned up')
        assert load.done()
        with pytest.raises(LoadCancelledError, match='cleaned up'):
            load.result()
    assert cancelled.wait(DEADLINE) and bed.loader.running
    assert not bed.model.retired.is_set()
    bed.go_on.set()
    assert bed.model.retired.wait(DEADLINE)
    bed.until_idle()


@pytest.mark.parametrize('comes_back', ['with files', 'with a model', 'with an error'])
def test_a_download_left_behind_holds_nothing_that_the_next_load_needs(
        make: Callable[[float], Bed], comes_back: str) -> None:
    bed = make(0.0)
    began, ended = threading.Event(), threading.Event()
    left: Any = FakeModel()

    def stuck(cancel: Any, starting: Any) -> Any:
        began.set()
        try:
            assert bed.go_on.wait(DEADLINE)
            if comes_back == 'with files':
                starting(1.0)
                pytest.fail('it was loaded beside the next one')
            if comes_back == 'with an error':
                raise EngineError('no such file')
            return left
        finally:
            ended.set()

    def ready(cancel: Any, starting: Any) -> Any:
        starting(1.0)
        return bed.model

    first = bed.begin(stuck)
    assert began.wait(DEADLINE) and first.fetching
    first.cancel('overtaken')
    assert bed.load(ready) is bed.model
    assert bed.loader.running and not ended.is_set() and bed.stop.has_abandoned_thread
    bed.loader.check()
    bed.go_on.set()
    bed.until_idle()
    assert ended.is_set() and left.retired.is_set() == (comes_back == 'with a model')
    assert bed.load(ready) is bed.model
    assert bed.stop.abandoned.count == 0


def test_a_model_that_nobody_has_taken_is_freed_when_it_is_cancelled(
        make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    bed.go_on.set()
    loading = bed.begin()
    assert loading.wait(DEADLINE) and not bed.model.retired.is_set()
    loading.cancel('it is not needed any more')
    assert bed.model.retired.is_set()
    with pytest.raises(LoadCancelledError, match='not needed'):
        loading.result()


def test_a_model_that_was_taken_is_not_freed_when_its_load_is_cancelled(
        make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    bed.go_on.set()
    loading = bed.begin()
    assert loading.wait(DEADLINE) and loading.result() is bed.model
    loading.cancel('too late')
    assert not bed.model.retired.is_set()


def test_a_replaced_model_is_freed_before_the_next_one_is_loaded(
        make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    bed.go_on.set()
    old: Any = FakeModel()
    bed.loader.free(old)
    loading = bed.begin()
    assert not loading.wait(0.05) and bed.loader.running
    old.unused.set()
    assert loading.wait(DEADLINE) and old.retired.is_set()
    assert loading.result() is bed.model


def test_a_closed_loader_loads_nothing(make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    bed.loader.close('the node ends')
    with pytest.raises(LoadCancelledError, match='the node ends'):
        bed.load()
    assert not bed.loader.running


def test_waiting_tells_the_time_and_returns_the_model(make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    said: list[str] = []
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if said:
            bed.go_on.set()

    assert bed.loader.wait(bed.begin(), said.append, look, every=0.01) is bed.model
    assert said[0] == '0 s' and looks and not bed.stop.has_abandoned_thread


def test_waiting_ends_when_the_process_has_to_end(make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    began = threading.Event()

    def work(cancel: threading.Event, starting: Any) -> Any:
        began.set()
        return bed.work(cancel, starting)

    loading = bed.begin(work)
    assert began.wait(DEADLINE)
    threading.Timer(0.05, bed.stop.request).start()
    with pytest.raises(Interrupted):
        bed.loader.wait(loading)
    assert bed.stop.has_abandoned_thread
    bed.go_on.set()
    assert bed.model.retired.wait(DEADLINE)


def test_a_model_is_cancelled_if_waiting_for_it_fails(make: Callable[[float], Bed]) -> None:
    bed = make(0.0)
    loading = bed.begin()
    with pytest.raises(ZeroDivisionError):
        bed.loader.wait(loading, meanwhile=lambda: 1 / 0)
    with pytest.raises(LoadCancelledError):
        loading.result()


@pytest.mark.parametrize(('provider', 'times'), [
    ('auto', 1.0), ('cpu', 1.0), ('cuda', 1.0), ('tensorrt', 30.0), ('openvino:GPU', 30.0),
    ('TensorrtExecutionProvider', 30.0)])
def test_providers_that_build_engines_have_more_time(provider: str, times: float) -> None:
    assert patience_for(EngineSettings(provider=provider)) == times
