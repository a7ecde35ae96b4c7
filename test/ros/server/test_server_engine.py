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

"""What the engine's parameters do to a server, and how their faults are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ros2_classify.testing import save_color_classifier


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Return a tiny model."""
    return str(save_color_classifier(tmp_path / 'tiny.onnx'))


def test_a_server_with_all_of_them(start: Any, model: str) -> None:
    server = start('server', {
        'model': model, 'provider': 'cpu', 'threads': 1, 'spinning': 'always', 'memory_limit': 64,
        'arena': 'doubling', 'shrink_memory': True, 'engine_cache': False})
    server.wait_for_line('active: ')
    assert 'on CPUExecutionProvider' in server.stop()


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'precision': 'fp16'}, 'precision is .fp16., which the provider .auto. does not support'),
    ({'provider': 'cuda'}, "the provider 'cuda' is not in the installed ONNX Runtime"),
    ({'custom_operators': '/no/such.so'}, 'the library of operators /no/such.so is not a file'),
])
def test_what_is_not_available_is_one_sentence(
    start: Any, model: str, parameters: dict[str, Any], words: str,
) -> None:
    server = start('server', {'model': model, **parameters})
    server.wait_for_line(f'configure failed: .*{words}')
    assert server.wait() == 1


def test_falling_back_is_a_warning_where_it_is_allowed(start: Any, model: str) -> None:
    server = start('server', {
        'model': model, 'provider': 'cuda', 'require_provider': False})
    server.wait_for_line('active: ')
    assert 'has no CUDAExecutionProvider and the CPU runs the model instead' in server.stop()
