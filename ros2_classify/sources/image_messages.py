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
Messages with the fields of ``sensor_msgs/Image`` and ``CompressedImage`` to 8-bit pixels.

Images that are 8-bit mono, RGB, BGR, RGBA or BGRA are not copied: the array is a read-only view of
the message's bytes, row padding included. Every other encoding is converted by OpenCV, or by
cv_bridge if a `Bridge` says so, with the same results.

The size of a JPEG or PNG is read from its own header before anything is decoded, so that a few
bytes can't ask for gigabytes. Its ``format`` follows compressed_image_transport
(ros-perception/image_transport_plugins): ``jpeg``, ``png``, or ``rgb8; jpeg compressed bgr8``: the
camera's encoding, the codec, and the order in which the channels went into the encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import re
import sys
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError
from ros2_classify.image_io import (
    decode_jpeg, file_in_pixels, image_size, MAX_PIXELS, pixel_chunks, png_problem, PNG_SIGNATURE)
from ros2_classify.input_range import scale

Pixels = NDArray[Any]
# Brings 16-bit numbers to 8 bits.
Scale = Callable[[Pixels], NDArray[np.uint8]]


class Bridge(Protocol):
    """What else may convert images: cv_bridge."""

    def convert(self, msg: Any, encoding: str) -> NDArray[np.uint8] | None:
        """Return the pixels in this encoding; None if the bridge isn't used for it."""

    def convert_unknown(self, msg: Any) -> NDArray[np.uint8] | None:
        """Return the BGR pixels of an encoding that only the bridge may know."""


@dataclass(frozen=True)
class Encoding:
    """
    How to read one encoding.

    ``convert`` turns an array ``[height, width, channels]`` of the encoding's own type, in native
    byte order, into pixels of ``color`` with as many bits; None if the bytes are 8-bit pixels.
    ``channels`` and ``bits`` describe the (first) plane. ``even_width``, ``even_height``: columns
    or rows share chroma. ``chroma_strides``: a row of the second plane takes this many times
    ``step``: 1 with half as many rows (4:2:0), 2 with as many rows (4:4:4), 0 without one.
    ``planar``: the second plane is two, each with half as long rows.
    ``bridge``: the 8-bit encoding to request from cv_bridge, empty if it can't convert this one.
    """

    color: str
    channels: int
    bits: int = 8
    convert: Callable[[Pixels], Pixels] | None = None
    even_width: bool = False
    even_height: bool = False
    chroma_strides: int = 0
    planar: bool = False
    bridge: str = ''

    @property
    def pixel_bytes(self) -> int:
        """Bytes per pixel in the first plane."""
        return self.channels * self.bits // 8


def _as_they_are(pixels: Pixels) -> Pixels:
    return pixels


def _color_code(code: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: cv2.cvtColor(pixels, code)


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
        'mono16': Encoding('mono', 1, 16, _as_they_are, bridge='mono8'),
        'rgb16': Encoding('rgb', 3, 16, _as_they_are, bridge='rgb8'),
        'bgr16': Encoding('bgr', 3, 16, _as_they_are, bridge='bgr8'),
        'rgba16': Encoding('rgba', 4, 16, _as_they_are, bridge='rgba8'),
        'bgra16': Encoding('bgra', 4, 16, _as_they_are, bridge='bgra8'),
        '16UC1': Encoding('mono', 1, 16, _as_they_are),
        '16UC3': Encoding('bgr', 3, 16, _as_they_are),
        '16UC4': Encoding('bgra', 4, 16, _as_they_are),
    }
    for pattern, code in (
            ('rggb', cv2.COLOR_BayerBG2BGR), ('bggr', cv2.COLOR_BayerRG2BGR),
            ('gbrg', cv2.COLOR_BayerGR2BGR), ('grbg', cv2.COLOR_BayerGB2BGR)):
        table[f'bayer_{pattern}8'] = Encoding('bgr', 1, 8, _color_code(code), bridge='bgr8')
        table[f'bayer_{pattern}16'] = Encoding('bgr', 1, 16, _color_code(code), bridge='bgr8')
    # cv_bridge knows only the older two of the four names.
    for name, code, bridge in (
            ('yuv422', cv2.COLOR_YUV2BGR_UYVY, 'bgr8'), ('uyvy', cv2.COLOR_YUV2BGR_UYVY, ''),
            ('yuv422_yuy2', cv2.COLOR_YUV2BGR_YUY2, 'bgr8'), ('yuyv', cv2.COLOR_YUV2BGR_YUY2, '')):
        table[name] = Encoding(
            'bgr', 2, 8, _color_code(code), even_width=True, bridge=bridge)
    for name, code in (('nv12', cv2.COLOR_YUV2BGR_NV12), ('nv21', cv2.COLOR_YUV2BGR_NV21)):
        table[name] = Encoding(
            'bgr', 1, 8, _color_code(code), even_width=True, even_height=True, chroma_strides=1)
    # Three planes one after the other; `step` is that of Y, and half of it that of the other two
    # (Video for Linux API, planar YUV formats). YV12 has V before U.
    for name, code in (('i420', cv2.COLOR_YUV2BGR_I420), ('yuv420', cv2.COLOR_YUV2BGR_I420),
                       ('yv12', cv2.COLOR_YUV2BGR_YV12)):
        table[name] = Encoding('bgr', 1, 8, _color_code(code), even_width=True, even_height=True,
                               chroma_strides=1, planar=True)
    table['nv24'] = Encoding('bgr', 1, 8, _nv24, chroma_strides=2)
    return table


ENCODINGS = _table()

# As some drivers write them; yuv420p is the name in FFmpeg.
_OTHER_NAMES = {'NV12': 'nv12', 'YUV420': 'yuv420', 'yuv420p': 'yuv420', 'I420': 'i420'}

# Characters of an encoding's name that an error shows.
_MAX_NAME = 40

# An image this narrow or flat has no complete Bayer cell to interpolate from.
_MIN_BAYER_SIDE = 3

_CHANNELS = {'mono': 1, 'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}


class ImageError(InputError):
    """An image message is invalid; the text says which field is wrong, and how."""


class UnknownEncodingError(ImageError):
    """The name stands for nothing that this package knows."""


def to_array(msg: Any, max_pixels: int = MAX_PIXELS,
             to_8_bits: Scale = scale,
             bridge: Bridge | None = None) -> tuple[NDArray[np.uint8], str]:
    """
    Return the 8-bit pixels and their colour order: ``mono``, ``rgb``, ``bgr``, ``rgba``, ``bgra``.

    The pixels are a read-only view of ``msg.data`` if nothing has to be converted. Rows may be
    padded (``step``), 16-bit numbers, which ``to_8_bits`` scales, may have either byte order,
    bytes after the last pixel are ignored, and the last row needs no padding (a crop of a larger
    image). Raises ImageError if the fields contradict each other, or the image is empty or larger
    than ``max_pixels``. ``bridge`` may convert with cv_bridge.
    """
    try:
        encoding = _lookup(msg.encoding)
    except UnknownEncodingError:
        pixels = None if bridge is None else _by_bridge_alone(msg, max_pixels, bridge)
        if pixels is None:
            raise
        return pixels, 'bgr'
    _refuse_compressed(msg)
    _check_layout(msg, encoding, max_pixels)
    planes = _planes(msg, encoding)
    if encoding.convert is None:
        planes.flags.writeable = False
        return planes, encoding.color
    # cv_bridge wants every row padded and, with NumPy 2, the machine's own byte order.
    wide = encoding.bits > 8
    usual = _is_native(msg) and (to_8_bits is scale or not wide)
    if bridge and encoding.bridge and usual and len(msg.data) == msg.step * msg.height:
        converted = bridge.convert(msg, encoding.bridge)
        if converted is not None:
            return converted, encoding.color
    pixels = encoding.convert(planes)
    return to_8_bits(pixels) if wide else pixels, encoding.color


def to_ids(msg: Any, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the ids of objects or classes of a ``mono8`` or ``mono16`` message, unscaled."""
    if msg.encoding not in ('mono8', 'mono16'):
        raise ImageError(
            f'encoding {msg.encoding!r} contains no ids of objects or classes; use mono8 or '
            'mono16')
    encoding = _lookup(msg.encoding)
    _check_layout(msg, encoding, max_pixels)
    return _planes(msg, encoding)


def to_bgr(pixels: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    """Return an image of any colour order as BGR: a new array, or the image itself."""
    codes = {'mono': cv2.COLOR_GRAY2BGR, 'rgb': cv2.COLOR_RGB2BGR,
             'rgba': cv2.COLOR_RGBA2BGR, 'bgra': cv2.COLOR_BGRA2BGR}
    return pixels if color == 'bgr' else np.asarray(
        cv2.cvtColor(pixels, codes[color]), np.uint8)


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError if an image of this size is empty or larger than allowed."""
    if width < 1 or height < 1:
        raise ImageError(f'the image has no pixels: its size is {width}x{height}')
    if width * height > max_pixels:
        raise ImageError(
            f'the image of {width}x{height} has more than the {max_pixels} pixels allowed; '
            'raise the parameter max_image_pixels to accept it')


def demosaic(mosaic: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the BGR image of a Bayer mosaic; ``name`` is its ROS encoding without the bits."""
    if min(mosaic.shape) < _MIN_BAYER_SIDE:
        raise ImageError(
            f'a Bayer image of {mosaic.shape[1]}x{mosaic.shape[0]} is too small: both sides '
            f'need {_MIN_BAYER_SIDE} pixels')
    convert = ENCODINGS[f'{name}{mosaic.dtype.itemsize * 8}'].convert
    assert convert is not None
    return convert(mosaic)


def _lookup(name: str) -> Encoding:
    encoding = ENCODINGS.get(_OTHER_NAMES.get(name, name))
    if encoding is not None:
        return encoding
    if name.startswith(('32F', '64F', '16S', '32S', '8S')):
        raise ImageError(
            f'encoding {name[:_MAX_NAME]!r} contains measurements (depth, disparity), not '
            'colours; use a colour or grey image')
    shown = name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + '...'
    if re.match('(jpe?g|png|mjpe?g|h26[45]|hevc)', name, re.IGNORECASE):
        raise ImageError(
            f'encoding {shown!r} is a compressed format, not pixels: have the sender publish it '
            'as sensor_msgs/CompressedImage (JPEG or PNG), and set image_transport to compressed')
    # Another spelling, never another encoding: that would be read as garbage.
    plain = _spelled(name[:_MAX_NAME])
    hint = ''.join(f'did you mean {each!r}? ' for each in ENCODINGS if _spelled(each) == plain)
    raise UnknownEncodingError(
        f'unknown encoding {shown!r}; {hint}supported are: {", ".join(ENCODINGS)}')


def _spelled(name: str) -> str:
    return re.sub('[^a-z0-9]', '', name.lower())


def _refuse_compressed(msg: Any) -> None:
    """Name a JPEG or PNG file in the place of pixels; its size is in its header."""
    data = memoryview(msg.data)
    name = file_in_pixels(data)
    if not name:
        return
    width, height = image_size(data)
    raise ImageError(
        f'data is a {name} of {width}x{height}, not {msg.encoding} pixels: have the sender '
        'publish it as sensor_msgs/CompressedImage, and set image_transport to compressed')


def _check_layout(msg: Any, encoding: Encoding, max_pixels: int) -> None:
    """Raise ImageError unless the message's fields agree with each other."""
    width, height, step = msg.width, msg.height, msg.step
    check_pixels(width, height, max_pixels)
    what = f'{msg.encoding} image of {width}x{height}'
    if (encoding.even_width and width % 2) or (encoding.even_height and height % 2):
        sides = 'width and height' if encoding.even_height else 'width'
        raise ImageError(f'a {what} is impossible: its {sides} must be even')
    if msg.encoding.startswith('bayer') and min(width, height) < _MIN_BAYER_SIDE:
        raise ImageError(
            f'a {what} is too small: both sides need {_MIN_BAYER_SIDE} pixels')
    row_bytes = width * encoding.pixel_bytes
    if step < row_bytes:
        raise ImageError(
            f'step is {step}, but a row of a {what} takes {row_bytes} bytes; step is the '
            'distance in bytes between the starts of two rows')
    needed = step * (height - 1) + row_bytes
    if encoding.chroma_strides:
        strides = encoding.chroma_strides
        rows = height // 2 if strides == 1 else height
        needed = step * height + step * strides * (rows - 1) + row_bytes * strides
    if encoding.planar:
        if step % 2:
            raise ImageError(
                f'step is {step}, but must be even for a {what}: rows of U and V take half of it')
        needed = step * height + step // 2 * (height - 1) + width // 2
    if len(msg.data) < needed:
        raise ImageError(
            f'data has {len(msg.data)} bytes, but a {what} with step {step} takes {needed}')


def _planes(msg: Any, encoding: Encoding) -> NDArray[Any]:
    """Return the message's numbers as ``[rows, width(, channels)]`` in native byte order."""
    width, height, step = msg.width, msg.height, msg.step
    item = encoding.bits // 8
    dtype = np.dtype('u1' if item == 1 else '>u2' if msg.is_bigendian else '<u2')
    if encoding.chroma_strides:
        return _two_planes(msg, encoding)
    shape: tuple[int, ...] = (height, width)
    strides: tuple[int, ...] = (step, encoding.pixel_bytes)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, item)
    pixels: NDArray[Any] = np.ndarray(shape, dtype, msg.data, 0, strides)
    if item > 1 and (not dtype.isnative or step % item):
        return pixels.astype(np.uint16)
    return pixels


def _two_planes(msg: Any, encoding: Encoding) -> NDArray[np.uint8]:
    """Return a plane of Y and those of chroma as rows of ``width`` bytes, one below the other."""
    width, height, step = msg.width, msg.height, msg.step
    strides = encoding.chroma_strides
    if strides == 1 and (step == width or not encoding.planar):
        rows: NDArray[np.uint8] = np.ndarray(
            (height * 3 // 2, width), np.uint8, msg.data, 0, (step, 1))
        return rows
    luma = np.ndarray((height, width), np.uint8, msg.data, 0, (step, 1))
    row, length = (step // 2, width // 2) if encoding.planar else (step * strides, width * strides)
    chroma = np.ndarray((height, length), np.uint8, msg.data, step * height, (row, 1))
    return np.vstack([luma, chroma.reshape(-1, width)])


def _is_native(msg: Any) -> bool:
    return bool(msg.is_bigendian) == (sys.byteorder == 'big')


def _by_bridge_alone(msg: Any, max_pixels: int, bridge: Bridge) -> NDArray[np.uint8] | None:
    """Let cv_bridge convert what it alone may know; its fields are checked before."""
    check_pixels(msg.width, msg.height, max_pixels)
    whole = msg.step >= msg.width and len(msg.data) == msg.step * msg.height
    try:
        return bridge.convert_unknown(msg) if whole and _is_native(msg) else None
    except Exception as error:  # noqa: B902 - cv_bridge and OpenCV raise anything
        raise ImageError(f'cv_bridge cannot convert this {msg.encoding} image: {error}') from error


_COLORS = {1: 'mono', 3: 'bgr', 4: 'bgra'}


def compressed_to_array(
    msg: Any, max_pixels: int = MAX_PIXELS, to_8_bits: Scale = scale,
    bridge: Bridge | None = None,
) -> tuple[NDArray[np.uint8], str]:
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
