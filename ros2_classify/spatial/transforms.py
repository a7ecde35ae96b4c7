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

"""Frames: 4 by 4 matrices from and to translations and quaternions (x, y, z, w)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ros2_classify.spatial.camera import Floats


def matrix_of(
        translation: Sequence[float], quaternion: Sequence[float] | Floats) -> Floats:
    """Return the matrix that takes points of the child frame to the parent's."""
    q = np.asarray(quaternion, np.float64)
    x, y, z, w = q / np.linalg.norm(q)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    matrix[:3, 3] = translation
    return matrix


def quaternion_of(rotation: Floats) -> Floats:
    """Return the quaternion of a rotation, w not negative."""
    r = rotation
    # The largest of the four squares is far from 0, so that it may divide.
    squares = np.array([
        1 + r[0, 0] - r[1, 1] - r[2, 2], 1 - r[0, 0] + r[1, 1] - r[2, 2],
        1 - r[0, 0] - r[1, 1] + r[2, 2], 1 + r[0, 0] + r[1, 1] + r[2, 2]])
    best = int(squares.argmax())
    cross = {(0, 1): r[1, 0] + r[0, 1], (0, 2): r[2, 0] + r[0, 2], (1, 2): r[2, 1] + r[1, 2],
             (0, 3): r[2, 1] - r[1, 2], (1, 3): r[0, 2] - r[2, 0], (2, 3): r[1, 0] - r[0, 1]}
    q = np.array([squares[best] if each == best else
                  cross[min(each, best), max(each, best)] for each in range(4)])
    q /= np.linalg.norm(q)
    return -q if q[3] < 0 else q


def turned_about_z(angle: float) -> Floats:
    """Return the rotation about z by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
