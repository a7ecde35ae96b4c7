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

"""Machine, versions, and processor time and memory of real processes."""

import os
import subprocess
import sys

import pytest
from ros2_classify_benchmark import system as machine
from ros2_classify_benchmark.system import cpu_seconds, memory_bytes, tree

CHILD = ('import subprocess, sys; '
         "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "
         "print(child.pid, flush=True); input(); child.communicate(b'\\n')")

MAPPED = 64 * 2**20
# Reads a byte of each page of a file whenever it is asked to, and only waits otherwise.
MAPPER = """
import mmap, sys
with open(sys.argv[1], 'rb') as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
for line in sys.stdin:
    for at in range(0, len(mapped), mmap.PAGESIZE):
        mapped[at]
    print('touched', flush=True)
"""


def git(directory, *words):
    return subprocess.run(
        ['git', '-c', 'user.name=n', '-c', 'user.email=e@example.com', '-C', str(directory),
         *words],
        check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_and_whether_files_differ_from_it(tmp_path):
    git(tmp_path, 'init', '--quiet')
    (tmp_path / 'a.py').write_text('a')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '--quiet', '-m', 'first')
    git(tmp_path, 'tag', 'v1')
    head = git(tmp_path, 'rev-parse', 'HEAD')
    assert machine.commit(tmp_path) == head
    (tmp_path / 'a.py').write_text('b')
    assert machine.commit(tmp_path) == f'{head}-dirty'
    (tmp_path / 'site-packages').mkdir()
    (tmp_path / 'site-packages' / 'b.py').write_text('b')
    assert machine.commit(tmp_path / 'site-packages') == ''


def test_no_repository_and_no_git_are_no_failure(tmp_path, monkeypatch):
    assert machine.commit(tmp_path) == ''
    monkeypatch.setenv('PATH', str(tmp_path))
    assert machine.commit() == ''
    assert machine.versions()['commit'] == ''


def test_engines_that_are_installed_are_noted(monkeypatch):
    installed = {'onnxruntime-gpu': '1.2', 'onnxruntime-openvino': '3.4'}

    def version(name):
        if name in installed:
            return installed[name]
        raise machine.PackageNotFoundError(name)

    monkeypatch.setattr(machine, 'version', version)
    for tensorrt in ('10.9', 'unknown'):
        monkeypatch.setattr(machine, 'tensorrt_version', lambda tensorrt=tensorrt: tensorrt)
        found = machine.versions()
        assert installed.items() <= found.items()
        assert found.get('tensorrt', 'unknown') == tensorrt
    assert 'onnxruntime' not in found


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


def test_a_mapped_file_can_be_excluded(tmp_path):
    path = tmp_path / 'images.bin'
    path.write_bytes(bytes(MAPPED))
    with subprocess.Popen([sys.executable, '-S', '-c', MAPPER, str(path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        for _ in range(20):  # the kernel may take pages back meanwhile: they are touched again
            process.stdin.write('again\n')
            process.stdin.flush()
            assert process.stdout.readline() == 'touched\n'
            pss, rss = memory_bytes([process.pid])
            less, lesser = memory_bytes([process.pid], str(path))
            if rss - lesser == MAPPED:
                break
        process.stdin.close()
    assert rss - lesser == MAPPED
    # What the child shares with others changes with them, but is less than all else that it has.
    assert 0 < less <= lesser < MAPPED // 2
    assert pss - less > MAPPED // 2
