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

"""The layout of RViz2's window for several images: what Qt saves of its main window."""

from __future__ import annotations

import math
import struct

# What the marks in Qt's format stand for.
_DOCKS, _SEQUENCE, _DOCK = b'\xfd', b'\xfc', b'\xfb'
_BESIDE, _BELOW = 1, 2
# Pixels of the window around the docks: the 3D view, which is empty; title, tools and status.
_ACROSS, _DOWN = 40, 90
_LEAST, _MOST = 22, 0xffffff


def layout(images: list[str], width: int, height: int) -> str:
    """Return the layout with a grid of these images, above the list of displays."""
    columns = math.ceil(math.sqrt(len(images)))
    rows = [images[start:start + columns] for start in range(0, len(images), columns)]
    across, down = width - _ACROSS, height - _DOWN
    # The list takes a quarter.
    high = down * 3 // 4 // len(rows)
    parts = []
    for index, row in enumerate(rows):
        wide = across // len(row)
        docks = [_dock(name, number * wide, wide) for number, name in enumerate(row)]
        parts.append(_SEQUENCE + _span(index * high, high) + _sequence(_BESIDE, docks))
    used = high * len(rows)
    parts.append(_dock('Displays', used, down - used))
    # Version; one area, on the left; the middle; the corners; no toolbars.
    return b''.join((
        struct.pack('>2i', 255, 0), _DOCKS, struct.pack('>4i', 1, 0, across, down),
        _sequence(_BELOW, parts), struct.pack('>6i', _ACROSS, down, 4, 4, 8, 8),
        _SEQUENCE, struct.pack('>i', 0))).hex()


def _sequence(orientation: int, parts: list[bytes]) -> bytes:
    return _SEQUENCE + struct.pack('>Bi', orientation, len(parts)) + b''.join(parts)


def _dock(name: str, start: int, size: int) -> bytes:
    text = name.encode('utf-16-be')
    return _DOCK + struct.pack('>i', len(text)) + text + b'\x01' + _span(start, size)


def _span(start: int, size: int) -> bytes:
    """Return a place along its row or column."""
    return struct.pack('>4i', start, size, _LEAST, _MOST)
