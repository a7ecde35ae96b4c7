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

"""Blocks of POSIX shared memory, through which tensors reach a server on the same machine."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path
import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Where Linux keeps what shm_open opens.
_PLACE = Path('/dev/shm')  # noqa: S108
_ALIGNED = 64


class Block:
    """
    Arrays in one block, which only processes of this user can open; OSError if there is no memory.

    `close` removes its name; a server that has opened it keeps its memory.
    """

    def __init__(self, arrays: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        self.name = f'ros2_classify_{secrets.token_hex(12)}'
        self.places: dict[str, tuple[int, int]] = {}  # offset and bytes
        end = 0
        for name, (shape, dtype) in arrays.items():
            size = math.prod(shape) * dtype.itemsize
            self.places[name] = end, size
            end += -(-size // _ALIGNED) * _ALIGNED
        self.size = max(end, _ALIGNED)
        path = _PLACE / self.name
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Allocated now: a full file system would end the process later (SIGBUS).
            os.posix_fallocate(number, 0, self.size)
            self._memory = mmap.mmap(number, self.size)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(number)
        self.arrays = {name: self.view(name, shape, dtype)
                       for name, (shape, dtype) in arrays.items()}

    def view(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array in the place of a name; ValueError if it doesn't fit."""
        offset, size = self.places[name]
        if math.prod(shape) * dtype.itemsize > size:
            raise ValueError(f'{name!r} is larger than its shared memory')
        return np.frombuffer(
            self._memory, dtype, math.prod(shape), offset).reshape(shape)

    def unlink(self) -> None:
        """Remove its name; who has opened it keeps its memory."""
        (_PLACE / self.name).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove its name; the memory goes with the last array in it."""
        self.unlink()
        self.arrays.clear()
