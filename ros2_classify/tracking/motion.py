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

"""Where objects are expected: Kalman filters in seconds, one for each side of each box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# In object sizes (and seconds): how far measured boxes are off, how fast new objects may be, how
# much speed may change in a second, and after how long a speed is forgotten. The columns are
# center x, center y, width, height.
_MEASURED = np.array([0.06, 0.06, 0.08, 0.08])
_FIRST_SPEED = np.array([1.0, 1.0, 0.25, 0.25])
_RESTLESS = np.array([0.8, 0.8, 0.25, 0.25])
_MEMORY = 1.0


class Motion:
    """
    The boxes of all tracks: position, speed and how sure they are.

    Each of center x, center y, width and height has a filter of its own, so all are arrays of
    shape (N, 4) and nothing is inverted. A speed fades away exponentially, so that an object which
    is not seen for long is expected where it may have stopped, not beyond the horizon.
    """

    def __init__(self) -> None:
        empty = np.zeros((0, 4))
        self.position, self.speed = empty, empty
        # The covariance of both: of positions, of position with speed, of speeds.
        self.pp, self.ps, self.ss = empty, empty, empty

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.position)

    @property
    def size(self) -> Array:
        """The mean side of each box, shape (N, 1)."""
        return np.maximum((self.position[:, 2:3] + self.position[:, 3:4]) / 2, 1.0)

    @property
    def boxes(self) -> Array:
        """The boxes as ``x1, y1, x2, y2``."""
        half = np.maximum(self.position[:, 2:], 1.0) / 2
        return np.concatenate((self.position[:, :2] - half, self.position[:, :2] + half), axis=1)

    def doubt(self) -> Array:
        """Return how far the centers may be off, in object sizes: one standard deviation."""
        deviation: Array = np.sqrt(self.pp[:, :2].max(axis=1)) / self.size[:, 0]
        return deviation

    def predict(self, seconds: float) -> None:
        """Move on in time."""
        fading = float(np.exp(-seconds / _MEMORY))
        way = _MEMORY * (1 - fading)
        self.position = self.position + way * self.speed
        self.speed = fading * self.speed
        restless = (self.size * _RESTLESS) ** 2
        self.pp = self.pp + 2 * way * self.ps + way * way * self.ss + restless * (way ** 3 / 3)
        self.ps = fading * (self.ps + way * self.ss) + restless * (way ** 2 / 2)
        self.ss = fading * fading * self.ss + restless * way

    def correct(self, rows: NDArray[np.intp], boxes: Array) -> None:
        """Take boxes that were found for these tracks."""
        measured = _centered(boxes)
        noise = (self.size[rows] * _MEASURED) ** 2
        pp, ps = self.pp[rows], self.ps[rows]
        gain = pp / (pp + noise)
        speed_gain = ps / (pp + noise)
        error = measured - self.position[rows]
        self.position[rows] += gain * error
        self.speed[rows] += speed_gain * error
        self.ss[rows] -= speed_gain * ps
        self.pp[rows] = pp - gain * pp
        self.ps[rows] = ps - gain * ps

    def add(self, boxes: Array) -> None:
        """Begin tracks at these boxes."""
        position = _centered(boxes)
        size = np.maximum((position[:, 2:3] + position[:, 3:4]) / 2, 1.0)
        none = np.zeros_like(position)
        for name, values in (
                ('position', position), ('speed', none), ('pp', (size * _MEASURED) ** 2),
                ('ps', none), ('ss', (size * _FIRST_SPEED) ** 2)):
            setattr(self, name, np.concatenate((getattr(self, name), values)))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget the other tracks."""
        for name in ('position', 'speed', 'pp', 'ps', 'ss'):
            setattr(self, name, getattr(self, name)[rows])


def _centered(boxes: Array) -> Array:
    return np.concatenate(
        ((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), axis=1)
