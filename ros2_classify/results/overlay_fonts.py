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
Text that OpenCV's stroke fonts lack, with Pillow and a font of the machine, if it has both.

OpenCV of PyPI is built without FreeType. Pillow is no dependency: it is imported when the first
label with other characters than ASCII is drawn.
"""

from __future__ import annotations

from functools import lru_cache
import os
from pathlib import Path
from typing import Any, NamedTuple
import unicodedata

import numpy as np
from numpy.typing import NDArray

# A font file that is asked first.
VARIABLE = 'ROS2_CLASSIFY_FONT'
# The first that has all characters of a label draws it.
_FONTS = tuple(f'/usr/share/fonts/{name}' for name in (
    'truetype/dejavu/DejaVuSans.ttf', 'truetype/noto/NotoSans-Regular.ttf',
    'opentype/noto/NotoSansCJK-Regular.ttc', 'truetype/droid/DroidSansFallbackFull.ttf',
    'truetype/wqy/wqy-microhei.ttc', 'truetype/wqy/wqy-zenhei.ttc',
    'truetype/noto/NotoSansArabic-Regular.ttf', 'truetype/noto/NotoSansHebrew-Regular.ttf',
    'truetype/noto/NotoSansDevanagari-Regular.ttf', 'truetype/noto/NotoSansThai-Regular.ttf',
    'truetype/noto/NotoSansBengali-Regular.ttf', 'truetype/noto/NotoSansTamil-Regular.ttf',
    'truetype/freefont/FreeSans.ttf', 'truetype/liberation/LiberationSans-Regular.ttf',
    'dejavu-sans-fonts/DejaVuSans.ttf', 'google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc',
    'TTF/DejaVuSans.ttf', 'noto-cjk/NotoSansCJK-Regular.ttc'))
# Of a font's size, the height of its capital letters, roughly.
_CAPITAL = 0.72
# Too long for any tab.
_LONGEST = 200


class Bitmap(NamedTuple):
    """A drawn text: how much of each pixel it covers, and where it is from its left and base."""

    cover: NDArray[np.uint8]
    left: int
    top: int
    width: int


def drawable(text: str) -> str | None:
    """Return what of a label can be drawn by a font of this machine, or None."""
    clean = unicodedata.normalize('NFC', text[:_LONGEST])
    clean = ''.join(' ' if c.isspace() else c for c in clean
                    if c.isspace() or unicodedata.category(c) not in ('Cc', 'Cf', 'Cs', 'Co'))
    return clean if clean.strip() and parts(clean) else None


@lru_cache(maxsize=1024)
def parts(text: str) -> tuple[str, ...] | None:
    """
    Split a text into parts with a font each, from left to right; None if there are no such fonts.

    ASCII before and after other words is separate: a number stays to the right of its label,
    whichever way that is read, and labels repeat while numbers change.
    """
    first = next((i for i, c in enumerate(text) if not c.isascii()), len(text))
    last = next((i for i in range(len(text), 0, -1) if not text[i - 1].isascii()), 0)
    start = text.rfind(' ', 0, first) + 1
    end = text.find(' ', last)
    middle = text[start:end if end >= 0 else None]
    if not middle or font_of(middle):
        inner: tuple[str, ...] | None = (middle,)
    elif ' | ' in middle:
        inner = _split(middle, ' | ')
    else:
        inner = _split(middle, ' ') if ' ' in middle and not _needs_shaping(middle) else None
    if inner is None or not font_of('?'):
        return None
    return tuple(part for part in (text[:start], *inner, text[end:] if end >= 0 else '') if part)


def _split(text: str, between: str) -> tuple[str, ...] | None:
    first, rest = text.split(between, 1)
    before, after = parts(first), parts(rest)
    return None if before is None or after is None else (*before, between, *after)


@lru_cache(maxsize=1024)
def font_of(text: str) -> str | None:
    """Return the path of the first font that has all characters of a text."""
    pillow = _pillow()
    if pillow is None or (_needs_shaping(text) and not _shapes()):
        return None
    return next((path for path in fonts() if all(_has(path, c) for c in set(text))), None)


@lru_cache(maxsize=1)
def fonts() -> tuple[str, ...]:
    """Return the font files that are there and can be read."""
    named = os.environ.get(VARIABLE, '').strip()
    return tuple(path for path in (*([named] if named else ()), *_FONTS)
                 if Path(path).is_file() and _font(path, 12) is not None)


@lru_cache(maxsize=512)
def bitmap(text: str, capital: int) -> Bitmap:
    """Return a text that `drawable` returned, with capitals of this height in pixels."""
    path = font_of(text)
    font = None if path is None else _font(path, max(6, round(capital / _CAPITAL)))
    assert font is not None
    left, top, right, bottom = font.getbbox(text, anchor='ls')
    image = _pillow().Image.new('L', (max(1, right - left), max(1, bottom - top)))
    _pillow().ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font, anchor='ls')
    return Bitmap(np.asarray(image), left, top, max(right, round(font.getlength(text))))


def paste(canvas: NDArray[np.uint8], drawn: Bitmap, left: int, base: int,
          color: tuple[int, int, int]) -> None:
    """Blend a text into an image; what is outside is cut."""
    x, y = left + drawn.left, base + drawn.top
    height, width = drawn.cover.shape
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(x + width, canvas.shape[1]), min(y + height, canvas.shape[0])
    if x2 <= x1 or y2 <= y1:
        return
    cover = drawn.cover[y1 - y:y2 - y, x1 - x:x2 - x, np.newaxis].astype(np.int32)
    part = canvas[y1:y2, x1:x2]
    part[:] = (part * (255 - cover) + np.array(color, np.int32) * cover + 127) // 255


@lru_cache(maxsize=1)
def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError:
        return None
    return PIL


@lru_cache(maxsize=1)
def _shapes() -> bool:
    """Return whether Pillow joins letters and orders them from right to left."""
    from PIL import features

    return bool(features.check('raqm') and features.check('fribidi'))


def _needs_shaping(text: str) -> bool:
    """Return whether letters change with their neighbours, or run from right to left."""
    return any(unicodedata.bidirectional(c) in ('R', 'AL', 'AN')
               or unicodedata.category(c).startswith('M') for c in text)


@lru_cache(maxsize=64)
def _font(path: str, size: int) -> Any:
    try:
        return _pillow().ImageFont.truetype(path, size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=8192)
def _has(path: str, character: str) -> bool:
    """Return whether a font has a character: a missing one looks like one that cannot exist."""
    if character.isspace():
        return True
    font = _font(path, 24)
    drawn, missing = (font.getmask(c) for c in (character, '\U0010fffe'))
    if drawn.size == (0, 0) or drawn.getbbox() is None:
        # Marks may be empty on their own.
        return unicodedata.category(character).startswith('M')
    return bool(drawn.size != missing.size or bytes(drawn) != bytes(missing))
