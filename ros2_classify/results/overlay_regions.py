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

"""Draw where is looked: regions of interest, tiles, and the lines and zones of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.results.overlay_text import to_ascii

_ROI = (255, 255, 255)
_TILE = (215, 190, 120)
_LINE = (60, 220, 255)
_ZONE = (235, 130, 235)
_DARK = (24, 24, 24)
_NOTHING_SAID: Mapping[str, str] = {}
# Fixed point: places between pixels stay where they are.
_BITS = 4


def draw_regions(
    canvas: NDArray[np.uint8], *, roi: Sequence[Sequence[float]] = (),
    tiles: Sequence[Sequence[int]] = (), lines: Sequence[Any] = (), zones: Sequence[Any] = (),
    said: Mapping[str, str] = _NOTHING_SAID,
) -> None:
    """
    Draw thin outlines into an image, below its result; what is not given is not drawn.

    Parameters
    ----------
    canvas : ndarray of uint8, shape (H, W, 3)
        The image in BGR, which is drawn into.
    roi : sequence of points
        As in `Options`: two corners of a box or the points of a polygon, from 0 to 1.
    tiles : sequence of tuple of int
        ``x, y, width, height`` in pixels, as ``preprocess.views.tile_views`` returns them.
    lines, zones : sequences of Line and Zone
        As ``tracking.places`` reads them.
    said : mapping of str to str
        What is written behind the name of a line or a zone.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify.results.overlay_regions import draw_regions
    >>> canvas = np.zeros((48, 64, 3), np.uint8)
    >>> draw_regions(canvas, roi=((0.25, 0.25), (0.75, 0.75)))
    >>> canvas[12, 16:48].any(), canvas[24, 20:44].any()
    (np.True_, np.False_)

    """
    thin = max(1, round(min(canvas.shape[:2]) / 540))
    for x, y, width, height in tiles:
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), _TILE, thin)
    if len(roi) == 2:
        (left, top), (right, bottom) = roi
        roi = ((left, top), (right, top), (right, bottom), (left, bottom))
    if roi:
        _outline(canvas, roi, _ROI, thin)
    for zone in zones:
        _outline(canvas, zone.points, _ZONE, thin)
        _name(canvas, zone.name, said, _highest(zone.points), _ZONE)
    for line in lines:
        _outline(canvas, (line.begin, line.end), _LINE, thin, closed=False)
        _name(canvas, line.name, said, line.begin, _LINE)


def _highest(points: Sequence[Sequence[float]]) -> Sequence[float]:
    return sorted(points, key=lambda point: (point[1], point[0]))[0]


def _outline(canvas: NDArray[np.uint8], points: Sequence[Sequence[float]],
             color: tuple[int, int, int], thin: int, *, closed: bool = True) -> None:
    """Draw a polygon, or a line, with a dark rim."""
    height, width = canvas.shape[:2]
    # Edges of pixels to their centres; the last pixel is inside of the image.
    places = np.clip(np.array(points) * (width, height) - 0.5, 0, (width - 1, height - 1))
    fixed = [np.rint(places * (1 << _BITS)).astype(np.int32)]
    for shade, wide in ((_DARK, thin + 2), (color, thin)):
        cv2.polylines(canvas, fixed, closed, shade, wide, cv2.LINE_AA, _BITS)


def _name(canvas: NDArray[np.uint8], name: str, said: Mapping[str, str],
          point: Sequence[float], color: tuple[int, int, int]) -> None:
    """Write the name of a line or a zone below a point, inside of the image."""
    height, width = canvas.shape[:2]
    scale = max(0.35, min(height, width) / 1100)
    for text in (f'{to_ascii(name, 0)} {said.get(name, "")}'.strip(), to_ascii(name, 0)):
        (across, up), down = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
        if across <= width / 2:
            break
    else:
        # It would hide a thumbnail.
        return
    left = int(np.clip(point[0] * width + 4, 0, max(0, width - across)))
    base = int(np.clip(point[1] * height + up + 4, up, max(up, height - down)))
    for shade, wide in ((_DARK, 3), (color, 1)):
        cv2.putText(canvas, text, (left, base), cv2.FONT_HERSHEY_DUPLEX, scale, shade, wide,
                    cv2.LINE_AA)
