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

"""The sha256 of files and of directories."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
import shutil
import threading

from ros2_classify.errors import FetchCancelledError

_CHUNK = 1024 * 1024


def check_cancel(cancel: threading.Event | None) -> None:
    """Raise FetchCancelledError once somebody has set the event."""
    if cancel is not None and cancel.is_set():
        raise FetchCancelledError('fetching the model was cancelled')


def sha256_of_file(path: Path, cancel: threading.Event | None = None) -> str:
    """
    Return a file's sha256.

    Parameters
    ----------
    path : Path
        The file.
    cancel : threading.Event, optional
        Set from elsewhere, it ends the work.

    Returns
    -------
    str
        64 lower-case hexadecimal digits.

    Raises
    ------
    FetchCancelledError
        If ``cancel`` was set.
    OSError
        If the file can't be read.

    """
    digest = hashlib.sha256()
    with open(path, 'rb') as stream:
        while chunk := stream.read(_CHUNK):
            check_cancel(cancel)
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_directory(directory: Path, cancel: threading.Event | None = None) -> str:
    """
    Return a sha256 of a directory: of its files' names, relative to it, and their contents.

    It is the sha256 of what ``find . -type f`` piped to ``sha256sum`` writes, sorted by the
    files' names as bytes: for each file its hash, two blanks, ``./``, its name, a line feed.
    Empty directories, dates and permissions don't count.

    Parameters
    ----------
    directory : Path
        The directory.
    cancel : threading.Event, optional
        Set from elsewhere, it ends the work.

    Returns
    -------
    str
        64 lower-case hexadecimal digits.

    Raises
    ------
    FetchCancelledError
        If ``cancel`` was set.
    OSError
        If a file can't be read.

    """
    digest = hashlib.sha256()
    for relative in sorted(files_below(directory), key=os.fsencode):
        line = f'{sha256_of_file(directory / relative, cancel)}  ./{relative}\n'
        digest.update(os.fsencode(line))
    return digest.hexdigest()


def files_below(directory: Path) -> Iterator[str]:
    """Yield the names of all files below a directory, relative to it, with ``/`` between."""
    for parent, _, names in os.walk(directory):
        for name in names:
            yield (Path(parent) / name).relative_to(directory).as_posix()


def copy_whole(source: Path, target: Path) -> None:
    """
    Copy a file in one step for everybody who looks; what was at its place is replaced.

    Parameters
    ----------
    source, target : Path
        From where, and to which name, in a directory that exists.

    Raises
    ------
    OSError
        If it can't be done; the target is as it was then.

    """
    # Of this process alone: another one may copy to the same name.
    part = target.with_name(f'.{target.name}.{os.getpid()}.part')
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
