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


"""The benchmark's subscriber: when did which result arrive, as callbacks of a node see it."""

from __future__ import annotations

from array import array
import difflib
from importlib import import_module
import json
import sys
import threading
import time
from typing import Any

import numpy as np
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify.ros.server.specs import PARAMETERS
from ros2_classify_benchmark.agreement import Row
from ros2_classify_benchmark.nodes.helper import in_ros

# Parameters that nodes have beside their own.
_OF_ROS = ('qos_overrides.', 'diagnostic_updater.', 'use_sim_time', 'start_type_description')


class Listener:
    """
    Notes every result's stamp and time of arrival.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.

    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._rows = array('q')
        self._lock = threading.Lock()
        # By stamp; None while nobody compares.
        self._kept: dict[int, list[Row]] | None = None

    def listen(self, topic: str, type_name: str, camera: int) -> None:
        """Subscribe."""
        # Best effort fits every publisher. Nothing is lost: the queue is longer than any backlog.
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100,
                         reliability=ReliabilityPolicy.BEST_EFFORT)
        msg_type = message_type(type_name)
        is_header = hasattr(msg_type, 'stamp')
        if not is_header and not hasattr(msg_type, 'header'):
            raise ValueError(
                f'{topic} has messages of type {type_name}, which have no header: a result is '
                'matched with its image by the stamp in its header')

        def receive(msg: Any) -> None:
            now = time.monotonic_ns()
            stamp = msg.stamp if is_header else msg.header.stamp
            number = stamp.sec * 10**9 + stamp.nanosec
            with self._lock:
                self._rows.extend((camera, number, now))
                if self._kept is not None:
                    self._kept[number] = rows_of(msg)

        self._node.create_subscription(msg_type, topic, receive, qos)

    def type_of(self, topic: str) -> str:
        """Return the type of what is published on a topic; empty while nobody does."""
        infos = self._node.get_publishers_info_by_topic(topic)
        return str(infos[0].topic_type) if infos else ''

    def publishers(self, topic: str) -> int:
        """Return how many publishers a topic has."""
        return int(self._node.count_publishers(topic))

    def count(self) -> int:
        """Return how many results have arrived since the last `dump`."""
        with self._lock:
            return len(self._rows) // 3

    def keep(self) -> None:
        """From now on, keep what is detected."""
        with self._lock:
            self._kept = {}

    def kept(self) -> dict[int, list[Row]]:
        """Return the detections by stamp since `keep`, and keep no more."""
        with self._lock:
            found, self._kept = self._kept, None
        return found or {}

    def dump(self, out: str) -> int:
        """Write what arrived since the last time, and forget it."""
        with self._lock:
            rows, self._rows = self._rows, array('q')
        table = np.array(rows, np.int64).reshape(-1, 3)
        np.save(out, table)
        return len(table)


def unknown(names: list[str]) -> str:
    """Say which parameters the server doesn't have: ROS ignores them without a word."""
    known = [spec.name for spec in PARAMETERS]
    for name in names:
        if name not in known and not name.startswith(_OF_ROS):
            close = difflib.get_close_matches(name, known, n=1)
            near = f'; did you mean {close[0]!r}?' if close else '; docs/nodes/server.md has them'
            return f'the server has no parameter {name!r}{near}'
    return ''


def rows_of(msg: Any) -> list[Row]:
    """Return the objects of a ``vision_msgs/Detection2DArray``."""
    rows = []
    for each in msg.detections:
        best, center = each.results[0].hypothesis, each.bbox.center.position
        rows.append((
            best.class_id, best.score, center.x, center.y, each.bbox.size_x, each.bbox.size_y))
    return rows


def message_type(name: str) -> Any:
    """Return the class of ``package/msg/Type``."""
    package, _, kind = name.partition('/msg/')
    return getattr(import_module(f'{package}.msg'), kind)


def main() -> None:
    """Run the listener; all it does is asked for by commands."""
    def create(node: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        listener = Listener(node)
        return {'listen': listener.listen, 'type_of': listener.type_of,
                'publishers': listener.publishers, 'count': listener.count,
                'keep': listener.keep, 'kept': listener.kept,
                'dump': listener.dump, 'unknown': unknown}, {
                    'ready': 'listener', **json.loads(sys.argv[1])}

    in_ros('bench_listener', create, spin=True)


if __name__ == '__main__':
    main()
