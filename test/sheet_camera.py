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
A camera for the printed sheet: rays through a pinhole onto a page on a table.

It shares nothing with the generator of training images: each pixel follows its own rays back to
the page (forward geometry there, a lookup by homography), and light falls from one lamp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The page in millimetres (A4).
PAGE = (210.0, 297.0)
_RAYS = ((0.25, 0.25), (0.75, 0.75))


@dataclass(frozen=True)
class View:
    """
    Where the camera stands, looking at the middle of the page.

    Parameters
    ----------
    distance : float
        From the middle of the page, in millimetres.
    tilt, turn, roll : float
        Degrees: camera lowered towards the page's foot, moved to its side, turned in its axis.
    focal : float
        Focal length in pixels.
    lamp : tuple of float
        Where the lamp hangs over the page, in millimetres from its middle; z is the height.

    """

    distance: float
    tilt: float = 0.0
    turn: float = 0.0
    roll: float = 0.0
    focal: float = 620.0
    lamp: tuple[float, float, float] = (-200.0, -150.0, 700.0)


def _rotation(view: View) -> NDArray[np.float64]:
    a, b, c = np.deg2rad([view.tilt, view.turn, view.roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def _axes(view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the camera's axes as columns, and where it is; x right, y down, z into the table."""
    axes = _rotation(view)
    return axes, -view.distance * axes[:, 2]


def project(point: tuple[float, float], view: View, size: tuple[int, int]) -> tuple[float, float]:
    """Return the pixel at which a point of the page (millimetres from its corner) is seen."""
    axes, position = _axes(view)
    world = np.array([point[0] - PAGE[0] / 2, point[1] - PAGE[1] / 2, 0.0])
    x, y, z = axes.T @ (world - position)
    return size[0] / 2 + view.focal * x / z, size[1] / 2 + view.focal * y / z


def photograph(
    sheet: NDArray[np.uint8], view: View, size: tuple[int, int], noise: float = 3.0,
) -> NDArray[np.uint8]:
    """
    Take an image of the page.

    Parameters
    ----------
    sheet : ndarray of uint8, shape (H, W, 3)
        The page's pixels.
    view : View
        Where the camera stands.
    size : (width, height)
        Of the image, in pixels.
    noise : float
        Standard deviation of the sensor's noise.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Channels as in ``sheet``.

    """
    axes, position = _axes(view)
    width, height = size
    total = np.zeros((height, width, 3))
    for dx, dy in _RAYS:
        x = (np.arange(width) + dx - width / 2) / view.focal
        y = (np.arange(height) + dy - height / 2) / view.focal
        rays = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), -1) @ axes.T
        # Rays that miss the table's plane end far away on it.
        reach = -position[2] / np.maximum(rays[..., 2], 1e-3)
        spot = position + rays * reach[..., None]
        total += _surface(sheet, spot) * _light(spot, view.lamp)[..., None]
    image = total / len(_RAYS)
    image += np.random.default_rng(0).normal(0, noise, image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _light(spot: NDArray[np.float64], lamp: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return Lambert's law for a point lamp, 1 right below it, and some light of the room."""
    way = np.asarray(lamp) * (1, 1, -1) - spot
    return 0.25 + 0.75 * lamp[2] ** 3 / np.linalg.norm(way, axis=-1) ** 3


def _surface(sheet: NDArray[np.uint8], spot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the colour of the table, or of the page where it lies (between its pixels)."""
    rows, columns = sheet.shape[:2]
    wood = 110 + 22 * np.sin(spot[..., 0] / 9 + 3 * np.sin(spot[..., 1] / 160))
    color = wood[..., None] * np.array([0.72, 0.9, 1.1])
    x = (spot[..., 0] / PAGE[0] + 0.5) * columns - 0.5
    y = (spot[..., 1] / PAGE[1] + 0.5) * rows - 0.5
    on = (x >= 0) & (x < columns - 1) & (y >= 0) & (y < rows - 1)
    x, y = x[on], y[on]
    left, top = x.astype(int), y.astype(int)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    color[on] = ((sheet[top, left] * (1 - fx) + sheet[top, left + 1] * fx) * (1 - fy)
                 + (sheet[top + 1, left] * (1 - fx) + sheet[top + 1, left + 1] * fx) * fy)
    return color
