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

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# In object sizes (and seconds): how far measured boxes are off, how fast new objects may be, how
# much speed may change in a second, and after how long a speed is forgotten. The columns are
# center x, center y, width, height.
_MEASURED = np.array([0.06, 0.06, 0.08, 0.08])[:, np.newaxis]
_FIRST_SPEED = np.array([1.0, 1.0, 0.25, 0.25])[:, np.newaxis]
_RESTLESS = np.array([0.8, 0.8, 0.25, 0.25])[:, np.newaxis]
_MEMORY = 1.0


class Motion:
    """
    The boxes of all tracks: position, speed and how sure they are.

    Each of center x, center y, width and height has a filter of its own, so nothing is inverted.
    All of it is one array of shape (5, 4, N), because small arrays cost by the call: positions,
    speeds, and the covariances of position with speed, of speeds, and of positions. A speed fades
    away exponentially, so that an object which is not seen for long is expected where it may have
    stopped, not beyond the horizon.
    """

    def __init__(self) -> None:
        self.state: Array = np.zeros((5, 4, 0))

    def __len__(self) -> int:
        """Return the number of tracks."""
        return int(self.state.shape[2])

    def doubt(self) -> Array:
        """Return how far the centers may be off, in object sizes: one standard deviation."""
        doubt: Array = np.sqrt(np.maximum(self.state[4, 0], self.state[4, 1]))
        doubt /= _size(self.state)
        return doubt

    def predict(self, seconds: float) -> None:
        """Move on in time."""
        fading = math.exp(-seconds / _MEMORY)
        way = _MEMORY * (1 - fading)
        state = self.state
        state[4] += way * state[2]
        # Positions by speeds, and position with speed by speeds: half of what their own
        # covariance gains is of the one before, half of the one after.
        state[0:3:2] += way * state[1:4:2]
        state[4] += way * state[2]
        state[1:4] *= np.array((fading, fading, fading * fading)).reshape(3, 1, 1)
        restless = _RESTLESS * _size(state)
        restless *= restless
        state[2:] += restless * np.array((way ** 2 / 2, way, way ** 3 / 3)).reshape(3, 1, 1)

    def correct(self, tracks: NDArray[np.intp], measured: Array) -> None:
        """Take what was found for these tracks, as `centered` gives it."""
        state = self.state[:, :, tracks]
        noise = _MEASURED * _size(state)
        noise *= noise
        noise += state[4]
        # Of positions and of speeds.
        gain = state[4:1:-2] / noise
        state[:2] += gain * (measured - state[0])
        state[3] -= gain[1] * state[2]
        state[2::2] -= gain[0] * state[2::2]
        self.state[:, :, tracks] = state

    def add(self, measured: Array) -> None:
        """Begin tracks at what was found, as `centered` gives it."""
        new = np.zeros((5, *measured.shape))
        new[0] = measured
        size = _size(new)
        new[3], new[4] = (_FIRST_SPEED * size) ** 2, (_MEASURED * size) ** 2
        self.state = np.concatenate((self.state, new), axis=2)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget the other tracks."""
        self.state = self.state[:, :, rows]


def _size(state: Array) -> Array:
    """Return the mean side of each box, at least a pixel."""
    size: Array = state[0, 2] + state[0, 3]
    size *= 0.5
    return np.maximum(size, 1.0, out=size)


def centered(boxes: Array) -> Array:
    """Return center x, center y, width, height, shape (4, N), of ``x1, y1, x2, y2``."""
    low, high = boxes[:2], boxes[2:]
    found = np.empty_like(boxes)
    np.add(low, high, out=found[:2])
    found[:2] *= 0.5
    np.subtract(high, low, out=found[2:])
    return found
