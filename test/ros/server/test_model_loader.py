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

"""Loading of models: one after the other, and no longer than the limit; on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import itertools
import threading
from typing import Any

import pytest
from ros2_classify.engines import EngineSettings
from ros2_classify.errors import EngineError
from ros2_classify.ros.node.process import Stop
from ros2_classify.ros.server import model_loader as loading
from ros2_classify.ros.server.model import patience_for
from ros2_classify.ros.server.model_loader import Loader, LoadTimeoutError

DEADLINE = 20.0


class FakeModel:
    """A model that can only be retired."""

    def __init__(self) -> None:
        self.retired = threading.Event()

    def retire(self) -> None:
        """Note it."""
        self.retired.set()


class Bed:
    """A loader whose clock goes on by a second with each look, and loads that wait."""

    def __init__(self, timeout: float) -> None:
        self.stop = Stop()
        self.go_on = threading.Event()
        self.model: Any = FakeModel()
        self.looks = 0
        self.on_look: dict[int, Callable[[], Any]] = {}
        self.loader = Loader(self.stop, lambda: timeout, self._tick)

    def _tick(self) -> float:
        self.looks += 1
        self.on_look.get(self.looks, lambda: None)()
        return float(self.looks)

    def work(self, starting: Callable[[float], None]) -> Any:
        """Begin with the model, and wait until the test says so."""
        starting(1.0)
        assert self.go_on.wait(DEADLINE)
        return self.model

    def load(self, work: Any = None) -> Any:
        """Load a model."""
        return self.loader.load('colors', work or self.work)


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


def test_a_model_comes_and_an_error_goes_through(make: Callable[[float], Bed]) -> None:
    bed = make(5.0)
    bed.go_on.set()
    assert bed.load() is bed.model

    def fail(starting: Any) -> Any:
        raise EngineError('no such file')

    with pytest.raises(EngineError, match='no such file'):
        bed.load(fail)
    assert bed.load() is bed.model
    assert bed.stop.abandoned.count == 0 and not bed.stop.has_abandoned_thread


def test_a_model_that_never_comes_back_is_left_behind(make: Callable[[float], Bed]) -> None:
    bed = make(5.0)
    with pytest.raises(LoadTimeoutError, match='colors has not .* for 6 s.*load_timeout is 5 s'):
        bed.load()
    assert bed.stop.abandoned.count == 1 and bed.stop.has_abandoned_thread
    assert bed.loader.issues() == []
    # It keeps nobody from loading another model.
    other: Any = FakeModel()
    assert bed.load(lambda starting: other) is other
    # It comes back after all, and nobody wants it any more.
    bed.go_on.set()
    assert bed.model.retired.wait(DEADLINE) and not other.retired.is_set()


def test_fetching_and_converting_do_not_count(make: Callable[[float], Bed]) -> None:
    bed = make(5.0)

    def fetch(starting: Any) -> Any:
        assert bed.go_on.wait(DEADLINE)
        starting(1.0)
        return bed.model

    bed.on_look[100] = bed.go_on.set
    assert bed.load(fetch) is bed.model


@pytest.mark.parametrize(('timeout', 'times', 'looks'), [(0.0, 1.0, 500), (5.0, 30.0, 120)])
def test_without_a_limit_and_for_an_engine_it_may_take_longer(
        make: Callable[[float], Bed], timeout: float, times: float, looks: int) -> None:
    bed = make(timeout)

    def build(starting: Any) -> Any:
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
        if found:
            seen.append((found[0].level, found[0].text))
            bed.go_on.set()

    bed.on_look = dict.fromkeys(range(1, 1000), look)
    bed.load()
    level, text = seen[0]
    assert level == 1 and words in text
    assert f'for {slow + 1:.0f} s' in text or f'for {slow + 2:.0f} s' in text
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

    def first(starting: Any) -> Any:
        began.set()
        assert bed.go_on.wait(DEADLINE)
        order.append('first')
        return bed.model

    def second(starting: Any) -> Any:
        order.append('second')
        return bed.model

    threads = [threading.Thread(target=bed.load, args=(work,)) for work in (first, second)]
    threads[0].start()
    assert began.wait(DEADLINE)
    threads[1].start()
    assert order == []
    bed.go_on.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert order == ['first', 'second']


def test_after_too_many_people_are_told_to_start_the_process_anew(
        make: Callable[[float], Bed]) -> None:
    bed = make(5.0)
    for _ in range(4):
        bed.loader.check()
        with pytest.raises(LoadTimeoutError):
            bed.load()
    with pytest.raises(EngineError, match='4 threads have not come back .*restarted'):
        bed.loader.check()


@pytest.mark.parametrize(('provider', 'times'), [
    ('auto', 1.0), ('cpu', 1.0), ('cuda', 1.0), ('tensorrt', 30.0), ('openvino:GPU', 30.0),
    ('TensorrtExecutionProvider', 30.0)])
def test_providers_that_build_engines_have_more_time(provider: str, times: float) -> None:
    assert patience_for(EngineSettings(provider=provider)) == times
