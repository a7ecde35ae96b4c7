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

"""What people see of a conversion under way."""

from __future__ import annotations

import logging
import time

import pytest

from ros2_classify.convert.progress import default_progress


def test_lines_in_a_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    show = default_progress()
    with caplog.at_level(logging.INFO, 'ros2_classify'):
        for second in range(40):
            now[0] = 100.0 + second
            show(f'after {second} s', False)
        show('', True)
    assert [record.getMessage() for record in caplog.records] == [
        'after 0 s', 'after 15 s', 'after 30 s']
