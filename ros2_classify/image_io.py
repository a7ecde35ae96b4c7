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

"""Images from files and to files, by OpenCV, with errors that name the file."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError
from ros2_classify.image_size import image_size, JPEG_START, MAX_PIXELS, png_problem, PNG_SIGNATURE


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """
    Read an image.

    Parameters
    ----------
    path : str or Path
        A file in any format that OpenCV reads: JPEG, PNG, BMP, WebP, TIFF and others. ``~`` is
        expanded.
    max_pixels : int
        Larger images are refused, JPEG and PNG before they are decoded.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        In the order blue, green, red. Grey images get three channels, transparency is dropped,
        16-bit images are scaled to 8 bits, and the orientation that a camera wrote into the
        file (EXIF) is applied, all as ``cv2.imread`` does by default.

    Raises
    ------
    InputError
        If there is no such file, it can't be read as an image, or is too large.

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
            f'{path} ({data.size} bytes) is no image that OpenCV can read; JPEG, PNG, BMP, WebP '
            'and TIFF are usual, and the file may be damaged')
    _check_size(path, image.shape[1], image.shape[0], max_pixels)
    return np.asarray(image, dtype=np.uint8)


def _check_header(path: Path, data: NDArray[np.uint8], max_pixels: int) -> None:
    """Refuse a JPEG or PNG that is too large, or announces more bytes than it has."""
    if not data[:8].tobytes().startswith((PNG_SIGNATURE, JPEG_START)):
        return
    content = data.data.cast('B')
    try:
        width, height = image_size(content)
        problem = png_problem(content) if content[:8] == PNG_SIGNATURE else ''
        if problem:
            raise InputError(f'the PNG is {problem}')
    except InputError as error:
        raise InputError(f'{path} ({data.size} bytes) is no image: {error}') from error
    _check_size(path, width, height, max_pixels)


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(
            f'the image {path} of {width}x{height} has more than the {max_pixels} pixels that '
            'are allowed; make it smaller')


def check_writable(path: str | Path) -> Path:
    """
    See whether an image can be written to a path, before any work is done for it.

    Parameters
    ----------
    path : str or Path
        The file to write; its suffix chooses the format.

    Returns
    -------
    Path
        The path with ``~`` expanded.

    Raises
    ------
    InputError
        If its directory doesn't exist, it is a directory itself, or OpenCV can't write the format.

    """
    path = Path(os.path.expanduser(path))
    if not os.path.isdir(path.parent):
        raise InputError(
            f'{path} cannot be written: there is no directory {path.parent}; make it first')
    if os.path.isdir(path):
        raise InputError(f'{path} cannot be written: it is a directory; add a file name')
    try:
        known = bool(path.suffix) and cv2.haveImageWriter(path.name)
    except cv2.error:
        known = False
    if not known:
        raise InputError(
            f'{path} cannot be written: the suffix {path.suffix!r} is no image format that '
            'OpenCV writes; .png and .jpg are usual')
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
