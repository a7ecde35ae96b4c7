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

"""A machine for the doctor's checks that holds what a test says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

from ros2_classify.doctor.machine import Disk, Installed, Loaded, Ran


@dataclass
class FakeMachine:
    """A machine on which all is well, except for what a test changes."""

    env: Mapping[str, str] = field(default_factory=dict)
    # by a part of the code; other code prints ``{}``
    ran: Mapping[str, Ran] = field(default_factory=dict)
    installed: Mapping[str, tuple[Installed, ...]] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # directories by module
    files: Mapping[str, str] = field(default_factory=dict)  # contents by path
    # by the beginning of a path; the longest counts
    disks: Mapping[str, Disk] = field(default_factory=dict)
    write_error: Union[OSError, None] = None
    model_error: Union[Exception, None] = None
    owners: tuple[int, ...] = ()  # other users with files in the shared memory
    size: int = 0  # bytes of every directory
    loaded: Loaded = Loaded('CPUExecutionProvider', 0.1, 0.01)

    def run_python(self, code: str) -> Ran:
        """Return the result whose key is in the code."""
        return next((ran for part, ran in self.ran.items() if part in code), Ran(0, '{}'))

    def distributions(self, name: str) -> tuple[Installed, ...]:
        """Return what the test set."""
        return tuple(self.installed.get(name, ()))

    def places_of(self, module: str) -> tuple[str, ...]:
        """Return what the test set."""
        return tuple(self.places.get(module, ()))

    def has_file(self, path: str) -> bool:
        """Tell whether the test set the file."""
        return path in self.files

    def read_text(self, path: str) -> str:
        """Return what the test set."""
        if path not in self.files:
            raise FileNotFoundError(2, 'No such file or directory', path)
        return self.files[path]

    def disk(self, directory: Path) -> Disk:
        """Return what the test set, or a large empty disk."""
        fitting = [path for path in self.disks if str(directory).startswith(path)]
        return self.disks[max(fitting, key=len)] if fitting else Disk(10**12, 10**12)

    def write_trial(self, directory: Path) -> None:
        """Raise what the test set."""
        if self.write_error is not None:
            raise self.write_error

    def other_owners(self, directory: Path, beginning: str) -> tuple[int, ...]:
        """Return what the test set."""
        return self.owners

    def size_of(self, directory: Path) -> int:
        """Return what the test set."""
        return self.size

    def load_model(self, model: str, provider: str) -> Loaded:
        """Return or raise what the test set."""
        if self.model_error is not None:
            raise self.model_error
        return self.loaded
