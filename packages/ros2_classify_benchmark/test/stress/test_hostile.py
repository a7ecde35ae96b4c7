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

"""What is expected after each impolite fault; a server that doesn't do it is complained of."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ros2_classify_benchmark.stress import hostile as module
from ros2_classify_benchmark.stress.hostile import Hostile
from ros2_classify_benchmark.stress.report import Report


class FakeTestbed:
    """A server that says what a test wants."""

    def __init__(self, path: Path) -> None:
        self.server = SimpleNamespace(check=lambda: None)
        self.operator = self
        self.frames = SimpleNamespace(excused=nullcontext)
        self.statuses: dict[str, tuple[int, str]] = {'images /image': (0, 'fine')}
        self.reason = 'it has more than the 100 that are allowed'
        self.front, self.has_disk, self.group = 0, True, None
        self.filler = path / 'filler'
        self.log = 'none_after_all'
        self.actions: list[str] = []

    def begin_to_set(self, model: str) -> Any:
        """Refuse a model."""
        future: Any = Future()
        future.set_result(SimpleNamespace(
            results=[SimpleNamespace(successful=not self.reason, reason=self.reason)]))
        return future

    def set_values(self, model: str) -> str:
        """Refuse a model."""
        return f'{model} was not found'

    def status(self, part: str, since: float = 0.0) -> tuple[int, str]:
        """Return what a part says."""
        return self.statuses.get(part, (0, 'fine'))

    def wait(self, condition: Any, *_: Any) -> Any:
        """Wait for nothing."""
        return condition()

    def wait_for_results(self, *_: Any) -> None:
        """Wait for nothing."""

    def send(self, data: bytes, kind: str = '') -> None:
        """Publish a result of a good image."""
        self.front += data == b'good'

    def good(self) -> bytes:
        """Return a good image."""
        return b'good'

    def fill_logs(self) -> Path:
        """Fill nothing."""
        self.filler.touch()
        return self.filler

    def logged(self) -> str:
        """Return the log."""
        return self.log

    def close_camera(self, kill: bool = False) -> None:
        """Note it."""
        self.actions.append('killed' if kill else 'closed')

    def open_camera(self) -> None:
        """Note it."""
        self.actions.append('opened')


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a testbed, the faults and the report, with no patience."""
    for name in ('_NOTICES', '_RECOVERS', '_STARVES', '_POLL'):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(module, 'bombs', lambda _: iter([
        SimpleNamespace(name='lists', model=Path('lists.yaml'), words='more than'),
        SimpleNamespace(name='scans', model=None, image=b'bad', words='')]))
    monkeypatch.setattr(module, 'keep_busy', lambda _: None)
    report = Report('run')
    testbed = FakeTestbed(tmp_path)
    faults = Hostile(testbed, tmp_path, 1, report,  # type: ignore[arg-type]
                     lambda kind: f'http://127.0.0.1/{kind}')
    return testbed, faults, report


def test_each_fault_comes_once_before_any_again_and_a_bomb_a_minute(
        bed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    testbed, faults, report = bed
    testbed.statuses.update({
        'inference': (1, 'the disk of the log files is full; x has been on its way for 61 s'),
        'model': (1, f'{testbed.reason}; 127.0.0.1'), 'images /image': (0, '/image')})
    assert faults.do_next() == 'bomb'
    assert sorted(faults.do_next() for _ in range(4)) == [
        'camera killed', 'full log disk', 'processor taken away', 'slow server']
    assert testbed.actions == ['killed', 'opened'] and not testbed.filler.exists()
    now = time.monotonic()
    monkeypatch.setattr(module.time, 'monotonic', lambda: now + 61.0)
    assert faults.done['refused: lists'] == 1 and faults.done['slow header'] == 1
    assert len(faults.recoveries) == 5


@pytest.mark.parametrize('fault, change, complaint', [
    ('bomb', {'reason': ''}, "lists: the reason was ''"),
    ('bomb', {'reason': 'no'}, "lists: the reason was 'no'"),
    ('_slow_server', {}, 'slow header: the reason was'),
    ('_slow_server', {'reason': 'the server is too slow'}, 'did not say that it takes long'),
    ('_camera_killed', {}, 'a killed camera: the diagnostics of images /image say'),
    ('_full_disk', {}, 'a full log disk: the diagnostics of inference say'),
    ('_full_disk', {'log': ''}, 'nothing is logged any more')])
def test_what_a_server_does_not_do_is_complained_of(
        bed: Any, fault: str, change: dict[str, str], complaint: str) -> None:
    testbed, faults, report = bed
    vars(testbed).update(change)
    getattr(faults, fault)()
    assert any(complaint in each for each in report.complaints), report.complaints


def test_a_server_that_does_not_recover_is_complained_of(bed: Any) -> None:
    testbed, faults, report = bed
    testbed.statuses['images /image'] = (2, 'no images')
    faults._recover('bomb')
    assert report.complaints == ["bomb: 0 s later the diagnostics say 'no images'"]


def test_an_image_after_which_no_good_one_has_a_result_is_complained_of(
        bed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    testbed, faults, report = bed
    monkeypatch.setattr(testbed, 'send', lambda *_: None)
    faults.attack(SimpleNamespace(name='scans', model=None, image=b'bad', words=''))
    assert report.complaints == ['scans: no result of the next image']


def test_each_attack_comes_twice_before_memory_is_watched_and_again_afterwards(bed: Any) -> None:
    testbed, faults, report = bed
    testbed.statuses['model'] = (1, testbed.reason)
    faults.try_all_bombs()
    assert faults.done == {'refused: lists': 2, 'image: scans': 2}
    faults.bomb()
    faults.bomb()
    faults.bomb()
    assert faults.done == {'refused: lists': 4, 'image: scans': 3}
    assert report.complaints == []
