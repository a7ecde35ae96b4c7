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
What the graph of an ONNX file says by its first and last operators.

A graph that ends in a softmax gives probabilities, and one that begins with ``x / 255`` takes
plain pixels: statements of the exporter, unlike the names of outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ros2_classify.engines.onnx_file import map_file
from ros2_classify.protobuf import messages, read_fields, text, WireError

# Operators that move or copy numbers but don't change what they mean.
_TRANSPARENT = frozenset((
    'Cast', 'Concat', 'DequantizeLinear', 'Dropout', 'Expand', 'Flatten', 'Gather', 'Identity',
    'QuantizeLinear', 'Reshape', 'Slice', 'Split', 'Squeeze', 'Transpose', 'Unsqueeze'))
_ARITHMETIC = ('Add', 'Div', 'Mul', 'Sub')
_MAX_STEPS = 64
# Weights begin with smaller numbers than pixels: a model is fed about -3 to 3, not 0 to 255.
_LARGEST_INPUT = 10.0
Takes = Literal['pixels', 'unit']


class _Graph:
    NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12


class _Node:
    INPUT, OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5


class _Tensor:
    DIMENSIONS, TYPE, FLOATS, NAME, RAW = 1, 2, 4, 8, 9


_DTYPES = {1: np.float32, 10: np.float16, 11: np.float64}


@dataclass(frozen=True)
class Graph:
    """Operators at the ends of a graph."""

    # by output, the last operators before it that change its numbers, the last one first
    ends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # by input, 'pixels' if the graph scales 0 to 255 itself, 'unit' if it normalizes 0 to 1
    begins: Mapping[str, Takes] = field(default_factory=dict)

    def end(self, output: str) -> str:
        """Return the last operator that changes an output's numbers; '' if unknown."""
        return next(iter(self.ends.get(output, ())), '')


@dataclass(frozen=True)
class _NodeView:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[memoryview, ...]


def read_graph(path: Path) -> Graph:
    """Read the ends of a graph; an empty one if the file can't be read, which others report."""
    try:
        return _read(map_file(path))
    except (OSError, WireError, ValueError):
        return Graph()


def _read(data: memoryview) -> Graph:
    graph = next(messages(data, 7))
    nodes = [_node(piece) for piece in messages(graph, _Graph.NODE)]
    made = {name: node for node in nodes for name in node.outputs}
    used: dict[str, list[_NodeView]] = {}
    for node in nodes:
        for name in node.inputs:
            used.setdefault(name, []).append(node)
    weights = {name: piece for piece in messages(graph, _Graph.INITIALIZER)
               if (name := _field(piece, _Tensor.NAME))}
    constants = _Constants(weights, made)
    outputs = [_field(piece, 1) for piece in messages(graph, _Graph.OUTPUT)]
    inputs = [name for piece in messages(graph, _Graph.INPUT)
              if (name := _field(piece, 1)) not in weights]
    begins = {name: takes for name in inputs if (takes := _takes(name, used, constants))}
    return Graph({name: tuple(_last(name, made)) for name in outputs}, begins)


def _node(data: memoryview) -> _NodeView:
    inputs, outputs, attributes, operator = [], [], [], ''
    for number, value in read_fields(data):
        if number == _Node.INPUT:
            inputs.append(text(value))
        elif number == _Node.OUTPUT:
            outputs.append(text(value))
        elif number == _Node.OP_TYPE:
            operator = text(value)
        elif number == _Node.ATTRIBUTE and isinstance(value, memoryview):
            attributes.append(value)
    return _NodeView(operator, tuple(inputs), tuple(outputs), tuple(attributes))


def _field(data: memoryview, wanted: int) -> str:
    return next((text(value) for number, value in read_fields(data) if number == wanted), '')


def _last(name: str, made: Mapping[str, _NodeView]) -> Iterator[str]:
    """Yield the operators that lead to an output, backwards, those that only move numbers left."""
    for _ in range(_MAX_STEPS):
        node = made.get(name)
        if node is None:
            return
        if node.operator not in _TRANSPARENT:
            yield node.operator
        # The first input that another node made; weights are not on the way to the image.
        name = next((each for each in node.inputs if each in made), '')


class _Constants:
    """The numbers of initializers and constant nodes that have one number, or one a channel."""

    def __init__(self, weights: Mapping[str, memoryview], made: Mapping[str, _NodeView]) -> None:
        self._weights, self._made = weights, made

    def __call__(self, name: str) -> NDArray[Any] | None:
        piece = self._weights.get(name)
        node = self._made.get(name)
        if piece is None and node is not None and node.operator == 'Constant':
            piece = next((tensor for attribute in node.attributes
                          for tensor in messages(attribute, 5)), None)
        if piece is None:
            if node is not None and node.operator in _TRANSPARENT and node.inputs:
                return self(node.inputs[0])
            return None
        dtype, raw, floats = np.float32, None, []
        for number, value in read_fields(piece):
            if number == _Tensor.TYPE and isinstance(value, int):
                if value not in _DTYPES:
                    return None
                dtype = _DTYPES[value]
            elif number == _Tensor.RAW and isinstance(value, memoryview):
                raw = value
            elif number == _Tensor.FLOATS and isinstance(value, memoryview):
                floats.append(np.frombuffer(value, '<f4'))
        if raw is not None and len(raw) <= 64 and len(raw) % np.dtype(dtype).itemsize == 0:
            found = np.frombuffer(raw, dtype)
        elif floats:
            found = np.concatenate(floats)
        else:
            return None
        return found.astype(np.float64) if 1 <= found.size <= 4 else None


def _takes(
    name: str, used: Mapping[str, list[_NodeView]], constants: _Constants,
) -> Takes | None:
    """Follow an input through its first arithmetic with constants; tell what it is meant for."""
    low, high, unit = np.zeros(1), np.full(1, 255.0), np.ones(1)
    changed = False
    for _ in range(_MAX_STEPS):
        follow = next((node for node in used.get(name, []) if node.operator in (
            *_TRANSPARENT, *_ARITHMETIC, 'Pad', 'Resize')), None)
        if follow is None:
            break
        if follow.operator in _ARITHMETIC:
            other = [each for each in follow.inputs if each != name]
            value = constants(other[0]) if len(other) == 1 else None
            if value is None or follow.inputs[0] != name and follow.operator in ('Div', 'Sub'):
                break
            with np.errstate(divide='ignore', invalid='ignore'):
                low, high, unit = (_apply(follow.operator, each, value)
                                   for each in (low, high, unit))
            changed = True
        name = follow.outputs[0]
    if not changed:
        return None
    reach = float(np.abs(np.concatenate((low.ravel(), high.ravel()))).max())
    span = float(np.abs(high - low).max())
    if not np.isfinite(reach):
        return None
    if reach <= _LARGEST_INPUT:
        return 'pixels' if span >= 0.25 else None
    if span > 256.0:
        # Pixels from 0 to 1 stay small, those from 0 to 255 become thousands.
        return 'unit' if float(np.abs(unit).max()) <= _LARGEST_INPUT else None
    offset = float(np.abs(low).max())
    return 'pixels' if offset >= 16.0 else 'unit' if 0.1 <= offset <= 1.5 else None


def _apply(operator: str, value: NDArray[Any], constant: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = {
        'Add': np.add, 'Sub': np.subtract, 'Mul': np.multiply, 'Div': np.divide,
    }[operator](value, constant)
    return result
