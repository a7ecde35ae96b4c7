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
"""Shared memory of killed processes goes, and all other stays."""

import fcntl

import pytest
from ros2_classify_benchmark import shared_memory


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, 'DIRECTORY', tmp_path)
    return tmp_path


def test_only_new_and_unused_segments_go(memory):
    (memory / 'fastrtps_old').touch()
    (memory / 'other').touch()
    before = shared_memory.segments()
    for name in ('fastdds_1', 'fastdds_1_el', 'fastdds_2', 'fastdds_2_el',
                 'sem.fastdds_port1_mutex'):
        (memory / name).touch()
    with (memory / 'fastdds_2_el').open('w') as lock:
        # A lock holds against other openings of the file, of any process.
        fcntl.flock(lock, fcntl.LOCK_EX)
        removed = shared_memory.remove_left_behind(before)
    assert {path.name for path in removed} == {
        'fastdds_1', 'fastdds_1_el', 'sem.fastdds_port1_mutex'}
    assert {path.name for path in memory.iterdir()} == {
        'fastrtps_old', 'other', 'fastdds_2', 'fastdds_2_el'}


def test_mapped_segments_stay(memory, monkeypatch):
    (memory / 'fastdds_1').touch()
    monkeypatch.setattr(shared_memory, '_mapped', lambda: {str(memory / 'fastdds_1')})
    assert shared_memory.remove_left_behind(set()) == []


def test_whatever_ends_the_block_it_is_removed(memory):
    (memory / 'fastdds_old').touch()
    with pytest.raises(KeyboardInterrupt), shared_memory.removed():
        (memory / 'fastdds_1').touch()
        raise KeyboardInterrupt
    assert [path.name for path in memory.iterdir()] == ['fastdds_old']
