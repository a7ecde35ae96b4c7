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

"""A camera for tests: images of one colour, each with a stamp of its own."""

from __future__ import annotations

from array import array
import time
from typing import Any

import cv2
import numpy as np
from ros_process import DEADLINE, Peer
from sensor_msgs.msg import CompressedImage, Image

# Best-effort images may get lost, above all while two processes get to know each other.
_AGAIN = 1.0


class Camera:
    """
    A publisher of images.

    Parameters
    ----------
    peer : Peer
        The node that publishes.
    topic : str
        The topic.
    msg_type : type
        ``Image`` or ``CompressedImage``.
    size : tuple of int
        Width and height.
    qos : rclpy.qos.QoSProfile or int
        Quality of service.
    suffix : str
        The kind of file in a compressed message.

    """

    def __init__(self, peer: Peer, topic: str, *, msg_type: type = Image,
                 size: tuple[int, int] = (64, 48), qos: Any = 1, suffix: str = '.jpg') -> None:
        self._peer = peer
        self._msg_type = msg_type
        self._size = size
        self._suffix = suffix
        self._publisher = peer.node.create_publisher(msg_type, topic, qos)
        self._count = 0
        # The stamps of all images, in the order in which they went out.
        self.sent: list[tuple[int, int]] = []

    @property
    def subscriptions(self) -> int:
        """The number of subscribers."""
        return self._publisher.get_subscription_count()

    def message(self, rgb: tuple[int, int, int], frame_id: str = 'eye') -> Any:
        """Return an image of one colour, with a stamp that no other one has."""
        self._count += 1
        width, height = self._size
        pixels = np.full((height, width, 3), rgb, np.uint8)
        if self._msg_type is CompressedImage:
            data = cv2.imencode(self._suffix, pixels[..., ::-1])[1]
            msg = CompressedImage(format=self._suffix[1:])
        else:
            data = pixels
            msg = Image(width=width, height=height, step=3 * width, encoding='rgb8')
        msg.data = array('B', data.tobytes())
        msg.header.frame_id = frame_id
        msg.header.stamp.sec, msg.header.stamp.nanosec = 1000 + self._count, 7 * self._count
        return msg

    def send(self, msg: Any) -> None:
        """Publish an image, or bytes that may be one; wait for a subscriber first."""
        self._peer.spin_until(lambda: self.subscriptions, 'a subscriber for images')
        self._publish(msg)

    def send_now(self, rgb: tuple[int, int, int]) -> None:
        """Publish an image of one colour, whether anybody listens or not."""
        self._publish(self.message(rgb))

    def _publish(self, msg: Any) -> None:
        if not isinstance(msg, bytes):
            self.sent.append((msg.header.stamp.sec, msg.header.stamp.nanosec))
        self._publisher.publish(msg)

    def result(self, rgb: tuple[int, int, int], results: list[Any], frame_id: str = 'eye') -> Any:
        """Publish an image of one colour until the result comes, and return it."""
        return self.result_to(self.message(rgb, frame_id), results)

    def result_to(self, msg: Any, results: list[Any]) -> Any:
        """Publish an image until the result comes, and return it."""
        sent = [-_AGAIN]

        def published() -> Any:
            if time.monotonic() - sent[0] >= _AGAIN:
                self.send(msg)
                sent[0] = time.monotonic()
            return [result for result in results if result.header == msg.header]

        return self._peer.spin_until(published, 'the result of an image', DEADLINE)[0]

    def close(self) -> None:
        """Stop to publish."""
        self._peer.node.destroy_publisher(self._publisher)
