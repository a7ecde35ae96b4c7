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
The keys of settings files: each is one dataclass field, declared once.

A field made by `key` has its type, default, bounds and meaning in one place. `read` fills the
dataclass from a mapping, `schema` makes its JSON Schema, and `table` its table in the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from dataclasses import dataclass, field
from functools import lru_cache, partial
import re
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_origin, get_type_hints, Literal, NamedTuple, TypeVar, Union

from ros2_classify.yaml_config import (
    as_boolean, as_integer, as_list, as_number, as_text, as_word, Fields, Where, word_text)

T = TypeVar('T')
Schema = dict[str, Any]

# What float() and a fraction of two such numbers take, written in YAML as text.
_FLOAT = r'[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?'
_FRACTION: Schema = {'type': 'string', 'pattern': f'^ *{_FLOAT} *(/ *{_FLOAT} *)?$'}
# A bound as large as this is there against nonsense and not worth a word in the docs.
_LARGE = 10**6


class Kind(NamedTuple):
    """What the values of a key may be: for the reader, the schema and the docs."""

    read: Callable[[Any, Where], Any]  # checks and converts a value; raises DescriptorError
    schema: Schema
    value: str  # the column "value" of the docs' tables


@dataclass(frozen=True)
class Section:
    """A mapping in the file whose keys are fields of the dataclass around it."""

    name: str
    meaning: str
    unset: str
    value: str = ''  # the column "value", if "mapping with `a`, `b`" says too little


@dataclass(frozen=True)
class Key:
    """All about one key but its type and its default."""

    meaning: str  # Markdown, one line
    unset: str = ''  # the column "default", if that isn't the value of the field's default
    missing: str = ''  # for a required key: what to write, for the error
    low: float | None = None
    high: float | None = None
    above: bool = False  # ``low`` itself is not allowed
    empty: str = ''  # for a list that must not be empty: what to give, for the error
    # Old words that still work, and the new ones.
    renamed: Mapping[str, str] = field(default_factory=dict)
    kind: Kind | None = None  # if the type says too little
    value: str = ''  # the column "value", if that of the kind says too little
    name: str = ''  # in the file, if it isn't the field's
    under: Section | None = None


class Row(NamedTuple):
    """One declared key."""

    field: str
    name: str
    kind: Kind
    default: Any  # None if there is none
    key: Key


def about(said: str | Key, **more: Any) -> dict[str, Key]:
    """Return the metadata of a field that is a key, for `dataclasses.field`."""
    return {'key': dataclasses.replace(said, **more) if isinstance(said, Key)
            else Key(said, **more)}


def key(default: T, said: str | Key, **more: Any) -> T:
    """
    Declare a key: a dataclass field with a default.

    ``said`` is its meaning, or a `Key` that several dataclasses share; ``more`` are fields of
    `Key`.
    """
    return field(default=default, metadata=about(said, **more))


@lru_cache(maxsize=None)
def rows(cls: type) -> tuple[Row, ...]:
    """Return the keys that a dataclass declares."""
    hints = get_type_hints(cls)
    result = []
    for item in dataclasses.fields(cls):
        about_it: Key | None = item.metadata.get('key')
        if about_it is not None:
            default = None if item.default is dataclasses.MISSING else item.default
            if item.default_factory is not dataclasses.MISSING:
                default = item.default_factory()
            result.append(Row(item.name, about_it.name or item.name,
                              about_it.kind or _kind(hints[item.name], about_it), default,
                              about_it))
    return tuple(result)


def read(fields: Fields, cls: type[T]) -> T:
    """
    Read a mapping as a dataclass declares it; unknown keys are refused.

    A method ``checked(fields)`` of the dataclass refuses what depends on several keys, and
    returns the value to use.
    """
    result = cls(**read_values(fields, cls))
    checked = getattr(result, 'checked', None)
    return result if checked is None else checked(fields)


def read_values(fields: Fields, cls: type, *, rest: bool = False) -> dict[str, Any]:
    """Return values by the names of the dataclass's fields; ``rest`` allows other keys."""
    values = {}
    missing = []
    sections: dict[str, Fields] = {}
    for row in rows(cls):
        place = fields
        if row.key.under is not None:
            name = row.key.under.name
            place = sections[name] = sections.get(name) or fields.section(name)
        value = place.raw(row.name)
        if value is None and row.key.missing:
            missing.append(place.where.error(f'{row.name} is missing; {row.key.missing}'))
        values[row.field] = row.default if value is None else row.kind.read(
            value, place.where.at(row.name))
    for place in (*sections.values(), *(() if rest else (fields,))):
        place.finish()
    for error in missing:
        raise error
    return values


# Kinds.


TEXT = Kind(as_text, {'type': 'string', 'pattern': r'\S'}, 'text')
_BOOLEAN = Kind(as_boolean, {'type': 'boolean'}, '`true`, `false`')


def pattern(regex: str, problem: str, value: str, convert: Callable[[str], Any] = str) -> Kind:
    """Return the kind of a text that must match."""
    def checked(given: object, where: Where) -> Any:
        text = as_text(given, where)
        if not re.fullmatch(regex, text):
            raise where.error(f'{text!r} {problem}')
        return convert(text)
    return Kind(checked, {'type': 'string', 'pattern': f'^{regex}$'}, value)


SHA256 = pattern(
    '[0-9a-fA-F]{64}', 'must be 64 hexadecimal digits, as sha256sum prints them',
    '64 hexadecimal digits', str.lower)


def words(allowed: Sequence[Any], renamed: Mapping[str, str] = MappingProxyType({})) -> Kind:
    """Return the kind of a value that is one of some words, true or false."""
    return Kind(partial(as_word, allowed=allowed, renamed=renamed),
                {'enum': [*allowed, *renamed]},
                ', '.join(f'`{word_text(word)}`' for word in allowed))


def integer(low: int, high: int) -> Kind:
    """Return the kind of a whole number."""
    return Kind(partial(as_integer, low=low, high=high),
                {'type': 'integer', 'minimum': low, 'maximum': high},
                f'whole number from {low}' + (f' to {high}' if high < _LARGE else ''))


def number(low: float, high: float, above: bool = False) -> Kind:
    """Return the kind of a number, or of a text that is one."""
    least = 'exclusiveMinimum' if above else 'minimum'
    if high < _LARGE:
        value = f'above {low:g}, up to {high:g}' if above else f'{low:g} to {high:g}'
    else:
        value = 'number' if low <= -_LARGE else f'number {"above" if above else "from"} {low:g}'
    return Kind(partial(as_number, low=low, high=high, above=above),
                {'anyOf': [{'type': 'number', least: low, 'maximum': high}, _FRACTION]}, value)


def listed(item: Kind, empty: str = '') -> Kind:
    """Return the kind of a list; if ``empty`` says what to give, of one that isn't empty."""
    def checked(value: object, where: Where) -> tuple[Any, ...]:
        values = as_list(value, where)
        if empty and not values:
            raise where.error(f'is an empty list; {empty}')
        return tuple(item.read(one, place) for one, place in values)
    return Kind(checked, {'type': 'array', 'items': item.schema, **(
        {'minItems': 1} if empty else {})}, f'list of {item.value}')


def section(cls: type) -> Kind:
    """Return the kind of a mapping with the keys of a dataclass."""
    return Kind(lambda value, where: read(Fields(value, where), cls), schema(cls), 'see below')


def _kind(hint: Any, about_it: Key) -> Kind:
    """Return the kind that a type says."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        args = tuple(one for one in args if one is not type(None))
        return _kind(args[0], about_it) if len(args) == 1 else words(
            [word for one in args for word in ((True, False) if one is bool else get_args(one))],
            about_it.renamed)
    if origin is Literal:
        return words(args, about_it.renamed)
    if origin is tuple:
        return listed(_kind(args[0], about_it), about_it.empty)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return section(hint)
    if hint in (int, float):
        low, high = about_it.low, about_it.high
        assert low is not None and high is not None, 'a number needs low and high'
        return integer(int(low), int(high)) if hint is int else number(low, high, about_it.above)
    return {str: TEXT, bool: _BOOLEAN}[hint]


# Schema and docs.


def schema(cls: type) -> Schema:
    """Return the JSON Schema, draft 7, of a mapping with the keys of a dataclass."""
    result = _mapping()
    for row in rows(cls):
        at, under = result, row.key.under
        if under is not None:
            at = result['properties'].setdefault(
                under.name, {**_description(under.meaning), **_mapping()})
        at['properties'][row.name] = {**_description(row.key.meaning), **row.kind.schema}
        if row.key.missing:
            at.setdefault('required', []).append(row.name)
    return {**result, **getattr(cls, 'SCHEMA', {})}


def _mapping() -> Schema:
    return {'type': 'object', 'properties': {}, 'additionalProperties': False}


def table(cls: type) -> str:
    """Return the Markdown table of a dataclass's keys."""
    lines = ['| key | value | default | meaning |', '|---|---|---|---|']
    done = set()
    for row in rows(cls):
        name, under = row.name, row.key.under
        cells = (row.key.value or row.kind.value, _default(row), row.key.meaning)
        if under is not None:
            name = under.name
            inside = (f'`{other.name}`' for other in rows(cls) if other.key.under is under)
            value = under.value or f'mapping with {", ".join(inside)}'
            cells = (value, under.unset, under.meaning)
        if name not in done:
            lines.append(f'| `{name}` | {" | ".join(cells)} |')
        done.add(name)
    return '\n'.join(lines) + '\n'


def _default(row: Row) -> str:
    """Return the column "default"."""
    if row.key.unset:
        return row.key.unset
    if isinstance(row.default, tuple):
        return f'`[{", ".join(map(str, row.default))}]`'
    value = f'{row.default:g}' if isinstance(row.default, float) else word_text(row.default)
    return 'needed' if row.key.missing else f'`{value}`'


def _description(meaning: str) -> Schema:
    """Return a meaning as plain text, unless it only points to a page."""
    text = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', meaning).replace('`', '')
    return {} if text.startswith('see ') else {'description': text}
