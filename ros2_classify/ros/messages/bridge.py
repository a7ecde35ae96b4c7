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
cv_bridge, only as far as a child process has shown that it works.

Built for NumPy 1 and loaded beside NumPy 2, it doesn't raise: it prints a text, and ends the
process with a segmentation fault at some later image. No `try` helps against that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import OptionsError

BACKENDS = ('auto', 'cv_bridge', 'opencv')

_PATIENCE = 20.0
_PROBE = 'from ros2_classify.ros.messages.cv_bridge_probe import main; main({})'
# What extensions print that were built for another major version of NumPy.
_CLASH = ('compiled using NumPy 1', '_ARRAY_API not found', 'multiarray failed to import',
          'numpy.dtype size changed')
# An unknown encoding costs a child process; a sender that invents names gets no more of them.
_MAX_UNKNOWN = 4
_NAME = re.compile(r'[A-Za-z0-9_]{1,40}')


class Probe(NamedTuple):
    """What a child process has found: an empty ``problem`` if cv_bridge works."""

    problem: str
    # Encodings that it does not know, but OpenCV.
    lacks: tuple[str, ...] = ()


class Bridge:
    """
    The choice between cv_bridge and OpenCV for one node; any thread may use it.

    OpenCV converts every encoding it knows as fast as cv_bridge or faster, with the same pixels,
    so ``auto`` uses cv_bridge only for encodings that it alone knows. OptionsError if
    ``cv_bridge`` is required and does not work.
    """

    def __init__(self, backend: str = 'auto',
                 probe: Callable[..., Probe] | None = None) -> None:
        self._backend = backend
        self._probe = probe or probe_in_child
        self._lock = threading.Lock()
        self._unknown: dict[tuple[str, int], str] = {}
        self._lacks: tuple[str, ...] = ()
        if backend == 'cv_bridge':
            problem, self._lacks = self._probe()
            if problem:
                raise OptionsError(
                    f'image_backend is cv_bridge, but it cannot be used: {problem}; run '
                    'python -m ros2_classify doctor, or set image_backend to auto')

    def __str__(self) -> str:
        """Return which one converts images, and why, for diagnostics."""
        if self._backend == 'opencv':
            return 'opencv, as image_backend says'
        if self._backend == 'cv_bridge':
            text = 'cv_bridge, as image_backend says; tried in a child process'
            return text + (f'; opencv for {", ".join(self._lacks)}, which it does not know'
                           if self._lacks else '')
        also = [f'{name}: {problem or "cv_bridge"}'
                for (name, _), problem in list(self._unknown.items())]
        return '; '.join(['opencv, as quick as cv_bridge or quicker', *also])

    def convert(self, msg: Any, encoding: str) -> NDArray[np.uint8] | None:
        """Convert a message in an encoding that OpenCV knows too; None leaves it to OpenCV."""
        if self._backend != 'cv_bridge' or msg.encoding in self._lacks:
            return None
        return _imgmsg_to_cv2()(msg, encoding)

    def convert_unknown(self, msg: Any) -> NDArray[np.uint8] | None:
        """
        Return the BGR image of an encoding that OpenCV doesn't know; None if that is not safe.

        The message's fields must have been checked: whole rows, none missing.
        """
        if self._backend == 'opencv' or not _NAME.fullmatch(msg.encoding):
            return None
        pixel_bytes = msg.step // msg.width
        if pixel_bytes * msg.width != msg.step:
            return None
        key = (msg.encoding, pixel_bytes)
        with self._lock:
            if key not in self._unknown:
                if len(self._unknown) >= _MAX_UNKNOWN:
                    return None
                self._unknown[key] = self._probe(*key).problem
            if self._unknown[key]:
                return None
        pixels = _imgmsg_to_cv2()(msg, 'bgr8')
        return pixels if pixels.shape == (msg.height, msg.width, 3) and (
            pixels.dtype == np.uint8) else None


@lru_cache(maxsize=16)
def probe_in_child(encoding: str = '', pixel_bytes: int = 0) -> Probe:
    """
    Convert an image of one encoding, or of each that this package knows, in a child process.

    The result stands for this process: what it has loaded does not change under it.
    """
    # No import: the parent must not load what may crash it.
    if 'cv_bridge' not in sys.modules and importlib.util.find_spec('cv_bridge') is None:
        return Probe('it is not installed')
    words = f'{encoding!r}, {pixel_bytes}' if encoding else ''
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(
        path or os.getcwd() for path in sys.path)}
    try:
        done = subprocess.run(
            [sys.executable, '-c', _PROBE.format(words)], capture_output=True, text=True,
            errors='replace', check=False, timeout=_PATIENCE, stdin=subprocess.DEVNULL,
            env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Probe(f'it could not be tried: {error}')
    lines = done.stdout.strip().splitlines()
    last = json.loads(lines[-1]) if lines and lines[-1].startswith('{') else {}
    return Probe(problem(done.returncode, last, done.stderr), tuple(last.get('lacks', ())))


def problem(code: int, last: dict[str, Any], err: str) -> str:
    """Say what the end of a probe's output shows; empty if cv_bridge works."""
    tried = f' while it converted {last["trying"]}' if 'trying' in last else ''
    if any(text in err for text in _CLASH):
        crash = f'; it ended a child process with {_signal(code)}{tried}' if code < 0 else ''
        return f'it was built for another NumPy than the installed one{crash}'
    if code < 0:
        return f'it ended a child process with {_signal(code)}{tried}'
    if code or not last.get('done'):
        return last.get('problem') or (err.strip().splitlines() or [f'exit code {code}'])[-1]
    return ''


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f'signal {-code}'


@lru_cache(maxsize=1)
def _imgmsg_to_cv2() -> Callable[[Any, str], NDArray[np.uint8]]:
    from cv_bridge import CvBridge

    convert: Callable[[Any, str], NDArray[np.uint8]] = CvBridge().imgmsg_to_cv2
    return convert
