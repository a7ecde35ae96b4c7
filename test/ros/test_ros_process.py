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

"""The fixture `start` fails a test whose node logs an unexpected failure."""

from pathlib import Path
import re

import pytest
from ros_process import failures

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize('line', [
    '[ERROR] [1.0] [server]: unexpected failure: RCLError: the wait failed',
    '[ERROR] [1.0] [server]: unexpected ValueError in a callback: no',
    'Traceback (most recent call last):'])
def test_failures_are_found_unless_they_are_expected(line):
    lines = ['[INFO] [1.0] [server]: active: /image', line]
    assert failures(lines) == [line]
    assert failures(lines, 'wait failed|ValueError|Traceback') == []


def test_other_errors_are_not_failures():
    assert failures([
        '[ERROR] [1.0] [server]: unusable image on /image: step is 3',
        "ros2_classify: unexpected argument 'x'; parameters follow --ros-args"]) == []


def test_the_fixture_looks_at_the_log_when_a_test_ends(start):
    camera = start('camera', {'rate': 20.0})
    camera.wait_for_line('camera')
    camera.lines.append('unexpected failure: RCLError: the wait failed')
    assert len(camera.failures()) == 1
    # Else this test would fail now.
    camera.expected_failure = 'the wait failed'


def test_services_are_called_by_the_peer_alone():
    """Responses to a client that the server doesn't know yet are dropped: `Peer.ask` waits."""
    direct = [path.name for path in TESTS.rglob('*.py')
              if re.search(r'\.call_async\(', path.read_text())]
    assert direct == ['ros_process.py']
