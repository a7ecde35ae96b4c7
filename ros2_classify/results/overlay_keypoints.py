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

"""Draw key points with their limbs, and boxes with an angle."""

from __future__ import annotations

from collections.abc import Sequence
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.results.keypoints import Keypoints

Color = tuple[int, int, int]
# Points below it are hidden, as a rule.
_SURE = 0.5
_DARK: Color = (24, 24, 24)
_LIGHT: Color = (250, 250, 250)
# Coordinates that OpenCV can draw.
_FAR = 1 << 14


def draw_keypoints(
    canvas: NDArray[np.uint8], keypoints: Keypoints, colors: Sequence[Color], line: int, *,
    rated: bool = True,
) -> None:
    """
    Draw limbs in the colours of the objects, and points in white, those of the best on top.

    Points whose score is below 0.5 are not drawn, unless all scores are only those of the boxes.
    """
    places = np.clip(np.rint(keypoints.points), -_FAR, _FAR).astype(int)
    sure = keypoints.scores >= _SURE if rated else keypoints.scores > 0
    for row in range(len(keypoints) - 1, -1, -1):
        points, shown = places[row].tolist(), sure[row].tolist()
        limbs = [(points[start], points[end]) for start, end in keypoints.skeleton
                 if shown[start] and shown[end]]
        for start, end in limbs:
            cv2.line(canvas, start, end, _DARK, line + 2, cv2.LINE_AA)
        for start, end in limbs:
            cv2.line(canvas, start, end, colors[row], line, cv2.LINE_AA)
        for point, seen in zip(points, shown):
            if seen:
                cv2.circle(canvas, point, line + 2, _DARK, cv2.FILLED, cv2.LINE_AA)
                cv2.circle(canvas, point, line + 1, _LIGHT, cv2.FILLED, cv2.LINE_AA)


def rated(keypoints: Keypoints) -> bool:
    """Tell whether points have scores of their own."""
    return bool((keypoints.scores != keypoints.scores[:, :1]).any())


def limbs_of(
    keypoints: Keypoints, row: int,
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return an object's points that are seen, and its limbs as pairs of points in a row."""
    least = _SURE if rated(keypoints) else 0.0
    points = [(float(x), float(y)) for x, y in keypoints.points[row]]
    seen = [score >= least and score > 0 for score in keypoints.scores[row].tolist()]
    limbs = [points[end] for pair in keypoints.skeleton if seen[pair[0]] and seen[pair[1]]
             for end in pair]
    return [point for point, shown in zip(points, seen) if shown], limbs


def corners_of(oriented: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Return the corners of one box ``center x, center y, width, height, angle``."""
    x, y, width, height, angle = oriented.astype(float).tolist()
    across = math.cos(angle) * width / 2, math.sin(angle) * width / 2
    down = -math.sin(angle) * height / 2, math.cos(angle) * height / 2
    return [(x + right * across[0] + low * down[0], y + right * across[1] + low * down[1])
            for right, low in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


def draw_oriented(
    canvas: NDArray[np.uint8], oriented: NDArray[np.float32], color: Color, line: int, rim: bool,
) -> None:
    """Draw one box ``center x, center y, width, height, angle``."""
    shape = [np.clip(np.rint(corners_of(oriented)), -_FAR, _FAR).astype(np.int32)]
    if rim:
        cv2.polylines(canvas, shape, True, _DARK, line + 2, cv2.LINE_AA)
    cv2.polylines(canvas, shape, True, color, line, cv2.LINE_AA)
