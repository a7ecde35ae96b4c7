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

"""Label maps: the corners of protobuf's text format that people's files have."""

import pytest

from ros2_classify.errors import LabelsError
from ros2_classify.model.labels import looks_like_label_map, parse_label_map


@pytest.mark.parametrize('text, expected', [
    ('item { id: 1 name: "a" }', {1: 'a'}),
    ("item {\r\n  name: 'a'\r\n  id: 2\r\n}\r\n", {2: 'a'}),
    ('item{name:"a",id:1,display_name:"b"}', {1: 'b'}),
    ('item { display_name: "b"; id: 1; name: "a"; };', {1: 'b'}),
    ('item { id: 1 name: "a" display_name: "" }', {1: 'a'}),
    ('item: { id: 1 name: "a" }', {1: 'a'}),
    ('item < id: 1 name: "a" >', {1: 'a'}),
    ('# first\nitem { # why\n id: 1 # one {\n name: "#a" }\n# end', {1: '#a'}),
    ('item { id: 0x10 name: "a" }', {16: 'a'}),
    (r'item { id: 1 name: "it\'s \"x\" \\ \303\251 \xc3\xa9 \t." }', {1: 'it\'s "x" \\ é é \t.'}),
    ('item { id: 1 name: "a" \'b\'\n"c" }', {1: 'abc'}),
    ('item { id: 1 name: "a {" } item { id: 9 name: "}" }', {1: 'a {', 9: '}'}),
    ('item { id: 1 name: "a" keypoints { id: 7 label: "nose" } frequency: LVIS_FREQUENCY }',
     {1: 'a'}),
    ('item { id: 1 ancestor_ids: ["x", "y"] name: "a" keypoints: < id: 3 > }', {1: 'a'}),
    ('item { id: 1 name: "日本" }', {1: '日本'}),
])
def test_well_formed(text, expected):
    assert looks_like_label_map(text)
    assert parse_label_map(text) == expected


@pytest.mark.parametrize('text, words', [
    ('item { id: 1 name: "a"', r'line 1: Expected "}"'),
    ('item { id: 1\n name: "a\n }', 'line 2: .*missing ending quote'),
    ('item { name: "a" }', 'item 1 has no id'),
    ('item { id: 2 name: "a" }\n\nitem { id: 1 }', 'item 2, with id 1, has neither'),
    ('\nitem { id: x name: "a" }', 'line 2: .*parse integer: x'),
    ('item { id: 1 name: "a" }\nitem { id: 1 name: "b" }', 'item 2: the id 1 is used twice'),
    ('item { id 1 }', 'line 1: .*Expected ":"'),
    ('item { id: }', 'parse integer: }'),
    ('item { id: 1 name: "a" } $', r'got \$'),
    ('item { id: 1 name: "\\377" }', 'utf-8'),
    ('item { id: 1 x: [1, 2', 'line 1'),
    ('item' + ' { a' * 5000, 'line 1|too deeply'),
    ('item {', 'Expected'),
])
def test_malformed(text, words):
    with pytest.raises(LabelsError, match=words):
        parse_label_map(text)


@pytest.mark.parametrize('text', ['person\nitem {', 'items {', 'item', '', ' ' * 100_000,
                                  '#\n' * 50_000])
def test_what_is_no_label_map(text):
    assert not looks_like_label_map(text)
