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

"""
Images that newer ones replaced in the middleware's queue, known from the gaps in their numbers.

The middleware numbers what a publisher sends. What is missing between two images was replaced
before anybody took it, or it got lost on the way; losses are told by an event, later.
"""

from __future__ import annotations


class Skipped:
    """Counts the images between those that were taken; for one publisher."""

    def __init__(self) -> None:
        self._last: int | None = None
        # Gaps that may still turn out to be losses.
        self._open = 0

    def taken(self, number: int | None, *, alone: bool = True) -> int:
        """
        Note an image.

        Parameters
        ----------
        number : int or None
            Its number; None where the middleware tells none.
        alone : bool
            Whether there is one publisher; the numbers of several mean nothing.

        Returns
        -------
        int
            How many images are missing before it.

        """
        # With several, who knows whose the number is that comes next.
        last, self._last = self._last, number if alone else None
        if number is None or last is None or not alone:
            return 0
        return max(0, number - last - 1)

    def replaced(self, count: int) -> None:
        """Note that so many of the missing ones are taken for replaced."""
        self._open += count

    def lost(self, count: int) -> int:
        """
        Note that images got lost.

        Parameters
        ----------
        count : int
            How many.

        Returns
        -------
        int
            How many of those have been taken for replaced before.

        """
        explained = min(count, self._open)
        self._open -= explained
        return explained

    def settle(self) -> None:
        """Note that no event about the gaps so far is going to come."""
        self._open = 0
