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
from ros2_classify.yaml_config import as_text, Fields, Mark, Where


def fields(**values):
    return Fields(values, 'settings')


def test_defaults_where_a_key_is_missing():
    empty = fields()
    assert empty.text('a', 'x') == 'x'
    assert empty.choice('b', ('x', 'y'), None) is None
    assert empty.boolean('c', True) is True
    assert empty.integer('d', 3, low=0, high=9) == 3
    assert empty.number('e', 0.5, low=0, high=1) == 0.5
    assert empty.numbers('f', (1.0,), count=3, low=0, high=1) == (1.0,)
    assert empty.sequence('g', None) is None
    empty.section('h').finish()
    empty.finish()


@pytest.mark.parametrize('value, expected', [
    (1, 1.0), (0.25, 0.25), ('1/255', 1 / 255), ('1 / 4', 0.25), ('1e-3', 0.001), ('-0.5', -0.5)])
def test_numbers_and_fractions(value, expected):
    assert fields(a=value).number('a', None, low=-1, high=1) == expected


@pytest.mark.parametrize('value', [
    True, 'x', '1/0', '1/2/3', '', [], {}, float('nan'), float('inf'), 'nan', 'inf', '1e999',
    10**400])
def test_what_is_no_number(value):
    with pytest.raises(DescriptorError, match='^settings, a: .* must be a number from 0 to 1'):
        fields(a=value).number('a', None, low=0, high=1)


@pytest.mark.parametrize('value, above', [(-0.1, False), (1.1, False), (0, True)])
def test_numbers_out_of_range(value, above):
    with pytest.raises(DescriptorError, match=f'{value} is out of range; .* (from|above) 0'):
        fields(a=value).number('a', None, low=0, high=1, above=above)


@pytest.mark.parametrize('value', [True, 1.0, '1', None])
def test_what_is_no_whole_number(value):
    with pytest.raises(DescriptorError, match='settings, a: '):
        fields(a=value).integer('a', None, low=0, high=9)


def test_whole_numbers_out_of_range():
    with pytest.raises(DescriptorError, match='10 is out of range; it must be from 0 to 9'):
        fields(a=10).integer('a', None, low=0, high=9)


def test_one_number_stands_for_all_channels():
    assert fields(a='1/2').numbers('a', None, count=3, low=0, high=1) == (0.5,) * 3
    assert fields(a=[0, 0.5, '1/4']).numbers('a', None, count=3, low=0, high=1) == (0, 0.5, 0.25)


@pytest.mark.parametrize('value, words', [
    ([1, 2], r'a: \[1, 2\] has 2 numbers but must have 3'),
    ([0, 0, 'x'], r"a\[2\]: 'x' must be a number"),
    ([0, 0, 7], r'a\[2\]: 7 is out of range')])
def test_bad_lists_of_numbers(value, words):
    with pytest.raises(DescriptorError, match=words):
        fields(a=value).numbers('a', None, count=3, low=0, high=1)


@pytest.mark.parametrize('value', ['abc', 5, {}])
def test_what_is_no_list(value):
    with pytest.raises(DescriptorError, match='must be a list'):
        fields(a=value).sequence('a', None)


@pytest.mark.parametrize('value, words', [
    ('strech', r"'strech' is not allowed \(did you mean 'stretch'\?\); allowed are stretch, crop"),
    ('zzz', "'zzz' is not allowed; allowed are"), (1, '1 is not allowed'),
    (True, 'true is not allowed'), (None, 'a: is empty')])
def test_bad_choices(value, words):
    with pytest.raises(DescriptorError, match=words):
        fields(a=value).choice('a', ('stretch', 'crop'), None)


@pytest.mark.parametrize('value', ['true', 1, 0, 'yes'])
def test_what_is_no_truth_value(value):
    with pytest.raises(DescriptorError, match='must be true or false'):
        fields(a=value).boolean('a', None)


@pytest.mark.parametrize('value, words', [
    (5, 'a: 5 must be text'), ('  ', 'a: is empty'), ([], r'\[\] must be text')])
def test_bad_texts(value, words):
    with pytest.raises(DescriptorError, match=words):
        fields(a=value).text('a', None)


def test_texts_that_yaml_reads_otherwise():
    where = Where('f.yaml', ('labels', 3), {('labels', 3): Mark(9, 'off')})
    with pytest.raises(DescriptorError) as caught:
        as_text(False, where)
    assert str(caught.value) == (
        'f.yaml, line 9, labels[3]: YAML reads a bare off as false, but this must be text; write '
        'it in quotes: "off"')


def test_unknown_keys_are_refused_with_the_nearest_known_one():
    settings = fields(colour='rgb')
    settings.text('color', None)
    settings.text('size', None)
    with pytest.raises(DescriptorError, match=(
            r"settings, colour: unknown key 'colour' \(did you mean 'color'\?\); allowed are "
            'color, size')):
        settings.finish()


def test_the_rest_counts_as_asked_for():
    settings = fields(decoder='x', a=1, b=2)
    settings.text('decoder', None)
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
        fields(a='x' * 1000).boolean('a', None)
    assert len(str(caught.value)) < 120
