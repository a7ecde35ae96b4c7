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


"""What the command line asks for, one function a mode."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from ros2_classify_benchmark import (
    cameras, endurance, measure, regression, report, targets)
from ros2_classify_benchmark.measure import Say
from ros2_classify_benchmark.processes import BenchError, environment
from ros2_classify_benchmark.settings import Plan, Settings


@dataclass(frozen=True)
class Outcome:
    """
    What a mode gives.

    Parameters
    ----------
    mode : str
        Its name.
    settings : Settings
        What was measured.
    result : dict
        For JSON.
    text : str
        For people.
    plan : Plan or None
        How long was measured; None where a mode has a length of its own.
    passed : bool
        Whether the exit code is 0.

    """

    mode: str
    settings: Settings
    result: dict[str, Any]
    text: str
    plan: Plan | None = None
    passed: bool = True


def run(
        arguments: argparse.Namespace, settings: Settings, plan: Plan, directory: Path, say: Say,
) -> Outcome:
    """Run the mode that the arguments ask for; see `ros2_classify_benchmark.cli`."""
    if arguments.regression:
        return _regression(arguments, plan, directory, say)
    if arguments.targets:
        return _targets(arguments, settings, plan, directory, say)
    if arguments.duration:
        result = endurance.run_test(settings, arguments.duration, directory, say)
        return Outcome('duration', settings, result, endurance.table(result))
    if arguments.messages:
        result = messages(say)
        return Outcome('messages', settings, result, _messages_table(result))
    if settings.cameras > 1:
        result = cameras.many_cameras(settings, plan, directory, say)
        return Outcome('cameras', settings, result, cameras.table(result), plan)
    found = measure.measure(settings, plan, directory, say, arguments.against)
    if arguments.plot:
        from ros2_classify_benchmark.plot import plot
        plot(found, arguments.plot)
    result = measure.report(found)
    return Outcome(
        'quick' if arguments.quick else 'standard', settings, result, report.table(result), plan)


def messages(say: Say) -> dict[str, Any]:
    """Return what results cost to build and publish, in ms; see `ros.bench.messages`."""
    say('messages: 100 boxes, 999 scores')
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_classify_benchmark.nodes.messages', 'results'],
        env=environment(),
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f'the benchmark of messages failed: {done.stderr.strip()[-2000:]}')
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _messages_table(result: dict[str, Any]) -> str:
    rows = []
    for key, times in result['results'].items():
        kind, _, count = key.rpartition('_')
        rows.append((f'{kind}, {count}', *map(report.shown, (times['object'], times['bytes']))))
    return report.markdown(('ms to make and publish', 'as objects', 'as bytes'), rows)


def _regression(arguments: argparse.Namespace, plan: Plan, directory: Path, say: Say) -> Outcome:
    recorded = regression.read(arguments.regression)
    settings = regression.settings_of(recorded)
    plan = replace(regression.plan_of(recorded, plan, arguments.rounds), search=False)
    found = measure.report(measure.measure(settings, plan, directory, say))
    comparisons = regression.compare(regression.ratios(recorded), regression.ratios(found))
    passed = all(each.passed for each in comparisons)
    changed = regression.changed(recorded, found)
    result = {
        'passed': passed, 'recorded': regression.ratios(recorded),
        'measured': regression.ratios(found),
        'changed': changed, **{key: found.get(key) for key in regression.IDENTITY}}
    text = '\n\n'.join([regression.table(comparisons), *changed])
    return Outcome('regression', settings, result, text, plan, passed)


def _targets(
        arguments: argparse.Namespace, settings: Settings, plan: Plan, directory: Path, say: Say,
) -> Outcome:
    plan = targets.plan_of(plan)
    rows, evidence = targets.measure_all(
        settings, plan, arguments.endurance, directory, say, lambda: messages(say),
        arguments.recorded, arguments.long_run)
    text = targets.table(rows)
    if arguments.document:
        targets.into_document(arguments.document, text)
    return Outcome(
        'targets', settings, {'rows': [row.to_dict() for row in rows], 'evidence': evidence},
        text, plan)
