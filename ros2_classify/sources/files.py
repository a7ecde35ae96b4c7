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

"""Image files and video files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
import re

import cv2

from ros2_classify.errors import InputError
from ros2_classify.image_io import read_image, read_pixels
from ros2_classify.sources.base import (
    Frame, IMAGES_RATE, KINDS, Pixels, Source, SourceError, Warn)
from ros2_classify.sources.capture import check_frame_size, retrieve
from ros2_classify.sources.image_messages import Scale

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm', '.tif', '.tiff',
                  '.webp')

# Some video files claim 0, 1000 or 90000 frames per second.
_PLAUSIBLE_RATES = (0.1, 240.0)
_MOST_FRAMES = 10**8


class ImageFiles:
    """Image files, in order; `warn` takes one sentence for each file that can't be read, once."""

    live = False
    rate = IMAGES_RATE
    longest_pause = 0.0

    def __init__(self, name: str, paths: Sequence[Path], warn: Warn,
                 to_8_bits: Scale | None = None) -> None:
        self.name = name
        self.length: int | None = len(paths)
        self._to_8_bits = to_8_bits
        self._paths = paths
        self._warn = warn
        self._bad: set[Path] = set()
        self._only: Pixels | None = None

    def frames(self) -> Iterator[Frame]:
        """Go through the files once; see `Source.frames`."""
        for number, path in enumerate(self._paths):
            if path not in self._bad:
                yield Frame(str(path), number / self.rate, partial(self._read, path))

    def close(self) -> None:
        """Release the cached image."""
        self._only = None

    def _read(self, path: Path) -> Pixels | None:
        if self._only is not None:
            return self._only
        try:
            image = (read_image(path) if self._to_8_bits is None
                     else self._to_8_bits(read_pixels(path)))
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
    longest_pause = 0.0

    def __init__(self, path: Path) -> None:
        self.name = f'video {path}'
        self._path = path
        capture = cv2.VideoCapture(str(path))
        check_frame_size(capture, self.name)
        readable = capture.isOpened() and capture.grab()
        rate = capture.get(cv2.CAP_PROP_FPS) if readable else 0.0
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT) if readable else 0.0
        capture.release()
        if not readable:
            raise SourceError(
                f'{path} is neither an image nor a video that OpenCV reads; {KINDS}')
        low, high = _PLAUSIBLE_RATES
        self.rate = rate if low <= rate <= high else IMAGES_RATE
        # As the container says; a damaged file has fewer.
        self.length = int(count) if 0 < count < _MOST_FRAMES else None

    def frames(self) -> Iterator[Frame]:
        """Play the file once; see `Source.frames`."""
        # Reopened for every pass: seeking back is not exact with every codec.
        capture = cv2.VideoCapture(str(self._path))
        try:
            number, first, last = 0, None, -1.0
            while capture.grab():
                # Frames may be at uneven times; some files don't tell, or always say 0.
                told = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                first = told if first is None else first
                stamp = told - first if told - first > last else last + 1 / self.rate
                yield Frame(f'{self._path.name} frame {number}', stamp, partial(retrieve, capture))
                number, last = number + 1, stamp
        finally:
            capture.release()

    def close(self) -> None:
        """Do nothing: the file is open only while `frames` runs."""


class Several:
    """Sources that come to an end, one after the other; stamps go on."""

    live = False
    longest_pause = 0.0

    def __init__(self, name: str, sources: Sequence[Source]) -> None:
        self.name = name
        self.rate = sources[0].rate or IMAGES_RATE
        lengths = [source.length for source in sources]
        self.length = None if None in lengths else sum(length or 0 for length in lengths)
        self._sources = sources

    def frames(self) -> Iterator[Frame]:
        """Go through all sources once; see `Source.frames`."""
        begin = 0.0
        for source in self._sources:
            last = first = None
            for frame in source.frames():
                if first is None:
                    first = frame.stamp
                last = begin + frame.stamp - first
                yield Frame(frame.name, last, frame.read)
            if last is not None:
                begin = last + 1 / (source.rate or IMAGES_RATE)

    def close(self) -> None:
        """Close all of them."""
        for source in self._sources:
            source.close()


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort ``frame10`` after ``frame9``."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in re.split(r'(\d+)', path.name.lower()) if part]
