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
What an ONNX file says of itself, read without ONNX Runtime and without the package ``onnx``.

Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the numbers below are the fields'
numbers there. Files that no runtime can load are read as well, which is when it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
import mmap
from pathlib import Path

from ros2_classify.engines.error_messages import check_file
from ros2_classify.errors import EngineError
from ros2_classify.protobuf import messages, read_fields, signed, text, WireError

# A graph within a graph within a graph: control flow is never nested as deep as this.
_MAX_DEPTH = 32
# Before this version weights had to be listed as inputs, and count as constants all the same.
_CONSTANT_WEIGHTS = 4
_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSETS, _FUNCTIONS = 1, 2, 3, 7, 8, 25

Operator = tuple[str, str]


@dataclass(frozen=True)
class OnnxFile:
    """
    What stands in an ONNX file.

    Parameters
    ----------
    ir_version : int
        The version of the file's format.
    opsets : mapping of str to int
        The version of each set of operators, '' being ONNX's own.
    producer : str
        The exporter and its version, or ''.
    operators : mapping of (str, str) to int
        How many nodes, those of inner graphs counted, there are of each domain and operator.
    functions : frozenset of (str, str)
        Domain and name of the operators that the file itself defines.
    external : tuple of str
        The other files that hold weights, relative to the file's directory.
    inputs : mapping of str to tuple
        The shape of each input that must be fed; a free dimension is its name, or ''.
    listed_weights : bool
        Whether weights are listed as inputs and so may not be taken for constants.

    """

    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    operators: Mapping[Operator, int]
    functions: frozenset[Operator]
    external: tuple[str, ...]
    inputs: Mapping[str, tuple[int | str, ...]]
    listed_weights: bool

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return sum(self.operators.values())


def read_onnx(path: Path) -> OnnxFile:
    """
    Read an ONNX file's header, its operators and where its weights are.

    Parameters
    ----------
    path : Path
        The file; it is mapped into memory, and weights are skipped.

    Returns
    -------
    OnnxFile
        What stands in it.

    Raises
    ------
    EngineError
        If it can't be read, is empty, cut off, or no ONNX model.

    """
    check_file(path)
    try:
        with path.open('rb') as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return _read_model(data)
    except WireError as error:
        raise EngineError(
            f'{path}: it is no ONNX model, or was cut off ({error}): get the file again'
        ) from error
    except OSError as error:
        raise EngineError(f'{path}: the model cannot be read: {error.strerror}') from error


def _read_model(data: memoryview) -> OnnxFile:
    version, producer, graphs, functions = 0, ['', ''], 0, set()
    opsets: dict[str, int] = {}
    operators: Counter[Operator] = Counter()
    external: dict[str, None] = {}
    inputs: dict[str, tuple[int | str, ...]] = {}
    listed = False
    for number, value in read_fields(data):
        if number == _IR_VERSION and isinstance(value, int):
            version = value
        elif number in (_PRODUCER, _PRODUCER_VERSION):
            producer[number - _PRODUCER] = text(value)
        elif not isinstance(value, memoryview):
            continue
        elif number == _GRAPH:
            graphs += 1
            _read_graph(value, operators, external)
            inputs, listed = _read_inputs(value)
        elif number == _OPSETS:
            domain, opset = _read_opset(value)
            opsets[domain] = opset
        elif number == _FUNCTIONS:
            functions.add(_read_function(value, operators, external))
    if not version or graphs != 1:
        raise WireError('there is no graph in it' if version else 'it does not begin as one')
    # tf2onnx without a git commit calls itself "1.17.0 None".
    return OnnxFile(version, opsets, ' '.join(filter(None, producer)).removesuffix(' None'),
                    dict(sorted(operators.items())), frozenset(functions), tuple(external),
                    inputs, listed and version >= _CONSTANT_WEIGHTS)


def _read_opset(data: memoryview) -> tuple[str, int]:
    domain, version = '', 0
    for number, value in read_fields(data):
        if number == 1:
            domain = _domain(text(value))
        elif number == 2:
            version = signed(value)
    return domain, version


def _read_function(data: memoryview, operators: Counter[Operator],
                   external: dict[str, None]) -> Operator:
    name, domain = '', ''
    for number, value in read_fields(data):
        if number == 1:
            name = text(value)
        elif number == 10:
            domain = _domain(text(value))
        elif number == 7 and isinstance(value, memoryview):
            _read_node(value, operators, external, 1)
    return domain, name


def _read_graph(data: memoryview, operators: Counter[Operator], external: dict[str, None],
                depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise WireError(f'graphs are nested more than {_MAX_DEPTH} deep')
    for number, value in read_fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == 1:
            _read_node(value, operators, external, depth)
        elif number == 5:
            _read_tensor(value, external)
        elif number == 15:
            _read_sparse(value, external)


def _read_inputs(data: memoryview) -> tuple[dict[str, tuple[int | str, ...]], bool]:
    """Return name and shape of a graph's inputs, and whether weights are listed among them."""
    weights = {text(name) for tensor in messages(data, 5) for number, name in read_fields(tensor)
               if number == 8}
    found: dict[str, tuple[int | str, ...]] = {}
    listed = False
    for info in messages(data, 11):
        name, shape = '', []
        for number, value in read_fields(info):
            if number == 1:
                name = text(value)
            elif number == 2 and isinstance(value, memoryview):
                shape = [_read_dimension(dim) for tensor in messages(value, 1)
                         for dims in messages(tensor, 2) for dim in messages(dims, 1)]
        if name in weights:
            listed = True
        else:
            found[name] = tuple(shape)
    return found, listed


def _read_dimension(data: memoryview) -> int | str:
    size: int | str = ''
    for number, value in read_fields(data):
        if number == 1:
            size = signed(value)
        elif number == 2:
            size = text(value)
    return size


def _read_node(data: memoryview, operators: Counter[Operator], external: dict[str, None],
               depth: int) -> None:
    name, domain = '', ''
    for number, value in read_fields(data):
        if number == 4:
            name = text(value)
        elif number == 7:
            domain = _domain(text(value))
        elif number == 5 and isinstance(value, memoryview):
            for inner, piece in read_fields(value):
                if not isinstance(piece, memoryview):
                    continue
                if inner in (6, 11):
                    _read_graph(piece, operators, external, depth + 1)
                elif inner in (5, 10):
                    _read_tensor(piece, external)
                elif inner in (22, 23):
                    _read_sparse(piece, external)
    operators[domain, name] += 1


def _read_tensor(data: memoryview, external: dict[str, None]) -> None:
    """Note the file that holds a tensor's numbers, where it is another one."""
    for entry in messages(data, 13):
        pair = {number: text(value) for number, value in read_fields(entry)}
        if pair.get(1) == 'location':
            external[pair.get(2, '')] = None


def _read_sparse(data: memoryview, external: dict[str, None]) -> None:
    """Note the files of a sparse tensor's values and indices."""
    for number, value in read_fields(data):
        if number in (1, 2) and isinstance(value, memoryview):
            _read_tensor(value, external)


def _domain(name: str) -> str:
    return '' if name == 'ai.onnx' else name
