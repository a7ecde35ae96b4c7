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
Masks as sums of a few prototypes, as YOLO segmenters give them.

The prototypes are stored once for an image, and each object keeps only its coefficients (32
numbers, say); the cells of a box are computed when its pixels are requested, and only these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import OutputError
from ros2_classify.results.masks import Cutout, Masks, THRESHOLD, weights


@dataclass(frozen=True, eq=False)
class PrototypeMasks(Masks):
    """
    One mask for each box, made of prototypes.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (N, M)
        How much of each prototype a mask has.
    prototypes : ndarray of float, shape (M, h, w)
        Maps of the whole model input.
    frame : tuple of float
        ``x1, y1, x2, y2``: what a prototype fills, in pixels of the source image.
    boxes : ndarray of float32, shape (N, 4)
        The boxes in pixels of the source image, to which the masks are cut.

    Raises
    ------
    OutputError
        If the shapes don't fit.

    Notes
    -----
    The value of a cell is ``sigmoid(coefficients @ prototypes)``; one that is not finite is 0.
    A pixel belongs to the object if its centre is inside the box and the value there, interpolated
    linearly between the centres of cells of the uncut map (and constant beyond the outermost
    ones), is greater than 0.5. The edge of the box is thus sharp.

    """

    coefficients: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    frame: tuple[float, float, float, float]
    boxes: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the shapes."""
        count = len(self.coefficients)
        if self.prototypes.ndim != 3 or 0 in self.prototypes.shape or (
                self.coefficients.shape != (count, len(self.prototypes))
                or self.boxes.shape != (count, 4)):
            raise OutputError(
                f'the coefficients of masks have the shape {self.coefficients.shape}, prototypes '
                f'{self.prototypes.shape} and boxes {self.boxes.shape}, but these must be '
                '(N, M), (M, height, width) and (N, 4)')

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.coefficients)

    def select(self, rows: NDArray[np.integer]) -> PrototypeMasks:
        """Return the masks of some rows; they share the prototypes."""
        return PrototypeMasks(
            self.coefficients[rows], self.prototypes, self.frame, self.boxes[rows])

    def cutout(self, row: int, image_size: tuple[int, int]) -> Cutout:
        """Return the pixels of one object, as large as the box's part on the image."""
        x1, y1, x2, y2 = self.frame
        box = self.boxes[row].astype(np.float64).tolist()
        height, width = self.prototypes.shape[1:]
        x, across = weights(x1, x2, image_size[0], width, (box[0], box[2]))
        y, down = weights(y1, y2, image_size[1], height, (box[1], box[3]))
        if not across.size or not down.size:
            return Cutout(x, y, np.zeros((len(down), len(across)), np.bool_))
        columns, rows = _used(across), _used(down)
        with np.errstate(over='ignore', invalid='ignore'):
            part = np.asarray(self.prototypes[:, rows, columns], np.float32)
            # Only what is not finite gives NaN here; 0 below is an empty cell.
            cells = 1 / (1 + np.exp(-np.tensordot(self.coefficients[row], part, 1)))
        cells = np.where(np.isnan(cells), np.float32(0.0), cells)
        return Cutout(x, y, (down[:, rows] @ cells) @ across[:, columns].T > THRESHOLD)


def _used(table: NDArray[np.float32]) -> slice:
    """Return the cells that any pixel is made of."""
    used = np.flatnonzero(table.any(axis=0))
    return slice(int(used[0]), int(used[-1]) + 1)
