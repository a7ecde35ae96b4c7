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
Read what an ONNX file says about itself, without ONNX Runtime and without the package ``onnx``.

Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Files that no runtime can load are
read as well: that is when their contents matter most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
import math
import mmap
from pathlib import Path
from typing import Union

from ros2_classify.engines.base import Quantization
from ros2_classify.engines.error_messages import check_file
from ros2_classify.engines.quantized_outputs import (
    FLOATS, INTEGERS, MOVES, QUANTIZING, read_node, read_quantization, read_scalar)
from ros2_classify.errors import EngineError
from ros2_classify.limits import MAX_GRAPH_NAMES, MAX_GRAPH_PARTS
from ros2_classify.protobuf import (
    header, messages, read_fields, read_spans, signed, text, Value, WireError)

# A graph within a graph within a graph: control flow is never nested as deep as this.
_MAX_DEPTH = 32
# Before this IR version initializers had to be inputs too, and are constants all the same.
_OPTIONAL_INPUTS = 4

Operator = tuple[str, str]
Inputs = dict[str, tuple[Union[int, str], ...]]


class _Model:
    """Field numbers of ModelProto; the classes below are those of the other messages."""

    IR_VERSION, PRODUCER_NAME, PRODUCER_VERSION = 1, 2, 3
    GRAPH, OPSET_IMPORT, TRAINING_INFO, FUNCTIONS = 7, 8, 20, 25


class _OperatorSet:
    DOMAIN, VERSION = 1, 2


class _Function:
    NAME, NODE, DOMAIN, ATTRIBUTE = 1, 7, 10, 11


class _TrainingInfo:
    GRAPHS = (1, 2)


class _Graph:
    NODE, INITIALIZER, INPUT, SPARSE_INITIALIZER = 1, 5, 11, 15


class _Node:
    OP_TYPE, ATTRIBUTE, DOMAIN = 4, 5, 7


class _Attribute:
    TENSORS, GRAPHS, SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)


class _Tensor:
    NAME, EXTERNAL_DATA = 8, 13


class _SparseTensor:
    VALUES, INDICES = 1, 2


class _StringEntry:
    KEY, VALUE = 1, 2


class _ValueInfo:
    NAME, TYPE = 1, 2


class _Type:
    TENSOR, TENSOR_SHAPE, DIMENSIONS = 1, 2, 1


class _Dimension:
    SIZE, PARAMETER = 1, 2


@dataclass(frozen=True)
class OnnxFile:
    """What stands in an ONNX file."""

    ir_version: int
    opsets: Mapping[str, int]  # versions; '' is ONNX's own set
    producer: str  # the exporter and its version, or ''
    operators: Mapping[Operator, int]  # how many nodes of each, those of inner graphs counted
    functions: frozenset[Operator]  # operators that the file itself defines
    external: tuple[str, ...]  # other files with weights, relative to its directory
    # those to feed; a free dimension is its name, or ''
    inputs: Mapping[str, tuple[int | str, ...]]
    initializers_as_inputs: bool  # weights that ONNX Runtime may not treat as constants
    # outputs that the graph quantizes
    quantized: Mapping[str, Quantization] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return sum(self.operators.values())


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file's header, its operators and where its weights are."""
    check_file(path)
    try:
        return _read_model(map_file(path))
    except WireError as error:
        raise EngineError(
            f'{path}: it is not an ONNX model, or is cut off ({error}): get the file again'
        ) from error
    except OSError as error:
        raise EngineError(f'{path}: the model cannot be read: {error.strerror}') from error


def constant_initializers(path: Path) -> bytes:
    """
    Return a model whose initializers are not inputs.

    ONNX Runtime must treat an input as something that changes: it folds and fuses nothing that
    touches one, which nearly doubles the time of some models. Nothing here feeds initializers.
    """
    data = map_file(path)
    pieces: list[bytes | memoryview] = []
    for number, value, start, end in read_spans(data):
        if number == _Model.GRAPH and isinstance(value, memoryview):
            graph = _without_initializer_inputs(value)
            pieces += [header(_Model.GRAPH, sum(map(len, graph))), *graph]
        else:
            pieces.append(data[start:end])
    return b''.join(pieces)


def map_file(path: Path) -> memoryview:
    """Return a file's bytes, not copied."""
    with path.open('rb') as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _without_initializer_inputs(graph: memoryview) -> list[memoryview]:
    initializers = {_name(value, _Tensor.NAME) for number, value in read_fields(graph)
                    if number == _Graph.INITIALIZER}
    return [graph[start:end] for number, value, start, end in read_spans(graph)
            if number != _Graph.INPUT or _name(value, _ValueInfo.NAME) not in initializers]


def _name(data: Value, name_field: int) -> str:
    found = ''
    if isinstance(data, memoryview):
        for number, value in read_fields(data):
            if number == name_field:
                found = text(value)
    return found


class _Operators(Counter[Operator]):
    """How often each operator occurs, and how many parts the graphs have."""

    parts = 0

    def count_part(self) -> None:
        """Count one more part; whatever loads the model makes an object of each."""
        self.parts += 1
        if self.parts > MAX_GRAPH_PARTS:
            raise WireError(f'it has more than the {MAX_GRAPH_PARTS} nodes, weights and inputs '
                            'that are allowed')

    def count(self, operator: Operator) -> None:
        """Count a node; a million different names would stay in parts of the heap."""
        self[operator] += 1
        _check_number(self, 'operators')


def _check_number(names: Sized, what: str) -> None:
    if len(names) > MAX_GRAPH_NAMES:
        raise WireError(
            f'it has more than the {MAX_GRAPH_NAMES} different {what} that are allowed')


def _read_model(data: memoryview) -> OnnxFile:
    version, producer, graphs, functions = 0, {}, 0, set()
    opsets: dict[str, int] = {}
    operators, training = _Operators(), _Operators()
    external: dict[str, None] = {}
    inputs: Inputs = {}
    quantized: dict[str, Quantization] = {}
    initializers_as_inputs = False
    for number, value in read_fields(data):
        if number == _Model.IR_VERSION and isinstance(value, int):
            version = value
        elif number in (_Model.PRODUCER_NAME, _Model.PRODUCER_VERSION):
            producer[number] = text(value)
        elif not isinstance(value, memoryview):
            continue
        elif number == _Model.GRAPH:
            graphs += 1
            _read_graph(value, operators, external)
            inputs, initializers_as_inputs = _read_inputs(value)
            if any(name in QUANTIZING for _, name in operators):
                quantized = read_quantization(value)
        elif number == _Model.OPSET_IMPORT:
            domain, opset = _read_opset(value)
            opsets[domain] = opset
            _check_number(opsets, 'operator sets')
        elif number == _Model.FUNCTIONS:
            functions.add(_read_function(value, operators, external))
            _check_number(functions, 'functions')
        elif number == _Model.TRAINING_INFO:
            # Never run, but whatever loads the model may read its tensors.
            for part, graph in read_fields(value):
                if part in _TrainingInfo.GRAPHS and isinstance(graph, memoryview):
                    _read_graph(graph, training, external)
    if not version or graphs != 1:
        raise WireError('there is no graph in it' if version else 'it does not begin as one')
    made_by = ' '.join(filter(None, (
        producer.get(_Model.PRODUCER_NAME), producer.get(_Model.PRODUCER_VERSION))))
    # tf2onnx without a git commit calls itself "1.17.0 None".
    return OnnxFile(version, opsets, made_by.removesuffix(' None'),
                    dict(sorted(operators.items())), frozenset(functions), tuple(external),
                    inputs, initializers_as_inputs and version >= _OPTIONAL_INPUTS, quantized)


def _read_opset(data: memoryview) -> tuple[str, int]:
    domain, version = '', 0
    for number, value in read_fields(data):
        if number == _OperatorSet.DOMAIN:
            domain = _domain(text(value))
        elif number == _OperatorSet.VERSION:
            version = signed(value)
    return domain, version


def _read_function(data: memoryview, operators: _Operators,
                   external: dict[str, None]) -> Operator:
    name, domain = '', ''
    for number, value in read_fields(data):
        operators.count_part()
        if number == _Function.NAME:
            name = text(value)
        elif number == _Function.DOMAIN:
            domain = _domain(text(value))
        elif number == _Function.NODE and isinstance(value, memoryview):
            _read_node(value, operators, external, 1)
        elif number == _Function.ATTRIBUTE and isinstance(value, memoryview):
            _read_attribute(value, operators, external, 1)
    return domain, name


def _read_graph(data: memoryview, operators: _Operators, external: dict[str, None],
                depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise WireError(f'graphs are nested more than {_MAX_DEPTH} deep')
    for number, value in read_fields(data):
        operators.count_part()
        if not isinstance(value, memoryview):
            continue
        if number == _Graph.NODE:
            _read_node(value, operators, external, depth)
        elif number == _Graph.INITIALIZER:
            _read_tensor(value, external)
        elif number == _Graph.SPARSE_INITIALIZER:
            _read_sparse(value, external)


def _read_inputs(graph: memoryview) -> tuple[Inputs, bool]:
    """Return name and shape of the inputs, and whether initializers are among them."""
    initializers = {text(name) for tensor in messages(graph, _Graph.INITIALIZER)
                    for number, name in read_fields(tensor) if number == _Tensor.NAME}
    found: Inputs = {}
    among_them = False
    for info in messages(graph, _Graph.INPUT):
        name, shape = '', []
        for number, value in read_fields(info):
            if number == _ValueInfo.NAME:
                name = text(value)
            elif number == _ValueInfo.TYPE and isinstance(value, memoryview):
                shape = [_read_dimension(dim) for tensor in messages(value, _Type.TENSOR)
                         for dims in messages(tensor, _Type.TENSOR_SHAPE)
                         for dim in messages(dims, _Type.DIMENSIONS)]
        if name in initializers:
            among_them = True
        else:
            found[name] = tuple(shape)
    return found, among_them


def _read_dimension(data: memoryview) -> int | str:
    size: int | str = ''
    for number, value in read_fields(data):
        if number == _Dimension.SIZE:
            size = signed(value)
        elif number == _Dimension.PARAMETER:
            size = text(value)
    return size


def _read_node(data: memoryview, operators: _Operators, external: dict[str, None],
               depth: int) -> None:
    name, domain = '', ''
    for fields, (number, value) in enumerate(read_fields(data)):
        if fields >= MAX_GRAPH_NAMES:
            raise WireError(f'a node has more than the {MAX_GRAPH_NAMES} inputs, outputs and '
                            'attributes that are allowed')
        if number == _Node.OP_TYPE:
            name = text(value)
        elif number == _Node.DOMAIN:
            domain = _domain(text(value))
        elif number == _Node.ATTRIBUTE and isinstance(value, memoryview):
            _read_attribute(value, operators, external, depth)
    operators.count((domain, name))


def _read_attribute(data: memoryview, operators: _Operators, external: dict[str, None],
                    depth: int) -> None:
    for number, value in read_fields(data):
        if not isinstance(value, memoryview):
            continue
        if number in _Attribute.GRAPHS:
            _read_graph(value, operators, external, depth + 1)
        elif number in _Attribute.TENSORS:
            _read_tensor(value, external)
        elif number in _Attribute.SPARSE_TENSORS:
            _read_sparse(value, external)


def _read_tensor(data: memoryview, external: dict[str, None]) -> None:
    """Note the file of a tensor whose numbers are in another one."""
    for entry in messages(data, _Tensor.EXTERNAL_DATA):
        pair = {number: text(value) for number, value in read_fields(entry)}
        if pair.get(_StringEntry.KEY) == 'location':
            external[pair.get(_StringEntry.VALUE, '')] = None
            _check_number(external, 'files of weights')


def _read_sparse(data: memoryview, external: dict[str, None]) -> None:
    for number, value in read_fields(data):
        if number in (_SparseTensor.VALUES, _SparseTensor.INDICES) and isinstance(
                value, memoryview):
            _read_tensor(value, external)


def _domain(name: str) -> str:
    return '' if name == 'ai.onnx' else name


# Each takes the scale as its second and the zero point as its third input:
# https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html and the like.
_TAKES_QUANTIZED = {'DequantizeLinear', 'QLinearConv', 'QLinearMatMul'}


def input_quantization(path: Path, names: Iterable[str]) -> dict[str, Quantization]:
    """Return scale and zero point of those inputs that have one of each, for all pixels."""
    try:
        return _read(map_file(path), names)
    except (WireError, OSError, ValueError):
        return {}


def _read(data: memoryview, names: Iterable[str]) -> dict[str, Quantization]:
    graph = next(messages(data, _Model.GRAPH))
    constants: dict[str, memoryview] = {}
    for tensor in messages(graph, _Graph.INITIALIZER):
        for number, value in read_fields(tensor):
            if number == _Tensor.NAME:
                constants[text(value)] = tensor
    # What an input is called after it was moved; nodes are in the order in which they run.
    called = {name: name for name in names}
    found: dict[str, set[Quantization | None]] = {}
    for node in messages(graph, _Graph.NODE):
        operator, inputs, outputs, constant = read_node(node)
        if operator == 'Constant' and constant is not None:
            constants.update(dict.fromkeys(outputs, constant))
        elif operator in MOVES and inputs and inputs[0] in called:
            called.update(dict.fromkeys(outputs, called[inputs[0]]))
        elif taken := [name for name in inputs if name in called]:
            known = operator in _TAKES_QUANTIZED and taken == [inputs[0]]
            found.setdefault(called[taken[0]], set()).add(
                _quantization(inputs, constants) if known else None)
    return {name: one for name, (one, *others) in found.items() if one and not others}


def _quantization(
    inputs: Sequence[str], constants: Mapping[str, memoryview],
) -> Quantization | None:
    scale_name, zero_name = (*inputs[1:], '', '')[:2]
    scale = read_scalar(constants.get(scale_name), FLOATS)
    zero_point = read_scalar(constants.get(zero_name), INTEGERS) if zero_name else 0.0
    if scale is None or zero_point is None or not 0 < scale < math.inf:
        return None
    return Quantization(scale, int(zero_point))
