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

"""Views of an image: regions of interest and tiles, in whole pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from ros2_classify import Options
from ros2_classify.errors import OptionsError
from ros2_classify.preprocess.views import inside, outside_mask, region, tile_views, view_of

TRIANGLE = ((0.1, 0.2), (0.9, 0.3), (0.4, 0.95))
STAR = ((0.5, 0.0), (0.8, 1.0), (0.0, 0.35), (1.0, 0.35), (0.2, 1.0))


@pytest.mark.parametrize(('roi', 'size', 'view'), [
    ((0.25, 0.5, 0.75, 1.0), (640, 480), (160, 240, 320, 240)),
    ((0.1, 0.1, 0.2, 0.2), (1000, 1000), (100, 100, 100, 100)),
    ((0.101, 0.1, 0.2005, 0.2), (1000, 1000), (101, 100, 100, 100)),
    (TRIANGLE, (1000, 100), (100, 20, 800, 75)),
    ((0.999, 0.999, 1.0, 1.0), (10, 10), (9, 9, 1, 1)),
    ((), (640, 480), (0, 0, 640, 480)),
])
def test_the_box_around_a_region(roi: Any, size: Any, view: Any) -> None:
    assert region(Options(roi=roi), size) == view
    image = np.zeros((size[1], size[0], 3), np.uint8)
    assert view_of(image, Options(roi=roi)) == (view if roi else None)


@pytest.mark.parametrize('roi', [
    (0.5, 0.5), (0.5, 0.1, 0.25, 0.9), (0.0, 0.0, 1.1, 1.0), (0.1, 0.2, 0.3), 'left', [None] * 4,
    (0.1, 0.1, 0.2, 0.2, 0.3, 0.3), [[0.1, 0.1], [0.5, 0.5], [0.9]], [float('nan')] * 4])
def test_what_is_no_region_is_refused(roi: Any) -> None:
    with pytest.raises(OptionsError, match='roi is .* but must be x1, y1, x2, y2'):
        Options(roi=roi)


def test_the_ways_to_write_a_region_and_tiles() -> None:
    box = Options(roi=[0.25, 0.0, 1, 1])
    assert box.roi == ((0.25, 0.0), (1.0, 1.0)) == box.replace(roi=box.roi).roi
    assert Options(roi=[0, 0, 1, 1]).roi == ()
    flat = [0.1, 0.2, 0.9, 0.3, 0.4, 0.95]
    assert Options(roi=flat).roi == TRIANGLE == Options(roi=np.reshape(flat, (3, 2))).roi
    assert Options(tiles='3x2').tiles == (3, 2) == Options(tiles=[3, 2]).tiles
    assert hash(box) == hash(box.replace())


@pytest.mark.parametrize('tiles', ['3', '0x2', '3x', 'axb', (3,), 3, '9x9', '-1x-2', None])
def test_what_are_no_tiles_is_refused(tiles: Any) -> None:
    with pytest.raises(OptionsError, match='columns and rows, such as 3x2, at most 64'):
        Options(tiles=tiles)


@pytest.mark.parametrize('overlap', [-0.1, 0.8, True, 'a'])
def test_what_is_no_overlap_is_refused(overlap: Any) -> None:
    with pytest.raises(OptionsError, match='tile_overlap is'):
        Options(tile_overlap=overlap)


@pytest.mark.parametrize('size', [(4000, 3000), (641, 479), (17, 5)])
@pytest.mark.parametrize('tiles', ['1x1', '3x2', '5x5', '8x8', '1x4'])
@pytest.mark.parametrize('overlap', [0.0, 0.2, 0.75])
@pytest.mark.parametrize('roi', [(), (0.2, 0.1, 0.9, 0.8)])
def test_tiles_cover_the_region_and_overlap(
        size: tuple[int, int], tiles: str, overlap: float, roi: Any) -> None:
    options = Options(tiles=tiles, tile_overlap=overlap, roi=roi)
    x, y, width, height = region(options, size)
    views = tile_views(options, size)
    columns, rows = options.tiles
    assert len(views) == columns * rows == len({view[2:] for view in views}) * len(views)
    covered = np.zeros((size[1], size[0]), int)
    for left, top, across, down in views:
        assert x <= left and y <= top and left + across <= x + width and top + down <= y + height
        covered[top:top + down, left:left + across] += 1
    assert (covered[y:y + height, x:x + width] > 0).all()
    assert covered.sum() == covered[y:y + height, x:x + width].sum()
    for (left, _, across, _), (following, _, _, _) in zip(views, views[1:columns]):
        shared = left + across - following
        assert shared >= overlap * across - 1.5
    assert tile_views(options.replace(tile_whole=True), size) == [*views, (x, y, width, height)]


@pytest.mark.parametrize('roi', [TRIANGLE, STAR])
def test_points_inside_are_those_that_opencv_finds(roi: Any) -> None:
    size = (200, 100)
    corners = (np.array(roi) * size).astype(np.float32)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 200, 500), rng.uniform(0, 100, 500)
    if roi is TRIANGLE:
        expected = [cv2.pointPolygonTest(corners, (float(a), float(b)), False) > 0
                    for a, b in zip(x, y)]
    else:
        # By crossings of a ray, one by one.
        expected = []
        for a, b in zip(x, y):
            count = 0
            for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]]):
                if (y1 > b) != (y2 > b) and a < x1 + (b - y1) / (y2 - y1) * (x2 - x1):
                    count += 1
            expected.append(count % 2 == 1)
    assert inside(roi, size, x, y).tolist() == expected
    mask = outside_mask(roi, size)
    for column, row in rng.integers(0, (200, 100), (50, 2)):
        one = inside(roi, size, np.array([column + 0.5]), np.array([row + 0.5]))
        assert mask[row, column] != one[0]
