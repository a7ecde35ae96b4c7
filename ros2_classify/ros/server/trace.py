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


"""When the server took each frame from the middleware and when it had published the result."""

from __future__ import annotations

from array import array
from pathlib import Path
import time
from typing import Any

import numpy as np
from ros2_classify.limits import open_to_write

# A day at 30 frames a second is less than three million; who forgets the trace loses no memory.
_MOST = 4_000_000
_COLUMNS = 2


class Trace:
    """
    When each image was taken, and when its result was published; a microsecond and 32 bytes each.

    The ``.npz`` file has ``taken`` and ``published``, int64 of shape (n, 2): the image's stamp and
    the monotonic time in ns; and ``skipped``, the number of images that newer ones replaced in the
    middleware's queue, and the time. A stamp that is only in ``taken`` was dropped.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()
        self._taken = array('q')
        self._published = array('q')
        self._skipped = array('q')

    def taken(self, stamp: Any) -> None:
        """Note that a frame came; called in one thread."""
        _note(self._taken, stamp)

    def published(self, stamp: Any) -> None:
        """Note that a frame's result is published."""
        _note(self._published, stamp)

    def skipped(self, count: int) -> None:
        """Note frames that were replaced before anybody took them; fewer, where it is negative."""
        if len(self._skipped) < _MOST * _COLUMNS:
            self._skipped.extend((count, time.monotonic_ns()))

    def write(self) -> str:
        """Write the file and return its path; OSError if that can't be done."""
        # An open file, for NumPy adds a suffix to a name.
        with open_to_write(self._path, 'wb') as file:
            np.savez(file, taken=_table(self._taken), published=_table(self._published),
                     skipped=_table(self._skipped))
        return str(self._path)


def _note(rows: array[int], stamp: Any) -> None:
    if len(rows) < _MOST * _COLUMNS:
        rows.extend((stamp.sec * 10**9 + stamp.nanosec, time.monotonic_ns()))


def _table(rows: array[int]) -> Any:
    return np.array(rows, np.int64).reshape(-1, _COLUMNS)
