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
"""The impolite faults of a long run; after each one the server must be as before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
import random
import re
import time
from typing import Any

from ros2_classify_benchmark.stress.growth import Watch
from ros2_classify_benchmark.stress.hostile_testbed import (
    bombs, HostileTestbed, keep_busy, LIMIT, TOPIC)
from ros2_classify_benchmark.stress.operator import refusal
from ros2_classify_benchmark.stress.report import Report
from ros2_classify_benchmark.stress.slow_server import KINDS, slow_server
from ros2_classify_benchmark.stress.testbed import counts

_WARN, _ERROR = 1, 2
# Seconds until images flow again, and until the diagnostics say what has been wrong.
_RECOVERS = 30.0
_NOTICES = 30.0
# Until a download from a slow server is given up: five attempts of up to a minute, and pauses.
_GIVES_UP = 360.0
_LOADS = 180.0
# A newer request overtakes a download at once; the rest is patience on a busy machine.
_OVERTAKES = 10.0
_STARVES, _SHARE = 15.0, 0.1
_PRESSES = 10.0
_BETWEEN = 3.0
_BOMB_EVERY = 60.0
_POLL = 0.1
# MiB that the heap may gain after each attack has come a few times; see `runs`. The second time
# fills the middleware's buffers of large messages, and parts of Python's heap that stay.
_HEAPS = 40.0
_TIMES = 2


class Hostile:
    """
    The faults, in an order that a seed decides.

    Parameters
    ----------
    testbed : HostileTestbed
        The processes.
    directory : Path
        For the attacks.
    seed : int
        Where the order begins.
    report : Report
        Gets numbers and complaints.

    """

    def __init__(self, testbed: HostileTestbed, directory: Path, seed: int, report: Report,
                 url_of: Callable[[str], str]) -> None:
        self._testbed, self._operator = testbed, testbed.operator
        self._directory = directory
        self._random = random.Random(seed)
        self._report = report
        self._url_of = url_of
        self._bombs = self._again_and_again()
        self._last_bomb = 0.0
        self._made: list[Any] = []
        self._images: list[Any] = []
        self._slow = 0
        self._left: list[str] = []
        self.done: Counter[str] = Counter()
        self.recoveries: list[float] = []
        self._faults: dict[str, Callable[[], None]] = {
            'slow server': self._slow_server, 'camera killed': self._camera_killed,
            'processor taken away': self._starve}
        if testbed.has_disk:
            self._faults['full log disk'] = self._full_disk
        if testbed.group is not None:
            self._faults['memory pressure'] = self._pressure

    def do_next(self) -> str:
        """Do the next one and return its name: each comes once before any comes again."""
        if time.monotonic() - self._last_bomb >= _BOMB_EVERY:
            name, act = 'bomb', self.bomb
        else:
            if not self._left:
                self._left = list(self._faults)
                self._random.shuffle(self._left)
            name = self._left.pop()
            act = self._faults[name]
        act()
        self._recover(name)
        self.done[name] += 1
        return name

    def bomb(self) -> None:
        """Give the server the next attack."""
        self._last_bomb = time.monotonic()
        self.attack(next(self._bombs))

    def attack(self, bomb: Any) -> None:
        """Give the server an attack, and expect what it says of it."""
        since = time.monotonic()
        if bomb.model is None:
            self._attack_by_image(bomb)
            return
        future = self._operator.begin_to_set(model=str(bomb.model))

        def response() -> Any:
            self._testbed.server.check()
            return future.done() and future
        reason = refusal(self._operator.wait(
            response, f'a response to {bomb.name}', _LOADS).result())
        self._expect(bool(reason and re.search(bomb.words, reason)),
                     f'{bomb.name}: the reason was {reason!r}')
        self._says('model', _WARN, since, bomb.name, reason[:40])
        self.done[f'refused: {bomb.name}'] += 1

    def _attack_meanwhile(self) -> None:
        """Send an attack while no model can be set, if one is due."""
        if self._images and time.monotonic() - self._last_bomb >= _BOMB_EVERY:
            self._last_bomb = time.monotonic()
            self._attack_by_image(self._random.choice(self._images))
            self.done['bomb'] += 1

    def _attack_by_image(self, bomb: Any) -> None:
        before = self._testbed.front
        self._testbed.send(bomb.image, '\x1b[2Jjpeg')
        # Whether it is refused or not, the next good one has a result.
        end = time.monotonic() + _RECOVERS
        while self._testbed.front == before and time.monotonic() < end:
            self._testbed.send(self._testbed.good())
            time.sleep(0.5)
        self._expect(self._testbed.front > before, f'{bomb.name}: no result of the next image')
        self.done[f'image: {bomb.name}'] += 1

    def try_all_bombs(self) -> None:
        """Give the server each attack a few times: then its heap is as large as they make it."""
        for turn in range(_TIMES):
            for bomb in self._made if turn else self._make_bombs():
                self.attack(bomb)
                self._testbed.server.check()
                self._testbed.wait_for_results(1)

    def _make_bombs(self) -> Iterator[Any]:
        for bomb in bombs(self._directory):
            self._made.append(bomb)
            if bomb.model is None:
                self._images.append(bomb)
            yield bomb

    def _again_and_again(self) -> Iterator[Any]:
        if not self._made:
            yield from self._make_bombs()
        while True:
            yield from self._made

    def _slow_server(self) -> None:
        kind = KINDS[self._slow % len(KINDS)]
        self._slow += 1
        # One is waited for, the next one is overtaken.
        is_overtaken = self._slow % 2 == 0
        since = time.monotonic()
        future = self._operator.begin_to_set(model=f'{self._url_of(kind)}#sha256={"a" * 64}')
        warned = False
        while not future.done():
            # Nobody waits for it but the caller.
            self._testbed.wait_for_results(1, _RECOVERS)
            self._attack_meanwhile()
            warned = warned or 'has been on its way' in self._operator.status('inference')[1]
            if warned and is_overtaken:
                self._overtake(future, kind)
                return
            if time.monotonic() > since + _GIVES_UP:
                self._expect(False, f'a server with a slow {kind} is waited for for '
                             f'{_GIVES_UP:.0f} s')
                break
        else:
            reason = refusal(future.result())
            self._expect(bool(re.search('slow|stopped responding', reason)),
                         f'slow {kind}: the reason was {reason!r}')
            self._says('model', _WARN, since, f'slow {kind}', '127.0.0.1')
            self._expect(warned, f'slow {kind}: the diagnostics did not say that it takes long')
        self.done[f'slow {kind}'] += 1
        self._report.numbers['longest time until a slow server is given up s'] = max(
            round(time.monotonic() - since),
            self._report.numbers.get('longest time until a slow server is given up s', 0))

    def _overtake(self, future: Any, kind: str) -> None:
        """Set another model, which is refused in its turn and not because of the slow one."""
        begun = time.monotonic()
        reason = self._operator.set_values(model=f'{self._directory}/overtakes.onnx')
        self._expect('overtakes' in reason and 'has not ended' not in reason,
                     f'overtaking a slow {kind}: the reason was {reason!r}')
        given_up = refusal(self._operator.wait(
            lambda: future.done() and future, 'the end of what was overtaken').result())
        gone = time.monotonic() - begun
        self._expect('was given up before its files were there' in given_up,
                     f'slow {kind}, overtaken: the reason was {given_up!r}')
        self._expect(gone < _OVERTAKES, f'overtaking a slow {kind} took {gone:.1f} s')
        self.done[f'overtaken: slow {kind}'] += 1

    def _camera_killed(self) -> None:
        with self._testbed.frames.excused():
            since = time.monotonic()
            self._testbed.close_camera(kill=True)
            self._says(f'images {TOPIC}', _ERROR, since, 'a killed camera', TOPIC)
            self._testbed.open_camera()
            self._testbed.wait_for_results(3)

    def _starve(self) -> None:
        with self._testbed.frames.excused():
            group = self._testbed.group
            if group is None:
                keep_busy(_STARVES)
            else:
                since = time.monotonic()
                group.limit_processor(_SHARE)
                try:
                    self._says('machine', _WARN, since, 'a processor taken away',
                               'processors are short')
                    time.sleep(max(0.0, since + _STARVES - time.monotonic()))
                finally:
                    group.limit_processor(None)
            self._testbed.wait_for_results(3)

    def _full_disk(self) -> None:
        since = time.monotonic()
        filler = self._testbed.fill_logs()
        try:
            for number in range(20):
                reason = self._operator.set_values(model=f'{self._directory}/none{number}.onnx')
                self._expect('none' in reason, f'full log disk: the reason was {reason!r}')
            self._testbed.wait_for_results(3)
            self._says('inference', _WARN, since, 'a full log disk', 'the disk of the log files')
        finally:
            filler.unlink()
        self._operator.set_values(model=f'{self._directory}/none_after_all.onnx')
        self._expect('none_after_all' in self._testbed.logged(), 'nothing is logged any more')

    def _pressure(self) -> None:
        group = self._testbed.group
        assert group is not None
        before, since = group.kills(), time.monotonic()
        with self._testbed.frames.excused():
            self._expect(self._testbed.press(_PRESSES), 'the kernel did not end what takes memory')
            self._testbed.server.check()
            self._testbed.wait_for_results(3)
        self._expect(group.kills() == before + 1, 'the kernel ended another process')
        self._says('machine', _WARN, since, 'memory pressure', 'memory is short')

    def _recover(self, name: str) -> None:
        """Wait for images and quiet diagnostics, and note how long that takes."""
        begun = time.monotonic()
        self._testbed.server.check()
        self._testbed.wait_for_results(3, _RECOVERS)
        self.recoveries.append(time.monotonic() - begun)
        end = begun + _NOTICES
        level, text = -1, ''
        while time.monotonic() < end:
            level, text = self._operator.status(f'images {TOPIC}', begun)
            if level == 0:
                return
            time.sleep(_POLL)
        self._expect(False, f'{name}: {_NOTICES:.0f} s later the diagnostics say {text!r}')

    def _says(self, part: str, level: int, since: float, what: str, *words: str) -> None:
        """Expect the diagnostics to name a cause."""
        end = time.monotonic() + _NOTICES
        found, text = -1, ''
        while time.monotonic() < end:
            found, text = self._operator.status(part, since)
            if found >= level and all(word in text for word in words):
                return
            time.sleep(_POLL)
        self._expect(False, f'{what}: the diagnostics of {part} say {text!r} (level {found})')

    def _expect(self, holds: bool, complaint: str) -> None:
        self._report.demand(holds, complaint)


def hostile(directory: Path, minutes: float, rate: float, seed: int,
            say: Callable[[str], None]) -> Report:
    """Let the shipped model see a camera while one impolite fault follows the other."""
    report = Report(f'impolite faults for {minutes:g} min at {rate:g} images/s', say=say)
    with HostileTestbed(directory, rate) as testbed, slow_server() as url_of:
        _begin(testbed, report)
        faults = Hostile(testbed, directory / 'attacks', seed, report, url_of)
        faults.try_all_bombs()
        say(f'each attack {_TIMES} times: {dict(faults.done)}, peak {testbed.peak() >> 20} MiB')
        begun = said = time.monotonic()
        with Watch(testbed.server.pid, 1.0, memory_mib=_HEAPS) as watch:
            while time.monotonic() - begun < 60.0 * minutes:
                faults.do_next()
                time.sleep(_BETWEEN)
                if time.monotonic() - said >= 60.0:
                    said = time.monotonic()
                    say(f'{(said - begun) / 60.0:.0f} min: {dict(faults.done)}, '
                        f'{testbed.frames.count} results, peak {testbed.peak() >> 20} MiB')
        report.add_growths(watch.growths())
        watch.save(directory / 'held.txt')
        _end(testbed, faults, report)
    return report


def attacks(directory: Path, say: Callable[[str], None]) -> Report:
    """Try all attacks of the tests, one after the other, on one server."""
    report = Report('all attacks on one server', say=say)
    with HostileTestbed(directory, 2.0) as testbed, slow_server() as url_of:
        _begin(testbed, report)
        faults = Hostile(testbed, directory / 'attacks', 1, report, url_of)
        for bomb in bombs(directory / 'attacks'):
            begun = time.monotonic()
            faults.attack(bomb)
            testbed.server.check()
            testbed.wait_for_results(1)
            say(f'{bomb.name}: {time.monotonic() - begun:.1f} s, peak '
                f'{testbed.peak() >> 20} MiB')
        report.numbers['attacks'] = sum(faults.done.values())
        _end(testbed, faults, report)
    return report


def _begin(testbed: HostileTestbed, report: Report) -> None:
    with testbed.frames.excused():
        testbed.open_camera()
        testbed.wait_for_results(5)
    report.numbers['memory'] = '1 GiB (control group)' if testbed.group is not None else (
        'not limited: no control group may be made here')
    if not testbed.has_disk:
        report.numbers['full log disk'] = 'not tried: no file system may be mounted here'


def _end(testbed: HostileTestbed, faults: Hostile, report: Report) -> None:
    """End camera and server, and judge the images by their records."""
    report.numbers['most memory of the server MiB'] = testbed.peak() >> 20
    report.demand(testbed.peak() < LIMIT, 'the server took more than 1 GiB')
    with testbed.frames.excused():
        testbed.close_camera()
    testbed.server.check()
    testbed.server.close()
    report.demand(testbed.server.code == 0, f'the server ended with {testbed.server.code}')
    tally = testbed.frames.tally(testbed.record)
    testbed.save()
    # Those of the other stream as well, whose attacks follow their good images at once.
    counted = counts(testbed.server.output)
    unaccounted = 2 * counted['received'] - sum(counted.values())
    replaced = testbed.drops.total
    lost = testbed.drops.unexplained(tally.missing_at, replaced)
    report.numbers.update({
        'images sent': tally.sent, 'with a result': tally.results,
        'without one, as expected: no camera, no processor, no memory': tally.excused,
        'without one, otherwise': tally.missing, 'replaced by newer ones': replaced,
        'lost beyond the drop policy': lost, 'results that differ': tally.unmatched,
        'published twice': tally.duplicates,
        'delivered twice by the middleware': testbed.frames.delivered_twice,
        'longest gap between results ms': round(tally.longest_gap_ms),
        'recoveries': len(faults.recoveries),
        'longest recovery s': round(max(faults.recoveries, default=0.0), 1),
        'restarts of the server': 0})
    report.numbers.update(sorted(faults.done.items()))
    report.demand(unaccounted == 0, f'the server did not account for {unaccounted} images')
    report.demand(not lost, f'{lost} good images got lost')
    report.demand(not tally.unmatched, f'{tally.unmatched} results differ from the first one, '
                  f'or have no card where it is: {testbed.frames.card}')
    report.demand(not tally.duplicates, f'{tally.duplicates} results are of an image that has one')
    for word in ('Traceback', 'unexpected', '\x1b]', '\x1b[2J'):
        report.demand(word not in testbed.server.output, f'its log has {word!r}')
