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

"""Fixtures of the conversion's tests."""

from __future__ import annotations

from pathlib import Path
import sys

from fake_converter import FakeConverter
import graphs
import pytest


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeConverter:
    """Return a fake converter that the environment names."""
    fake = FakeConverter(tmp_path / 'converter')
    monkeypatch.setenv('ROS2_CLASSIFY_CONVERTER_PYTHON', str(fake.python))
    return fake


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache that the environment names."""
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide TensorFlow from this Python."""
    monkeypatch.delenv('ROS2_CLASSIFY_CONVERTER_PYTHON', raising=False)
    for name in ('tensorflow', 'tf2onnx'):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """Return a frozen graph: ``input`` [?, 8, 8, 3] to ``softmax`` [?, 4]."""
    path = tmp_path / 'tiny.pb'
    path.write_bytes(graphs.classifier())
    return path
