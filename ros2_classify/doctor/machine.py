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
The machine that the doctor looks at: all that it reads from the outside goes through here.

`ThisMachine` is the real one; `ros2_classify.doctor.fake_machine.FakeMachine` stands beside it,
for tests.
"""

from __future__ import annotations

from collections.abc import Mapping
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
class Finding:
    """
    One finding.

    Parameters
    ----------
    check : str
        What was looked at: a key of `ros2_classify.doctor.CHECKS`.
    level : str
        ``ok``; ``warning`` where something works less well than it could, or for some only;
        ``error`` where something does not work.
    text : str
        What is so, in one sentence.
    cure : str
        What to do; never empty for a warning or an error.

    Raises
    ------
    ValueError
        If a warning or an error has no cure.

    """

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


# Seconds that a module may take to be imported: slow disks are slow, but nothing takes longer.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Ran:
    """
    What a piece of Python did in a process of its own.

    Parameters
    ----------
    code : int
        The exit code; negative for a signal that ended it, as in `subprocess`.
    out, err : str
        What it printed.

    """

    code: int
    out: str = ''
    err: str = ''

    @property
    def last_line(self) -> str:
        """What an exception says: the last line of standard error."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else f'exit code {self.code}'


@dataclass(frozen=True)
class Installed:
    """
    One installed package.

    Parameters
    ----------
    name, version : str
        As its own metadata say.
    directory : str
        Where it lies.

    """

    name: str
    version: str
    directory: str


@dataclass(frozen=True)
class Disk:
    """
    One file system.

    Parameters
    ----------
    total, free : int
        Bytes.

    """

    total: int
    free: int


@dataclass(frozen=True)
class Loaded:
    """
    What became of loading a model.

    Parameters
    ----------
    provider : str
        Who runs it, as ONNX Runtime says.
    load_seconds, first_seconds : float
        How long loading and the first inference took.

    """

    provider: str
    load_seconds: float
    first_seconds: float


class Machine(Protocol):
    """What the checks may ask."""

    env: Mapping[str, str]

    def run_python(self, code: str) -> Ran:
        """Run code in a Python of its own, where a crash is an answer, too."""

    def distributions(self, name: str) -> tuple[Installed, ...]:
        """Return what is installed of a package, the one that is imported first."""

    def places_of(self, module: str) -> tuple[str, ...]:
        """Return the directories of the import path that have a module, in its order."""

    def has_file(self, path: str) -> bool:
        """Tell whether there is such a file."""

    def read_text(self, path: str) -> str:
        """Return a file's content; raises OSError."""

    def disk(self, directory: Path) -> Disk:
        """Return the file system that a directory would be on; raises OSError."""

    def write_trial(self, directory: Path) -> None:
        """Write into a directory, or where it would be made, and clean up; raises OSError."""

    def size_of(self, directory: Path) -> int:
        """Return the bytes of all files below a directory."""

    def load_model(self, model: str, provider: str) -> Loaded:
        """Load a model and run it once; raises Ros2ClassifyError."""


class ThisMachine:
    """The machine that the program runs on."""

    def __init__(self) -> None:
        self.env: Mapping[str, str] = os.environ

    def run_python(self, code: str) -> Ran:
        """Run code in a Python of its own; one that hangs is ended after a minute."""
        try:
            done = subprocess.run(
                [sys.executable, '-c', code], capture_output=True, text=True, check=False,
                timeout=_PATIENCE, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return Ran(1, '', f'no answer within {_PATIENCE:.0f} s')
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
        """Write 4 kB into a directory, or into the nearest one above it that is there."""
        with tempfile.TemporaryFile(dir=_existing(directory)) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())

    def size_of(self, directory: Path) -> int:
        """Return the bytes of all files below a directory."""
        total = 0
        for top, _, names in os.walk(directory):
            for name in names:
                try:
                    total += os.lstat(os.path.join(top, name)).st_size
                except FileNotFoundError:
                    continue  # another process tidies up
        return total

    def load_model(self, model: str, provider: str) -> Loaded:
        """Load a model and run it once."""
        import time

        from ros2_classify.pipeline import Pipeline

        start = time.perf_counter()
        with Pipeline.load(model, provider=provider) as pipeline:
            loaded = time.perf_counter()
            pipeline.warm_up()
            return Loaded(
                pipeline.engine.provider, loaded - start, time.perf_counter() - loaded)


def _existing(directory: Path) -> Path:
    """Return a directory, or the nearest one above it that is there."""
    return next(each for each in (directory, *directory.parents) if each.exists())
