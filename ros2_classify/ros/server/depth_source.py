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

"""What positions need: depth images and calibration, while they are wanted, and transforms."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
import threading
import time
from typing import Any, NamedTuple
import weakref

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from ros2_classify.ros.server.image_waiter import (
    SubscriptionEvents, take, TakeError, TakingThread)
from ros2_classify.ros.server.reliability import (
    BEST_EFFORT, FIXED, is_overridden, offers, ReliabilityChoice, subscribe)
from ros2_classify.spatial.camera import Floats, matrix_of
from sensor_msgs.msg import CameraInfo, Image

# Depth images are kept until the result of their image is there: two seconds at 30 Hz, or
# as many as fit.
_MOST, _MOST_BYTES = 60, 96 << 20
# A camera that has sent no depth for so long is not waited for.
_DEAD = 1.0
# As for images: a subscriber that comes back at once keeps the subscription.
_LINGER = 2.0


def stamp_of(header: Any) -> int:
    """Return a header's stamp in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


class DepthRing:
    """The last depth images, by their stamps; one thread adds, another one looks for them."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._kept: deque[tuple[int, Any]] = deque()
        self._bytes = 0
        self._exact = True
        self._came_at = 0.0

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)

    def add(self, msg: Any) -> None:
        """Keep a depth image; the oldest ones go."""
        with self._news:
            self._kept.append((stamp_of(msg.header), msg))
            self._bytes += len(msg.data)
            while len(self._kept) > _MOST or (
                    self._bytes > _MOST_BYTES and len(self._kept) > 1):
                self._bytes -= len(self._kept.popleft()[1].data)
            self._came_at = time.monotonic()
            self._news.notify_all()

    def clear(self) -> None:
        """Forget all."""
        with self._news:
            self._kept.clear()
            self._bytes = 0

    def find(self, stamp: int, within: int, patience: float) -> tuple[Any, int | None]:
        """
        Return the depth image of a stamp, and how far its own is away, in nanoseconds.

        One of the very stamp is waited for, `patience` seconds at most, unless a later one
        has come already; if there is none, the nearest one counts. If that is not `within`, the
        image is None, and so is the distance if there is no depth at all.
        """
        until = time.monotonic() + patience
        with self._news:
            while True:
                if not self._kept:
                    return None, None
                nearest, msg = min(self._kept, key=lambda each: abs(each[0] - stamp))
                away = nearest - stamp
                now = time.monotonic()
                # Cameras that are not synchronized never have the very stamp.
                if away == 0 or self._kept[-1][0] > stamp or now >= until or (
                        not self._exact and abs(away) <= within) or (
                        now - self._came_at > _DEAD):
                    break
                self._news.wait(until - now)
            self._exact = away == 0
            # Stamps rise: those before the nearest one are never the nearest again. Memory that is
            # used again at once is in the processor's cache.
            while self._kept[0][0] < nearest:
                self._bytes -= len(self._kept.popleft()[1].data)
            return (msg if abs(away) <= within else None), away


class DepthSource:
    """
    The topics of depth (none if its name is empty) and of camera_info.

    The executor's thread calls `update`, a worker's thread asks for `info`, and a thread of its
    own takes the depth.
    """

    def __init__(
            self, node: Node, depth_topic: str, info_topic: str, qos: str = 'auto') -> None:
        self._node = node
        self._qos = qos
        self._choice = ReliabilityChoice()
        self._depth: _Depth | None = None
        self.depth_topic = depth_topic
        self.info_topic = info_topic
        self.ring = DepthRing()
        self._info: Any = None
        # The calibration, the bytes that it was, and the subscription that it is from.
        self._newest: tuple[Any, bytes, Any] = (None, b'', None)
        # Depth images that came or were lost.
        self._seen = 0
        self._last_wanted = 0.0

    @property
    def info(self) -> Any:
        """
        The newest calibration, taken when it is asked for; None if there is none.

        It is the same object as long as nothing but its stamp changes.
        """
        subscription = self._info
        if subscription is None:
            return None
        with suppress(TakeError):
            while (taken := take(subscription)) is not None:
                before, data, of = self._newest
                same = of is subscription and _unstamped(taken.msg) == _unstamped(data)
                self._newest = (before if same else deserialize_message(taken.msg, CameraInfo),
                                taken.msg, subscription)
        return self._newest[0] if self._newest[2] is subscription else None

    @property
    def subscribed(self) -> bool:
        """Whether messages come at the moment."""
        return self._info is not None

    def update(self, wanted: bool) -> None:
        """Subscribe if positions are wanted, unsubscribe if they haven't been for a while."""
        now = time.monotonic()
        if wanted:
            self._last_wanted = now
            if self._info is None:
                self._info = subscribe(
                    self._node, CameraInfo, self.info_topic, 1, BEST_EFFORT, raw=True)
            if self.depth_topic:
                self._follow_publishers()
        elif self.subscribed and now - self._last_wanted >= _LINGER:
            self.unsubscribe()

    def unsubscribe(self) -> None:
        """Give the subscriptions back."""
        info, self._info = self._info, None
        depth, self._depth = self._depth, None
        if info is not None:
            self._node.destroy_subscription(info)
        if depth is not None:
            depth.destroy()
        self.ring.clear()

    def publishers(self, topic: str) -> int:
        """Return how many publish on a topic."""
        return int(self._node.count_publishers(topic))

    def _add(self, msg: Any) -> None:
        self._seen += 1
        self.ring.add(msg)

    def _follow_publishers(self) -> None:
        """Subscribe reliably to a reliable camera, of which best effort loses large images."""
        before = self._depth
        if self._qos != 'auto':
            best = FIXED[self._qos]
        elif is_overridden(self._node, self.depth_topic):
            best = BEST_EFFORT
        else:
            self._seen += before.events.lost() if before is not None else 0
            best = self._choice.choose(
                offers(self._node, self.depth_topic, Image), self._seen,
                subscribed=before is not None)
        if before is None or before.reliability != best:
            subscription = subscribe(self._node, Image, self.depth_topic, 5, best)
            self._depth = _Depth(
                best, TakingThread(self._node, subscription, self._add),
                SubscriptionEvents(subscription))
            if before is not None:
                before.destroy()


class _Depth(NamedTuple):
    """A subscription to depth, how reliable it is, and what the middleware tells of it."""

    reliability: ReliabilityPolicy
    subscription: TakingThread
    events: SubscriptionEvents

    def destroy(self) -> None:
        self.events.destroy()
        self.subscription.destroy()


def _unstamped(data: bytes) -> bytes:
    """Return a serialized message without the stamp, with which its header begins."""
    return data[:4] + data[12:]


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
