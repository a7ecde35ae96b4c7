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

"""YAML: the lines of errors, and what is refused."""

import pytest

from ros2_classify import load_descriptor
from ros2_classify.errors import DescriptorError
from ros2_classify.yaml_config import MAX_BYTES, read_yaml


def test_data_and_lines():
    text = '\n'.join([
        '# comment', 'name: a', 'input:', '  size: [416,', '    320]', 'labels:', '- x', '- y',
        'ids: {0: a, 7: "off"}'])
    data, where = read_yaml(text, 'f.yaml')
    assert data == {'name': 'a', 'input': {'size': [416, 320]}, 'labels': ['x', 'y'],
                    'ids': {0: 'a', 7: 'off'}}
    assert str(where.at('name')) == 'f.yaml, line 2, name'
    assert str(where.at('input')) == 'f.yaml, line 3, input'
    assert str(where.at('input').at('size').at(1)) == 'f.yaml, line 5, input.size[1]'
    assert str(where.at('labels').at(1)) == 'f.yaml, line 8, labels[1]'
    assert where.at('ids').at(7).text() == 'off'


@pytest.mark.parametrize('text, expected', [
    ('', None), ('# only a comment', None), ('text', 'text'), ('[1, 1.5, off, ~]',
                                                               [1, 1.5, False, None]),
    ('a: 2026-11-23', {'a': '2026-11-23'}), ('a: 1e-3', {'a': '1e-3'}),
    ('a: "1:30"', {'a': '1:30'}), ('a: >\n  one\n  two\n', {'a': 'one two\n'})])
def test_plain_data(text, expected):
    assert read_yaml(text, 'f')[0] == expected


@pytest.mark.parametrize('text, words', [
    ('a: 1\nb: 2\na: 3', "f, line 3: the key 'a' is already given on line 1"),
    ('a: {x: 1, x: 2}', "line 1: the key 'x' is already given"),
    ('a: &x [1]\nb: *x', r'line 2: not valid YAML: the alias \*x is not allowed'),
    ('a: &x [*x]', 'alias'),
    ('x: &x {k: 1}\ny: {<<: *x}', 'alias'),
    ('<<: {a: 1}', 'line 1: the key << must be text'),
    ('a: !!python/object/apply:os.system ["true"]', 'line 1: the tag .*python.* is not allowed'),
    ('a: !mine x', 'the tag !mine is not allowed'),
    ('a: !!binary aGk=', 'the tag .*binary is not allowed'),
    ('a: !!set {x}', 'the tag .*set is not allowed'),
    ('a: [1, 2', 'line 1: not valid YAML'),
    ('a:\n  - b\n c: d', 'line 3: not valid YAML'),
    ('a: "x', 'not valid YAML'),
    ('\tb: c', 'line 1: not valid YAML'),
    ('a: 1\n---\nb: 2', 'line 2: not valid YAML'),
    ('\na: \x07', r"line 2: not valid YAML: the character '\\x07'"),
    ('no: 1', 'the key no must be text; write it in quotes: "no"'),
    ('1.5: 1', 'the key 1.5 must be text'),
    ('? [a]\n: 1', 'a key must be a word'),
    ('[' * 100_000, 'nested more than 16 levels'),
    ('a: ' + '{a: ' * 50, 'nested more than 16 levels'),
    ('a: !!int x', "line 1: 'x' cannot be read"),
])
def test_refused(text, words):
    with pytest.raises(DescriptorError, match=words):
        read_yaml(text, 'f')


def test_too_large():
    with pytest.raises(DescriptorError, match='too many for a descriptor'):
        read_yaml(' ' * (MAX_BYTES + 1), 'f')


@pytest.mark.parametrize('text', [
    '!!int ', '!!int x', '!!int : 1', '!!int x: 1', '!!bool maybe', '!!float x', 'a: !!int ""',
    'a: !!bool ""', 'a: !!float ""', 'a: !!timestamp x', '!!str : 1', '!!null x'])
def test_a_tag_that_promises_something_else(text, tmp_path):
    path = tmp_path / 'model.yaml'
    path.write_text(text)
    with pytest.raises(DescriptorError, match='model.yaml'):
        load_descriptor(path)


@pytest.mark.parametrize('text', [
    'NAME: [', '!NAME x', '&NAME a', '*NAME', 'NAME: 1\nNAME: 2', '!!bool NAME', '1.5NAME: a'])
def test_messages_do_not_grow_with_the_file(text, tmp_path):
    path = tmp_path / 'model.yaml'
    path.write_text(text.replace('NAME', 'n' * 100_000))
    with pytest.raises(DescriptorError) as raised:
        load_descriptor(path)
    assert len(str(raised.value)) < 3000
