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
A camera that misbehaves when told to; it notes each image in a file, so that it can be killed.

A line of the file is: the image's stamp, the time when it was sent (both in ns since 1970), and
``good`` or what is wrong with it.
"""

from __future__ import annotations

from array import array
from collections import deque
import json
import os
import sys
import threading
import time
from typing import Any

import numpy as np
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify import read_image
from ros2_classify_benchmark.nodes.helper import in_ros
from sensor_msgs.msg import Image

BAD = ('short', 'encoding', 'empty', 'huge', 'step')
_CHANNELS = {'rgb8': 3, 'bgr8': 3, 'mono8': 1, 'bgra8': 4}


class FaultyCamera:
    """
    Publishes in a thread of its own.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.
    topic : str
        Where to publish.
    record : str
        The file of the images sent; lines are added.
    rate : float
        Images a second.
    size : tuple of int
        Width and height.
    encoding : str
        One of those of 8 bits a channel.
    image : str
        A file to show, at its own size in rgb8; nothing for noise.

    """

    def __init__(self, node: Any, topic: str, record: str, rate: float,
                 size: tuple[int, int], encoding: str, image: str = '') -> None:
        # Reliable, so that no image may get lost on the way.
        self._publisher = node.create_publisher(Image, topic, QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=60, reliability=ReliabilityPolicy.RELIABLE))
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._rate = rate
        self._bad: deque[str] = deque()
        self._shift = 0
        width, height = size
        channels = _CHANNELS[encoding]
        pixels = np.random.default_rng(0).integers(0, 255, width * height * channels, np.uint8)
        if image:
            pixels = read_image(image)
            (height, width), channels, encoding = pixels.shape[:2], 3, 'rgb8'
        self._good = Image(width=width, height=height, step=width * channels, encoding=encoding)
        self._good.header.frame_id = 'eye'
        self._good.data = array('B', pixels.tobytes())
        threading.Thread(target=self._run, daemon=True).start()

    def bad(self, kinds: list[str]) -> None:
        """Send bad images in the place of the next good ones."""
        self._bad.extend(kinds)

    def shift(self, seconds: float) -> None:
        """Put the stamps of all that follow back or forth in time."""
        self._shift = int(seconds * 1e9)

    def subscribers(self) -> int:
        """Return how many there are."""
        return int(self._publisher.get_subscription_count())

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + 1.0 / self._rate, time.monotonic() - 1.0 / self._rate)
            time.sleep(max(0.0, due - time.monotonic()))
            kind = self._bad.popleft() if self._bad else 'good'
            message = self._good if kind == 'good' else _bad_image(kind)
            now = time.time_ns()
            stamp = now + self._shift
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
            os.write(self._record, f'{stamp} {now} {kind}\n'.encode())
            self._publisher.publish(message)


def _bad_image(kind: str) -> Image:
    message = Image(width=64, height=48, step=192, encoding='rgb8')
    message.data = array('B', bytes(64 * 48 * 3))
    if kind == 'short':
        message.data = message.data[:100]
    elif kind == 'encoding':
        message.encoding = 'colourful'
    elif kind == 'empty':
        message.width = 0
    elif kind == 'huge':
        message.width, message.height, message.step = 2**31, 2**31, 2**32 - 1
    elif kind == 'step':
        message.step = 1
    return message


def main() -> None:
    """Run the camera; the argument is JSON, with what `FaultyCamera` takes beside the node."""
    settings = json.loads(sys.argv[1])

    def create(node: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        camera = FaultyCamera(node, **settings)
        return {'bad': camera.bad, 'shift': camera.shift,
                'subscribers': camera.subscribers}, {'ready': 'camera'}

    in_ros('faulty_camera', create, spin=False)


if __name__ == '__main__':
    main()
