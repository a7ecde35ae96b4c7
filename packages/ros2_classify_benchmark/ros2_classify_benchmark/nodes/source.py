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
The benchmark's camera: varied images, a stamp of its own for each, at an exact pace.

Messages are serialized beforehand and the stamp is written into their bytes, so that an image
costs its sender what it costs a driver in C++: one copy into the middleware. The stamp is the time
right before publishing; the transport's cost is therefore inside every latency.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import struct
import sys
import threading
import time
from typing import Any

import numpy as np
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros2_classify_benchmark.nodes.frames import Frames
from ros2_classify_benchmark.nodes.helper import in_ros
from sensor_msgs.msg import CompressedImage, Image

# In CDR the header's stamp comes first, behind four bytes that tell the encoding.
_STAMP = struct.Struct('<iI')
_STAMP_OFFSET = 4


# Sends the image of a number with a stamp in ns.
Send = Callable[[int, int], None]


class Source:
    """
    Sends images to one topic after the other, or to several in turn.

    Parameters
    ----------
    senders : dict of str to callable
        For each topic, what sends the image of a number (counted on past the last one) with a
        stamp in ns.
    over : Event, optional
        Ends a run before its time.

    """

    def __init__(self, senders: dict[str, Send], over: threading.Event | None = None) -> None:
        self._senders = senders
        self._over = over or threading.Event()
        self._next = 0
        self._last_stamp = 0

    def run(self, topics: list[str], rate: float, seconds: float, out: str) -> int:
        """Send for a while."""
        senders = [self._senders[topic] for topic in topics]
        period = 1.0 / (rate * len(topics))
        rows: list[tuple[int, int, int]] = []
        begun = due = time.monotonic()
        while due < begun + seconds and not self._over.is_set():
            now = time.monotonic()
            if now < due:
                self._over.wait(due - now)
            elif now > due + period:
                due = now  # late by a whole period: no burst to catch up
            camera = len(rows) % len(senders)
            rows.append((camera, *self._send(senders[camera], self._next)))
            self._next += 1
            due += period
        np.save(out, np.array(rows, np.int64).reshape(-1, 3))
        return len(rows)

    def show(self, topic: str, numbers: list[int], rate: float) -> list[int]:
        """Send the images of these numbers once; return their stamps."""
        stamps = []
        for number in numbers:
            stamps.append(self._send(self._senders[topic], number)[0])
            if self._over.wait(1.0 / rate):
                break
        return stamps

    def _send(self, send: Send, number: int) -> tuple[int, int]:
        stamp = self._last_stamp = max(time.time_ns(), self._last_stamp + 1)
        sent = time.monotonic_ns()
        send(number, stamp)
        return stamp, sent


def publishers(node: Any, frames: Frames, topics: list[str]) -> dict[str, Send]:
    """Return what publishes serialized messages."""
    msg_type = CompressedImage if frames.index['transport'] == 'compressed' else Image
    messages = [
        bytearray(serialize_message(frames.message(number))) for number in range(len(frames))]

    def sender(topic: str) -> Send:
        # Reliable serves subscribers of both kinds, as the camera node does.
        publisher = node.create_publisher(msg_type, topic, QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.RELIABLE))

        def send(number: int, stamp: int) -> None:
            message = messages[number % len(messages)]
            _STAMP.pack_into(message, _STAMP_OFFSET, *divmod(stamp, 10**9))
            # `publish` takes nothing but `bytes`, a copy more than a driver makes.
            with publisher.handle:
                publisher.handle.publish_raw(message)

        return send

    return {topic: sender(topic) for topic in topics}


def main() -> None:
    """Run the camera: the argument is JSON with ``frames`` (directory) and ``topics``."""
    settings = json.loads(sys.argv[1])

    over = threading.Event()

    def create(node: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        senders = publishers(node, Frames(settings['frames']), settings['topics'])
        source = Source(senders, over)
        return {'run': source.run, 'show': source.show}, {'ready': 'source'}

    in_ros('bench_source', create, spin=False, over=over)


if __name__ == '__main__':
    main()
