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
Images from a camera to a server in the same process, without a copy.

The middleware copies each image twice, which costs a millisecond for 640x480 and more for larger
ones. An `ImageSender` publishes an image topic as usual, and passes the images without a copy to
listeners in its own process, which don't subscribe to the topic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from ros2_classify.ros.messages.image import to_image_msg
from ros2_classify.sources.image_messages import ENCODINGS, ImageError
from sensor_msgs.msg import Image

_senders: dict[str, ImageSender] = {}
_registry_lock = threading.Lock()


@dataclass(frozen=True)
class LocalImage:
    """The fields of a ``sensor_msgs/Image``; `data` is a flat view of the sender's pixels."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: NDArray[np.uint8]


class ImageSender:
    """A publisher of images that passes them directly to listeners in its own process."""

    def __init__(self, node: Node, topic: str, qos: QoSProfile | int, **options: Any) -> None:
        self._node = node
        self._publisher = node.create_publisher(Image, topic, qos, **options)
        self._listeners: list[Callable[[Any], Any]] = []
        self._handing = threading.Lock()
        with _registry_lock:
            _senders[self.topic] = self

    @property
    def topic(self) -> str:
        """The full name of the topic."""
        return str(self._publisher.topic_name)

    @property
    def publisher(self) -> Any:
        """The publisher, for subscribers in other processes."""
        return self._publisher

    @property
    def subscriptions(self) -> int:
        """Number of listeners and subscribers."""
        return len(self._listeners) + int(self._publisher.get_subscription_count())

    def send(self, pixels: NDArray[np.uint8], encoding: str, header: Any) -> None:
        """
        Send an image to all listeners and subscribers; it must not change afterwards.

        Raises `ImageError` unless the encoding is 8-bit, needs no conversion and fits the array.
        """
        if self._listeners:
            self.hand_over(_image(pixels, encoding, header))
        if self._publisher.get_subscription_count():
            self._publisher.publish(to_image_msg(pixels, encoding, header))

    def hand_over(self, image: Any) -> None:
        """Pass an image, or a whole message, to the listeners of this process only."""
        with self._handing:
            for listener in self._listeners:
                listener(image)

    def listen(self, listener: Callable[[Any], Any]) -> None:
        """Have each image passed to `listener`, in the sender's thread: it must return at once."""
        with self._handing:
            self._listeners.append(listener)

    def leave(self, listener: Callable[[Any], Any]) -> None:
        """Remove a listener; it isn't called any more once this returns."""
        with self._handing:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def destroy(self) -> None:
        """Destroy the publisher; its listeners look for another sender."""
        with _registry_lock:
            if _senders.get(self.topic) is self:
                del _senders[self.topic]
        with self._handing:
            self._listeners.clear()
        self._node.destroy_publisher(self._publisher)


def find_sender(topic: str) -> ImageSender | None:
    """Return the sender of a topic in this process, if there is one."""
    with _registry_lock:
        return _senders.get(topic)


def _image(pixels: NDArray[np.uint8], encoding: str, header: Any) -> LocalImage:
    """Wrap an array in the fields of an image message."""
    found = ENCODINGS.get(encoding)
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if found is None or found.convert is not None or (
            pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels != found.channels):
        raise ImageError(
            f'an array of {pixels.dtype} with shape {pixels.shape} does not fit {encoding}')
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(-1)
    return LocalImage(header, height, width, encoding, 0, width * channels, rows)
