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

"""Transforms between frames at a time, by tf2 where it is installed."""

from __future__ import annotations

import time
from typing import Any
import weakref

from rclpy.node import Node
from rclpy.time import Time
from ros2_classify.spatial.camera import Floats, matrix_of

# A transform that comes a little later than the image it belongs to is looked for again.
_AGAIN = 0.004


class TransformError(Exception):
    """There is no such transform; the message says why."""


def is_installed() -> bool:
    """Tell whether tf2_ros can be imported."""
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        return False
    return True


class Transforms:
    """A node's tf2 buffer, filled from when it is made."""

    _of_nodes: weakref.WeakKeyDictionary[Node, Transforms] = weakref.WeakKeyDictionary()

    def __init__(self, node: Node) -> None:
        import tf2_ros

        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    @classmethod
    def of(cls, node: Node) -> Transforms:
        """Return those of a node: all its cameras share them."""
        found = cls._of_nodes.get(node)
        if found is None:
            found = cls._of_nodes[node] = cls(node)
        return found

    def matrix(self, target: str, source: str, stamp: Any, patience: float = 0.0) -> Floats:
        """Return the matrix that takes points of the source frame to the target's, at a time."""
        if not (stamp.sec or stamp.nanosec):
            # To tf2 this means the newest one, which belongs to another moment.
            raise TransformError('the image is unstamped')
        until = time.monotonic() + patience
        while True:
            try:
                found: Any = self._buffer.lookup_transform(target, source, Time.from_msg(stamp))
                break
            except Exception as error:  # noqa: B902 - tf2 has a base class only in some releases
                if time.monotonic() + _AGAIN > until:
                    raise TransformError(str(error)) from error
            time.sleep(_AGAIN)
        at, turn = found.transform.translation, found.transform.rotation
        return matrix_of((at.x, at.y, at.z), (turn.x, turn.y, turn.z, turn.w))
