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
from ros2_classify.limits import open_plain

_CHUNK = 1024 * 1024


def check_cancel(cancel: threading.Event | None) -> None:
    """Raise FetchCancelledError if the event is set."""
    if cancel is not None and cancel.is_set():
        raise FetchCancelledError('fetching the model was cancelled')


def sha256_of_file(path: Path, cancel: threading.Event | None = None) -> str:
    """Return a file's sha256."""
    digest = hashlib.sha256()
    with open_plain(path) as stream:
        while chunk := stream.read(_CHUNK):
            check_cancel(cancel)
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_directory(directory: Path, cancel: threading.Event | None = None) -> str:
    """
    Return the sha256 of the names and contents of a directory's files.

    It is the sha256 of the lines that ``sha256sum`` prints for ``find . -type f``, sorted by file
    name as bytes. Empty directories, dates and permissions don't count.
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
    """Copy a file atomically; an existing target is replaced, or unchanged after an error."""
    # The process id, because another process may copy to the same name.
    part = target.with_name(f'.{target.name}.{os.getpid()}.part')
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
