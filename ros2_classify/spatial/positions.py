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

"""Where the objects of an image are, and why some are nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Why a detection has no position, with the sentence that says it; `{}` is a number.
REASONS = {
    'invalid': '{:.0%} of its pixels in the depth image are invalid',
    'no_ray': 'the lens model has no ray for it',
    'above_horizon': 'its lower edge is above the horizon, or too near to it for a distance',
    'cut_off': (
        'it touches the lower edge of the image or of the roi, so where it stands is not seen'),
}


class Missing(NamedTuple):
    """Why a detection has no position: a key of `REASONS`, and the number of its sentence."""

    key: str
    number: float = 0.0

    def __str__(self) -> str:
        """Return the sentence."""
        return REASONS[self.key].format(self.number)


@dataclass(frozen=True, eq=False)
class Positions:
    """
    Where the objects of an image are.

    Parameters
    ----------
    points : ndarray of float64, shape (N, 3)
        Metres in the frame of the image (x right, y down, z forward), or in that of the ground;
        NaN where it is not known.
    sizes : ndarray of float64, shape (N, 3)
        Metres along the axes of the boxes: from depth those of the image's frame, and on the
        ground away from the camera, across, and up.
    missing : tuple of Missing or None
        Why a row has no position.
    distances : ndarray of float64, shape (N,)
        Metres from the camera to the point.
    covariances : ndarray of float64, shape (N, 3, 3), optional
        Square metres; None where the method gives none.
    headings : ndarray of float64, shape (N,), optional
        On the ground: the angle about z, in radians, of the box's axis away from the camera.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Positions
    >>> where = Positions(
    ...     np.array([[0.3, 0.0, 0.4]]), np.array([[0.1, 0.1, 0.05]]), (None,), np.array([0.5]))
    >>> where.known
    array([ True])

    """

    points: Floats
    sizes: Floats
    missing: tuple[Missing | None, ...]
    distances: Floats
    covariances: Floats | None = None
    headings: Floats | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.points)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether each row has a position."""
        return np.array([reason is None for reason in self.missing], bool)
