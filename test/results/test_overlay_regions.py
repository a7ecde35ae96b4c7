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

"""Outlines of regions, tiles, lines and zones, against places that follow from their numbers."""

import numpy as np
import pytest
from ros2_classify.results.overlay_regions import draw_regions
from ros2_classify.tracking.places import parse_lines, parse_zones

SIZE = (240, 320)


def drawn(**what):
    canvas = np.full((*SIZE, 3), 128, np.uint8)
    draw_regions(canvas, **what)
    return (canvas != 128).any(axis=2)


def near(pixels, x, y):
    return pixels[max(0, y - 2):y + 3, max(0, x - 2):x + 3].any()


def test_nothing_set_is_nothing_drawn():
    assert not drawn().any()


def test_a_box_and_a_polygon():
    box = drawn(roi=((0.25, 0.25), (0.75, 0.5)))
    assert all(near(box, x, y) for x, y in ((80, 60), (240, 60), (240, 120), (80, 120), (160, 60)))
    assert not box[66:114, 90:230].any() and not box[:50].any() and not box[130:].any()
    triangle = drawn(roi=((0.5, 0.25), (0.75, 0.75), (0.25, 0.75)))
    assert all(near(triangle, x, y) for x, y in ((160, 60), (200, 120), (120, 120), (160, 180)))
    assert not near(triangle, 90, 70) and not near(triangle, 160, 140)
    # What is at the edge of the image shows, too.
    whole = drawn(roi=((0.0, 0.0), (1.0, 1.0)))
    assert whole[0].all() and whole[-1].all() and whole[:, 0].all() and whole[:, -1].all()


def test_tiles():
    pixels = drawn(tiles=[(0, 0, 176, 240), (144, 0, 176, 240)])
    assert pixels[:, 175].all() and pixels[:, 144].all() and not pixels[10:230, 10:140].any()


@pytest.mark.parametrize('text', ['', '3 left, 5 right'])
def test_lines_and_zones_have_their_names(text):
    line = drawn(lines=parse_lines(['door=0.5,0.1,0.5,0.9']), said={'door': text})
    assert all(near(line, 160, y) for y in (24, 120, 216)) and not line[:, :150].any()
    # The name is to the right of the first point.
    assert line[25:45, 164:190].any()
    assert line[25:45, 215:280].any() == bool(text)
    zone = drawn(zones=parse_zones(['desk=0.1,0.5,0.9,0.5,0.5,1@3']), said={'desk': text})
    assert near(zone, 32, 120) and near(zone, 288, 120) and near(zone, 160, 238)
    # A name that has no room beside it is moved into the image.
    corner = drawn(lines=parse_lines(['the door=1,1,0.9,0.9']))
    assert corner[225:, 200:280].any()
    long = drawn(lines=parse_lines([f'{"door" * 20}=1,1,0.9,0.9']))
    assert not long[:, :280].any()
