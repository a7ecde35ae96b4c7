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

"""The printable sheet: one A4 page with all cards, as PDF and as PNG."""

from __future__ import annotations

from pathlib import Path
import zlib

import cv2
import numpy as np

from training.cards import CARDS
from training.primitives import Drawing
from training.primitives import Polygon
from training.primitives import render

# Measures in millimetres, from the page's top left corner.
_PAGE = (210.0, 297.0)
_COLUMNS = 3
_CELL = (62.0, 64.0)
_CORNER = (12.0, 24.0)
_SIGN = 48.0
_SIGN_TOP = 4.0
_LABEL = 59.0
_TITLE = 'ros2_classify demo cards'
_HINT = 'Cut along the lines, or hold the whole sheet before the camera.'
_CAP = 4.2
_POINTS = 72 / 25.4


def places() -> dict[str, tuple[float, float, float]]:
    """Return each sign's square on the page: left, top and side in millimetres."""
    return {name: (_CORNER[0] + i % _COLUMNS * _CELL[0] + (_CELL[0] - _SIGN) / 2,
                   _CORNER[1] + i // _COLUMNS * _CELL[1] + _SIGN_TOP, _SIGN)
            for i, name in enumerate(CARDS)}


def _cells() -> list[tuple[str, float, float]]:
    return [(name, _CORNER[0] + i % _COLUMNS * _CELL[0], _CORNER[1] + i // _COLUMNS * _CELL[1])
            for i, name in enumerate(CARDS)]


def _paint(drawing: Drawing, left: float, top: float) -> list[str]:
    """Return PDF operators that paint a drawing."""
    def at(point: tuple[float, float]) -> str:
        x = (left + point[0] * _SIGN) * _POINTS
        y = (_PAGE[1] - top - point[1] * _SIGN) * _POINTS
        return f'{x:.2f} {y:.2f}'
    lines = []
    for shape in drawing.shapes:
        color = ' '.join(f'{v / 255:.3f}' for v in shape.color)
        path = f'{at(shape.points[0])} m ' + ' '.join(f'{at(p)} l' for p in shape.points[1:])
        if isinstance(shape, Polygon):
            lines.append(f'{color} rg {path} h f')
        else:
            lines.append(f'{color} RG {shape.width * _SIGN * _POINTS:.2f} w {path} S')
    return lines


def _centered(string: str, center: float, base: float, cap: float) -> str:
    """Return PDF operators for a centred line in Courier, whose letters are 0.6 em wide."""
    size = cap * _POINTS / 0.57
    x = center * _POINTS - 0.3 * size * len(string)
    return (f'BT /F1 {size:.2f} Tf 0.1 g {x:.2f} {(_PAGE[1] - base) * _POINTS:.2f} Td '
            f'({string}) Tj ET')


def write_pdf(path: Path) -> None:
    """Write the sheet as vector PDF (ISO 32000-1), the same bytes each time."""
    lines = ['1 J 1 j', _centered(_TITLE, _PAGE[0] / 2, 14, 4.2),
             _centered(_HINT, _PAGE[0] / 2, 20, 2.4)]
    for name, x, y in _cells():
        box = f'{x * _POINTS:.2f} {(_PAGE[1] - y - _CELL[1]) * _POINTS:.2f}'
        lines.append(f'0.75 G 0.4 w {box} {_CELL[0] * _POINTS:.2f} {_CELL[1] * _POINTS:.2f} re S')
        left, top, _ = places()[name]
        lines += _paint(CARDS[name], left, top)
        lines.append(_centered(name, x + _CELL[0] / 2, y + _LABEL, _CAP))
    stream = zlib.compress('\n'.join(lines).encode('ascii'), 9)
    size = ' '.join(f'{v * _POINTS:.2f}' for v in _PAGE)
    objects = [
        b'<< /Type /Catalog /Pages 2 0 R >>',
        b'<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
        (f'<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size}] /Contents 4 0 R '
         '/Resources << /Font << /F1 5 0 R >> >> >>').encode('ascii'),
        (f'<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n'.encode('ascii')
         + stream + b'\nendstream'),
        b'<< /Type /Font /Subtype /Type1 /BaseFont /Courier-Bold >>',
        f'<< /Title ({_TITLE}) >>'.encode('ascii'),
    ]
    data, offsets = b'%PDF-1.4\n%\xe2\xe3\xcf\xd3\n', []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += f'{number} 0 obj\n'.encode('ascii') + body + b'\nendobj\n'
    start = len(data)
    data += f'xref\n0 {len(objects) + 1}\n0000000000 65535 f \n'.encode('ascii')
    data += ''.join(f'{offset:010d} 00000 n \n' for offset in offsets).encode('ascii')
    data += (f'trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\n'
             f'startxref\n{start}\n%%EOF\n').encode('ascii')
    path.write_bytes(data)


def draw_page(dots_per_inch: float = 150.0) -> np.ndarray:
    """Return the sheet as pixels, uint8 [H, W, 3] RGB."""
    unit = dots_per_inch / 25.4

    def px(value: float) -> int:
        return round(value * unit)

    page = np.full((px(_PAGE[1]), px(_PAGE[0]), 3), 255, np.uint8)

    def centered(string: str, center: float, base: float, cap: float) -> None:
        face, thick = cv2.FONT_HERSHEY_DUPLEX, max(1, px(cap * 0.11))
        scale = cap * unit / 21
        (width, _), _ = cv2.getTextSize(string, face, scale, thick)
        cv2.putText(page, string, (px(center) - width // 2, px(base)), face, scale,
                    (25, 25, 25), thick, cv2.LINE_AA)

    centered(_TITLE, _PAGE[0] / 2, 14, 4.2)
    centered(_HINT, _PAGE[0] / 2, 20, 2.4)
    for name, x, y in _cells():
        cv2.rectangle(page, (px(x), px(y)), (px(x + _CELL[0]), px(y + _CELL[1])), (191,) * 3)
        left, top, side = places()[name]
        sign = render(CARDS[name], px(side))
        alpha = sign[..., 3:].astype(np.uint16)
        view = page[px(top):px(top) + px(side), px(left):px(left) + px(side)]
        view[:] = (view * (255 - alpha) + sign[..., :3] * alpha + 127) // 255
        centered(name, x + _CELL[0] / 2, y + _LABEL, _CAP)
    return page


def write_png(path: Path) -> None:
    """Write the sheet as PNG at 150 dots an inch."""
    if not cv2.imwrite(str(path), cv2.cvtColor(draw_page(), cv2.COLOR_RGB2BGR),
                       [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f'cannot write {path}: check that the directory exists and is writable')
