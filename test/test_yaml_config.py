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

"""The strict reader: what it accepts, and what its errors say."""

import pytest

from ros2_classify.errors import DescriptorError
from ros2_classify.yaml_config import as_boolean, as_text, Fields, Mark, Where


def fields(**values):
    return Fields(values, 'settings')


def test_texts_that_yaml_reads_otherwise():
    where = Where('f.yaml', ('labels', 3), {('labels', 3): Mark(9, 'off')})
    with pytest.raises(DescriptorError) as caught:
        as_text(False, where)
    assert str(caught.value) == (
        'f.yaml, line 9, labels[3]: YAML reads a bare off as false, but this must be text; write '
        'it in quotes: "off"')


def test_unknown_keys_are_refused_with_the_nearest_known_one():
    settings = fields(colour='rgb')
    settings.raw('color')
    settings.raw('size')
    with pytest.raises(DescriptorError, match=(
            r"settings, colour: unknown key 'colour' \(did you mean 'color'\?\); allowed are "
            'color, size')):
        settings.finish()


def test_the_rest_counts_as_asked_for():
    settings = fields(decoder='x', a=1, b=2)
    settings.raw('decoder')
    assert settings.rest() == {'a': 1, 'b': 2}
    settings.finish()


@pytest.mark.parametrize('value', [None, 'text', 5, [1]])
def test_what_is_no_mapping(value):
    with pytest.raises(DescriptorError, match='must be "key: value" lines'):
        Fields(value, 'settings')
    with pytest.raises(DescriptorError, match='settings, a: '):
        fields(a=value).section('a')


def test_keys_are_texts():
    with pytest.raises(DescriptorError, match='the key 1 must be text'):
        Fields({1: 2}, 'settings')


def test_places_without_a_line_have_that_of_what_holds_them():
    where = Where('f', (), {(): Mark(1, None), ('a',): Mark(4, None)})
    assert str(where) == 'f, line 1'
    assert str(where.at('a').at('b').at(0)) == 'f, line 4, a.b[0]'
    assert str(where.at('c')) == 'f, line 1, c'
    assert str(Where('f').at('c')) == 'f, c'
    assert str(Where('f', (3,))) == 'f, [3]'


def test_long_values_are_cut_in_errors():
    with pytest.raises(DescriptorError) as caught:
        as_boolean('x' * 1000, Where('a'))
    assert len(str(caught.value)) < 120
