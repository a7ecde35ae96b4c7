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

"""
The machine that the doctor checks: everything it reads from the system comes from here.

`ThisMachine` is the real one; tests have one of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
from typing import Literal, Protocol

Level = Literal['ok', 'warning', 'error']


@dataclass(frozen=True)
class Issue:
    """One result of a check, in one sentence; errors and warnings need a cure, or ValueError."""

    check: str
    level: Level
    text: str
    cure: str = ''

    def __post_init__(self) -> None:
        if self.level != 'ok' and not self.cure:
            raise ValueError(f'{self.check}: a {self.level} needs a cure: {self.text}')

    def to_dict(self) -> dict[str, str]:
        """Return the four fields by name."""
        return asdict(self)


# Seconds for importing a module; slow disks need many.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Ran:
    """The exit code (negative for a signal) and the output of a Python process."""

    code: int
    out: str = ''
    err: str = ''

    @property
    def last_line(self) -> str:
        """The last line of standard error: the text of an exception."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else f'exit code {self.code}'


@dataclass(frozen=True)
class Installed:
    """An installed package, and the directory it is in."""

    name: str
    version: str
    directory: str


@dataclass(frozen=True)
class Disk:
    """The size of a file system in bytes."""

    total: int
    free: int


@dataclass(frozen=True)
class Loaded:
    """The execution provider of a model, and the seconds of loading and of the first inference."""

    provider: str
    load_seconds: float
    first_seconds: float
    tuning: str = ''  # which record is used, or why none; empty without any
    tuning_fits: bool = True
    remote: str = ''  # what is at the other end; empty if it runs here


class Machine(Protocol):
    """The interface that the checks use."""

    env: Mapping[str, str]

    def run_python(self, code: str) -> Ran:
        """Run code in a Python process; a crash is a result too."""

    def distributions(self, name: str) -> tuple[Installed, ...]:
        """Return the installations of a package; the first is imported."""

    def places_of(self, module: str) -> tuple[str, ...]:
        """Return the directories of the import path that have a module, in order."""

    def has_file(self, path: str) -> bool:
        """Tell whether there is such a file."""

    def read_text(self, path: str) -> str:
        """Return a file's content; raises OSError."""

    def disk(self, directory: Path) -> Disk:
        """Return the file system that a directory would be on; raises OSError."""

    def write_trial(self, directory: Path) -> None:
        """Write into a directory, or where it would be created, and clean up; raises OSError."""

    def other_owners(self, directory: Path, beginning: str) -> tuple[int, ...]:
        """Return the numbers of other users who own files so named; raises OSError."""

    def size_of(self, directory: Path) -> int:
        """Return the bytes of all files below a directory."""

    def load_model(self, model: str, provider: str) -> Loaded:
        """Load a model and run it once; raises Ros2ClassifyError."""


class ThisMachine:
    """The machine that the program runs on."""

    def __init__(self) -> None:
        self.env: Mapping[str, str] = os.environ

    def run_python(self, code: str) -> Ran:
        """Run code in a Python process; kill it after a minute."""
        try:
            done = subprocess.run(
                [sys.executable, '-c', code], capture_output=True, text=True, check=False,
                timeout=_PATIENCE, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return Ran(1, '', f'no result within {_PATIENCE:.0f} s')
        return Ran(done.returncode, done.stdout, done.stderr)

    def distributions(self, name: str) -> tuple[Installed, ...]:
        """Return what is installed of a package, in the order of the import path."""
        found: dict[str, Installed] = {}
        for each in metadata.distributions(name=name):
            # A directory may be in the path twice.
            directory = str(Path(str(each.locate_file(''))).resolve())
            found.setdefault(directory, Installed(name, each.version, directory))
        return tuple(found.values())

    def places_of(self, module: str) -> tuple[str, ...]:
        """Return the directories of the import path that have a module."""
        found = []
        for entry in sys.path:
            directory = Path(entry or '.')
            if (directory / module).is_dir() or any(directory.glob(f'{module}.*so')) or (
                    directory / f'{module}.py').is_file():
                found.append(str(directory.resolve()))
        return tuple(dict.fromkeys(found))

    def has_file(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return Path(path).is_file()

    def read_text(self, path: str) -> str:
        """Return a file's content."""
        return Path(path).read_text(encoding='utf-8', errors='replace')

    def disk(self, directory: Path) -> Disk:
        """Return the file system that a directory is on or would be on."""
        usage = shutil.disk_usage(_existing(directory))
        return Disk(usage.total, usage.free)

    def write_trial(self, directory: Path) -> None:
        """Write 4 kB into a directory, or into its nearest existing parent."""
        with tempfile.TemporaryFile(dir=_existing(directory)) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())

    def other_owners(self, directory: Path, beginning: str) -> tuple[int, ...]:
        """Return the numbers of other users who own files so named."""
        owners = set()
        for path in directory.glob(f'{beginning}*'):
            with suppress(FileNotFoundError):
                owners.add(path.stat().st_uid)
        return tuple(sorted(owners - {os.geteuid()}))

    def size_of(self, directory: Path) -> int:
        """Return the bytes of all files below a directory."""
        total = 0
        for top, _, names in os.walk(directory):
            for name in names:
                try:
                    total += os.lstat(os.path.join(top, name)).st_size
                except FileNotFoundError:
                    continue  # another process deleted it
        return total

    def load_model(self, model: str, provider: str) -> Loaded:
        """Load a model and run it once."""
        import time

        from ros2_classify.engines.remote import describe_remote
        from ros2_classify.pipeline import Pipeline

        start = time.perf_counter()
        with Pipeline.load(model, provider=provider) as pipeline:
            loaded = time.perf_counter()
            pipeline.warm_up()
            first, tuning = time.perf_counter() - loaded, pipeline.tuning
            return Loaded(pipeline.engine.provider, loaded - start, first,
                          tuning.text if tuning else '', not (tuning and tuning.warning),
                          describe_remote(pipeline.engine))


def _existing(directory: Path) -> Path:
    """Return a directory, or its nearest existing parent."""
    return next(each for each in (directory, *directory.parents) if each.exists())
