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

"""Read and write image files with OpenCV; errors name the file."""

from __future__ import annotations

import os
from pathlib import Path
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError

# 64 Mpixel: twice an 8K camera's image.
MAX_PIXELS = 1 << 26

# An image of the largest size, in the smallest chunks that encoders write, has far fewer.
_MAX_CHUNKS = 1 << 17

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
JPEG_START = b'\xff\xd8'


def image_size(data: bytes | memoryview) -> tuple[int, int]:
    """Read width and height from the header of a JPEG or PNG file."""
    start = bytes(data[:8])
    if start == PNG_SIGNATURE:
        # PNG specification, section 11.2.1: IHDR is first and begins with width and height.
        if len(data) < 24 or data[12:16] != b'IHDR':
            raise InputError(f'the PNG of {len(data)} bytes has no complete header')
        return int.from_bytes(data[16:20], 'big'), int.from_bytes(data[20:24], 'big')
    if start.startswith(JPEG_START):
        return _jpeg_size(data)
    if not data:
        raise InputError('data is empty; a JPEG or PNG file is needed')
    raise InputError(
        f'data starts with {start.hex(" ")}, but must be JPEG or PNG; change the format of '
        'the sender')


def png_problem(data: bytes | memoryview) -> str:
    """
    Return what is wrong with the chunks of a PNG: length or checksum; empty if nothing.

    OpenCV allocates the declared size of a chunk, up to 4 GB, before it reads its bytes, and
    libpng writes to the terminal about each damaged chunk.
    """
    # PNG specification, section 5.3: length, type, data, checksum.
    at, view = len(PNG_SIGNATURE), memoryview(data)
    for _ in range(_MAX_CHUNKS):
        left = len(data) - at - 12
        if left < 0:
            return f'cut off: its end is missing after {len(data)} bytes'
        length, kind = int.from_bytes(data[at:at + 4], 'big'), bytes(data[at + 4:at + 8])
        if length > left:
            return f'cut off or damaged: a chunk declares {length} bytes, but {left} are left'
        end = at + 8 + length
        if zlib.crc32(view[at + 4:end]) != int.from_bytes(data[end:end + 4], 'big'):
            return (f'damaged: the checksum of the chunk {kind.decode("latin-1")!r} at byte {at} '
                    'is wrong')
        if kind == b'IEND':
            return ''
        at += 12 + length
    return f'damaged: it has more than {_MAX_CHUNKS} chunks'


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Walk the markers up to the frame header (ITU-T T.81, B.1.1 and B.2.2)."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        # SOF0 .. SOF15, except DHT (C4), JPG (C8) and DAC (CC)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if at + 9 > len(data):
                break
            height = int.from_bytes(data[at + 5:at + 7], 'big')
            return int.from_bytes(data[at + 7:at + 9], 'big'), height
        if marker in (0xD9, 0xDA):  # the image's end or its data, without a size
            break
        at += 2 + max(2, int.from_bytes(data[at + 2:at + 4], 'big'))
    raise InputError(f'the JPEG of {len(data)} bytes has no complete header')


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """
    Read an image.

    Parameters
    ----------
    path : str or Path
        A file in any format that OpenCV reads: JPEG, PNG, BMP, WebP, TIFF and others. ``~`` is
        expanded.
    max_pixels : int
        Maximum width times height; JPEG and PNG are checked before decoding.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        In the order blue, green, red. Grey images get three channels, transparency is dropped,
        16-bit images are scaled to 8 bits, and the EXIF orientation is applied, as ``cv2.imread``
        does by default.

    Raises
    ------
    InputError
        If there is no such file, it can't be read as an image, or is too large.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from ros2_classify import read_image, write_image
    >>> with TemporaryDirectory() as directory:
    ...     write_image(Path(directory) / 'blue.png', np.full((2, 3, 3), (255, 0, 0), np.uint8))
    ...     image = read_image(Path(directory) / 'blue.png')
    >>> image.shape, image[0, 0].tolist()
    ((2, 3, 3), [255, 0, 0])

    """
    # Unlike Path.expanduser, this leaves the ~ of an unknown user for the error below.
    path = Path(os.path.expanduser(path))
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except IsADirectoryError as error:
        raise InputError(f'{path} is a directory, not an image') from error
    except OSError as error:
        raise InputError(f'the image {path} cannot be read: {error.strerror}') from error
    image = None
    if data.size:
        _check_header(path, data, max_pixels)
        try:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise InputError(f'the image {path} cannot be decoded: {error.err}') from error
    if image is None:
        raise InputError(
            f'{path} ({data.size} bytes) cannot be read as an image by OpenCV; use JPEG, PNG, '
            'BMP, WebP or TIFF, or get an undamaged file')
    _check_size(path, image.shape[1], image.shape[0], max_pixels)
    return np.asarray(image, dtype=np.uint8)


def _check_header(path: Path, data: NDArray[np.uint8], max_pixels: int) -> None:
    """Refuse a JPEG or PNG that is too large or truncated."""
    if not data[:8].tobytes().startswith((PNG_SIGNATURE, JPEG_START)):
        return
    content = data.data.cast('B')
    try:
        width, height = image_size(content)
        problem = png_problem(content) if content[:8] == PNG_SIGNATURE else ''
        if problem:
            raise InputError(f'the PNG is {problem}')
    except InputError as error:
        raise InputError(f'{path} ({data.size} bytes) is not a valid image: {error}') from error
    _check_size(path, width, height, max_pixels)


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(
            f'the image {path} of {width}x{height} has more than the {max_pixels} pixels that '
            'are allowed; make it smaller')


def check_writable(path: str | Path) -> Path:
    """Check that an image can be written to a path, before any work is done for it."""
    path = Path(os.path.expanduser(path))
    if not os.path.isdir(path.parent):
        raise InputError(
            f'{path} cannot be written: there is no directory {path.parent}; create it')
    if os.path.isdir(path):
        raise InputError(f'{path} cannot be written: it is a directory; add a file name')
    try:
        known = bool(path.suffix) and cv2.haveImageWriter(path.name)
    except cv2.error:
        known = False
    if not known:
        raise InputError(
            f'{path} cannot be written: the suffix {path.suffix!r} is not an image format of '
            'OpenCV; use .png or .jpg')
    return path


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """
    Write an image.

    Parameters
    ----------
    path : str or Path
        The file; its suffix chooses the format.
    image : ndarray of uint8, shape (height, width, 3)
        In the order blue, green, red.

    Raises
    ------
    InputError
        If the file can't be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from ros2_classify import read_image, write_image
    >>> with TemporaryDirectory() as directory:
    ...     write_image(Path(directory) / 'blue.png', np.full((2, 3, 3), (255, 0, 0), np.uint8))
    ...     image = read_image(Path(directory) / 'blue.png')
    >>> image.shape, image[0, 0].tolist()
    ((2, 3, 3), [255, 0, 0])

    """
    path = check_writable(path)
    try:
        done, data = cv2.imencode(path.suffix, image)
        if not done:
            raise InputError(f'{path} cannot be written: OpenCV could not encode the image')
        path.write_bytes(data.tobytes())
    except cv2.error as error:
        raise InputError(f'{path} cannot be written: {error.err}') from error
    except OSError as error:
        raise InputError(f'{path} cannot be written: {error.strerror}') from error
