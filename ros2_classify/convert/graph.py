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
The contents of a TensorFlow file, read without TensorFlow: nodes, shapes, types, signatures.

Formats: ``GraphDef``, ``NodeDef``, ``AttrValue``, ``TensorShapeProto``, ``SavedModel`` and
``MetaGraphDef`` of https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core,
directories ``framework`` and ``protobuf``; the numbers below are those of the fields there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ros2_classify.errors import ConversionError
from ros2_classify.limits import MAX_META_GRAPHS, MAX_TENSORFLOW_NODES
from ros2_classify.model.descriptor import SAVED_MODEL_FILE
from ros2_classify.protobuf import (
    map_entry, messages, read_fields, signed, text, Value, varints, WireError)

# types.proto; a number above 100 is a reference to the type of the number minus 100.
DATA_TYPES = (
    'invalid', 'float32', 'float64', 'int32', 'uint8', 'int16', 'int8', 'string', 'complex64',
    'int64', 'bool', 'qint8', 'quint8', 'qint32', 'bfloat16', 'qint16', 'quint16', 'uint16',
    'complex128', 'float16', 'resource', 'variant', 'uint32', 'uint64')

# Not outputs, although no node reads them.
_SILENT = frozenset((
    'Const', 'Placeholder', 'NoOp', 'Assert', 'SaveV2', 'RestoreV2', 'MergeV2Checkpoints',
    'MergeSummary', 'ScalarSummary', 'HistogramSummary', 'ImageSummary', 'Print', 'PrintV2',
    'Assign', 'AssignVariableOp', 'Exit', 'LoopCond'))
# The attributes that describe a node's first output, the most reliable first.
_TYPE_ATTRIBUTES = ('dtype', 'DstT', 'output_types', 'T')
_SHAPE_ATTRIBUTES = ('shape', 'output_shapes', '_output_shapes')
# Their values are in a checkpoint, not in the graph.
_VARIABLES = ('Variable', 'VariableV2', 'VarHandleOp', 'AutoReloadVariable')


@dataclass(frozen=True)
class TensorInfo:
    """A tensor: `shape` has None for a free dimension, and is None if the rank is free too."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        """Return it as ``'image_tensor:0' uint8 [?, ?, ?, 3]``."""
        dims = '...' if self.shape is None else ', '.join(
            '?' if dim is None else str(dim) for dim in self.shape)
        return f"'{self.name}' {self.dtype} [{dims}]"


@dataclass(frozen=True)
class Node:
    """One operation; inputs are tensors (``name:1``) and nodes that it waits for (``^name``)."""

    name: str
    op: str
    inputs: tuple[str, ...]
    message: memoryview = field(repr=False)  # its ``NodeDef``, from which attributes are read

    def data_types(self) -> set[str]:
        """Return all types in its attributes; ConversionError if they are damaged."""
        with self._reading():
            return {kind for _, value in self._attributes() for kind in _types(value)}

    def tensor(self) -> TensorInfo:
        """Return its first output as its attributes declare it; ConversionError if damaged."""
        with self._reading():
            attributes = dict(self._attributes())
            types = [kind for name in _TYPE_ATTRIBUTES if name in attributes
                     for kind in _types(attributes[name])]
            shapes = [shape for name in _SHAPE_ATTRIBUTES if name in attributes
                      for shape in _shapes(attributes[name])]
        return TensorInfo(f'{self.name}:0', types[0] if types else DATA_TYPES[0],
                          shapes[0] if shapes else None)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the node with damaged attributes, which are read late."""
        try:
            yield
        except WireError as error:
            raise ConversionError(
                f'the node {self.name!r} of the graph is damaged ({error}); download it again'
            ) from error

    @cached_property
    def calls(self) -> frozenset[str]:
        """The functions that its attributes name."""
        return frozenset(
            name for attribute in messages(self.message, 5)
            for number, value in read_fields(attribute)
            if number == 2 and isinstance(value, memoryview) for name in _called(value))

    def _attributes(self) -> Iterator[tuple[str, memoryview]]:
        return (map_entry(entry) for entry in messages(self.message, 5))


@dataclass(frozen=True)
class Graph:
    """The nodes of a graph by name, in the file's order; `library` are those of its functions."""

    nodes: Mapping[str, Node]
    library: tuple[Node, ...] = ()

    @cached_property
    def placeholders(self) -> tuple[Node, ...]:
        """The nodes to feed."""
        return tuple(node for node in self.nodes.values() if node.op == 'Placeholder')

    @cached_property
    def leaves(self) -> tuple[Node, ...]:
        """The nodes that compute something that no other node reads."""
        read = {node_of(name) for node in self.nodes.values() for name in node.inputs}
        return tuple(node for node in self.nodes.values()
                     if node.name not in read and node.op not in _SILENT)

    def needed(self, names: Iterable[str]) -> dict[str, Node]:
        """Return the nodes that the named tensors depend on, including their own."""
        waiting, found = [node_of(name) for name in names], {}
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.nodes:
                found[name] = self.nodes[name]
                waiting.extend(node_of(other) for other in found[name].inputs)
        return found


@dataclass(frozen=True)
class Signature:
    """One way to call a SavedModel, usually ``serving_default``; tensors by its own names."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class SavedModel:
    """The graph of a SavedModel that is meant for serving, its tag and its sorted signatures."""

    tag: str
    signatures: tuple[Signature, ...]
    graph: Graph


def read_frozen_graph(path: Path) -> Graph:
    """Read a ``GraphDef``; ConversionError if it is something else, or without its weights."""
    data = _read(path)
    try:
        graph = _graph(data)
        broken = not graph.nodes or any(not node.op for node in graph.nodes.values())
    except WireError:
        broken = True
    if broken:
        raise ConversionError(
            f'{path}: this is not a TensorFlow frozen graph{_what_else(path, data)}; a frozen '
            'graph is a binary GraphDef with its weights, for example frozen_inference_graph.pb')
    variables = [node for node in graph.nodes.values() if node.op in _VARIABLES]
    if variables:
        raise ConversionError(
            f'{path}: this graph is not frozen, its {len(variables)} variables '
            f'({variables[0].name!r} {variables[0].op}, ...) are in a checkpoint; freeze it with '
            'tensorflow.compat.v1.graph_util.convert_variables_to_constants, or use a SavedModel')
    return graph


def read_saved_model(directory: Path) -> SavedModel:
    """Read the graph for serving from a directory with ``saved_model.pb``, or ConversionError."""
    path = directory / SAVED_MODEL_FILE
    if not path.is_file():
        text_form = ' (only saved_model.pbtxt, which is not supported: save it in binary form)'
        raise ConversionError(
            f'{directory}: this is not a TensorFlow SavedModel: it has no {SAVED_MODEL_FILE}'
            f'{text_form if (directory / "saved_model.pbtxt").is_file() else ""}; a SavedModel is '
            f'the directory that holds {SAVED_MODEL_FILE} and variables/')
    try:
        metas = list(messages(_read(path), 2))
        if len(metas) > MAX_META_GRAPHS:
            raise ConversionError(
                f'{path}: it has {len(metas)} graphs, more than the {MAX_META_GRAPHS} that are '
                'allowed; export it again for serving only')
        graphs = [_meta_graph(message) for message in metas]
    except WireError as error:
        raise ConversionError(
            f'{path}: this is not a SavedModel, or it is cut off: {error}; download it again'
        ) from error
    # Trainers save others beside it (for TPUs, for training), which have more tags.
    graphs.sort(key=lambda item: (item[0] != ['serve'], 'serve' not in item[0]))
    if not graphs:
        raise ConversionError(f'{path}: this SavedModel is empty; download it again')
    tags, signatures, graph = graphs[0]
    return SavedModel(','.join(tags), tuple(sorted(signatures, key=lambda item: item.name)), graph)


def node_of(tensor: str) -> str:
    """Return the node of ``name:0``, ``name`` or ``^name``."""
    name, colon, index = tensor.lstrip('^').rpartition(':')
    return name if colon and index.isdigit() else tensor.lstrip('^')


def looks_like_saved_model(data: bytes) -> bool:
    """Tell a ``SavedModel``, which starts with the schema's version, from a ``GraphDef``."""
    return data[:1] == b'\x08'


def _read(path: Path) -> memoryview:
    try:
        return memoryview(path.read_bytes())
    except OSError as error:
        raise ConversionError(f'{path}: cannot be read: {error.strerror}') from error


def _what_else(path: Path, data: memoryview) -> str:
    start = bytes(data[:200])
    if not start:
        return ', it is empty'
    if looks_like_saved_model(start):
        return (f' but a SavedModel or an ONNX file; use format: saved_model and the directory '
                f'{path.parent}, or format: onnx')
    if start.startswith(b'version https://git-lfs'):
        return ' but a Git LFS pointer: fetch the file itself with git lfs pull'
    if start.lstrip()[:5] in (b'node ', b'node{'):
        return ' but one in text form, which is not supported: save it in binary form'
    return ''


def _graph(data: memoryview) -> Graph:
    nodes: dict[str, Node] = {}
    library: list[Node] = []
    count = 0
    for number, value in read_fields(data):
        if number == 1 and isinstance(value, memoryview):
            node = read_node(value)
            nodes[node.name] = node
            count = _one_more(count)
        elif number == 2 and isinstance(value, memoryview):
            for function in messages(value, 1):
                for piece in messages(function, 3):
                    library.append(read_node(piece))
                    count = _one_more(count)
        elif number > 10:
            raise WireError(f'a graph has no field {number}')
    return Graph(nodes, tuple(library))


def _one_more(count: int) -> int:
    if count >= MAX_TENSORFLOW_NODES:
        raise ConversionError(
            f'a TensorFlow graph has more than the {MAX_TENSORFLOW_NODES} nodes that are allowed; '
            'use another model')
    return count + 1


def read_node(message: memoryview) -> Node:
    """Read a ``NodeDef``, its attributes later."""
    name, op, inputs = '', '', []
    for number, value in read_fields(message):
        if number == 1:
            name = text(value)
        elif number == 2:
            op = text(value)
        elif number == 3:
            inputs.append(text(value))
    return Node(name, op, tuple(inputs), message)


def _meta_graph(message: memoryview) -> tuple[list[str], list[Signature], Graph]:
    tags: list[str] = []
    signatures: list[Signature] = []
    graph = Graph({})
    for number, value in read_fields(message):
        if not isinstance(value, memoryview):
            continue
        if number == 1:
            tags.extend(text(tag) for tag in messages(value, 4))
        elif number == 2:
            graph = _graph(value)
        elif number == 5:
            name, signature = map_entry(value)
            signatures.append(Signature(
                name, _tensors(signature, 1), _tensors(signature, 2)))
    return tags, signatures, graph


def _tensors(signature: memoryview, number: int) -> tuple[TensorInfo, ...]:
    found = []
    for name, info in (map_entry(entry) for entry in messages(signature, number)):
        dtype, shape = 'invalid', None
        for key, value in read_fields(info):
            if key == 2:
                dtype = _data_type(value)
            elif key == 3 and isinstance(value, memoryview):
                shape = _shape(value)
        found.append(TensorInfo(name, dtype, shape))
    return tuple(sorted(found, key=lambda tensor: tensor.name))


def _shape(message: memoryview) -> tuple[int | None, ...] | None:
    dims: list[int | None] = []
    for number, value in read_fields(message):
        if number == 3 and value:
            return None
        if number == 2 and isinstance(value, memoryview):
            size = next((signed(piece) for key, piece in read_fields(value) if key == 1), 0)
            dims.append(size if size >= 0 else None)
    return tuple(dims)


def _data_type(value: Value) -> str:
    number = signed(value)
    number -= 100 if number > 100 else 0
    return DATA_TYPES[number] if 0 <= number < len(DATA_TYPES) else f'type {number}'


def _types(attribute: memoryview, listed: bool = False) -> Iterator[str]:
    """Yield the types of an ``AttrValue``, or of the list in it; lists are not nested."""
    for number, value in read_fields(attribute):
        if number == 6:
            packed = varints(value) if isinstance(value, memoryview) else (value,)
            yield from (_data_type(piece) for piece in packed)
        elif number == 1 and isinstance(value, memoryview) and not listed:
            yield from _types(value, listed=True)


def _called(attribute: memoryview, listed: bool = False) -> Iterator[str]:
    """Yield the functions that an ``AttrValue`` names: ``func``, and those of ``list``."""
    for number, value in read_fields(attribute):
        if number == (9 if listed else 10) and isinstance(value, memoryview):
            names = [text(name) for key, name in read_fields(value) if key == 1]
            yield names[-1] if names else ''
        elif number == 1 and isinstance(value, memoryview) and not listed:
            yield from _called(value, listed=True)


def _shapes(
    attribute: memoryview, listed: bool = False,
) -> Iterator[tuple[int | None, ...] | None]:
    """Yield the shapes of an ``AttrValue``, or of the list in it; lists are not nested."""
    for number, value in read_fields(attribute):
        if number == 7 and isinstance(value, memoryview):
            yield _shape(value)
        elif number == 1 and isinstance(value, memoryview) and not listed:
            yield from _shapes(value, listed=True)
