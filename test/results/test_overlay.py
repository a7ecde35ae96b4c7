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

"""Results are drawn inside the image, in stable colours, and never into the caller's array."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ros2_classify.errors import InputError
from ros2_classify.results import overlay_tabs
from ros2_classify.results.overlay import draw
from ros2_classify.results.overlay_colors import color_of, text_color
from ros2_classify.results.overlay_text import to_ascii
from ros2_classify.results.results import Classification, Detections, Timing

TIMING = Timing(0, 0, 0)
SIZES = [(160, 120), (640, 480), (480, 640), (1920, 1080), (3840, 2160)]


def detections(boxes: Any, size: tuple[int, int], labels: Any = None, ids: Any = None) -> Any:
    """Return boxes, best first."""
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(ids or [0] * count, np.int64),
        np.linspace(0.9, 0.5, count).astype(np.float32),
        np.array(labels or ['thing'] * count, object), size, TIMING)


def classes(labels: Any, size: tuple[int, int]) -> Any:
    """Return classes, best first."""
    return Classification(
        np.arange(len(labels)), np.linspace(0.9, 0.1, len(labels)).astype(np.float32),
        np.array(labels, object), size, TIMING)


def pixels(size: tuple[int, int], level: int = 90) -> Any:
    """Return a grey image."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def changed(before: Any, after: Any) -> tuple[int, int, int, int]:
    """Return the box around all pixels that differ."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)


@pytest.mark.parametrize('size', SIZES)
def test_a_box_in_its_place_and_colour(size: tuple[int, int]) -> None:
    width, height = size
    box = (width * 0.3, height * 0.4, width * 0.7, height * 0.8)
    image = pixels(size)
    drawn = draw(image, detections([box], size, ids=[5]))
    color = (drawn == color_of(5)).all(axis=2)
    x1, y1, x2, y2 = (round(edge) for edge in box)
    middle = ((x1 + x2) // 2, (y1 + y2) // 2)
    reach = max(3, min(size) // 150)
    # Each side's line is within reach of the box's edge, and the middle is untouched.
    assert color[middle[1], x1 - 1:x1 + reach].any() and color[middle[1], x2 - reach:x2 + 1].any()
    assert color[y2 - reach:y2 + 1, middle[0]].any()
    assert (drawn[middle[1], middle[0]] == 90).all()
    assert (image == 90).all()


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('where', itertools.product((0.0, 0.97), (0.0, 0.97)))
def test_tabs_stay_inside(size: tuple[int, int], where: tuple[float, float]) -> None:
    """A small box in each corner: its tab shows all of its width."""
    x, y = size[0] * where[0], size[1] * where[1]
    box = (x, y, x + size[0] * 0.03, y + size[1] * 0.03)
    drawn = draw(pixels(size), detections([box], size, ['traffic light'], [3]))
    free = draw(pixels(size), detections(
        [(size[0] * 0.3, size[1] * 0.5, size[0] * 0.9, size[1] * 0.9)], size,
        ['traffic light'], [3]))
    # Dark letters on the tab: as many in the corner as where there is room.
    dark = [int((one.max(axis=2) < 60).sum()) for one in (drawn, free)]
    assert dark[0] > 0
    rows = np.nonzero((drawn == color_of(3)).all(axis=2).any(axis=0))[0]
    assert rows.max() - rows.min() > size[0] * 0.03 * 1.5
    assert changed(pixels(size), drawn)[2] <= size[0]


def test_tabs_keep_off_each_other() -> None:
    """Three boxes on one object: all three labels can be read."""
    size = (640, 480)
    boxes = [(200, 200, 400, 400), (202, 201, 401, 399), (199, 198, 398, 402)]
    drawn = draw(pixels(size), detections(boxes, size, ['one', 'two', 'three'], [1, 2, 3]))
    for class_id in (1, 2, 3):
        columns = (drawn == color_of(class_id)).all(axis=2)
        # A tab is a run of its colour many pixels high.
        assert (columns.sum(axis=0) > 8).any(), class_id


def test_a_crowd_stays_visible() -> None:
    """Hundreds of boxes on a thumbnail: the tabs leave most of it to be seen."""
    size = (160, 120)
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100, (300, 2))
    boxes = np.concatenate((corner, corner + 20), axis=1)
    drawn = draw(pixels(size), detections(boxes, size, ids=list(range(300))))
    lone = draw(pixels(size), detections([], size))
    assert (lone == 90).all()
    # Letters are dark or light; the first few tabs are always there.
    assert ((drawn.max(axis=2) < 40) | (drawn.min(axis=2) > 240)).sum() > 50


@pytest.mark.parametrize('size', [*SIZES, (64, 48), (20, 16), (8, 6), (1, 1), (3000, 4), (5, 900)])
def test_any_size_of_image(size: tuple[int, int]) -> None:
    width, height = size
    boxes = [(0, 0, width, height), (width * 0.2, height * 0.2, width * 0.21, height * 0.21)]
    draw(pixels(size), detections(boxes, size, ['a', 'x' * 200]))
    draw(pixels(size), classes(['hummingbird', 'x' * 200, 'jay'], size))


@pytest.mark.parametrize('size', SIZES)
def test_the_panel(size: tuple[int, int]) -> None:
    image = pixels(size, 128)
    result = classes(['hummingbird', 'jacamar', 'jay', 'bee eater', 'bittern'], size)
    drawn = draw(image, result)
    x1, y1, x2, y2 = changed(image, drawn)
    assert x1 > 0 and y1 > 0
    assert x2 < size[0] and y2 < size[1]
    # Translucent: lighter over a light image.
    darker = draw(pixels(size, 20), result)
    assert drawn[y1 + 1, x1 + 1].mean() > darker[y1 + 1, x1 + 1].mean()
    # Bars as long as the scores are high.
    bars = [int((drawn == color_of(class_id)).all(axis=2).any(axis=0).sum())
            for class_id in range(5)]
    assert bars[0] > bars[2] > bars[4] > 0


def test_nothing_to_draw() -> None:
    assert (draw(pixels((64, 48)), classes([], (64, 48))) == 90).all()


def test_in_place() -> None:
    image = pixels((64, 48))
    assert draw(image, detections([(5, 5, 40, 40)], (64, 48)), copy=False) is image
    assert (image != 90).any()


def test_the_better_box_is_on_top() -> None:
    size = (640, 480)
    drawn = draw(pixels(size), detections(
        [(200, 100, 400, 300), (200, 100, 600, 300)], size, ids=[3, 8]))
    # Both share their left edge.
    edge = (drawn[150:250, 195:206] == color_of(3)).all(axis=2)
    assert edge.any(axis=1).all()
    assert not (drawn[150:250, 195:206] == color_of(8)).all(axis=2).any()


def test_a_read_only_image() -> None:
    image = pixels((64, 48))
    image.flags.writeable = False
    assert (draw(image, detections([(5, 5, 40, 40)], (64, 48))) != 90).any()
    with pytest.raises(InputError, match='read-only'):
        draw(image, detections([], (64, 48)), copy=False)


@pytest.mark.parametrize(('image', 'word'), [
    (np.zeros((4, 4), np.uint8), 'uint8 (4, 4)'), (np.zeros((4, 4, 4), np.uint8), '(4, 4, 4)'),
    (np.zeros((4, 4, 3)), 'float64'), (None, 'NoneType'), (np.zeros((0, 4, 3), np.uint8), '(0,')])
def test_what_is_no_image(image: Any, word: str) -> None:
    with pytest.raises(InputError) as caught:
        draw(image, detections([], (4, 4)))
    assert word in str(caught.value) and 'BGR' in str(caught.value)


@pytest.mark.parametrize('result', [None, [], {'boxes': []}])
def test_what_is_no_result(result: Any) -> None:
    with pytest.raises(InputError, match=f'draw is {type(result).__name__} but must be'):
        draw(pixels((64, 48)), result)


def test_colours_are_stable_and_far_apart() -> None:
    assert color_of(7) == color_of(7)
    assert all(0 <= channel <= 255 for class_id in range(-5, 2000)
               for channel in color_of(class_id))
    colors = np.array([color_of(class_id) for class_id in range(12)], float)
    distances = np.linalg.norm(colors[:, np.newaxis] - colors, axis=2)
    assert distances[~np.eye(12, dtype=bool)].min() > 40


def test_text_can_be_read_on_every_colour() -> None:
    """WCAG asks for a contrast of 4.5 for text; black or white always reaches it."""
    def luminance(color: Any) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                  for c in (channel / 255 for channel in color)]
        return 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]

    for class_id in range(500):
        pair = sorted((luminance(color_of(class_id)),
                       luminance(text_color(color_of(class_id)))))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) > 4.5


@pytest.mark.parametrize(('label', 'expected'), [
    ('person', 'person'), ('Bär', 'Bar'), ('Straße', 'Strasse'), ('smørrebrød', 'smorrebrod'),
    ('Łódź', 'Lodz'), ('café 90°', 'cafe 90 deg'), ('ﬁsh', 'fish'), ('tab\there', 'tab here'),
    ('犬 dog', '? dog'), ('犬', '#17'), ('кот', '#17'), ('', ''), ('???', '???'), ('a\x00b', 'a?b')])
def test_labels_in_ascii(label: str, expected: str) -> None:
    assert to_ascii(label, 17) == expected


def test_a_known_distance_is_in_the_tab_of_its_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distance is that of the point, not its z, and nothing is drawn where it is unknown."""
    from dataclasses import replace

    from ros2_classify.results import overlay_tabs

    written: list[str] = []
    monkeypatch.setattr(
        overlay_tabs, 'write', lambda canvas, text, *rest: written.append(text))
    found = detections([[50, 50, 150, 150], [300, 200, 420, 300]], (640, 480))
    draw(pixels((640, 480)), replace(
        found, positions=np.array([[1.2, 0.0, 1.6], [np.nan] * 3])))
    assert written == ['thing 0.90 2.0 m', 'thing 0.50']


def hidden(before: Any, after: Any, box: Any, line: int = 3) -> float:
    """Return which share of the inside of a box was drawn over."""
    x1, y1, x2, y2 = (round(edge) for edge in box)
    inside = (before != after).any(axis=2)[y1 + line:y2 - line, x1 + line:x2 - line]
    return float(inside.mean())


@pytest.mark.parametrize('count', [12, 60, 200])
def test_tabs_hide_no_small_object(count: int) -> None:
    """Apart from other boxes' lines, three quarters of each object stay as they are."""
    size = (640, 480)
    columns = 20
    boxes = [(4 + 31 * (i % columns), 40 + 40 * (i // columns), 28 + 31 * (i % columns),
              66 + 40 * (i // columns)) for i in range(count)]
    image = pixels(size)
    drawn = draw(image, detections(boxes, size, ['traffic light'] * count, [0] * count))
    assert max(hidden(image, drawn, box) for box in boxes) <= 0.34
    # Most of the first dozen have room; what has none is counted in a corner.
    assert (drawn == color_of(0)).all(axis=2).sum() > 5000


def test_a_big_box_beside_a_small_one() -> None:
    """The tab of the big one does not go over the small one inside of it."""
    size = (640, 480)
    image = pixels(size)
    boxes = [(50, 0, 600, 480), (52, 2, 92, 22)]
    drawn = draw(image, detections(boxes, size, ['person', 'face'], [1, 2]))
    assert hidden(image, drawn, boxes[1], 2) <= 0.35


def test_small_objects_have_smaller_text() -> None:
    size = (640, 480)
    heights = []
    for box in ((200, 200, 400, 400), (200, 200, 225, 225)):
        drawn = draw(pixels(size), detections([box], size, ids=[3]))
        tab = (drawn == color_of(3)).all(axis=2)[:200]
        heights.append(int(tab.any(axis=1).sum()))
    assert 8 < heights[1] < heights[0] - 3


@pytest.mark.parametrize('count', [1, 4, 12, 40])
@pytest.mark.parametrize('seed', range(5))
def test_the_quick_look_at_the_preferred_place_finds_what_the_search_finds(
    monkeypatch: pytest.MonkeyPatch, seed: int, count: int,
) -> None:
    """A tab goes there without a search if nothing is there; the image is the same."""
    random, size = np.random.default_rng(seed), (640, 480)
    corners = random.uniform(0, 1, (count, 2)) * size
    boxes = np.concatenate((corners, np.minimum(
        corners + random.uniform(0.02, 0.3, (count, 2)) * size, size)), axis=1)
    result = detections(boxes, size, ids=list(range(count)))
    quick = draw(pixels(size), result)
    monkeypatch.setattr(overlay_tabs._Layout, '_above', lambda *_: None)
    assert (draw(pixels(size), result) == quick).all()
