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
"""A web server that sends a byte now and then, in the ways that a client must not wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import threading

# Seconds between two bytes or lines.
_PAUSE = 0.5


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    ended: threading.Event

    def do_GET(self) -> None:
        """Drip until the client has gone."""
        kind = self.path.strip('/').partition('/')[0]
        first, again = _KINDS[kind]
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(first)
            while not self.ended.wait(_PAUSE):
                self.wfile.write(again)
                self.wfile.flush()

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


# What is sent first, and then again and again.
_KINDS = {
    'header': (b'HTTP/1.1 200 OK\r\nX-Slow: ', b'x'),
    'continue': (b'', b'HTTP/1.1 100 Continue\r\n\r\n'),
    'body': (b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n', b'x'),
    'chunks': (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', b'1;a=b\r\nx\r\n'),
    'extension': (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;', b'x'),
    'silence': (b'', b''),
}
KINDS = tuple(_KINDS)


@contextmanager
def slow_server() -> Iterator[Callable[[str], str]]:
    """Run a server for the length of a block; yield what gives the URL of a kind."""
    ended = threading.Event()
    server = ThreadingHTTPServer(
        ('127.0.0.1', 0), type('_Ending', (_Handler,), {'ended': ended}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.1})
    thread.start()
    try:
        yield lambda kind: f'http://127.0.0.1:{server.server_port}/{kind}/model.onnx'
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
