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

"""A web server and a cache of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
from typing import Any

import pytest
from ros2_classify.download import http as download
from ros2_classify.download.options import FetchOptions
from web_server import Web, web_server


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the tests from the proxies, tokens, cache and models of the user."""
    for name in list(os.environ):
        if name.lower().endswith('_proxy') or name.startswith('ROS2_CLASSIFY_'):
            monkeypatch.delenv(name)
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))


@pytest.fixture
def web() -> Iterator[Web]:
    """Run a web server."""
    with web_server() as server:
        yield server


@pytest.fixture
def cache_directory(tmp_path: Path) -> Path:
    """Return where the cache is."""
    return tmp_path / 'cache'


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Wait for nothing between attempts; return the seconds that would have been waited."""
    seconds: list[float] = []
    monkeypatch.setattr(download, 'pause', lambda wanted, cancel: seconds.append(wanted))
    return seconds


@pytest.fixture
def options(waits: list[float]) -> Any:
    """Return how to make options that are quick to fail."""
    def make(**changes: Any) -> FetchOptions:
        return FetchOptions(**{'timeout': 10.0, 'attempts': 3, **changes})
    return make
