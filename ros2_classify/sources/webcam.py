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

"""Webcams."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
import time

import cv2

from ros2_classify.sources.base import Frame, Size, SourceError
from ros2_classify.sources.capture import retrieve, silent


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
            f'there are {", ".join(there)}' if there else 'no camera is connected')
    try:
        with path.open('rb'):
            pass
    except PermissionError:
        return f'no permission to read {path}; add the user to the group "video" and log in again'
    except OSError as error:
        return f'{path}: {error.strerror}'
    return f'{path} is in use by another program, or is not a camera'
