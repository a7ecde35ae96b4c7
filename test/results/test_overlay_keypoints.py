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

"""Key points, limbs and turned boxes in the annotated image."""

from __future__ import annotations

from typing import Any

import numpy as np
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.overlay import draw
from ros2_classify.results.overlay_colors import color_of
from ros2_classify.results.results import Detections, Timing


def drawn(box: Any = (20, 20, 180, 180), **more: Any) -> Any:
    result = Detections(
        np.array([box], 'f'), np.array([3]), np.array([0.9], 'f'), np.array(['x'], object),
        (200, 200), Timing(0, 0, 0), **more)
    return draw(np.full((200, 200, 3), 90, np.uint8), result)


def test_limbs_connect_sure_points() -> None:
    points = np.array([[(60, 60), (140, 60), (140, 140)]])
    image = drawn(keypoints=Keypoints(
        points, np.array([[0.9, 0.8, 0.2]]), ('a', 'b', 'c'), ((0, 1), (1, 2))))
    assert np.abs(image[60, 100].astype(int) - color_of(3)).max() < 40
    assert image[60, 60].min() > 240 and image[60, 140].min() > 240
    # The third point is not sure.
    assert (image[100, 140] == 90).all() and (image[140, 140] == 90).all()


def test_points_that_nobody_rated_are_drawn() -> None:
    image = drawn(keypoints=Keypoints(
        np.array([[(60, 60), (140, 60)]]), np.array([[0.3, 0.3]])))
    assert image[60, 60].min() > 240 and image[60, 140].min() > 240


def test_a_point_far_outside() -> None:
    drawn(keypoints=Keypoints(np.array([[(1e6, -1e6), (60, 60)]]), np.array([[1, 0.9]]), (),
                              ((0, 1),)))


def test_a_turned_box() -> None:
    """A diamond: its corners are on the axes, and the upright box is not drawn."""
    image = drawn(oriented=np.array([(100, 100, 80, 80, np.pi / 4)], 'f'))
    reach = 40 * 2 ** 0.5
    for x, y in ((100 + reach, 100), (100 - reach, 100), (100, 100 + reach)):
        assert image[round(y) - 3:round(y) + 3, round(x) - 3:round(x) + 3].std() > 5
    assert (image[100, 178:183] == 90).all() and (image[178:183, 100] == 90).all()
