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

"""Servers that never come to an end, and proxies and host names that can't be right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import itertools
from pathlib import Path
import socket
import threading
import time
from typing import Any

from cache_files import files_in, request
import pytest
from ros2_classify.download import http
from ros2_classify.download.fetch import fetch
from ros2_classify.download.url import problem_with
from ros2_classify.errors import FetchCancelledError, FetchError
from web_server import redirect, Web

BODY = bytes(range(256)) * 1024
OK = b'HTTP/1.1 200 OK\r\n'
CHUNKED = OK + b'Transfer-Encoding: chunked\r\n\r\n'

Send = Callable[[bytes], None]


def drip(send: Send, start: bytes, endless: bytes) -> None:
    """Send something at once, and then byte by byte for ever."""
    send(start)
    for byte in itertools.cycle(endless):
        send(bytes([byte]))
        time.sleep(0.02)


# Each keeps http.client reading, with less than the timeout between two bytes.
ENDLESS: dict[str, Callable[[Send], None]] = {
    'the status line': lambda send: drip(send, b'', b'HTTP/1.1 200 ' + b'O' * 60_000),
    'a header': lambda send: drip(send, OK + b'X-Long: ', b'x'),
    '100 Continue': lambda send: drip(send, b'', b'HTTP/1.1 100 Continue\r\n\r\n'),
    '100 Continue at full speed': lambda send: [
        send(b'HTTP/1.1 100 Continue\r\n\r\n' * 1000) for _ in itertools.count()] and None,
    'an extension of a chunk': lambda send: drip(send, CHUNKED + b'5;', b'x'),
    'trailers': lambda send: drip(send, CHUNKED + b'4\r\nabcd\r\n0\r\n', b'X: y\r\n'),
    'trailers at full speed': lambda send: [
        send(CHUNKED + b'0\r\n')] and [
            send(b'X: y\r\n' * 1000) for _ in itertools.count()] and None,
    'a body with a length': lambda send: drip(
        send, OK + b'Content-Length: 262144\r\n\r\n', b'x'),
    'a body without': lambda send: drip(send, OK + b'\r\n', b'x'),
    'empty chunks with extensions': lambda send: drip(
        send, CHUNKED, b'1;' + b'e' * 40 + b'\r\nx\r\n'),
}


@contextmanager
def raw_server(behave: Callable[[Send], None]) -> Iterator[str]:
    """Run a server that does what it likes after each request."""
    ended = threading.Event()

    def send_to(connection: socket.socket) -> Send:
        def send(data: bytes) -> None:
            if ended.is_set():
                raise ConnectionResetError
            connection.sendall(data)
        return send

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                behave(send_to(connection))
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f'http://127.0.0.1:{listener.getsockname()[1]}/m.onnx'
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize('what', ENDLESS)
def test_a_server_without_an_end(
        what: str, cache_directory: Path, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, 'PATIENCE', 0.5)
    began = time.monotonic()
    with raw_server(ENDLESS[what]) as url:
        with pytest.raises(FetchError, match='the server (is too slow|stopped)|in one attempt'):
            fetch(request(url, BODY), options(timeout=0.5, attempts=1))
    assert time.monotonic() - began < 6
    assert files_in(cache_directory) == []


@pytest.mark.parametrize('what', ['a header', '100 Continue', 'an extension of a chunk',
                                  'trailers', 'a body with a length'])
def test_it_is_cancelled_at_once_and_holds_no_lock(
        what: str, cache_directory: Path, options: Any) -> None:
    """With the patience of a real download; the next one gets its lock."""
    cancel = threading.Event()
    ended: list[float] = []

    def run() -> None:
        with pytest.raises(FetchCancelledError):
            fetch(request(url, BODY), options(cancel=cancel, attempts=1, timeout=20.0))
        ended.append(time.monotonic())

    with raw_server(ENDLESS[what]) as url:
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        cancel.set()
        thread.join(10)
        assert ended and ended[0] - began < 1.5
    with raw_server(lambda send: send(
            OK + b'Content-Length: 262144\r\nConnection: close\r\n\r\n' + BODY)) as url:
        assert fetch(request(url, BODY), options(timeout=5.0)).read_bytes() == BODY


@pytest.mark.parametrize('where', ['the name server', 'the handshake'])
def test_what_is_under_way_before_the_first_byte_is_left_behind(
        where: str, cache_directory: Path, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can interrupt a look-up of a host, which may take minutes."""
    go_on, asked = threading.Event(), threading.Event()
    cancel = threading.Event()
    look_up = socket.getaddrinfo

    def slow(host: Any, *args: Any, **more: Any) -> Any:
        if host == 'slow.invalid':
            asked.set()
            assert go_on.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, 'Temporary failure in name resolution')
        return look_up(host, *args, **more)

    monkeypatch.setattr(socket, 'getaddrinfo', slow)
    listener = socket.create_server(('127.0.0.1', 0))
    url = 'http://slow.invalid/m.onnx' if where == 'the name server' else (
        f'https://127.0.0.1:{listener.getsockname()[1]}/m.onnx')

    def run() -> None:
        with pytest.raises(FetchCancelledError):
            fetch(request(url, BODY), options(cancel=cancel, attempts=1, timeout=20.0))
        ended.append(time.monotonic())

    ended: list[float] = []
    thread = threading.Thread(target=run)
    with listener:
        thread.start()
        if where == 'the handshake':
            silent, _ = listener.accept()
            silent.settimeout(20)
        else:
            assert asked.wait(5)
        began = time.monotonic()
        cancel.set()
        thread.join(10)
        assert ended and ended[0] - began < 1.5
        # The next one of the same file has its lock.
        with raw_server(lambda send: send(
                OK + b'Content-Length: 262144\r\nConnection: close\r\n\r\n' + BODY)) as good:
            assert fetch(request(good, BODY), options(timeout=5.0)).read_bytes() == BODY
    # What comes back late changes nothing.
    go_on.set()
    time.sleep(0.1)
    assert files_in(cache_directory) != []


def test_a_name_server_that_never_replies_has_an_end(
        options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, 'PATIENCE', 0.5)
    go_on = threading.Event()
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *_, **__: go_on.wait(20) and [])
    began = time.monotonic()
    with pytest.raises(FetchError, match='the server is too slow'):
        fetch(request('http://slow.invalid/m.onnx', BODY), options(timeout=0.5, attempts=1))
    assert time.monotonic() - began < 5
    go_on.set()


def test_a_silent_server_stops_after_the_timeout(options: Any) -> None:
    began = time.monotonic()
    with raw_server(lambda send: time.sleep(3)) as url:
        with pytest.raises(FetchError, match='the server stopped responding'):
            fetch(request(url, BODY), options(timeout=0.5, attempts=1))
    assert 0.4 < time.monotonic() - began < 2.5


def test_a_download_has_an_end_as_a_whole(
        options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that lets every attempt make some progress is not asked for ever."""
    monkeypatch.setattr(http, 'LONGEST', 1.0)
    monkeypatch.setattr(http, '_WORTH_IT', 1)
    monkeypatch.setattr(http, '_FIRST_WAIT', 0.05)
    monkeypatch.setattr(http, '_LONGEST_WAIT', 0.05)

    def some(send: Send) -> None:
        send(OK + b'Content-Length: 262144\r\nAccept-Ranges: bytes\r\nETag: "1"\r\n\r\n'
             + BODY[:9])

    began = time.monotonic()
    with raw_server(some) as url, pytest.raises(FetchError, match='could not be downloaded in'):
        fetch(request(url, BODY), options(timeout=0.5, attempts=100_000))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize('host', ['a..b', '.a', 'x' * 64 + '.org', 'a.' * 127 + 'bc'])
def test_host_names_that_no_server_has(host: str, web: Web, options: Any) -> None:
    assert 'has a host name that no server can have' in str(problem_with(f'http://{host}/m'))
    url = web.serve('/m.onnx', redirect(f'http://{host}/m.onnx'))
    with pytest.raises(FetchError, match='redirects to .*has a host name that no server can have'):
        fetch(request(url, BODY), options())
    with pytest.raises(FetchError, match='has a host name that no server can have'):
        fetch(request(f'https://{host}/m.onnx', BODY), options())


@pytest.mark.parametrize('host', ['a.b.', 'localhost', '[::1]', '127.0.0.1', 'x' * 63 + '.org'])
def test_host_names_that_may_be(host: str) -> None:
    assert problem_with(f'http://{host}/m') is None


@pytest.mark.parametrize('proxy', [
    'http://user:s3cret@[::1', 'http://user:s3cret@host:port', 'http://user:s3cret@host:99999',
    'socks5://user:s3cret@host:1', 'http://user:s3cret@', 'user:s3cret@a..b:80', '/s3cret',
    'http://user:s3cret@host:0', 'http://user:s3 cret@host:1', 'http://user:s3cret\x1b@h:1'])
def test_a_malformed_proxy_is_one_sentence_without_its_password(
        proxy: str, web: Web, options: Any, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    for name in ('http_proxy', 'HTTP_PROXY'):
        with monkeypatch.context() as patch:
            patch.setenv(name, proxy)
            with pytest.raises(FetchError, match='http_proxy|HTTP_PROXY') as error:
                fetch(request('http://example.invalid/m.onnx', BODY), options(attempts=1))
            assert name in str(error.value) and 'http://HOST:PORT' in str(error.value)
            assert 's3cret' not in str(error.value) + caplog.text
            patch.setenv('no_proxy', '127.0.0.1')
            url = web.serve('/m.onnx', other := name.encode())
            assert fetch(request(url, other), options()).read_bytes() == other


def test_a_proxy_that_is_not_there_is_named(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    monkeypatch.setenv('http_proxy', f'http://user:s3cret@127.0.0.1:{port}')
    with pytest.raises(FetchError, match=f'cannot be reached through the proxy 127.0.0.1:{port} '
                       ) as error:
        fetch(request('http://example.invalid/m.onnx', BODY), options(attempts=1))
    assert 's3cret' not in str(error.value)
