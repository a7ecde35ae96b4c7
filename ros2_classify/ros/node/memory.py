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

"""Memory and threads of a node's process: glibc's allocator and OpenCV's thread pool."""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
import os
import platform

# <malloc.h>; the two thresholds keep the buffers of large images in the heap instead of returning
# them to the kernel and requesting them again for every image.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_TRIM_BYTES = 256 * 2**20
_MMAP_BYTES = (64 * 2**20, 32 * 2**20)  # some builds of glibc accept half of HEAP_MAX_SIZE at most


def share_heap(environ: Mapping[str, str] | None = None) -> bool:
    """Make all threads share one heap; call it first. Each heap would keep an image or a model."""
    environ = os.environ if environ is None else environ
    if 'MALLOC_ARENA_MAX' in environ or 'arena' in environ.get('GLIBC_TUNABLES', ''):
        return False
    return _is_glibc() and bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))


def tune_malloc(environ: Mapping[str, str] | None = None) -> bool:
    """
    Keep glibc from returning an image's memory to the kernel after every image.

    Raises both thresholds, unless the environment sets them; raising only one is worse than none.
    Costs 10 to 30 MB.
    """
    environ = os.environ if environ is None else environ
    chosen = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_')
    if any(name in environ for name in chosen) or 'malloc' in environ.get('GLIBC_TUNABLES', ''):
        return False
    if not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mmap_set = any(mallopt(_M_MMAP_THRESHOLD, size) for size in _MMAP_BYTES)
    return bool(mmap_set and mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES))


def trim_malloc() -> bool:
    """Return freed memory to the kernel; `tune_malloc` keeps hundreds of megabytes of it."""
    if not _is_glibc():
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True


def calm_opencv(environ: Mapping[str, str] | None = None) -> bool:
    """
    Have OpenCV work in the calling thread, unless OPENCV_FOR_THREADS_NUM is set.

    Its threads spin for a while after each call: half to a whole millisecond of processor time
    for each image, and the result comes no earlier.
    """
    environ = os.environ if environ is None else environ
    if 'OPENCV_FOR_THREADS_NUM' in environ:
        return False
    import cv2

    cv2.setNumThreads(1)
    return True


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == 'glibc'
