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

"""A server whose model is named by a URL."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
import queue
import signal
import threading
from typing import Any

import pytest
from ros2_classify.testing import save_color_classifier
from ros_process import DEADLINE
from web_server import hanging, Web, web_server


@pytest.fixture
def web() -> Iterator[Web]:
    """Run a web server."""
    with web_server() as server:
        yield server


@pytest.fixture
def body(tmp_path: Path) -> bytes:
    """Return a model's file."""
    save_color_classifier(tmp_path / 'colors.onnx')
    return (tmp_path / 'colors.onnx').read_bytes()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str | None]:
    """Return an environment with an empty cache and without proxies."""
    proxies = [name for name in os.environ if name.lower().endswith('_proxy')]
    return {**dict.fromkeys(proxies), 'ROS2_CLASSIFY_CACHE': str(tmp_path / 'cache'),
            'ROS2_CLASSIFY_OFFLINE': None}


def test_servers_that_start_at_once_download_once(
        ros: None, start: Any, web: Web, body: bytes, environment: Any, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(body).hexdigest()
    url = web.serve('/colors.onnx', hanging(body, 100))
    servers = [start('server', {'model': f'{url}#sha256={sha256}'}, {'__ns': f'/robot{number}'},
                     environment) for number in range(2)]
    # One downloads; the web server holds it until the other has said that it waits. Which is
    # which nobody knows, so both are asked at once.
    said: queue.Queue[str] = queue.Queue()

    def listen(server: Any) -> None:
        said.put(server.wait_for_line('another process is fetching colors|active: '))
    threads = [threading.Thread(target=listen, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    assert 'another process is fetching' in said.get(timeout=DEADLINE)
    web.released.set()
    for thread in threads:
        thread.join()
    for server in servers:
        server.wait_for_line('active: ')
    assert web.count('/colors.onnx') == 1
    assert [path.name for path in (tmp_path / 'cache').rglob('*') if path.is_file()
            and path.name != 'CACHEDIR.TAG'] == ['colors.onnx']
    for server in servers:
        server.stop()


def test_offline_names_the_command(start: Any, web: Web, environment: Any) -> None:
    model = f'{web.url}/m.onnx#sha256={"0" * 64}'
    server = start('server', {'model': model, 'offline': True}, environment=environment)
    assert server.wait() == 1
    assert 'offline mode is on' in server.output
    assert 'models bundle' in server.output
    assert 'Traceback' not in server.output
    assert not web.requests


def test_an_unverified_model_needs_a_trial(
        start: Any, web: Web, body: bytes, environment: Any) -> None:
    url = web.serve('/colors.onnx', body)
    server = start('server', {'model': url}, environment=environment)
    assert server.wait() == 1
    assert f'#sha256={hashlib.sha256(body).hexdigest()}' in server.output
    server = start('server', {'model': url, 'allow_unverified': True}, environment=environment)
    server.wait_for_line('active: ')
    assert 'UNVERIFIED MODEL' in server.stop()


def test_a_signal_ends_a_download(
        start: Any, web: Web, body: bytes, environment: Any, tmp_path: Path) -> None:
    url = web.serve('/colors.onnx', hanging(body, 100))
    server = start('server', {'model': f'{url}#sha256={hashlib.sha256(body).hexdigest()}'},
                   environment=environment)
    assert web.asked.wait(DEADLINE)
    server.stop(signal.SIGTERM)
    assert not (tmp_path / 'cache' / 'files').exists()
    # The next process finds the lock free.
    web.serve('/colors.onnx', body)
    server = start('server', {'model': f'{url}#sha256={hashlib.sha256(body).hexdigest()}'},
                   environment=environment)
    server.wait_for_line('active: ')
    server.stop()
