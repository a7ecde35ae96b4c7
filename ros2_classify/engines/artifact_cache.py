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
Files that are slow to make and cached for the next start.

::

    optimized/<key>/<sha256>.onnx    an optimized model; the name is the hash of its content
    batched/<key>/<sha256>.onnx      a model with a batch dimension
    batched/<key>/refused.txt        or the reason why it has none
    tensorrt/<key>/                  TensorRT engines and timings; ``complete`` ends a build
    openvino/<key>/                  compiled models of OpenVINO

A key is the hash of all that a file depends on: model, versions, processor, settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
import hashlib
import logging
import os
from pathlib import Path
import threading
from typing import Any

from ros2_classify.download.cache import Cache, remove
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.options import default_cache_directory
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import FetchError

_LOGGER = logging.getLogger(__name__)
_COMPLETE = 'complete'
_REFUSED = 'refused.txt'
# The suffix of TensorRT's timings.
_TIMING = '.timing'


def cache_of(settings: EngineSettings) -> Cache | None:
    """Return the cache of the settings; None if caching is off or there is no directory."""
    if not settings.cache:
        return None
    try:
        return Cache(settings.cache_directory or default_cache_directory())
    except FetchError as error:
        _LOGGER.info('files of engines are not cached: %s', error)
        return None


def key_of(path: Path, *facts: object, weights: Iterable[Path] = ()) -> str:
    """Return the key of a file made from a model: the hash of its files and of ``facts``."""
    text = '\n'.join([
        sha256_of_file(path), *map(str, facts), *(sha256_of_file(each) for each in weights)])
    return hashlib.sha256(text.encode()).hexdigest()


def find_file(cache: Cache, kind: str, key: str) -> Path | None:
    """Return a cached file whose content has the hash in its name; None if there is none."""
    directory = cache.directory / kind / key
    try:
        for path in sorted(directory.glob('*.onnx')):
            if sha256_of_file(path) == path.stem:
                return path
            _LOGGER.warning('%s is damaged and will be made again', path)
            remove(path)
    except (OSError, FetchError) as error:
        _LOGGER.info('%s cannot be read: %s', directory, error)
    return None


def find_refusal(cache: Cache, kind: str, key: str) -> str:
    """Return why a file could not be made, as `keep_refusal` noted; empty if unknown."""
    try:
        return (cache.directory / kind / key / _REFUSED).read_text(encoding='utf-8').strip()
    except (OSError, UnicodeDecodeError):
        return ''


def keep_refusal(cache: Cache, kind: str, key: str, reason: str) -> None:
    """Note why a file can't be made, so that it is not tried again."""
    try:
        with cache.errors():
            directory = cache.directory / kind / key
            directory.mkdir(parents=True, exist_ok=True)
            part = cache.part(f'{key}.{os.getpid()}.{threading.get_ident()}')
            part.write_text(f'{reason}\n', encoding='utf-8')
            os.replace(part, directory / _REFUSED)
    except FetchError as error:
        _LOGGER.info('the reason is not cached: %s', error)


def keep_file(cache: Cache, kind: str, key: str, make: Callable[[Path], Any]) -> Path | None:
    """Make a file and cache it whole or not at all; None if the disk is full or read-only."""
    part = None
    try:
        # For this process and thread only: a second one replaces it by the same content.
        part = cache.part(f'{key}.{os.getpid()}.{threading.get_ident()}')
        directory = cache.directory / kind / key
        with cache.errors():
            directory.mkdir(parents=True, exist_ok=True)
            part.write_bytes(b'')
            make(part)
            path = directory / f'{sha256_of_file(part)}.onnx'
            os.replace(part, path)
        return path
    except FetchError as error:
        _LOGGER.warning('the file is not cached: %s', error)
        return None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


@contextmanager
def kept_directory(cache: Cache | None, kind: str, key: str, what: str) -> Iterator[Path | None]:
    """Yield a directory that a provider fills, one process at a time until it is complete."""
    directory = _usable(cache, kind, key)
    if cache is None or directory is None:
        yield None
        return
    if (directory / _COMPLETE).exists():
        try:
            yield directory
        except BaseException:
            # What can't be loaded is made again next time.
            (directory / _COMPLETE).unlink(missing_ok=True)
            raise
        return
    with cache.lock(f'{kind}-{key}', f'{kind} for {what}', doing='building'):
        if not (directory / _COMPLETE).exists():
            for path in directory.iterdir():
                # Timings stay: each is valid by itself, and they save minutes.
                if path.suffix != _TIMING:
                    remove(path)
        yield directory
        # Empty if the provider did not start.
        if any(path.suffix != _TIMING for path in directory.iterdir()):
            with cache.errors():
                (directory / _COMPLETE).touch()


def _usable(cache: Cache | None, kind: str, key: str) -> Path | None:
    if cache is None:
        return None
    directory = cache.directory / kind / key
    try:
        with cache.errors():
            directory.mkdir(parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK):
                raise PermissionError(13, 'Permission denied', str(directory))
    except FetchError as error:
        _LOGGER.warning('nothing is cached: %s', error)
        return None
    return directory
