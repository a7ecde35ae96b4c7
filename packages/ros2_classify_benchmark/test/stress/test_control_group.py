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

"""Bounds of the kernel: in files as both versions have them, and for a real process."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest
from ros2_classify_benchmark.stress.control_group import control_group, ControlGroup

MIB = 1 << 20


def made(root: Path, own: str, monkeypatch: pytest.MonkeyPatch, *files: str) -> ControlGroup:
    """Make a group in a directory, where the kernel's files appear with each new directory."""
    mkdir = Path.mkdir

    def with_files(path: Path, *words: int, **more: bool) -> None:
        mkdir(path, *words, **more)
        for name in files:
            (path / name).write_text('')

    (root / 'own').write_text(own)
    monkeypatch.setattr(Path, 'mkdir', with_files)
    group = ControlGroup(64 * MIB, root, root / 'own')
    monkeypatch.undo()
    return group


def text_of(root: Path, name: str) -> str:
    """Return what is in a file of the group."""
    return next(root.rglob(f'ros2_classify_*/{name}')).read_text()


def test_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'mine').mkdir()
    group = made(tmp_path, '0::/mine\n', monkeypatch, 'memory.max', 'cpu.max', 'memory.events',
                 'memory.current')
    assert text_of(tmp_path / 'mine', 'memory.max') == str(64 * MIB)
    assert (tmp_path / 'mine/cgroup.subtree_control').read_text() == '+memory +cpu'
    group.limit_processor(0.25)
    assert text_of(tmp_path, 'cpu.max') == '25000 100000'
    group.limit_processor(None)
    assert text_of(tmp_path, 'cpu.max') == 'max 100000'
    directory = next((tmp_path / 'mine').glob('ros2_classify_*'))
    (directory / 'memory.events').write_text('low 0\noom 3\noom_kill 2\n')
    (directory / 'memory.current').write_text('12345\n')
    assert (group.kills(), group.memory()) == (2, 12345)


def test_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('memory/mine', 'cpu'):
        (tmp_path / name).mkdir(parents=True)
    group = made(tmp_path, '4:memory:/mine\n1:cpu:/\n0::/\n', monkeypatch,
                 'memory.limit_in_bytes', 'cpu.cfs_quota_us')
    assert text_of(tmp_path / 'memory/mine', 'memory.limit_in_bytes') == str(64 * MIB)
    group.limit_processor(0.1)
    assert text_of(tmp_path / 'cpu', 'cpu.cfs_quota_us') == '10000'
    group.limit_processor(None)
    assert text_of(tmp_path / 'cpu', 'cpu.cfs_quota_us') == '-1'


def test_without_the_right_there_is_none(tmp_path: Path) -> None:
    (tmp_path / 'own').write_text('0::/\n')
    # The new directory has no files of the kernel.
    with pytest.raises(OSError, match='memory.max does not exist'):
        ControlGroup(MIB, tmp_path, tmp_path / 'own')
    assert not list(tmp_path.glob('ros2_classify_*'))


def test_the_kernel_ends_what_takes_more() -> None:
    group = control_group(64 * MIB)
    if group is None:
        pytest.skip('control groups need more rights')
    with group:
        took = subprocess.run([*group.command(), sys.executable, '-c',
                               "x = [bytearray(b'x') * (1 << 20) for _ in range(99)]"],
                              check=False)
        assert took.returncode == -9 and group.kills() == 1
        ran = subprocess.run([*group.command(), 'echo', 'a b'], capture_output=True, text=True,
                             check=True)
        assert ran.stdout == 'a b\n'
    assert not any(path.exists() for path in group._paths.values())
