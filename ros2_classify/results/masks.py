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
Instance masks: which pixels inside a box belong to its object.

A mask keeps the size of the model output (28 by 28, say) and the frame that it fills on the image,
so a hundred masks on a 4K image take 300 kB instead of 800 MB. Pixels are computed on request, for
one box at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import OutputError

# Mask R-CNN, https://arxiv.org/abs/1703.06870, section 3.1: resized to the box, then cut at 0.5.
THRESHOLD = 0.5
# Row numbers of an image with more objects than this don't fit into 16 bits.
_MOST = 0xFFFF


class Cutout(NamedTuple):
    """
    The pixels of one object.

    Parameters
    ----------
    x, y : int
        The position of the cutout's top left pixel on the image.
    pixels : ndarray of bool, shape (h, w)
        True where a pixel belongs to the object; may be empty.

    """

    x: int
    y: int
    pixels: NDArray[np.bool_]


class Masks:
    """The masks of all objects, in whatever form: `cutout` gives the pixels of one."""

    def __len__(self) -> int:
        """Return the number of masks."""
        raise NotImplementedError

    def select(self, rows: NDArray[np.integer]) -> Masks:
        """Return the masks of some rows."""
        raise NotImplementedError

    def cutout(self, row: int, image_size: tuple[int, int]) -> Cutout:
        """
        Return the pixels of one object.

        Parameters
        ----------
        row : int
            The row of the object.
        image_size : tuple of int
            Width and height of the image.

        Returns
        -------
        Cutout
            As large as the frame's part on the image.

        """
        raise NotImplementedError

    def instances(self, image_size: tuple[int, int]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """
        Return one image with all objects.

        Parameters
        ----------
        image_size : tuple of int
            Width and height of the image.

        Returns
        -------
        ndarray of uint8 or uint16, shape (height, width)
            0 where there is no object, else 1 + the object's row; of several objects on one pixel
            the first (the best) one shows. uint16 where there are more than 255 rows.

        Raises
        ------
        OutputError
            If there are more than 65535 rows.

        """
        count = len(self)
        if count > _MOST:
            raise OutputError(
                f'{count} objects do not fit into an instance image, which numbers at most '
                f'{_MOST}; lower max_detections')
        shape = (image_size[1], image_size[0])
        if count > 255:
            return self._paint(np.zeros(shape, np.uint16))
        return self._paint(np.zeros(shape, np.uint8))

    def _paint(self, canvas: NDArray[np.uint8] | NDArray[np.uint16],
               ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Write the rows' numbers, the best one last."""
        size = (canvas.shape[1], canvas.shape[0])
        for row in range(len(self) - 1, -1, -1):
            x, y, pixels = self.cutout(row, size)
            area = canvas[y:y + pixels.shape[0], x:x + pixels.shape[1]]
            np.copyto(area, canvas.dtype.type(row + 1), where=pixels)
        return canvas


@dataclass(frozen=True, eq=False)
class InstanceMasks(Masks):
    """
    One small mask for each box.

    Parameters
    ----------
    values : ndarray of float32, shape (N, h, w)
        How likely each cell of a mask belongs to the object, from 0 to 1.
    frames : ndarray of float32, shape (N, 4)
        ``x1, y1, x2, y2``: what each mask fills, in pixels of the source image. It is the box
        before clipping, so that a mask is not squeezed if its object leaves the image.

    Raises
    ------
    OutputError
        If the shapes don't fit or a number is not finite.

    Notes
    -----
    A pixel belongs to the object where the mask, interpolated linearly between the centres of its
    cells (and constant beyond the outermost ones), is greater than 0.5 at the pixel's centre.

    """

    values: NDArray[np.float32]
    frames: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        for name in ('values', 'frames'):
            view = np.asarray(getattr(self, name), np.float32).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        if self.values.ndim != 3 or 0 in self.values.shape[1:]:
            raise OutputError(
                f'masks have the shape {self.values.shape} but must have (N, height, width)')
        if self.frames.shape != (len(self.values), 4):
            raise OutputError(
                f'the frames of the masks have the shape {self.frames.shape} but must have '
                f'({len(self.values)}, 4): one row of x1, y1, x2, y2 for each mask')
        if not (np.isfinite(self.values).all() and np.isfinite(self.frames).all()):
            raise OutputError('a number of a mask is not finite')

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.values)

    def select(self, rows: NDArray[np.integer]) -> InstanceMasks:
        """Return the masks of some rows."""
        return InstanceMasks(self.values[rows], self.frames[rows])

    def cutout(self, row: int, image_size: tuple[int, int]) -> Cutout:
        """Return the pixels of one object, as large as the frame's part on the image."""
        x1, y1, x2, y2 = self.frames[row].astype(np.float64).tolist()
        height, width = self.values.shape[1:]
        x, across = weights(x1, x2, image_size[0], width)
        y, down = weights(y1, y2, image_size[1], height)
        # Linear along both axes: two small products instead of a loop over pixels.
        return Cutout(x, y, (down @ self.values[row]) @ across.T > THRESHOLD)


def weights(
    start: float, end: float, limit: int, cells: int, inside: tuple[float, float] | None = None,
) -> tuple[int, NDArray[np.float32]]:
    """
    Return the first pixel along one axis, and how it and the next are made of a mask's cells.

    Pixels whose centre is in the mask's frame, or also ``inside``, count.
    """
    low, high = (start, end) if inside is None else (
        max(start, inside[0]), min(end, inside[1]))
    first = int(max(0.0, np.ceil(low - 0.5)))
    last = int(min(float(limit), np.ceil(high - 0.5)))
    count = max(0, last - first)
    if not count or end <= start:
        return min(first, limit), np.zeros((0, cells), np.float32)
    centers = np.arange(first, last) + 0.5
    place = np.clip((centers - start) * (cells / (end - start)) - 0.5, 0.0, cells - 1.0)
    lower = np.minimum(place.astype(np.int64), max(cells - 2, 0))
    upper = np.minimum(lower + 1, cells - 1)
    part = place - lower
    table = np.zeros((count, cells), np.float32)
    rows = np.arange(count)
    table[rows, lower] = 1.0 - part
    # Added: with a single cell both are the same one.
    table[rows, upper] += part
    return first, table


@dataclass(frozen=True, eq=False)
class JoinedMasks(Masks):
    """One mask for each box; ``places`` (N, 2) holds the part of each, and its row there."""

    parts: Sequence[Masks]
    places: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.places)

    def select(self, rows: NDArray[np.integer]) -> JoinedMasks:
        """Return the masks of some rows."""
        return JoinedMasks(self.parts, self.places[rows])

    def cutout(self, row: int, image_size: tuple[int, int]) -> Cutout:
        """Return the pixels of one object."""
        part, place = (int(each) for each in self.places[row])
        return self.parts[part].cutout(place, image_size)


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
