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
Image sources behind one interface: a file, a directory, a video or a webcam.

`open_source` picks the source for a name. Images are 8-bit BGR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import re
import threading
import time
from typing import Any, cast, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.errors import InputError
from ros2_classify.image_io import read_image


class Pace:
    """Schedules images at a rate: due times from the first one, restarted after a long delay."""

    def __init__(
            self, ended: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._ended = ended
        self._clock = clock
        self._next: float | None = None

    def wait(self, rate: float) -> bool:
        """Wait until the next image is due; return False if `ended` was set."""
        now = self._clock()
        if self._next is not None and now < self._next:
            self._ended.wait(self._next - now)
        self._count(rate, self._clock())
        return not self._ended.is_set()

    def due(self, rate: float) -> bool:
        """Return whether to take the current image, for sources that set their own pace."""
        now = self._clock()
        if self._next is not None and now < self._next:
            return False
        self._count(rate, now)
        return True

    def _count(self, rate: float, now: float) -> None:
        interval = 1.0 / rate
        if self._next is None or now - self._next > interval:
            self._next = now
        self._next += interval


Pixels = NDArray[np.uint8]
Warn = Callable[[str], None]

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm', '.tif', '.tiff',
                  '.webp')

KINDS = ('a source is an image file, a directory of images, a video file, or a webcam (a number '
         'such as 0, or a device such as /dev/video0)')

# Frames per second for sources without a rate of their own.
IMAGES_RATE = 10.0

# Some video files claim 0, 1000 or 90000 frames per second.
_PLAUSIBLE_RATES = (0.1, 240.0)


class SourceError(InputError):
    """A source can't be used; the message says which and why."""


@dataclass(frozen=True)
class Size:
    """The size to resize images to, in pixels; 0 keeps it, or the aspect ratio."""

    width: int = 0
    height: int = 0

    def apply(self, image: Pixels) -> Pixels:
        """Return the image in this size; the same array if it has it already."""
        height, width = image.shape[:2]
        wanted = self.width, self.height
        if self.width and not self.height:
            wanted = self.width, max(1, round(self.width * height / width))
        elif self.height and not self.width:
            wanted = max(1, round(self.height * width / height)), self.height
        if wanted in ((0, 0), (width, height)):
            return image
        shrinks = wanted[0] * wanted[1] < width * height
        return cast(Pixels, cv2.resize(
            image, wanted, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


class Source(Protocol):
    """Images, `rate` a second (0: the source's own pace); `live` ones lose what isn't read."""

    name: str
    rate: float
    live: bool

    def images(self) -> Iterator[Callable[[], Pixels | None]]:
        """
        Go through the source once; yield a reader for each image.

        A reader returns the image, or None if it can't be read, and is valid until the next one
        is requested. A webcam blocks until the next frame, and ends when it stops delivering.
        """

    def close(self) -> None:
        """Release files and devices."""


class ImageFiles:
    """Image files, in order; `warn` takes one sentence for each file that can't be read, once."""

    live = False
    rate = IMAGES_RATE

    def __init__(self, name: str, paths: list[Path], warn: Warn) -> None:
        self.name = name
        self._paths = paths
        self._warn = warn
        self._bad: set[Path] = set()
        self._only: Pixels | None = None

    def images(self) -> Iterator[Callable[[], Pixels | None]]:
        """Go through the files once; see `Source.images`."""
        for path in self._paths:
            if path not in self._bad:
                yield partial(self._read, path)

    def close(self) -> None:
        """Release the cached image."""
        self._only = None

    def _read(self, path: Path) -> Pixels | None:
        if self._only is not None:
            return self._only
        try:
            image = read_image(path)
        except InputError as error:
            self._bad.add(path)
            self._warn(f'skipped: {error}')
            if len(self._bad) == len(self._paths):
                raise SourceError(f'none of the {self.name} can be read; {KINDS}') from error
            return None
        # A single image is published repeatedly: decode it once.
        if len(self._paths) == 1:
            self._only = image
        return image


class Video:
    """A video file; raises `SourceError` if OpenCV can't read a frame of it."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name = f'video {path}'
        self._path = path
        capture = cv2.VideoCapture(str(path))
        readable = capture.isOpened() and capture.grab()
        rate = capture.get(cv2.CAP_PROP_FPS) if readable else 0.0
        capture.release()
        if not readable:
            raise SourceError(
                f'{path} is neither an image nor a video that OpenCV reads; {KINDS}')
        low, high = _PLAUSIBLE_RATES
        self.rate = rate if low <= rate <= high else IMAGES_RATE

    def images(self) -> Iterator[Callable[[], Pixels | None]]:
        """Play the file once; see `Source.images`."""
        # Reopened for every pass: seeking back is not exact with every codec.
        capture = cv2.VideoCapture(str(self._path))
        try:
            while capture.grab():
                yield lambda: _retrieve(capture)
        finally:
            capture.release()

    def close(self) -> None:
        """Do nothing: the file is open only while `images` runs."""


class Webcam:
    """A webcam, read by OpenCV; it may deliver another size than requested."""

    live = True
    rate = 0.0

    def __init__(self, device: int | str, size: Size) -> None:
        self.name = f'webcam {device}'
        self._device = device
        self._path = Path(f'/dev/video{device}' if isinstance(device, int) else device)
        self._size = size
        self._capture: cv2.VideoCapture | None = None
        # Opened as a check only: the driver would buffer stale frames until the first read.
        self._open().release()

    def images(self) -> Iterator[Callable[[], Pixels | None]]:
        """Open the camera and deliver frames until it stops."""
        capture = self._capture = self._open()
        while capture.grab():
            yield lambda: _retrieve(capture)
        self.close()

    def close(self) -> None:
        """Release the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open(self) -> cv2.VideoCapture:
        if self._path.exists():
            # The error below is clearer than what OpenCV prints.
            level = _set_log_level(0)
            try:
                capture = self._try_open()
            finally:
                _set_log_level(level)
            if capture is not None:
                return capture
        raise SourceError(
            f'webcam {self._device} delivers no image: {_device_problem(self._path)}')

    def _try_open(self) -> cv2.VideoCapture | None:
        capture = cv2.VideoCapture(self._device)
        if capture.isOpened():
            for prop, value in ((cv2.CAP_PROP_FRAME_WIDTH, self._size.width),
                                (cv2.CAP_PROP_FRAME_HEIGHT, self._size.height)):
                if value:
                    capture.set(prop, value)
            # Only the newest frame matters; not every backend has this property.
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if capture.grab():
                return capture
        capture.release()
        return None


def open_source(text: str, size: Size, warn: Warn) -> Source:
    """Open the source that a user named; raise `SourceError` if it can't be read."""
    if re.fullmatch(r'\d+', text):
        return Webcam(int(text), size)
    if re.fullmatch(r'/dev/(video|v4l).*', text):
        return Webcam(text, size)
    path = Path(text).expanduser()
    if not text.strip() or not path.exists():
        raise SourceError(f'there is no {text!r}; {KINDS}')
    if path.is_dir():
        found = [each for each in path.iterdir()
                 if each.suffix.lower() in IMAGE_SUFFIXES and each.is_file()]
        if not found:
            raise SourceError(
                f'directory {path} has no images ({", ".join(IMAGE_SUFFIXES)}); {KINDS}')
        found.sort(key=_natural_order)
        return ImageFiles(f'{len(found)} images of {path}', found, warn)
    if not path.is_file():
        # Reading a device such as /dev/zero would never end.
        raise SourceError(f'{path} is neither a file nor a directory; {KINDS}')
    try:
        read_image(path)
    except InputError as error:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise SourceError(str(error)) from error
        return Video(path)
    return ImageFiles(f'image {path}', [path], warn)


def _retrieve(capture: cv2.VideoCapture) -> Pixels | None:
    good, image = capture.retrieve()
    if not good or image is None:
        return None
    # Grey and raw cameras.
    return cast(Pixels, image if image.ndim == 3 else cv2.cvtColor(
        image, cv2.COLOR_GRAY2BGR))


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort ``frame10`` after ``frame9``."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in re.split(r'(\d+)', path.name.lower()) if part]


def _device_problem(path: Path) -> str:
    if not path.exists():
        there = sorted(str(each) for each in Path('/dev').glob('video*'))
        return f'there is no {path}; ' + (
            f'there are {", ".join(there)}' if there else 'no camera is connected')
    try:
        with path.open('rb'):
            pass
    except PermissionError:
        return f'no permission to read {path}; add the user to the group "video" and log in again'
    except OSError as error:
        return f'{path}: {error.strerror}'
    return f'{path} is in use by another program, or is not a camera'


def _set_log_level(level: int) -> int:
    """Set OpenCV's log level, 0 for silent; return the previous one."""
    if hasattr(cv2.utils, 'logging'):
        return int(cv2.utils.logging.setLogLevel(level))
    # OpenCV 4.6 (Ubuntu 24.04, Debian 12) has it elsewhere.
    older: Any = cv2
    before = older.getLogLevel()
    older.setLogLevel(level)
    return int(before)
