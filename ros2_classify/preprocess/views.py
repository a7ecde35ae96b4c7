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
Where a model looks: a region of interest, and tiles for objects that are small in a large image.

Each view is a box of whole source pixels; `Batch.add` crops it, and its `Geometry` maps the
results back to the source image.
"""

from __future__ import annotations

from functools import lru_cache
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.options import ONE_TILE, Options, Points

# x, y, width, height in source pixels.
View = tuple[int, int, int, int]


def region(options: Options, size: tuple[int, int]) -> View:
    """Return the box around the region of interest in an image, in whole pixels."""
    if not options.roi:
        return 0, 0, *size
    view = []
    for axis, length in enumerate(size):
        places = [point[axis] * length for point in options.roi]
        # What is 200.00000000000003 is 200.
        first = min(length - 1, math.floor(min(places) + 1e-6))
        last = max(first + 1, min(length, math.ceil(max(places) - 1e-6)))
        view.append((first, last - first))
    (x, width), (y, height) = view
    return x, y, width, height


def view_of(image: NDArray[np.uint8], options: Options) -> View | None:
    """Return the view for a region of interest; None for the whole image."""
    if not isinstance(options, Options) or not options.roi or not isinstance(image, np.ndarray):
        # What is wrong is refused later, in words.
        return None
    return None if image.ndim < 2 or 0 in image.shape else region(options, image.shape[1::-1])


def tile_views(options: Options, size: tuple[int, int]) -> list[View]:
    """Return the tiles of an image, row by row, and then the whole if that is asked for."""
    whole = x, y, width, height = region(options, size)
    columns = _spread(x, width, options.tiles[0], options.tile_overlap)
    rows = _spread(y, height, options.tiles[1], options.tile_overlap)
    found = [(left, top, across, down) for top, down in rows for left, across in columns]
    return [*found, whole] if options.tile_whole else found


def shown_tiles(options: Options, size: tuple[int, int]) -> list[View]:
    """Return the tiles to draw into an image; none if it is looked at as one."""
    return [] if options.tiles == ONE_TILE else tile_views(options, size)


def _spread(first: int, length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Return the starts and the one size of parts that cover a stretch."""
    size = min(length, math.ceil(length / (count - (count - 1) * overlap) - 1e-9))
    step = (length - size) / max(1, count - 1)
    return [(first + round(place * step), size) for place in range(count)]


def inside(
    roi: Points, size: tuple[int, int], x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]],
) -> NDArray[np.bool_]:
    """Tell which points, in source pixels, are inside of a polygon (even-odd rule)."""
    found = np.zeros(np.broadcast(x, y).shape, np.bool_)
    corners = np.array(roi) * size
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0)):
        if y1 != y2:
            crosses = (y1 > y) != (y2 > y)
            found ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return found


@lru_cache(maxsize=8)
def outside_mask(roi: Points, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels of an image have their centres outside of a polygon."""
    x, y = (np.arange(length, dtype=np.float64) + np.float64(0.5) for length in size)
    mask: NDArray[np.bool_] = ~inside(roi, size, x, y[:, np.newaxis])
    mask.flags.writeable = False
    return mask


def box_of_crop(
        box: NDArray[np.float32], padding: float, size: tuple[int, int]) -> tuple[int, ...]:
    """Return left, top, right, bottom of a crop in whole pixels, with what a box cuts in two."""
    left, top, right, bottom = (float(edge) for edge in box)
    wide, high = padding * (right - left), padding * (bottom - top)
    return (max(0, int(np.floor(left - wide))), max(0, int(np.floor(top - high))),
            min(size[0], int(np.ceil(right + wide))), min(size[1], int(np.ceil(bottom + high))))
