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
"""Steps that remember what they did: a second run is quick, and an interrupted one continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import dataclass
import fcntl
import hashlib
import os
from pathlib import Path
import subprocess
import time

from environment import ROOT, ScriptError

# Lines of a failed program's output that are shown.
LINES_SHOWN = 20
# What a stamp says of a step that was started and did not end.
RUNNING = 'running'


@dataclass(frozen=True)
class Step:
    """A step of the set-up; its stamp holds the key of its last run."""

    name: str
    # What the user reads.
    title: str
    # Changes with everything that the result depends on.
    key: str
    # The argument tells whether an earlier run was interrupted: don't trust what it left.
    run: Callable[[bool], None]


def key_of(inputs: Sequence[Path], *facts: object) -> str:
    """Return a key of files' contents and other facts."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in inputs:
        digest.update(f'{os.path.relpath(path, ROOT)}\0'.encode() + path.read_bytes() + b'\0')
    return digest.hexdigest()


def last_key(step: Step, stamps: Path) -> str:
    """Return what the step's stamp says; empty if there is none."""
    stamp = stamps / step.name
    return stamp.read_text() if stamp.exists() else ''


def pending(steps: Sequence[Step], stamps: Path) -> list[Step]:
    """List the steps to run."""
    return [step for step in steps if last_key(step, stamps) != step.key]


def run(steps: Sequence[Step], stamps: Path) -> float:
    """Run what is pending and say so; return the seconds it took."""
    start = time.monotonic()
    stamps.mkdir(parents=True, exist_ok=True)
    for step in steps:
        # Read here: a step may remove the stamps of later ones.
        last = last_key(step, stamps)
        if last == step.key:
            continue
        interrupted = last == RUNNING
        again = ' (again: it was interrupted)' if interrupted else ''
        print(f'[{steps.index(step) + 1}/{len(steps)}] {step.title}{again} … ', end='', flush=True)
        begin = time.monotonic()
        (stamps / step.name).write_text(RUNNING)
        try:
            step.run(interrupted)
        except BaseException:
            print('interrupted', flush=True)
            raise
        # In one go: a reader sees the old stamp or the new one.
        (stamps / '.new').write_text(step.key)
        (stamps / '.new').replace(stamps / step.name)
        print(f'{time.monotonic() - begin:.1f} s', flush=True)
    return time.monotonic() - start


def call(command: Sequence[str | Path], log: Path, variables: dict[str, str],
         cwd: Path | None = None, advice: str = '') -> None:
    """Run a program with its output in a log file; a failure shows the end of it."""
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
            f'error: {Path(words[0]).name} failed with exit code {code}. The end of its output:',
            *(f'  | {line}' for line in text[-LINES_SHOWN:]),
            f'See {log}.', *([advice] if advice else [])]))


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let a second set-up of the same environment wait until this one is over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as lock:
        # Started programs inherit the lock: if this one is killed and they live on, the next
        # set-up waits for them as well.
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Another set-up is running here: waiting for it to end …', flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
