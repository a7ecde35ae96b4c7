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
The page's server: files of the page, images as motion JPEG, the state as server-sent events.

The standard library's server is enough for a handful of browsers, and runs wherever Python does.
Everything but the page's own files needs the token; requests that change something need it in a
header, which no other site can send.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
import ipaddress
import json
import logging
import secrets
import socket
from socketserver import TCPServer
import threading
import time
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from ros2_classify.errors import OptionsError, Ros2ClassifyError
from ros2_classify.web.feed import Feed

_LOGGER = logging.getLogger(__name__)

_FILES = {'/': ('index.html', 'text/html; charset=utf-8'),
          '/page.css': ('page.css', 'text/css; charset=utf-8'),
          '/page.js': ('page.js', 'text/javascript; charset=utf-8'),
          '/icon.svg': ('icon.svg', 'image/svg+xml')}
_HEADERS = {
    'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer', 'X-Frame-Options': 'DENY',
    'Content-Security-Policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"}
# Seconds that a client may take to send a request, or to take what it is sent.
_TIMEOUT = 8.0
# Seconds for a request as a whole: a byte now and then must not keep a place.
_REQUEST_TIMEOUT = 20.0
_MOST_CLIENTS = 64
_MOST_BYTES = 65536
# Seconds between two looks at the state; half a minute without news keeps proxies awake.
_STATE_EVERY = 0.1
_KEEP_ALIVE = 15.0


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(name)


class Backend(Protocol):
    """What the page shows and controls; any thread may call any method."""

    @property
    def feeds(self) -> Mapping[str, Feed]:
        """The images, by the id of their stream."""

    def state(self) -> dict[str, Any]:
        """Return all that the page shows, in JSON types."""

    def control(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do something; raise `Ros2ClassifyError` if it can't be done."""


class WebServer:
    """Serves the page of a backend until `close`; raises `OptionsError` if it can't."""

    def __init__(self, backend: Backend, host: str = '127.0.0.1', port: int = 0) -> None:
        self.token = secrets.token_urlsafe(16)
        self._closed = threading.Event()
        try:
            self._server = _Server(self, backend, host, port)
        except (OSError, OverflowError) as error:
            reason = getattr(error, 'strerror', None) or error
            raise OptionsError(
                f'the page cannot be served at {host}:{port}: {reason}; choose another host or '
                'port (0 takes a free one)') from error
        self.host, self.port = host, int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name='web', daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The page's URL with its token."""
        host = self.host
        if host in ('', '0.0.0.0', '::'):
            host = socket.gethostname()
        shown = f'[{host}]' if ':' in host else host
        return f'http://{shown}:{self.port}/?token={self.token}'

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the server; clients notice within a second."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    # close() must not wait for a browser.
    block_on_close = False

    def __init__(self, web: WebServer, backend: Backend, host: str, port: int) -> None:
        self.web, self.backend, self.bound = web, backend, host
        self._places = threading.BoundedSemaphore(_MOST_CLIENTS)
        # Connections on which a request is awaited, and until when.
        self.reading: dict[socket.socket, float] = {}
        if ':' in host:
            self.address_family = socket.AF_INET6
        # What may be in a request's Host header.
        self._names = {'localhost', host.lower()}
        super().__init__((host, port), _Handler)
        if not _is_local(host):
            name = socket.gethostname().lower()
            self._names |= {name, f'{name}.local'}
            threading.Thread(target=self._find_full_name, daemon=True).start()

    def server_bind(self) -> None:
        """Bind without looking up a name, which takes seconds where no name server replies."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.bound, self.server_address[1]

    def _find_full_name(self) -> None:
        """Look it up once, while requests by other names have their responses."""
        self._names.add(socket.getfqdn().lower())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Refuse more clients than there are places."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Free the place at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def service_actions(self) -> None:
        """Hang up on clients whose requests don't come to an end."""
        now = time.monotonic()
        for connection, until in tuple(self.reading.items()):
            if now > until:
                self.reading.pop(connection, None)
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what is worth it: clients that are gone are not."""
        _LOGGER.debug('a client of the page failed', exc_info=True)

    def takes_host(self, header: str) -> bool:
        """
        Return whether a Host header names this machine.

        Another name means that a site made its own name point here (DNS rebinding).
        """
        try:
            host = urlsplit(f'//{header}').hostname or ''
        except ValueError:
            return False
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return bool(host) and host.lower() in self._names
        return literal.is_loopback or not _is_local(self.bound)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = 'HTTP/1.1'
    timeout = _TIMEOUT

    def handle_one_request(self) -> None:
        """Read a request, within a time, and serve it."""
        self.server.reading[self.connection] = time.monotonic() + _REQUEST_TIMEOUT
        try:
            super().handle_one_request()
        finally:
            self._is_read()

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        """Serve the page, the state or images."""
        self._is_read()
        if not self._is_host_good():
            return
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path in _FILES:
            name, kind = _FILES[parts.path]
            self._send(HTTPStatus.OK, kind,
                       (files('ros2_classify.web') / 'page' / name).read_bytes())
        elif not self._is_token(query.get('token', self.headers.get('X-Token', ''))):
            self._fail(HTTPStatus.FORBIDDEN, 'the token is missing or wrong: open the URL that '
                                             'the program printed')
        elif parts.path == '/state':
            self._send_json(HTTPStatus.OK, self.server.backend.state())
        elif parts.path == '/events':
            self._events()
        elif parts.path == '/images':
            feed = self.server.backend.feeds.get(query.get('stream', ''))
            if feed is None:
                self._fail(HTTPStatus.NOT_FOUND, 'there is no such stream')
            else:
                self._images(feed)
        else:
            self._fail(HTTPStatus.NOT_FOUND, 'there is no such page')

    def do_POST(self) -> None:  # noqa: N802 - the library's name
        """Control something: ``/control/NAME`` with a JSON object."""
        if not self._is_host_good():
            return
        # What isn't read would be taken for the next request.
        self.close_connection = True
        origin = self.headers.get('Origin')
        if origin is not None and urlsplit(origin).netloc != self.headers.get('Host'):
            self._fail(HTTPStatus.FORBIDDEN, 'requests from other sites are refused')
            return
        if not self._is_token(self.headers.get('X-Token', '')):
            self._fail(HTTPStatus.FORBIDDEN, 'controls need the token in the header X-Token')
            return
        path = urlsplit(self.path).path
        length = self.headers.get('Content-Length', '')
        if not path.startswith('/control/') or not length.isdecimal():
            self._fail(HTTPStatus.NOT_FOUND, 'there is no such control')
            return
        if int(length) > _MOST_BYTES:
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 'the request is too large')
            return
        try:
            data = self.rfile.read(int(length))
            self._is_read()
            body = json.loads(data or b'{}', parse_constant=_refuse_constant)
            if not isinstance(body, dict):
                raise ValueError
        except (ValueError, RecursionError):
            self._fail(HTTPStatus.BAD_REQUEST, 'the request must be a JSON object')
            return
        try:
            done = self.server.backend.control(path.removeprefix('/control/'), body)
        except Ros2ClassifyError as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._send_json(HTTPStatus.OK, done)

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: URLs have the token in them."""

    def _is_read(self) -> None:
        self.server.reading.pop(self.connection, None)

    def _is_host_good(self) -> bool:
        if self.server.takes_host(self.headers.get('Host', '')):
            return True
        self._fail(HTTPStatus.FORBIDDEN, 'this is not the host that the page is served for')
        return False

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.server.web.token.encode())

    def _events(self) -> None:
        """Send the state whenever it changes."""
        self._begin('text/event-stream')
        last, sent = '', 0.0
        while not self.server.web.closed:
            text = json.dumps(self.server.backend.state())
            now = time.monotonic()
            if text != last:
                self._write(f'data: {text}\n\n'.encode())
                last, sent = text, now
            elif now - sent > _KEEP_ALIVE:
                self._write(b': nothing new\n\n')
                sent = now
            self.server.web._closed.wait(_STATE_EVERY)

    def _images(self, feed: Feed) -> None:
        """Send the newest image each time; Chromium shows one when the next one's header comes."""
        self._begin('multipart/x-mixed-replace; boundary=image')
        begin = b'--image\r\nContent-Type: image/jpeg\r\n\r\n'
        self._write(begin)
        jpegs = feed.jpegs()
        try:
            for jpeg in jpegs:
                if self.server.web.closed:
                    return
                if jpeg:
                    self._write(jpeg + b'\r\n' + begin)
                elif self._is_gone():
                    return
        finally:
            jpegs.close()  # type: ignore[attr-defined]

    def _is_gone(self) -> bool:
        """Return whether the client has hung up, while there is nothing to send."""
        self.connection.settimeout(0)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(_TIMEOUT)

    def _begin(self, kind: str) -> None:
        self.close_connection = True
        # Little in flight: a stalled browser holds kilobytes, and sees the present when it wakes.
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 262144)
        self.send_response(HTTPStatus.OK)
        for name, value in {'Content-Type': kind, 'Connection': 'close', **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def _write(self, data: bytes) -> None:
        """Send; TimeoutError, which ends the client, if it takes nothing for seconds."""
        self.wfile.write(data)

    def _send_json(self, status: HTTPStatus, data: Any) -> None:
        self._send(status, 'application/json', json.dumps(data).encode())

    def _fail(self, status: HTTPStatus, text: str) -> None:
        self._send_json(status, {'error': text})

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        for name, value in {'Content-Type': kind, 'Content-Length': str(len(data)),
                            **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == 'localhost'
