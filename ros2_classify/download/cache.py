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
The cache directory: files are stored by their sha256.

::

    files/<sha256>/<name>       a file with this sha256
    unpacked/<sha256>/tree/     the content of an archive with this sha256
    unpacked/<sha256>/files.json    the size and the sha256 of each file of the tree
    converted/                  TensorFlow models as ONNX; see `ros2_classify.convert`
    optimized/ batched/ tensorrt/ openvino/    see `ros2_classify.engines.artifact_cache`
    partial/                    downloads and conversions in progress or interrupted
    locks/                      one lock for each of them

Only ``partial/`` has incomplete files: all else is verified, then moved into place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import errno
import fcntl
import logging
import os
from pathlib import Path
import shutil
import threading
import time

from ros2_classify.download.hashing import check_cancel, sha256_of_file
from ros2_classify.download.options import CACHE
from ros2_classify.download.url import is_sha256
from ros2_classify.errors import DiskFullError, FetchError
from ros2_classify.progress import human_size

_log = logging.getLogger('ros2_classify')

# Interrupted downloads are removed after this time, in seconds.
_STALE = 14 * 24 * 3600.0
# Seconds between two attempts to take a lock.
_LOOK = 0.1
# As in the Cache Directory Tagging Specification: backups skip the directory.
_TAG = ('Signature: 8a477f597d28d172789f06886806bc55\n'
        '# Models downloaded by ros2_classify, which downloads missing ones again.\n')


class Cache:
    """The cache in one directory, created on first use."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, sha256: str) -> Path | None:
        """Return the file with this sha256, unchecked, or None."""
        try:
            names = sorted(os.listdir(self.directory / 'files' / sha256))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FetchError(f'the cache {self.directory} cannot be read ({error.strerror}); '
                             f'correct its permissions or set {CACHE} to another '
                             'directory') from None
        return self.directory / 'files' / sha256 / names[0] if names else None

    def get(self, sha256: str, cancel: threading.Event | None = None) -> Path | None:
        """Return the file with this sha256, verified, or None."""
        path = self.find(sha256)
        if path is None:
            return None
        with self.errors():
            actual = sha256_of_file(path, cancel)
        if actual == sha256:
            return path
        _log.warning('%s is damaged: its sha256 is %s; it is not used', path, actual)
        return None

    def hashes(self) -> list[str]:
        """Return the sha256 of all cached files, unchecked."""
        directory = self.directory / 'files'
        if not directory.is_dir():
            return []
        with self.errors():
            return sorted(name for name in os.listdir(directory)
                          if is_sha256(name) and self.find(name) is not None)

    def part(self, key: str) -> Path:
        """Return the partial file for a key; its directory is created."""
        with self.errors():
            directory = self._made('partial')
        return directory / f'{key}.part'

    def publish(self, part: Path, sha256: str, name: str) -> Path:
        """Give a file its final name; the lock of its hash must be held."""
        with self.errors():
            directory = self._made('files') / sha256
            # Replace a damaged file of the same hash, whatever its name.
            remove(directory)
            directory.mkdir()
            with open(part, 'rb') as stream:
                os.fsync(stream.fileno())
            os.chmod(part, 0o644)
            os.replace(part, directory / name)
            _sync_directory(directory)
        return directory / name

    @contextmanager
    def lock(self, key: str, what: str, cancel: threading.Event | None = None,
             waiting: Callable[[str], None] = _log.info,
             doing: str = 'fetching') -> Iterator[None]:
        """Hold the lock for a key, across processes and threads."""
        with self.errors():
            path = self._made('locks') / f'{key}.lock'
            descriptor = _take(path)
        told = False
        while descriptor is None:
            if not told:
                waiting(f'another process is {doing} {what}; waiting for it')
                told = True
            check_cancel(cancel)
            time.sleep(_LOOK)
            with self.errors():
                descriptor = _take(path)
        try:
            yield
        finally:
            # Removed while it is held, so that a waiting process notices and creates a new one.
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def drop_stale(self) -> None:
        """Remove downloads that were interrupted long ago."""
        directory = self.directory / 'partial'
        with self.errors():
            for path in list(directory.iterdir()) if directory.is_dir() else []:
                try:
                    if time.time() - path.stat().st_mtime > _STALE:
                        remove(path)
                except FileNotFoundError:
                    continue  # another process removed it

    @contextmanager
    def errors(self, needed: int | None = None) -> Iterator[None]:
        """Turn an OSError into a FetchError with a next step."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(self._full(needed, self._free())) from error
            raise FetchError(self._explain(error)) from error

    def check_space(self, needed: int) -> None:
        """Raise DiskFullError if the disk has less free space than needed, in bytes."""
        with self.errors():
            free = shutil.disk_usage(self._made('partial')).free
        if free < needed:
            raise DiskFullError(self._full(needed, free))

    def _free(self) -> int | None:
        try:
            return shutil.disk_usage(self.directory).free
        except OSError:
            return None

    def _explain(self, error: OSError) -> str:
        reason = error.strerror or str(error)
        return (f'the cache {self.directory} cannot be used ({reason}'
                f'{f": {error.filename}" if error.filename else ""}); correct that or set '
                f'{CACHE} to a writable directory')

    def _full(self, needed: int | None, free: int | None) -> str:
        sizes = [f'{human_size(needed)} are needed'] if needed else []
        sizes += [f'{human_size(free)} are free'] if free is not None else []
        known = f' ({", ".join(sizes)})' if sizes else ''
        return (f'the disk of the cache {self.directory} is full{known}; free some space or set '
                f'{CACHE} to a directory on another disk')

    def _made(self, name: str) -> Path:
        """Return one of the cache's directories, created if missing."""
        directory = self.directory / name
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            tag = self.directory / 'CACHEDIR.TAG'
            if not tag.exists():
                tag.write_text(_TAG, encoding='ascii')
        return directory


def remove(path: Path) -> None:
    """Remove a file or a directory tree, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take(path: Path) -> int | None:
    """Return a file descriptor that holds the lock, or None if it is taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # If its last owner removed the file between the two calls, the lock protects nothing.
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _sync_directory(directory: Path) -> None:
    """Make a rename survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
