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

"""What OpenCV's captures have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import cv2

from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.sources.base import Pixels, SourceError


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
