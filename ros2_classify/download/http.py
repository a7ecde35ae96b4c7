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
from ros2_classify.download.hashing import check_cancel, sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import local_path, Origin, origin_of, problem_with, redact
from ros2_classify.errors import DiskFullError, FetchError, IntegrityError
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
    """
    Return the headers that the environment holds for one address's server.

    Parameters
    ----------
    url : str
        An http or https address.
    environ : mapping of str to str, optional
        The environment; None means the process's own.

    Returns
    -------
    dict of str to str
        Headers by name; empty where there are none for this scheme, host and port.

    Raises
    ------
    FetchError
        If a variable can't be read; the message names it and never its value.

    """
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
        raise _refused(variable, kind, 'must begin with the server')
    rest = rest.strip()
    if kind == TOKEN:
        name, value = 'Authorization', f'Bearer {rest}' if rest else ''
    else:
        name, _, value = (part.strip() for part in rest.partition(':'))
    if not _NAME.fullmatch(name) or name.lower() in _OURS:
        raise _refused(variable, kind, "has no header's name, or one that is not yours to set,")
    if not _VALUE.fullmatch(value):
        raise _refused(variable, kind, 'has no value, or one with characters no header may hold,')
    return origin_of(server), name, value


def _refused(variable: str, kind: str, problem: str) -> FetchError:
    form = 'https://HOST TOKEN' if kind == TOKEN else 'https://HOST NAME: VALUE'
    return FetchError(f'the environment variable {variable} {problem} after the form {form!r} '
                      '(its value is not shown here); correct it or unset it')


_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class TemporaryError(Exception):
    """
    An attempt failed, and another one may succeed.

    Parameters
    ----------
    reason : str
        What happened, for people.
    wait : float, optional
        Seconds that the server asked us to wait.

    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class RangeRefusedError(TemporaryError):
    """What there is can't be gone on with."""


def refused(error: urllib.error.HTTPError, url: str) -> Exception:
    """Return what to raise for an answer that is no file: a TemporaryError or a FetchError."""
    code, shown = error.code, redact(url)
    if code == 416:
        return RangeRefusedError('the server has no more bytes than there are already')
    if code in _RETRIED:
        return TemporaryError(f'{shown} answered {code} {error.reason}',
                              _seconds(error.headers.get('Retry-After')))
    if code in (401, 403, 407):
        sent = bool(private_headers(url))
        step = ('the token or header in the environment was sent and not accepted' if sent else
                'if it is a private server, set in the environment '
                f"ROS2_CLASSIFY_HTTP_TOKEN='{origin_of(url)} TOKEN'")
        return FetchError(f'{shown} refused access ({code} {error.reason}); {step}')
    if code in (404, 410):
        return FetchError(f'{shown} is not there ({code} {error.reason}); correct the address, or '
                          'take the file from elsewhere and name it by path')
    return FetchError(f'{shown} answered {code} {error.reason}; correct the address')


def _seconds(text: str | None) -> float | None:
    """Return a Retry-After given in seconds; a date is as good as nothing."""
    return float(text) if text and text.strip().isdecimal() and len(text) < 8 else None


def unreachable(error: urllib.error.URLError, url: str) -> Exception:
    """Return what to raise where no answer came: a TemporaryError or a FetchError."""
    reason, host = error.reason, origin_of(url)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError(
            f'{host} shows a certificate that is not trusted ({reason.verify_message}); look at '
            "the machine's date, and name a private authority's certificates in SSL_CERT_FILE")
    if isinstance(reason, ssl.SSLError):
        return TemporaryError(f'{host} does not speak TLS as expected ({reason.reason})')
    if isinstance(reason, socket.gaierror):
        return TemporaryError(f'the name {host.host} is unknown here ({reason.strerror}); '
                              'is there a network?')
    if isinstance(reason, OSError):
        return TemporaryError(f'{host} cannot be reached ({network_reason(reason)})')
    return FetchError(f'{host} cannot be asked ({reason}); correct the address')


def network_reason(error: Exception) -> str:
    """Return a few words for what ended a connection."""
    if isinstance(error, TimeoutError):
        return 'the server fell silent'
    if isinstance(error, http.client.IncompleteRead):
        return 'the connection was cut off'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def hint(content_type: str, head: bytes) -> str:
    """
    Say what a wrong file probably is.

    Parameters
    ----------
    content_type : str
        As the server said.
    head : bytes
        The file's first bytes.

    Returns
    -------
    str
        The end of a sentence, or nothing.

    """
    if head.startswith(b'version https://git-lfs.github.com/spec/'):
        return (' (it is the pointer that Git LFS keeps in place of the file: use the address '
                'that serves the file itself)')
    if content_type.startswith('text/html') or head.lstrip()[:14].lower() in (
            b'<!doctype html', b'<html'):
        return ' (it is a web page: a log-in page, or the page about the file)'
    return ''


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


_log = logging.getLogger('ros2_classify')

# Seconds before the second attempt; they double from one to the next, up to the limit.
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
# An attempt that brought so many bytes is not counted: a weak network gets there in the end.
_WORTH_IT = 1024 * 1024
_download_CHUNK = 1024 * 1024
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
                chunk = decoder.unconsumed_tail or source.read(_download_CHUNK)
                if not chunk:
                    return None
                plain = decoder.decompress(chunk, _download_CHUNK)
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
