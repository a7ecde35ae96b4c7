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

"""A web server on the loopback interface that behaves as badly as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import re
import ssl
import threading

Result = Callable[['Handler'], None]


@dataclass
class Web:
    """
    What is served, and what was asked.

    Parameters
    ----------
    url : str
        The URL of the top, without a slash at its end.
    results : dict of str to list of callable
        By path: each handles one request, the last one all that follow.
    requests : list of (str, Message)
        Path and headers of each request so far.
    released : threading.Event
        What handlers wait for that must hang; set when the server ends.
    asked : threading.Event
        Set by the first request.

    """

    url: str = ''
    results: dict[str, list[Result]] = field(default_factory=dict)
    requests: list[tuple[str, Message]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, *results: Result | bytes) -> str:
        """Serve responses, or files, one after the other; return the URL."""
        self.results[path] = [
            result if callable(result) else whole(result) for result in results]
        return f'{self.url}{path}'

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(1 for asked, _ in self.requests if asked == path)


class Handler(BaseHTTPRequestHandler):
    """Handles one request."""

    protocol_version = 'HTTP/1.1'
    web: Web

    def do_GET(self) -> None:
        """Note the request and respond."""
        path = self.path.partition('?')[0]
        self.web.requests.append((path, self.headers))
        self.web.asked.set()
        results = self.web.results.get(path)
        if not results:
            status(404)(self)
            return
        result = results.pop(0) if len(results) > 1 else results[0]
        try:
            result(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Stay quiet."""

    def start(self, code: int, headers: dict[str, str]) -> None:
        """Send the status line and headers."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def web_server(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Run a server as long as the context lasts."""
    web = Web()
    server = ThreadingHTTPServer(
        ('127.0.0.1', 0), type('_Handler', (Handler,), {'web': web}))
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web.url = f'{"https" if tls else "http"}://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def whole(body: bytes, **extra: str) -> Result:
    """Serve a file as good servers do: with its length, an ETag, and ranges."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:12]}"'

    def result(handler: Handler) -> None:
        headers = {'Accept-Ranges': 'bytes', 'ETag': etag, **extra}
        match = re.fullmatch(r'bytes=(\d+)-', handler.headers.get('Range', ''))
        first = int(match[1]) if match else 0
        if not match or handler.headers.get('If-Range', etag) != etag:
            handler.start(200, {**headers, 'Content-Length': str(len(body))})
            handler.wfile.write(body)
        elif first >= len(body):
            handler.start(416, {'Content-Range': f'bytes */{len(body)}', 'Content-Length': '0'})
        else:
            handler.start(206, {
                **headers, 'Content-Length': str(len(body) - first),
                'Content-Range': f'bytes {first}-{len(body) - 1}/{len(body)}'})
            handler.wfile.write(body[first:])
    return result


def plain(body: bytes, **headers: str) -> Result:
    """Serve a file as simple servers do: its length, and nothing of ranges."""
    def result(handler: Handler) -> None:
        handler.start(200, {'Content-Length': str(len(body)), **headers})
        handler.wfile.write(body)
    return result


def cut_off(body: bytes, sent: int, *, ranges: bool = True) -> Result:
    """Announce a file and hang up before its end."""
    def result(handler: Handler) -> None:
        headers = {'Content-Length': str(len(body))}
        if ranges:
            headers |= {'Accept-Ranges': 'bytes',
                        'ETag': f'"{hashlib.sha256(body).hexdigest()[:12]}"'}
        handler.start(200, headers)
        handler.wfile.write(body[:sent])
        handler.wfile.flush()
        handler.close_connection = True
    return result


def chunked(body: bytes, size: int = 65536, *, complete: bool = True) -> Result:
    """Serve a file without saying how long it is."""
    def result(handler: Handler) -> None:
        handler.start(200, {'Transfer-Encoding': 'chunked'})
        for start in range(0, len(body), size):
            part = body[start:start + size]
            handler.wfile.write(b'%x\r\n%s\r\n' % (len(part), part))
        if complete:
            handler.wfile.write(b'0\r\n\r\n')
        handler.wfile.flush()
        handler.close_connection = True
    return result


def hanging(body: bytes, sent: int) -> Result:
    """Send a beginning; the rest comes when the server is released."""
    def result(handler: Handler) -> None:
        handler.start(200, {'Content-Length': str(len(body))})
        handler.wfile.write(body[:sent])
        handler.wfile.flush()
        handler.web.released.wait(60)
        handler.wfile.write(body[sent:])
    return result


def status(code: int, **headers: str) -> Result:
    """Respond with a status and no body."""
    return lambda handler: handler.start(code, {'Content-Length': '0', **headers})


def redirect(target: str, code: int = 302) -> Result:
    """Send somewhere else."""
    return status(code, Location=target)
