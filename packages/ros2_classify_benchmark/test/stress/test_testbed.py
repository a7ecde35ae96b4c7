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

"""The processes of a run leave nothing behind."""

from __future__ import annotations

from pathlib import Path

from ros2_classify.ros.diagnostics.statistics import Counters
from ros2_classify_benchmark.processes import environment, Helper
from ros2_classify_benchmark.stress.testbed import counts, segments, Testbed


def test_all_that_a_server_counts_is_read_from_its_log() -> None:
    first = Counters(27, 10, 4, 3, over_rate=2, between=5, malformed=1, failed=2)
    second = Counters(9, 2, skipped=3, stopped=4)
    found = counts(f'stopped: {first}; 5 ms\n[INFO] [server]: stopped: {second}; 5 ms\n')
    # Each counter of the server is one of these; what is received is all the others together.
    assert found == {'received': 36, 'published': 12, 'replaced': 4, 'no subscribers': 3,
                     'unusable': 1, 'failed': 2, 'over rate': 2, 'between': 5, 'skipped': 3,
                     'stopped': 4}
    assert len(found) == len(vars(first)) and sum(found.values()) == 2 * found['received']


def test_a_killed_camera_leaves_no_shared_memory(tmp_path: Path) -> None:
    testbed = Testbed.__new__(Testbed)
    testbed.camera = Helper('ros2_classify_benchmark.stress.camera', {
        'topic': '/image', 'record': str(tmp_path / 'camera.txt'), 'rate': 30.0,
        'size': (32, 24), 'encoding': 'mono8'}, environment(), tmp_path / 'camera.log')
    testbed.camera.ready()
    theirs = segments(testbed.camera.pid)
    assert any(path.exists() for path in theirs)
    testbed.close_camera(kill=True)
    assert testbed.camera is None
    assert not [path for path in theirs if path.exists()]
