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

"""The grids of detectors that look at each cell of the image: one grid for each stride."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ros2_classify.yaml_config import as_integer, as_text, Fields


@lru_cache(maxsize=16)
def cells(
    size: tuple[int, int], strides: tuple[int, ...], *, partial: bool = False,
) -> NDArray[np.float32]:
    """
    Return column, row and stride of each cell: grid by grid, row by row.

    Parameters
    ----------
    size : tuple of int
        Width and height of the input.
    strides : tuple of int
        One for each grid, in model pixels.
    partial : bool
        Whether a cell that leaves the image at the right or the bottom counts as one.

    Returns
    -------
    ndarray of float32, shape (A, 3)
        Read-only: it is kept for the next frame.

    """
    grids = []
    for stride in strides:
        columns, rows = (-(-side // stride) if partial else side // stride for side in size)
        ys, xs = np.mgrid[:rows, :columns]
        grids.append(np.stack((xs.ravel(), ys.ravel(), np.full(xs.size, stride)), axis=1))
    table = np.concatenate(grids).astype(np.float32)
    table.flags.writeable = False
    return table


def read_strides(fields: Fields, default: tuple[int, ...]) -> tuple[int, ...]:
    """
    Take the option ``strides`` out of a descriptor.

    Parameters
    ----------
    fields : Fields
        The decoder's options.
    default : tuple of int
        Where the descriptor says nothing.

    Returns
    -------
    tuple of int
        One for each grid.

    """
    strides = fields.sequence('strides', None)
    if strides is None:
        return default
    if not strides:
        raise fields.error('strides', 'is an empty list; give one stride for each grid')
    return tuple(as_integer(value, where, low=1, high=1024) for value, where in strides)


def read_names(fields: Fields, key: str) -> tuple[str, ...]:
    """
    Take a list of outputs' names out of a descriptor.

    Parameters
    ----------
    fields : Fields
        The section that holds the key.
    key : str
        The key.

    Returns
    -------
    tuple of str
        Empty where the descriptor says nothing.

    """
    return tuple(as_text(value, where) for value, where in fields.sequence(key, []))
