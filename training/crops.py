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

"""Crops for the classifier: one card, or nothing, tight or loose, stretched to a square."""

from __future__ import annotations

import cv2
import numpy as np

from training.boards import CLASSES
from training.samples import make_sample
from training.samples import make_view

#: Side of the classifier's input in pixels.
SIDE = 80
#: Part of the signs without a class that are like no card.
_MADE_UP = 0.4


def cut(rng: np.random.Generator, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cut a box with random margins out of an image, and stretch it to the input."""
    height, width = image.shape[:2]
    w, h = box[2:] - box[:2]
    margins = rng.uniform(-0.06, 0.25, 4) if rng.random() < 0.6 else rng.uniform(0, 0.9, 4)
    x1, y1 = max(0, int(box[0] - margins[0] * w)), max(0, int(box[1] - margins[1] * h))
    x2 = min(width, int(np.ceil(box[2] + margins[2] * w)))
    y2 = min(height, int(np.ceil(box[3] + margins[3] * h)))
    crop = image[y1:max(y2, y1 + 2), x1:max(x2, x1 + 2)]
    shrinks = crop.shape[0] > SIDE or crop.shape[1] > SIDE
    return cv2.resize(crop, (SIDE, SIDE),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def make_crop(rng: np.random.Generator, nothing: float = 0.2) -> tuple[np.ndarray, int]:
    """
    Make one crop.

    Parameters
    ----------
    rng
        The only source of chance.
    nothing
        Part of the crops without a card: backgrounds and look-alikes.

    Returns
    -------
    tuple
        uint8 [SIDE, SIDE, 3] RGB, and its class; CLASSES means nothing.

    """
    if rng.random() < nothing:
        if rng.random() < 0.4:
            sample = make_sample(rng, 128, 96, 18.0, empty=1.0, made_up=_MADE_UP)
            return cv2.resize(sample.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), CLASSES
        image, box, _ = make_view(rng, card=False, made_up=_MADE_UP)
        return cut(rng, image, box), CLASSES
    image, box, label = make_view(rng, card=True)
    return cut(rng, image, box), label
