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
The directory that keeps fetched files, by what is in them and not by what they are called.

::

    files/<sha256>/<name>       a file with this sha256
    unpacked/<sha256>/tree/     what an archive with this sha256 holds
    unpacked/<sha256>/files.json    the size and the sha256 of each file of the tree
    converted/                  TensorFlow models as ONNX; see `ros2_classify.convert`
    optimized/ batched/ tensorrt/ openvino/    see `ros2_classify.engines.artifact_cache`
    partial/                    downloads and conversions under way or interrupted
    locks/                      one lock for each of them, held while it is worked on

What is in the first four got there by a rename, as a whole and after it was checked.
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

# A download that nobody went on with for so many seconds is thrown away.
_STALE = 14 * 24 * 3600.0
# Seconds between two looks at a lock that somebody else holds.
_LOOK = 0.1
# The signature that the Cache Directory Tagging Specification asks for; back-ups skip the directory.
_TAG = ('Signature: 8a477f597d28d172789f06886806bc55\n'
        '# Models that ros2_classify fetched; it fetches them again where they are missing.\n')


class Cache:
    """
    The cache in one directory, which is made when the first file comes.

    Parameters
    ----------
    directory : Path
        An absolute path.

    """

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
                             f'correct its permissions or set {CACHE} to another directory') from None
        return self.directory / 'files' / sha256 / names[0] if names else None

    def get(self, sha256: str, cancel: threading.Event | None = None) -> Path | None:
        """
        Return the file with this sha256, checked.

        Parameters
        ----------
        sha256 : str
            64 lower-case hexadecimal digits.
        cancel : threading.Event, optional
            Set from elsewhere, it ends the work.

        Returns
        -------
        Path or None
            None where there is none; a file that was changed since it came is not the one.

        Raises
        ------
        FetchError
            If it is there and can't be read.

        """
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
        """Return the sha256 of all files there are, unchecked."""
        directory = self.directory / 'files'
        if not directory.is_dir():
            return []
        with self.errors():
            return sorted(name for name in os.listdir(directory)
                          if is_sha256(name) and self.find(name) is not None)

    def part(self, key: str) -> Path:
        """Return where the file for a key is gathered; its directory is made."""
        with self.errors():
            directory = self._made('partial')
        return directory / f'{key}.part'

    def publish(self, part: Path, sha256: str, name: str) -> Path:
        """
        Give a file its final name; the lock of its hash must be held.

        Parameters
        ----------
        part : Path
            The complete file, on the cache's file system, checked by the caller.
        sha256 : str
            Its hash.
        name : str
            What people call it.

        Returns
        -------
        Path
            Where it is now.

        Raises
        ------
        FetchError
            If the disk is full or can't be written.

        """
        with self.errors():
            directory = self._made('files') / sha256
            # A damaged file of the same hash has to go, whatever it is called.
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
        """
        Hold the lock for a key: of all processes and threads, one is inside.

        Parameters
        ----------
        key : str
            What is worked on.
        what : str
            What a person calls it.
        cancel : threading.Event, optional
            Set from elsewhere, it ends the waiting.
        waiting : callable
            Told once, in a sentence, that somebody else is inside.
        doing : str
            What is done inside, for that sentence.

        Raises
        ------
        FetchCancelledError
            If ``cancel`` was set.
        FetchError
            If the cache can't be written.

        """
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
            # Removed while it is held: whoever waits for this very file sees that it is gone.
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def drop_stale(self) -> None:
        """Remove what was left half done long ago."""
        directory = self.directory / 'partial'
        with self.errors():
            for path in list(directory.iterdir()) if directory.is_dir() else []:
                try:
                    if time.time() - path.stat().st_mtime > _STALE:
                        remove(path)
                except FileNotFoundError:
                    continue  # another process was quicker

    @contextmanager
    def errors(self, needed: int | None = None) -> Iterator[None]:
        """
        Turn what the disk says into one sentence for people.

        Parameters
        ----------
        needed : int, optional
            Bytes that were to be written.

        Raises
        ------
        FetchError
            In place of an OSError; DiskFullError where the disk or the quota is full.

        """
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(self._full(needed, self._free())) from error
            raise FetchError(self._explain(error)) from error

    def check_space(self, needed: int) -> None:
        """Raise DiskFullError where so many bytes don't fit on the disk."""
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
                f'{CACHE} to a directory that can be written')

    def _full(self, needed: int | None, free: int | None) -> str:
        sizes = [f'{human_size(needed)} are needed'] if needed else []
        sizes += [f'{human_size(free)} are free'] if free is not None else []
        known = f' ({", ".join(sizes)})' if sizes else ''
        return (f'the disk that holds the cache {self.directory} is full{known}; free some space or '
                f'set {CACHE} to a directory on another disk')

    def _made(self, name: str) -> Path:
        """Return one of the cache's directories, made where it is missing."""
        directory = self.directory / name
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            tag = self.directory / 'CACHEDIR.TAG'
            if not tag.exists():
                tag.write_text(_TAG, encoding='ascii')
        return directory


def remove(path: Path) -> None:
    """Remove a file or a directory with all that is in it; nothing there is fine too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take(path: Path) -> int | None:
    """Return a descriptor that holds the lock, or None where somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last owner may have removed the file between the two calls: then this lock is
        # nobody's, and others would take the new file's.
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
    """Make a rename last through a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
