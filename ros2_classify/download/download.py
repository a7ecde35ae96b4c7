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

"""An address's file brought into the cache: attempts, back-off, and the check at the end."""

from __future__ import annotations

import logging
import os
from pathlib import Path
import random
import threading
import time
from urllib.parse import urlsplit
import zlib

from ros2_classify.download.cache import Cache
from ros2_classify.download.explain import hint, TemporaryError
from ros2_classify.download.hashing import check_cancel, sha256_of_file
from ros2_classify.download.http import MAX_BYTES, Part, Received, transfer
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import redact
from ros2_classify.errors import DiskFullError, FetchError, IntegrityError
from ros2_classify.progress import default_progress, human_size, Meter

_log = logging.getLogger('ros2_classify')

# Seconds before the second attempt; they double from one to the next, up to the limit.
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
# An attempt that brought so many bytes is not counted: a weak network gets there in the end.
_WORTH_IT = 1024 * 1024
_CHUNK = 1024 * 1024
_HEAD = 512


def download(url: str, sha256: str | None, size: int | None, label: str, key: str, cache: Cache,
             options: FetchOptions) -> tuple[Path, str]:
    """
    Download a file; the key's lock must be held.

    Parameters
    ----------
    url : str
        An address without problems.
    sha256 : str or None
        What the file must be; None takes what comes.
    size : int or None
        Its size in bytes, where declared.
    label : str
        What progress calls it.
    key : str
        What the unfinished file is kept under.
    cache : Cache
        Where it goes.
    options : FetchOptions
        Limits, progress, cancelling.

    Returns
    -------
    tuple of Path and str
        The complete file, still without its final name, and its sha256.

    Raises
    ------
    IntegrityError
        If it isn't the file that was declared.
    FetchError
        If it can't be had; DiskFullError and FetchCancelledError are such.

    """
    part = Part(cache.part(key))
    if sha256 is None:
        part.drop()  # nothing would tell whether a new end fits an old beginning
    try:
        received = _attempts(url, part, sha256, size, label, cache, options)
        return part.path, _check(url, part, received, sha256, size, cache, options)
    except (DiskFullError, IntegrityError):
        part.drop()
        raise
    except BaseException:
        part.drop_unless_resumable()
        raise


def _attempts(url: str, part: Part, sha256: str | None, size: int | None, label: str,
              cache: Cache, options: FetchOptions) -> Received:
    meter = Meter(label, options.progress or default_progress())
    failed = 0
    before = part.resumable(url)[0]
    while True:
        try:
            received = transfer(url, part, size, cache, options, meter)
            if received.resumed and sha256_of_file(part.path, options.cancel) != sha256:
                part.drop()
                raise TemporaryError('the beginning from an earlier attempt does not fit')
            meter.finish()
            return received
        except TemporaryError as error:
            there = part.resumable(url)[0]
            failed = 1 if there - before >= _WORTH_IT else failed + 1
            before = there
            if failed >= options.attempts:
                times = f'{failed} attempts' if failed > 1 else 'one attempt'
                raise FetchError(
                    f'{redact(url)} could not be downloaded in {times}: {error}; try again, or '
                    'carry the model over from another machine with "models bundle" and "models '
                    'import"') from error
            seconds = _waiting_time(failed, error.wait)
            _log.warning('%s: %s; next attempt in %.0f s', label, error, seconds)
            pause(seconds, options.cancel)


def _waiting_time(failed: int, asked: float | None) -> float:
    """Return seconds to wait: as asked, or else doubling, and not all robots at once."""
    if asked is not None:
        return min(max(asked, _FIRST_WAIT), _LONGEST_WAIT)
    return float(min(_FIRST_WAIT * 2 ** (failed - 1), _LONGEST_WAIT) * random.uniform(0.75, 1.25))


def pause(seconds: float, cancel: threading.Event | None) -> None:
    """Wait; whoever cancels need not wait too."""
    if cancel is None:
        time.sleep(seconds)
    else:
        cancel.wait(seconds)
        check_cancel(cancel)


def _check(url: str, part: Part, received: Received, sha256: str | None, size: int | None,
           cache: Cache, options: FetchOptions) -> str:
    """Return the hash of a complete file that is the declared one."""
    with cache.errors():
        actual = sha256_of_file(part.path, options.cancel)
        if actual == sha256:
            return actual
        # Some servers compress, or say they did, though we asked for the file as it is. Which of
        # the two bodies was meant is for the hash to say.
        if _was_compressed(url, received, sha256):
            unzipped = _unzip(part, size or MAX_BYTES, options.cancel)
            if unzipped is not None and sha256 in (None, unzipped):
                return unzipped
        with open(part.path, 'rb') as stream:
            guess = hint(received.content_type, stream.read(_HEAD))
    if sha256 is None and not guess:
        return actual
    if sha256 is None:
        raise IntegrityError(f'{redact(url)} is no model{guess}; correct the address')
    raise IntegrityError(
        f'{redact(url)} has the sha256 {actual} where {sha256} is declared; it is not the file '
        f'that was meant{guess} and was thrown away: correct the address, or the sha256 if you '
        'know that the file was changed on purpose')


def _was_compressed(url: str, received: Received, sha256: str | None) -> bool:
    if received.content_encoding not in ('gzip', 'x-gzip', 'deflate'):
        return False
    return sha256 is not None or not urlsplit(url).path.lower().endswith(('gz', '.tgz'))


def _unzip(part: Part, limit: int, cancel: threading.Event | None) -> str | None:
    """Undo a Content-Encoding; None where the body isn't what it says."""
    target = part.path.with_suffix('.plain')
    decoder = zlib.decompressobj(wbits=47)  # gzip or zlib, as the header tells
    done = 0
    try:
        with open(part.path, 'rb') as source, open(target, 'wb') as stream:
            while not decoder.eof:
                check_cancel(cancel)
                chunk = decoder.unconsumed_tail or source.read(_CHUNK)
                if not chunk:
                    return None
                plain = decoder.decompress(chunk, _CHUNK)
                done += len(plain)
                if done > limit:
                    raise FetchError(f'the server sent more than the {human_size(limit)} that are '
                                     'allowed; it is not the file that was meant')
                stream.write(plain)
        os.replace(target, part.path)
        return sha256_of_file(part.path, cancel)
    except zlib.error:
        return None
    finally:
        target.unlink(missing_ok=True)
