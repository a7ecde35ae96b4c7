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
What a TensorFlow file may make TensorFlow do, decided before TensorFlow reads it.

TensorFlow's graphs are programs: their operators write files, call Python and open connections,
and loading a SavedModel runs some of them. So every operator in the file, also of functions that
nothing calls, must be in `ALLOWED_OPERATORS`. Those that save and restore variables belong to
every SavedModel: TensorFlow gets a copy of ``saved_model.pb`` without them.

Formats: ``GraphDef``, ``FunctionDefLibrary``, ``AttrValue``, ``SaverDef``, ``CollectionDef`` and
``MetaGraphDef`` of https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ros2_classify.convert.graph import Graph, Node, node_of, read_node
from ros2_classify.convert.operators import ALLOWED_OPERATORS, CHECKPOINT_OPERATORS
from ros2_classify.errors import ConversionError
from ros2_classify.protobuf import map_entry, messages, read_fields, read_spans, text, written

_INSTEAD = 'use an ONNX export of this model, or export it again without it'
# A signature and collections (tensorflow/python/saved_model/constants.py) that run at loading.
_INIT_SIGNATURE = '__saved_model_init_op'
_INIT_COLLECTIONS = ('saved_model_main_op', 'legacy_init_op')


class _MetaGraph:
    INFO, GRAPH, SAVER, COLLECTIONS, SIGNATURES, ASSETS = 1, 2, 3, 4, 5, 6


class _Graph:
    NODES, LIBRARY = 1, 2


def check_frozen_graph(data: memoryview, origin: str) -> None:
    """Raise ConversionError, with the operator's name, if a ``GraphDef`` must not be run."""
    nodes, functions = _read_graph(data)
    inner = [node for body in functions.values() for node in body]
    _check_operators([*nodes, *inner], ALLOWED_OPERATORS, origin)
    _check_calls([*nodes, *inner], functions, origin)


def serving_copy(data: memoryview, tags: Iterable[str], origin: str) -> bytes:
    """
    Return a ``SavedModel`` with one meta graph that only computes, to be loaded in its place.

    The first meta graph with these tags is taken. Nodes and functions that write checkpoints are
    omitted. ConversionError if it has another operator that must not be run, assets, or an
    operation that is run when it is loaded.
    """
    wanted = set(tags)
    for graph in messages(data, 2):
        if {text(tag) for info in messages(graph, _MetaGraph.INFO)
                for tag in messages(info, 4)} == wanted:
            break
    else:
        raise ConversionError(
            f'{origin}: no graph of this SavedModel has the tags {sorted(wanted)}')
    # The schema's version is 1, of which TensorFlow reads no more than that it is there.
    return b'\x08\x01' + written(2, _copy_meta_graph(graph, origin))


def _copy_meta_graph(data: memoryview, origin: str) -> bytes:
    graphs = list(messages(data, _MetaGraph.GRAPH))
    if len(graphs) != 1:
        raise ConversionError(f'{origin}: it has {len(graphs)} graphs where one is allowed')
    for asset in messages(data, _MetaGraph.ASSETS):
        name = next((text(value) for number, value in read_fields(asset) if number == 2), '')
        raise ConversionError(
            f'{origin}: it reads the asset {name!r} when it is loaded, and assets are not allowed '
            f'(a table of words?); {_INSTEAD}')
    nodes, functions = _read_graph(graphs[0])
    inner = [node for body in functions.values() for node in body]
    _check_operators([*nodes, *inner], ALLOWED_OPERATORS | CHECKPOINT_OPERATORS, origin)
    _check_calls([*nodes, *inner], functions, origin)
    dropped = _dropped_functions(functions)
    by_name = {node.name: node for node in nodes}
    if len(by_name) != len(nodes):
        raise ConversionError(f'{origin}: two nodes of the graph have the same name')
    _check_init(data, by_name, origin)
    _check_signatures(data, by_name, functions, origin)
    _check_restore(data, nodes, origin)
    gone = _dropped_nodes(nodes, dropped)
    return b''.join(
        written(_MetaGraph.GRAPH, _copy_graph(graphs[0], gone, dropped))
        if number == _MetaGraph.GRAPH else data[start:end]
        for number, _, start, end in read_spans(data))


def _copy_graph(data: memoryview, gone: set[str], dropped: set[str]) -> bytes:
    pieces: list[bytes | memoryview] = []
    for number, value, start, end in read_spans(data):
        if number == _Graph.LIBRARY and isinstance(value, memoryview):
            pieces.append(written(_Graph.LIBRARY, _copy_library(value, dropped)))
        elif not (number == _Graph.NODES and isinstance(value, memoryview)
                  and read_node(value).name in gone):
            pieces.append(data[start:end])
    return b''.join(pieces)


def _copy_library(data: memoryview, dropped: set[str]) -> bytes:
    return b''.join(
        data[start:end] for number, value, start, end in read_spans(data)
        if not (number == 1 and isinstance(value, memoryview)
                and _function_name(value) in dropped))


def _read_graph(data: memoryview) -> tuple[list[Node], dict[str, list[Node]]]:
    """Return all nodes of a graph, and those of each of its functions."""
    nodes = [read_node(node) for node in messages(data, _Graph.NODES)]
    functions: dict[str, list[Node]] = {}
    for library in messages(data, _Graph.LIBRARY):
        for function in messages(library, 1):
            functions.setdefault(_function_name(function), []).extend(
                read_node(node) for node in messages(function, 3))
    return nodes, functions


def _function_name(function: memoryview) -> str:
    names = [text(value) for signature in messages(function, 1)
             for number, value in read_fields(signature) if number == 1]
    return names[-1] if names else ''


def _check_operators(nodes: Iterable[Node], allowed: frozenset[str], origin: str) -> None:
    for node in nodes:
        if node.op not in allowed:
            raise ConversionError(
                f'{origin}: its operator {node.op} ({node.name!r}) is not allowed: '
                'TensorFlow runs the model while converting it, and only operators that are '
                f'known to compute may run; {_INSTEAD}')


def _check_calls(nodes: Iterable[Node], functions: Iterable[str], origin: str) -> None:
    """Refuse calls of what is not in the file: TensorFlow might find an operator of that name."""
    known = set(functions)
    for node in nodes:
        for name in sorted(node.calls - known):
            raise ConversionError(
                f'{origin}: the node {node.name!r} calls the function {name!r}, which is not in '
                'the file; export the model again')


def _dropped_functions(functions: dict[str, list[Node]]) -> set[str]:
    """Return the functions that save or restore, and those that call them."""
    dropped = {name for name, body in functions.items()
               if any(node.op in CHECKPOINT_OPERATORS for node in body)}
    while more := {name for name, body in functions.items() if name not in dropped
                   and any(node.calls & dropped for node in body)}:
        dropped |= more
    return dropped


def _dropped_nodes(nodes: list[Node], dropped: set[str]) -> set[str]:
    """Return the nodes that save, or call what is dropped, and those that need them."""
    saving = CHECKPOINT_OPERATORS - {'RestoreV2'}
    gone = {node.name for node in nodes if node.op in saving or node.calls & dropped}
    while more := {node.name for node in nodes if node.name not in gone
                   and any(node_of(name) in gone for name in node.inputs)}:
        gone |= more
    return gone


def _check_init(data: memoryview, nodes: dict[str, Node], origin: str) -> None:
    """Refuse a model that runs something when it is loaded."""
    starts = [tensor for name, tensor in _signature_outputs(data) if name == _INIT_SIGNATURE]
    for entry in messages(data, _MetaGraph.COLLECTIONS):
        name, collection = map_entry(entry)
        if name in _INIT_COLLECTIONS:
            starts += [text(value) for values in messages(collection, 1)
                       for number, value in read_fields(values) if number == 1]
    for node in Graph(nodes).needed(starts).values():
        if node.op != 'NoOp':
            raise ConversionError(
                f'{origin}: it runs the operator {node.op} ({node.name!r}) when it is '
                f'loaded (main_op), which is not allowed; {_INSTEAD}')


def _check_signatures(data: memoryview, nodes: dict[str, Node],
                      functions: dict[str, list[Node]], origin: str) -> None:
    """Refuse a model whose results depend on saving or restoring."""
    waiting = list(Graph(nodes).needed(
        tensor for name, tensor in _signature_outputs(data)
        if name != _INIT_SIGNATURE).values())
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        _check_operators([node], ALLOWED_OPERATORS, origin)
        for name in node.calls - seen:
            seen.add(name)
            waiting += functions[name]


def _signature_outputs(data: memoryview) -> Iterator[tuple[str, str]]:
    for entry in messages(data, _MetaGraph.SIGNATURES):
        name, signature = map_entry(entry)
        for output in messages(signature, 2):
            for number, value in read_fields(map_entry(output)[1]):
                if number == 1:
                    yield name, text(value)


def _check_restore(data: memoryview, nodes: list[Node], origin: str) -> None:
    """Refuse to restore variables from another file than the one TensorFlow feeds."""
    fed = {node_of(text(value)) for saver in messages(data, _MetaGraph.SAVER)
           for number, value in read_fields(saver) if number == 1}
    for node in nodes:
        if node.op == 'RestoreV2' and node_of((*node.inputs, '')[0]) not in fed:
            raise ConversionError(
                f'{origin}: its operator RestoreV2 ({node.name!r}) reads a file of its own, which '
                f'is not allowed; {_INSTEAD}')
