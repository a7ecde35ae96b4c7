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
A strict reader of settings: errors give the place, the bad value and the allowed ones.

`Where` is a place (file, line, key); `Fields` is one mapping, which refuses unknown keys. What
the keys are is declared in `ros2_classify.keys`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
import difflib
from functools import lru_cache
import logging
import math
from types import MappingProxyType
from typing import Any, NamedTuple, Union

from ros2_classify.errors import DescriptorError
from ros2_classify.limits import MAX_NUMBER, MAX_YAML_NODES, shown, text_problem
import yaml

Key = Union[str, int]

_LOGGER = logging.getLogger(__name__)


class Mark(NamedTuple):
    """The line of a value, counted from 1, and its text as written."""

    line: int
    text: str | None


@dataclass(frozen=True)
class Where:
    """A place in a descriptor."""

    origin: str  # the file or other source of the settings
    path: tuple[Key, ...] = ()  # keys and indices from the top to this place
    # The marks of a file's values by path, if known.
    marks: Mapping[tuple[Key, ...], Mark] = field(default_factory=dict, compare=False, repr=False)

    def at(self, key: Key) -> Where:
        """Return the place of a key or index below this one."""
        return replace(self, path=(*self.path, key))

    def text(self) -> str | None:
        """Return the value's text as written, if known."""
        mark = self.marks.get(self.path)
        return mark.text if mark else None

    def error(self, message: str) -> DescriptorError:
        """Return (not raise) an error that starts with this place."""
        return DescriptorError(f'{self}: {message}')

    def __str__(self) -> str:
        """Return ``file, line 3, input.size[0]`` as far as known."""
        parts = [self.origin]
        for end in range(len(self.path), -1, -1):
            mark = self.marks.get(self.path[:end])
            if mark:
                parts.append(f'line {mark.line}')
                break
        if self.path:
            dotted = ''.join(
                f'[{key}]' if isinstance(key, int) else f'.{key}' for key in self.path)
            parts.append(dotted.lstrip('.'))
        return ', '.join(parts)


class Fields:
    """The values of one mapping; `finish` refuses the keys that nobody has asked for."""

    def __init__(self, mapping: object, where: Where | str) -> None:
        self.where = Where(where) if isinstance(where, str) else where
        if not isinstance(mapping, Mapping):
            raise self.where.error(
                f'must be "key: value" lines, not {_describe(mapping)}')
        for key in mapping:
            if not isinstance(key, str):
                raise self.where.error(f'the key {key!r} must be text; write it in quotes')
        self._mapping: Mapping[str, Any] = mapping
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        """Return whether a key is given."""
        return key in self._mapping

    def __iter__(self) -> Iterator[str]:
        """Iterate over the given keys."""
        return iter(self._mapping)

    def error(self, key: str, message: str) -> DescriptorError:
        """Return (not raise) an error about one key."""
        return self.where.at(key).error(message)

    def raw(self, key: str, default: Any = None) -> Any:
        """Return a value as it is; an empty one is refused."""
        if key not in self._asked:
            self._asked.append(key)
        if key not in self._mapping:
            return default
        value = self._mapping[key]
        if value is None:
            raise self.error(key, 'is empty; give a value or remove the key')
        return value

    def section(self, key: str) -> Fields:
        """Return the fields of a mapping below this one; an absent one is empty."""
        return Fields(self.raw(key, {}), self.where.at(key))

    def rest(self) -> dict[str, Any]:
        """Return all remaining values."""
        left = {key: self.raw(key) for key in self._mapping if key not in self._asked}
        return left

    def finish(self) -> None:
        """Refuse unknown keys."""
        for key in self._mapping:
            if key not in self._asked:
                raise self.error(
                    key, f'unknown key {key!r}{_nearest(key, self._asked)}; allowed are '
                    f'{", ".join(self._asked)}')


def as_list(value: object, where: Where) -> list[tuple[Any, Where]]:
    """Return the values of a list, each with its place."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise where.error(f'{_describe(value)} must be a list, like [a, b]')
    return [(item, where.at(index)) for index, item in enumerate(value)]


def as_word(value: object, where: Where, *, allowed: Sequence[Any],
            renamed: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Return one of the allowed words, true or false; an old word is accepted with a warning."""
    if isinstance(value, str) and value in renamed:
        _warn_renamed(str(where), value, renamed[value])
        return renamed[value]
    for word in allowed:
        # Not "value == word": 1 equals true.
        if type(value) is type(word) and value == word:
            return word
    known = [word_text(word) for word in allowed]
    raise where.error(
        f'{_describe(value)} is not allowed{_nearest(value, known)}; allowed are '
        f'{", ".join(known)}')


def as_boolean(value: object, where: Where) -> bool:
    """Return a value that must be true or false."""
    if not isinstance(value, bool):
        raise where.error(f'{_describe(value)} must be true or false')
    return value


def word_text(word: object) -> str:
    """Return a word as it is written in YAML."""
    return str(word).lower() if isinstance(word, bool) else str(word)


def as_text(value: object, where: Where) -> str:
    """Return a value that must be a text and not empty."""
    if not isinstance(value, str):
        written = where.text()
        if written is None:
            raise where.error(f'{_describe(value)} must be text')
        raise where.error(
            f'YAML reads a bare {written} as {_describe(value)}, but this must be text; write it '
            f'in quotes: "{written}"')
    if not value.strip():
        raise where.error('is empty; give a text or remove the key')
    if problem := text_problem(value, MAX_BYTES):
        raise where.error(problem)
    return value


def as_integer(value: object, where: Where, *, low: int, high: int) -> int:
    """Return a value that must be a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise where.error(f'{_describe(value)} must be a whole number from {low} to {high}')
    if not low <= value <= high:
        raise where.error(f'{value} is out of range; it must be from {low} to {high}')
    return value


def as_number(value: object, where: Where, *, low: float, high: float,
              above: bool = False) -> float:
    """Return a value that must be a number from low to high; fractions like 1/255 are numbers."""
    number = _to_number(value)
    bounds = f'{"above" if above else "from"} {low:g} {"and up " if above else ""}to {high:g}'
    if number is None or not math.isfinite(number):
        raise where.error(
            f'{_describe(value)} must be a number {bounds} (a fraction like 1/255 is fine)')
    if not low <= number <= high or (above and number == low):
        raise where.error(f'{value} is out of range; it must be {bounds}')
    return number


def _to_number(value: object) -> float | None:
    """Return a number for a number, a text like "1e-3" or a fraction like "1/255"."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, str):
            upper, slash, lower = value.partition('/')
            return float(upper) / float(lower) if slash else float(upper)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return None


def _describe(value: object) -> str:
    """Return a short text for a value in an error."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if value is None:
        return 'nothing'
    if isinstance(value, Mapping):
        return 'a mapping'
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def _nearest(value: object, known: Sequence[str]) -> str:
    """Return " (did you mean X?)" if a known word is close."""
    close = difflib.get_close_matches(str(value), known, n=1, cutoff=0.6)
    return f' (did you mean {close[0]!r}?)' if close else ''


@lru_cache(maxsize=None)
def _warn_renamed(place: str, old: str, new: str) -> None:
    _LOGGER.warning(
        '%s: %s was renamed to %s and works until the next release; write %s', place, old, new,
        new)


MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16

# Characters of a message: names in the file may be as long as the file.
_LONGEST = 1000

_PLAIN_TAGS = {f'tag:yaml.org,2002:{kind}' for kind in (
    'str', 'int', 'float', 'bool', 'null', 'timestamp', 'seq', 'map')}


def read_yaml(text: str, origin: str) -> tuple[Any, Where]:
    """Read one YAML document."""
    if len(text) > MAX_BYTES:
        raise DescriptorError(
            f'{origin}: {len(text)} characters are too many for a descriptor (at most '
            f'{MAX_BYTES}); put long label lists into a separate file')
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        marks: dict[tuple[Key, ...], Mark] = {}
        data = None if node is None else _Builder(loader, origin, marks).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f', line {mark.line + 1}' if mark else ''
        step = ('; write a path with / or without quotes'
                if 'escape character' in str(error.problem) else
                '; indent with spaces' if r"'\t'" in str(error.problem) else '')
        raise DescriptorError(f'{origin}{line}: not valid YAML: '
                              f'{shown(str(error.problem), _LONGEST)}{step}') from error
    except yaml.reader.ReaderError as error:
        number = text.count('\n', 0, error.position) + 1
        raise DescriptorError(
            f'{origin}, line {number}: not valid YAML: the character {chr(error.character)!r} is '
            'not allowed') from error
    finally:
        if loader is not None:
            loader.dispose()
    return data, Where(origin, (), marks)


def check_nodes(loader: Any, mark: Any) -> None:
    """Count one more node of a loader; raise MarkedYAMLError if they are too many."""
    loader._nodes += 1
    if loader._nodes > MAX_YAML_NODES:
        raise yaml.MarkedYAMLError(
            problem=f'it has more than the {MAX_YAML_NODES} values that are allowed',
            problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases and deep nesting."""

    _depth = 0
    _nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node, unless it is an alias or nested too deeply."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem=f'the alias *{event.anchor} is not allowed; write the value out',
                problem_mark=mark)
        if self._depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f'nested more than {MAX_DEPTH} levels deep', problem_mark=mark)
        check_nodes(self, mark)
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
        self._check_scalar(node)
        if node.tag.endswith(':timestamp'):
            return node.value
        return self._construct(node)

    def _construct(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node)
        except (LookupError, OverflowError, ValueError) as error:
            # PyYAML takes for granted what a tag such as !!int or !!bool promises.
            kind = node.tag.rpartition(':')[2]
            raise self._error(
                node, f'{node.value[:100]!r} cannot be read as {kind}: {error}') from error

    def _mapping(self, node: yaml.MappingNode, path: tuple[Key, ...]) -> dict[Key, Any]:
        data: dict[Key, Any] = {}
        lines: dict[Key, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            line = key_node.start_mark.line + 1
            if key in data:
                raise self._error(
                    key_node, f'the key {key!r} is already given on line {lines[key]}')
            lines[key] = line
            # The line of the key, because the value may start further down.
            text = value_node.value if isinstance(value_node, yaml.ScalarNode) else None
            below = (*path, key)
            self._marks[below] = Mark(line, text)
            data[key] = self.build(value_node, below)
        return data

    def _key(self, node: yaml.Node) -> Key:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, 'a key must be a word')
        self._check_scalar(node)
        key = self._construct(node) if node.tag.endswith((':int', ':str')) else None
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise self._error(
                node, f'the key {node.value} must be text; write it in quotes: "{node.value}"')
        return key

    def _check_scalar(self, node: yaml.Node) -> None:
        """Refuse numbers that take quadratic time, and half characters."""
        if node.tag.endswith((':int', ':float')) and len(node.value) > MAX_NUMBER:
            raise self._error(
                node, f'a number has {len(node.value)} characters, more than the {MAX_NUMBER} '
                'that are allowed; write a text in quotes')
        if problem := text_problem(node.value, MAX_BYTES):
            raise self._error(node, f'a text {problem}')

    def _error(self, node: yaml.Node, message: str) -> DescriptorError:
        line = node.start_mark.line + 1
        return DescriptorError(f'{self._origin}, line {line}: {shown(message, _LONGEST)}')
