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

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
import time
from types import MappingProxyType
from typing import Any

from rclpy.node import Node
from ros2_classify.model.labels import Labels
from ros2_classify.postprocess.postprocessor import Postprocessor
from ros2_classify.preprocess.views import shown_tiles
from ros2_classify.results import overlay
from ros2_classify.results.overlay_regions import draw_regions
from ros2_classify.results.overlay_tracks import Trails
from ros2_classify.results.results import Detections, Result
from ros2_classify.ros.messages.image import to_ids_msg, to_image_msg
from ros2_classify.ros.messages.keypoints import (
    keypoints_msg, KEYPOINTS_TOPIC, skeleton_msgs, skeleton_type, SKELETONS_TOPIC)
from ros2_classify.ros.messages.vision import (
    INSTANCES_TOPIC, label_info_msg, load_type, message_writer, MESSAGES, vision_info_msg)
from ros2_classify.ros.server.output import Output, Published, Topics
from ros2_classify.ros.server.tracking import seconds_of
from ros2_classify.sources.image_messages import to_bgr
from ros2_classify.web.controls import rate_of
from ros2_classify.web.feed import Feed
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo, VisionInfo


class KeypointsOutput(Output):
    """The key points of all detections."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(load_type('Keypoints2DArray', 'msg'), KEYPOINTS_TOPIC))

    def write(self, published: Published) -> Any:
        """Return the message; None if the result has no key points."""
        result = published.result
        if not isinstance(result, Detections) or result.keypoints is None:
            return None
        return keypoints_msg(result, published.header)


class SkeletonsOutput(Output):
    """A message for each person."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(skeleton_type(), SKELETONS_TOPIC))

    def write(self, published: Published) -> Any:
        """Return a list of messages; none if the points are not those of persons."""
        result = published.result
        return skeleton_msgs(result, published.header) if isinstance(result, Detections) else []


def keypoint_outputs(topics: Topics, say: Callable[[str], Any]) -> list[Output]:
    """Return the topics for which the messages are installed; ``say`` gets what is missing."""
    outputs: list[Output] = []
    try:
        outputs.append(KeypointsOutput(topics))
    except ImportError as error:
        say(f'no topic {KEYPOINTS_TOPIC}: {error}; install ros2_classify_interfaces in the '
            'version of this package')
    try:
        outputs.append(SkeletonsOutput(topics))
    except ImportError:
        # Few machines have it, and nothing is wrong without.
        pass
    return outputs


class ResultOutput(Output):
    """The result itself."""

    def __init__(self, topics: Topics, task: str, say: Callable[[str], Any]) -> None:
        row = MESSAGES[task]
        super().__init__(topics.create(row.msg_type, row.topic, row.depth))
        self._form = message_writer(task, say)

    def write(self, published: Published) -> Any:
        """Return the standard message of the task."""
        return self._form(published.result, published.header, published.class_id)


class InstancesOutput(Output):
    """The pixels of the objects of models with masks."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(Image, INSTANCES_TOPIC, 1))

    def write(self, published: Published) -> Any:
        """Return an image of rows."""
        instances = published.instances
        return None if instances is None else to_ids_msg(instances, published.header)


def annotated(published: Published, trails: Trails) -> Any:
    """Return the image in BGR, with the result drawn on a copy of it."""
    bgr = to_bgr(published.pixels, published.color)
    if bgr is published.pixels:
        bgr = bgr.copy()
    result = published.shown
    if published.settings is not None:
        _draw_regions(bgr, published)
    if isinstance(result, Detections) and result.track_ids is not None:
        trails.draw(bgr, result, seconds_of(published.header.stamp))
    return overlay.draw(bgr, result, copy=False, instances=published.instances)


def _draw_regions(canvas: Any, published: Published) -> None:
    """Draw what the parameters set: where the model looks, and where events are."""
    settings, counts = published.settings, published.counts
    options = settings.options
    draw_regions(
        canvas, roi=options.roi, tiles=shown_tiles(options, published.result.image_size),
        lines=() if counts is None else settings.lines,
        zones=() if counts is None else settings.zones, said=counts or {})


class DebugImageOutput(Output):
    """The image with the result drawn on it."""

    in_metres = True

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.create(Image, '~/debug_image', 1))
        self._trails = Trails()

    def write(self, published: Published) -> Any:
        """Return the annotated image."""
        return to_image_msg(annotated(published, self._trails), 'bgr8', published.header)


class Publishers:
    """
    The server's publishers, with the topics that the node would have in this namespace.

    Each of `others`, the further heads of the model, has the same topics below its name. `more`
    makes the topics of what is switched on beside the results themselves.

    `on_listeners` is called in the executor's thread when a subscriber came or went; middlewares
    without such events never call it, so ask `wanted` from time to time as well.
    """

    def __init__(self, node: Node, task: str, on_listeners: Callable[[], None], *,
                 masks: bool = False, keypoints: bool = False, namespace: str | None = None,
                 head: str = '',
                 others: Mapping[str, Postprocessor] = MappingProxyType({}),
                 more: Callable[[Topics], Sequence[Output]] = lambda topics: ()) -> None:
        self._node = node
        topics = Topics(node, on_listeners, namespace, head)
        self._outputs: list[Output] = [ResultOutput(topics, task, node.get_logger().info)]
        if masks:
            self._outputs.append(InstancesOutput(topics))
        if keypoints:
            self._outputs += keypoint_outputs(topics, node.get_logger().info)
        self._outputs += more(topics)
        # Last: drawing takes longest.
        self._outputs.append(DebugImageOutput(topics))
        self._label_info = topics.latched(LabelInfo, 'label_info')
        self._vision_info = topics.latched(VisionInfo, 'vision_info')
        self._threshold: float | None = None
        self._others = {
            name: Publishers(node, other.task, on_listeners, masks=other.gives_masks,
                             keypoints=other.gives_keypoints,
                             namespace=namespace, head=name)
            for name, other in others.items()}

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes to what inference makes."""
        return any(output.listeners for output in self._all)

    @property
    def wanted_in_metres(self) -> bool:
        """Whether anybody subscribes to what takes the objects' positions."""
        return any(output.in_metres and output.listeners for output in self._all)

    @property
    def listeners(self) -> int:
        """How many subscriptions there are to what inference makes."""
        return sum(output.listeners for output in self._all)

    @property
    def topics(self) -> tuple[str, ...]:
        """The resolved names of the topics of what inference makes."""
        return tuple(output.publisher.topic_name for output in self._all if output.publisher)

    @property
    def _all(self) -> Iterator[Output]:
        yield from self._outputs
        for other in self._others.values():
            yield from other._all

    def announce(self, name: str, labels: Labels | None, threshold: float, version: int,
                 others: Mapping[str, Postprocessor] = MappingProxyType({})) -> None:
        """Publish the latched facts about the model and its further heads."""
        for head, other in others.items():
            self._others[head].announce(
                name, other.labels, other.options.score_threshold, version)
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

    def publish(self, published: Published) -> None:
        """Publish what has a subscriber; nothing is built for the rest."""
        for output in self._outputs:
            if output.listeners:
                message = output.write(published)
                for each in message if isinstance(message, list) else (message,):
                    if each is not None:
                        output.publisher.publish(each)
        for name, other in self._others.items():
            other.publish(replace(
                published, result=published.result.others[name], locator=None))

    def destroy(self) -> None:
        """Take the topics away."""
        for output in self._outputs:
            output.close()
        for publisher in (*(output.publisher for output in self._outputs if output.publisher),
                          self._label_info, self._vision_info):
            self._node.destroy_publisher(publisher)
        for other in self._others.values():
            other.destroy()


class PageOutput(Output):
    """A camera's annotated image on the page: no topic, but a listener for each browser."""

    in_metres = True

    def __init__(self) -> None:
        super().__init__(None)
        self.feed = Feed()
        self.newest: Result | None = None
        self._trails = Trails()
        self._times: deque[float] = deque(maxlen=20)

    @property
    def listeners(self) -> int:
        """How many browsers show it."""
        return self.feed.listeners

    @property
    def rate(self) -> float:
        """Results per second, of late."""
        return rate_of(list(self._times))

    def write(self, published: Published) -> None:
        """Offer the image; a thread of the page draws it."""
        self.newest = published.result
        self._times.append(time.monotonic())
        # The positions are found in this thread: the locator belongs to it.
        assert published.shown is not None
        self.feed.offer(lambda: annotated(published, self._trails))
