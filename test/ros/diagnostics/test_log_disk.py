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

"""A full disk of the log files is said."""

from __future__ import annotations

import os
from pathlib import Path
import sys
from types import SimpleNamespace

import pytest
from ros2_classify.ros.diagnostics.updater import log_disk_issues


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [100]
    monkeypatch.setattr(os, 'statvfs', lambda _: SimpleNamespace(
        f_bavail=blocks[0], f_frsize=4096, f_blocks=1000))
    assert log_disk_issues(str(tmp_path)) == []
    blocks[0] = 15
    issue, = log_disk_issues(str(tmp_path))
    assert issue.key == 'log_disk_full' and issue.level == 1
    assert f'{tmp_path} has 61.4 kB left' in issue.text
    # Without log files nothing gets lost.
    monkeypatch.setattr(sys, 'argv', ['server', '--disable-external-lib-logs'])
    assert log_disk_issues(str(tmp_path)) == []


def test_a_directory_that_is_gone_or_has_no_size_says_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_disk_issues(str(tmp_path / 'none')) == []
    monkeypatch.setattr(os, 'statvfs', lambda _: SimpleNamespace(
        f_bavail=0, f_frsize=4096, f_blocks=0))
    assert log_disk_issues(str(tmp_path)) == []
    monkeypatch.undo()
    assert log_disk_issues() == []
