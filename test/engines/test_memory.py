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
"""What is left of a control group's memory and the machine's."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from ros2_classify.engines import hardware
from ros2_classify.engines.hardware import available_memory
from ros2_classify.errors import EngineError
from ros2_classify.pipeline import Pipeline
from ros2_classify.testing import save_color_classifier

MIB = 1 << 20


def write(path: Path, text: str) -> None:
    """Write a file, and its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a machine with 8 GiB left."""
    write(tmp_path / 'meminfo', f'MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n')
    return tmp_path


def left(machine: Path, own: str) -> float:
    """Return what is left, in MiB."""
    write(machine / 'own', own)
    return available_memory(machine / 'groups', machine / 'own', machine / 'meminfo') / MIB


def test_a_group_of_version_2_and_those_above_it_count(machine: Path) -> None:
    write(machine / 'groups/a/memory.max', f'{1024 * MIB}\n')
    write(machine / 'groups/a/memory.stat', f'anon {100 * MIB}\nfile {900 * MIB}\nshmem 0\n')
    assert left(machine, '0::/a\n') == 924
    # The tighter one decides, whichever it is.
    write(machine / 'groups/a/b/memory.max', 'max\n')
    assert left(machine, '0::/a/b\n') == 924
    write(machine / 'groups/a/b/memory.max', f'{200 * MIB}\n')
    write(machine / 'groups/a/b/memory.stat', f'anon {150 * MIB}\nshmem {20 * MIB}\n')
    assert left(machine, '0::/a/b\n') == 30
    write(machine / 'groups/a/b/memory.stat', f'anon {300 * MIB}\n')
    assert left(machine, '0::/a/b\n') == 0


def test_a_group_of_version_1_counts(machine: Path) -> None:
    own = '9:cpu:/x\n4:memory:/x\n0::/\n'
    write(machine / 'groups/memory/x/memory.limit_in_bytes', f'{512 * MIB}')
    write(machine / 'groups/memory/x/memory.stat', f'cache 5\ntotal_rss {112 * MIB}\n')
    assert left(machine, own) == 400
    # A container sees its own group at the top, under another name.
    write(machine / 'groups/memory/memory.limit_in_bytes', f'{300 * MIB}')
    assert left(machine, '4:memory:/docker/elsewhere\n') == 300


def test_without_a_group_the_machine_decides(machine: Path) -> None:
    assert left(machine, '0::/\n') == left(machine, 'nonsense') == 8192
    assert available_memory(machine / 'no', machine / 'no', machine / 'no') == math.inf


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = save_color_classifier(tmp_path / 'colors.onnx').stat().st_size
    monkeypatch.setattr(hardware, 'available_memory', lambda: size - 1.0)
    with pytest.raises(EngineError, match=r'the model needs at least .* of memory, and .* left'):
        Pipeline.load(tmp_path / 'colors.onnx')
    # It fits, and its first image does not.
    monkeypatch.setattr(hardware, 'available_memory', lambda: float(size))
    with Pipeline.load(tmp_path / 'colors.onnx', provider='cpu') as pipeline:
        pixels = 15.0 * math.prod(pipeline.descriptor.input.size)
        monkeypatch.setattr(hardware, 'available_memory', lambda: pixels - 1.0)
        with pytest.raises(EngineError, match='its input of .* pixels needs at least'):
            pipeline.warm_up()
        monkeypatch.setattr(hardware, 'available_memory', lambda: pixels)
        pipeline.warm_up()
