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
A camera's geometry, as ``sensor_msgs/CameraInfo`` or a file of a calibration gives it.

Points on images are those of boxes: 0 is the left edge of the first pixel. OpenCV and CameraInfo
have 0 at its centre, so half a pixel is subtracted here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError

Floats = NDArray[np.float64]

# The names of CameraInfo, and how many coefficients each may have.
_MODELS = {'plumb_bob': (0, 4, 5), 'rational_polynomial': (0, 8, 12, 14), 'equidistant': (0, 4)}
_OTHER_NAMES = {'': 'plumb_bob', 'fisheye': 'equidistant'}
# A point is undistorted if distorting the result leads back to it, in pixels.
_LEADS_BACK = 0.1
_MANY = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-9)


@dataclass(frozen=True, eq=False)
class CameraModel:
    """
    Which ray belongs to a point of a camera's image.

    Parameters
    ----------
    image_size : tuple of int
        Width and height of the image in pixels, as it is sent (cropped, binned).
    matrix : ndarray of float64, shape (3, 3)
        Focal lengths and centre in pixels of that image, 0 at the centre of the first pixel.
    distortion : ndarray of float64, shape (D,)
        The coefficients; none for an image without distortion.
    distortion_model : str
        ``plumb_bob``, ``rational_polynomial`` or ``equidistant`` (also ``fisheye``).
    rotation : ndarray of float64, shape (3, 3), optional
        From the camera to the frame of the image's header: ``R`` of a calibrated stereo pair.
    origin : ndarray of float64, shape (3,), optional
        The camera in that frame, in metres: the second camera of a stereo pair is not at 0.

    Raises
    ------
    InputError
        If the distortion model is unknown, or a number is missing, not finite or impossible.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import CameraModel
    >>> camera = CameraModel((640, 480), np.array([[500, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]))
    >>> camera.rays(np.array([[320.0, 240.0], [640.0, 240.0]]))
    array([[0.  , 0.  , 1.  ],
           [0.64, 0.  , 1.  ]])

    """

    image_size: tuple[int, int]
    matrix: Floats
    distortion: Floats = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = 'plumb_bob'
    rotation: Floats = field(default_factory=lambda: np.eye(3))
    origin: Floats = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        """Check everything that comes from outside."""
        name = _OTHER_NAMES.get(self.distortion_model, self.distortion_model)
        if name not in _MODELS:
            raise InputError(
                f'the distortion model {self.distortion_model[:40]!r} is unknown; allowed are: '
                f'{", ".join([*_MODELS, "fisheye"])}; use the rectified image')
        object.__setattr__(self, 'distortion_model', name)
        for key, shape in (('matrix', (3, 3)), ('rotation', (3, 3)), ('origin', (3,)),
                           ('distortion', (np.size(self.distortion),))):
            values = np.array(getattr(self, key), np.float64)
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(f'{key} of the camera has the shape {values.shape} but must be '
                                 f'{shape}, finite: is the camera calibrated?')
            values.flags.writeable = False
            object.__setattr__(self, key, values)
        if len(self.distortion) not in _MODELS[name]:
            raise InputError(
                f'the distortion model {name} has {len(self.distortion)} coefficients but must '
                f'have one of {_MODELS[name]}')
        if min(self.image_size) < 1 or min(self.matrix[0, 0], self.matrix[1, 1]) <= 0:
            raise InputError(
                f'the camera has the focal lengths {self.matrix[0, 0]:g}, {self.matrix[1, 1]:g} '
                f'and the size {self.image_size[0]}x{self.image_size[1]} but all must be above '
                '0: calibrate it, or let its driver publish its calibration')

    @classmethod
    def from_info(cls, info: Any, rectified: bool = False) -> CameraModel:
        """
        Read a ``CameraInfo``.

        Parameters
        ----------
        info : CameraInfo
            The message, or any object with its fields.
        rectified : bool
            Whether the image is the rectified one: it has no distortion, and the matrix ``P``.

        Returns
        -------
        CameraModel
            That of the image as it is sent: ``roi`` and ``binning`` are applied.

        Raises
        ------
        InputError
            If the message has no calibration, or an impossible one.

        """
        k, r, p = (np.array(values, np.float64).reshape(3, -1)
                   for values in (info.k, info.r, info.p))
        # The offset of the second camera of a stereo pair, in its rectified frame.
        offset = np.zeros(3)
        if p[0, 0] > 0 and p[1, 1] > 0:
            offset[:2] = -p[0, 3] / p[0, 0], -p[1, 3] / p[1, 1]
        roi, size, corner = info.roi, (info.width, info.height), (0, 0)
        if roi.width and roi.height:
            size, corner = (roi.width, roi.height), (roi.x_offset, roi.y_offset)
        binning = (max(1, info.binning_x), max(1, info.binning_y))
        # Both are scales of the edges of pixels.
        matrix = (p[:, :3] if rectified else k).copy()
        for axis in (0, 1):
            matrix[axis, 2] = (matrix[axis, 2] + 0.5 - corner[axis]) / binning[axis] - 0.5
            matrix[axis, :2] /= binning[axis]
        turned = r if not rectified and np.any(r) else np.eye(3)
        return cls(
            (int(size[0]) // binning[0], int(size[1]) // binning[1]), matrix,
            np.zeros(0) if rectified else np.array(info.d, np.float64),
            'plumb_bob' if rectified else str(info.distortion_model), turned, offset)

    @classmethod
    def from_file(cls, path: str | Path, rectified: bool = False) -> CameraModel:
        """
        Read a calibration in the format of ``camera_calibration`` (YAML).

        Parameters
        ----------
        path : str or Path
            The file.
        rectified : bool
            As in `from_info`.

        Returns
        -------
        CameraModel
            The camera.

        Raises
        ------
        InputError
            If the file can't be read, or has not these keys.

        """
        from ros2_classify.limits import open_plain
        from ros2_classify.yaml_config import MAX_BYTES, read_yaml

        try:
            with open_plain(path, MAX_BYTES) as file:
                found, _ = read_yaml(file.read().decode('utf-8-sig'), str(path))
            return cls.from_info(_FileInfo(found), rectified)
        except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            reason = f'it has no {error}' if isinstance(error, KeyError) else str(error)
            raise InputError(
                f'cannot read the camera {path}: {reason}; it must be a file of '
                'camera_calibration, with image_width, image_height, camera_matrix, '
                'distortion_model and distortion_coefficients') from error

    def rays(self, points: NDArray[Any]) -> Floats:
        """
        Return the directions in which points of the image are seen, before `rotation`.

        Parameters
        ----------
        points : ndarray, shape (N, 2)
            ``x, y`` in pixels; 0 is the left (upper) edge of the image, as for boxes.

        Returns
        -------
        ndarray of float64, shape (N, 3)
            In the camera's optical frame (x right, y down, z forward), with z = 1; NaN where
            the lens model has no such ray.

        """
        points = np.asarray(points, np.float64).reshape(-1, 2) - 0.5
        rays = np.ones((len(points), 3))
        if not self.distortion.any():
            # numpy: this runs for every image, and OpenCV is slower for a few points.
            rays[:, 1] = (points[:, 1] - self.matrix[1, 2]) / self.matrix[1, 1]
            rays[:, 0] = (points[:, 0] - self.matrix[0, 2]
                          - self.matrix[0, 1] * rays[:, 1]) / self.matrix[0, 0]
            if self.distortion_model == 'equidistant':
                return _without_coefficients(rays)
            return rays
        if not len(points):
            return rays
        pixels = points[:, None]
        if self.distortion_model == 'equidistant':
            found = cv2.fisheye.undistortPoints(pixels, self.matrix, self.distortion)
            back = cv2.fisheye.distortPoints(found, self.matrix, self.distortion)
        else:
            found = cv2.undistortPointsIter(
                pixels, self.matrix, self.distortion, np.eye(3), np.eye(3), _MANY)
            space = np.concatenate([found, np.ones_like(found[..., :1])], axis=2)
            back, _ = cv2.projectPoints(
                space, np.zeros(3), np.zeros(3), self.matrix, self.distortion)
        rays[:, :2] = found[:, 0]
        # Beyond some angle a polynomial bends back: there is no ray, or not the right one.
        wrong = ~(np.abs(back - pixels).max(axis=(1, 2)) <= _LEADS_BACK)
        rays[wrong] = np.nan
        return rays

    def to_frame(self, points: Floats) -> Floats:
        """
        Return points in the frame of the image's header.

        Parameters
        ----------
        points : ndarray of float64, shape (N, 3)
            In the camera's optical frame, in metres.

        Returns
        -------
        ndarray of float64, shape (N, 3)
            In metres; the same ones unless the camera is one of a stereo pair.

        """
        moved: Floats = points @ self.rotation.T + self.origin
        return moved


def _without_coefficients(rays: Floats) -> Floats:
    """Return rays of an ideal fisheye lens: the distance from the centre is the angle."""
    angle = np.hypot(rays[:, 0], rays[:, 1])
    with np.errstate(invalid='ignore', divide='ignore'):
        rays[:, :2] *= np.where(angle > 1e-9, np.tan(angle) / angle, 1.0)[:, None]
    rays[angle >= np.pi / 2 - 1e-6] = np.nan
    return rays


class _Roi:
    x_offset = y_offset = width = height = 0


class _FileInfo:
    """The fields of CameraInfo from a file of camera_calibration."""

    binning_x = binning_y = 0
    roi = _Roi()

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.width, self.height = int(found['image_width']), int(found['image_height'])
        self.k = found['camera_matrix']['data']
        self.distortion_model = found['distortion_model']
        self.d = found['distortion_coefficients']['data']
        self.r = found.get('rectification_matrix', {}).get('data', [0.0] * 9)
        self.p = found.get('projection_matrix', {}).get('data', [0.0] * 12)


def matrix_of(
        translation: Sequence[float], quaternion: Sequence[float] | Floats) -> Floats:
    """Return the matrix that takes points of the child frame to the parent's."""
    q = np.asarray(quaternion, np.float64)
    x, y, z, w = q / np.linalg.norm(q)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    matrix[:3, 3] = translation
    return matrix


def quaternion_of(rotation: Floats) -> Floats:
    """Return the quaternion of a rotation, w not negative."""
    r = rotation
    # The largest of the four squares is far from 0, so that it may divide.
    squares = np.array([
        1 + r[0, 0] - r[1, 1] - r[2, 2], 1 - r[0, 0] + r[1, 1] - r[2, 2],
        1 - r[0, 0] - r[1, 1] + r[2, 2], 1 + r[0, 0] + r[1, 1] + r[2, 2]])
    best = int(squares.argmax())
    cross = {(0, 1): r[1, 0] + r[0, 1], (0, 2): r[2, 0] + r[0, 2], (1, 2): r[2, 1] + r[1, 2],
             (0, 3): r[2, 1] - r[1, 2], (1, 3): r[0, 2] - r[2, 0], (2, 3): r[1, 0] - r[0, 1]}
    q = np.array([squares[best] if each == best else
                  cross[min(each, best), max(each, best)] for each in range(4)])
    q /= np.linalg.norm(q)
    return -q if q[3] < 0 else q


def turned_about_z(angle: float) -> Floats:
    """Return the rotation about z by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
