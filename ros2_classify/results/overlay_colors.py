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
Colours of classes, which differ for people with any kind of colour vision too.

The first twelve differ by a CIEDE2000 of 10 or more in normal vision and in the simulations of
protanopia and deuteranopia by Machado, Oliveira and Fernandes, "A Physiologically-based Model for
Simulation of Color Vision Deficiency" (IEEE TVCG 15(6), 2009), with severity 1.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache
import re
from typing import Any

Color = tuple[int, int, int]

# Hexadecimal red, green and blue. The best of random sets of twelve, each improved by exchange;
# then always the colour that is farthest from all before.
_PALETTE = (
    'aaff00', '3377ee', 'ff99cc', '00ffff', '7700ee', 'ffee99', 'aa66aa', '558844',
    'ee2222', '00cc66', 'aa2255', 'aa99ff', 'dd6677', 'aaaa00', '5555aa', '009977',
    '777700', 'dd11dd', 'eebb22', 'ff66dd', 'dd1188', 'eeaaff', 'bb1133', 'aa0099')
NAMED = {
    'red': 'ee2222', 'green': '00cc66', 'blue': '3377ee', 'yellow': 'ffdd00', 'orange': 'ff8800',
    'purple': '7700ee', 'pink': 'ff99cc', 'brown': '885533', 'cyan': '00ffff', 'lime': 'aaff00',
    'black': '000000', 'gray': '808080', 'white': 'ffffff'}
PATTERN = f'#[0-9a-fA-F]{{6}}|{"|".join(NAMED)}'


@lru_cache(maxsize=4096)
def color_of(class_id: int) -> Color:
    """
    Return a class's colour in BGR: always the same one, and far from those of the ids nearby.

    After the palette, hues step by the golden ratio; brightness changes slowly, so that like hues
    differ in it.
    """
    if 0 <= class_id < len(_PALETTE):
        return _bgr(_PALETTE[class_id])
    hue = (class_id * 0.6180339887 + 0.33) % 1.0
    saturation = (0.82, 0.62, 0.9)[class_id // 5 % 3]
    value = (1.0, 0.88, 0.75)[class_id // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


@lru_cache(maxsize=1024)
def named_color(text: str) -> Color:
    """Return the BGR of a descriptor's colour: ``#rrggbb`` or a name."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(
            f'{text!r} is no colour; give "#rrggbb" or one of {", ".join(NAMED)}')
    return _bgr(NAMED.get(text, text.lstrip('#')))


def colors_of(result: Any) -> list[Color]:
    """Return the colour of each row of a result: its label's, if it has one, or its class's."""
    ids = result.class_ids.tolist()
    if not result.colors:
        return [color_of(class_id) for class_id in ids]
    return [named_color(result.colors[label]) if label in result.colors else color_of(class_id)
            for class_id, label in zip(ids, result.labels.tolist())]


@lru_cache(maxsize=4096)
def text_color(background: Color) -> Color:
    """Return black or white, whichever has the higher contrast ratio (WCAG 2.2) on a colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (channel / 255 for channel in background)]
    luminance = 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]
    # Black gives (L + 0.05) / 0.05, white 1.05 / (L + 0.05).
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def _bgr(text: str) -> Color:
    return int(text[4:], 16), int(text[2:4], 16), int(text[:2], 16)
