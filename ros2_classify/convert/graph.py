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
What a TensorFlow file holds, read without TensorFlow: nodes, shapes, types, signatures.

Formats: ``GraphDef``, ``NodeDef``, ``AttrValue``, ``TensorShapeProto``, ``SavedModel`` and
``MetaGraphDef`` of https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core, directories
``framework`` and ``protobuf``; the numbers below are the fields' numbers there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ros2_classify.errors import ConversionError
from ros2_classify.model.descriptor import SAVED_MODEL_FILE
from ros2_classify.protobuf import (
    map_entry, messages, read_fields, signed, text, Value, varints, WireError)

# types.proto; a type above 100 is a reference to the one 100 below.
DATA_TYPES = (
    'invalid', 'float32', 'float64', 'int32', 'uint8', 'int16', 'int8', 'string', 'complex64',
    'int64', 'bool', 'qint8', 'quint8', 'qint32', 'bfloat16', 'qint16', 'quint16', 'uint16',
    'complex128', 'float16', 'resource', 'variant', 'uint32', 'uint64')

# Not outputs, though nothing reads them.
_SILENT = frozenset((
    'Const', 'Placeholder', 'NoOp', 'Assert', 'SaveV2', 'RestoreV2', 'MergeV2Checkpoints',
    'MergeSummary', 'ScalarSummary', 'HistogramSummary', 'ImageSummary', 'Print', 'PrintV2',
    'Assign', 'AssignVariableOp', 'Exit', 'LoopCond'))
# Where nodes say what their first output is, the surest first.
_TYPE_ATTRIBUTES = ('dtype', 'DstT', 'output_types', 'T')
_SHAPE_ATTRIBUTES = ('shape', 'output_shapes', '_output_shapes')
# Their values are in a checkpoint, not in the graph.
_VARIABLES = ('Variable', 'VariableV2', 'VarHandleOp', 'AutoReloadVariable')


@dataclass(frozen=True)
class TensorInfo:
    """
    A tensor of a TensorFlow graph.

    Parameters
    ----------
    name : str
        As the graph says it, ``image_tensor:0``; for a SavedModel the signature's name for it.
    dtype : str
        One of ``DATA_TYPES``.
    shape : tuple of int or None, or None
        None for a dimension that is free; None in all where even the number of them is.

    """

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
    """
    One operation of a graph.

    Parameters
    ----------
    name, op : str
        Its own name, and what it does.
    inputs : tuple of str
        The tensors it reads (``name:1``, ``name`` for the first output) and, with ``^`` before
        them, the nodes it waits for.
    message : memoryview
        The ``NodeDef`` itself, which holds the attributes.

    """

    name: str
    op: str
    inputs: tuple[str, ...]
    message: memoryview = field(repr=False)

    def data_types(self) -> set[str]:
        """Return all the types that its attributes name; ConversionError if they are damaged."""
        with self._reading():
            return {kind for _, value in self._attributes() for kind in _types(value)}

    def tensor(self) -> TensorInfo:
        """
        Return its first output, with the type and the shape that its attributes declare.

        ConversionError if they are damaged.
        """
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
        """Name the node whose attributes, which are read when they are asked for, are damaged."""
        try:
            yield
        except WireError as error:
            raise ConversionError(
                f'the node {self.name!r} of the graph is damaged ({error}); get the model anew'
            ) from error

    def _attributes(self) -> Iterator[tuple[str, memoryview]]:
        return (map_entry(entry) for entry in messages(self.message, 5))


@dataclass(frozen=True)
class Graph:
    """
    A graph and the functions that it calls.

    Parameters
    ----------
    nodes : mapping of str to Node
        By name, in the file's order.
    library : tuple of Node
        The nodes of all its functions.

    """

    nodes: Mapping[str, Node]
    library: tuple[Node, ...] = ()

    @cached_property
    def placeholders(self) -> tuple[Node, ...]:
        """The nodes that are to be fed."""
        return tuple(node for node in self.nodes.values() if node.op == 'Placeholder')

    @cached_property
    def leaves(self) -> tuple[Node, ...]:
        """The nodes that compute something which no other node reads."""
        read = {node_of(name) for node in self.nodes.values() for name in node.inputs}
        return tuple(node for node in self.nodes.values()
                     if node.name not in read and node.op not in _SILENT)

    def needed(self, names: Iterable[str]) -> dict[str, Node]:
        """Return the nodes that the named tensors depend on, themselves included."""
        waiting, found = [node_of(name) for name in names], {}
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.nodes:
                found[name] = self.nodes[name]
                waiting.extend(node_of(other) for other in found[name].inputs)
        return found


@dataclass(frozen=True)
class Signature:
    """
    One way to call a SavedModel.

    Parameters
    ----------
    name : str
        ``serving_default`` as a rule.
    inputs, outputs : tuple of TensorInfo
        By the signature's own names.

    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class SavedModel:
    """
    What a SavedModel offers.

    Parameters
    ----------
    tag : str
        The tag of the graph that is meant for serving.
    signatures : tuple of Signature
        In alphabetical order.
    graph : Graph
        The graph and its functions.

    """

    tag: str
    signatures: tuple[Signature, ...]
    graph: Graph


def read_frozen_graph(path: Path) -> Graph:
    """
    Read a frozen graph.

    Parameters
    ----------
    path : Path
        A file that holds a ``GraphDef``.

    Returns
    -------
    Graph
        At least one node is in it.

    Raises
    ------
    ConversionError
        If it is something else, or its weights are not in it.

    """
    data = _read(path)
    try:
        graph = _graph(data)
        broken = not graph.nodes or any(not node.op for node in graph.nodes.values())
    except WireError:
        broken = True
    if broken:
        raise ConversionError(
            f'{path}: this is no TensorFlow frozen graph{_what_else(path, data)}; a frozen graph '
            'is a binary GraphDef with the weights in it, frozen_inference_graph.pb for example')
    variables = [node for node in graph.nodes.values() if node.op in _VARIABLES]
    if variables:
        raise ConversionError(
            f'{path}: this graph is not frozen, its {len(variables)} variables '
            f'({variables[0].name!r} {variables[0].op}, ...) are in a checkpoint; freeze it with '
            'tensorflow.compat.v1.graph_util.convert_variables_to_constants, or use a SavedModel')
    return graph


def read_saved_model(directory: Path) -> SavedModel:
    """
    Read what a SavedModel offers.

    Parameters
    ----------
    directory : Path
        The directory with ``saved_model.pb``.

    Returns
    -------
    SavedModel
        Its graph for serving.

    Raises
    ------
    ConversionError
        If it is no SavedModel.

    """
    path = directory / SAVED_MODEL_FILE
    if not path.is_file():
        text_form = ' (only saved_model.pbtxt, in text form, which cannot be read: save it anew)'
        raise ConversionError(
            f'{directory}: this is no TensorFlow SavedModel, there is no {SAVED_MODEL_FILE} in it'
            f'{text_form if (directory / "saved_model.pbtxt").is_file() else ""}; a SavedModel is '
            f'the directory that holds {SAVED_MODEL_FILE} and variables/')
    try:
        graphs = [_meta_graph(message) for message in messages(_read(path), 2)]
    except WireError as error:
        raise ConversionError(
            f'{path}: this is no SavedModel, or it is cut off: {error}; get it anew') from error
    # What trainers save beside it (for TPUs, for training) has more tags.
    graphs.sort(key=lambda item: (item[0] != ['serve'], 'serve' not in item[0]))
    if not graphs:
        raise ConversionError(f'{path}: this SavedModel is empty; get it anew')
    tags, signatures, graph = graphs[0]
    return SavedModel(','.join(tags), tuple(sorted(signatures, key=lambda item: item.name)), graph)


def node_of(tensor: str) -> str:
    """Return the node of ``name:0``, ``name`` or ``^name``."""
    name, colon, index = tensor.lstrip('^').rpartition(':')
    return name if colon and index.isdigit() else tensor.lstrip('^')


def looks_like_saved_model(data: bytes) -> bool:
    """Tell a ``SavedModel`` from a ``GraphDef``: it starts with a number, the schema's version."""
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
        return (f' but a SavedModel or an ONNX file; say format: saved_model and give the directory '
                f'{path.parent}, or format: onnx')
    if start.startswith(b'version https://git-lfs'):
        return ' but a Git LFS pointer: fetch the file itself with git lfs pull'
    if start.lstrip()[:5] in (b'node ', b'node{'):
        return ' but one in text form, which cannot be read: save it anew in binary form'
    return ''


def _graph(data: memoryview) -> Graph:
    nodes: dict[str, Node] = {}
    library: list[Node] = []
    for number, value in read_fields(data):
        if number == 1 and isinstance(value, memoryview):
            node = _node(value)
            nodes[node.name] = node
        elif number == 2 and isinstance(value, memoryview):
            library.extend(_node(piece) for function in messages(value, 1)
                           for piece in messages(function, 3))
        elif number > 10:
            raise WireError(f'a graph has no field {number}')
    return Graph(nodes, tuple(library))


def _node(message: memoryview) -> Node:
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
    """Yield the types of an ``AttrValue``, or of the list that it holds; lists hold no lists."""
    for number, value in read_fields(attribute):
        if number == 6:
            packed = varints(value) if isinstance(value, memoryview) else (value,)
            yield from (_data_type(piece) for piece in packed)
        elif number == 1 and isinstance(value, memoryview) and not listed:
            yield from _types(value, listed=True)


def _shapes(
    attribute: memoryview, listed: bool = False,
) -> Iterator[tuple[int | None, ...] | None]:
    """Yield the shapes of an ``AttrValue``, or of the list that it holds; lists hold no lists."""
    for number, value in read_fields(attribute):
        if number == 7 and isinstance(value, memoryview):
            yield _shape(value)
        elif number == 1 and isinstance(value, memoryview) and not listed:
            yield from _shapes(value, listed=True)
