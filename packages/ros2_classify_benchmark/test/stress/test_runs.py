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

"""Short versions of the long runs, as their program does them."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
pytest.importorskip('onnx')


def run(*words: str) -> tuple[int, Any]:
    """Run the program; return its exit code and its report."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_classify_benchmark.stress', *words, '--json'],
        capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': path}, timeout=300)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.stress
def test_no_image_is_lost_or_processed_by_two_while_the_model_changes() -> None:
    code, report = run('swaps', '--count', '12')
    assert code == 0, report
    numbers = report['numbers']
    assert (numbers['changed'], numbers['refused']) == (9, 4)
    assert numbers['unmatched'] == numbers['good images lost beyond the drop policy'] == 0
    assert numbers['results'] > 30


def test_transitions_by_the_dozen() -> None:
    code, report = run('transitions', '--count', '60')
    assert code == 0, report
    assert report['numbers']['transitions'] == 60
    assert report['growth']['descriptors']['last'] > 3


@pytest.mark.stress
def test_each_fault_once(tmp_path: Path) -> None:
    code, report = run('endurance', '--minutes', '0.5', '--keep', str(tmp_path))
    assert code == 0, report
    assert report['numbers']['camera killed'] == 1
    assert report['numbers']['bad'] == 10
    assert (tmp_path / 'held.txt').exists()


def test_what_should_not_be_makes_the_run_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    from ros2_classify_benchmark.stress import __main__ as program, runs
    from ros2_classify_benchmark.stress.report import Report

    monkeypatch.setattr(
        runs, 'endurance', lambda *_: Report('endurance', complaints=['an image got lost']))
    assert program.main(['endurance']) == 1
    monkeypatch.setattr(runs, 'endurance', lambda *_: Report('endurance'))
    assert program.main(['endurance']) == 0


def test_the_old_name_of_the_endurance_test_works_with_a_warning(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from ros2_classify_benchmark.stress import __main__ as program, runs
    from ros2_classify_benchmark.stress.report import Report

    asked = []

    def endurance(_: Path, minutes: float, *rest: object) -> Report:
        asked.append(minutes)
        return Report('endurance test')

    monkeypatch.setattr(runs, 'endurance', endurance)
    assert program.main(['soak', '--minutes', '2']) == 0  # words: old
    assert capsys.readouterr().err.count('is now endurance') == 1
    assert program.main(['endurance', '--minutes', '5']) == 0
    assert asked == [2.0, 5.0] and 'is now' not in capsys.readouterr().err
