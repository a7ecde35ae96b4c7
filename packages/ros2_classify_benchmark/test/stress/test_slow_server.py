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

"""A server that drips: each kind in its own way, for as long as the client stays."""

from __future__ import annotations

import socket
import urllib.parse

import pytest
from ros2_classify_benchmark.stress.slow_server import KINDS, slow_server


def begin(url: str) -> bytes:
    """Return what comes within 1.2 seconds."""
    place = urllib.parse.urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(f'GET {place.path} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
        connection.settimeout(1.2)
        got = b''
        while True:
            try:
                part = connection.recv(1000)
            except TimeoutError:
                return got
            if not part or len(got) > 100:
                return got
            got += part
            connection.settimeout(0.7)
            if got.endswith((b'xx', b'x\r\n', b'e\r\n\r\n')):
                return got


@pytest.mark.parametrize('kind', KINDS)
def test_it_drips(kind: str) -> None:
    with slow_server() as url_of:
        got = begin(url_of(kind))
    assert bool(got) == (kind != 'silence')
    assert got.startswith(b'HTTP/1.1 ') or not got
