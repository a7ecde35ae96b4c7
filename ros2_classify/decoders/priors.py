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
Priors, the boxes that a detector's offsets refer to: published sets, own grids, or a file.

Sources of the sets:

* ``ultraface`` (RFB and slim):
  https://github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB
* ``retinaface``: https://github.com/biubug6/Pytorch_Retinaface
* ``blazeface``, ``blazeface_back``: ``ssd_anchors_calculator.cc`` and the face detection graphs of
  https://github.com/google-ai-edge/mediapipe (front camera 128x128, back camera 256x256)
* ``ssd_mobilenet``: ``multiple_grid_anchor_generator.py`` and ``ssd_mobilenet_v1_coco.config`` of
  https://github.com/tensorflow/models
* ``ssd300``: https://arxiv.org/abs/1512.02325, with the numbers of
  https://github.com/amdegroot/ssd.pytorch for COCO (``ssd300_voc`` for VOC)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.boxes import Sizes, to_xyxy
from ros2_classify.errors import DescriptorError
from ros2_classify.limits import open_plain, shown

PriorFormat = Literal['cxcywh', 'cycxhw', 'xyxy', 'yxyx']
SUFFIXES = ('.npy', '.csv', '.txt')
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class PriorGrid:
    """Boxes around the points of grids: ``sizes`` in pixels, or ``scales`` as parts."""

    strides: tuple[int, ...] = ()
    sizes: Sizes = ()
    # Of the first and the last grid, as parts of the input's short side; TensorFlow's rule.
    scales: tuple[float, float] | None = None
    ratios: tuple[float, ...] = ()
    # 'stride': points are a stride apart; 'even': they divide the input, whatever the stride.
    spacing: Literal['stride', 'even'] = 'stride'
    offset: float = 0.5
    clip: bool = False


@dataclass(frozen=True)
class PriorSet:
    """A published set: the grid, and how the offsets of its models are written."""

    grid: PriorGrid
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    box_format: Literal['cxcywh', 'cycxhw'] = 'cxcywh'
    size_rule: Literal['exp', 'linear'] = 'exp'
    background: int | None = 0


@dataclass(frozen=True, eq=False)
class PriorTable:
    """Rows of a file; compared by identity."""

    rows: NDArray[np.float32]


def _squares(*levels: tuple[float, ...]) -> Sizes:
    return tuple(tuple((side, side) for side in level) for level in levels)


def _ssd300(sides: tuple[float, ...]) -> PriorSet:
    """Return the boxes of SSD300: two squares, then one pair for each further ratio."""
    levels = []
    for low, high, ratios in zip(sides, sides[1:], ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))):
        middle = math.sqrt(low * high)
        pairs = [(low, low), (middle, middle)]
        for ratio in ratios:
            long, short = low * math.sqrt(ratio), low / math.sqrt(ratio)
            pairs += [(long, short), (short, long)]
        levels.append(tuple(pairs))
    return PriorSet(PriorGrid((8, 16, 32, 64, 100, 300), tuple(levels), clip=True))


def _blazeface(strides: tuple[int, int]) -> PriorSet:
    # Offsets and sizes are in pixels: boxes of one pixel, two a cell, and six on the coarse grid.
    return PriorSet(
        PriorGrid(strides, _squares((1.0,) * 2, (1.0,) * 6)), (1.0,) * 4, size_rule='linear',
        background=None)


SETS: dict[str, PriorSet] = {
    'ultraface': PriorSet(PriorGrid((8, 16, 32, 64), _squares(
        (10, 16, 24), (32, 48), (64, 96), (128, 192, 256)), clip=True)),
    'retinaface': PriorSet(PriorGrid((8, 16, 32), _squares((16, 32), (64, 128), (256, 512)))),
    'blazeface': _blazeface((8, 16)),
    'blazeface_back': _blazeface((16, 32)),
    'ssd_mobilenet': PriorSet(PriorGrid(
        (16, 32, 64, 128, 256, 512), scales=(0.2, 0.95), ratios=(1.0, 2.0, 1 / 2, 3.0, 1 / 3),
        spacing='even'), box_format='cycxhw'),
    'ssd300': _ssd300((21, 45, 99, 153, 207, 261, 315)),
    'ssd300_voc': _ssd300((30, 60, 111, 162, 213, 264, 315)),
}


@lru_cache(maxsize=16)
def make_priors(grid: PriorGrid, input_size: tuple[int, int]) -> NDArray[np.float32]:
    """Return center and size of all priors in pixels, grid by grid, row by row; read-only."""
    parts = []
    for stride, sizes in zip(grid.strides, _sizes(grid, min(input_size))):
        columns, rows = (-(-side // stride) for side in input_size)
        step = (input_size[0] / columns, input_size[1] / rows) if grid.spacing == 'even' else (
            stride, stride)
        ys, xs = np.mgrid[:rows, :columns]
        points = (np.stack((xs.ravel(), ys.ravel()), axis=1) + grid.offset) * step
        parts.append(np.concatenate(
            (np.repeat(points, len(sizes), axis=0), np.tile(sizes, (len(points), 1))), axis=1))
    table: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    if grid.clip:
        # As published: centers and sizes are cut, not corners.
        table = np.clip(table, 0, np.array(input_size * 2, np.float32))
    table.flags.writeable = False
    return table


def _sizes(grid: PriorGrid, short_side: int) -> Sizes:
    """Return width and height of the boxes of each grid's cell, in pixels."""
    ratios = grid.ratios or (1.0,)
    if grid.scales is None:
        return tuple(
            tuple((w * math.sqrt(ratio), h / math.sqrt(ratio)) for w, h in level
                  for ratio in ratios) for level in grid.sizes)
    low, high = grid.scales
    count = len(grid.strides)
    scales = [low + (high - low) * place / max(count - 1, 1) for place in range(count)] + [1.0]
    levels = []
    for place, (scale, following) in enumerate(zip(scales, scales[1:])):
        # The finest grid has three boxes only, the first of a tenth of the image.
        boxes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)] if place == 0 else [
            *((scale, ratio) for ratio in ratios), (math.sqrt(scale * following), 1.0)]
        levels.append(tuple((part * short_side * math.sqrt(ratio),
                             part * short_side / math.sqrt(ratio)) for part, ratio in boxes))
    return tuple(levels)


def read_priors(path: Path) -> PriorTable:
    """Read a file of four numbers for each prior; DescriptorError if it isn't one."""
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        raise DescriptorError(
            f'{path}: larger than {_MAX_BYTES} bytes, so not a file of priors; give four numbers '
            'for each prior')
    try:
        table: NDArray[Any] = _read_numbers(path)
    except (ValueError, OSError, EOFError) as error:
        raise DescriptorError(
            f'{path}: not a file of priors ({shown(str(error), 300)}); give an array of '
            'numbers [N, 4] as .npy, or a line of four numbers for each prior') from error
    if table.ndim == 3 and table.shape[0] == 1:
        table = table[0]
    # TensorFlow Lite's box_priors.txt has a line for each of the four.
    if table.ndim == 2 and table.shape[0] == 4 != table.shape[1]:
        table = table.T
    if table.ndim != 2 or table.shape[1] != 4 or not len(table) or table.dtype.kind not in 'fiu':
        raise DescriptorError(
            f'{path}: has the shape {list(table.shape)} of {table.dtype}, but must have four '
            'numbers for each prior, [N, 4]')
    rows = np.array(table, np.float32)
    if not np.isfinite(rows).all():
        raise DescriptorError(f'{path}: holds numbers that are not finite; correct the file')
    rows.flags.writeable = False
    return PriorTable(rows)


def _read_numbers(path: Path) -> NDArray[Any]:
    open_plain(path, _MAX_BYTES).close()
    if path.suffix.lower() == '.npy':
        # Mapped, so that a header that promises too much allocates nothing.
        return np.lib.format.open_memmap(path, mode='r')
    with open_plain(path, _MAX_BYTES) as file:
        lines = file.read().decode('utf-8-sig').replace(',', ' ').split('\n')
    rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    return np.array(rows, np.float64)


@lru_cache(maxsize=16)
def table_priors(
    table: PriorTable, prior_format: PriorFormat, normalized: bool, input_size: tuple[int, int],
) -> NDArray[np.float32]:
    """Return center and size of a file's priors in pixels; read-only."""
    rows = table.rows
    if prior_format == 'cycxhw':
        rows = rows[:, [1, 0, 3, 2]]
    elif prior_format != 'cxcywh':
        corners = to_xyxy(rows, prior_format)
        rows = np.concatenate(
            ((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), axis=1)
    if normalized:
        rows = rows * np.array(input_size * 2, np.float32)
    rows.flags.writeable = False
    return rows
