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

"""What a source of images is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast, Optional, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError

Pixels = NDArray[np.uint8]
Warn = Callable[[str], None]

KINDS = ('a source is an image file, a directory of images, a pattern such as "photos/*.jpg", a '
         'video file, a webcam (a number such as 0, or a device such as /dev/video0), a stream '
         '(rtsp:// or http://), or a bag (.mcap, .db3, or its directory)')

# Frames per second for sources without a rate of their own.
IMAGES_RATE = 10.0


class SourceError(InputError):
    """A source can't be used; the message says which and why."""


@dataclass(frozen=True)
class Frame:
    """
    One image of a source, decoded only if it is read.

    ``read`` returns 8-bit BGR pixels, or None if there are none, and is valid until the next frame
    is requested. ``stamp`` is in seconds: since the epoch for webcams, streams and bags; from the
    beginning for files.
    """

    name: str
    stamp: float
    read: Callable[[], Optional[Pixels]]


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
    """
    Images, `rate` a second (0: the source's own pace); `live` ones lose what isn't read.

    ``length`` is the number of frames, None if it is unknown. A live source that stopped can be
    opened again with `frames`, after a pause that grows up to ``longest_pause`` seconds.
    """

    name: str
    rate: float
    live: bool
    length: int | None
    longest_pause: float

    def frames(self) -> Iterator[Frame]:
        """
        Go through the source once.

        A live source blocks until the next frame, ends when it stops delivering, and raises
        `SourceError` if it can't be opened.
        """

    def close(self) -> None:
        """Release files and devices."""
