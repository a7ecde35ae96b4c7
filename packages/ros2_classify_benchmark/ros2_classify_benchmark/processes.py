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


"""The processes of a run: helpers that take commands, and nodes that are measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
import contextlib
import ctypes
import fcntl
import json
import os
from pathlib import Path
import queue
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from types import TracebackType
from typing import Any

from ros2_classify.errors import Ros2ClassifyError

# Seconds for something to come up or to end, on a busy machine.
PATIENCE = 60.0
_GRACE = 10.0
# The tests have those below, the demo those above; see test/ros_domain.py, whose locks are there
# too.
_DOMAINS = range(61, 92)
_LOCKS = Path(tempfile.gettempdir(), 'ros2_classify_domains')
# Held until the process ends; of many runs in one process, those of the latest.
_taken: deque[int] = deque(maxlen=8)
_LINES_SHOWN = 12

# <sys/prctl.h>, Linux. Loaded here: between fork and exec nothing may be.
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == 'linux' else None


class BenchError(Ros2ClassifyError):
    """The benchmark can't go on; the message says what failed, with the end of its log."""


def _take_domain() -> int:
    """Lock a domain that no other run has; without any left, choose one at random."""
    domains = random.SystemRandom().sample(_DOMAINS, len(_DOMAINS))
    with contextlib.suppress(FileExistsError):
        _LOCKS.mkdir()
        _LOCKS.chmod(0o1777)  # for all users of the machine
    for domain in domains:
        try:
            lock = os.open(_LOCKS / str(domain), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        if len(_taken) == _taken.maxlen:
            os.close(_taken[0])
        _taken.append(lock)
        return domain
    return domains[0]


def environment() -> dict[str, str]:
    """
    Return the environment of all processes: a ROS domain that no other run here uses.

    Compiled modules are kept, whatever a developer's shell says: an installed package has them,
    and without them a start takes a third longer.
    """
    own = {name: value for name, value in os.environ.items() if name != 'PYTHONDONTWRITEBYTECODE'}
    return {
        **own, 'ROS_DOMAIN_ID': str(_take_domain()),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'PYTHONUNBUFFERED': '1'}


class Helper:
    """
    A process that does what it is told, one JSON object a line.

    Parameters
    ----------
    module : str
        The Python module that it runs.
    settings : mapping
        Its argument.
    env : mapping of str to str
        Its environment.
    log : Path
        What it writes to the standard error goes here.

    """

    def __init__(
            self, module: str, settings: Mapping[str, Any], env: Mapping[str, str],
            log: Path) -> None:
        self._name = module.rpartition('.')[2]
        self._log = log
        with log.open('wb') as errors:
            # A session of its own: Ctrl-C is for this process, which ends the others in order.
            self._process = subprocess.Popen(
                [sys.executable, '-m', module, json.dumps(dict(settings))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=dict(env), start_new_session=True)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process' number."""
        return self._process.pid

    def ready(self) -> dict[str, Any]:
        """Wait for the first thing it says, and return that."""
        return self._next(PATIENCE)

    def ask(self, do: str, **words: Any) -> Any:
        """Send a request and return the reply."""
        self.tell(do, **words)
        return self.result()

    def tell(self, do: str, **words: Any) -> None:
        """Send a request; `result` waits for the reply."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({'do': do, **words}) + '\n')
            stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def result(self, seconds: float = 0.0) -> Any:
        """Wait for the reply; ``seconds`` is the least that it takes."""
        said = self._next(seconds + PATIENCE)
        if 'error' in said:
            raise BenchError(f'the process {self._name} failed: {said["error"]}')
        return said['result']

    def close(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        end(self._process, None)
        self._reader.join(_GRACE)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise BenchError(
                f'the process {self._name} did not reply within {seconds:.0f} s') from None
        if line is None:
            raise self._failed()
        said: dict[str, Any] = json.loads(line)
        return said

    def _failed(self) -> BenchError:
        return BenchError(
            f'the process {self._name} ended{end_of(self._log)}')

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


class NodeProcess:
    """
    A node under test: any command.

    Parameters
    ----------
    command : sequence of str
        The words.
    env : mapping of str to str
        Its environment.
    log : Path
        A copy of all it says.

    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self._command = list(command)
        self._log = log
        self._lines: list[tuple[float, str]] = []
        self._news = threading.Condition()
        self.started = time.monotonic()
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors='replace', env=dict(env),
                start_new_session=True, preexec_fn=_end_with_parent)
        except OSError as error:
            raise BenchError(
                f'{self._command[0]} cannot be started: {error.strerror}') from error
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process' number."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """All it has said so far."""
        with self._news:
            return '\n'.join(line for _, line in self._lines)

    def check(self) -> None:
        """Raise BenchError if it has ended."""
        if self._process.poll() is not None:
            self._reader.join(_GRACE)
            raise BenchError(
                f'{" ".join(self._command)} ended with exit code {self._process.returncode}'
                f'{end_of(self._log)}')

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> float:
        """Wait for a line."""
        deadline = time.monotonic() + seconds
        seen = 0
        while time.monotonic() < deadline:
            with self._news:
                self._news.wait_for(lambda: len(self._lines) > seen, 0.2)
                new, seen = self._lines[seen:], len(self._lines)
            for when, line in new:
                if re.search(pattern, line):
                    return when - self.started
            if not new:
                self.check()
        raise BenchError(
            f'{" ".join(self._command)} did not say {pattern!r} within {seconds:.0f} s'
            f'{end_of(self._log)}')

    def close(self) -> None:
        """Ask it to end, as Ctrl-C does, and insist."""
        end(self._process, signal.SIGINT)
        self._reader.join(_GRACE)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def __enter__(self) -> NodeProcess:
        """Return the node; it is ended with the block."""
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """End it."""
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._log.open('w') as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self._lines.append((time.monotonic(), line.rstrip('\n')))
                    self._news.notify_all()


def _end_with_parent() -> None:
    """Have the kernel end the new process when this one is killed; helpers notice themselves."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def end(process: subprocess.Popen[str], first: signal.Signals | None) -> None:
    """End a process and all of its session: with a signal, then with harder ones."""
    for number in (first, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if number is not None and process.poll() is None:
            # A launcher's node may live on without it: all of the session is asked.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            break
    # What the launcher has left behind.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def end_of(log: Path) -> str:
    """Return the end of a log as a paragraph."""
    lines = log.read_text(errors='replace').splitlines() if log.is_file() else []
    if not lines:
        return ''
    return '\n'.join([f'; the end of {log}:', *(f'  | {line}' for line in lines[-_LINES_SHOWN:])])
