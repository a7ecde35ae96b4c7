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
Reading a descriptor's YAML: plain data, the lines it stands on, and nothing clever.

YAML 1.1 as PyYAML reads it, less what a descriptor has no use for: anchors and aliases (a few
bytes of them can stand for gigabytes), keys given twice, tags, several documents in a file.
"""

from __future__ import annotations

from typing import Any

from ros2_classify.errors import DescriptorError
from ros2_classify.yaml_config import Key, Mark, Where
import yaml

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16

_PLAIN_TAGS = {f'tag:yaml.org,2002:{kind}' for kind in (
    'str', 'int', 'float', 'bool', 'null', 'timestamp', 'seq', 'map')}


def read_yaml(text: str, origin: str) -> tuple[Any, Where]:
    """
    Read one YAML document.

    Parameters
    ----------
    text : str
        The document.
    origin : str
        What errors call it; a file's path as a rule.

    Returns
    -------
    data : dict, list, str, int, float, bool or None
        The document's content. Dates stay text.
    where : Where
        The top of the document; it knows the line of each key and value.

    Raises
    ------
    DescriptorError
        If the text is no YAML, too large or too deep, or uses what a descriptor must not.

    """
    if len(text) > MAX_BYTES:
        raise DescriptorError(
            f'{origin}: {len(text)} characters are too many for a descriptor (at most '
            f'{MAX_BYTES}); put long label lists into a file of their own')
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        marks: dict[tuple[Key, ...], Mark] = {}
        data = None if node is None else _Builder(loader, origin, marks).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f', line {mark.line + 1}' if mark else ''
        raise DescriptorError(f'{origin}{line}: not valid YAML: {error.problem}') from error
    except yaml.reader.ReaderError as error:
        number = text.count('\n', 0, error.position) + 1
        raise DescriptorError(
            f'{origin}, line {number}: not valid YAML: the character {chr(error.character)!r} is '
            'not allowed') from error
    finally:
        if loader is not None:
            loader.dispose()
    return data, Where(origin, (), marks)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses aliases and depth while it reads."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node, unless it is an alias or lies too deep."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem=f'the alias *{event.anchor} is not allowed; write the value out',
                problem_mark=mark)
        if self._depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f'nested more than {MAX_DEPTH} levels deep', problem_mark=mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Builder:
    """Turns nodes into data and notes each value's line."""

    def __init__(self, loader: _Loader, origin: str, marks: dict[tuple[Key, ...], Mark]) -> None:
        self._loader = loader
        self._origin = origin
        self._marks = marks

    def build(self, node: yaml.Node, path: tuple[Key, ...]) -> Any:
        scalar = isinstance(node, yaml.ScalarNode)
        line = node.start_mark.line + 1
        self._marks.setdefault(path, Mark(line, node.value if scalar else None))
        if node.tag not in _PLAIN_TAGS:
            raise self._error(node, f'the tag {node.tag} is not allowed')
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        if node.tag.endswith(':timestamp'):
            return node.value
        try:
            return self._loader.construct_object(node)
        except ValueError as error:
            raise self._error(node, f'{node.value!r} cannot be read: {error}') from error

    def _mapping(self, node: yaml.MappingNode, path: tuple[Key, ...]) -> dict[Key, Any]:
        data: dict[Key, Any] = {}
        lines: dict[Key, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            line = key_node.start_mark.line + 1
            if key in data:
                raise self._error(
                    key_node, f'the key {key!r} was given before, on line {lines[key]}')
            lines[key] = line
            # The key's line is the one to look at; the value may start further down.
            text = value_node.value if isinstance(value_node, yaml.ScalarNode) else None
            below = (*path, key)
            self._marks[below] = Mark(line, text)
            data[key] = self.build(value_node, below)
        return data

    def _key(self, node: yaml.Node) -> Key:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, 'a key must be a word')
        key = self._loader.construct_object(node) if node.tag.endswith((':int', ':str')) else None
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise self._error(
                node, f'the key {node.value} must be text; write it in quotes: "{node.value}"')
        return key

    def _error(self, node: yaml.Node, message: str) -> DescriptorError:
        return DescriptorError(f'{self._origin}, line {node.start_mark.line + 1}: {message}')
