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

"""The page's server: hosts, tokens, clients that stall, and nothing made without clients."""

import http.client
import json
import socket
import threading
import time

import cv2
import numpy as np
import pytest
from ros2_classify.errors import InputError, OptionsError
from ros2_classify.web import host_and_port
from ros2_classify.web.feed import Feed
from ros2_classify.web.server import WebServer


class FakeBackend:
    """One stream; remembers what was controlled."""

    def __init__(self):
        self.feed = Feed()
        self.controlled = []
        self.number = 0

    @property
    def feeds(self):
        return {'one': self.feed}

    def state(self):
        return {'number': self.number}

    def control(self, name, body):
        if name == 'bad':
            raise InputError('this cannot be done')
        self.controlled.append((name, body))
        return {'done': name}


@pytest.fixture
def backend():
    return FakeBackend()


@pytest.fixture
def web(backend):
    served = WebServer(backend)
    yield served
    backend.feed.close()
    served.close()


def ask(web, method, path, body=None, **headers):
    """Send one request; return status, headers and content."""
    connection = http.client.HTTPConnection('127.0.0.1', web.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    data = None if body is None else json.dumps(body).encode()
    given = {'Host': f'127.0.0.1:{web.port}', **{
        key.replace('_', '-'): value for key, value in headers.items()}}
    if data is not None:
        given['Content-Length'] = str(len(data))
    for key, value in given.items():
        connection.putheader(key, value)
    connection.endheaders(data)
    response = connection.getresponse()
    found = response.status, dict(response.headers), response.read()
    connection.close()
    return found


def grey(value):
    return np.full((48, 64, 3), value, np.uint8)


def stream(web):
    """Open the motion JPEG of the stream; return the socket."""
    client = socket.create_connection(('127.0.0.1', web.port), timeout=10)
    client.sendall(f'GET /images?stream=one&token={web.token} HTTP/1.1\r\n'
                   f'Host: localhost:{web.port}\r\n\r\n'.encode())
    return client


def next_image(client, buffer):
    """Return the value of the next whole JPEG of a stream."""
    while True:
        begin, end = buffer.find(b'\xff\xd8'), buffer.find(b'\xff\xd9')
        if begin >= 0 and end > begin:
            jpeg = bytes(buffer[begin:end + 2])
            del buffer[:end + 2]
            return int(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).mean().round())
        data = client.recv(65536)
        assert data
        buffer += data


@pytest.mark.parametrize('path', ['/', '/page.css', '/page.js', '/icon.svg'])
def test_the_page_needs_no_token_and_allows_no_other_code(web, path):
    status, headers, content = ask(web, 'GET', path)
    assert status == 200 and content
    assert "default-src 'self'" in headers['Content-Security-Policy']
    own = content.replace(b'http://www.w3.org', b'')
    assert b'http://' not in own and b'https://' not in own


@pytest.mark.parametrize('path', ['/state', '/events', '/images?stream=one'])
def test_all_else_needs_the_token(web, path):
    joint = '&' if '?' in path else '?'
    for wrong in (path, f'{path}{joint}token=', f'{path}{joint}token=wrong'):
        status, _, content = ask(web, 'GET', wrong)
        assert status == 403 and b'the token is missing or wrong' in content
    assert web.token in web.url and len(web.token) >= 20


@pytest.mark.parametrize(('host', 'good'), [
    ('127.0.0.1', True), ('localhost:8080', True), ('LOCALHOST', True), ('[::1]:80', True),
    ('evil.example', False), ('127.0.0.1.evil.example', False), ('192.168.1.5:8080', False),
    ('', False), ('[', False), ('localhost@evil.example', False)])
def test_a_strange_host_is_refused(web, host, good):
    for method, path in (('GET', '/'), ('GET', f'/state?token={web.token}'),
                         ('POST', '/control/pause')):
        status, _, _ = ask(web, method, path, {} if method == 'POST' else None, Host=host,
                           X_Token=web.token)
        assert (status == 200) is good and (good or status == 403)


def test_controls_need_the_token_in_a_header(web, backend):
    path = '/control/pause'
    assert ask(web, 'POST', path, {})[0] == 403
    assert ask(web, 'POST', f'{path}?token={web.token}', {})[0] == 403
    assert ask(web, 'POST', path, {}, X_Token='wrong')[0] == 403
    assert ask(web, 'POST', path, {}, X_Token=web.token, Origin='http://evil.example')[0] == 403
    assert ask(web, 'GET', path, X_Token=web.token)[0] == 404
    assert backend.controlled == []
    status, _, content = ask(web, 'POST', path, {'a': 1}, X_Token=web.token,
                             Origin=f'http://127.0.0.1:{web.port}')
    assert status == 200 and json.loads(content) == {'done': 'pause'}
    assert backend.controlled == [('pause', {'a': 1})]


def test_what_is_wrong_is_said(web):
    token = {'X_Token': web.token}
    assert ask(web, 'POST', '/control/bad', {}, **token)[::2] == (
        400, b'{"error": "this cannot be done"}')
    assert ask(web, 'POST', '/control/x', [1], **token)[0] == 400
    assert ask(web, 'POST', '/control/x', 'x' * 70000, **token)[0] == 413
    assert ask(web, 'POST', '/other', {}, **token)[0] == 404
    assert ask(web, 'GET', '/../server.py', **token)[0] == 404
    assert ask(web, 'GET', f'/images?stream=two&token={web.token}')[0] == 404


def test_nothing_is_encoded_while_nobody_watches(web, backend):
    drawn = []

    def draw():
        drawn.append(1)
        return grey(50)

    for _ in range(20):
        backend.feed.offer(draw)
    assert not drawn and backend.feed.listeners == 0
    client, buffer = stream(web), bytearray()
    # Who comes while nothing moves sees what there is.
    assert next_image(client, buffer) == 50
    assert backend.feed.listeners == 1
    backend.feed.offer(lambda: grey(80))
    assert next_image(client, buffer) == 80
    client.close()
    deadline = time.monotonic() + 10
    while backend.feed.listeners:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    encoded = backend.feed.encoded
    for _ in range(20):
        backend.feed.offer(draw)
    time.sleep(0.2)
    assert backend.feed.encoded == encoded and not drawn[1:]


def test_a_client_that_stalls_delays_nobody_and_is_dropped(web, backend, monkeypatch):
    monkeypatch.setattr('ros2_classify.web.server._TIMEOUT', 1.0)
    noise = np.random.default_rng(1).integers(0, 256, (600, 800, 3), np.uint8)
    stalled, client, buffer = stream(web), stream(web), bytearray()
    stalled.recv(100)
    slowest = 0.0
    for number in range(60):
        image = noise.copy()
        image[:400] = 4 * number
        begun = time.perf_counter()
        backend.feed.offer(lambda image=image: image)
        slowest = max(slowest, time.perf_counter() - begun)
        next_image(client, buffer)
    # A stalled client would hold it for a second.
    assert slowest < 0.5
    deadline = time.monotonic() + 20
    while backend.feed.listeners > 1:
        backend.feed.offer(lambda: noise)
        next_image(client, buffer)
        assert time.monotonic() < deadline
    stalled.close()
    client.close()


def test_a_slow_client_gets_the_newest_image(backend):
    jpegs = backend.feed.jpegs()
    backend.feed.offer(lambda: grey(0))
    assert next(jpegs)
    for value in range(1, 30):
        backend.feed.offer(lambda value=value: grey(value * 4))
        time.sleep(0.01)
    time.sleep(0.2)
    image = cv2.imdecode(np.frombuffer(next(jpegs), np.uint8), 1)
    assert image.mean() == pytest.approx(116, abs=2)
    jpegs.close()


def test_a_drawing_that_fails_does_not_end_the_feed(backend, caplog):
    jpegs = backend.feed.jpegs()
    backend.feed.offer(lambda: 1 / 0)
    backend.feed.offer(lambda: 1 / 0)
    assert next(jpegs) == b''
    backend.feed.offer(lambda: grey(9))
    assert next(jpegs)
    jpegs.close()


def test_events_come_when_the_state_changes(web, backend):
    client = socket.create_connection(('127.0.0.1', web.port), timeout=10)
    client.sendall(f'GET /events?token={web.token} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode())
    lines = (line for line in client.makefile('r') if line.startswith('data: '))
    assert json.loads(next(lines)[6:]) == {'number': 0}
    backend.number = 7
    assert json.loads(next(lines)[6:]) == {'number': 7}
    client.close()


def test_more_clients_than_places_are_turned_away(web):
    clients = []
    try:
        for _ in range(70):
            clients.append(socket.create_connection(('127.0.0.1', web.port), timeout=10))
        clients[-1].settimeout(5)
        assert clients[-1].recv(1) == b''
    finally:
        for client in clients:
            client.close()


def test_a_request_that_drips_does_not_keep_its_place(web, monkeypatch):
    """A byte every tenth of a second, in headers and in a body, for ever."""
    monkeypatch.setattr('ros2_classify.web.server._REQUEST_TIMEOUT', 0.5)
    body = (f'POST /control/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Token: {web.token}\r\n'
            'Content-Length: 60000\r\n\r\n')
    for begin in ('GET / HTTP/1.1\r\nX-Drip: ', body):
        with socket.create_connection(('127.0.0.1', web.port), timeout=5) as client:
            client.sendall(begin.encode())
            started = time.monotonic()
            with pytest.raises(OSError):
                while time.monotonic() - started < 8:
                    client.sendall(b'x')
                    time.sleep(0.1)
            assert time.monotonic() - started < 5
    wait_until = time.monotonic() + 5
    while web._server.reading and time.monotonic() < wait_until:
        time.sleep(0.05)
    assert not web._server.reading and ask(web, 'GET', '/')[0] == 200


@pytest.mark.parametrize('word', ['NaN', 'Infinity', '-Infinity'])
def test_numbers_that_json_does_not_have(web, backend, word):
    connection = http.client.HTTPConnection('127.0.0.1', web.port, timeout=10)
    connection.request('POST', '/control/x', f'{{"threshold": {word}}}', {'X-Token': web.token})
    assert connection.getresponse().status == 400 and backend.controlled == []
    connection.close()


def test_closing_ends_clients_and_threads(backend):
    before = threading.active_count()
    served = WebServer(backend)
    client, buffer = stream(served), bytearray()
    backend.feed.offer(lambda: grey(9))
    next_image(client, buffer)
    backend.feed.close()
    served.close()
    client.settimeout(10)
    while client.recv(65536):
        pass
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(('text', 'place'), [
    ('127.0.0.1:8080', ('127.0.0.1', 8080)), (':8080', ('127.0.0.1', 8080)),
    ('8080', ('127.0.0.1', 8080)), ('0', ('127.0.0.1', 0)), ('robot:80', ('robot', 80)),
    ('[::1]:80', ('::1', 80)), ('0.0.0.0:0', ('0.0.0.0', 0))])
def test_hosts_and_ports(text, place):
    assert host_and_port(text) == place


@pytest.mark.parametrize(('text', 'advice'), [
    ('localhost', '; write localhost:8080'), ('127.0.0.1', '; write 127.0.0.1:8080'),
    ('0.0.0.0:99999', ': the port 99999 is not from 0 (a free one) to 65535'),
    ('99999', ': the port 99999 is not from 0 (a free one) to 65535'),
    ('-1', ': the port -1 is not from 0 (a free one) to 65535'),
    ('http://127.0.0.1:8080/', '; write 127.0.0.1:8080'), ('http://robot', '; write robot:8080'),
    ('::1', '; write [::1]:8080'), ('a:b', ''), ('true', ''), ('', ''), ('my host:80x', ''),
    ('8080x', '')])
def test_what_is_no_host_and_port(text, advice):
    with pytest.raises(OptionsError) as caught:
        host_and_port(text)
    assert str(caught.value) == (
        f'web is {text!r} but must be host and port, such as 127.0.0.1:8080, or a port alone for '
        f'this machine only, such as 8080{advice}')


def test_a_port_that_is_taken(web, backend):
    with pytest.raises(OptionsError, match='choose another host or port'):
        WebServer(backend, '127.0.0.1', web.port)


def test_all_interfaces_mean_the_names_of_this_machine(backend):
    served = WebServer(backend, '0.0.0.0')
    try:
        for host, status in (('192.168.1.5', 200), (socket.gethostname(), 200), ('localhost', 200),
                             ('evil.example', 403)):
            assert ask(served, 'GET', '/', Host=host)[0] == status
    finally:
        served.close()


def test_no_request_waits_for_a_name_server(backend, monkeypatch):
    """Without a network, a look-up takes as long as its timeout: seconds for each request."""
    replies = threading.Event()
    monkeypatch.setattr(socket, 'getfqdn', lambda *_: replies.wait(20) and 'Robot.example.org')
    begun = time.monotonic()
    served = WebServer(backend, '0.0.0.0')
    try:
        for host, status in ((socket.gethostname(), 200), ('robot.example.org', 403)):
            assert ask(served, 'GET', f'/state?token={served.token}', Host=host)[0] == status
        assert time.monotonic() - begun < 5
        replies.set()
        state = f'/state?token={served.token}'
        while ask(served, 'GET', state, Host='robot.example.org')[0] != 200:
            assert time.monotonic() - begun < 10
    finally:
        replies.set()
        served.close()
