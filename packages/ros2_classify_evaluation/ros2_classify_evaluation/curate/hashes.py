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


"""A perceptual hash: images that look the same have nearly the same 64 bits."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE, _KEPT = 32, 8


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """
    Return which low frequencies of an image are above their median.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        In BGR.

    Returns
    -------
    int
        64 bits.

    """
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_KEPT, :_KEPT]
    bits = (low > np.median(low)).ravel()
    return int(np.packbits(bits).view('>u8')[0])


def distances(one: int, others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return in how many bits a hash differs from each of others."""
    differing = (np.uint64(one) ^ others).view(np.uint8).reshape(-1, 8)
    return np.asarray(np.unpackbits(differing, axis=1).sum(axis=1), np.int64)
