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
The encodings of ``sensor_msgs/Image``: what their bytes mean, and how they become 8-bit pixels.

Names and layouts: ``sensor_msgs/image_encodings.hpp`` of ros2/common_interfaces; the YUV layouts
are those of the Linux kernel's V4L2 documentation that this header refers to. Easy to get wrong:

* OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row's
  first two, so that ROS's RGGB is OpenCV's BG (and RG, GB, GR follow).
* cv_bridge brings 16 bits to 8 by ``255 / 65535``, rounded, and converts colours before that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Encoding:
    """
    How to read one encoding.

    ``convert`` turns an array ``[height, width, channels]`` of the encoding's own type, in native
    byte order, into 8-bit pixels of ``color``; None if the bytes are such pixels already.
    ``channels`` and ``bits`` describe the (first) plane. ``even_width``, ``even_height``: columns
    or rows share chroma. ``chroma_strides``: a row of the second plane takes this many times
    ``step``: 1 with half as many rows (4:2:0), 2 with as many rows (4:4:4), 0 without one.
    ``bridge``: the 8-bit encoding to request from cv_bridge, empty if it can't convert this one.
    """

    color: str
    channels: int
    bits: int = 8
    convert: Callable[[Pixels], Pixels] | None = None
    even_width: bool = False
    even_height: bool = False
    chroma_strides: int = 0
    bridge: str = ''

    @property
    def pixel_bytes(self) -> int:
        """Bytes per pixel in the first plane."""
        return self.channels * self.bits // 8


def to_8_bits(pixels: Pixels) -> Pixels:
    """Bring 16-bit numbers to 8 bits as cv_bridge does: times 255 / 65535, rounded."""
    return cv2.convertScaleAbs(pixels, alpha=255 / 65535)


def _color_code(code: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _bayer_16(code: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: to_8_bits(cv2.cvtColor(pixels, code))


# ITU-R BT.601, limited range (Y 16..235, chroma 16..240), to B, G, R: the matrix behind OpenCV's
# own YUV 4:2:x codes. OpenCV has none for 4:4:4 in this range.
_YUV_TO_BGR = np.array([[1.164, 2.018, 0.0], [1.164, -0.391, -0.813], [1.164, 0.0, 1.596]])
_YUV_TO_BGR = np.hstack([_YUV_TO_BGR, _YUV_TO_BGR @ [[-16.0], [-128.0], [-128.0]]])


def _nv24(planes: Pixels) -> Pixels:
    """Convert rows of Y followed by as many pairs of rows that hold U, V, U, V ..."""
    height, width = planes.shape[0] // 3, planes.shape[1]
    chroma = planes[height:].reshape(height, width, 2)
    return cv2.transform(np.dstack([planes[:height, :, None], chroma]), _YUV_TO_BGR)


def _table() -> dict[str, Encoding]:
    table = {
        'mono8': Encoding('mono', 1),
        'rgb8': Encoding('rgb', 3),
        'bgr8': Encoding('bgr', 3),
        'rgba8': Encoding('rgba', 4),
        'bgra8': Encoding('bgra', 4),
        # Types without a colour space: OpenCV's own order is the only sensible reading.
        '8UC1': Encoding('mono', 1),
        '8UC3': Encoding('bgr', 3),
        '8UC4': Encoding('bgra', 4),
        'mono16': Encoding('mono', 1, 16, to_8_bits, bridge='mono8'),
        'rgb16': Encoding('rgb', 3, 16, to_8_bits, bridge='rgb8'),
        'bgr16': Encoding('bgr', 3, 16, to_8_bits, bridge='bgr8'),
        'rgba16': Encoding('rgba', 4, 16, to_8_bits, bridge='rgba8'),
        'bgra16': Encoding('bgra', 4, 16, to_8_bits, bridge='bgra8'),
        '16UC1': Encoding('mono', 1, 16, to_8_bits),
        '16UC3': Encoding('bgr', 3, 16, to_8_bits),
        '16UC4': Encoding('bgra', 4, 16, to_8_bits),
    }
    for pattern, code in (
            ('rggb', cv2.COLOR_BayerBG2BGR), ('bggr', cv2.COLOR_BayerRG2BGR),
            ('gbrg', cv2.COLOR_BayerGR2BGR), ('grbg', cv2.COLOR_BayerGB2BGR)):
        table[f'bayer_{pattern}8'] = Encoding('bgr', 1, 8, _color_code(code), bridge='bgr8')
        table[f'bayer_{pattern}16'] = Encoding('bgr', 1, 16, _bayer_16(code), bridge='bgr8')
    # cv_bridge knows only the older two of the four names.
    for name, code, bridge in (
            ('yuv422', cv2.COLOR_YUV2BGR_UYVY, 'bgr8'), ('uyvy', cv2.COLOR_YUV2BGR_UYVY, ''),
            ('yuv422_yuy2', cv2.COLOR_YUV2BGR_YUY2, 'bgr8'), ('yuyv', cv2.COLOR_YUV2BGR_YUY2, '')):
        table[name] = Encoding(
            'bgr', 2, 8, _color_code(code), even_width=True, bridge=bridge)
    for name, code in (('nv12', cv2.COLOR_YUV2BGR_NV12), ('nv21', cv2.COLOR_YUV2BGR_NV21)):
        table[name] = Encoding(
            'bgr', 1, 8, _color_code(code), even_width=True, even_height=True, chroma_strides=1)
    table['nv24'] = Encoding('bgr', 1, 8, _nv24, chroma_strides=2)
    return table


ENCODINGS = _table()
