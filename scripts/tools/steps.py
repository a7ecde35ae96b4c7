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

"""Steps that remember what they did, so that a second run is quick and a broken one goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import dataclass
import fcntl
import hashlib
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from environment import ScriptError

# Lines of a failed program's output that are shown.
LINES_SHOWN = 20


@dataclass(frozen=True)
class Step:
    """
    One step of the set-up.

    Attributes
    ----------
    name:
        Names the stamp file and the log file.
    title:
        What the user reads.
    inputs:
        Files whose contents the result depends on.
    facts:
        Other things that the result depends on.
    run:
        Does it. The argument tells whether an earlier run was broken off, so that what it left
        must not be trusted.

    """

    name: str
    title: str
    inputs: Sequence[Path]
    facts: Sequence[str]
    run: Callable[[bool], None]


class Stamps:
    """Remembers in a directory which steps are done, and with which inputs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def state(self, step: Step) -> tuple[str, str]:
        """Return ('new' | 'running' | 'done', key) as written last."""
        try:
            record = json.loads(self._path(step).read_text())
            return record['state'], record['key']
        except (OSError, ValueError, KeyError):
            return 'new', ''

    def write(self, step: Step, state: str, key: str) -> None:
        """Write the state in one go: a reader sees the old one or the new one."""
        path = self._path(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix('.tmp')
        temporary.write_text(json.dumps({'state': state, 'key': key}))
        temporary.replace(path)

    def _path(self, step: Step) -> Path:
        return self._directory / f'{step.name}.json'


def keys(steps: Sequence[Step]) -> list[str]:
    """Return a key for each step: it changes with the step's inputs and with all steps before."""
    digest = hashlib.sha256()
    result = []
    for step in steps:
        digest.update(repr((step.name, *step.facts)).encode())
        for path in step.inputs:
            digest.update(str(path).encode() + b'\0' + path.read_bytes() + b'\0')
        result.append(digest.hexdigest())
    return result


def pending(steps: Sequence[Step], stamps: Stamps) -> list[tuple[Step, str, bool]]:
    """List the steps that are to be run, with their keys and whether they were broken off."""
    result: list[tuple[Step, str, bool]] = []
    for step, key in zip(steps, keys(steps)):
        state, old_key = stamps.state(step)
        # A step whose predecessor is run again is run again, too.
        if result or state != 'done' or old_key != key:
            result.append((step, key, state == 'running'))
    return result


def run(steps: Sequence[Step], stamps: Stamps) -> float:
    """Run the steps that are to be run and say so; return the seconds it took."""
    start = time.monotonic()
    todo = pending(steps, stamps)
    first = len(steps) - len(todo) + 1
    for number, (step, key, broken_off) in enumerate(todo, first):
        again = ' (once more: it was broken off)' if broken_off else ''
        print(f'[{number}/{len(steps)}] {step.title}{again} … ', end='', flush=True)
        begin = time.monotonic()
        stamps.write(step, 'running', key)
        try:
            step.run(broken_off)
        except BaseException:
            print('broken off', flush=True)
            raise
        stamps.write(step, 'done', key)
        print(f'{time.monotonic() - begin:.1f} s', flush=True)
    return time.monotonic() - start


def call(command: Sequence[str | Path], log: Path, variables: dict[str, str],
         cwd: Path | None = None, advice: str = '') -> None:
    """
    Run a program with its output in a log file.

    Raises
    ------
    ScriptError
        Where it fails: the end of its output, the log file and the advice.

    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(part) for part in command]
    with log.open('w') as output:
        output.write(f'$ {" ".join(words)}\n')
        output.flush()
        # close_fds=False hands the lock of `alone` on.
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, cwd=cwd,
                                   stderr=subprocess.STDOUT, env=variables, close_fds=False)
        try:
            code = process.wait()
        except BaseException:
            # Ctrl-C reaches the program, too; a signal to this process alone does not.
            process.terminate()
            process.wait()
            raise
    if code != 0:
        text = log.read_text(errors='replace').splitlines()
        raise ScriptError('\n'.join([
            f'{Path(words[0]).name} failed with exit code {code}. The end of what it said:',
            *(f'  | {line}' for line in text[-LINES_SHOWN:]),
            f'All of it is in {log}.', *([advice] if advice else [])]))


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep a second set-up of the same environment waiting until this one is over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as lock:
        # Programs that this one starts inherit the lock: where it is killed and they live on, the
        # next set-up waits for them as well.
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Another set-up is at work here: waiting for it to end …', flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(body: Callable[[], int]) -> int:
    """Run the body of a script; turn what stops it into words and an exit code."""
    # What is printed through a pipe must not overtake the output of started programs.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return body()
    except ScriptError as error:
        print(error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print('Interrupted. What was set up before stays.', file=sys.stderr)
        return 128 + signal.SIGINT
