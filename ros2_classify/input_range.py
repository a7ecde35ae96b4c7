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

"""Which values of 16-bit images are black and white: ``input_range``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import OptionsError

ALLOWED = ('the number of bits from 8 to 16 (such as 12), the values of black and white '
           '(1000..5000), percentile, percentile with two numbers (percentile 2..98), or auto')
_NUMBER = r'\d+(?:\.\d+)?'
PATTERN = (rf'^ *(\d+( *bits?)?|{_NUMBER} *\.\. *{_NUMBER}|'
           rf'percentile( +{_NUMBER} *\.\. *{_NUMBER})?|auto) *$')
_FULL = 65535
_BITS = (8, 10, 12, 14, 16)
# Images that are looked at before a warning, and the part of the range that they have to use.
_WATCHED = 5
_MIN_PART = 4
_MIN_SPAN = 16
# Pixels that percentiles are taken from.
_SAMPLE = 1 << 16

Say = Callable[[str], Any]


@dataclass(frozen=True)
class InputRange:
    """The values, or percentiles, that become 0 and 255; `auto` follows the largest value."""

    low: float = 0.0
    high: float = _FULL
    percentile: bool = False
    auto: bool = False

    @classmethod
    def parse(cls, value: Any) -> InputRange:
        """Read a setting; raise OptionsError if it is none."""
        text = ' '.join(str(value).split()) if not isinstance(value, bool) else ''
        if text == 'auto':
            return cls(auto=True)
        if text == 'percentile':
            return cls(1.0, 99.0, percentile=True)
        bits = re.fullmatch(r'(\d{1,2}) ?(?:bits?)?', text)
        if bits and 8 <= int(bits[1]) <= 16:
            return cls(0.0, float((1 << int(bits[1])) - 1))
        two = re.fullmatch(rf'(percentile )?({_NUMBER}) ?\.\. ?({_NUMBER})', text)
        if two:
            low, high = float(two[2]), float(two[3])
            if low < high <= (100 if two[1] else _FULL):
                return cls(low, high, percentile=bool(two[1]))
        raise OptionsError(f'input_range is {value!r} but must be {ALLOWED}')

    def __str__(self) -> str:
        """Return the setting."""
        if self.auto:
            return 'auto'
        for bits in range(8, 17):
            if (self.percentile, self.low, self.high) == (False, 0.0, (1 << bits) - 1):
                return str(bits)
        return f'{"percentile " * self.percentile}{self.low:g}..{self.high:g}'


ALL_BITS = InputRange()


class DepthReader:
    """
    Brings 16-bit images of one stream to 8 bits.

    `say` gets what ``auto`` chooses, `warn` a sentence, once, if the images use a small part of
    the range, as those of 10, 12 or 14 bits do.
    """

    def __init__(self, input_range: InputRange, say: Say, warn: Say,
                 watched: int = _WATCHED) -> None:
        self.input_range = input_range
        self._say = say
        self._warn = warn
        self._watched = watched
        self._seen = 0
        self._low, self._high = _FULL, 0
        self._bits = 0
        # What it has warned of.
        self.problem = ''

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Return 8-bit pixels: new ones, or the same if they have 8 bits."""
        if pixels.dtype != np.uint16:
            return pixels
        # Alpha is no brightness.
        colors = pixels[..., :3] if pixels.ndim == 3 else pixels
        asked = self.input_range
        if asked.percentile:
            step = max(1, int((colors.shape[0] * colors.shape[1] / _SAMPLE) ** 0.5))
            low, high = np.percentile(colors[::step, ::step], (asked.low, asked.high))
            return scale(pixels, float(low), float(high))
        if asked.auto:
            return scale(pixels, 0.0, (1 << self._choose(colors)) - 1)
        self._watch(colors)
        return scale(pixels, asked.low, asked.high)

    def _choose(self, colors: NDArray[Any]) -> int:
        """Return the fewest bits that hold all values so far."""
        largest = int(colors.max())
        bits = next(bits for bits in _BITS if largest < 1 << bits)
        if bits > self._bits:
            self._bits = bits
            self._say(f'input_range auto: {bits} bits, for the largest value so far, {largest}')
        return self._bits

    def _watch(self, colors: NDArray[Any]) -> None:
        if self._seen >= self._watched:
            return
        self._seen += 1
        self._low = min(self._low, int(colors.min()))
        self._high = max(self._high, int(colors.max()))
        problem = self._problem()
        if not problem:
            self._seen = self._watched
        elif self._seen == self._watched:
            self.problem = problem
            self._warn(problem)

    def _problem(self) -> str:
        """Return what is strange about the values so far."""
        low, high = self.input_range.low, self.input_range.high
        found = f'values are from {self._low} to {self._high}, but '
        where = '(a parameter, and a key of the descriptor under input)'
        if (self._high - low) * _MIN_PART <= high - low:
            bits = next(bits for bits in _BITS if self._high < 1 << bits)
            return (f'{found}{high:.0f} is white: they are nearly black; set input_range to '
                    f'{bits} for a camera of {bits} bits, to percentile for a thermal camera, or '
                    f'to auto {where}')
        if (self._high - self._low) * _MIN_SPAN <= high - low:
            return (f'{found}black is {low:.0f} and white {high:.0f}: they are nearly uniform; '
                    f'set input_range to percentile, or to a range such as '
                    f'{self._low}..{self._high} {where}')
        return ''


def scale(pixels: NDArray[Any], low: float = 0.0, high: float = _FULL) -> NDArray[np.uint8]:
    """Bring 16-bit values to 8 bits, rounded; cv_bridge does the same with the full range."""
    low = round(low)
    if low:
        pixels = np.maximum(pixels, np.uint16(low)) - np.uint16(low)
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / max(1.0, high - low)), np.uint8)
