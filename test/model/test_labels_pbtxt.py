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
from ros2_classify.model.labels_pbtxt import looks_like_label_map, parse_label_map


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
    ('item { id: 1 name: "a"', r'line 1: the { is never closed; is the file cut'),
    ('item { id: 1\n name: "a\n }', 'line 2: the string is never closed'),
    ('item { name: "a" }', 'line 1: the item has no id'),
    ('\n\nitem { id: 1 }', 'line 3: the item with id 1 has neither'),
    ('item { id: x name: "a" }', "the id 'x' must be a whole number"),
    ('item { id: 1 name: "a" }\nitem { id: 1 name: "b" }', 'line 2: the id 1 comes twice'),
    ('item { id: 1 name: "a" }\nthing { }', "line 2: found 'thing' where an item"),
    ('item { id 1 }', "found '1' instead of a { or :"),
    ('item { id: }', "found '}' instead of a name or number"),
    ('item { id: 1 name: "a" } $', r"unexpected character '\$'"),
    ('item { id: 1 name: "\\377" }', 'is not UTF-8'),
    ('item { id: 1 x: [1, 2', 'is never closed'),
    ('item { id: 1 x: [[1]] }', 'must not hold another'),
    ('item' + ' { a' * 5000, 'levels deep'),
    ('item {', 'never closed'),
])
def test_malformed(text, words):
    with pytest.raises(LabelsError, match=words):
        parse_label_map(text)


@pytest.mark.parametrize('text', ['person\nitem {', 'items {', 'item', '', ' ' * 100_000,
                                  '#\n' * 50_000])
def test_what_is_no_label_map(text):
    assert not looks_like_label_map(text)
