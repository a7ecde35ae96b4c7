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
Images as messages: written, their two transports, and depth images where they are.

`sources.image_messages` reads them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from ros2_classify.errors import InputError
from ros2_classify.ros.messages.bridge import Bridge
from ros2_classify.sources.image_messages import (
    compressed_to_array, ENCODINGS, ImageError, Scale, to_array)
from sensor_msgs.msg import CompressedImage, Image


def to_image_msg(pixels: NDArray[np.uint8], encoding: str, header: Any) -> Any:
    """Return a message with a copy of the pixels, in an 8-bit encoding such as ``bgr8``."""
    found = ENCODINGS.get(encoding)
    if found is None or found.convert is not None:
        plain = ', '.join(name for name, other in ENCODINGS.items() if other.convert is None)
        raise ImageError(f'cannot write encoding {encoding!r}; use one of: {plain}')
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels != found.channels:
        raise ImageError(
            f'an array of {pixels.dtype} with shape {pixels.shape} does not fit {encoding}: it '
            f'takes uint8 with {found.channels} channel(s)')
    msg = Image()
    msg.header = header
    msg.height, msg.width = pixels.shape[:2]
    msg.encoding = encoding
    msg.is_bigendian = 0
    msg.step = msg.width * found.channels
    # The only fast way to fill the field: rclpy checks any other type element by element.
    data = array('B')
    data.frombytes(np.ascontiguousarray(pixels).data.cast('B'))
    msg.data = data
    return msg


def to_ids_msg(ids: NDArray[np.uint8] | NDArray[np.uint16], header: Any) -> Any:
    """Return a ``mono8`` or ``mono16`` message whose pixels are ids of objects or classes."""
    # The bytes of a 16-bit image are an 8-bit one, twice as wide.
    msg = to_image_msg(np.ascontiguousarray(ids).view(np.uint8), 'mono8', header)
    if ids.dtype == np.uint16:
        msg.encoding, msg.width = 'mono16', ids.shape[1]
        msg.is_bigendian = int(sys.byteorder == 'big')
    return msg


def to_compressed_msg(
        pixels: NDArray[np.uint8], header: Any, codec: str = 'jpeg', jpeg_quality: int = 90,
        png_level: int = 1) -> Any:
    """Return a grey or BGR image as ``jpeg`` (quality 1 to 100) or ``png`` (level 0 to 9)."""
    options = {'jpeg': ('.jpg', [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]),
               'png': ('.png', [cv2.IMWRITE_PNG_COMPRESSION, png_level])}
    if codec not in options:
        raise ImageError(f'unknown codec {codec!r}; use one of: {", ".join(options)}')
    suffix, settings = options[codec]
    try:
        done, data = cv2.imencode(suffix, pixels, settings)
    except cv2.error as error:
        raise ImageError(f'the image cannot be encoded as {codec}: {error.err}') from error
    if not done:
        raise ImageError(
            f'the image of {pixels.shape[1]}x{pixels.shape[0]} cannot be encoded as {codec}')
    encoding = 'mono8' if pixels.ndim == 2 else 'bgr8'
    # The last word is the order of the channels; a grey image has none.
    order = '' if pixels.ndim == 2 else 'bgr8'
    msg = CompressedImage(header=header, format=f'{encoding}; {codec} compressed {order}')
    # Filled as in to_image_msg, and for the same reason.
    content = array('B')
    content.frombytes(np.ascontiguousarray(data).data.cast('B'))
    msg.data = content
    return msg


@dataclass(frozen=True)
class Transport:
    """A message type, the suffix of its topics, and how its messages become 8-bit pixels."""

    msg_type: type
    suffix: str
    to_array: Callable[[Any, int, Scale, Bridge], tuple[NDArray[Any], str]]

    @property
    def type_name(self) -> str:
        """The message type as ROS names it."""
        return f'sensor_msgs/msg/{self.msg_type.__name__}'


TRANSPORTS = {
    'raw': Transport(Image, '', to_array),
    'compressed': Transport(CompressedImage, '/compressed', compressed_to_array),
}
IMAGE_TYPES = {transport.type_name: name for name, transport in TRANSPORTS.items()}


def resolve_image_topic(node: Node, suffix: str, base: str = 'image') -> str:
    """
    Return the full name of an image topic after remapping, as image_transport does.

    The suffix follows a remapped base: ``image:=/cam/image_raw`` gives
    ``/cam/image_raw/compressed``. A remapping of ``image/compressed`` itself has priority.
    """
    own = base + suffix
    remapped = node.resolve_topic_name(own)
    if not suffix or remapped != node.resolve_topic_name(own, only_expand=True):
        return remapped
    return node.resolve_topic_name(base) + suffix


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
