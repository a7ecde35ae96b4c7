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

"""What a topic of the server is: made from results, written if somebody subscribes to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import PublisherEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from ros2_classify.preprocess.views import region
from ros2_classify.results.results import Detections, Result


def _qos(depth: int, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    """Return a new profile (overrides are written into it); reliable serves both kinds."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE,
        durability=durability)


@dataclass
class Published:
    """A result, and what belongs to it; `pixels` are the camera's and stay as they are."""

    result: Result
    header: Any
    pixels: Any
    color: str
    class_id: str
    # Finds positions: returns `Places`.
    locator: Callable[[Any, Any, float | None], Any] | None = None
    # What the parameters ask for, and what was counted at lines and zones of events.
    settings: Any = None
    counts: Mapping[str, str] | None = None

    @cached_property
    def places(self) -> Any:
        """Where the objects are, found once for all who want it; None without positions."""
        if self.locator is None or not isinstance(self.result, Detections):
            return None
        edge = None
        if self.settings is not None:
            _, top, _, height = region(self.settings.options, self.result.image_size)
            edge = top + height
        return self.locator(self.result, self.header, edge)

    @property
    def shown(self) -> Result:
        """The result with all that may be drawn: the objects' positions, if they are known."""
        return self.result if self.places is None else self.places.result

    @property
    def located(self) -> Any:
        """The objects in metres; None if that can't be."""
        return None if self.places is None else self.places.located

    @cached_property
    def instances(self) -> Any:
        """The image of the objects' pixels, made once for all who want it; None without masks."""
        return self.result.instances() if isinstance(self.result, Detections) else None


class Topics:
    """Creates publishers: with the node's names, or with those it would have in a namespace."""

    def __init__(self, node: Node, on_listeners: Callable[[], None],
                 namespace: str | None = None, head: str = '') -> None:
        self._node = node
        self._on_listeners = on_listeners
        # Relative names are completed by ROS.
        self._base = '' if namespace is None else namespace.rstrip('/') + '/'
        self._private = '~' if namespace is None else self._base + node.get_name()
        if head:
            self._base, self._private = f'{self._base}{head}/', f'{self._private}/{head}'
        # The node's own group would remember the publishers, long gone ones too, for ever.
        self._group = {'callback_group': MutuallyExclusiveCallbackGroup()}

    def create(self, msg_type: type, name: str, depth: int = 10) -> Any:
        """Create a publisher of results, `~/` in front for the node's own topics."""
        topic = self._private + name[1:] if name.startswith('~') else self._base + name
        return _create_publisher(
            self._node, msg_type, topic, _qos(depth), self._on_listeners,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(), **self._group)

    def latched(self, msg_type: type, name: str, depth: int = 1) -> Any:
        """Create a publisher of facts, whose last message later subscribers get as well."""
        return self._node.create_publisher(
            msg_type, self._base + name, _qos(depth, DurabilityPolicy.TRANSIENT_LOCAL),
            **self._group)


class Output:
    """
    A topic that follows from results: `write` is called if it has a subscriber.

    One without a publisher hands results on by itself.
    """

    # Whether it wants the objects' positions.
    in_metres = False

    def __init__(self, publisher: Any) -> None:
        self.publisher = publisher

    @property
    def listeners(self) -> int:
        """How many subscriptions there are."""
        return int(self.publisher.get_subscription_count())

    def write(self, published: Published) -> Any:
        """Return the message, or its bytes; None for none."""
        raise NotImplementedError

    def close(self) -> None:
        """End what goes on beside the topic."""


def _create_publisher(
        node: Node, msg_type: type, topic: str, qos: QoSProfile,
        on_listeners: Callable[[], None], **options: Any) -> Any:
    """Create a publisher that tells when subscribers come and go, if the middleware does."""
    events = PublisherEventCallbacks(matched=lambda _: on_listeners())
    try:
        return node.create_publisher(msg_type, topic, qos, event_callbacks=events, **options)
    except UnsupportedEventTypeError:
        return node.create_publisher(msg_type, topic, qos, **options)
