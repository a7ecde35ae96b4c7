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

"""Declared keys: what each kind accepts, what its errors say, and its schema and docs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from ros2_classify.errors import DescriptorError
from ros2_classify.keys import about, key, read, schema, Section, table
from ros2_classify.yaml_config import Fields, Where

_NAMES = Section('names', 'some names', 'found')


@dataclass(frozen=True)
class Inner:
    """A section."""

    depth: int = key(1, 'how deep', low=1, high=9)


@dataclass(frozen=True)
class Settings:
    """One key of each kind."""

    word: str = field(metadata=about('a [word](page.md)', missing='write word: x'))
    text: str | None = key(None, 'a `text`', unset='none')
    choice: Literal['stretch', 'crop'] = key('crop', 'one of two', renamed={'cut': 'crop'})
    flag: bool = key(True, 'yes or no')
    either: Literal['auto'] | bool = key('auto', 'yes, no or auto')
    whole: int = key(3, 'a whole number', low=0, high=9)
    number: float | None = key(None, 'see there', unset='none', low=0, high=1)
    positive: float = key(1.0, 'more than nothing', low=0, high=1e6, above=True)
    numbers: tuple[int, ...] = key((8, 16), 'some', low=1, high=9, empty='give one', value='list')
    names: tuple[str, ...] = key((), 'names', name='list', under=_NAMES)
    inner: Inner = key(Inner(), 'more', unset='all defaults')
    origin: str = ''

    def checked(self, fields: Fields) -> Settings:
        """Refuse two keys at once."""
        if 'text' in fields and 'number' in fields:
            raise fields.error('text', 'is given with number')
        return self


def given(**values: object) -> Settings:
    return read(Fields({'word': 'w', **values}, 'settings'), Settings)


def refused(**values: object) -> str:
    with pytest.raises(DescriptorError) as caught:
        given(**values)
    return str(caught.value)


def test_defaults() -> None:
    assert given() == Settings('w', None, 'crop', True, 'auto', 3, None, 1.0, (8, 16), (), Inner())


def test_values() -> None:
    assert given(
        text='t', choice='stretch', flag=False, either=False, whole=0, positive='1e-3',
        numbers=[1, 2], names={'list': ['a']}, inner={'depth': 2}) == Settings(
            'w', 't', 'stretch', False, False, 0, None, 0.001, (1, 2), ('a',), Inner(2))
    # Settings in Python may be tuples.
    assert given(numbers=(1, 2)) == given(numbers=[1, 2])


@pytest.mark.parametrize(('value', 'expected'), [
    (1, 1.0), (0.25, 0.25), ('1/255', 1 / 255), ('1 / 4', 0.25), ('1e-3', 0.001)])
def test_numbers_and_fractions(value: object, expected: float) -> None:
    assert given(number=value).number == expected


@pytest.mark.parametrize('value', [
    True, 'x', '1/0', '1/2/3', '', [], {}, float('nan'), float('inf'), 'nan', 'inf', '1e999',
    10**400])
def test_what_is_no_number(value: object) -> None:
    words = refused(number=value)
    assert words.startswith('settings, number: ') and 'must be a number from 0 to 1' in words


@pytest.mark.parametrize(('values', 'words'), [
    ({'number': -0.1}, 'number: -0.1 is out of range; it must be from 0 to 1'),
    ({'positive': 0}, 'positive: 0 is out of range; it must be above 0'),
    ({'whole': 10}, 'whole: 10 is out of range; it must be from 0 to 9'),
    *(({'whole': value}, 'must be a whole number') for value in (True, 1.0, '1')),
    ({'whole': None}, 'whole: is empty; give a value or remove the key'),
    ({'choice': 'strech'}, "choice: 'strech' is not allowed (did you mean 'stretch'?); allowed "
                           'are stretch, crop'),
    ({'choice': 1}, '1 is not allowed'), ({'choice': True}, 'true is not allowed'),
    ({'choice': ['crop']}, "['crop'] is not allowed"),
    ({'either': 1}, '1 is not allowed; allowed are auto, true, false'),
    *(({'flag': value}, 'must be true or false') for value in ('true', 1, 0)),
    ({'text': 5}, 'text: 5 must be text'), ({'text': ' '}, 'text: is empty'),
    *(({'numbers': value}, 'must be a list') for value in ('abc', 5, {})),
    ({'numbers': []}, 'numbers: is an empty list; give one'),
    ({'numbers': [1, 'x']}, "numbers[1]: 'x' must be a whole number"),
    ({'names': {'list': [1]}}, 'names.list[0]: 1 must be text'),
    ({'names': {'lst': []}}, "names.lst: unknown key 'lst' (did you mean 'list'?)"),
    ({'inner': 5}, 'inner: must be "key: value" lines'),
    ({'inner': {'depht': 5}}, "inner.depht: unknown key 'depht' (did you mean 'depth'?)"),
    ({'origin': 'x'}, "unknown key 'origin'"),
    ({'text': 'a', 'number': 1}, 'text: is given with number')])
def test_errors(values: dict[str, object], words: str) -> None:
    assert words in refused(**values)


def test_a_required_key() -> None:
    with pytest.raises(DescriptorError, match=r"unknown key 'wrd' \(did you mean 'word'"):
        read(Fields({'wrd': 'x'}, 'settings'), Settings)
    with pytest.raises(DescriptorError, match='settings: word is missing; write word: x'):
        read(Fields({}, 'settings'), Settings)


def test_an_old_word_works_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert read(Fields({'word': 'w', 'choice': 'cut'}, Where('o.yaml')), Settings) == given()
    assert [record.getMessage() for record in caplog.records] == [
        'o.yaml, choice: cut was renamed to crop and works until the next release; write crop']


def test_a_number_without_bounds_is_refused() -> None:
    @dataclass(frozen=True)
    class Unbounded:
        count: int = key(1, 'how many')

    with pytest.raises(AssertionError, match='low and high'):
        read(Fields({}, ''), Unbounded)


def test_schema() -> None:
    made = schema(Settings)
    assert made['required'] == ['word'] and not made['additionalProperties']
    keys = made['properties']
    assert keys['word'] == {'description': 'a word', 'type': 'string', 'pattern': r'\S'}
    assert 'description' not in keys['number']
    assert keys['choice']['enum'] == ['stretch', 'crop', 'cut']
    assert keys['either']['enum'] == ['auto', True, False]
    assert keys['whole'] == {
        'description': 'a whole number', 'type': 'integer', 'minimum': 0, 'maximum': 9}
    assert keys['positive']['anyOf'][0] == {
        'type': 'number', 'exclusiveMinimum': 0, 'maximum': 1e6}
    assert keys['numbers']['minItems'] == 1
    assert keys['names']['properties'] == {'list': {
        'description': 'names', 'type': 'array', 'items': {'type': 'string', 'pattern': r'\S'}}}
    assert list(keys['inner']['properties']) == ['depth'] and 'origin' not in keys


def test_table() -> None:
    assert table(Settings) == """\
| key | value | default | meaning |
|---|---|---|---|
| `word` | text | needed | a [word](page.md) |
| `text` | text | none | a `text` |
| `choice` | `stretch`, `crop` | `crop` | one of two |
| `flag` | `true`, `false` | `true` | yes or no |
| `either` | `auto`, `true`, `false` | `auto` | yes, no or auto |
| `whole` | whole number from 0 to 9 | `3` | a whole number |
| `number` | 0 to 1 | none | see there |
| `positive` | number above 0 | `1` | more than nothing |
| `numbers` | list | `[8, 16]` | some |
| `names` | mapping with `list` | found | some names |
| `inner` | see below | all defaults | more |
"""
