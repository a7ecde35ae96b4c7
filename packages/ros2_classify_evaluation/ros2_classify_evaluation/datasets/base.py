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

"""A dataset: images with what is known to be on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from ros2_classify import InputError, read_image

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


@dataclass(frozen=True, eq=False)
class Objects:
    """
    The true objects of an image.

    Parameters
    ----------
    boxes : ndarray of float64, shape (N, 4)
        ``x1, y1, x2, y2`` in pixels.
    class_ids : ndarray of int64, shape (N,)
        Positions in the dataset's list of names.
    ignored : ndarray of bool, shape (N,)
        Crowds and difficult objects: finding them is neither right nor wrong.
    areas : ndarray of float64, shape (N,)
        Pixels of the object (of its mask, where the dataset knows it), which decide its size.
    track_ids : tuple of str, optional
        What names each object across the images of a sequence.
    segmentations : tuple, optional
        The mask of each object as COCO writes it, for `metrics.masks.decode`.

    """

    boxes: NDArray[np.float64]
    class_ids: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float64]
    track_ids: tuple[str, ...] | None = None
    segmentations: tuple[Any, ...] | None = None

    @classmethod
    def of(cls, boxes: Sequence[Sequence[float]], class_ids: Sequence[int],
           ignored: Sequence[bool] | None = None,
           areas: Sequence[float] | None = None,
           track_ids: tuple[str, ...] | None = None,
           segmentations: tuple[Any, ...] | None = None) -> Objects:
        """Make arrays of lists; areas are those of the boxes by default."""
        array = np.asarray(boxes, np.float64).reshape(-1, 4)
        if not np.isfinite(array).all():
            raise ValueError('a box has numbers that are not finite')
        sides = array[:, 2:] - array[:, :2]
        return cls(
            array, np.asarray(class_ids, np.int64),
            np.zeros(len(array), bool) if ignored is None else np.asarray(ignored, bool),
            sides.prod(axis=1) if areas is None else np.asarray(areas, np.float64), track_ids,
            segmentations)

    def select(self, rows: NDArray[Any], class_ids: NDArray[np.int64]) -> Objects:
        """Return some of the objects, with other numbers of their classes."""
        tracks = None if self.track_ids is None else tuple(
            np.array(self.track_ids, object)[rows].tolist())
        masks = None if self.segmentations is None else tuple(
            self.segmentations[row] for row in np.arange(len(self))[rows].tolist())
        return Objects(self.boxes[rows], class_ids[rows], self.ignored[rows], self.areas[rows],
                       tracks, masks)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.boxes)


# Of classification: the classes of an image; of segmentation: what reads its label image, ids by
# the dataset's names, 255 where nobody knows.
Truth = Union[frozenset[int], Objects, Callable[[], NDArray[np.uint8]]]


@dataclass(frozen=True, eq=False)
class Sample:
    """
    An image and its truth; `name` is how reports call it.

    Images of a `sequence` follow each other in time; `stamp` is in seconds. `size` is the width
    and height that the labels are for, where they say so.
    """

    name: str
    path: Path | None
    truth: Any  # Truth
    pixels: Callable[[], NDArray[np.uint8]] | None = None
    sequence: str = ''
    stamp: float = 0.0
    size: tuple[int, int] | None = None

    def read(self) -> NDArray[np.uint8]:
        """Return the pixels in BGR; InputError if they can't be read."""
        if self.pixels is not None:
            return self.pixels()
        assert self.path is not None
        image = read_image(str(self.path))
        height, width = image.shape[:2]
        if self.size is not None and self.size != (width, height):
            raise InputError(
                f'{self.path} has {width}x{height} pixels, but its labels are for '
                f'{self.size[0]}x{self.size[1]}: take the images that were labelled')
        return image


@dataclass(frozen=True, eq=False)
class Dataset:
    """
    Samples of one task.

    Parameters
    ----------
    task : str
        'classification', 'detection' or 'segmentation'.
    names : tuple of str
        The classes; truths hold their positions.
    samples : list of Sample
        In a fixed order.
    source, kind : str
        Where it is, and its format.
    multi_label : bool
        For classification: an image may have several classes, or none.

    """

    task: str
    names: tuple[str, ...]
    samples: list[Sample]
    source: str
    kind: str
    multi_label: bool = False
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)


class Names:
    """Gives classes their positions in the order in which they appear."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._numbers = {name: number for number, name in enumerate(names)}

    def __getitem__(self, name: str) -> int:
        """Return the position of a name, a new one if it has none."""
        return self._numbers.setdefault(name, len(self._numbers))

    def __iter__(self) -> Any:
        """Iterate over the names."""
        return iter(self._numbers)


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """Return the size that labels state; None if they leave it open."""
    try:
        size = int(width), int(height)
    except (OverflowError, TypeError, ValueError):
        return None
    return size if min(size) > 0 else None


def images_in(directory: Path) -> list[Path]:
    """Return the images of a directory, sorted by name."""
    return sorted(path for path in directory.iterdir()
                  if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def find_image(directory: Path, name: str) -> Path:
    """Return the image of this name, with or without its suffix; InputError if it is missing."""
    exact = directory / name
    if exact.is_file():
        return exact
    for suffix in IMAGE_SUFFIXES:
        for variant in (suffix, suffix.upper()):
            path = directory / f'{name}{variant}'
            if path.is_file():
                return path
    raise InputError(
        f'the image {name!r} is not in {directory}: put it there, or remove its labels')
