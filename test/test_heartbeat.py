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

"""Long work tells that it goes on, and stops telling when it ends."""

import threading

import pytest

from ros2_classify.progress import heartbeat


def test_a_line_in_each_period() -> None:
    lines: list[str] = []
    third = threading.Event()

    def tell(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            third.set()

    with heartbeat('building the engine of x', tell, period=0.01):
        assert third.wait(10)
    count = len(lines)
    assert all(line.startswith('still building the engine of x after ') for line in lines)
    assert not [thread for thread in threading.enumerate() if 'heartbeat' in thread.name]
    assert len(lines) == count


def test_quick_work_says_nothing() -> None:
    lines: list[str] = []
    with heartbeat('loading', lines.append, period=600):
        pass
    assert not lines


def test_failures_pass() -> None:
    with pytest.raises(ZeroDivisionError), heartbeat('dividing', print, period=600):
        1 / 0  # noqa: B018
