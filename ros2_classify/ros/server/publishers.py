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

"""What the server publishes, and whether anybody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from ros2_classify.model.labels import Labels
from ros2_classify.results import overlay
from ros2_classify.results.results import Detections, Result
from ros2_classify.ros.messages.image import to_bgr, to_ids_msg, to_image_msg
from ros2_classify.ros.messages.vision import (
    INSTANCES_TOPIC, label_info_msg, message_writer, MESSAGES, vision_info_msg)
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo, VisionInfo


def _qos(depth: int, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    """Return a new profile (overrides are written into it); reliable serves both kinds."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE,
        durability=durability)


class Publishers:
    """
    The server's publishers, with the topics that the node would have in this namespace.

    `on_listeners` is called in the executor's thread when a subscriber came or went; middlewares
    without such events never call it, so ask `wanted` from time to time as well.
    """

    def __init__(self, node: Node, task: str, on_listeners: Callable[[], None], *,
                 masks: bool = False, namespace: str | None = None) -> None:
        self._node = node
        # Relative names are completed by ROS.
        base = '' if namespace is None else namespace.rstrip('/') + '/'
        private = '~' if namespace is None else base + node.get_name()
        row = MESSAGES[task]
        self._form = message_writer(task, node.get_logger().info)
        # The node's own group would remember the publishers, long gone ones too, for ever.
        group = {'callback_group': MutuallyExclusiveCallbackGroup()}
        overridable = {
            'qos_overriding_options': QoSOverridingOptions.with_default_policies(), **group}
        self._result = _create_publisher(
            node, row.msg_type, base + row.topic, _qos(row.depth), on_listeners, **overridable)
        self._debug_image = _create_publisher(
            node, Image, f'{private}/debug_image', _qos(1), on_listeners, **overridable)
        self._instances = _create_publisher(
            node, Image, base + INSTANCES_TOPIC, _qos(1), on_listeners,
            **overridable) if masks else None
        latched = _qos(1, DurabilityPolicy.TRANSIENT_LOCAL)
        self._label_info = node.create_publisher(LabelInfo, f'{base}label_info', latched, **group)
        self._vision_info = node.create_publisher(
            VisionInfo, f'{base}vision_info', latched, **group)
        self._threshold: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes to what inference makes."""
        return any(publisher.get_subscription_count() for publisher in self._results)

    @property
    def listeners(self) -> int:
        """How many subscriptions there are to what inference makes."""
        return sum(publisher.get_subscription_count() for publisher in self._results)

    @property
    def topics(self) -> tuple[str, ...]:
        """The resolved names of the topics of what inference makes."""
        return tuple(publisher.topic_name for publisher in self._results)

    @property
    def _results(self) -> tuple[Any, ...]:
        masks = (self._instances,) if self._instances is not None else ()
        return (self._result, *masks, self._debug_image)

    def announce(self, name: str, labels: Labels | None, threshold: float, version: int) -> None:
        """Publish the latched facts about the model."""
        stamp = self._node.get_clock().now().to_msg()
        self._vision_info.publish(
            vision_info_msg(name, self._label_info.topic_name, version, stamp))
        self._label_info.publish(label_info_msg(labels, threshold, stamp))
        self._threshold = threshold

    def announce_threshold(self, labels: Labels | None, threshold: float) -> None:
        """Publish the labels again if the threshold they carry has changed."""
        if threshold != self._threshold:
            self._threshold = threshold
            stamp = self._node.get_clock().now().to_msg()
            self._label_info.publish(label_info_msg(labels, threshold, stamp))

    def publish(
            self, result: Result, header: Any, pixels: Any, color: str, class_id: str) -> None:
        """Publish one result; nothing is built without a subscriber, `pixels` stay as they are."""
        if self._result.get_subscription_count():
            self._result.publish(self._form(result, header, class_id))
        drawing = self._debug_image.get_subscription_count()
        instances = None
        if self._instances is not None and isinstance(result, Detections):
            wanted = self._instances.get_subscription_count()
            # Made once for both.
            instances = result.instances() if wanted or drawing else None
            if wanted and instances is not None:
                self._instances.publish(to_ids_msg(instances, header))
        if drawing:
            bgr = to_bgr(pixels, color)
            drawn = overlay.draw(bgr, result, copy=bgr is pixels, instances=instances)
            self._debug_image.publish(to_image_msg(drawn, 'bgr8', header))

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (*self._results, self._label_info, self._vision_info):
            self._node.destroy_publisher(publisher)


def _create_publisher(
        node: Node, msg_type: type, topic: str, qos: QoSProfile,
        on_listeners: Callable[[], None], **options: Any) -> Any:
    """Create a publisher that tells when subscribers come and go, where that is possible."""
    try:
        from rclpy.event_handler import PublisherEventCallbacks, UnsupportedEventTypeError
    except ImportError:  # before Iron
        return node.create_publisher(msg_type, topic, qos, **options)
    events = PublisherEventCallbacks(matched=lambda _: on_listeners())
    try:
        return node.create_publisher(msg_type, topic, qos, event_callbacks=events, **options)
    except UnsupportedEventTypeError:
        return node.create_publisher(msg_type, topic, qos, **options)
