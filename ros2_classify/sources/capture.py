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

"""Webcams, and what all of OpenCV's captures have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
import time
from typing import Any, cast

import cv2
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.sources.base import Frame, Pixels, Size, SourceError


def check_frame_size(capture: cv2.VideoCapture, name: str) -> None:
    """Refuse frames that are too large, before one is decoded, as far as the file says so."""
    width, height = (int(capture.get(each)) for each in (
        cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        capture.release()
        raise SourceError(f'the frames of {name} are {width}x{height}, more than the {MAX_PIXELS} '
                          'pixels that are allowed; make them smaller')


def retrieve(capture: cv2.VideoCapture) -> Pixels | None:
    """Return the grabbed frame as BGR; None if it is damaged, or has grown too large."""
    good, image = capture.retrieve()
    if not good or image is None or image.shape[0] * image.shape[1] > MAX_PIXELS:
        return None
    # Grey and raw cameras.
    return cast(Pixels, image if image.ndim == 3 else cv2.cvtColor(
        image, cv2.COLOR_GRAY2BGR))


@contextmanager
def silent() -> Iterator[None]:
    """Keep OpenCV from printing: our errors are clearer, and it would print whole URLs."""
    level = _set_log_level(0)
    try:
        yield
    finally:
        _set_log_level(level)


def _set_log_level(level: int) -> int:
    """Set OpenCV's log level, 0 for silent; return the previous one."""
    if hasattr(cv2.utils, 'logging'):
        return int(cv2.utils.logging.setLogLevel(level))
    # OpenCV 4.6 (Ubuntu 24.04, Debian 12) has it elsewhere.
    older: Any = cv2
    before = older.getLogLevel()
    older.setLogLevel(level)
    return int(before)


class Webcam:
    """A webcam, read by OpenCV; it may deliver another size than requested."""

    live = True
    rate = 0.0
    length: int | None = None
    longest_pause = 1.0

    def __init__(self, device: int | str, size: Size) -> None:
        self.name = f'webcam {device}'
        self._device = device
        self._path = Path(f'/dev/video{device}' if isinstance(device, int) else device)
        self._size = size
        self._capture: cv2.VideoCapture | None = None
        # Opened as a check only: the driver would buffer stale frames until the first read.
        self._open().release()

    def frames(self) -> Iterator[Frame]:
        """Open the camera and deliver frames until it stops."""
        capture = self._capture = self._open()
        number = 0
        while capture.grab():
            yield Frame(f'{self.name} frame {number}', time.time(), partial(retrieve, capture))
            number += 1
        self.close()

    def close(self) -> None:
        """Release the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open(self) -> cv2.VideoCapture:
        if self._path.exists():
            with silent():
                capture = self._try_open()
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


def _device_problem(path: Path) -> str:
    if not path.exists():
        there = sorted(str(each) for each in Path('/dev').glob('video*'))
        return f'there is no {path}; ' + (
            f'there are {", ".join(there)}' if there else
            'no camera is connected; connect one, in a container with --device /dev/video0, '
            'and see ls /dev/video*')
    try:
        with path.open('rb'):
            pass
    except PermissionError:
        return f'no permission to read {path}; add the user to the group "video" and log in again'
    except OSError as error:
        return f'{path}: {error.strerror}'
    return f'{path} is in use by another program, or is not a camera'
