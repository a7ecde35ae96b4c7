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


"""Processor time and memory of real processes."""

import mmap
import os
import subprocess
import sys

import pytest
from ros2_classify_benchmark.usage import cpu_seconds, memory_bytes, tree

CHILD = ('import subprocess, sys; '
         "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "
         "print(child.pid, flush=True); input(); child.communicate(b'\\n')")


@pytest.fixture
def family():
    """Start a process with a child; return their numbers."""
    with subprocess.Popen([sys.executable, '-c', CHILD], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        yield process.pid, int(process.stdout.readline())
        process.communicate('\n')


def test_descendants_belong_to_a_process(family):
    assert sorted(tree([family[0]])) == sorted(family)
    assert sorted(tree(family)) == sorted(family)


def test_processor_time_grows_with_work():
    before = cpu_seconds([os.getpid()])
    while cpu_seconds([os.getpid()]) < before + 0.05:
        sum(range(10_000))
    assert cpu_seconds([os.getpid()]) >= before + 0.05


def test_what_has_ended_counts_for_nothing(family):
    with subprocess.Popen([sys.executable, '-c', 'pass']) as process:
        pass
    assert tree([process.pid]) == []
    assert cpu_seconds([process.pid]) == 0.0
    assert memory_bytes([process.pid]) == (0, 0)


def test_a_mapped_file_can_be_left_out(tmp_path):
    path = tmp_path / 'pictures.bin'
    path.write_bytes(bytes(8 * 2**20))
    with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert not any(mapped.read())
        pss, rss = memory_bytes([os.getpid()])
        less, lesser = memory_bytes([os.getpid()], str(path))
    assert pss - less > 4 * 2**20
    assert rss - lesser > 4 * 2**20
    assert less > 2**20
