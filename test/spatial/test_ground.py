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

"""Positions on the ground: a camera at 1 m, 30 degrees down, sees upright boards."""

from __future__ import annotations

import numpy as np
import pytest
from ros2_classify import CameraModel, InputError, locate_on_ground
from spatial_reference import camera_info, found, looking_down, project

POSE = looking_down(1.0, 30.0)
CAMERA = CameraModel.from_info(camera_info())


def board(x: float, y: float, width: float = 0.3, height: float = 0.2) -> list[float]:
    """Return the box of an upright board that faces the camera on the ground."""
    across = np.array([-y, x, 0.0]) / np.hypot(x, y) * width / 2
    foot = np.array([x, y, 0.0])
    low = project(np.stack([foot - across, foot, foot + across]), POSE)
    top = project(foot + (0, 0, height), POSE)[0]
    return [low[:, 0].min(), top[1], low[:, 0].max(), low[1, 1]]


@pytest.mark.parametrize('x, y', [(1.2, 0.0), (2.0, 0.5), (3.0, -1.0), (5.0, 0.0)])
def test_boards_on_the_ground(x, y):
    where = locate_on_ground(found([board(x, y)]), CAMERA, POSE)
    assert where.missing == (None,)
    np.testing.assert_allclose(where.points[0], (x, y, 0), rtol=0.01, atol=0.01)
    assert where.distances[0] == pytest.approx(np.sqrt(x * x + y * y + 1), rel=0.01)
    assert where.headings[0] == pytest.approx(np.arctan2(y, x), abs=0.01)
    np.testing.assert_allclose(where.sizes[0, 1:], (0.3, 0.2), rtol=0.05)


def test_straight_ahead_is_trigonometry():
    """The middle of the image is 30 degrees down: 1 m / tan 30 away."""
    where = locate_on_ground(found([[300, 200, 340, 240]]), CAMERA, POSE)
    np.testing.assert_allclose(where.points[0], (np.sqrt(3), 0, 0), atol=1e-9)


def test_the_covariance_is_that_of_moved_boxes():
    """Two pixels of noise at the box's lower edge, thrown 4000 times."""
    rng = np.random.default_rng(2)
    box = np.array(board(2.5, 0.4))
    where = locate_on_ground(found([box]), CAMERA, POSE)
    noise = np.maximum(2.0, 0.03 * (box[2:] - box[:2]))
    moved = box + np.stack([rng.normal(0, noise[0], 4000)] * 2, 1)[:, [0, 0, 1, 1]] * (1, 0, 1, 0)
    moved[:, 3] += rng.normal(0, noise[1], 4000)
    points = locate_on_ground(found(moved), CAMERA, POSE).points
    np.testing.assert_allclose(
        np.cov(points[:, :2].T), where.covariances[0, :2, :2], rtol=0.15, atol=2e-5)


def test_the_covariance_grows_with_distance():
    where = locate_on_ground(found([board(x, 0.0) for x in (1.2, 2, 3, 4, 6)]), CAMERA, POSE)
    spread = [np.trace(covariance) for covariance in where.covariances]
    assert (np.diff(spread) > 0).all() and spread[-1] > 50 * spread[0]


@pytest.mark.parametrize('box, key', [
    ([100, 10, 200, 100], 'cut_off'), ([300, 0, 340, 40], 'above_horizon'),
    ([300, 0, 340, 3], 'above_horizon'),
])
def test_refused(box, key):
    # The camera looks level: the horizon is in the middle of the image.
    pose = looking_down(1.0, 0.0)
    if key == 'cut_off':
        box = [*box[:3], 480]
    where = locate_on_ground(found([box]), CAMERA, pose)
    assert where.missing[0].key == key and np.isnan(where.points).all()


def test_near_the_horizon_a_pixel_is_kilometres():
    pose = looking_down(1.0, 0.0)
    where = locate_on_ground(
        found([[300, 100, 340, 242], [300, 100, 340, 300]]), CAMERA, pose)
    assert where.missing[0].key == 'above_horizon' and where.missing[1] is None
    assert where.points[1, 0] == pytest.approx(500 / 60, rel=1e-3)


def test_a_camera_below_the_ground_is_refused():
    with pytest.raises(InputError, match='-0.50 m above the ground'):
        locate_on_ground(found([[300, 100, 340, 300]]), CAMERA, looking_down(-0.5, 30.0))


def test_a_box_that_the_lower_edge_of_the_region_cuts_is_refused():
    boxes = found([[300, 100, 340, 300], [300, 100, 340, 240]])
    where = locate_on_ground(boxes, CAMERA, POSE, lower_edge=300.5)
    assert where.missing[0].key == 'cut_off' and where.missing[1] is None
    assert locate_on_ground(boxes, CAMERA, POSE).missing == (None, None)


@pytest.mark.parametrize('roll, refused', [
    (0, False), (20, False), (-20, False), (45, True), (90, True), (-90, True), (180, True)])
@pytest.mark.parametrize('down', [0.0, 30.0, 60.0])
def test_in_the_image_of_a_rolled_camera_down_is_another_way(roll, refused, down):
    angle = np.radians(roll)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose = looking_down(1.0, down) @ turn
    if refused:
        with pytest.raises(InputError, match=f'rolled by -?{abs(roll)} degrees'):
            locate_on_ground(found([[300, 100, 340, 300]]), CAMERA, pose)
    else:
        locate_on_ground(found([[300, 100, 340, 300]]), CAMERA, pose)


def test_straight_down_there_is_no_roll():
    where = locate_on_ground(found([[300, 200, 340, 240]]), CAMERA, looking_down(1.0, 90.0))
    np.testing.assert_allclose(where.points[0], 0, atol=0.01)
