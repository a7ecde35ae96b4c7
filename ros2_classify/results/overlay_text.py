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
Sizes of lines and text on an image, and text.

ASCII is drawn by OpenCV's stroke font, other labels by `overlay_fonts`. Where that cannot, labels
are converted: accents are dropped ("Bär" becomes "Bar"), a few letters get their usual spelling
("Straße", "Strasse"), and the rest becomes "?"; a label with nothing left is drawn as its class
id ("#17").
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
import unicodedata

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.results import overlay_fonts
from ros2_classify.results.overlay_colors import Color

Image = NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_DUPLEX
# Height of a capital letter at font scale 1.
_CAPITAL = 21.0
# The least that can be read, in pixels.
_LEAST = 7.0
_SPELLINGS = str.maketrans({
    'ß': 'ss', 'æ': 'ae', 'Æ': 'AE', 'œ': 'oe', 'Œ': 'OE', 'ø': 'o', 'Ø': 'O', 'đ': 'd', 'Đ': 'D',
    'ð': 'd', 'Ð': 'D', 'þ': 'th', 'Þ': 'Th', 'ł': 'l', 'Ł': 'L', 'ı': 'i', '°': ' deg', '×': 'x',
    '–': '-', '—': '-', '‘': "'", '’': "'", '“': '"', '”': '"', 'µ': 'u', '·': '.',
})


class Style(NamedTuple):
    """Sizes of lines and text."""

    scale: float
    stroke: int
    line: int
    pad: int
    # Whether lines get a dark rim, which would dominate a thumbnail.
    rim: bool
    # Of a capital letter.
    capital: int

    def smaller(self) -> Style:
        """Return the style for small boxes: smaller text."""
        return _sized(max(_LEAST, 0.7 * self.scale * _CAPITAL), self.line, self.rim)


def style_of(canvas: Image) -> Style:
    """Return sizes that can be read on this image, from a thumbnail to 4K."""
    short = min(canvas.shape[:2])
    return _sized(max(_LEAST, 3.5 + 0.0175 * short), max(1, round(short / 270)), short >= 200)


@lru_cache(maxsize=64)
def _sized(capital: float, line: int, rim: bool) -> Style:
    return Style(
        scale=capital / _CAPITAL, stroke=max(1, round(capital / 13)), line=line,
        pad=max(2, round(capital * 0.42)), rim=rim, capital=round(capital))


def printable(text: str, class_id: int) -> str:
    """Return a label in the characters that can be drawn on this machine."""
    if text.isascii():
        return to_ascii(text, class_id)
    return overlay_fonts.drawable(text) or to_ascii(text, class_id)


def to_ascii(text: str, class_id: int) -> str:
    """Return a label in the characters of the stroke font."""
    if text.isascii() and text.isprintable():
        return text
    spelled = ''.join(c for c in unicodedata.normalize('NFKD', text.translate(_SPELLINGS))
                      if not unicodedata.combining(c))
    plain = ''.join(c if ' ' <= c <= '~' else ' ' if c.isspace() else '?' for c in spelled)
    return plain if plain.strip(' ?') or plain == text else f'#{class_id}'


def text_width(text: str, style: Style) -> int:
    """Return the width of a text in pixels."""
    if not text.isascii():
        return sum(drawn.width for drawn in _bitmaps(text, style))
    (width, _), _ = cv2.getTextSize(text, _FONT, style.scale, style.stroke)
    return int(width)


def fit(text: str, limit: int, style: Style) -> str:
    """Return a text, cut with two dots where it is wider than it may be."""
    if text_width(text, style) <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle].rstrip() + '..', style) <= limit:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + '..' if low else ''


def write(canvas: Image, text: str, left: int, base: int, color: Color, style: Style) -> None:
    """Draw a text whose base line begins there."""
    if text.isascii():
        cv2.putText(canvas, text, (left, base), _FONT, style.scale, color, style.stroke,
                    cv2.LINE_AA)
        return
    for drawn in _bitmaps(text, style):
        overlay_fonts.paste(canvas, drawn, left, base, color)
        left += drawn.width


def _bitmaps(text: str, style: Style) -> list[overlay_fonts.Bitmap]:
    """Return the parts of a text from left to right: labels repeat, numbers change."""
    return [overlay_fonts.bitmap(part, style.capital)
            for part in overlay_fonts.parts(text) or ('?' * len(text),)]
