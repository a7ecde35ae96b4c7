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
The benchmark's camera: varied pictures, a stamp of its own for each, at an exact pace.

Messages are serialized beforehand and the stamp is written into their bytes, so that a picture
costs its sender what it costs a driver in C++: one copy into the middleware. The stamp is the time
right before publishing; the transport's cost is therefore inside every latency.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from typing import Any

import numpy as np
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros2_classify.ros.bench.frames import Frames
from ros2_classify.ros.bench.helper import in_ros
from sensor_msgs.msg import CompressedImage, Image

# In CDR the header's stamp comes first, behind four bytes that tell the encoding.
_STAMP = struct.Struct('<iI')
_STAMP_OFFSET = 4


class Source:
    """
    Publishes to one topic after the other, or to several in turn.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.
    frames : Frames
        The pictures.
    topics : list of str
        All topics that will be published to.

    """

    def __init__(self, node: Any, frames: Frames, topics: list[str]) -> None:
        msg_type = CompressedImage if frames.index['transport'] == 'compressed' else Image
        # Reliable serves subscribers of both kinds, as the camera node does.
        self._publishers = {
            topic: node.create_publisher(msg_type, topic, QoSProfile(
                history=HistoryPolicy.KEEP_LAST, depth=2,
                reliability=ReliabilityPolicy.RELIABLE))
            for topic in topics}
        self._messages = [
            bytearray(serialize_message(frames.message(number))) for number in range(len(frames))]
        self._next = 0
        self._last_stamp = 0

    def subscribers(self, topic: str) -> int:
        """Return how many subscribers a topic has."""
        return int(self._publishers[topic].get_subscription_count())

    def run(self, topics: list[str], rate: float, seconds: float, out: str) -> int:
        """
        Publish for a while.

        Parameters
        ----------
        topics : list of str
            Each one gets every picture's turn: ``rate`` pictures a second each, evenly staggered.
        rate : float
            Pictures a second and topic.
        seconds : float
            How long.
        out : str
            File for an array of int64, shape (n, 3): topic's number, stamp and time of sending in
            ns, the latter of the monotonic clock.

        Returns
        -------
        int
            How many were sent. A source that can't keep the rate up sends fewer.

        """
        publishers = [self._publishers[topic] for topic in topics]
        period = 1.0 / (rate * len(topics))
        rows: list[tuple[int, int, int]] = []
        begun = due = time.monotonic()
        while due < begun + seconds:
            now = time.monotonic()
            if now < due:
                time.sleep(due - now)
            elif now > due + period:
                due = now  # late by a whole period: no burst to catch up
            camera = len(rows) % len(publishers)
            rows.append(self._publish(publishers[camera], camera))
            due += period
        np.save(out, np.array(rows, np.int64).reshape(-1, 3))
        return len(rows)

    def _publish(self, publisher: Any, camera: int) -> tuple[int, int, int]:
        message = self._messages[self._next]
        self._next = (self._next + 1) % len(self._messages)
        stamp = self._last_stamp = max(time.time_ns(), self._last_stamp + 1)
        sent = time.monotonic_ns()
        _STAMP.pack_into(message, _STAMP_OFFSET, *divmod(stamp, 10**9))
        publisher.publish(bytes(message))
        return camera, stamp, sent


def main() -> None:
    """Run the camera: the argument is JSON with ``frames`` (folder) and ``topics``."""
    settings = json.loads(sys.argv[1])

    def create(node: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        source = Source(node, Frames(settings['frames']), settings['topics'])
        return {'run': source.run, 'subscribers': source.subscribers}, {'ready': 'source'}

    in_ros('bench_source', create, spin=False)


if __name__ == '__main__':
    main()
