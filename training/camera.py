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

"""What a camera and the light do to an image: shading, shadows, blur, noise, compression."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

_NOISE_SIGMAS = (2, 4, 8, 13, 19)


@lru_cache(maxsize=None)
def _noise(sigma: int) -> np.ndarray:
    """Return a large field of noise, to be cut at random places (drawing it again is slow)."""
    rng = np.random.default_rng(sigma)
    return np.round(rng.normal(0, sigma, (900, 1100, 3))).astype(np.int16)


def shade(rng: np.random.Generator, image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Multiply by a smooth field of light between the two factors."""
    h, w = image.shape[:2]
    grid = rng.uniform(low, high, tuple(rng.integers(2, 4, 2))) * 96
    field = cv2.resize(np.clip(grid, 0, 255).astype(np.uint8), (w, h),
                       interpolation=cv2.INTER_CUBIC)
    return cv2.multiply(image, cv2.merge([field] * 3), scale=1 / 96)


def _shadow(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    h, w = image.shape[:2]
    mask = np.full((h // 4, w // 4), 128, np.uint8)
    points = rng.uniform(-0.3, 1.3, (4, 2)) * (w // 4, h // 4)
    level = int(rng.integers(45, 105))
    cv2.fillConvexPoly(mask, cv2.convexHull(np.int32(points)), level)
    mask = cv2.blur(mask, (3, 3)) if rng.random() < 0.5 else cv2.blur(mask, (15, 15))
    mask = cv2.resize(mask, (w, h))
    return cv2.multiply(image, cv2.merge([mask] * 3), scale=1 / 128)


def _tone(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Change exposure, contrast, gamma and white balance by one table a channel."""
    ramp = np.linspace(0, 1, 256)
    gamma = np.exp(rng.normal(0, 0.22))
    gain = np.exp(rng.uniform(-0.9, 0.3)) if rng.random() < 0.5 else np.exp(rng.normal(0, 0.12))
    black = rng.uniform(0, 0.18) if rng.random() < 0.3 else 0.0
    cast = np.exp(rng.normal(0, 0.09, 3))
    table = (black + (1 - black) * (ramp[:, None] ** gamma) * gain * cast) * 255
    table = np.clip(table, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table.reshape(256, 1, 3))
    if rng.random() < 0.3:
        gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, 1 - (weight := float(rng.uniform(-0.3, 0.5))), gray,
                                weight, 0)
    return image


def _blur(rng: np.random.Generator, image: np.ndarray, smallest: float) -> np.ndarray:
    kind = rng.random()
    if kind < 0.35:
        sigma = float(rng.uniform(0.3, min(4.0, max(0.5, 0.045 * smallest))))
        return cv2.GaussianBlur(image, (0, 0), sigma)
    if kind < 0.5:
        length = int(min(25.0, rng.uniform(0.05, 0.16) * smallest))
        if length >= 2:
            size = length | 1
            kernel = np.zeros((size, size), np.float32)
            kernel[size // 2] = 1
            turn = cv2.getRotationMatrix2D((size // 2, size // 2), rng.uniform(0, 180), 1)
            kernel = cv2.warpAffine(kernel, turn, (size, size))
            return cv2.filter2D(image, -1, kernel / kernel.sum())
    if kind < 0.65:
        h, w = image.shape[:2]
        factor = float(rng.uniform(1.0, min(3.0, max(1.05, smallest / 20))))
        small = cv2.resize(image, (int(w / factor), int(h / factor)),
                           interpolation=cv2.INTER_AREA)
        how = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
        return cv2.resize(small, (w, h), interpolation=how)
    if kind < 0.72:
        return cv2.addWeighted(image, 1.8, cv2.GaussianBlur(image, (0, 0), 1.5), -0.8, 0)
    return image


def photograph(rng: np.random.Generator, image: np.ndarray, smallest: float) -> np.ndarray:
    """
    Return the image as a modest camera would have taken it.

    Parameters
    ----------
    rng
        The source of chance.
    image
        uint8 [H, W, 3], RGB.
    smallest
        Side of the smallest sign in pixels; blur stays small against it.

    Returns
    -------
    ndarray
        uint8 [H, W, 3], RGB.

    """
    h, w = image.shape[:2]
    if rng.random() < 0.5:
        image = shade(rng, image, 0.45, 1.3)
    for _ in range(rng.integers(1, 3) if rng.random() < 0.3 else 0):
        image = _shadow(rng, image)
    if rng.random() < 0.1:
        glare = np.zeros((h // 4, w // 4), np.uint8)
        cv2.circle(glare, tuple(int(v) for v in rng.uniform(0, 1, 2) * (w // 4, h // 4)),
                   int(rng.uniform(0.02, 0.2) * w / 4) + 1, int(rng.integers(50, 190)), -1)
        glare = cv2.resize(cv2.blur(glare, (19, 19)), (w, h))
        image = cv2.add(image, cv2.merge([glare] * 3))
    image = _blur(rng, image, smallest)
    if rng.random() < 0.85:
        image = _tone(rng, image)
    if rng.random() < 0.6:
        field = _noise(_NOISE_SIGMAS[rng.integers(len(_NOISE_SIGMAS))])
        y, x = rng.integers(0, field.shape[0] - h + 1), rng.integers(0, field.shape[1] - w + 1)
        image = cv2.add(image, field[y:y + h, x:x + w], dtype=cv2.CV_8U)
    if rng.random() < 0.6:
        quality = int(rng.integers(30 if smallest > 40 else 50, 96))
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image
