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
Draw a result: boxes with label tabs, or a panel with the best classes.

Objects that have masks are tinted and outlined, and so are the classes of a segmentation. Key
points are drawn with their limbs, oriented boxes turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError
from ros2_classify.results.overlay_colors import Color, colors_of
from ros2_classify.results.overlay_keypoints import draw_keypoints, draw_oriented, rated
from ros2_classify.results.overlay_tabs import draw_tabs
from ros2_classify.results.overlay_text import fit, printable, style_of, text_width, write
from ros2_classify.results.results import Classification, Detections, Result, Segmentation

Image = NDArray[np.uint8]
Ids = Union[NDArray[np.uint8], NDArray[np.uint16]]
_DARK: Color = (24, 24, 24)
_LIGHT: Color = (250, 250, 250)
# How much of its colour a marked pixel takes; the image stays recognizable.
_TINT = 0.45


def draw(
    image: Image, result: Result, copy: bool = True, *, instances: Ids | None = None,
) -> Image:
    """
    Draw a result onto its image.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        The image of the result, in BGR.
    result : Classification, Detections or Segmentation
        The result for this image.
    copy : bool
        Whether to draw on a copy; False draws into ``image`` itself.
    instances : ndarray of uint8 or uint16, shape (H, W), optional
        For detections: 1 + the row of the object that each pixel belongs to, or 0, as
        ``Detections.instances`` returns it, which is the default.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        The image with the result on it.

    Raises
    ------
    InputError
        If ``image`` is not such an image, or is read-only with ``copy=False``, or ``result`` is
        not a result, or its masks belong to an image of another size.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import draw, Pipeline
    >>> image = np.zeros((240, 320, 3), np.uint8)
    >>> with Pipeline.load('cards_detector') as pipeline:
    ...     annotated = draw(image, pipeline(image, 'bgr'))
    >>> annotated.shape
    (240, 320, 3)

    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or (
            image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape):
        kind = (f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray)
                else type(image).__name__)
        raise InputError(
            f'the image to draw on is {kind} but must be a numpy array of uint8 with the shape '
            '(height, width, 3), in BGR')
    if not copy and not image.flags.writeable:
        raise InputError('the image to draw on is read-only; draw on a copy (copy=True)')
    if not isinstance(result, (Detections, Classification, Segmentation)):
        raise InputError(
            f'the result to draw is {type(result).__name__} but must be a Classification, '
            'Detections or a Segmentation, as a Pipeline returns')
    pixels = instances
    if isinstance(result, Segmentation):
        pixels = result.label_image
    elif pixels is None and isinstance(result, Detections):
        pixels = result.instances()
    if pixels is not None and pixels.shape != image.shape[:2]:
        raise InputError(
            f'the result belongs to an image of {pixels.shape[1]}x{pixels.shape[0]}, but the '
            f'image to draw on is {image.shape[1]}x{image.shape[0]}; draw on the image of the '
            'result')
    canvas = image.copy() if copy else image
    if isinstance(result, Detections):
        if pixels is not None:
            draw_instances(
                canvas, pixels, result.boxes, colors_of(result), style_of(canvas).line)
        _draw_boxes(canvas, result)
        return canvas
    if isinstance(result, Segmentation):
        draw_classes(canvas, result.label_image, (result.background, result.unlabeled),
                     dict(zip(result.class_ids.tolist(), colors_of(result))))
    _draw_panel(canvas, result)
    return canvas


def draw_instances(
    canvas: Image, instances: Ids, boxes: NDArray[np.float32], colors: Sequence[Color], line: int,
) -> None:
    """Tint each object and draw its outline."""
    height, width = canvas.shape[:2]
    # A pixel whose centre is in the box belongs to it, so rounding outwards misses none.
    edges = np.concatenate((np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])), axis=1).astype(int)
    for row, (x1, y1, x2, y2) in enumerate(edges.tolist()):
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
        if x2 <= x1 or y2 <= y1:
            continue
        mask = np.asarray(instances[y1:y2, x1:x2] == row + 1, np.uint8)
        if not mask.any():
            continue
        part = canvas[y1:y2, x1:x2]
        tinted = cv2.addWeighted(
            part, 1 - _TINT, np.full_like(part, colors[row]), _TINT, 0.0)
        cv2.copyTo(tinted, mask, part)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        # Drawn on the object only, so that no line leaves it.
        inner = cv2.drawContours(tinted, outlines, -1, colors[row], line)
        cv2.copyTo(inner, mask, part)


def draw_classes(
    canvas: Image, labels: Ids, ignored: Sequence[int | None], colors: dict[int, Color],
) -> None:
    """Tint each pixel in its class's colour."""
    table = np.zeros((1 << 8 * labels.dtype.itemsize, 3), np.uint8)
    marked = np.zeros(len(table), np.uint8)
    for class_id, color in colors.items():
        if class_id not in ignored:
            table[class_id], marked[class_id] = color, 1
    if not marked.any():
        return
    if labels.dtype == np.uint8:
        tint = cv2.applyColorMap(labels, table.reshape(256, 1, 3))
        mask = cv2.LUT(labels, marked)
    else:
        tint, mask = table[labels], marked[labels]
    cv2.copyTo(cv2.addWeighted(canvas, 1 - _TINT, tint, _TINT, 0.0), mask, canvas)


def _draw_boxes(canvas: Image, result: Detections) -> None:
    """Draw all boxes, the best on top, and then all tabs, so that no box runs through a tab."""
    style = style_of(canvas)
    height, width = canvas.shape[:2]
    # The line runs inside the box, so that it shows at the image's edges too.
    inset = style.line // 2 + 1
    corners = np.rint(result.boxes).astype(int)
    corners[:, :2] = np.clip(corners[:, :2] + inset - 1, 0, (width - 1, height - 1))
    corners[:, 2:] = np.clip(corners[:, 2:] - inset, 0, (width - 1, height - 1))
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    boxes = corners.tolist()
    colors = colors_of(result)
    for row in range(len(boxes) - 1, -1, -1):
        x1, y1, x2, y2 = boxes[row]
        if result.oriented is not None:
            draw_oriented(canvas, result.oriented[row], colors[row], style.line, style.rim)
            continue
        # A thin dark rim sets the colour off from the background. Lines along the axes need no
        # smoothing.
        if style.rim:
            cv2.rectangle(canvas, (x1, y1), (x2, y2), _DARK, style.line + 2)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colors[row], style.line)
    if result.keypoints is not None:
        draw_keypoints(canvas, result.keypoints, colors, style.line,
                       rated=rated(result.keypoints))
    draw_tabs(canvas, result, boxes, colors, style, inset)


def _draw_panel(canvas: Image, result: Classification | Segmentation) -> None:
    """Draw the best classes and their scores as bars, on dark glass in the top left corner."""
    style = style_of(canvas)
    height, width = canvas.shape[:2]
    margin = style.pad
    capital = style.capital
    bar = max(2, round(capital * 0.3))
    descent = round(capital * 0.5)
    row_height = capital + descent + bar + 2 * style.pad
    rows = min(len(result), 10, max(1, (height - 2 * margin - style.pad) // row_height))
    if not len(result):
        return
    ids = result.class_ids.tolist()[:rows]
    scores = result.scores.tolist()[:rows]
    score_width = text_width('0.00', style)
    # All the room there is, or what the longest label needs.
    limit = width - 2 * margin - 6 * style.pad - score_width
    labels = [fit(printable(label, class_id), max(limit, 0), style)
              for label, class_id in zip(result.labels.tolist(), ids)]
    label_width = max(max(text_width(label, style) for label in labels), 5 * capital)
    panel_width = min(label_width + score_width + 6 * style.pad, width - 2 * margin)
    bottom = min(height, margin + rows * row_height + style.pad)
    glass = canvas[margin:bottom, margin:margin + panel_width]
    if glass.size:
        glass[:] = cv2.addWeighted(glass, 0.35, np.full_like(glass, _DARK), 0.65, 0.0)
    left, right = margin + 2 * style.pad, margin + panel_width - 2 * style.pad
    for row, (label, score, color) in enumerate(zip(labels, scores, colors_of(result))):
        base = margin + 2 * style.pad + row * row_height + capital
        shade = _LIGHT if row == 0 else (205, 205, 205)
        write(canvas, label, left, base, shade, style)
        number = f'{score:.2f}'
        write(canvas, number, right - text_width(number, style), base, shade, style)
        top = base + descent
        cv2.rectangle(canvas, (left, top), (right, top + bar - 1), (90, 90, 90), cv2.FILLED)
        filled = round((right - left) * min(max(score, 0.0), 1.0))
        if filled:
            cv2.rectangle(
                canvas, (left, top), (left + filled, top + bar - 1), color, cv2.FILLED)
