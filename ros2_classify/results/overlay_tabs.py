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
Draw a tab with label and score for each box, where it hides neither tabs nor objects.

A tab moves around its box, then gets smaller text, then loses its score. If it would still hide
objects, it is skipped, and one line counts what has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.results.detections import Detections
from ros2_classify.results.overlay_colors import Color, text_color
from ros2_classify.results.overlay_text import fit, Image, printable, Style, text_width, write

# The share of the image, and of another tab, that tabs may cover; the first few always show.
_MAX_COVER = 0.25
_MAX_SHARED = 0.1
# A smaller tab is better than one that shares more.
_FREE = 0.02
_MIN_TABS = 3
# The share of an object that a tab may hide, and of the only one.
_MAX_HIDDEN = 0.25
# After this number of tabs in a row without room, the rest of a crowd is counted.
_MAX_FAILED = 12
# A box whose shorter side is less than this many tabs high gets smaller text.
_SMALL = 2.5
_DARK: Color = (24, 24, 24)
_LIGHT: Color = (250, 250, 250)
Floats = NDArray[np.float32]


class _Place(NamedTuple):
    left: int
    top: int
    size: tuple[int, int]
    shared: float  # of the tab, with other tabs
    hidden: float  # of the object that it hides most

    @property
    def free(self) -> bool:
        return self.shared <= _FREE and self.hidden <= _MAX_HIDDEN

    @property
    def fits(self) -> bool:
        return self.shared <= _MAX_SHARED and self.hidden <= _MAX_HIDDEN


def draw_tabs(
    canvas: Image, result: Detections, boxes: list[list[int]], colors: Sequence[Color],
    style: Style, inset: int,
) -> None:
    """Draw the tabs, best first."""
    height, width = canvas.shape[:2]
    room = _MAX_COVER * height * width
    small = style.smaller()
    layout = _Layout(boxes, (width, height), inset)
    names = ['' if not name else f'{name} ' for name in (
        [''] * len(result) if result.track_ids is None else result.track_ids.tolist())]
    labels, ids = result.labels.tolist(), result.class_ids.tolist()
    scores, distances = result.scores.tolist(), _distances(result)
    said = result.said if result.attributes else None
    failed, without = 0, []
    for row, (box, label) in enumerate(zip(boxes, labels)):
        if failed >= _MAX_FAILED:
            without.extend(labels[row:])
            break
        # A second model's class stays as long as there is room for the score.
        number = f' {scores[row]:.2f}' + (''.join(
            f' | {printable(name, number)} {sure:.2f}'
            for _, name, sure, number in said(row)) if said else '')
        suffixes = tuple(dict.fromkeys((number + distances[row], distances[row], '')))
        shown = names[row] + printable(label, ids[row])
        tall = style.capital + 2 * style.pad
        styles = (small,) if min(box[2] - box[0], box[3] - box[1]) < _SMALL * tall or (
            small == style) else (style, small)
        texts: list[tuple[str, Style]] = []
        which, place = layout.place(row, _sizes(shown, styles, suffixes, width, texts))
        (text, chosen), size = texts[which], place.size
        lone = len(boxes) <= _MIN_TABS and place.shared <= _MAX_SHARED
        if not (place.fits or lone) or (
                size[0] * size[1] > room and len(layout) >= _MIN_TABS):
            failed += 1
            without.append(label)
            continue
        failed = 0
        room -= size[0] * size[1]
        left, top = place.left, place.top
        layout.add(left, top, size)
        color = colors[row]
        cv2.rectangle(canvas, (left, top), (left + size[0] - 1, top + size[1] - 1), color,
                      cv2.FILLED)
        write(canvas, text, left + chosen.pad, top + chosen.pad + chosen.capital,
              text_color(color), chosen)
    if without:
        _count(canvas, without, layout, small)


def _sizes(
    shown: str, styles: tuple[Style, ...], suffixes: tuple[str, ...], width: int,
    texts: list[tuple[str, Style]],
) -> Iterator[tuple[int, int]]:
    """Yield the sizes that a tab may have, the best first; add what each would say to texts."""
    for style in styles:
        for suffix in suffixes:
            limit = width - 2 * style.pad - (text_width(suffix, style) if suffix else 0)
            text = fit(shown, limit, style) + suffix
            texts.append((text, style))
            yield text_width(text, style) + 2 * style.pad, style.capital + 2 * style.pad


def _count(canvas: Image, without: list[str], layout: _Layout, style: Style) -> None:
    """Write how many objects of which classes have no tab, where it hides least."""
    height, width = canvas.shape[:2]
    counted = Counter(without).most_common()
    for shown in range(min(3, len(counted)), -1, -1):
        parts = [f'{count} {printable(label, 0)}' for label, count in counted[:shown]]
        rest = sum(count for _, count in counted[shown:])
        parts += [f'{rest} {"more" if parts else "without label"}'] if rest else []
        text = '+ ' + ', '.join(parts)
        size = (text_width(text, style) + 2 * style.pad, style.capital + 2 * style.pad)
        if size[0] <= width and size[1] <= height / 4:
            break
    else:
        return
    left, top = layout.least(
        [0, width - size[0], (width - size[0]) // 2], [0, height - size[1]], size)
    glass = canvas[top:top + size[1], left:left + size[0]]
    glass[:] = cv2.addWeighted(glass, 0.35, np.full_like(glass, _DARK), 0.65, 0.0)
    write(canvas, text, left + style.pad, top + style.pad + style.capital, _LIGHT, style)


def _distances(result: Detections) -> list[str]:
    """Return the part of each tab that says how far away the object is; empty if not known."""
    if result.positions is None:
        return [''] * len(result)
    metres = np.linalg.norm(result.positions, axis=1).tolist()
    return ['' if each != each else f' {each:.1f} m' for each in metres]


class _Layout:
    """The objects of an image and the tabs on it."""

    def __init__(self, boxes: list[list[int]], image: tuple[int, int], inset: int) -> None:
        self._image, self._inset, self._rows = image, inset, boxes
        # The boxes, then the tabs: for a look at one place, and for all at once.
        self._taken = list(boxes)
        self._all = np.empty((2 * len(boxes), 4), np.float32)
        self._all[:len(boxes)] = np.array(boxes, np.float32).reshape(-1, 4)
        self._end = len(boxes)
        self._areas = np.maximum(np.prod(
            self._all[:len(boxes), 2:] - self._all[:len(boxes), :2], axis=1), 1.0)

    def __len__(self) -> int:
        """Return the number of tabs."""
        return self._end - len(self._rows)

    def add(self, left: int, top: int, size: tuple[int, int]) -> None:
        """Remember a tab."""
        self._taken.append([left, top, left + size[0], top + size[1]])
        self._all[self._end] = self._taken[-1]
        self._end += 1

    def place(self, row: int, sizes: Iterator[tuple[int, int]]) -> tuple[int, _Place]:
        """Return the first size of a box's tab that fits, or the last, and its best place."""
        # The first fits as a rule.
        first = next(sizes)
        places = [self._above(row, first) or self._place(row, [first])[0]]
        if not places[0].free:
            rest = list(sizes)
            places += self._place(row, rest) if rest else []
        index = next((i for i, each in enumerate(places) if each.free), -1)
        if index < 0:
            index = next((i for i, each in enumerate(places) if each.fits), len(places) - 1)
        return index, places[index]

    def _above(self, row: int, size: tuple[int, int]) -> _Place | None:
        """Return the preferred place if nothing is there: nothing costs less."""
        left = max(min(self._rows[row][0] - self._inset, self._image[0] - size[0]), 0)
        bottom = self._rows[row][1]
        right, top = left + size[0], bottom - size[1]
        if top < 0 or bottom > self._image[1]:
            return None
        for x1, y1, x2, y2 in self._taken:
            if x1 < right and left < x2 and y1 < bottom and top < y2:
                return None
        return _Place(left, top, size, 0.0, 0.0)

    def _place(self, row: int, sizes: list[tuple[int, int]]) -> list[_Place]:
        inset, (right, bottom) = self._inset, self._image
        x1, y1, x2, y2 = self._rows[row]
        x1, y1, x2, y2 = x1 - inset, y1 - inset, x2 + inset, y2 + inset
        lefts, tops, costs = [], [], []
        for width, height in sizes:
            # In order of preference: above, inside at the top, below, inside at the bottom, each
            # at the left and at the right.
            lefts.append([max(min(x, right - width), 0) for x in (x1, x2 + 1 - width)])
            wanted = (y1 + inset - height, y1, y2 - inset, y2 - height)
            tops.append([max(min(y, bottom - height), 0) for y in wanted])
            # Moving along an edge costs nothing, to the other side of the box a little.
            moved = [abs(top - y) / height + 0.02 * i
                     for i, (top, y) in enumerate(zip(tops[-1], wanted))]
            costs.append([[cost, cost + 0.01] for cost in moved])
        shared, hidden = self._covered(lefts, tops, sizes)
        cost = (np.array(costs, np.float32) + shared * 4 + hidden * 4).reshape(len(sizes), 8)
        found = []
        for i, best in enumerate(cost.argmin(axis=1).tolist()):
            y, x = divmod(best, 2)
            found.append(_Place(lefts[i][x], tops[i][y], sizes[i], float(shared[i, y, x]),
                                float(hidden[i, y, x])))
        return found

    def least(self, left: list[int], top: list[int], size: tuple[int, int]) -> tuple[int, int]:
        """Return the place that hides the least."""
        shared, hidden = self._covered([left], [top], [size])
        row, column = divmod(int((shared * 4 + hidden).argmin()), len(left))
        return left[column], top[row]

    def _covered(
        self, lefts: list[list[int]], tops: list[list[int]], sizes: list[tuple[int, int]],
    ) -> tuple[Floats, Floats]:
        """
        Return which share of a tab is on others, and that of the object it hides most.

        For each size, each top and each left.
        """
        count, others = len(self._rows), self._all[:self._end]
        left, top = np.array(lefts, np.float32), np.array(tops, np.float32)
        size = np.array(sizes, np.float32)
        wide = np.minimum((left + size[:, :1])[:, :, np.newaxis], others[:, 2])
        wide -= np.maximum(left[:, :, np.newaxis], others[:, 0])
        np.maximum(wide, 0, out=wide)
        high = np.minimum((top + size[:, 1:])[:, :, np.newaxis], others[:, 3])
        high -= np.maximum(top[:, :, np.newaxis], others[:, 1])
        np.maximum(high, 0, out=high)
        shared = high[:, :, count:] @ wide[:, :, count:].transpose(0, 2, 1)
        shared /= (size[:, 0] * size[:, 1])[:, np.newaxis, np.newaxis]
        parts = high[:, :, np.newaxis, :count] / self._areas
        hidden = (parts * wide[:, np.newaxis, :, :count]).max(axis=3)
        return shared, hidden
