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
From ``sensor_msgs/CompressedImage`` (JPEG, PNG) to 8-bit pixels and back.

The size is read from the file's own header before anything is decoded, so that a few bytes can't
ask for gigabytes. The ``format`` field follows compressed_image_transport
(ros-perception/image_transport_plugins): ``jpeg``, ``png``, or
``rgb8; jpeg compressed bgr8``: the camera's encoding, the codec, and the order in which the
channels went into the encoder.
"""

from __future__ import annotations

from array import array
import functools
import os
import re
import threading
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.image_io import image_size, MAX_PIXELS, png_problem, PNG_SIGNATURE
from ros2_classify.ros.messages.encodings import to_8_bits
from ros2_classify.ros.messages.image import check_pixels, demosaic, ImageError

# Seconds from one line of the libraries to the next one that is shown.
PAUSE = 10.0

# The warnings of libjpeg (jerror.h, JWRN_*), of libpng (pngerror.c), and OpenCV's own log.
_LINE = re.compile(
    rb'libpng (?:warning|error): |Corrupt JPEG data: |Premature end of JPEG file'
    rb'|Unknown Adobe color transform|Inconsistent progression sequence'
    rb'|Warning: unknown JFIF revision|Invalid SOS parameters'
    rb'|Application transferred too many scanlines|\[ ?(?:WARN|ERROR|INFO|DEBUG):\d+@')

# Two threads that redirect the descriptor at once would leave it redirected.
_LOCK = threading.Lock()
_next_line = 0.0


def decode(data: bytes) -> NDArray[Any] | None:
    """
    Decode an image.

    Parameters
    ----------
    data : bytes
        A JPEG or PNG file.

    Returns
    -------
    ndarray of uint8 or uint16, shape (height, width) or (height, width, channels), or None
        What ``cv2.imdecode`` returns with ``IMREAD_UNCHANGED``.

    Raises
    ------
    cv2.error
        If OpenCV raises it.

    """
    with _LOCK:
        try:
            caught = _memory()
            real = os.dup(2)
        except OSError:
            # There is no descriptor 2, or none is left: nothing to keep clean.
            return _decode(data)
        try:
            os.dup2(caught, 2)
            try:
                return _decode(data)
            finally:
                os.dup2(real, 2)
                _pass_on(caught)
        finally:
            os.close(real)


def _decode(data: bytes) -> NDArray[Any] | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@functools.lru_cache(maxsize=None)
def _memory() -> int:
    """Return a file in memory; one for the process."""
    return os.memfd_create('decoder')


def _pass_on(caught: int) -> None:
    """Write what was caught, but only one line of the libraries in a while."""
    global _next_line
    size = os.fstat(caught).st_size
    if not size:
        return
    said = os.pread(caught, size, 0)
    os.ftruncate(caught, 0)
    os.lseek(caught, 0, os.SEEK_SET)
    shown = []
    for line in said.splitlines(keepends=True):
        if _LINE.match(line):
            if time.monotonic() < _next_line:
                continue
            _next_line = time.monotonic() + PAUSE
        shown.append(line)
    if shown:
        os.write(2, b''.join(shown))


_JPEG_END = b'\xff\xd9'
_COLORS = {1: 'mono', 3: 'bgr', 4: 'bgra'}


def to_array(msg: Any, max_pixels: int = MAX_PIXELS) -> tuple[NDArray[np.uint8], str]:
    """
    Decode a compressed image message.

    Parameters
    ----------
    msg : sensor_msgs.msg.CompressedImage
        JPEG or PNG, 8 or 16 bits, grey or colour, with or without alpha; the bytes decide, not
        the field ``format``. Rotation marks (EXIF) are not followed, as in
        compressed_image_transport.
    max_pixels : int
        Larger images are refused before they are decoded.

    Returns
    -------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3 or 4)
        The image.
    color : str
        ``mono``, ``rgb``, ``bgr`` or ``bgra``.

    Raises
    ------
    ImageError
        If the data is neither JPEG nor PNG, cut off, damaged, empty or too large.

    """
    data = bytes(msg.data)
    width, height = image_size(data)
    check_pixels(width, height, max_pixels)
    name = 'PNG' if data.startswith(PNG_SIGNATURE) else 'JPEG'
    if name == 'PNG':
        if problem := png_problem(data):
            raise ImageError(f'the PNG of {width}x{height} is {problem}')
    # Older OpenCV fills what is missing with grey and says nothing.
    elif data.rfind(_JPEG_END) < 0:
        raise ImageError(
            f'the JPEG of {width}x{height} is cut off: its end is missing after {len(data)} '
            'bytes')
    try:
        pixels = decode(data)
    except cv2.error as error:
        raise ImageError(f'the {name} of {width}x{height} cannot be decoded: {error}') from error
    if pixels is None:
        raise ImageError(f'the {name} of {width}x{height} is damaged and cannot be decoded')
    return _to_8_bit_color(pixels, msg.format)


def to_compressed_msg(
        pixels: NDArray[np.uint8], header: Any, codec: str = 'jpeg', jpeg_quality: int = 90,
        png_level: int = 1) -> Any:
    """
    Make a compressed image message.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        The image, grey or BGR.
    header : std_msgs.msg.Header
        Goes into the message as it is.
    codec : str
        ``jpeg`` or ``png``.
    jpeg_quality : int
        1 to 100.
    png_level : int
        0 (fast) to 9 (small).

    Returns
    -------
    sensor_msgs.msg.CompressedImage
        The message.

    Raises
    ------
    ImageError
        If the codec is another one, or the encoder refuses the image.

    """
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
    # The last word names the channels' order, which a grey image has none of.
    order = '' if pixels.ndim == 2 else 'bgr8'
    msg = CompressedImage(header=header, format=f'{encoding}; {codec} compressed {order}')
    # Filled as in to_image_msg, and for the same reason.
    content = array('B')
    content.frombytes(np.ascontiguousarray(data).data.cast('B'))
    msg.data = content
    return msg


def _to_8_bit_color(pixels: NDArray[Any], fmt: str) -> tuple[NDArray[np.uint8], str]:
    """Bring decoded pixels to 8 bits and name their channels, as ``format`` asks."""
    camera, _, rest = fmt.partition(';')
    bayer = re.fullmatch(r'(bayer_(?:rggb|bggr|gbrg|grbg))(?:8|16)', camera.strip())
    # A PNG of a Bayer camera holds the mosaic itself; a JPEG says "mono8" and is grey already.
    if bayer and pixels.ndim == 2 and 'mono' not in rest:
        return demosaic(pixels, bayer[1]), 'bgr'
    if pixels.dtype == np.uint16:
        pixels = to_8_bits(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ImageError(
            f'the decoded image is {pixels.dtype} with shape {pixels.shape}; 8 or 16 bits and '
            '1, 3 or 4 channels are needed')
    color = _COLORS.get(1 if pixels.ndim == 2 else pixels.shape[2])
    if color is None:
        raise ImageError(f'the decoded image has {pixels.shape[2]} channels, not 1, 3 or 4')
    # Some senders hand RGB to an encoder that takes BGR, and say so.
    if color == 'bgr' and 'compressed rgb' in rest:
        color = 'rgb'
    return pixels, color
