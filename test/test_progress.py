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

"""Progress on a terminal and in a log, on a clock that the tests turn."""

from __future__ import annotations

import io
import logging
import sys
import time

from clocks import Clock
import pytest
from ros2_classify.progress import (
    default_progress, default_step_progress, human_size, human_time, LogProgress, Meter, Status,
    TerminalProgress)


def test_speed_and_time_left() -> None:
    clock, seen = Clock(), []
    meter = Meter('m', seen.append, clock)
    meter.start(1_000_000, 10_000_000)
    clock.now += 2
    meter.add(2_000_000)
    assert seen[-1] == Status('m', 3_000_000, 10_000_000, 1_000_000.0)
    assert seen[-1].remaining == 7.0
    assert str(seen[-1]) == 'm: 3.0 MB of 10.0 MB (30 %), 1.0 MB/s, 7 s left'
    # The speed is that of the last seconds, not of the whole.
    for _ in range(30):
        clock.now += 1
        meter.add(100_000)
    assert seen[-1].speed == pytest.approx(100_000)
    meter.finish()
    assert seen[-1].finished
    assert seen[-1].speed == pytest.approx(5_000_000 / 32)
    assert 'left' not in str(seen[-1])


def test_an_unknown_size_has_no_end() -> None:
    status = Status('m', 1500, None, 10.0)
    assert status.remaining is None
    assert str(status) == 'm: 1.5 kB, 10 bytes/s'
    assert str(Status('m', 0, 10, 0.0)) == 'm: 0 bytes of 10 bytes (0 %)'


def test_a_slow_server_is_given_time() -> None:
    clock = Clock()
    meter = Meter('m', lambda status: None, clock)
    clock.now += 29
    assert not meter.slower_than(1000, 30)
    clock.now += 2
    assert meter.slower_than(1000, 30)
    meter.add(10_000_000)
    assert not meter.slower_than(1000, 30)


def test_a_terminal_gets_one_line() -> None:
    clock, stream = Clock(), io.StringIO()
    show = TerminalProgress(stream, clock)
    show(Status('model', 10_000, 20_000, 0.0))
    show(Status('model', 11_000, 20_000, 0.0))  # too early to be shown
    clock.now += 0.2
    show(Status('model', 1, None, 0.0))
    show(Status('model', 20_000, 20_000, 0.0, finished=True))
    first, second, third = stream.getvalue().split('\r')[1:]
    assert first == 'model: 10.0 kB of 20.0 kB (50 %)'
    assert second == 'model: 1 bytes'.ljust(len(first))
    assert third.endswith('(100 %)\n')


def test_a_name_does_not_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    TerminalProgress(stream, Clock())(Status('a\x1b]0;x\x07\nb' + 'x' * 10_000, 1, 2, 1.0))
    assert stream.getvalue().startswith(r'\ra\x1b]0;x\x07 b'.replace(r'\r', '\r'))
    assert '\x1b' not in stream.getvalue() and '\n' not in stream.getvalue()
    assert len(stream.getvalue()) < 400
    errors = io.StringIO()
    errors.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, 'stderr', errors)
    default_step_progress()('converting \x1b[2J\nm', False)
    assert errors.getvalue() == '\rconverting \\x1b[2J m\x1b[K'


def test_a_log_gets_a_line_once_in_a_while() -> None:
    clock, lines = Clock(), []
    show = LogProgress(lines.append, 5.0, clock)
    for second in range(12):
        show(Status('m', second, 12, 0.0))
        clock.now += 1
    show(Status('m', 12, 12, 0.0, finished=True))
    assert [line.split(' ')[1] for line in lines] == ['5', '10', '12']


def test_a_quick_download_is_one_line() -> None:
    lines: list[str] = []
    show = LogProgress(lines.append)
    show(Status('m', 1, 2, 0.0))
    show(Status('m', 2, 2, 0.0, finished=True))
    assert len(lines) == 1


def test_the_terminal_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, 'stderr', stream)
    assert isinstance(default_progress(), LogProgress)
    monkeypatch.setattr(stream, 'isatty', lambda: True)
    assert isinstance(default_progress(), TerminalProgress)
    monkeypatch.setattr(sys, 'stderr', None)
    assert isinstance(default_progress(), LogProgress)


@pytest.mark.parametrize('count, text', [
    (0, '0 bytes'), (999, '999 bytes'), (1000, '1.0 kB'), (999_949, '999.9 kB'),
    (999_951, '1.0 MB'), (35_858_002, '35.9 MB'), (2e9, '2.0 GB'), (5e12, '5000.0 GB')])
def test_sizes(count: float, text: str) -> None:
    assert human_size(count) == text


@pytest.mark.parametrize('seconds, text', [
    (0.2, '0 s'), (59.4, '59 s'), (59.6, '1 min 0 s'), (200, '3 min 20 s'), (7500, '2 h 5 min')])
def test_times(seconds: float, text: str) -> None:
    assert human_time(seconds) == text


def test_steps_are_logged_every_15_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    show = default_step_progress()
    with caplog.at_level(logging.INFO, 'ros2_classify'):
        for second in range(40):
            now[0] = 100.0 + second
            show(f'after {second} s', False)
        show('', True)
    assert [record.getMessage() for record in caplog.records] == [
        'after 0 s', 'after 15 s', 'after 30 s']
