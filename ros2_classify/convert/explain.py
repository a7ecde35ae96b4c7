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

"""Why a conversion failed: one sentence with the operator or the data type, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
import re

from ros2_classify.convert.graph import Graph

_INSTEAD = ('use an ONNX export of this model where there is one, or export the model anew with '
            'a current TensorFlow (as a SavedModel) without it')

# How tf2onnx names what it has no counterpart for (its log, tf2onnx/tfonnx.py).
_UNSUPPORTED = re.compile(r'Tensorflow op \[(?P<node>[^\]]*): (?P<op>[^\]:]+)\] is not supported')
_UNKNOWN = re.compile(r"Op type not registered '(?P<op>[^']+)'")
_REJECTED = re.compile(r'convert failed for name: "(?P<node>[^"]+)"\s+op: "(?P<op>[^"]+)"')

# The element types that ONNX lacks; its int8 and uint8 carry scale and zero point beside them.
_QUANTIZED = ('qint8', 'quint8', 'qint16', 'quint16', 'qint32')
_OTHER_TYPES = ('complex64', 'complex128', 'resource', 'variant', 'string')
# The arrays of TensorFlow 1's loops; of them tf2onnx converts known patterns only.
_OLD_ARRAYS = re.compile(r'TensorArray\w*V[123]')
_OLD_LOOPS = ('Enter', 'Exit', 'NextIteration', 'RefEnter', 'RefExit', 'RefNextIteration')


def unsupported_operators(log: str) -> list[str]:
    """Return the operators that tf2onnx says it has no counterpart for, by its log."""
    return sorted({match['op'] for match in _UNSUPPORTED.finditer(log)})


def explain(error: str, log: str, graph: Graph, outputs: Iterable[str]) -> str:
    """
    Say why a conversion failed.

    Parameters
    ----------
    error : str
        The exception, ``TypeError: ...``.
    log : str
        What TensorFlow and tf2onnx wrote.
    graph : Graph
        What was to be converted.
    outputs : iterable of str
        The tensors it was to give; none asks the whole graph and its functions.

    Returns
    -------
    str
        The cause and the way out, without a full stop.

    """
    outputs = list(outputs)
    nodes = list(graph.needed(outputs).values() if outputs else graph.nodes.values())
    nodes += graph.library
    operators = {node.op: node.name for node in reversed(nodes)}
    unknown = [match['op'] for match in _UNKNOWN.finditer(f'{error}\n{log}')]
    if unknown:
        return (f'TensorFlow itself does not know its operator {unknown[0]} (from a library of '
                f'its own, or removed since); {_INSTEAD}')
    missing = unsupported_operators(log)
    if missing:
        return f'ONNX has no counterpart for its {_several("operator", missing)}; {_INSTEAD}'
    rejected = _REJECTED.search(log)
    if rejected and _OLD_ARRAYS.fullmatch(rejected['op']):
        return (f'its loops keep their results in TensorFlow 1\'s {rejected["op"]} '
                f'({rejected["node"]!r}), which tf2onnx cannot convert here; {_INSTEAD}')
    types = {kind: node for node in reversed(nodes) for kind in node.data_types()}
    quantized = [kind for kind in _QUANTIZED if kind in types]
    if quantized:
        node = types[quantized[0]]
        return (f'ONNX has no data type {quantized[0]}, in which it keeps its weights '
                f'({node.op} {node.name!r}); use the floating-point version of this model')
    if rejected:
        return (f'tf2onnx fails at its operator {rejected["op"]} ({rejected["node"]!r}): '
                f'{shorten(error)}; {_INSTEAD}')
    loops = sorted(op for op in operators if op in _OLD_LOOPS)
    if loops:
        return (f'its loops are built of TensorFlow 1\'s {_several("operator", loops)} in a way '
                f'that tf2onnx does not convert ({shorten(error)}); {_INSTEAD}')
    others = [kind for kind in _OTHER_TYPES if kind in types and kind in error.lower()]
    if others:
        node = types[others[0]]
        return (f'ONNX Runtime has no kernels for the data type {others[0]} of its operator '
                f'{node.op} ({node.name!r}); {_INSTEAD}')
    return shorten(error)


def _several(word: str, names: list[str]) -> str:
    return f'{word}{"s" if len(names) > 1 else ""} {", ".join(names)}'


def shorten(error: str) -> str:
    """Return an exception's text as one line, TensorFlow's stack traces left out."""
    text = re.sub(r'Original stack trace for.*', '', error, flags=re.DOTALL)
    text = re.sub(r'Detected at node .*\(most recent call last\):', '', text)
    text = ' '.join(re.sub(r'\[\[\{\{.*?\}\}\]\]', '', text).split()).rstrip('.')
    return text if len(text) <= 300 else f'{text[:299]}…'
