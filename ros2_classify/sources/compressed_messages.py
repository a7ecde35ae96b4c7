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
Messages with the fields of ``sensor_msgs/CompressedImage`` (JPEG, PNG) to 8-bit pixels.

The size is read from the file's own header before anything is decoded, so that a few bytes can't
ask for gigabytes. The ``format`` field follows compressed_image_transport
(ros-perception/image_transport_plugins): ``jpeg``, ``png``, or
``rgb8; jpeg compressed bgr8``: the camera's encoding, the codec, and the order in which the
channels went into the encoder.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.image_io import (
    decode_jpeg, image_size, MAX_PIXELS, pixel_chunks, png_problem, PNG_SIGNATURE)
from ros2_classify.input_range import scale
from ros2_classify.sources.image_messages import (
    Bridge, check_pixels, demosaic, ImageError, Scale)

_COLORS = {1: 'mono', 3: 'bgr', 4: 'bgra'}


def to_array(msg: Any, max_pixels: int = MAX_PIXELS,
             to_8_bits: Scale = scale,
             bridge: Bridge | None = None) -> tuple[NDArray[np.uint8], str]:
    """
    Return the 8-bit pixels and their colour order: ``mono``, ``rgb``, ``bgr`` or ``bgra``.

    The bytes decide whether it is JPEG or PNG, not the field ``format``. Rotation marks (EXIF) are
    ignored, as in compressed_image_transport. Raises ImageError for anything that is unsupported,
    cut off, damaged, empty or larger than ``max_pixels``. ``bridge`` has nothing to do here.
    """
    data = bytes(msg.data)
    width, height = image_size(data)
    check_pixels(width, height, max_pixels)
    name = 'PNG' if data.startswith(PNG_SIGNATURE) else 'JPEG'
    if name == 'PNG':
        if problem := png_problem(data):
            raise ImageError(f'the PNG of {width}x{height} is {problem}')
    try:
        pixels = decode_jpeg(data, cv2.IMREAD_UNCHANGED) if name == 'JPEG' else (
            cv2.imdecode(np.frombuffer(pixel_chunks(data), np.uint8), cv2.IMREAD_UNCHANGED))
    except cv2.error as error:
        raise ImageError(f'the {name} of {width}x{height} cannot be decoded: {error}') from error
    if pixels is None:
        raise ImageError(f'the {name} of {width}x{height} is damaged and cannot be decoded')
    return _to_8_bit_color(pixels, msg.format, to_8_bits)


def _to_8_bit_color(
        pixels: NDArray[Any], fmt: str, to_8_bits: Scale) -> tuple[NDArray[np.uint8], str]:
    """Convert decoded pixels to 8 bits and name their colour order, as ``format`` asks."""
    camera, _, rest = fmt.partition(';')
    bayer = re.fullmatch(r'(bayer_(?:rggb|bggr|gbrg|grbg))(?:8|16)', camera.strip())
    # A PNG of a Bayer camera contains the mosaic itself; a JPEG says "mono8" and is grey.
    if bayer and pixels.ndim == 2 and 'mono' not in rest:
        pixels = demosaic(pixels, bayer[1])
    if pixels.dtype == np.uint16:
        pixels = to_8_bits(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ImageError(
            f'the decoded image is {pixels.dtype} with shape {pixels.shape}; it must have '
            '8 or 16 bits and 1, 3 or 4 channels')
    color = _COLORS.get(1 if pixels.ndim == 2 else pixels.shape[2])
    if color is None:
        raise ImageError(f'the decoded image has {pixels.shape[2]} channels, not 1, 3 or 4')
    # Some senders pass RGB to an encoder that expects BGR, and say so.
    if color == 'bgr' and 'compressed rgb' in rest:
        color = 'rgb'
    return pixels, color
