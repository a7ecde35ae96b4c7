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

"""The newest annotated image, for all who watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import logging
import threading

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
_LOGGER = logging.getLogger(__name__)
_QUALITY = 85


class Feed:
    """
    Draws and encodes the newest image, once for all clients, in a thread of its own.

    `offer` costs its caller nothing but a reference. Without clients nothing is drawn or encoded.
    Each client takes the newest JPEG whenever it has sent the one before, so that a slow one
    delays nobody.
    """

    def __init__(self, on_listeners: Callable[[], object] = lambda: None) -> None:
        self._on_listeners = on_listeners
        self._changed = threading.Condition()
        self._draw: Callable[[], Image] | None = None
        self._drawn = False
        self._jpeg = b''
        self._number = 0
        self._clients = 0
        self._closed = False
        self.encoded = 0
        self._thread: threading.Thread | None = None

    @property
    def listeners(self) -> int:
        """How many clients there are."""
        return self._clients

    def offer(self, draw: Callable[[], Image]) -> None:
        """Replace the image by what `draw` returns, in BGR; it is called if anybody watches."""
        with self._changed:
            self._draw, self._drawn = draw, False
            self._changed.notify_all()

    def jpegs(self, seconds: float = 1.0) -> Iterator[bytes]:
        """Yield the newest JPEG each time; ``b''`` if there is no new one within `seconds`."""
        with self._changed:
            self._clients += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._encode, name='web feed', daemon=True)
                self._thread.start()
            self._changed.notify_all()
        self._on_listeners()
        seen = 0
        try:
            while True:
                with self._changed:
                    if self._number == seen and not self._closed:
                        self._changed.wait(seconds)
                    if self._closed:
                        return
                    jpeg = self._jpeg if self._number != seen else b''
                    seen = self._number
                yield jpeg
        finally:
            with self._changed:
                self._clients -= 1
            self._on_listeners()

    def close(self) -> None:
        """End all clients."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _encode(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (
                        self._drawn or self._draw is None or not self._clients):
                    self._changed.wait()
                if self._closed:
                    return
                draw, self._drawn = self._draw, True
            assert draw is not None
            try:
                good, data = cv2.imencode('.jpg', draw(), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            except Exception as error:  # noqa: B902 - the thread must go on
                _LOGGER.warning('an image for the page could not be drawn: %s', error)
                continue
            if good:
                with self._changed:
                    self._jpeg = data.tobytes()
                    self._number += 1
                    self.encoded += 1
                    self._changed.notify_all()
