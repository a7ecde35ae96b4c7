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

"""Masks of one image that come from several runs of the model, such as those of its tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_classify.results.masks import Cutout, Masks


@dataclass(frozen=True, eq=False)
class JoinedMasks(Masks):
    """One mask for each box; ``places`` (N, 2) holds the part of each, and its row there."""

    parts: Sequence[Masks]
    places: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.places)

    def select(self, rows: NDArray[np.integer]) -> JoinedMasks:
        """Return the masks of some rows."""
        return JoinedMasks(self.parts, self.places[rows])

    def cutout(self, row: int, image_size: tuple[int, int]) -> Cutout:
        """Return the pixels of one object."""
        part, place = (int(each) for each in self.places[row])
        return self.parts[part].cutout(place, image_size)
