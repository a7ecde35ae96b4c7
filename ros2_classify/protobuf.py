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
Read and write protocol buffers without their schema, for TensorFlow graphs and gRPC.

Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

from ros2_classify.limits import MAX_TEXT

Value = Union[int, memoryview]

# Other readers keep 32 bits of a larger key, and would find a field that is not seen here.
_MAX_NUMBER = (1 << 29) - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a protocol buffer, or are truncated."""


def read_fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield a message's fields in the order they are written."""
    for number, value, _, _ in read_spans(data):
        yield number, value


def read_spans(data: memoryview) -> Iterator[tuple[int, Value, int, int]]:
    """Yield fields like `read_fields`, each with where it begins and ends."""
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if not 0 < number <= _MAX_NUMBER:
            raise WireError(f'a field has the number {number}')
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value, start, position
            continue
        if kind == _BYTES:
            length, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise WireError(f'a field has the unknown kind {kind}')
        if position + length > end:
            raise WireError('the data ends within a field')
        piece = data[position:position + length]
        position += length
        yield (number, piece if kind == _BYTES else int.from_bytes(piece, 'little'), start,
               position)


def messages(data: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the bytes of every field with this number."""
    for found, value in read_fields(data):
        if found == number and isinstance(value, memoryview):
            yield value


def text(value: Value) -> str:
    """Return a field's text."""
    if not isinstance(value, memoryview):
        raise WireError('expected text, not a number')
    if len(value) > MAX_TEXT:
        raise WireError(f'a text is larger than the {MAX_TEXT} bytes that are allowed')
    try:
        return str(value, 'utf-8')
    except UnicodeDecodeError:
        raise WireError('a text is not UTF-8') from None


def signed(value: Value) -> int:
    """Return a field's number as a signed one: -1 is written as 2**64 - 1."""
    if not isinstance(value, int):
        raise WireError('expected a number, not bytes')
    return value - (1 << 64) if value >= 1 << 63 else value


def varints(data: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed list."""
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def map_entry(data: memoryview) -> tuple[str, memoryview]:
    """Return key and value of one entry of a map from strings to messages."""
    key, value = '', memoryview(b'')
    for number, field in read_fields(data):
        if number == 1:
            key = text(field)
        elif number == 2 and isinstance(field, memoryview):
            value = field
    return key, value


def header(number: int, length: int) -> bytes:
    """Return what stands before the content of a field that holds bytes."""
    return _written_varint(number << 3 | _BYTES) + _written_varint(length)


def written(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes, as it is written."""
    return header(number, len(content)) + content


def written_number(number: int, value: int) -> bytes:
    """Return a field that holds a number, not below 0."""
    return _written_varint(number << 3 | _VARINT) + _written_varint(value)


def _written_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result, shift = 0, 0
    while True:
        if position >= len(data):
            raise WireError('the data ends within a number')
        if shift > 63:
            raise WireError('a number is longer than 64 bits')
        byte = data[position]
        position += 1
        result |= (byte & 127) << shift
        if byte < 128:
            return result, position
        shift += 7
