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

"""Area averaging in less than half the time of OpenCV's general method."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Numbers that are processed at once; they and their sums fit into the CPU cache.
_STRIP = 1 << 17


class AreaShrinker:
    """
    Shrinks 8-bit images of one size: each new pixel is the mean of the area it covers.

    OpenCV's ``INTER_AREA`` does the same pixel by pixel, columns first. Here whole rows are summed
    first: those that begin inside a new row, minus the part of the first one before it, plus the
    part of the one after the last. OpenCV then averages the columns of the few rows that are left.
    Rounding happens once, at the end, so results differ only where a mean is between two levels.
    """

    def __init__(
        self, source: tuple[int, int], target: tuple[int, int], channels: tuple[int, ...] = (),
    ) -> None:
        self._source, self._target, self._channels = source, target, channels
        width = source[0] * (channels[0] if channels else 1)
        first, part = np.divmod(np.arange(target[1] + 1) * source[1], target[1])
        self._bounds = list(zip(first[:-1].tolist(), first[1:].tolist()))
        # The source rows in which new rows begin, and the part of each before; the one after the
        # last does not exist and counts nothing.
        self._shared = np.minimum(first, source[1] - 1)
        self._parts = (part[:, np.newaxis] / target[1]).astype(np.float32)
        strip = min(target[1], max(1, _STRIP // width))
        self._starts = range(0, target[1], strip)
        self._sums = np.empty((strip, width), np.float32)
        self._sum_rows = [self._sums[row:row + 1] for row in range(strip)]
        self._edges = np.empty((strip + 1, width), np.float32)
        self._means = np.empty((strip, target[0], *channels), np.float32)

    def __call__(self, image: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
        """Shrink one image."""
        rows = self._rows(image)
        (width, height), target = self._source, self._target
        strip = len(self._sums)
        for start in self._starts:
            count = min(strip, target[1] - start)
            sums, edges, means = self._sums[:count], self._edges[:count + 1], self._means[:count]
            for (top, bottom), row in zip(self._bounds[start:start + count], self._sum_rows):
                cv2.reduce(rows[top:bottom], 0, cv2.REDUCE_SUM, dst=row, dtype=cv2.CV_32F)
            shared = slice(start, start + count + 1)
            np.multiply(rows[self._shared[shared]], self._parts[shared], out=edges)
            sums += edges[1:]
            sums -= edges[:-1]
            cv2.resize(sums.reshape(count, width, *self._channels), (target[0], count), dst=means,
                       interpolation=cv2.INTER_AREA)
            cv2.convertScaleAbs(means, dst=result[start:start + count], alpha=target[1] / height)

    def _rows(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image with all numbers of a row in one dimension."""
        size = self._sums.shape[1]
        stride, *pixel = image.strides
        packed = (1,) if not self._channels else (self._channels[0], 1)
        if tuple(pixel) != packed:
            image = np.ascontiguousarray(image)
            stride = size
        rows: NDArray[np.uint8] = np.lib.stride_tricks.as_strided(
            image, (self._source[1], size), (stride, 1))
        return rows


def pays(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Tell whether `AreaShrinker` is faster: not for few rows, nor for whole ratios."""
    whole = source[0] % target[0] == 0 and source[1] % target[1] == 0
    return source[0] >= target[0] and source[1] >= 2 * target[1] and not whole
