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

"""The runs: endurance test, hot swaps under load, transitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
import time

from ros2_classify_benchmark.stress.faults import Faults
from ros2_classify_benchmark.stress.growth import LIMITS, Watch
from ros2_classify_benchmark.stress.report import Report
from ros2_classify_benchmark.stress.testbed import RATE, Testbed

Say = Callable[[str], None]

# Seconds between two faults, and between two samples of what the server holds.
_BETWEEN = 2.0
_PERIOD = 1.0
_SAY_EVERY = 60.0
# MiB that the memory may gain where models change: what each leaves free in the heaps of threads
# differs by some ten. A long run averages that.
_HEAPS = 40.0
_HEAPS_ON_AVERAGE = 16.0
_LONG = 30.0
# This many transitions average it, too: the heaps of new threads fill up in the first hundreds.
_MANY_TRANSITIONS = 5000
# The least number of hot swaps whose gaps are measured; the number from which the longest ones
# count as well; results without any swap for each model.
_GAPS = 20
_MANY_GAPS = 40
_USUAL = 100
# The steps of a cycle, and the cycles between two checks for results.
_CYCLE = ('configure', 'activate', 'deactivate', 'cleanup')
_CHECK_EVERY = 25


def endurance(directory: Path, minutes: float, seed: int, say: Say) -> Report:
    """Let a camera run at 30 images a second while one fault follows the other."""
    report = Report(f'endurance test of {minutes:g} min at {RATE:g} images/s', say=say)
    done: Counter[str] = Counter()
    with Testbed(directory) as testbed:
        testbed.open_camera()
        with testbed.frames.excused():
            testbed.wait_for_results(10)
        faults = Faults(testbed, seed, report.demand)
        begun = said = time.monotonic()
        limit = _HEAPS_ON_AVERAGE if minutes >= _LONG else _HEAPS
        with Watch(testbed.server.pid, _PERIOD, memory_mib=limit) as watch:
            while time.monotonic() - begun < 60.0 * minutes:
                done[faults.do_next()] += 1
                time.sleep(_BETWEEN)
                testbed.server.check()
                if time.monotonic() - said >= _SAY_EVERY:
                    said = time.monotonic()
                    say(f'{(said - begun) / 60.0:.0f} min: {sum(done.values())} faults, '
                        f'{testbed.frames.count} results')
        report.add_growths(watch.growths())
        watch.save(directory / 'held.txt')
        _finish(testbed, report)
    report.numbers.update({name: done[name] for name in sorted(done)})
    return report


def swaps(directory: Path, count: int, seed: int, say: Say) -> Report:
    """Change the model again and again, under load; every third change is one that must fail."""
    report = Report(f'{count} changes of the model at {RATE:g} images/s', say=say)
    with Testbed(directory) as testbed:
        testbed.open_camera()
        with testbed.frames.excused():
            testbed.wait_for_results(30)
        # What the machine does without any change, to compare with.
        testbed.wait_for_results(300)
        report.numbers['longest gap before the first change ms'] = round(
            max(testbed.frames.gaps()), 1)
        faults = Faults(testbed, seed, report.demand)
        # Between the changes, when there is one model; one that stays shows by its threads.
        watch = Watch(testbed.server.pid, memory_mib=_HEAPS)
        # The thread that loads models comes with the first one.
        faults.change_model()
        watch.sample()
        for number in range(1, count + 1):
            if number % 3:
                faults.change_model()
            else:
                faults.refused_model()
            watch.sample_at_rest()
            if number % 50 == 0:
                say(f'{number} changes')
        report.add_growths(watch.growths())
        watch.save(directory / 'held.txt')
        report.numbers.update({'changed': 1 + count - count // 3, 'refused': count // 3})
        _measure_gaps(testbed, faults, report, max(_GAPS, count // 5))
        _finish(testbed, report)
    return report


def _measure_gaps(testbed: Testbed, faults: Faults, report: Report, count: int) -> None:
    """
    Change between a quick model and a slow one: no gap may be longer than one inference.

    Without any change a result comes with each image, or after each inference of a model that
    is slower than the camera. The changes may add one inference, and what the machine adds anyway:
    in 95 of 100 changes, or half of a few.
    """
    quick, slow = testbed.known[0], testbed.known[-1]
    usual = {}
    for model in (quick, slow):
        faults.set_model(model)
        begun = time.time_ns()
        testbed.wait_for_results(_USUAL)
        usual[model.name] = testbed.frames.gaps(begun)
    changes = []
    for number in range(count):
        begun = time.time_ns()
        faults.set_model((quick, slow)[number % 2])
        changes.append(testbed.frames.gaps(begun, time.time_ns()))
    longest = list(map(max, changes))
    period = 1000.0 / RATE
    inference = _part(usual[slow.name], 0.5)
    # The longest of as many gaps as a change has: more of them have longer ones.
    row = round(_part(list(map(len, changes)), 0.5))
    jitter = max(_part([max(gaps[first:first + row]) for first in range(len(gaps) - row + 1)],
                       0.95) - _part(gaps, 0.5) for gaps in usual.values())
    allowed = period + inference + jitter
    report.numbers.update({
        'changes between a quick and a slow model': count,
        'inference of the slow one ms': round(inference, 1),
        'gaps at each change': row,
        'jitter ms (longest of as many without a change, 95 of 100, above the median)': round(
            jitter, 1),
        'longest gap at a change ms (median)': round(_part(longest, 0.5), 1),
        'longest gap at a change ms (95 of 100 changes)': round(_part(longest, 0.95), 1),
        'longest gap at a change ms (all changes)': round(max(longest), 1)})
    # Of a few changes one or two decide on this, and another process may decide on them.
    part = 95 if count >= _MANY_GAPS else 50
    found = _part(longest, part / 100.0)
    report.demand(found <= allowed, (
        f'gaps at changes of the model reach {found:.0f} ms ({part} of 100), more than one '
        f'image, one inference and the jitter, {allowed:.0f} ms'))


def _part(values: Sequence[float], part: float) -> float:
    """Return what a part of the values does not exceed."""
    return sorted(values)[round(part * (len(values) - 1))]


def transitions(directory: Path, count: int, say: Say) -> Report:
    """Configure, activate, deactivate and clean up, again and again."""
    report = Report(f'{count} transitions', say=say)
    cycles = -(-count // len(_CYCLE))
    checked = 0
    with Testbed(directory, autostart=False) as testbed:
        testbed.open_camera()
        limit = LIMITS['memory_mib'] if count >= _MANY_TRANSITIONS else _HEAPS
        watch = Watch(testbed.server.pid, memory_mib=limit)
        begun = time.monotonic()
        for number in range(cycles):
            for step in _CYCLE:
                report.demand(testbed.operator.transition(step), f'{step} {number} failed')
                if step == 'activate' and number % _CHECK_EVERY == 0:
                    testbed.wait_for_results(2)
                    checked += 1
            watch.sample()
            if (number + 1) % 250 == 0:
                say(f'{(number + 1) * len(_CYCLE)} transitions')
        report.numbers.update({
            'transitions': cycles * len(_CYCLE), 'seconds': round(time.monotonic() - begun),
            'activations checked for results': checked})
        report.add_growths(watch.growths())
        watch.save(directory / 'held.txt')
        testbed.close_camera()
        report.demand(testbed.end() == 0, f'the server ended with {testbed.server.code}')
    return report


def _finish(testbed: Testbed, report: Report) -> None:
    """End camera and server, and judge the images by their records."""
    with testbed.frames.excused():
        testbed.close_camera()
    testbed.server.check()
    report.demand(testbed.end() == 0, f'the server ended with {testbed.server.code}')
    tally, counts = testbed.frames.tally(testbed.record), testbed.counts()
    numbers = asdict(tally)
    by_model = numbers.pop('by_model')
    # Replacements among bad or excused images may explain no loss at another time.
    lost = testbed.drops.unexplained(numbers.pop('missing_at'), counts['replaced'])
    unaccounted = 2 * counts['received'] - sum(counts.values())
    report.numbers.update({
        **{name.replace('_', ' '): round(value, 1) for name, value in numbers.items()},
        **{f'results of {name}': number for name, number in sorted(by_model.items())},
        'replaced by newer ones (drop policy)': counts['replaced'],
        'good images lost beyond the drop policy': lost})
    report.demand(not lost, f'{lost} good images got lost')
    report.demand(not tally.unmatched, f'{tally.unmatched} results are unmatched')
    report.demand(not tally.duplicates, f'{tally.duplicates} results are duplicates')
    report.demand(unaccounted == 0, f'the server did not account for {unaccounted} images')
    for word in ('Traceback', 'unexpected'):
        report.demand(word not in testbed.server.output, f'its log has {word!r}')
