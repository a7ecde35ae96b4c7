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

"""``infer --depth``: where the objects of an image are in metres."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, TYPE_CHECKING

from ros2_classify.errors import InputError, OptionsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        '--depth', metavar='FILE',
        help='detection: print distances from a depth image of the same size: 16-bit PNG in '
             'millimetres, or float TIFF in metres; needs --camera-info')
    parser.add_argument(
        '--camera-info', metavar='FILE',
        help="the camera's calibration, a YAML file as camera_calibration writes it")


class DepthOfImage:
    """The depth and the calibration of one image, read before the model is loaded."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from ros2_classify.spatial.camera import CameraModel

        if arguments.camera_info is None:
            raise OptionsError('--depth takes --camera-info as well: the calibration of the image')
        self._depth = _read(arguments.depth)
        self._camera = CameraModel.from_file(arguments.camera_info)
        self._where: Any = None

    def add_to(self, result: Any) -> Any:
        """Return the result with positions; OptionsError if it is no detection."""
        from ros2_classify.spatial.depth import locate

        if result.task != 'detection':
            raise OptionsError(
                f'--depth is for detections, but the task of the model is {result.task}; '
                'remove it')
        self._where = locate(result, self._camera, self._depth)
        # From the camera; in the frame of a stereo pair it may be elsewhere.
        return replace(result, positions=self._where.points)

    def draw(self, canvas: NDArray[np.uint8], result: Any) -> None:
        """Draw the boxes in metres."""
        from ros2_classify.spatial.drawing import draw_boxes_3d

        draw_boxes_3d(canvas, result, self._camera, self._where)

    def reasons(self, result: Any) -> list[str]:
        """Return a sentence for each object without a position."""
        return [f'no position for {label}: {reason}' for label, reason in zip(
            result.labels.tolist(), self._where.missing) if reason is not None]


def of(arguments: argparse.Namespace) -> DepthOfImage | None:
    """Return the depth that the arguments name; OptionsError if they are half of it."""
    if arguments.depth is None and arguments.camera_info is not None:
        raise OptionsError('--camera-info is for --depth: give both, or none')
    return None if arguments.depth is None else DepthOfImage(arguments)


def _read(path: str) -> NDArray[Any]:
    from ros2_classify.image_io import read_unchanged

    pixels = read_unchanged(path)
    if pixels.ndim != 2 or pixels.dtype.name not in ('uint16', 'float32'):
        raise InputError(
            f'the depth image {path} is {pixels.dtype} {pixels.shape} but must have one channel: '
            'PNG of 16 bits in millimetres, or TIFF of 32-bit floats in metres')
    return pixels
