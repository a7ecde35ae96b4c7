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
Resumable HTTP downloads, verified by sha256.

Python's own HTTP client leaves three decisions to its caller that matter here (RFC 9110): which
headers follow a redirect, when a server is too slow, and what is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import errno
import http.client
import json
import logging
import os
from pathlib import Path
import random
import re
import socket
import ssl
import threading
import time
from typing import Any
import urllib.error
from urllib.parse import urljoin, urlsplit
import urllib.request
import zlib

from ros2_classify.download.cache import Cache
from ros2_classify.download.connection import opener, proxy_of, Watch
from ros2_classify.download.hashing import check_cancel, sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import local_path, Origin, origin_of, problem_with, redact
from ros2_classify.errors import DiskFullError, FetchError, IntegrityError
from ros2_classify.limits import open_plain
from ros2_classify.paths import check_allowed
from ros2_classify.progress import default_progress, human_size, Meter

TOKEN = 'ROS2_CLASSIFY_HTTP_TOKEN'
HEADER = 'ROS2_CLASSIFY_HTTP_HEADER'

_VARIABLE = re.compile(f'({TOKEN}|{HEADER})(_[A-Za-z0-9_]+)?')
# RFC 9110, section 5.6.2 (token) and 5.5 (field values, here without obs-text).
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r'[\x20-\x7e]+')
# What the download itself needs to set.
_OURS = frozenset({'accept-encoding', 'connection', 'content-length', 'host', 'if-range', 'range',
                   'transfer-encoding'})


def private_headers(url: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the headers that environment variables set for the server of a URL."""
    environ = os.environ if environ is None else environ
    wanted = origin_of(url)
    headers = {}
    for variable in sorted(environ):
        match = _VARIABLE.fullmatch(variable)
        if match and environ[variable].strip():
            origin, name, value = _parse(variable, match[1], environ[variable].strip())
            if origin == wanted:
                headers[name] = value
    return headers


def _parse(variable: str, kind: str, text: str) -> tuple[Origin, str, str]:
    server, _, rest = text.partition(' ')
    if '://' not in server:
        server = f'https://{server}'
    problem = problem_with(server)
    if problem or server.startswith('file:'):
        raise _refused(variable, kind, 'must begin with the server,')
    rest = rest.strip()
    if kind == TOKEN:
        name, value = 'Authorization', f'Bearer {rest}' if rest else ''
    else:
        name, _, value = (part.strip() for part in rest.partition(':'))
    if not _NAME.fullmatch(name) or name.lower() in _OURS:
        raise _refused(variable, kind, 'has no header name, or one that cannot be set,')
    if not _VALUE.fullmatch(value):
        raise _refused(variable, kind, 'has no value, or one with invalid characters,')
    return origin_of(server), name, value


def _refused(variable: str, kind: str, problem: str) -> FetchError:
    form = 'https://HOST TOKEN' if kind == TOKEN else 'https://HOST NAME: VALUE'
    return FetchError(f'the environment variable {variable} {problem} in the form {form!r} '
                      '(its value is not shown here); correct it or unset it')


_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class TemporaryError(Exception):
    """An attempt failed, but another one may succeed."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class RangeRefusedError(TemporaryError):
    """The partial download can't be resumed."""


def refused(error: urllib.error.HTTPError, url: str) -> Exception:
    """Return the error for an HTTP status: TemporaryError or FetchError."""
    code, shown = error.code, redact(url)
    if code == 416:
        return RangeRefusedError('the server has no bytes beyond those already downloaded')
    if code in _RETRIED:
        return TemporaryError(f'{shown}: the server replied {code} {error.reason}',
                              _seconds(error.headers.get('Retry-After')))
    if code in (401, 403, 407):
        sent = bool(private_headers(url))
        step = ('the token or header in the environment was not accepted' if sent else
                'if it is a private server, set the environment variable '
                f"ROS2_CLASSIFY_HTTP_TOKEN='{origin_of(url)} TOKEN'")
        return FetchError(f'{shown} refused access ({code} {error.reason}); {step}')
    if code in (404, 410):
        return FetchError(f'{shown} does not exist ({code} {error.reason}); correct the URL, or '
                          'get the file from elsewhere and give its path')
    return FetchError(f'{shown}: the server replied {code} {error.reason}; correct the URL')


def _seconds(text: str | None) -> float | None:
    """Return a Retry-After in seconds; dates are ignored."""
    return float(text) if text and text.strip().isdecimal() and len(text) < 8 else None


def unreachable(error: urllib.error.URLError, url: str, proxy: str = '') -> Exception:
    """Return the error for a failed connection: TemporaryError or FetchError."""
    reason, host = error.reason, origin_of(url)
    through = f' through the proxy {proxy}' if proxy else ''
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError(
            f'{host} has a certificate that is not trusted ({reason.verify_message}); check the '
            "machine's date, or set SSL_CERT_FILE to the certificates of a private authority")
    if isinstance(reason, ssl.SSLError):
        return TemporaryError(f'{host} does not speak TLS as expected ({reason.reason})')
    if isinstance(reason, socket.gaierror):
        name = proxy.rpartition(':')[0] or proxy or host.host
        return TemporaryError(f'the host name {name} cannot be resolved ({reason.strerror}); '
                              'check the internet connection')
    if isinstance(reason, OSError):
        return TemporaryError(f'{host} cannot be reached{through} ({connection_reason(reason)})')
    return FetchError(f'{host} cannot be reached{through} ({reason}); correct the URL')


def connection_reason(error: Exception) -> str:
    """Return why a connection ended, in a few words."""
    if isinstance(error, TimeoutError):
        # Of this package's own, or of the system.
        return str(error) if str(error).startswith('the server') else (
            'the server stopped responding')
    if isinstance(error, http.client.IncompleteRead):
        return 'the connection was cut off'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def hint(content_type: str, head: bytes) -> str:
    """Return what a wrong file probably is, to end a sentence with, or nothing."""
    if head.startswith(b'version https://git-lfs.github.com/spec/'):
        return ' (it is a Git LFS pointer: use the URL of the file itself)'
    if content_type.startswith('text/html') or head.lstrip()[:14].lower() in (
            b'<!doctype html', b'<html'):
        return ' (it is a web page, such as a login page or the page about the file)'
    return ''


# More than any model a robot runs; a body without an end stops here.
MAX_BYTES = 16 * 10 ** 9
MAX_REDIRECTS = 10
# A server slower than this, in bytes per second, for this many seconds, has stalled.
MIN_SPEED = 1000.0
PATIENCE = 30.0
# Seconds of one download, with all its attempts.
LONGEST = 24 * 3600.0

_CHUNK = 64 * 1024
_AGENT = 'ros2_classify (ROS 2 package)'
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r'bytes (\d+)-(\d+)/(\d+|\*)')


@dataclass(frozen=True)
class Received:
    """What is known of a body that came as a whole."""

    content_type: str = ''  # as sent by the server, in lower case; may be empty
    content_encoding: str = ''  # as sent by the server, in lower case; may be empty
    resumed: bool = False  # whether an earlier attempt was resumed


class Part:
    """A partial download and what is needed to resume it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes = path.with_suffix('.json')

    def begin(self, url: str, headers: Mapping[str, str]) -> None:
        """Note how to resume, if the server supports it; only strong validators count."""
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
        """Return the number of bytes and their validator, or 0 if it can't be resumed."""
        try:
            notes: Any = json.loads(self._notes.read_text(encoding='utf-8'))
            size = self.path.stat().st_size
        except (FileNotFoundError, ValueError):
            return 0, ''
        if not isinstance(notes, dict) or notes.get('url') != url or size == 0:
            return 0, ''
        return size, str(notes.get('validator', ''))

    def drop(self) -> None:
        """Remove everything."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def drop_unless_resumable(self) -> None:
        """Remove everything that a later attempt can't resume."""
        if not self._notes.exists() or not self.path.exists() or not self.path.stat().st_size:
            self.drop()

    def finish(self) -> None:
        """Remove the notes: the download is complete."""
        self._notes.unlink(missing_ok=True)


def transfer(url: str, part: Part, size: int | None, cache: Cache, options: FetchOptions,
             meter: Meter, watch: Watch) -> Received:
    """Make one attempt to complete a download."""
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
        with _open(url, headers, options, watch) as result:
            return _receive(result, url, offset, part, size, cache, options, meter, watch)
    except RangeRefusedError:
        part.drop()
        raise
    except (http.client.HTTPException, OSError) as error:
        # Errors of the disk are FetchErrors already; this one is of the connection.
        raise TemporaryError(connection_reason(error)) from error


def _open(url: str, headers: Mapping[str, str], options: FetchOptions,
          watch: Watch) -> http.client.HTTPResponse:
    """Follow redirects; each server gets its own private headers only."""
    # For all redirects together.
    watch.expect(options.timeout + PATIENCE)
    current = url
    for _ in range(MAX_REDIRECTS + 1):
        check_cancel(options.cancel)
        proxy = proxy_of(current)
        request = urllib.request.Request(current, headers={**headers, **private_headers(current)})
        try:
            result = opener(watch, bool(proxy)).open(request, timeout=options.timeout)
            assert isinstance(result, http.client.HTTPResponse)
            return result
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in _REDIRECTS:
                    raise refused(error, current) from None
                current = _next(error, current)
        except urllib.error.URLError as error:
            raise unreachable(error, current, proxy) from error
    raise FetchError(f'{redact(url)} redirects more than {MAX_REDIRECTS} times; correct the '
                     'URL')


def _next(error: urllib.error.HTTPError, current: str) -> str:
    location = error.headers.get('Location', '')
    try:
        target = urljoin(current, location)
    except ValueError:
        target = location  # found invalid in the next line
    problem = problem_with(target)
    if problem is None and target.startswith('file:'):
        problem = 'would read a local file'
    if problem is None and current.startswith('https:') and not target.startswith('https:'):
        problem = 'would leave https'
    if problem:
        raise FetchError(f'{redact(current)} redirects to {redact(target)}, which {problem}; '
                         'correct the URL')
    return target


def _receive(result: http.client.HTTPResponse, url: str, offset: int, part: Part,
             size: int | None, cache: Cache, options: FetchOptions, meter: Meter,
             watch: Watch) -> Received:
    received = Received(result.headers.get('Content-Type', '').lower(),
                        result.headers.get('Content-Encoding', '').lower().strip())
    if result.status == 206:
        match = _CONTENT_RANGE.fullmatch(result.headers.get('Content-Range', '').strip())
        if not match or int(match[1]) != offset:
            part.drop()
            raise TemporaryError('the server did not resume at the requested byte')
        received = Received(received.content_type, received.content_encoding, offset > 0)
    elif result.status == 200:
        offset = 0
    else:
        raise FetchError(f'{redact(url)}: the server replied {result.status} {result.reason}; '
                         'correct the URL')
    total = None if result.length is None else offset + result.length
    encoded = received.content_encoding not in ('', 'identity')
    if size is not None and total is not None and total != size and not encoded:
        part.drop()
        raise FetchError(
            f'{redact(url)} has {total} bytes, but the descriptor declares size: {size}; it is '
            f'not the expected file{hint(received.content_type, b"")}; correct the URL or size')
    limit = MAX_BYTES if size is None or encoded else size
    if (total or 0) > limit:
        raise FetchError(f'{redact(url)} has {human_size(total or 0)}, but at most '
                         f'{human_size(limit)} are allowed; correct the URL')
    cache.check_space((total or 0) - offset)
    with cache.errors(total):
        part.begin(url, {} if encoded else dict(result.headers))
    meter.start(offset, total)
    _write(result, part, offset, total, limit, cache, options, meter, watch)
    with cache.errors():
        part.finish()
    return received


def _write(result: http.client.HTTPResponse, part: Part, done: int, total: int | None, limit: int,
           cache: Cache, options: FetchOptions, meter: Meter, watch: Watch) -> None:
    """Write a body to the part, from byte ``done`` on."""
    with cache.errors():
        stream = open(part.path, 'r+b' if done else 'wb')
    with stream:
        stream.seek(done)
        fresh = 0
        watch.expect(2 * PATIENCE)
        while total is None or done < total:
            check_cancel(options.cancel)
            # read1 returns what has arrived; read would wait for the whole chunk.
            chunk = result.read1(_CHUNK if total is None else min(_CHUNK, total - done))
            if not chunk:
                break
            done += len(chunk)
            if done > limit:
                raise FetchError(f'the server sent more than the allowed {human_size(limit)}; it '
                                 'is not the expected file; correct the URL')
            with cache.errors(total):
                _put(stream.fileno(), chunk)
            meter.add(len(chunk))
            fresh += len(chunk)
            if fresh >= MIN_SPEED * PATIENCE:
                fresh = 0
                watch.expect(2 * PATIENCE)
            if meter.slower_than(MIN_SPEED, PATIENCE):
                raise TemporaryError('the server is too slow')
    if total is not None and done < total:
        raise TemporaryError(f'the connection was cut off after {human_size(done)} of '
                             f'{human_size(total)}')


def _put(descriptor: int, chunk: bytes) -> None:
    """Write all bytes, unbuffered: a buffer could fail later."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view):]


def _copy(path: Path, part: Part, size: int | None, cache: Cache, options: FetchOptions,
          meter: Meter) -> Received:
    """Copy the file of a file: URL."""
    try:
        source = open_plain(path, MAX_BYTES)
    except OSError as error:
        reason = 'it is a directory' if error.errno == errno.EISDIR else error.strerror
        raise FetchError(f'the file {path} cannot be read ({reason}); correct the URL') \
            from None
    with source:
        total = os.fstat(source.fileno()).st_size
        if size is not None and total != size:
            raise FetchError(f'{path} has {total} bytes, but the descriptor declares size: '
                             f'{size}; it is not the expected file; correct the URL or the size')
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


_log = logging.getLogger('ros2_classify')

# Seconds before the second attempt, doubled for each further one up to the limit.
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
# Attempts that bring this amount are not counted: slow connections get there in the end.
_WORTH_IT = 1024 * 1024
_UNZIP_CHUNK = 1024 * 1024
_HEAD = 512


def download(url: str, sha256: str | None, size: int | None, label: str, key: str, cache: Cache,
             options: FetchOptions) -> tuple[Path, str]:
    """Download a file; the key's lock must be held."""
    part = Part(cache.part(key))
    if sha256 is None:
        part.drop()  # without sha256 nothing tells whether the two parts fit
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
    watch = Watch(options.cancel, options.timeout, LONGEST)
    failed = 0
    before = part.resumable(url)[0]
    while True:
        try:
            received = transfer(url, part, size, cache, options, meter, watch)
            if received.resumed and sha256_of_file(part.path, options.cancel) != sha256:
                part.drop()
                raise TemporaryError('the part from an earlier attempt does not fit')
            meter.finish()
            return received
        except TemporaryError as error:
            there = part.resumable(url)[0]
            failed = 1 if there - before >= _WORTH_IT else failed + 1
            before = there
            if failed >= options.attempts or watch.is_over:
                times = f'{failed} attempts' if failed > 1 else 'one attempt'
                raise FetchError(
                    f'{redact(url)} could not be downloaded in {times}: {error}; try again, or '
                    'transfer the model from another machine with "models bundle" and "models '
                    'import"') from error
            seconds = _waiting_time(failed, error.wait)
            _log.warning('%s: %s; next attempt in %.0f s', label, error, seconds)
            pause(seconds, options.cancel)


def _waiting_time(failed: int, asked: float | None) -> float:
    """Return seconds: as the server asks, or doubling, at random so that robots spread."""
    if asked is not None:
        return min(max(asked, _FIRST_WAIT), _LONGEST_WAIT)
    return float(min(_FIRST_WAIT * 2 ** (failed - 1), _LONGEST_WAIT) * random.uniform(0.75, 1.25))


def pause(seconds: float, cancel: threading.Event | None) -> None:
    """Wait, or stop at once if cancelled."""
    if cancel is None:
        time.sleep(seconds)
    else:
        cancel.wait(seconds)
        check_cancel(cancel)


def _check(url: str, part: Part, received: Received, sha256: str | None, size: int | None,
           cache: Cache, options: FetchOptions) -> str:
    """Return the sha256 of a complete download; raise IntegrityError if it is another one."""
    with cache.errors():
        actual = sha256_of_file(part.path, options.cancel)
        if actual == sha256:
            return actual
        # Some servers compress, or say so, although not asked to; the sha256 tells which it is.
        if _was_compressed(url, received, sha256):
            unzipped = _unzip(part, size or MAX_BYTES, options.cancel)
            if unzipped is not None and sha256 in (None, unzipped):
                return unzipped
        with open(part.path, 'rb') as stream:
            kind = hint(received.content_type, stream.read(_HEAD))
    if sha256 is None and not kind:
        return actual
    if sha256 is None:
        raise IntegrityError(f'{redact(url)} is not a model{kind}; correct the URL')
    raise IntegrityError(
        f'{redact(url)} has sha256 {actual}, but {sha256} is declared; it is not the expected '
        f'file{kind} and was deleted: correct the URL, or the sha256 if you know that the file '
        'was changed on purpose')


def _was_compressed(url: str, received: Received, sha256: str | None) -> bool:
    if received.content_encoding not in ('gzip', 'x-gzip', 'deflate'):
        return False
    return sha256 is not None or not urlsplit(url).path.lower().endswith(('gz', '.tgz'))


def _unzip(part: Part, limit: int, cancel: threading.Event | None) -> str | None:
    """Undo a Content-Encoding; None if the body isn't encoded that way."""
    target = part.path.with_suffix('.plain')
    decoder = zlib.decompressobj(wbits=47)  # gzip or zlib, by the header
    done = 0
    try:
        with open(part.path, 'rb') as source, open(target, 'wb') as stream:
            while not decoder.eof:
                check_cancel(cancel)
                chunk = decoder.unconsumed_tail or source.read(_UNZIP_CHUNK)
                if not chunk:
                    return None
                plain = decoder.decompress(chunk, _UNZIP_CHUNK)
                done += len(plain)
                if done > limit:
                    raise FetchError(f'the server sent more than the allowed {human_size(limit)}; '
                                     'it is not the expected file; correct the URL')
                stream.write(plain)
        os.replace(target, part.path)
        return sha256_of_file(part.path, cancel)
    except zlib.error:
        return None
    finally:
        target.unlink(missing_ok=True)
