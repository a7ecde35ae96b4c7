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

"""Why images don't come, or not all: which of the usual causes it is."""

from __future__ import annotations

from collections.abc import Iterable
import difflib
import os
import sys
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility, ReliabilityPolicy
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.messages.image import IMAGE_TYPES, TRANSPORTS
from ros2_classify.ros.node.dds_profile import profile_file, variable
from ros2_classify.ros.server.shared_memory import obstacle
from ros2_classify.ros.server.subscription import ImageSubscription

_NAMED_TOPICS = 5
# What rclpy's comparison of two profiles says, and the policy that it speaks of.
_POLICIES = {'effort': 'RELIABILITY', 'ransient': 'DURABILITY', 'eadline': 'DEADLINE',
             'iveliness': 'LIVELINESS', 'lease': 'LIVELINESS'}


def explain_silence(node: Node, source: ImageSubscription, silent_for: float) -> Issue:
    """Say why no image comes to a subscription, and what to do next."""
    topic = source.topic
    if source.is_local:
        return find('no_local_image', topic=topic, seconds=silent_for)
    wanted = source.transport.type_name
    publishers = node.get_publishers_info_by_topic(topic)
    matching = [publisher for publisher in publishers if publisher.topic_type == wanted]
    if publishers and not matching:
        found = publishers[0].topic_type
        if source.listed:
            cure = 'correct the parameter image_topics'
        elif found in IMAGE_TYPES:
            cure = f'set the parameter image_transport to {IMAGE_TYPES[found]}'
        else:
            cure = 'remap "image" to a topic of images'
        return find('wrong_type', topic=topic, found=found, kind=wanted, cure=cure)
    if not matching:
        return find(
            'no_publisher', topic=topic, kind=wanted, cure=_alternatives(node, source))
    for publisher in matching:
        compatibility, reason = qos_check_compatible(publisher.qos_profile, source.qos())
        if compatibility == QoSCompatibility.ERROR:
            return find(
                'incompatible_qos', publisher=_name(publisher), topic=topic,
                policy=source.incompatible_policy or next(
                    (policy for word, policy in _POLICIES.items() if word in reason),
                    'named here'),
                reason=_first_line(reason), cure=_qos_cure(reason))
    kind, words = _obstacle(node, source, matching)
    facts = {'publishers': ', '.join(map(_name, matching)), 'topic': topic, 'seconds': silent_for}
    if kind == 'user':
        return find('other_user', **facts, words=words)
    if kind == 'container':
        return find('other_container', **facts, words=words)
    return find('no_image', **facts, cure=_loss_cure(source))


def explain_losses(lost: str, source: ImageSubscription) -> Issue:
    """Say why images get lost on their way, and what to do; `lost` is from `LossMonitor.judge`."""
    if source.transport is not TRANSPORTS['raw']:
        return find('compressed_lost', lost=lost, topic=source.topic)
    return find('images_lost', lost=lost, topic=source.topic, cure=_loss_cure(source))


def explain_memory(node: Node, source: ImageSubscription) -> Issue | None:
    """Say that large images go by UDP for want of shared memory, which loses some unnoticed."""
    if source.is_local:
        return None
    kind, words = _obstacle(node, source, node.get_publishers_info_by_topic(source.topic))
    return find('small_shared_memory', topic=source.topic, words=words) if (
        kind == 'small') else None


def _obstacle(
        node: Node, source: ImageSubscription, publishers: Iterable[Any]) -> tuple[str, str]:
    """Return what `obstacle` finds between this node and one of the publishers."""
    own = [each for each in node.get_subscriptions_info_by_topic(source.topic)
           if (each.node_name, each.node_namespace) == (node.get_name(), node.get_namespace())]
    if not own or not sys.platform.startswith('linux'):
        return '', ''
    for publisher in publishers:
        kind, words = obstacle(
            publisher.endpoint_gid, own[0].endpoint_gid,
            '' if source.last_image_at is not None else publisher.node_name)
        if kind:
            return kind, words
    return '', ''


def _loss_cure(source: ImageSubscription) -> str:
    """Name reliability first, if that is not what is used: it needs nothing in the camera."""
    first = ''
    if source.qos().reliability != ReliabilityPolicy.RELIABLE:
        first = 'have the camera publish reliably, which this node follows, or '
        if source.offered_reliability() == {ReliabilityPolicy.RELIABLE}:
            first = 'set the parameter qos to auto, since the camera is reliable, or '
    return (f'{first}start the camera with {variable(os.environ)} naming '
            f'{profile_file() or "config/fastdds.xml of this package"}')


def _alternatives(node: Node, source: ImageSubscription) -> str:
    topics = {name: types[0] for name, types in node.get_topic_names_and_types() if types}
    # The node's own annotated image is no camera, nor is what others only wait for.
    own = {name for name, _ in node.get_publisher_names_and_types_by_node(
        node.get_name(), node.get_namespace())}
    found = [name for name, kind in topics.items()
             if kind in IMAGE_TYPES and name not in own and node.count_publishers(name)]
    if not found:
        return 'there is no topic of images; is the camera running, with the same ROS_DOMAIN_ID?'
    close = sorted(found, reverse=True, key=lambda name: difflib.SequenceMatcher(
        None, source.topic, name).ratio())[:_NAMED_TOPICS]
    if source.listed:
        return f'topics of images are {", ".join(close)}; name them in image_topics'
    other = IMAGE_TYPES[topics[close[0]]]
    # The suffix is added by itself.
    cure = f'-r image:={close[0].removesuffix(TRANSPORTS[other].suffix)}'
    if TRANSPORTS[other] is not source.transport:
        cure += f' -p image_transport:={other}'
    return f'topics of images are {", ".join(close)}; to take the first: --ros-args {cure}'


def _name(publisher: Any) -> str:
    return f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'


def _qos_cure(reason: str) -> str:
    other = 'change the qos_overrides of one of the two'
    return f'set the parameter qos to auto, or {other}' if 'effort' in reason else other


def _first_line(reason: str) -> str:
    return reason.strip().rstrip(';').splitlines()[0] + ';' if reason.strip() else ''
