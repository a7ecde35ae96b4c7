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

"""Labels are drawn in their own letters where a font has them, and never slow ASCII down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import sys
from typing import Any

import matplotlib
import numpy as np
import pytest

from ros2_classify.results import overlay_fonts
from ros2_classify.results.overlay_text import (
    fit, printable, style_of, text_width, to_ascii, write)

# DejaVu: Latin, Greek, Cyrillic, Hebrew and Arabic letters, no Chinese ones.
DEJAVU = Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf'
STYLE = style_of(np.zeros((480, 640, 3), np.uint8))


CACHES = (overlay_fonts.fonts, overlay_fonts.font_of, overlay_fonts.parts, overlay_fonts.bitmap,
          overlay_fonts._font, overlay_fonts._has, overlay_fonts._pillow, overlay_fonts._shapes)


def forget() -> None:
    """Forget what was found out about fonts."""
    for each in CACHES:
        each.cache_clear()


@pytest.fixture(autouse=True)
def one_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have DejaVu alone."""
    monkeypatch.setenv(overlay_fonts.VARIABLE, str(DEJAVU))
    monkeypatch.setattr(overlay_fonts, '_FONTS', ())
    forget()
    yield
    forget()


def drawn(text: str) -> Any:
    """Return a text in white on black."""
    canvas = np.zeros((40, 400, 3), np.uint8)
    write(canvas, text, 10, 28, (255, 255, 255), STYLE)
    return canvas


@pytest.mark.parametrize('label', ['Fußgänger', 'светофор', 'σκύλος', 'naïve café', '90° ±2'])
def test_letters_of_the_font_are_drawn(label: str) -> None:
    assert printable(label, 3) == label
    ink = np.nonzero(drawn(label).max(axis=(0, 2)))[0]
    assert ink.min() >= 9 and ink.max() <= 10 + text_width(label, STYLE) + 1
    # Letters differ from each other, as boxes for missing glyphs would not.
    assert (drawn(label) != drawn(to_ascii(label, 3))).any()


@pytest.mark.parametrize(('label', 'expected'), [
    ('犬', '#17'), ('犬 dog', '? dog'), ('\U0001faf6', '#17'), ('\u200b', '#17')])
def test_letters_that_no_font_has(label: str, expected: str) -> None:
    assert printable(label, 17) == expected


def test_arabic_is_joined_and_runs_from_right_to_left() -> None:
    from PIL import features

    if not (features.check('raqm') and features.check('fribidi')):
        assert printable('قطة', 5) == '#5'
        return
    assert printable('قطة', 5) == 'قطة'
    # The width of joined letters isn't the sum of separate ones.
    alone = sum(text_width(c, STYLE) for c in 'قطة')
    assert text_width('قطة', STYLE) < alone


def test_arabic_needs_a_pillow_that_joins_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_fonts, '_shapes', lambda: False)
    assert printable('قطة', 5) == '#5'
    assert printable('Bär', 5) == 'Bär'


def test_a_number_stays_right_of_its_label() -> None:
    parts = overlay_fonts.parts('7 светофор 0.84 | ёж 0.91')
    assert parts == ('7 ', 'светофор 0.84 | ёж', ' 0.91')
    bitmaps = [overlay_fonts.bitmap(part, 12) for part in parts]
    assert text_width('7 светофор 0.84 | ёж 0.91', STYLE) == sum(
        each.width for each in bitmaps) or STYLE.capital != 12


def test_without_pillow_labels_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'PIL', None)
    forget()
    assert (printable('Bär', 1), printable('犬', 1)) == ('Bar', '#1')


def test_without_a_font_labels_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(overlay_fonts.VARIABLE, '/nowhere.ttf')
    forget()
    assert printable('Bär', 1) == 'Bar'


def test_a_broken_font_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / 'broken.ttf').write_bytes(b'no font')
    monkeypatch.setenv(overlay_fonts.VARIABLE, str(tmp_path / 'broken.ttf'))
    forget()
    assert printable('Bär', 1) == 'Bar'


def test_ascii_asks_no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(overlay_fonts, 'parts', refuse)
    monkeypatch.setattr(overlay_fonts, 'drawable', refuse)
    assert printable('traffic light', 1) == 'traffic light'
    assert text_width(fit('traffic light', 60, STYLE), STYLE) <= 60
    assert drawn('traffic light').any()


def test_a_text_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn('Bär 0.84')
    before = overlay_fonts.bitmap.cache_info().misses
    drawn('Bär 0.84')
    assert overlay_fonts.bitmap.cache_info().misses == before


@pytest.mark.parametrize('label', [
    'ä' * 5000, 'ä\n\x00b', '\u202eä\u202c', 'ä\ud800', 'ä' + '\u0301' * 300])
def test_hostile_labels(label: str) -> None:
    shown = printable(label, 1)
    assert len(shown) <= 500 and '\n' not in shown and '\u202e' not in shown
    canvas = np.zeros((20, 30, 3), np.uint8)
    for left, base in ((-50, -50), (10, 10), (29, 25)):
        write(canvas, fit(shown, 100, STYLE), left, base, (255, 255, 255), STYLE)


def test_a_cut_label_has_dots() -> None:
    cut = fit('светофор светофор светофор', 100, STYLE)
    assert cut.endswith('..') and 60 < text_width(cut, STYLE) <= 100
