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

"""Make the image of docs/distances.md: ``python test/spatial/positions_image.py FILE``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import sys

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from ros2_classify import CameraModel, Detections, draw, locate, Timing, write_image  # noqa: E402
from ros2_classify.spatial.drawing import draw_boxes_3d  # noqa: E402
from spatial_reference import camera_info, ray_cast  # noqa: E402

BALLS = (((-0.45, 0.12, 1.6), 0.22), ((0.25, 0.05, 2.4), 0.3), ((1.0, -0.1, 3.6), 0.45))
COLORS = ((60, 90, 200), (80, 170, 90), (190, 140, 60))


def make() -> tuple[np.ndarray, list[float]]:
    """Return the image, and the distances that it shows."""
    depth = ray_cast(list(BALLS), 6.0)
    image = np.full((480, 640, 3), (150, 150, 155), np.uint8)
    image[300:] = np.linspace(110, 150, 180)[:, None, None]
    boxes = []
    # The nearest one last: it is in front.
    for (center, radius), color in reversed(list(zip(BALLS, COLORS))):
        alone = ray_cast([(center, radius)], np.inf)
        rows, columns = np.nonzero(alone < np.inf)
        shade = 1.15 - 0.9 * (alone[rows, columns] - center[2] + radius) / radius
        image[rows, columns] = np.clip(np.outer(np.clip(shade, 0.25, 1), color), 0, 255)
        boxes.insert(0, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    found = Detections(
        np.array(boxes), np.arange(3), np.array([0.95, 0.9, 0.85]),
        np.array(['ball'] * 3, object), (640, 480), Timing(0.0, 0.0, 0.0))
    camera = CameraModel.from_info(camera_info())
    where = locate(found, camera, (depth * 1000).astype(np.uint16))
    drawn = draw(image, replace(found, positions=where.points))
    draw_boxes_3d(drawn, found, camera, where)
    return drawn, where.distances.tolist()


if __name__ == '__main__':
    write_image(sys.argv[1], make()[0])
