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
Writes small TensorFlow graphs without TensorFlow, for tests.

The numbers are those of ``graph.proto``, ``node_def.proto``, ``attr_value.proto``,
``tensor.proto`` and ``saved_model.proto`` in TensorFlow's sources.
"""

from __future__ import annotations

from collections.abc import Sequence
import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FLOAT, INT32, UINT8, STRING, BOOL, QUINT8 = 1, 3, 4, 7, 10, 12


class Type(NamedTuple):
    """An attribute that is a type."""

    number: int


class Shape(NamedTuple):
    """An attribute that is a shape; None in place of a dimension is a free one."""

    dims: Sequence[int | None] | None


def number(field: int, value: int) -> bytes:
    """Return a field that holds a number."""
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def piece(field: int, content: bytes | str) -> bytes:
    """Return a field that holds bytes: a text or a message."""
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Return a number in base 128."""
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes(result) + bytes([value])


def shape_message(dims: Sequence[int | None] | None) -> bytes:
    """Return a ``TensorShapeProto``."""
    if dims is None:
        return number(3, 1)
    return b''.join(piece(2, number(1, -1 if dim is None else dim)) for dim in dims)


def attribute(value: object) -> bytes:
    """Return an ``AttrValue``."""
    if isinstance(value, Type):
        return number(6, value.number)
    if isinstance(value, Shape):
        return piece(7, shape_message(value.dims))
    if isinstance(value, bool):
        return number(5, int(value))
    if isinstance(value, int):
        return number(3, value)
    if isinstance(value, float):
        return varint(4 << 3 | 5) + struct.pack('<f', value)
    if isinstance(value, str):
        return piece(2, value)
    assert isinstance(value, np.ndarray)
    # 8-bit numbers are weights that were quantized.
    kind = {'float32': FLOAT, 'int32': INT32, 'uint8': QUINT8}[value.dtype.name]
    return piece(8, number(1, kind) + piece(2, shape_message(value.shape))
                 + piece(4, value.tobytes()))


def node(name: str, op: str, *inputs: str, **attributes: object) -> bytes:
    """Return a ``NodeDef``."""
    return (piece(1, name) + piece(2, op) + b''.join(piece(3, item) for item in inputs)
            + b''.join(piece(5, piece(1, key) + piece(2, attribute(value)))
                       for key, value in attributes.items()))


def graph(*nodes: bytes, functions: Sequence[Sequence[bytes]] = ()) -> bytes:
    """Return a ``GraphDef``."""
    library = b''.join(piece(1, b''.join(piece(3, item) for item in function))
                       for function in functions)
    return b''.join(piece(1, item) for item in nodes) + (piece(2, library) if library else b'')


def placeholder(name: str, *dims: int | None, dtype: int = FLOAT) -> bytes:
    """Return a node that is to be fed."""
    return node(name, 'Placeholder', dtype=Type(dtype), shape=Shape(dims))


def constant(name: str, value: NDArray[Any]) -> bytes:
    """Return a node that holds numbers."""
    kind = {'float32': FLOAT, 'int32': INT32, 'uint8': QUINT8}[value.dtype.name]
    return node(name, 'Const', dtype=Type(kind), value=value)


def identity(name: str, source: str) -> bytes:
    """Return a node that hands on what it gets."""
    return node(name, 'Identity', source, T=Type(FLOAT))


def classifier(*more: bytes, output: str = 'softmax') -> bytes:
    """
    Return a frozen graph that works: the mean colour, three weights a class, softmax.

    Its input is ``input`` [?, 8, 8, 3], its output [?, 4].
    """
    weights = np.arange(12, dtype=np.float32).reshape(3, 4) / 10 - 0.5
    return graph(
        placeholder('input', None, 8, 8, 3),
        constant('mean/axes', np.array([1, 2], np.int32)),
        node('mean', 'Mean', 'input', 'mean/axes', T=Type(FLOAT), Tidx=Type(INT32),
             keep_dims=False),
        constant('weights', weights),
        node('logits', 'MatMul', 'mean', 'weights', T=Type(FLOAT), transpose_a=False,
             transpose_b=False),
        node(output, 'Softmax', 'logits', T=Type(FLOAT)),
        *more)


def detector(**outputs: NDArray[np.float32]) -> bytes:
    """
    Return a frozen graph with the interface of TensorFlow Object Detection.

    Its input is ``image_tensor`` uint8 [?, ?, ?, 3]; its outputs are what is given, whatever
    the image.
    """
    return graph(
        placeholder('image_tensor', None, None, None, 3, dtype=UINT8),
        node('pixels', 'Cast', 'image_tensor', SrcT=Type(UINT8), DstT=Type(FLOAT)),
        constant('axes', np.array([0, 1, 2, 3], np.int32)),
        node('mean', 'Mean', 'pixels', 'axes', T=Type(FLOAT), Tidx=Type(INT32), keep_dims=False),
        constant('none', np.array(0, np.float32)),
        node('nothing', 'Mul', 'mean', 'none', T=Type(FLOAT)),
        *(constant(f'{name}/value', value) for name, value in outputs.items()),
        *(node(name, 'Add', f'{name}/value', 'nothing', T=Type(FLOAT)) for name in outputs))


def signature(
    inputs: dict[str, tuple[int, Sequence[int | None] | None]],
    outputs: dict[str, tuple[int, Sequence[int | None] | None]],
) -> bytes:
    """Return a ``SignatureDef`` from types and shapes by name."""
    def infos(field: int, tensors: dict[str, tuple[int, Sequence[int | None] | None]]) -> bytes:
        return b''.join(
            piece(field, piece(1, name) + piece(2, piece(1, f'{name}_node:0') + number(2, kind)
                                                + piece(3, shape_message(dims))))
            for name, (kind, dims) in tensors.items())
    return infos(1, inputs) + infos(2, outputs)


def meta_graph(tags: Sequence[str], signatures: dict[str, bytes], content: bytes = b'') -> bytes:
    """Return a ``MetaGraphDef``."""
    return (piece(1, b''.join(piece(4, tag) for tag in tags)) + piece(2, content)
            + b''.join(piece(5, piece(1, name) + piece(2, item))
                       for name, item in signatures.items()))


def saved_model(*meta_graphs: bytes) -> bytes:
    """Return the content of ``saved_model.pb``."""
    return number(1, 1) + b''.join(piece(2, item) for item in meta_graphs)
