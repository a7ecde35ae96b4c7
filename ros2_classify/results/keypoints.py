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

"""Key points: named places of an object, such as joints or the corners of a mouth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import OutputError
from ros2_classify.results.checked import frozen


@dataclass(frozen=True, eq=False)
class Keypoints:
    """
    The key points of all objects of an image.

    Parameters
    ----------
    points : ndarray of float32, shape (N, K, 2)
        ``x, y`` in pixels of the source image; a point may be outside of it.
    scores : ndarray of float32, shape (N, K)
        How sure each point is, from 0 to 1.
    names : tuple of str
        The names of the K points; empty if nobody knows them.
    skeleton : tuple of tuple of int
        Pairs of points that a line connects, by their number from 0.

    Raises
    ------
    OutputError
        If the shapes don't fit, a number is not finite, or the skeleton names a point that is
        not there.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Keypoints
    >>> eyes = Keypoints(np.array([[[10, 20], [30, 20]]]), np.array([[0.9, 0.75]]),
    ...                  ('left_eye', 'right_eye'), ((0, 1),))
    >>> eyes.rows()[0][1]
    {'name': 'right_eye', 'x': 30.0, 'y': 20.0, 'score': 0.75}

    """

    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        for name in ('points', 'scores'):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float32))
        if self.scores.ndim != 2 or self.points.shape != (*self.scores.shape, 2):
            raise OutputError(
                f'key points have the shape {self.points.shape} and their scores '
                f'{self.scores.shape}, but these must be (N, K, 2) and (N, K)')
        count = self.scores.shape[1]
        if self.names and len(self.names) != count:
            raise OutputError(
                f'there are {len(self.names)} names for {count} key points; name each of them')
        if any(not 0 <= end < count for limb in self.skeleton for end in limb):
            raise OutputError(
                f'the skeleton {self.skeleton} names a key point that is not there: they are '
                f'numbered from 0 to {count - 1}')
        if not (np.isfinite(self.points).all() and np.isfinite(self.scores).all()):
            raise OutputError('a number of a key point is not finite')

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)

    def select(self, rows: NDArray[np.integer]) -> Keypoints:
        """Return those of some objects."""
        return Keypoints(self.points[rows], self.scores[rows], self.names, self.skeleton)

    def rows(self) -> list[list[dict[str, object]]]:
        """Return, for each object, one dictionary for each point: name, x, y, score."""
        names = self.names or tuple(str(number) for number in range(self.scores.shape[1]))
        return [
            [{'name': name, 'x': round(x, 2), 'y': round(y, 2), 'score': round(score, 6)}
             for name, (x, y), score in zip(names, points, scores)]
            for points, scores in zip(self.points.tolist(), self.scores.tolist())]
