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
The names of each stream, and parameters with a value of its own: ``front.score_threshold``.

The node-wide parameter counts for all streams. That of a stream is declared beside it, with the
stream's namespace in front, and shows what is in use: it follows the node-wide one until it is set
to another value, and again once it is set to the same one. A value given at start stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from ros2_classify.errors import OptionsError
from ros2_classify.ros.messages.image import resolve_image_topic, TRANSPORTS
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.node.spec import Spec

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


_NOT_GIVEN = object()


class StreamView:
    """The parameters of a node as they count for one stream; the prefix '' is for the node."""

    def __init__(self, parameters: Parameters, prefix: str = '') -> None:
        self._parameters = parameters
        self._prefix = prefix

    def __getitem__(self, name: str) -> Any:
        """Return the current value."""
        own = f'{self._prefix}.{name}'
        return self._parameters[own if own in self._parameters else name]


class PreviewView:
    """The same, with values that are about to be set."""

    def __init__(self, now: StreamView, prefix: str, changes: Mapping[str, Any],
                 follows: Callable[[str, str], bool]) -> None:
        self._now = now
        self._prefix = prefix
        self._changes = changes
        self._follows = follows

    def __getitem__(self, name: str) -> Any:
        """Return the value that would be."""
        own = f'{self._prefix}.{name}'
        if own in self._changes:
            return self._changes[own]
        if name in self._changes and (not self._prefix or self._follows(own, name)):
            return self._changes[name]
        return self._now[name]


class StreamParameters:
    """Declares what streams may have of their own; OptionsError if a value isn't allowed."""

    def __init__(self, parameters: Parameters, specs: Sequence[Spec],
                 prefixes: Sequence[str]) -> None:
        self._parameters = parameters
        # In the root namespace the node-wide parameters are the stream's own.
        self.prefixes = tuple(filter(None, prefixes))
        names = [spec.name for spec in specs if spec.per_stream]
        self._common = {name: parameters[name] for name in names}
        self._given: dict[str, Any] = {}
        # While streams get the new node-wide values, which are no changes by themselves.
        self.following = False
        for prefix in self.prefixes:
            for spec in specs:
                if spec.per_stream:
                    self._declare(prefix, spec)

    def _declare(self, prefix: str, spec: Spec) -> None:
        own = replace(
            spec, name=f'{prefix}.{spec.name}', default=self._common[spec.name],
            description=f'{spec.description}; of the stream {prefix} alone',
            from_model=not spec.read_only)
        if self._parameters.declare(own):
            self._given[own.name] = self._parameters[own.name]

    def view(self, prefix: str) -> StreamView:
        """Return the parameters as they count for the stream with this prefix."""
        return StreamView(self._parameters, prefix)

    def preview(self, changes: Mapping[str, Any]) -> Callable[[str], PreviewView]:
        """Return `view` as it would be after changes."""
        return lambda prefix: PreviewView(self.view(prefix), prefix, changes, self._follows)

    def _follows(self, own: str, name: str) -> bool:
        if own not in self._parameters:
            return True
        value = self._parameters[own]
        return bool(value == self._common.get(name) and value != self._given.get(
            own, _NOT_GIVEN))

    def follow(self) -> None:
        """Pass changed node-wide values on to the streams without a value of their own."""
        self.following = True
        try:
            for name, before in self._common.items():
                now = self._parameters[name]
                if now != before:
                    names = [f'{prefix}.{name}' for prefix in self.prefixes]
                    follow = [own for own in names if self._follows(own, name)]
                    self._common[name] = now
                    for own in follow:
                        self._parameters.assign(own, now)
        finally:
            self.following = False
