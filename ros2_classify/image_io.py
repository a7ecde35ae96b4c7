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

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
import logging
import os
from pathlib import Path
import re
from typing import Any
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError
from ros2_classify.input_range import DepthReader, InputRange
from ros2_classify.limits import MAX_JPEG_SCANS, MIN_JPEG_SCANS, open_plain, open_to_write

_LOGGER = logging.getLogger(__name__)

# 64 Mpixel: twice an 8K camera's image.
MAX_PIXELS = 1 << 26

# An image of the largest size, in the smallest chunks that encoders write, has far fewer.
_MAX_CHUNKS = 1 << 17

# JPEGs one after the other: the first is not the whole.
VIDEO_SUFFIXES = ('.mjpeg', '.mjpg')

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
JPEG_START = b'\xff\xd8'
_JPEG_END = b'\xff\xd9'
_JPEG_SCAN = b'\xff\xda'
# SOF0 .. SOF15, except DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# In entropy-coded data, neither a stuffed zero, nor a restart, nor a fill byte.
_JPEG_MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]')
# Numbers in an image that is decoded twice at next to no cost.
_SMALL_JPEG = 1 << 16
_ALL_COEFFICIENTS = (1 << 64) - 1
# Arbitrary bytes, the first bit 1 (a decoder fills up with zeros), and no markers.
_JPEG_PROBE = b'\xb5' + np.random.default_rng(0).integers(0, 255, 8191, np.uint8).tobytes()


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


def file_in_pixels(data: bytes | memoryview) -> str:
    """Return JPEG or PNG if that is what is in the place of pixels, else nothing."""
    if bytes(data[:16]) == PNG_SIGNATURE + b'\0\0\0\x0dIHDR':
        return 'PNG'
    if bytes(data[:3]) != JPEG_START + b'\xff':
        return ''
    # Pixels may begin like this, but then tables, a frame and a scan don't follow.
    scans = _jpeg_scans(data)
    return 'JPEG' if scans.count and scans.coefficients else ''


def png_problem(data: bytes | memoryview) -> str:
    """
    Return what is wrong with a PNG's chunks: length or checksum; empty if nothing.

    OpenCV allocates a chunk's declared size, up to 4 GB; libpng writes about each damaged one.
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


def pixel_chunks(data: bytes | memoryview, *more: bytes) -> bytes | memoryview:
    """
    Return a PNG that `png_problem` found intact, without chunks that its pixels don't need.

    libpng unpacks texts and colour profiles of any number, up to 8 MB each, and keeps them.
    """
    wanted = {b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND', *more}
    at, begin, pieces = len(PNG_SIGNATURE), 0, []
    view = memoryview(data)
    while at < len(data):
        kind, end = bytes(view[at + 4:at + 8]), at + 12 + int.from_bytes(view[at:at + 4], 'big')
        if kind not in wanted:
            pieces.append(view[begin:at])
            begin = end
        if kind == b'IEND':
            pieces.append(view[begin:end])
            break
        at = end
    return b''.join(pieces) if begin else data


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Read the size from the frame header (ITU-T T.81, B.2.2)."""
    for marker, at in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            if at + 9 > len(data):
                break
            height = int.from_bytes(data[at + 5:at + 7], 'big')
            return int.from_bytes(data[at + 7:at + 9], 'big'), height
        if marker in (0xD9, 0xDA):  # the image's end or its data, without a size
            break
    raise InputError(f'the JPEG of {len(data)} bytes has no complete header')


def _jpeg_segments(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yield markers and their positions, past entropy-coded data (ITU-T T.81, B.1.1)."""
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
        else:
            yield marker, at
            if marker == 0xD9:
                return
            at += 2 + max(2, int.from_bytes(data[at + 2:at + 4], 'big'))
            if marker == 0xDA:
                found = _JPEG_MARKER.search(data, at)
                at = found.start() if found else len(data)


@dataclass
class _JpegScans:
    """What of a JPEG's coefficients is there, and where the bytes of the last scan end."""

    end: int = 0
    count: int = 0
    sequential: bool = False
    has_end_marker: bool = False
    # By component, bit k: coefficient k is there, to its last bit.
    coefficients: dict[int, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return bool(self.coefficients) and all(
            bits == _ALL_COEFFICIENTS for bits in self.coefficients.values())


def _jpeg_scans(data: bytes | memoryview) -> _JpegScans:
    """Read the headers of the scans (ITU-T T.81, B.2.3)."""
    scans = _JpegScans()
    in_scan = False
    for marker, at in _jpeg_segments(data):
        if in_scan:
            scans.end, in_scan = at, False
        if marker in _JPEG_FRAMES and at + 9 < len(data):
            scans.sequential = marker in (0xC0, 0xC1)
            scans.coefficients = dict.fromkeys(data[at + 10:at + 10 + 3 * data[at + 9]:3], 0)
        elif marker == 0xD9:
            scans.has_end_marker = True
        elif marker == 0xDA and at + 5 < len(data):
            in_scan, count = True, data[at + 4]
            scans.count += 1
            first, last, bits = (*data[at + 5 + 2 * count:at + 8 + 2 * count], 0, 0, 1)[:3]
            if bits & 15:  # the last bits come with a later scan
                continue
            for component in data[at + 5:at + 5 + 2 * count:2]:
                scans.coefficients[component] = scans.coefficients.get(component, 0) | (
                    (2 << min(last, 63)) - (1 << min(first, 63)))
    if in_scan:
        scans.end = len(data)
    return scans


def decode_jpeg(data: bytes | memoryview, flags: int) -> NDArray[np.uint8]:
    """
    Decode a JPEG; it may lack its last marker, but nothing of its image.

    OpenCV does not tell that data ended early: depending on its version, it paints the rest grey,
    leaves it undefined, or refuses what lacks nothing but the last marker as well. So the decoder
    is asked in another way: if the image is whole, it ignores bytes that follow the last ones.
    """
    # Also those that a decoder would only find by skipping what does not belong there.
    count = bytes(data).count(_JPEG_SCAN)
    if count > MIN_JPEG_SCANS:
        width, height = _jpeg_size(data)
        allowed = min(MAX_JPEG_SCANS, max(
            MIN_JPEG_SCANS, MIN_JPEG_SCANS * MAX_PIXELS // max(1, width * height)))
        if count > allowed:
            raise InputError(
                f'the JPEG of {width}x{height} has {count} scans, more than the {allowed} that '
                'are allowed for its size; save it again')
    scans = _jpeg_scans(data)
    # Half a marker, or half of a stuffed byte, would make one with what follows.
    body = bytes(data[:scans.end]).rstrip(b'\xff')
    pixels = _imdecode(data if scans.has_end_marker else body + _JPEG_END, flags)
    # Data that ended early leaves the image's last corner grey, unless it lacks a part of one
    # block, which matters in a small image only. With several scans it does not show; but then
    # the end marker would have to follow a part of the very last one.
    trusted = scans.has_end_marker and not (
        scans.sequential and scans.count == 1 and pixels is not None and (
            pixels.size < _SMALL_JPEG or _has_grey_corner(pixels)))
    if not scans.is_complete:
        whole = False
    elif pixels is None or trusted:
        whole = True
    else:
        # Without an end marker, libjpeg does not warn of the bytes that it ignores; but it reads
        # the scans to such a marker if there are several.
        more = _JPEG_PROBE if scans.count == 1 else _JPEG_PROBE + _JPEG_END
        other = _imdecode(body + more, flags)
        whole = other is not None and np.array_equal(pixels, other)
    width, height = _jpeg_size(data)
    if not whole:
        raise InputError(
            f'the JPEG of {width}x{height} is cut off: its image data ended early, after '
            f'{len(data)} bytes')
    if pixels is None:
        raise InputError(f'the JPEG of {width}x{height} is damaged and cannot be decoded')
    return pixels


def _imdecode(data: bytes | memoryview, flags: int) -> NDArray[Any] | None:
    image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return image


def _has_grey_corner(pixels: NDArray[np.uint8]) -> bool:
    """Return whether a corner (which one, EXIF decides) is as grey as what is missing."""
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(float)
    if corners.ndim > 1:
        # Upsampling may give the last pixel some colour of its neighbours.
        corners = corners[:, :3] @ (0.114, 0.587, 0.299)
    return bool((abs(corners - 128.0) < 1.0).any())


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS,
               input_range: int | str = 16) -> NDArray[np.uint8]:
    """
    Read an image.

    Parameters
    ----------
    path : str or Path
        A file in any format that OpenCV reads: JPEG, PNG, BMP, WebP, TIFF and others. ``~`` is
        expanded.
    max_pixels : int
        Maximum width times height; JPEG and PNG are checked before decoding.
    input_range : int or str
        Which values of a 16-bit image become 0 and 255: the number of bits, two values
        (``'1000..5000'``), ``'percentile'``, ``'percentile 2..98'`` or ``'auto'``. A warning is
        logged if the image uses a small part of it.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        In the order blue, green, red. Grey images get three channels, transparency is dropped,
        and the EXIF orientation is applied, as ``cv2.imread`` does by default.

    Raises
    ------
    InputError
        If there is no such file, it can't be read as an image, or is too large.
    OptionsError
        If `input_range` is none.

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
    scaled = depth_reader(input_range)
    return scaled(read_pixels(path, max_pixels))


def depth_reader(input_range: Any) -> DepthReader:
    """Return what brings single images to 8 bits, and logs what there is to say."""
    return DepthReader(
        InputRange.parse(input_range), _LOGGER.info,
        lambda text: _LOGGER.warning('16-bit image: %s', text), watched=1)


def read_pixels(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Read an image as `read_image` does, but leave 16-bit values as they are."""
    return _read(path, _decode, max_pixels)


def read_unchanged(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Read an image as OpenCV finds it: any type, with one channel or more."""
    return _read(path, _decode_unchanged, max_pixels)


def _read(path: str | Path, decode: Callable[[bytes | memoryview], NDArray[Any] | None],
          max_pixels: int) -> NDArray[Any]:
    # Unlike Path.expanduser, this leaves the ~ of an unknown user for the error below.
    path = Path(os.path.expanduser(path))
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        raise InputError(f'{path} is a video, not an image; the camera node publishes its frames')
    try:
        with open_plain(path) as file:
            data = np.fromfile(file, dtype=np.uint8)
    except IsADirectoryError as error:
        raise InputError(f'{path} is a directory, not an image') from error
    except OSError as error:
        cure = (f'; {_near(path)}check the path' if isinstance(error, FileNotFoundError)
                else '')
        raise InputError(f'the image {path} cannot be read: {error.strerror}{cure}') from error
    image = None
    if data.size:
        _check_header(path, data, max_pixels)
        content = data.data.cast('B')
        try:
            image = decode(content)
        except cv2.error as error:
            raise InputError(f'the image {path} cannot be decoded: {error.err}') from error
        except InputError as error:
            raise InputError(
                f'{path} ({data.size} bytes) is not a valid image: {error}') from error
    if image is None:
        if kind := media_kind(data[:16].tobytes()):
            raise InputError(f'{path} is {kind}, not an image: give it the suffix of its kind')
        raise InputError(
            f'{path} ({data.size} bytes) cannot be read as an image by OpenCV; use JPEG, PNG, '
            'BMP, WebP or TIFF, or get an undamaged file')
    _check_size(path, image.shape[1], image.shape[0], max_pixels)
    return image


def media_kind(head: bytes) -> str | None:
    """Return what a file is by its first bytes, if it is an image or a video."""
    return next((kind for start, magic, kind in (
        (0, JPEG_START, 'a JPEG image'), (0, PNG_SIGNATURE, 'a PNG image'),
        (4, b'ftyp', 'an MP4 or MOV video'), (8, b'AVI ', 'an AVI video'),
        (0, b'\x1aE\xdf\xa3', 'an MKV or WebM video')) if head[start:].startswith(magic)), None)


def _near(path: Path) -> str:
    """Return the file with the nearest name in the same directory."""
    try:
        close = get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.7)
    except OSError:
        return f'there is no directory {path.parent}; '
    return f'did you mean {path.with_name(close[0])}? ' if close else ''


def _decode(data: bytes | memoryview) -> NDArray[Any] | None:
    """Return blue, green and red, of 8 or 16 bits."""
    if data[:2] == JPEG_START:
        return decode_jpeg(data, cv2.IMREAD_COLOR)
    if data[:8] == PNG_SIGNATURE:
        # Its pixels, and its orientation.
        data = pixel_chunks(data, b'eXIf')
    image = _imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None or image.dtype in (np.uint8, np.uint16):
        return image
    return _imdecode(data, cv2.IMREAD_COLOR)


def _decode_unchanged(data: bytes | memoryview) -> NDArray[Any] | None:
    if data[:2] == JPEG_START:
        return decode_jpeg(data, cv2.IMREAD_UNCHANGED)
    return _imdecode(
        pixel_chunks(data) if data[:8] == PNG_SIGNATURE else data, cv2.IMREAD_UNCHANGED)


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
        with open_to_write(path, 'wb') as file:
            file.write(data.tobytes())
    except cv2.error as error:
        raise InputError(f'{path} cannot be written: {error.err}') from error
    except OSError as error:
        raise InputError(f'{path} cannot be written: {error.strerror}') from error
