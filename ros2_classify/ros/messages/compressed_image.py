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

"""8-bit pixels to ``sensor_msgs/CompressedImage``; `compressed_messages` reads them."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.image_io import image_size
from ros2_classify.sources.compressed_messages import to_array
from ros2_classify.sources.image_messages import ImageError

__all__ = ['image_size', 'to_array', 'to_compressed_msg']


def to_compressed_msg(
        pixels: NDArray[np.uint8], header: Any, codec: str = 'jpeg', jpeg_quality: int = 90,
        png_level: int = 1) -> Any:
    """Return a grey or BGR image as ``jpeg`` (quality 1 to 100) or ``png`` (level 0 to 9)."""
    from sensor_msgs.msg import CompressedImage

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
