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

"""The allocator's and OpenCV's settings, each in a process of its own."""

import ctypes

import pytest

from ros2_classify.ros.node import process as runtime
from ros2_classify.ros.node.process import share_heap, tune_malloc
from ros_process import run_program


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'), reason='no glibc here')
def test_the_allocator_keeps_the_memory_of_images(tmp_path):
    program = """
import ctypes, resource, sys
from ros2_classify.ros.node.process import tune_malloc

if sys.argv[1] == 'tuned':
    assert tune_malloc({})
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size, rounds = 6 * 2**20, 20

def use():
    blocks = [libc.malloc(size) for _ in range(4)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        libc.free(block)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(rounds):
    use()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print('kept' if faults < rounds * size // 4096 // 10 else 'returned')
"""
    assert run_program(tmp_path, program, 'tuned') == (0, 'kept\n')
    assert run_program(tmp_path, program, 'plain') == (0, 'returned\n')


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'), reason='no glibc here')
def test_all_threads_share_a_heap(tmp_path):
    program = """
import ctypes, sys, threading
from ros2_classify.ros.node.process import share_heap

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if sys.argv[1] == 'shared':
    assert share_heap({})

def heaps(count=4):
    there, go = threading.Barrier(count), []
    def allocate():
        pointer = libc.malloc(100_000)
        go.append(pointer >> 26)  # a thread's own heap is aligned to 64 MiB
        there.wait()
    threads = [threading.Thread(target=allocate) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(set(go))

print('one' if heaps() <= 2 else 'several')
"""
    assert run_program(tmp_path, program, 'shared') == (0, 'one\n')
    assert run_program(tmp_path, program, 'plain') == (0, 'several\n')


@pytest.mark.parametrize('environment', [
    {'MALLOC_ARENA_MAX': '4'}, {'GLIBC_TUNABLES': 'glibc.malloc.arena_max=4'}])
def test_the_number_of_heaps_of_the_environment_is_respected(environment, monkeypatch):
    monkeypatch.setattr(runtime.ctypes, 'CDLL', lambda _: pytest.fail('mallopt was reached'))
    assert not share_heap(environment)


def test_opencv_works_in_the_calling_thread_unless_the_user_decides(tmp_path):
    program = """
import os, sys
from ros2_classify.ros.node.process import calm_opencv
import cv2
cv2.setNumThreads(3)
print(calm_opencv({'OPENCV_FOR_THREADS_NUM': '3'} if sys.argv[1] == 'chosen' else {}),
      cv2.getNumThreads())
"""
    assert run_program(tmp_path, program, 'chosen') == (0, 'False 3\n')
    assert run_program(tmp_path, program, 'plain') == (0, 'True 1\n')


@pytest.mark.parametrize('environment', [
    {'MALLOC_TRIM_THRESHOLD_': '1'}, {'MALLOC_MMAP_THRESHOLD_': '1'},
    {'GLIBC_TUNABLES': 'glibc.malloc.trim_threshold=1'}])
def test_the_allocator_settings_of_the_environment_are_respected(environment, monkeypatch):
    monkeypatch.setattr(runtime.ctypes, 'CDLL', lambda _: pytest.fail('mallopt was reached'))
    assert not tune_malloc(environment)


def test_other_c_libraries_are_not_tuned(monkeypatch):
    monkeypatch.setattr(runtime.platform, 'libc_ver', lambda: ('', ''))
    monkeypatch.setattr(runtime.ctypes, 'CDLL', lambda _: pytest.fail('mallopt was reached'))
    assert not tune_malloc({})
