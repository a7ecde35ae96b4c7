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

"""Depth images (``sensor_msgs/Image``, REP 118), read where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError

# mono16 is what some drivers call 16UC1.
_TYPES = {'32FC1': 'f4', '16UC1': 'u2', 'mono16': 'u2'}


def depth_array(msg: Any) -> NDArray[Any]:
    """Return a view of the depths: float32 in metres or uint16 in millimetres; InputError."""
    kind = _TYPES.get(msg.encoding)
    if kind is None:
        raise InputError(
            f'the encoding is {msg.encoding[:40]!r} but must be 32FC1 (metres) or 16UC1 '
            '(millimetres)')
    dtype = np.dtype(('>' if msg.is_bigendian else '<') + kind)
    row = msg.width * dtype.itemsize
    if not msg.width or not msg.height or msg.step < row or (
            len(msg.data) < msg.step * (msg.height - 1) + row):
        raise InputError(
            f'{len(msg.data)} bytes and a step of {msg.step} are no {msg.encoding} image of '
            f'{msg.width}x{msg.height}')
    depth: NDArray[Any] = np.ndarray(
        (msg.height, msg.width), dtype, msg.data, 0, (msg.step, dtype.itemsize))
    return depth if dtype.isnative else depth.astype(dtype.newbyteorder('='))


def info_key(info: Any) -> tuple[Any, ...]:
    """Return what makes one calibration differ from another."""
    roi = info.roi
    return (info.width, info.height, info.distortion_model, tuple(info.d), tuple(info.k),
            tuple(info.r), tuple(info.p), info.binning_x, info.binning_y, roi.x_offset,
            roi.y_offset, roi.width, roi.height)
