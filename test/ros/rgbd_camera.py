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

"""A camera for tests that sends an image, its depth and its calibration."""

from __future__ import annotations

from array import array
import time
from typing import Any

import numpy as np
from ros_process import DEADLINE, Peer
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

FOCAL = 500.0


class RgbdCamera:
    """
    Publishers of `{base}/image_raw`, `{base}/depth` and `{base}/camera_info`.

    Parameters
    ----------
    peer : Peer
        The node that publishes.
    base : str
        The namespace.
    size : tuple of int
        Width and height of image and calibration.

    """

    def __init__(self, peer: Peer, base: str, size: tuple[int, int] = (640, 480)) -> None:
        self._peer = peer
        self.size = size
        self._image = peer.node.create_publisher(Image, f'{base}/image_raw', 1)
        self._depth = peer.node.create_publisher(Image, f'{base}/depth', 1)
        self._info = peer.node.create_publisher(CameraInfo, f'{base}/camera_info', 1)
        self._count = 0
        self.info = CameraInfo(width=size[0], height=size[1], distortion_model='plumb_bob')
        cx, cy = (size[0] - 1) / 2, (size[1] - 1) / 2
        self.info.k = [FOCAL, 0.0, cx, 0.0, FOCAL, cy, 0.0, 0.0, 1.0]

    @property
    def depth_subscriptions(self) -> int:
        """How many subscribe to the depth."""
        return int(self._depth.get_subscription_count())

    def send(self, depth: np.ndarray, *, behind: int = 0, frame: str = 'eye',
             encoding: str = '', with_info: bool = True) -> Any:
        """Publish all three; the depth is older by `behind` nanoseconds. Return the header."""
        self._count += 1
        header = Header(frame_id='eye')
        header.stamp.sec, header.stamp.nanosec = 1000 + self._count, 500_000_000
        image = self.image(header)
        self.info.header = image.header
        if with_info:
            self._info.publish(self.info)
        msg = Image(width=depth.shape[1], height=depth.shape[0],
                    step=depth.shape[1] * depth.itemsize,
                    encoding=encoding or {'f': '32FC1', 'u': '16UC1'}[depth.dtype.kind])
        msg.data = array('B', depth.tobytes())
        msg.header.frame_id = frame
        msg.header.stamp.sec = image.header.stamp.sec
        msg.header.stamp.nanosec = 500_000_000 - behind
        self._depth.publish(msg)
        self._image.publish(image)
        return image.header

    def image(self, header: Any) -> Image:
        """Return a black image."""
        width, height = self.size
        image = Image(header=header, width=width, height=height, step=3 * width, encoding='rgb8')
        image.data = array('B', bytes(3 * width * height))
        return image

    def until(self, what: Any, depth: np.ndarray, **how: Any) -> Any:
        """Publish until something holds; return it."""
        sent = [-1.0]

        def holds() -> Any:
            if time.monotonic() - sent[0] >= 0.2:
                self.send(depth, **how)
                sent[0] = time.monotonic()
            return what()

        return self._peer.spin_until(holds, 'what the images lead to', DEADLINE)
