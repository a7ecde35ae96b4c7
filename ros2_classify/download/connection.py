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
HTTP connections with a deadline for all that is read, and proxies that are checked.

`http.client` limits the time of each read only: a server that sends a header, an interim response,
a chunk's extension or a trailer byte by byte would keep it reading for ever. Nothing limits a name
server, so connections are made in a thread that can be left behind.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import http.client
import io
import os
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit
import urllib.request

from ros2_classify.download.hashing import check_cancel
from ros2_classify.download.url import host_problem
from ros2_classify.errors import FetchError

# How often a read looks whether it was cancelled, in seconds.
_TICK = 0.25


class Watch:
    """When an attempt has to make progress, and when the download has to end."""

    def __init__(self, cancel: threading.Event | None, timeout: float, longest: float) -> None:
        self._cancel = cancel
        self._timeout = timeout
        self._end = time.monotonic() + longest
        self._next = self._end

    def expect(self, seconds: float) -> None:
        """Expect progress within some seconds: the headers, or more of the body."""
        self._next = min(time.monotonic() + seconds, self._end)

    @property
    def is_over(self) -> bool:
        """Whether the whole download takes too long."""
        return time.monotonic() >= self._end

    def connect(self, connection: http.client.HTTPConnection, connect: Callable[[], Any]) -> None:
        """Look up the host, connect, and shake hands; left behind when nobody waits any more."""
        ended = threading.Event()
        outcome: list[BaseException] = []
        given_up = False

        def run() -> None:
            try:
                connect()
            except BaseException as error:  # noqa: B902 - raised below
                outcome.append(error)
            ended.set()
            if given_up:
                connection.close()

        threading.Thread(target=run, name='connecting', daemon=True).start()
        try:
            while not ended.wait(_TICK):
                check_cancel(self._cancel)
                if time.monotonic() >= self._next:
                    raise TimeoutError('the server is too slow')
        except BaseException:
            given_up = True
            if ended.is_set():
                connection.close()
            raise
        if outcome:
            raise outcome.pop()

    def receive(self, connection: socket.socket, buffer: Any) -> int:
        """Read what has arrived; TimeoutError if nothing does, or no progress is made."""
        before = connection.gettimeout()
        silent = time.monotonic() + self._timeout
        connection.settimeout(min(_TICK, self._timeout))
        try:
            while True:
                check_cancel(self._cancel)
                if time.monotonic() >= self._next:
                    raise TimeoutError('the server is too slow')
                try:
                    return connection.recv_into(buffer)
                except TimeoutError:
                    if time.monotonic() >= silent:
                        raise TimeoutError('the server stopped responding') from None
        finally:
            connection.settimeout(before)


class _Reader(io.RawIOBase):
    """What a response is read from."""

    def __init__(self, connection: socket.socket, watch: Watch) -> None:
        self._connection = connection
        self._watch = watch
        # A reference that keeps the connection open until this is closed.
        self._reference = connection.makefile('rb', buffering=0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        return self._watch.receive(self._connection, buffer)

    def close(self) -> None:
        """Close the connection, unless others read from it."""
        self._reference.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, connection: socket.socket, *args: Any, watch: Watch, **options: Any,
                 ) -> None:
        super().__init__(connection, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Reader(connection, watch))


def _connect(kind: Any, watch: Watch, host: str, **options: Any) -> http.client.HTTPConnection:
    connection: http.client.HTTPConnection = kind(host, **options)
    # Also for the response of a proxy to CONNECT.
    connection.response_class = functools.partial(  # type: ignore[assignment]
        _Response, watch=watch)
    connect = connection.connect
    connection.connect = (  # type: ignore[method-assign]
        lambda: watch.connect(connection, connect))
    return connection


class _Http(urllib.request.HTTPHandler):

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        connect: Any = functools.partial(_connect, http.client.HTTPConnection, self._watch)
        return self.do_open(connect, req)


class _Https(urllib.request.HTTPSHandler):

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        connect: Any = functools.partial(_connect, http.client.HTTPSConnection, self._watch)
        return self.do_open(connect, req, context=self._context)  # type: ignore[attr-defined]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Doesn't follow redirects: the library would send private headers to any host."""

    def _leave(self, *args: object) -> None:
        """Do nothing, so that the response is returned as it is."""

    http_error_301 = http_error_302 = http_error_303 = _leave  # type: ignore[assignment]
    http_error_307 = http_error_308 = _leave  # type: ignore[assignment]


def opener(watch: Watch, is_proxied: bool) -> urllib.request.OpenerDirector:
    """Return an opener of URLs that follows no redirects."""
    # Without a proxy, the library would parse the variables all the same.
    direct = [] if is_proxied else [urllib.request.ProxyHandler({})]
    return urllib.request.build_opener(_Redirects(), _Http(watch), _Https(watch), *direct)


def proxy_of(url: str) -> str:
    """Return the proxy of a URL as ``host:port``, or ''; FetchError if a variable is malformed."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ''):
        return ''
    try:
        found = urlsplit(proxy if '://' in proxy else f'http://{proxy}')
        host, port = found.hostname or '', found.port
        is_valid = (found.scheme in ('http', 'https') and bool(host) and port != 0
                    and not host_problem(host) and proxy.isprintable() and ' ' not in proxy)
    except ValueError:
        is_valid = False
    if is_valid:
        return host if port is None else f'{host}:{port}'
    wanted = f'{parts.scheme}_proxy'
    variable = next((name for name in os.environ if name.lower() == wanted), wanted)
    raise FetchError(
        f'the environment variable {variable} must be a proxy in the form http://HOST:PORT (its '
        'value is not shown here); correct it or unset it')
