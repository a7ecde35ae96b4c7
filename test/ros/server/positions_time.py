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
What positions cost for an image of 640x480, reading its depth image included.

    scripts/shell python test/ros/server/positions_time.py

Milliseconds of the processor, so that other programs don't count. The way of a message is the
real one: published, taken as the server takes it, found by its stamp, measured, and serialized
again.
"""

from __future__ import annotations

from array import array
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import rclpy
from ros2_classify import Detections, Timing
from ros2_classify.ros.messages.vision_3d import detections_3d_cdr
from ros2_classify.ros.node.process import calm_opencv, tune_malloc
from ros2_classify.ros.server.depth_source import DepthRing
from ros2_classify.ros.server.image_waiter import take
from ros2_classify.ros.server.locator import Locator
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

WIDTH, HEIGHT = 640, 480


def locator() -> Locator:
    """Return a locator without a node: its topics are filled by hand."""
    found = Locator.__new__(Locator)
    info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model='plumb_bob',
                      k=[500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0],
                      d=[-0.1, 0.02, 0.001, 0.001, 0.0])
    fields: dict[str, Any] = {
        '_topic': '/image', '_sync': 0.02, '_target': '', '_ground': '', '_has_tf': False,
        '_rectified': False, '_camera': None, '_recent': {}, 'located': 0, 'missing': {},
        '_locating': threading.Lock(),
        'source': SimpleNamespace(
            info=info, ring=DepthRing(), info_topic='/camera_info', depth_topic='/depth')}
    vars(found).update(fields)
    return found


def measure(objects: int, encoding: str, rounds: int) -> tuple[float, float]:
    """Return the medians, in milliseconds, of reading a depth image and of all the rest."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, (400, 300), (objects, 2))
    boxes = np.hstack([corners, corners + rng.uniform(40, 180, (objects, 2))])
    detections = Detections(
        boxes, np.zeros(objects), np.full(objects, 0.9), np.array(['cup'] * objects, object),
        (WIDTH, HEIGHT), Timing(0.0, 0.0, 0.0))
    metres = rng.uniform(1, 4, (HEIGHT, WIDTH))
    pixels = (metres * 1000).astype(np.uint16) if encoding == '16UC1' else (
        metres.astype(np.float32))
    msg = Image(width=WIDTH, height=HEIGHT, step=WIDTH * pixels.itemsize, encoding=encoding)
    msg.data = array('B', pixels.tobytes())
    find, reading, rest = locator(), [], []
    node = rclpy.create_node('positions_time')
    publisher = node.create_publisher(Image, 'depth', 1)
    subscription = node.create_subscription(Image, 'depth', print, 1)
    for turn in range(rounds):
        header = Header(frame_id='eye')
        header.stamp.sec = turn + 1
        msg.header = header
        taken = None
        while taken is None:
            publisher.publish(msg)
            time.sleep(0.01)
            begun = time.thread_time()
            taken = take(subscription)
        find.source.ring.add(taken.msg)
        read = time.thread_time()
        located = find(detections, header).located
        assert located is not None and len(located.rows) == objects
        detections_3d_cdr(located, header, ['cup'] * objects)
        rest.append(time.thread_time() - read)
        reading.append(read - begun)
    node.destroy_node()
    return 1e3 * float(np.median(reading)), 1e3 * float(np.median(rest))


def main(rounds: int = 300) -> int:
    """Print the table."""
    # As the server does.
    tune_malloc()
    calm_opencv()
    rclpy.init()
    print('objects  encoding  reading the depth [ms]  positions and message [ms]  sum [ms]')
    for objects in (1, 5, 20):
        for encoding in ('16UC1', '32FC1'):
            reading, rest = measure(objects, encoding, rounds)
            print(f'{objects:7d}  {encoding:8s}  {reading:22.3f}  {rest:26.3f}  '
                  f'{reading + rest:8.3f}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
