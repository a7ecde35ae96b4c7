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

"""The names of each camera's topic and of the namespace of its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from ros2_classify.errors import OptionsError
from ros2_classify.ros.messages.image import resolve_image_topic, TRANSPORTS

_COMPRESSED = TRANSPORTS['compressed'].suffix


@dataclass(frozen=True)
class StreamNames:
    """The full names of one camera's topic, after remapping, and of its results' namespace."""

    topic: str
    transport: str  # a key of `TRANSPORTS`
    namespace: str | None = None  # None: the node's own

    @property
    def prefix(self) -> str:
        """What is before the names of its own parameters; '' if the node's are its own."""
        return (self.namespace or '').strip('/').replace('/', '.')


def stream_names(
        node: Node, image_topics: Sequence[str], image_transport: str,
        output_namespaces: Sequence[str] = ()) -> tuple[StreamNames, ...]:
    """
    Work out the names of all streams, with the node's namespace and remappings.

    Empty topics don't count, and none at all means ``image``; what ends in ``/compressed`` has
    compressed images, the others come by `image_transport`. Without namespaces the results are in
    those of the cameras. OptionsError if a name is invalid, or results of two cameras would mix.
    """
    topics = [topic for topic in image_topics if topic]
    given = [namespace for namespace in output_namespaces if namespace]
    if given and len(given) != len(topics):
        raise OptionsError(
            f'output_namespaces has {len(given)} names but image_topics has {len(topics)}: give '
            'one namespace for each topic, in the same order, or none at all')
    if not topics:
        suffix = TRANSPORTS[image_transport].suffix
        return (StreamNames(resolve_image_topic(node, suffix), image_transport),)
    found: dict[str, StreamNames] = {}
    for position, name in enumerate(topics):
        names = _listed(node, name, image_transport, given[position] if given else None)
        assert names.namespace is not None
        other = found.setdefault(names.namespace, names)
        if other.topic == names.topic and other is not names:
            raise OptionsError(f'image_topics names {names.topic} twice; name each topic once')
        if other is not names:
            raise OptionsError(
                f'the results for {other.topic} and {names.topic} would mix in the namespace '
                f'{names.namespace}: give each its own with the parameter output_namespaces, as '
                f'in: -p "output_namespaces:=[{_suggestion(other)}, {_suggestion(names)}]"')
    return tuple(found.values())


def _listed(
        node: Node, name: str, image_transport: str, namespace: str | None) -> StreamNames:
    """Return the names of one camera of image_topics."""
    base = name.removesuffix(_COMPRESSED)
    transport = image_transport if base == name else 'compressed'
    suffix = TRANSPORTS[transport].suffix
    try:
        topic = resolve_image_topic(node, suffix, base)
        if namespace is None:
            # The camera's namespace is that of its topic, as for camera_info.
            namespace = topic.removesuffix(_COMPRESSED).rpartition('/')[0] or '/'
        elif namespace.strip('/'):
            namespace = node.resolve_topic_name(namespace.rstrip('/'), only_expand=True)
        else:
            namespace = '/'
    except rclpy_implementation.RCLError as error:
        words = f'{name!r} of image_topics' + (
            f' or {namespace!r} of output_namespaces' if namespace else '')
        reason = str(error).partition(', at ')[0].rpartition('name: ')[2]
        raise OptionsError(f'{words} cannot be used: {reason}') from error
    return StreamNames(topic, transport, namespace)


def _suggestion(names: StreamNames) -> str:
    return names.topic.removesuffix(_COMPRESSED)
