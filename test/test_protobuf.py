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

from __future__ import annotations

import graphs
import pytest

from ros2_classify.protobuf import (
    map_entry, messages, read_fields, signed, text, varints, WireError)


def view(content: bytes) -> memoryview:
    return memoryview(content)


def test_fields_of_all_kinds() -> None:
    content = (graphs.number(1, 300) + graphs.piece(2, 'abc') + bytes([3 << 3 | 5, 1, 2, 0, 0])
               + bytes([4 << 3 | 1, 7, 0, 0, 0, 0, 0, 0, 0]))
    found = [(key, bytes(value) if isinstance(value, memoryview) else value)
             for key, value in read_fields(view(content))]
    assert found == [(1, 300), (2, b'abc'), (3, 513), (4, 7)]


@pytest.mark.parametrize('value', [0, 1, 127, 128, 2**31, 2**63 - 1, -1, -2**63])
def test_numbers_come_back(value: int) -> None:
    (_, found), = read_fields(view(graphs.number(1, value)))
    assert signed(found) == value


def test_messages_of_one_number_only() -> None:
    content = graphs.piece(1, 'a') + graphs.piece(2, 'b') + graphs.number(1, 5) + graphs.piece(
        1, 'c')
    assert [bytes(item) for item in messages(view(content), 1)] == [b'a', b'c']


def test_map_entry_and_packed_list() -> None:
    assert map_entry(view(graphs.piece(1, 'key') + graphs.piece(2, b'value'))) == ('key', b'value')
    assert list(varints(view(graphs.varint(1) + graphs.varint(300)))) == [1, 300]


@pytest.mark.parametrize(('content', 'reason'), [
    (b'\x0a\x05abc', 'ends within a field'),
    (b'\x08', 'ends within a number'),
    (b'\x08' + b'\xff' * 11, 'longer than 64 bits'),
    (b'\x00\x01', 'number 0'),
    (b'\x0b\x01', 'unknown kind 3'),
    (b'\x0d\x01', 'ends within a field'),
])
def test_broken_messages(content: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        list(read_fields(view(content)))


def test_text_must_be_utf8() -> None:
    with pytest.raises(WireError, match='UTF-8'):
        text(view(b'\xff\xfe'))
    with pytest.raises(WireError, match='expected text'):
        text(5)
    with pytest.raises(WireError, match='expected a number'):
        signed(view(b'a'))
