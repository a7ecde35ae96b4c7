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

"""8-bit pixels and ids to ``sensor_msgs/Image``; `sources.image_messages` reads them."""

from __future__ import annotations

from array import array
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.sources.image_messages import (
    demosaic, ENCODINGS, ImageError, Scale, to_array, to_bgr, to_ids)

__all__ = [
    'demosaic', 'ENCODINGS', 'ImageError', 'Scale', 'to_array', 'to_bgr', 'to_ids', 'to_ids_msg',
    'to_image_msg']


def to_image_msg(pixels: NDArray[np.uint8], encoding: str, header: Any) -> Any:
    """Return a message with a copy of the pixels, in an 8-bit encoding such as ``bgr8``."""
    from sensor_msgs.msg import Image

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
