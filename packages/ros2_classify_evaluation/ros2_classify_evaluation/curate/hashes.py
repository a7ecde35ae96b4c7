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


"""How many bits of perceptual hashes differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def distances(one: int, others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return in how many bits a hash differs from each of others."""
    differing = (np.uint64(one) ^ others).view(np.uint8).reshape(-1, 8)
    return np.asarray(np.unpackbits(differing, axis=1).sum(axis=1), np.int64)
