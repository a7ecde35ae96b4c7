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

OpenCV's stroke fonts have only printable ASCII, so labels are converted: accents are dropped
("Bär" becomes "Bar"), a few letters get their usual spelling ("Straße", "Strasse"), and the rest
becomes "?"; a label with nothing left is drawn as its class id ("#17").
"""

from __future__ import annotations

from collections.abc import Sequence
import colorsys
from functools import lru_cache
from typing import NamedTuple, Union
import unicodedata

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError
from ros2_classify.results.overlay_keypoints import draw_keypoints, draw_oriented, rated
from ros2_classify.results.results import Classification, Detections, Result, Segmentation

Image = NDArray[np.uint8]
Ids = Union[NDArray[np.uint8], NDArray[np.uint16]]
Color = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_DUPLEX
# Height of a capital letter at font scale 1.
_CAPITAL = 21.0
_DARK: Color = (24, 24, 24)
_LIGHT: Color = (250, 250, 250)
# The share of the image, and of another tab, that tabs may cover; the first few always show.
_MAX_COVER = 0.25
_MAX_SHARED = 0.2
_MIN_TABS = 3
# How much of its colour a marked pixel takes; the image stays recognizable.
_TINT = 0.45
_SPELLINGS = str.maketrans({
    'ß': 'ss', 'æ': 'ae', 'Æ': 'AE', 'œ': 'oe', 'Œ': 'OE', 'ø': 'o', 'Ø': 'O', 'đ': 'd', 'Đ': 'D',
    'ð': 'd', 'Ð': 'D', 'þ': 'th', 'Þ': 'Th', 'ł': 'l', 'Ł': 'L', 'ı': 'i', '°': ' deg', '×': 'x',
    '–': '-', '—': '-', '‘': "'", '’': "'", '“': '"', '”': '"', 'µ': 'u', '·': '.',
})


class _Style(NamedTuple):
    """Sizes of lines and text, which follow from the image's."""

    scale: float
    stroke: int
    line: int
    pad: int
    # Whether lines get a dark rim, which would dominate a thumbnail.
    rim: bool


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
                canvas, pixels, result.boxes, [color_of(i) for i in result.class_ids.tolist()],
                _style(canvas).line)
        _draw_boxes(canvas, result)
        return canvas
    if isinstance(result, Segmentation):
        draw_classes(canvas, result.label_image, (result.background, result.unlabeled),
                     {class_id: color_of(class_id) for class_id in result.class_ids.tolist()})
    _draw_panel(canvas, result)
    return canvas


@lru_cache(maxsize=4096)
def color_of(class_id: int) -> Color:
    """
    Return a class's colour: always the same one, and far from those of the ids nearby.

    Hues step by the golden ratio; brightness changes slowly, so that like hues differ in it.
    """
    hue = (class_id * 0.6180339887 + 0.33) % 1.0
    saturation = (0.82, 0.62, 0.9)[class_id // 5 % 3]
    value = (1.0, 0.88, 0.75)[class_id // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def text_color(background: Color) -> Color:
    """Return black or white, whichever has the higher contrast ratio (WCAG 2.2) on a colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (channel / 255 for channel in background)]
    luminance = 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]
    # Black gives (L + 0.05) / 0.05, white 1.05 / (L + 0.05).
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def to_ascii(text: str, class_id: int) -> str:
    """Return a label in the characters that can be drawn."""
    spelled = ''.join(c for c in unicodedata.normalize('NFKD', text.translate(_SPELLINGS))
                      if not unicodedata.combining(c))
    plain = ''.join(c if ' ' <= c <= '~' else ' ' if c.isspace() else '?' for c in spelled)
    return plain if plain.strip(' ?') or plain == text else f'#{class_id}'


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


def _style(canvas: Image) -> _Style:
    """Return sizes that can be read on this image, from a thumbnail to 4K."""
    short = min(canvas.shape[:2])
    capital = max(7.0, 3.5 + 0.0175 * short)
    scale = capital / _CAPITAL
    return _Style(
        scale=scale, stroke=max(1, round(capital / 13)), line=max(1, round(short / 270)),
        pad=max(2, round(capital * 0.42)), rim=short >= 200)


def _text_size(text: str, style: _Style) -> tuple[int, int]:
    """Return the width of a text and the height of its capitals."""
    (width, _), _ = cv2.getTextSize(text, _FONT, style.scale, style.stroke)
    return width, round(_CAPITAL * style.scale)


def _fit(text: str, limit: int, style: _Style) -> str:
    """Return a text, cut with two dots where it is wider than it may be."""
    if _text_size(text, style)[0] <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _text_size(text[:middle].rstrip() + '..', style)[0] <= limit:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + '..' if low else ''


def _write(canvas: Image, text: str, left: int, base: int, color: Color, style: _Style) -> None:
    cv2.putText(canvas, text, (left, base), _FONT, style.scale, color, style.stroke, cv2.LINE_AA)


def _draw_boxes(canvas: Image, result: Detections) -> None:
    """Draw all boxes, the best on top, and then all tabs, so that no box runs through a tab."""
    style = _style(canvas)
    height, width = canvas.shape[:2]
    # The line runs inside the box, so that it shows at the image's edges too.
    inset = style.line // 2 + 1
    corners = np.rint(result.boxes).astype(int)
    corners[:, :2] = np.clip(corners[:, :2] + inset - 1, 0, (width - 1, height - 1))
    corners[:, 2:] = np.clip(corners[:, 2:] - inset, 0, (width - 1, height - 1))
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2])
    boxes = corners.tolist()
    ids = result.class_ids.tolist()
    for row in range(len(boxes) - 1, -1, -1):
        x1, y1, x2, y2 = boxes[row]
        if result.oriented is not None:
            draw_oriented(canvas, result.oriented[row], color_of(ids[row]), style.line, style.rim)
            continue
        # A thin dark rim sets the colour off from the background. Lines along the axes need no
        # smoothing.
        if style.rim:
            cv2.rectangle(canvas, (x1, y1), (x2, y2), _DARK, style.line + 2)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color_of(ids[row]), style.line)
    if result.keypoints is not None:
        draw_keypoints(canvas, result.keypoints, [color_of(class_id) for class_id in ids],
                       style.line, rated=rated(result.keypoints))
    _draw_tabs(canvas, result, boxes, style, inset)


def _draw_tabs(
    canvas: Image, result: Detections, boxes: list[list[int]], style: _Style, inset: int,
) -> None:
    """Draw a tab for each box, best first; in a crowd, tabs lose their score, the worst all."""
    height, width = canvas.shape[:2]
    placed: list[tuple[int, int, int, int]] = []
    room = _MAX_COVER * height * width
    names = ['' if not name else f'{name} ' for name in (
        [''] * len(result) if result.track_ids is None else result.track_ids.tolist())]
    for row, (box, label, score, class_id, distance, shown) in enumerate(zip(
            boxes, result.labels.tolist(), result.scores.tolist(), result.class_ids.tolist(),
            _distances(result), names)):
        # A second model's class stays as long as there is room for the score.
        number = f' {score:.2f}' + ''.join(
            f' | {to_ascii(name, number)} {sure:.2f}'
            for _, name, sure, number in result.said(row))
        for suffix in dict.fromkeys((number + distance, distance, '')):
            limit = width - 2 * style.pad - _text_size(suffix, style)[0]
            text = _fit(shown + to_ascii(label, class_id), limit, style) + suffix
            text_width, capital = _text_size(text, style)
            size = (text_width + 2 * style.pad, capital + 2 * style.pad)
            left, top, covered = _place(box, size, (width, height), placed, inset)
            if covered <= _MAX_SHARED:
                break
        if covered > _MAX_SHARED or (size[0] * size[1] > room and len(placed) >= _MIN_TABS):
            continue
        room -= size[0] * size[1]
        right, bottom = left + size[0], top + size[1]
        placed.append((left, top, right, bottom))
        color = color_of(class_id)
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), color, cv2.FILLED)
        _write(canvas, text, left + style.pad, top + style.pad + capital, text_color(color), style)


def _distances(result: Detections) -> list[str]:
    """Return the part of each tab that says how far away the object is; empty if not known."""
    if result.positions is None:
        return [''] * len(result)
    metres = np.linalg.norm(result.positions, axis=1).tolist()
    return ['' if each != each else f' {each:.1f} m' for each in metres]


def _place(
    box: list[int], size: tuple[int, int], image: tuple[int, int],
    placed: list[tuple[int, int, int, int]], inset: int,
) -> tuple[int, int, float]:
    """Return left and top of a tab inside the image, and its overlap with other tabs."""
    x1, y1, x2, y2 = box[0] - inset, box[1] - inset, box[2] + inset, box[3] + inset
    width, height = size
    above, below = y1 - height + inset, y2 - inset
    # In order of preference: above, inside at the top, below, inside at the bottom; left, right.
    spots = np.array([
        (x, y) for y in (above, y1, below, y2 - height) for x in (x1, x2 - width + 1)])
    inside = np.clip(spots, 0, np.maximum(np.subtract(image, size), 0))
    covered = np.zeros(len(spots))
    if placed:
        others = np.array(placed)
        shared = (np.minimum(inside[:, np.newaxis] + size, others[:, 2:])
                  - np.maximum(inside[:, np.newaxis], others[:, :2]))
        covered = np.prod(np.maximum(shared, 0), axis=2).sum(axis=1) / (width * height)
    # Moving along an edge costs nothing; moving to the other side of the box costs a little.
    cost = covered * 4 + np.abs(inside - spots)[:, 1] / height + np.arange(len(spots)) * 0.01
    best = int(cost.argmin())
    return int(inside[best, 0]), int(inside[best, 1]), float(covered[best])


def _draw_panel(canvas: Image, result: Classification | Segmentation) -> None:
    """Draw the best classes and their scores as bars, on dark glass in the top left corner."""
    style = _style(canvas)
    height, width = canvas.shape[:2]
    margin = style.pad
    capital = round(_CAPITAL * style.scale)
    bar = max(2, round(capital * 0.3))
    descent = round(capital * 0.5)
    row_height = capital + descent + bar + 2 * style.pad
    rows = min(len(result), 10, max(1, (height - 2 * margin - style.pad) // row_height))
    if not len(result):
        return
    ids = result.class_ids.tolist()[:rows]
    scores = result.scores.tolist()[:rows]
    score_width = _text_size('0.00', style)[0]
    # All the room there is, or what the longest label needs.
    limit = width - 2 * margin - 6 * style.pad - score_width
    labels = [_fit(to_ascii(label, class_id), max(limit, 0), style)
              for label, class_id in zip(result.labels.tolist(), ids)]
    label_width = max(max(_text_size(label, style)[0] for label in labels), 5 * capital)
    panel_width = min(label_width + score_width + 6 * style.pad, width - 2 * margin)
    bottom = min(height, margin + rows * row_height + style.pad)
    glass = canvas[margin:bottom, margin:margin + panel_width]
    if glass.size:
        glass[:] = cv2.addWeighted(glass, 0.35, np.full_like(glass, _DARK), 0.65, 0.0)
    left, right = margin + 2 * style.pad, margin + panel_width - 2 * style.pad
    for row, (label, score, class_id) in enumerate(zip(labels, scores, ids)):
        base = margin + 2 * style.pad + row * row_height + capital
        shade = _LIGHT if row == 0 else (205, 205, 205)
        _write(canvas, label, left, base, shade, style)
        number = f'{score:.2f}'
        _write(canvas, number, right - _text_size(number, style)[0], base, shade, style)
        top = base + descent
        cv2.rectangle(canvas, (left, top), (right, top + bar - 1), (90, 90, 90), cv2.FILLED)
        filled = round((right - left) * min(max(score, 0.0), 1.0))
        if filled:
            cv2.rectangle(
                canvas, (left, top), (left + filled, top + bar - 1), color_of(class_id),
                cv2.FILLED)
