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

"""The sha256 of a directory is that of the documented command; copies are whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path
import shutil
import subprocess

import pytest
from ros2_classify.download.hashing import copy_whole, sha256_of_directory


def test_a_directory_hashes_as_the_shell_does(tmp_path: Path) -> None:
    for name in ('b/c.txt', 'a.txt', 'B.txt', 'b.txt', 'b/a/x', 'ä.txt'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / 'empty').mkdir()
    shell = subprocess.run(
        'find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum', shell=True,
        cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert sha256_of_directory(tmp_path) == shell.split()[0]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with a file that stands where another one is to come."""
    made = tmp_path / 'there'
    made.mkdir()
    (made / 'net.onnx').write_text('old')
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return the file that is to come."""
    path = tmp_path / 'new.onnx'
    path.write_text('new')
    return path


def content(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_a_file_is_replaced(source: Path, directory: Path) -> None:
    copy_whole(source, directory / 'net.onnx')
    assert content(directory) == {'net.onnx': 'new'}
    assert source.read_text() == 'new'


def test_a_disk_that_fills_up_changes_nothing(
        source: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_text('ne')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, 'copyfile', full)
    with pytest.raises(OSError, match='No space'):
        copy_whole(source, directory / 'net.onnx')
    assert content(directory) == {'net.onnx': 'old'}


def test_two_processes_do_not_meet(
        source: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copyfile = shutil.copyfile

    def meanwhile(first: Path, part: Path) -> None:
        copyfile(first, part)
        monkeypatch.setattr(shutil, 'copyfile', copyfile)
        monkeypatch.setattr(os, 'getpid', lambda: 1)
        copy_whole(first, directory / 'net.onnx')

    monkeypatch.setattr(shutil, 'copyfile', meanwhile)
    copy_whole(source, directory / 'net.onnx')
    assert content(directory) == {'net.onnx': 'new'}
