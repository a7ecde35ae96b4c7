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

"""
Decodes JPEG and PNG by OpenCV, and keeps its libraries from filling the terminal.

libjpeg and libpng write a line of their own to file descriptor 2 for each damaged image, past
every log and without an end. While an image is decoded, what goes there is caught; lines of
these libraries are passed on once in `PAUSE` seconds, all others as they are.
"""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Seconds from one line of the libraries to the next one that is shown.
PAUSE = 10.0

# The warnings of libjpeg (jerror.h, JWRN_*), of libpng (pngerror.c), and OpenCV's own log.
_LINE = re.compile(
    rb'libpng (?:warning|error): |Corrupt JPEG data: |Premature end of JPEG file'
    rb'|Unknown Adobe color transform|Inconsistent progression sequence'
    rb'|Warning: unknown JFIF revision|Invalid SOS parameters'
    rb'|Application transferred too many scanlines|\[ ?(?:WARN|ERROR|INFO|DEBUG):\d+@')

# Two threads that redirect the descriptor at once would leave it redirected.
_LOCK = threading.Lock()
_next_line = 0.0


def decode(data: bytes) -> NDArray[Any] | None:
    """
    Decode an image.

    Parameters
    ----------
    data : bytes
        A JPEG or PNG file.

    Returns
    -------
    ndarray of uint8 or uint16, shape (height, width) or (height, width, channels), or None
        What ``cv2.imdecode`` returns with ``IMREAD_UNCHANGED``.

    Raises
    ------
    cv2.error
        If OpenCV raises it.

    """
    with _LOCK:
        try:
            caught = _memory()
            real = os.dup(2)
        except OSError:
            # There is no descriptor 2, or none is left: nothing to keep clean.
            return _decode(data)
        try:
            os.dup2(caught, 2)
            try:
                return _decode(data)
            finally:
                os.dup2(real, 2)
                _pass_on(caught)
        finally:
            os.close(real)


def _decode(data: bytes) -> NDArray[Any] | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@functools.lru_cache(maxsize=None)
def _memory() -> int:
    """Return a file in memory; one for the process."""
    return os.memfd_create('decoder')


def _pass_on(caught: int) -> None:
    """Write what was caught, but only one line of the libraries in a while."""
    global _next_line
    size = os.fstat(caught).st_size
    if not size:
        return
    said = os.pread(caught, size, 0)
    os.ftruncate(caught, 0)
    os.lseek(caught, 0, os.SEEK_SET)
    shown = []
    for line in said.splitlines(keepends=True):
        if _LINE.match(line):
            if time.monotonic() < _next_line:
                continue
            _next_line = time.monotonic() + PAUSE
        shown.append(line)
    if shown:
        os.write(2, b''.join(shown))
