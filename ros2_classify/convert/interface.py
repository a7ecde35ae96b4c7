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

"""The inputs and outputs of a TensorFlow model: declared, or found in the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import difflib
import re

from ros2_classify.convert.graph import Graph, Node, node_of, SavedModel, Signature, TensorInfo
from ros2_classify.errors import ConversionError

# The outputs of TensorFlow Object Detection's exporter
# (https://github.com/tensorflow/models, research/object_detection/exporter.py).
_DETECTION = ('detection_boxes', 'detection_scores', 'detection_classes', 'num_detections',
              'detection_masks')
_DETECTION_NEEDED = _DETECTION[:3]
# Those of classifiers and segmenters, the most reliable first: slim and Keras applications,
# retrained models, TensorFlow's official ResNets, DeepLab.
_USUAL = tuple(re.compile(pattern) for pattern in (
    r'(.*/)?[Pp]redictions/Reshape_1', r'(.*/)?[Pp]redictions/[Ss]oftmax', r'final_result',
    r'softmax_tensor', r'SemanticPredictions', r'(.*/)?[Ss]oftmax', r'(.*/)?prob(s|abilities)?',
    r'(.*/)?outputs?', r'(.*/)?logits'))
# These give a class instead of the scores that it was chosen by.
_CHOICES = ('ArgMax', 'TopK', 'TopKV2')
_DEFAULT_SIGNATURE = 'serving_default'
_LISTED = 12


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs: tensors of a frozen graph (``a:0``), or a signature's own names."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[str, ...]
    signature: str = ''
    tag: str = ''
    found: tuple[str, ...] = ()  # a sentence for each thing that was not declared


def frozen_interface(
    graph: Graph, inputs: Sequence[str], outputs: Sequence[str], origin: str,
) -> Interface:
    """Return a frozen graph's declared inputs and outputs, or find them; else ConversionError."""
    found = []
    if outputs:
        nodes = [_find(graph, name, 'output', graph.leaves, origin) for name in outputs]
        tensors = tuple(_tensor(name) for name in outputs)
    else:
        nodes, reason = _find_outputs(graph, origin)
        tensors = tuple(f'{node.name}:0' for node in nodes)
        found.append(f'the output{"s" if len(tensors) > 1 else ""} {_listed(map(repr, tensors))}, '
                     f'because of {reason}')
    needed = graph.needed(node.name for node in nodes)
    wanted = [node for node in needed.values() if node.op == 'Placeholder']
    if inputs:
        fed = [_find(graph, name, 'input', graph.placeholders, origin) for name in inputs]
        names = {node.name for node in fed}
        # A declared input may be inside the graph: the nodes that only it needs are not needed.
        reached = _without(graph, (node.name for node in nodes), names)
        missing = [node for node in reached if node.op == 'Placeholder' and node.name not in names]
        if missing:
            raise ConversionError(
                f'{origin}: the outputs also need the placeholder {missing[0].tensor()}, which '
                'convert.inputs does not name; add it, or name outputs that do not need it')
        infos = tuple(_with_name(node, _tensor(name)) for node, name in zip(fed, inputs))
    else:
        if not wanted:
            raise ConversionError(
                f'{origin}: the outputs {_listed(tensors)} need no placeholder, so there is '
                f'nothing to feed{_there("placeholders", graph.placeholders)}; name the input '
                'under convert.inputs in the descriptor')
        order = {node.name: place for place, node in enumerate(graph.placeholders)}
        infos = tuple(node.tensor() for node in sorted(wanted, key=lambda node: order[node.name]))
        found.append(f'the input{"s" if len(infos) > 1 else ""} {_listed(map(str, infos))}, '
                     'because placeholders are fed')
    return Interface(infos, tensors, found=tuple(found))


def saved_interface(model: SavedModel, signature: str, origin: str) -> Interface:
    """Return a signature's inputs and outputs; '' takes ``serving_default``, or the only one."""
    usable = {item.name: item for item in model.signatures if item.inputs and item.outputs}
    if not usable:
        raise ConversionError(
            f'{origin}: this SavedModel has no signature with inputs and outputs; save it with '
            'signatures={"serving_default": ...}, or with model.export() from Keras')
    listed = '; '.join(_describe(item) for item in usable.values())
    if signature and signature not in usable:
        raise ConversionError(
            f'{origin}: this SavedModel has no signature {signature!r}'
            f'{_near(signature, usable)}; it has {listed}')
    found = []
    if not signature:
        if _DEFAULT_SIGNATURE not in usable and len(usable) > 1:
            raise ConversionError(
                f'{origin}: this SavedModel has several signatures, but none is '
                f'{_DEFAULT_SIGNATURE}; name one under convert.signature: {listed}')
        signature = _DEFAULT_SIGNATURE if _DEFAULT_SIGNATURE in usable else next(iter(usable))
        found.append(f'the signature {_describe(usable[signature])}')
    chosen = usable[signature]
    return Interface(chosen.inputs, tuple(tensor.name for tensor in chosen.outputs),
                     signature=signature, tag=model.tag, found=tuple(found))


def _find(graph: Graph, name: str, kind: str, usual: Iterable[Node], origin: str) -> Node:
    node = graph.nodes.get(node_of(name))
    if node is not None:
        return node
    what = 'placeholders' if kind == 'input' else 'outputs (that no node reads)'
    raise ConversionError(
        f'{origin}: the graph has no {kind} {name!r}{_near(node_of(name), graph.nodes)}'
        f'{_there(what, usual)}; correct convert.{kind}s in the descriptor, or '
        f'--{kind}-tensors')


def _find_outputs(graph: Graph, origin: str) -> tuple[list[Node], str]:
    """Return the output nodes and the reason for them."""
    if all(name in graph.nodes for name in _DETECTION_NEEDED):
        return ([graph.nodes[name] for name in _DETECTION if name in graph.nodes],
                'the names of TensorFlow Object Detection')
    leaves = graph.leaves
    # If the graph gives only the best class, the scores are before it.
    inside = all(node.op in _CHOICES for node in leaves)
    for pattern in _USUAL:
        hits = [node for node in (graph.nodes.values() if inside else leaves)
                if pattern.fullmatch(node.name)]
        if len(hits) == 1:
            return hits, 'its usual name'
    if len(leaves) == 1 and not inside:
        return [leaves[0]], 'being the only one that no node reads'
    raise ConversionError(
        f'{origin}: the outputs of this graph cannot be recognized by their names'
        f'{_there("outputs (that no node reads)", leaves)}; name the right ones under '
        'convert.outputs in a descriptor, as in convert: {outputs: [name]}')


def _without(graph: Graph, names: Iterable[str], stops: set[str]) -> list[Node]:
    """Return the nodes that the named ones depend on, without those before the stops."""
    cut = Graph({name: Node(node.name, node.op, (), node.message) if name in stops else node
                 for name, node in graph.nodes.items()})
    return list(cut.needed(names).values())


def _tensor(name: str) -> str:
    """Return a name with the number of the node's output, ``:0`` by default."""
    return name if node_of(name) != name else f'{name}:0'


def _with_name(node: Node, name: str) -> TensorInfo:
    info = node.tensor()
    return TensorInfo(name, info.dtype, info.shape)


def _near(name: str, known: Iterable[str]) -> str:
    # Users often remember the end of a name but not the scopes before it.
    known = list(known)
    close = [other for other in known if other.rpartition('/')[2] == name][:3]
    close += [other for other in difflib.get_close_matches(name, known, n=3, cutoff=0.6)
              if other not in close]
    return f' (did you mean {" or ".join(repr(other) for other in close[:3])}?)' if close else ''


def _there(what: str, nodes: Iterable[Node]) -> str:
    described = [str(node.tensor()) if node.op == 'Placeholder' else f'{node.name!r} {node.op}'
                 for node in nodes]
    return f'; its {what} are {_listed(described)}' if described else f'; it has no {what}'


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    more = f' and {len(items) - _LISTED} more' if len(items) > _LISTED else ''
    return ', '.join(items[:_LISTED]) + more


def _describe(signature: Signature) -> str:
    inputs, outputs = ([str(tensor) for tensor in tensors]
                       for tensors in (signature.inputs, signature.outputs))
    return f'{signature.name} ({_listed(inputs)} -> {_listed(outputs)})'
