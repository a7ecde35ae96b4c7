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
One attempt to bring an address's bytes into a file, going on where an earlier one ended.

Python's own HTTP client does the work, because the three things that matter here are its caller's
to decide: each redirect is looked at before a header follows it, bytes are taken as they come, so
that a server that drips can be left, and nothing is decoded behind our back (RFC 9110).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import errno
import http.client
import json
import os
from pathlib import Path
import re
from typing import Any
import urllib.error
from urllib.parse import urljoin
import urllib.request

from ros2_classify.download.access import private_headers
from ros2_classify.download.cache import Cache
from ros2_classify.download.explain import (
    hint, network_reason, RangeRefusedError, refused, TemporaryError, unreachable)
from ros2_classify.download.hashing import check_cancel
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import local_path, problem_with, redact
from ros2_classify.errors import FetchError
from ros2_classify.paths import check_allowed
from ros2_classify.progress import human_size, Meter

# More than any model a robot runs; a body without an end stops here.
MAX_BYTES = 16 * 10 ** 9
MAX_REDIRECTS = 10
# A server slower than this, in bytes per second, over so many seconds, has stalled.
MIN_SPEED = 1000.0
PATIENCE = 30.0

_CHUNK = 64 * 1024
_AGENT = 'ros2_classify (ROS 2 package)'
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r'bytes (\d+)-(\d+)/(\d+|\*)')


@dataclass(frozen=True)
class Received:
    """
    What is known of a body that came as a whole.

    Parameters
    ----------
    content_type, content_encoding : str
        As the server says, in lower case; empty where it doesn't.
    resumed : bool
        Whether its beginning came in an earlier attempt.

    """

    content_type: str = ''
    content_encoding: str = ''
    resumed: bool = False


class Part:
    """
    A download under way: the bytes so far, and what is needed to go on with them.

    Parameters
    ----------
    path : Path
        The file that gathers the bytes.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes = path.with_suffix('.json')

    def begin(self, url: str, headers: Mapping[str, str]) -> None:
        """Note how to go on, where the server lets us; a validator must be a strong one."""
        headers = {name.lower(): value for name, value in headers.items()}
        validator = headers.get('etag', '')
        if not validator or validator.startswith('W/'):
            validator = headers.get('last-modified', '')
        if headers.get('accept-ranges', '').lower() == 'bytes' or 'content-range' in headers:
            self._notes.write_text(json.dumps({'url': url, 'validator': validator}),
                                   encoding='utf-8')
        else:
            self._notes.unlink(missing_ok=True)

    def resumable(self, url: str) -> tuple[int, str]:
        """Return the bytes there are and their validator, or 0 where one has to begin anew."""
        try:
            notes: Any = json.loads(self._notes.read_text(encoding='utf-8'))
            size = self.path.stat().st_size
        except (FileNotFoundError, ValueError):
            return 0, ''
        if not isinstance(notes, dict) or notes.get('url') != url or size == 0:
            return 0, ''
        return size, str(notes.get('validator', ''))

    def drop(self) -> None:
        """Forget what there is."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def drop_unless_resumable(self) -> None:
        """Keep only what a later attempt can go on with."""
        if not self._notes.exists() or not self.path.exists() or not self.path.stat().st_size:
            self.drop()

    def finish(self) -> None:
        """Forget how to go on; the bytes stay."""
        self._notes.unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to us: the library's own would carry private headers to any host."""

    def _leave(self, *args: object) -> None:
        """Do nothing, so that the answer comes back as it is."""

    http_error_301 = http_error_302 = http_error_303 = _leave  # type: ignore[assignment]
    http_error_307 = http_error_308 = _leave  # type: ignore[assignment]


def transfer(url: str, part: Part, size: int | None, cache: Cache, options: FetchOptions,
             meter: Meter) -> Received:
    """
    Try once to complete a download.

    Parameters
    ----------
    url : str
        An address without problems.
    part : Part
        Where the bytes go; what is there already is gone on with.
    size : int or None
        The size that was declared, in bytes.
    cache : Cache
        The cache that ``part`` lies in.
    options : FetchOptions
        Time limit and cancelling.
    meter : Meter
        Counts the bytes.

    Returns
    -------
    Received
        What is known of the body that is in ``part`` now.

    Raises
    ------
    TemporaryError
        If another attempt may succeed.
    FetchError
        If it won't.

    """
    if url.startswith('file:'):
        check_allowed(local_path(url), 'model file')
        return _copy(local_path(url), part, size, cache, options, meter)
    offset, validator = part.resumable(url)
    headers = {'User-Agent': _AGENT, 'Accept': '*/*', 'Accept-Encoding': 'identity'}
    if offset:
        headers['Range'] = f'bytes={offset}-'
        if validator:
            headers['If-Range'] = validator
    try:
        with _open(url, headers, options) as result:
            return _receive(result, url, offset, part, size, cache, options, meter)
    except RangeRefusedError:
        part.drop()
        raise
    except (http.client.HTTPException, OSError) as error:
        # What the disk says became a FetchError where it was said; this is the network.
        raise TemporaryError(network_reason(error)) from error


def _open(url: str, headers: Mapping[str, str], options: FetchOptions) -> http.client.HTTPResponse:
    """Follow redirects to an answer; a server gets no private headers but its own."""
    opener = urllib.request.build_opener(_Redirects())
    current = url
    for _ in range(MAX_REDIRECTS + 1):
        check_cancel(options.cancel)
        request = urllib.request.Request(current, headers={**headers, **private_headers(current)})
        try:
            result = opener.open(request, timeout=options.timeout)
            assert isinstance(result, http.client.HTTPResponse)
            return result
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in _REDIRECTS:
                    raise refused(error, current) from None
                current = _next(error, current)
        except urllib.error.URLError as error:
            raise unreachable(error, current) from error
    raise FetchError(f'{redact(url)} redirects more than {MAX_REDIRECTS} times; correct the '
                     'address')


def _next(error: urllib.error.HTTPError, current: str) -> str:
    location = error.headers.get('Location', '')
    try:
        target = urljoin(current, location)
    except ValueError:
        target = location  # which the next line finds fault with
    problem = problem_with(target)
    if problem is None and target.startswith('file:'):
        problem = 'would read a local file'
    if problem is None and current.startswith('https:') and not target.startswith('https:'):
        problem = 'would leave https'
    if problem:
        raise FetchError(f'{redact(current)} redirects to {redact(target)}, which {problem}; '
                         'correct the address')
    return target


def _receive(result: http.client.HTTPResponse, url: str, offset: int, part: Part,
             size: int | None, cache: Cache, options: FetchOptions, meter: Meter) -> Received:
    received = Received(result.headers.get('Content-Type', '').lower(),
                        result.headers.get('Content-Encoding', '').lower().strip())
    if result.status == 206:
        match = _CONTENT_RANGE.fullmatch(result.headers.get('Content-Range', '').strip())
        if not match or int(match[1]) != offset:
            part.drop()
            raise TemporaryError('the server went on at another place than it was asked for')
        received = Received(received.content_type, received.content_encoding, offset > 0)
    elif result.status == 200:
        offset = 0
    else:
        raise FetchError(f'{redact(url)} answered {result.status} {result.reason}; correct the '
                         'address')
    total = None if result.length is None else offset + result.length
    encoded = received.content_encoding not in ('', 'identity')
    if size is not None and total is not None and total != size and not encoded:
        part.drop()
        raise FetchError(
            f'{redact(url)} has {total} bytes where the descriptor declares size: {size}; it is '
            f'not the file that was meant{hint(received.content_type, b"")}')
    limit = MAX_BYTES if size is None or encoded else size
    if (total or 0) > limit:
        raise FetchError(f'{redact(url)} has {human_size(total or 0)}, more than the '
                         f'{human_size(limit)} that are allowed')
    cache.check_space((total or 0) - offset)
    with cache.errors(total):
        part.begin(url, {} if encoded else dict(result.headers))
    meter.start(offset, total)
    _write(result, part, offset, total, limit, cache, options, meter)
    with cache.errors():
        part.finish()
    return received


def _write(result: http.client.HTTPResponse, part: Part, done: int, total: int | None, limit: int,
           cache: Cache, options: FetchOptions, meter: Meter) -> None:
    """Write a body to the part, from byte ``done`` on."""
    with cache.errors():
        stream = open(part.path, 'r+b' if done else 'wb')
    with stream:
        stream.seek(done)
        while total is None or done < total:
            check_cancel(options.cancel)
            # read1 returns what has come; read would wait for the whole chunk.
            chunk = result.read1(_CHUNK if total is None else min(_CHUNK, total - done))
            if not chunk:
                break
            done += len(chunk)
            if done > limit:
                raise FetchError(f'the server sent more than the {human_size(limit)} that are '
                                 'allowed; it is not the file that was meant')
            with cache.errors(total):
                _put(stream.fileno(), chunk)
            meter.add(len(chunk))
            if meter.slower_than(MIN_SPEED, PATIENCE):
                raise TemporaryError('the server sends next to nothing')
    if total is not None and done < total:
        raise TemporaryError(f'the connection was cut off after {human_size(done)} of '
                             f'{human_size(total)}')


def _put(descriptor: int, chunk: bytes) -> None:
    """Write all bytes, without a buffer that could fail later."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view):]


def _copy(path: Path, part: Part, size: int | None, cache: Cache, options: FetchOptions,
          meter: Meter) -> Received:
    """Copy a file that an address names."""
    try:
        source = open(path, 'rb')
    except OSError as error:
        reason = 'it is a directory' if error.errno == errno.EISDIR else error.strerror
        raise FetchError(f'the file {path} cannot be read ({reason}); correct the address') \
            from None
    with source:
        total = os.fstat(source.fileno()).st_size
        if size is not None and total != size:
            raise FetchError(f'{path} has {total} bytes where the descriptor declares size: '
                             f'{size}; it is not the file that was meant')
        cache.check_space(total)
        meter.start(0, total)
        with cache.errors(total):
            stream = open(part.path, 'wb')
        with stream:
            while chunk := source.read(_CHUNK):
                check_cancel(options.cancel)
                with cache.errors(total):
                    _put(stream.fileno(), chunk)
                meter.add(len(chunk))
    return Received()
