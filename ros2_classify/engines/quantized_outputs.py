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
Find scale and zero point of quantized outputs in an ONNX graph.

An output is quantized where ``QuantizeLinear`` or an operator with a quantized result writes it,
and only moves of numbers follow. Where each operator has the two among its inputs:
https://onnx.ai/onnx/operators/ and
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Iterable
import math

import numpy as np

from ros2_classify.engines.base import Quantization
from ros2_classify.protobuf import messages, read_fields, text, varints

# The place of the scale; the zero point follows.
_RESULT = {
    'QuantizeLinear': 1, 'QLinearConv': 6, 'QLinearMatMul': 6, 'QLinearAdd': 6, 'QLinearMul': 6,
    'QLinearSigmoid': 3, 'QLinearLeakyRelu': 3, 'QLinearSoftmax': 3, 'QLinearReduceMean': 3,
    'QLinearAveragePool': 3, 'QLinearGlobalAveragePool': 3, 'QGemm': 7, 'QLinearConcat': 0}
QUANTIZING = frozenset(_RESULT)
MOVES = frozenset((
    'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Transpose', 'Identity', 'Slice', 'Gather',
    'MaxPool', 'Expand', 'Tile'))
# Longer rows of moves are no model's, but a loop.
_MAX_STEPS = 64

FLOATS = {1: '<f4', 10: '<f2', 11: '<f8'}
INTEGERS = {2: 'u1', 3: 'i1', 4: '<u2', 5: '<i2', 6: '<i4'}


class _Graph:
    """Field numbers of GraphProto; the classes below are those of its parts."""

    NODE, INITIALIZER, OUTPUT = 1, 5, 12


class _Node:
    INPUT, OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5


class _Attribute:
    TENSOR = 5


class _Tensor:
    DIMS, TYPE, FLOATS, INTEGERS, NAME, RAW, DOUBLES = 1, 2, 4, 5, 8, 9, 10


_NODE = tuple[str, tuple[str, ...]]


def read_quantization(graph: memoryview) -> dict[str, Quantization]:
    """Return scale and zero point of the outputs that are quantized with constants."""
    nodes: dict[str, _NODE] = {}
    constants: dict[str, memoryview] = {}
    for data in messages(graph, _Graph.NODE):
        operator, inputs, outputs, value = read_node(data)
        if operator == 'Constant' and value is not None:
            constants.update(dict.fromkeys(outputs, value))
        elif operator in _RESULT or operator in MOVES:
            nodes.update(dict.fromkeys(outputs, (operator, inputs)))
    wanted = {}
    for info in messages(graph, _Graph.OUTPUT):
        name = next((text(value) for number, value in read_fields(info) if number == 1), '')
        pair = _written_with(name, nodes)
        if pair is not None:
            wanted[name] = pair
    names = {name for pair in wanted.values() for name in pair} - set(constants)
    for data in messages(graph, _Graph.INITIALIZER) if wanted else ():
        name = next((text(value) for number, value in read_fields(data)
                     if number == _Tensor.NAME), '')
        if name in names:
            constants[name] = data
    found = {}
    for name, (scale_name, zero_name) in wanted.items():
        scale = read_scalar(constants.get(scale_name), FLOATS)
        zero = read_scalar(constants.get(zero_name), INTEGERS) if zero_name else 0.0
        if scale is not None and zero is not None and math.isfinite(scale) and scale > 0:
            found[name] = Quantization(scale, int(zero))
    return found


def read_node(
    data: memoryview,
) -> tuple[str, tuple[str, ...], tuple[str, ...], memoryview | None]:
    """Return a node's operator, inputs and outputs, and the tensor of a constant."""
    operator, inputs, outputs, constant = '', [], [], None
    for number, value in read_fields(data):
        if number == _Node.OP_TYPE:
            operator = text(value)
        elif number == _Node.INPUT:
            inputs.append(text(value))
        elif number == _Node.OUTPUT:
            outputs.append(text(value))
        elif number == _Node.ATTRIBUTE and isinstance(value, memoryview):
            constant = next(messages(value, _Attribute.TENSOR), constant)
    return operator, tuple(inputs), tuple(outputs), constant


def _written_with(name: str, nodes: dict[str, _NODE]) -> tuple[str, str] | None:
    """Return the names of the scale and the zero point ('' for none) an output has."""
    for _ in range(_MAX_STEPS):
        operator, inputs = nodes.get(name, ('', ()))
        if operator in _RESULT:
            scale, *zero = inputs[_RESULT[operator]:_RESULT[operator] + 2] or ('',)
            return scale, zero[0] if zero else ''
        if not inputs:
            return None
        name = inputs[0]
    return None


def read_scalar(tensor: memoryview | None, types: dict[int, str]) -> float | None:
    """Return the one number of a tensor; None for another size or type, or external data."""
    if tensor is None:
        return None
    kind, size = 0, 1
    numbers: list[float] = []
    raw = b''
    for number, value in read_fields(tensor):
        if number == _Tensor.TYPE and isinstance(value, int):
            kind = value
        elif number == _Tensor.DIMS:
            for dim in _integers(value):
                size *= dim
        elif number == _Tensor.RAW and isinstance(value, memoryview):
            raw = bytes(value[:8])
        elif number in (_Tensor.FLOATS, _Tensor.DOUBLES) and isinstance(value, memoryview):
            width = '<f4' if number == _Tensor.FLOATS else '<f8'
            if len(value) == np.dtype(width).itemsize:
                numbers.append(float(np.frombuffer(value, width)[0]))
        elif number == _Tensor.INTEGERS:
            numbers.extend(_as_type(item, types.get(kind, '')) for item in _integers(value))
    if kind not in types or size != 1:
        return None
    if len(raw) == np.dtype(types[kind]).itemsize:
        return float(np.frombuffer(raw, types[kind])[0])
    return numbers[0] if len(numbers) == 1 and not raw else None


def _integers(value: int | memoryview) -> Iterable[int]:
    return (value,) if isinstance(value, int) else varints(value)


def _as_type(item: int, kind: str) -> float:
    """Return a number of a narrow type: negative ones are written with 64 bits, halves as bits."""
    if not kind:
        return math.nan
    return float(np.array(item & 0xFFFFFFFF, np.uint32).view('<u4').astype(
        f'<u{np.dtype(kind).itemsize}').view(kind))
