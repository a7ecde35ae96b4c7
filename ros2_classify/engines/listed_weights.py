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
Weights that a file lists as inputs, made constants.

Exporters of old did so for everybody's convenience; ONNX Runtime must then take them for something
that may change, and folds and fuses nothing they touch, which nearly doubles the time of some
models. Nobody here feeds weights.
"""

from __future__ import annotations

from collections.abc import Iterator
import mmap
from pathlib import Path

from ros2_classify.protobuf import read_fields, read_spans, text

_MODEL_GRAPH, _GRAPH_INPUT, _GRAPH_INITIALIZER, _TENSOR_NAME, _INFO_NAME = 7, 11, 5, 8, 1
_BYTES = 2


def without_listed_weights(path: Path) -> bytes:
    """
    Return a model whose weights are no inputs.

    Parameters
    ----------
    path : Path
        An ONNX file that `read_onnx` has read.

    Returns
    -------
    bytes
        The same model with those entries left out of the list of inputs.

    """
    with path.open('rb') as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    pieces: list[bytes | memoryview] = []
    for start, end, number, value in _spans(data):
        if number == _MODEL_GRAPH and isinstance(value, memoryview):
            graph = _graph(value)
            pieces += [_key(_MODEL_GRAPH), _varint(sum(map(len, graph))), *graph]
        else:
            pieces.append(data[start:end])
    return b''.join(pieces)


def _graph(data: memoryview) -> list[memoryview]:
    weights = {_name(value, _TENSOR_NAME) for _, _, number, value in _spans(data)
               if number == _GRAPH_INITIALIZER}
    return [data[start:end] for start, end, number, value in _spans(data)
            if number != _GRAPH_INPUT or _name(value, _INFO_NAME) not in weights]


def _name(data: int | memoryview, number: int) -> str:
    found = ''
    if isinstance(data, memoryview):
        for field, value in read_fields(data):
            if field == number:
                found = text(value)
    return found


def _spans(data: memoryview) -> Iterator[tuple[int, int, int, int | memoryview]]:
    """Yield where each field begins and ends, its number and its value."""
    begin = 0
    for number, value, end in read_spans(data):
        yield begin, end, number, value
        begin = end


def _key(number: int) -> bytes:
    return _varint(number << 3 | _BYTES)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
