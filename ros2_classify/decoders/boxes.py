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

"""Boxes as models write them: the formats, and what is not finite left out."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import Candidates

BoxFormat = Literal['xyxy', 'yxyx', 'cxcywh', 'xywh']
BOX_FORMATS: tuple[BoxFormat, ...] = ('xyxy', 'yxyx', 'cxcywh', 'xywh')
Units = Literal['model', 'source', 'normalized']
UNITS: tuple[Units, ...] = ('model', 'source', 'normalized')
# Works for one more release.
OLD_UNITS: dict[str, Units] = {'network': 'model'}  # words: old


def to_xyxy(boxes: NDArray[np.float32], box_format: BoxFormat) -> NDArray[np.float32]:
    """
    Bring boxes to ``x1, y1, x2, y2``.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        Not modified.
    box_format : str
        'xyxy', 'yxyx', 'cxcywh' (centre and size) or 'xywh' (corner and size).

    Returns
    -------
    ndarray of float32, shape (N, 4)
        The same array where nothing is to be done.

    """
    if box_format == 'xyxy':
        return boxes
    if box_format == 'yxyx':
        return boxes[:, [1, 0, 3, 2]]
    first, size = boxes[:, :2], boxes[:, 2:]
    # What is not finite stays so, and is dropped later.
    with np.errstate(over='ignore', invalid='ignore'):
        if box_format == 'cxcywh':
            first = first - size * np.float32(0.5)
        return np.concatenate((first, first + size), axis=1)


def denormalize(
    boxes: NDArray[np.float32], input_size: tuple[int, int],
) -> NDArray[np.float32]:
    """
    Bring parts of the input to model pixels.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        ``x1, y1, x2, y2``, from 0 to 1 of the input's width and height; not modified.
    input_size : tuple of int
        Width and height of the input.

    Returns
    -------
    ndarray of float32, shape (N, 4)
        ``x1, y1, x2, y2`` in model pixels.

    """
    # What is not finite stays so, and is dropped later.
    with np.errstate(over='ignore', invalid='ignore'):
        return boxes * np.array(input_size * 2, np.float32)


def finite_candidates(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[Any], *,
    in_source_pixels: bool = False, masks: NDArray[np.float32] | None = None,
) -> Candidates:
    """
    Leave out what is not finite.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        ``x1, y1, x2, y2`` in model pixels.
    scores : ndarray of float32, shape (N,)
        One for each box.
    class_ids : ndarray of int, shape (N,)
        One for each box.
    in_source_pixels : bool
        Whether the boxes are in the pixels of the source image; see `Candidates`.
    masks : ndarray of float32, shape (N, h, w), optional
        One for each box. A cell that is not finite counts as outside of the object.

    Returns
    -------
    Candidates
        The rows in which all five numbers are finite.

    """
    # One sum shows whether there is anything to look for: NaN and inf survive it.
    with np.errstate(over='ignore', invalid='ignore'):
        clean = np.isfinite(boxes.sum() + scores.sum())
    if not clean:
        good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
        boxes, scores, class_ids = boxes[good], scores[good], class_ids[good]
        masks = None if masks is None else masks[good]
    if masks is not None and not np.isfinite(masks).all():
        masks = np.where(np.isfinite(masks), masks, np.float32(0.0))
    return Candidates(
        boxes, scores, class_ids.astype(np.int64, copy=False), in_source_pixels, masks)
