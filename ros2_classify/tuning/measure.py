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

"""Processes of candidates, and rounds in which they take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import select
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

import numpy as np

from ros2_classify.errors import EngineError, OptionsError
from ros2_classify.tuning.candidates import Candidate

Row = dict[str, Any]
# The default of the last third of the rounds over that of the first: more is told.
DRIFT = 1.1
_MODULE = 'ros2_classify.tuning.worker'


def command(runtime: str, work: Path) -> tuple[list[str], dict[str, str]]:
    """
    Return the words and the environment of a worker.

    A runtime is an interpreter, which gets this package and nothing else of this installation, or
    a directory that ``pip install --target`` filled, which comes first in the import path.
    """
    environment = {**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'}
    if not runtime:
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, sys.path))
        return [sys.executable, '-m', _MODULE], environment
    place = Path(runtime).expanduser()
    if place.is_dir():
        if not (place / 'onnxruntime').is_dir():
            raise OptionsError(
                f'--runtime {runtime} has no onnxruntime; fill it: pip install --no-deps --target '
                f'{runtime} onnxruntime-openvino')
        environment['PYTHONPATH'] = os.pathsep.join([str(place), *filter(None, sys.path)])
        return [sys.executable, '-m', _MODULE], environment
    if not os.access(place, os.X_OK):
        raise OptionsError(f'--runtime {runtime} is neither a Python interpreter nor a directory')
    only = work / 'packages'
    only.mkdir(exist_ok=True)
    # Beside it would be this interpreter's ONNX Runtime.
    for name in ('ros2_classify', 'ros2_classify_evaluation'):
        module = sys.modules.get(name)
        if module is not None and module.__file__ and not (only / name).exists():
            (only / name).symlink_to(Path(module.__file__).parent)
    environment['PYTHONPATH'] = str(only)
    return [str(place), '-m', _MODULE], environment


class WorkerProcess:
    """The process of one candidate; EngineError if it fails, crashes, or takes too long."""

    def __init__(self, candidate: Candidate, work: Path) -> None:
        self.candidate = candidate
        self._log = (work / f'worker{time.monotonic_ns()}.log').open('wb')
        words, environment = command(candidate.runtime, work)
        self._process = subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log)

    def ask(self, do: str, patience: float, **arguments: Any) -> dict[str, Any]:
        """Send a request and return the response."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({'do': do, **arguments}).encode() + b'\n')
            self._process.stdin.flush()
        except OSError:
            return self._ended()
        if not select.select([self._process.stdout], [], [], max(0.1, patience))[0]:
            self.close()
            raise EngineError(f'no response to {do} within {patience:.0f} s')
        line = self._process.stdout.readline()
        if not line:
            return self._ended()
        response: dict[str, Any] = json.loads(line)
        if 'error' in response:
            raise EngineError(response['error'])
        return response

    def _ended(self) -> dict[str, Any]:
        code = self._process.wait(10.0)
        lines = Path(self._log.name).read_text(errors='replace').strip().splitlines()
        raise EngineError(f'the process ended with {code}: {lines[-1] if lines else "no message"}')

    def close(self) -> None:
        """End the process; closing twice does nothing."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> WorkerProcess:
        """Return itself; it is closed at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the process."""
        self.close()


@dataclass
class Measured:
    """What the rounds of one candidate gave, and the default's of the same rounds."""

    candidate: Candidate
    rounds: list[Row] = field(default_factory=list)
    pairs: list[tuple[Row, Row]] = field(default_factory=list)
    refused: str = ''

    def median(self, metric: str) -> float:
        """Return the median of all rounds."""
        return float(np.median([each[metric] for each in self.rounds])) if self.rounds else 0.0

    def gain(self, metric: str) -> tuple[float, float, float]:
        """Return how many times as good as the default, with an interval of the median."""
        ratios = sorted(
            theirs[metric] / ours[metric] if metric != 'images_per_second'
            else ours[metric] / theirs[metric]
            for theirs, ours in self.pairs if ours[metric] > 0 and theirs[metric] > 0)
        return interval(ratios)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """
    Return the median of sorted values, and its interval of at least 90 % by order statistics.

    Fewer than five values give none narrower than their whole range.
    """
    if not values:
        return 1.0, 0.0, float('inf')
    count = len(values)
    # P(X < k) for X ~ Binomial(count, 1/2): the rank that leaves at most 5 % on each side.
    rank, below, ways = 0, 0.0, 1.0
    while rank < count // 2:
        below += ways / 2.0 ** count
        if below > 0.05:
            break
        rank += 1
        ways = ways * (count - rank + 1) / rank
    rank = max(0, rank - 1)
    return float(np.median(values)), values[rank], values[count - 1 - rank]


def rounds(
    workers: Mapping[Candidate, WorkerProcess], reference: Candidate, count: int, slice_s: float,
    deadline: float, say: Callable[[str], Any] = lambda _: None,
) -> dict[Candidate, Measured]:
    """Let the candidates take turns; the order changes, so that none is always the first."""
    found = {each: Measured(each) for each in workers}
    for number in range(count):
        left = [each for each in workers if not found[each].refused]
        if time.monotonic() + slice_s * len(left) > deadline and number:
            say(f'the budget ends after {number} of {count} rounds')
            break
        turn = left[number % len(left):] + left[:number % len(left)]
        rows: dict[Candidate, Row] = {}
        for each in turn if number % 2 == 0 else turn[::-1]:
            try:
                rows[each] = workers[each].ask('run', 30.0 + 4 * slice_s, seconds=slice_s)
            except EngineError as error:
                found[each].refused = str(error)
                if each == reference:
                    raise
        for each, row in rows.items():
            found[each].rounds.append(row)
            found[each].pairs.append((rows[reference], row))
    return found


def drift(measured: Measured) -> str:
    """Return a sentence if the default itself became slower meanwhile."""
    times = [row['latency_ms'] for row in measured.rounds]
    third = len(times) // 3
    if third < 2:
        return ''
    ratio = float(np.median(times[-third:])) / float(np.median(times[:third]))
    hot = temperature()
    heat = f', at {hot:.0f} °C' if hot else ''
    if ratio > DRIFT:
        return (f'the default became {ratio:.2f} times as slow during the measurement{heat}: the '
                'machine heats up or does other work; ratios are of the same rounds')
    if ratio < 1.0 / DRIFT:
        return (f'the default became {1 / ratio:.2f} times as fast during the measurement: the '
                'machine did other work at first; ratios are of the same rounds')
    return ''


def temperature(zones: Path = Path('/sys/class/thermal')) -> float:
    """Return the highest temperature in °C; 0 if the machine tells none."""
    found = [0.0]
    for path in zones.glob('thermal_zone*/temp'):
        with suppress(OSError, ValueError):
            found.append(float(path.read_text(encoding='ascii')) / 1000.0)
    return max(found)
