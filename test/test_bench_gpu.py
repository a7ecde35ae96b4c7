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

"""The script that measures on a GPU runs here too: the CPU's line is real, others say why not."""

from __future__ import annotations

import json

import bench_gpu
import pytest


def test_on_a_machine_without_a_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    code = bench_gpu.main(['cards_classifier', '--runs', '5', '--batch', '2', '--json'])
    printed = capsys.readouterr()
    assert code == 1 and 'nothing ran on a GPU' in printed.err
    table = json.loads(printed.out.splitlines()[-1])
    assert len(table['rows']) == len(bench_gpu.COMBINATIONS)
    cpu, *others = table['rows']
    assert cpu['error'] == '' and cpu['p50_ms'] > 0 and cpu['difference'] == 0.0
    assert cpu['pictures_per_s'] > 0 and cpu['batch'] in (1, 2)
    assert all(row['error'] for row in others)
    assert "the provider 'cuda' is not in the installed" in others[0]['error']
    assert others[-1]['precision'] == 'int8' and 'cards_classifier:int8' in others[-1]['error']
    assert printed.out.count('not here: ') == len(others)
