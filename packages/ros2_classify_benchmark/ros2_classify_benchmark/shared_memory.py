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
Remove shared memory that processes killed hard have left behind.

Fast DDS makes its segments in /dev/shm and removes them at a clean exit. A process that is killed
leaves its own, and a run of many such processes fills the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import fcntl
import os
from pathlib import Path

DIRECTORY = Path('/dev/shm')
PATTERNS = ('fastdds_*', 'fastrtps_*', 'sem.fastdds_*', 'sem.fastrtps_*')
# Fast DDS holds a lock on a file of this ending as long as the segment or port is in use.
LOCKS = ('_el', '_sl')


def segments() -> set[Path]:
    """Return all files of Fast DDS that are there now."""
    return {path for pattern in PATTERNS for path in DIRECTORY.glob(pattern)}


@contextlib.contextmanager
def removed() -> Iterator[None]:
    """Remove what processes of the block leave behind, however it ends."""
    before = segments()
    try:
        yield
    finally:
        remove_left_behind(before)


def remove_left_behind(before: set[Path]) -> list[Path]:
    """Remove what was made since `segments` returned `before` and is not in use; return it."""
    made = segments() - before
    mapped = _mapped()
    removed = []
    for path in sorted(made):
        if str(path) not in mapped and not _in_use(path, made):
            # Gone already: its process was still about to end.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                path.unlink()
                removed.append(path)
    return removed


def _in_use(path: Path, made: Iterable[Path]) -> bool:
    """Tell whether a process, seen from here or not, holds the lock that belongs to a file."""
    name = path.name.removeprefix('sem.').removesuffix('_mutex')
    for ending in LOCKS:
        name = name.removesuffix(ending)
    return any(_locked(DIRECTORY / f'{name}{ending}') for ending in LOCKS)


def _locked(path: Path) -> bool:
    """Tell whether another process has locked a file; one that is missing is not locked."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _mapped() -> set[str]:
    """Return the shared memory that processes of this machine have mapped."""
    found: set[str] = set()
    for maps in Path('/proc').glob('[0-9]*/maps'):
        try:
            lines = maps.read_text(errors='replace').splitlines()
        except OSError:  # ended meanwhile, or another user's: its lock speaks for it
            continue
        found.update(line.split(None, 5)[5] for line in lines if '/dev/shm/' in line)
    return found
