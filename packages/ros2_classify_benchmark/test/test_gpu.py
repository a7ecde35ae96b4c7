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
from pathlib import Path
import subprocess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ros2_classify.engines import EngineSettings
from ros2_classify_benchmark import gpu


def test_on_a_machine_without_a_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    code = gpu.main(['cards_classifier', '--runs', '5', '--batch', '2', '--json'])
    printed = capsys.readouterr()
    assert code == 1 and 'nothing ran on a GPU' in printed.err
    table = json.loads(printed.out.splitlines()[-1])
    assert len(table['rows']) == len(gpu.COMBINATIONS)
    cpu, *others = table['rows']
    assert cpu['error'] == '' and cpu['p50_ms'] > 0 and cpu['difference'] == 0.0
    assert cpu['images_per_s'] > 0 and cpu['batch'] in (1, 2)
    assert all(row['error'] for row in others)
    assert "the provider 'cuda' is not in the installed" in others[0]['error']
    assert others[-1]['precision'] == 'int8' and "provider 'tensorrt'" in others[-1]['error']
    assert table['node'] is None
    assert printed.out.count('not here: ') == len(others)


@pytest.mark.parametrize(('first', 'batch'), [
    ('batch', 4), ('N', 4), ('batch_size', 4), (None, 4), ('', 4), (1, 1), (8, 1)])
def test_batches_are_measured_whatever_their_dimension_is_called(first: Any, batch: int) -> None:
    spec = SimpleNamespace(name='x', shape=(first, 3, 8, 8), dtype=np.float32)
    engine = SimpleNamespace(inputs=[spec])
    assert gpu.batch_of(engine, 4) == batch
    if first != 8:
        assert gpu.inputs_of(engine, batch)['x'].shape == (batch, 3, 8, 8)


def test_engines_are_never_open_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once would need the memory of two, which is what is measured."""
    alive: list[Any] = []
    opened: list[Any] = []

    class Fake:
        inputs = [SimpleNamespace(name='x', shape=('N', 2), dtype=np.float32)]

        def __init__(self) -> None:
            assert not alive
            alive.append(self)
            opened.append(self)

        def close(self) -> None:
            alive.remove(self)

    monkeypatch.setattr(gpu, 'open_engine', lambda path, settings: Fake())
    monkeypatch.setattr(gpu, 'bind', lambda engine, inputs: lambda: inputs)
    monkeypatch.setattr(gpu, 'gpu_memory', lambda device: 150)
    row = gpu.measure(Path('x.onnx'), EngineSettings(max_batch=4), 10, [], 100)
    assert len(opened) == 2 and not alive
    assert (row['batch'], row['gpu_mib'], row['difference']) == (4, 50, 0.0)
    assert ' | 50 | ' in gpu.line_of({
        'model': 'm', 'provider': 'p', 'precision': 'fp32', 'cuda_graphs': True, 'error': '',
        **row})


def test_what_fails_is_told_in_its_line_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measure(path: Path, settings: EngineSettings, *more: Any) -> dict[str, Any]:
        if settings.provider == 'cuda':
            raise RuntimeError('CUDA error 700')
        return {'start_first_s': 1.0, 'start_again_s': 1.0, 'p50_ms': 1.0, 'p95_ms': 1.0,
                'p99_ms': 1.0, 'images_per_s': 1.0, 'batch': 1, 'gpu_mib': None,
                'difference': 0.0}

    monkeypatch.setattr(gpu, 'choose_providers', lambda *more: [])
    monkeypatch.setattr(gpu, 'measure', measure)
    monkeypatch.setattr(gpu, 'in_8_bits', lambda name, cache: cache)
    monkeypatch.setattr(
        gpu, 'measure_node', lambda device: {'table': 'a table', 'result': {'seconds': 9}})
    assert gpu.main(['cards_classifier', '--json']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum('not here: RuntimeError: CUDA error 700' in line for line in lines) == 4
    assert 'a table' in lines
    table = json.loads(lines[-1])
    assert len(table['rows']) == len(gpu.COMBINATIONS)
    assert table['node']['result'] == {'seconds': 9}


def test_a_model_without_8_bits_is_given_them(tmp_path: Path) -> None:
    """The line with 8 bits is TensorRT's; here the CPU runs the same file."""
    pytest.importorskip('onnx', reason='models are quantized with the package onnx')
    path = gpu.in_8_bits('cards_classifier', tmp_path)
    assert path == gpu.in_8_bits('cards_classifier', tmp_path)
    settings = EngineSettings(provider='cpu', threads=1, cache=False, max_batch=2)
    row = gpu.measure(path, settings, 3, [], None)
    assert row['p50_ms'] > 0 and row['gpu_mib'] is None


def test_memory_of_the_gpu_is_what_nvidia_smi_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    assert gpu.gpu_memory(0) is None
    program = tmp_path / 'nvidia-smi'
    program.write_text('#!/bin/sh\n[ "$1" = --id=3 ] && echo 1234\n')
    program.chmod(0o755)
    assert gpu.gpu_memory(3) == 1234
    assert gpu.gpu_memory(0) is None


def test_the_node_is_measured_last(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **more: Any) -> Any:
        commands.append(command)
        return subprocess.CompletedProcess(command, code, 'a\ntable\n{"seconds": 9}\n')

    monkeypatch.setattr(gpu.subprocess, 'run', run)
    monkeypatch.setattr(gpu, 'find_spec', lambda name: object())
    code = 0
    assert gpu.measure_node(1) == {'table': 'a\ntable', 'result': {'seconds': 9}}
    words = ' '.join(commands[0])
    assert 'bench --provider cuda --quick -p device_id:=1 --json' in words
    code = 1
    assert 'exit code 1' in gpu.measure_node(0)['error']
    monkeypatch.setattr(gpu, 'find_spec', lambda name: None)
    assert 'source a ROS 2' in gpu.measure_node(0)['error']
