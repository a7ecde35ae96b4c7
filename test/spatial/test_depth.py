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

"""Positions from depth, against spheres before a wall whose rays are cast one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ros2_classify import CameraModel, InputError, locate
from ros2_classify.results.masks import InstanceMasks
from spatial_reference import camera_info, found, ray_cast

CAMERA = CameraModel.from_info(camera_info())
SPHERES = [((0.3, -0.1, 2.0), 0.2), ((-0.8, 0.2, 3.5), 0.4)]
WALL = 6.0
DEPTH = ray_cast(SPHERES, WALL)


def box_of(center: tuple[float, float, float], radius: float) -> list[float]:
    """Return the box of a sphere's outline, from its pixels."""
    rows, columns = np.nonzero(ray_cast([(center, radius)], np.inf) < np.inf)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


BOXES = [box_of(*sphere) for sphere in SPHERES]


def millimetres(depth: np.ndarray) -> np.ndarray:
    return np.nan_to_num(depth * 1000, nan=0.0).round().astype(np.uint16)


@pytest.mark.parametrize('convert', [np.array, millimetres])
def test_spheres(convert):
    where = locate(found(BOXES), CAMERA, convert(DEPTH))
    assert where.missing == (None, None)
    for row, (center, radius) in enumerate(SPHERES):
        surface = np.array(center) * (1 - radius / np.linalg.norm(center))
        # The visible half: the 25th percentile is at most half a radius behind its front.
        assert 0 <= where.points[row, 2] - surface[2] < radius / 2
        np.testing.assert_allclose(
            where.points[row, :2] / where.points[row, 2], np.array(center[:2]) / center[2],
            atol=0.01)
        np.testing.assert_allclose(where.sizes[row, :2], 2 * radius, rtol=0.15)
        assert where.distances[row] == pytest.approx(np.linalg.norm(where.points[row]))


def test_masks_have_their_median():
    """The mask of the sphere is exact, so the wall at the corners of its box counts nowhere."""
    masks = []
    for box, (center, radius) in zip(BOXES, SPHERES):
        x1, y1, x2, y2 = box
        alone = ray_cast([(center, radius)], np.inf)[y1:y2, x1:x2] < np.inf
        masks.append(alone)
    height, width = (max(mask.shape[axis] for mask in masks) for axis in (0, 1))
    values = np.zeros((2, height, width), np.float32)
    frames = []
    for row, (mask, box) in enumerate(zip(masks, BOXES)):
        values[row, :mask.shape[0], :mask.shape[1]] = mask
        frames.append([box[0], box[1], box[0] + width, box[1] + height])
    detections = found(BOXES, masks=InstanceMasks(values, np.array(frames, np.float32)))
    where = locate(detections, CAMERA, DEPTH)
    for row, (mask, box) in enumerate(zip(masks, BOXES)):
        x1, y1, x2, y2 = box
        expected = np.median(DEPTH[y1:y2, x1:x2][mask])
        assert where.points[row, 2] == pytest.approx(expected, rel=0.005)
        assert where.sizes[row, 2] < 2 * SPHERES[row][1]


def plain(boxes, depth):
    """Return depth, front, back and valid share of each box, pixel by pixel."""
    rows = []
    for x1, y1, x2, y2 in boxes:
        left, top = int(x1), int(y1)
        right, bottom = max(left + 1, math.ceil(x2)), max(top + 1, math.ceil(y2))
        step = next(step for step in range(1, 999) if (
            math.ceil((right - left) / step) * math.ceil((bottom - top) / step) <= 1024))
        values, count = [], 0
        for y in range(top, bottom, step):
            for x in range(left, right, step):
                value = float(depth[y, x]) / (1000 if depth.dtype == np.uint16 else 1)
                count += 1
                if 0 < value < math.inf:
                    values.append(value)
        values.sort()
        rows.append([*(values[round(part * (len(values) - 1))] if values else math.nan
                       for part in (0.25, 0.05, 0.95)), len(values) / count])
    return np.array(rows)


@pytest.mark.parametrize('convert', [np.array, millimetres])
def test_as_a_plain_program_measures(convert):
    rng = np.random.default_rng(2)
    for trial in range(5):
        depth = rng.uniform(0.5, 8.0, (480, 640)).astype(np.float32)
        depth[rng.random(depth.shape) < (0.0, 0.3, 0.6, 0.97, 0.995)[trial]] = np.nan
        depth = convert(depth)
        corners = rng.uniform((0, 0), (500, 400), (12, 2))
        boxes = np.hstack([corners, corners + rng.uniform(1, 140, (12, 2))])
        boxes = np.float32(np.minimum(boxes, (640, 480, 640, 480)))
        where, expected = locate(found(boxes), CAMERA, depth), plain(boxes.tolist(), depth)
        known = expected[:, 3] >= 0.02
        np.testing.assert_array_equal(where.known, known)
        np.testing.assert_allclose(where.points[known, 2], expected[known, 0], rtol=1e-6)
        assert np.isnan(where.points[~known]).all() and np.isnan(where.sizes[~known]).all()
        across = (boxes[:, 2:] - boxes[:, :2]) * expected[:, :1] / (
            CAMERA.matrix[0, 0], CAMERA.matrix[1, 1])
        np.testing.assert_allclose(where.sizes[known, :2], across[known], rtol=1e-5)
        thick = np.minimum(expected[:, 2] - expected[:, 1], across.max(axis=1))
        np.testing.assert_allclose(where.sizes[known, 2], thick[known], rtol=1e-4, atol=1e-6)
        for row in np.flatnonzero(~known):
            assert where.missing[row].number == pytest.approx(1 - expected[row, 3])


def test_holes_occluder_and_noise_are_within_three_percent():
    rng = np.random.default_rng(1)
    for _ in range(40):
        view = np.full((480, 640), rng.uniform(4, 8))
        depth = rng.uniform(1, 3)
        view[100:300, 200:400] = depth
        view[100:300, 290:300] = depth * 0.5  # a thin pole in front
        view += rng.normal(0, 0.003, view.shape)
        view[rng.random(view.shape) < rng.uniform(0, 0.5)] = np.nan
        where = locate(found([[195, 95, 405, 305]]), CAMERA, view.astype(np.float32))
        assert where.points[0, 2] == pytest.approx(depth, rel=0.03)


@pytest.mark.parametrize('hole', [np.nan, 0.0, np.inf, -1.0])
def test_hardly_any_valid_pixel_is_no_result(hole):
    depth = np.full((480, 640), hole, np.float32)
    depth[200, 200:219] = 2.0  # 19 of 1000
    where = locate(found([[200, 200, 220, 250]]), CAMERA, depth)
    assert np.isnan(where.points).all() and not where.known.any()
    assert str(where.missing[0]) == '98% of its pixels in the depth image are invalid'
    depth[200:202, 200:220] = 2.0  # 40 of 1000
    assert locate(found([[200, 200, 220, 250]]), CAMERA, depth).points[0, 2] == 2.0


def test_a_tilted_pixel_grid_and_no_object():
    where = locate(found([]), CAMERA, DEPTH)
    assert len(where) == 0
    # A box without an inside is one pixel.
    assert locate(found([[10, 10, 10, 10]]), CAMERA, DEPTH).known.all()
    assert locate(found([[640, 480, 640, 480]]), CAMERA, DEPTH).missing[0].key == 'invalid'


def test_no_ray_is_no_result():
    bent = CameraModel.from_info(camera_info(
        k=[300, 0, 319.5, 0, 300, 239.5, 0, 0, 1], d=[-0.3, 0, 0, 0]))
    where = locate(found([[600, 10, 640, 50]]), bent, DEPTH)
    assert where.missing[0].key == 'no_ray' and np.isnan(where.points).all()


@pytest.mark.parametrize('depth, words', [
    (np.zeros((240, 320), np.uint16), 'registered to the image'),
    (np.zeros((480, 640), np.float64), 'depth is float64'),
    (np.zeros((480, 640, 1), np.uint16), 'registered'),
])
def test_refused_in_words(depth, words):
    with pytest.raises(InputError, match=words):
        locate(found(BOXES), CAMERA, depth)


def test_a_camera_of_another_size_is_refused():
    with pytest.raises(InputError, match='1280x720 pixels, but the image has 640x480'):
        locate(found(BOXES), CameraModel.from_info(camera_info(1280, 720)), DEPTH)


def test_the_image_of_the_page_shows_the_distances():
    import positions_image

    image, distances = positions_image.make()
    fronts = [np.linalg.norm(center) - radius for center, radius in positions_image.BALLS]
    # The nearer quarter of each box: at most half a radius behind the front.
    assert all(0 <= found - front < 0.25 for found, front in zip(distances, fronts))
    assert image.shape == (480, 640, 3)
