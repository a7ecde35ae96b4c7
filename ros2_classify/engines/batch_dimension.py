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
Add a batch dimension to a model that was exported for one image, if that is provably safe.

Every node that works on the image needs a rule (`batch_rules`) that it keeps images separate;
values that follow from shapes alone stay those of one image. Then batches must have the outputs
of single runs of the original. A model that fails either test stays as it is. Needs the package
``onnx``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.engines import providers
from ros2_classify.engines.artifact_cache import (
    cache_of, find_file, find_refusal, keep_file, keep_refusal, key_of)
from ros2_classify.engines.batch_rules import Node, RULES, Unsafe
from ros2_classify.engines.error_messages import tidy
from ros2_classify.engines.onnx_file import OnnxFile
from ros2_classify.engines.safety import place_of
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import EngineError

_LOGGER = logging.getLogger(__name__)

# What the free dimension is called.
BATCH = 'batch'
# Counts in the cache's key: raise it whenever a rule changes.
_VERSION = 1
# The largest difference of a batch from single runs: of the outputs' largest value, or absolute.
_TOLERANCE = 1e-5
# Half-precision numbers have eleven bits.
_TOLERANCE_16 = 1e-3
_ROWS = 3


def needs_batch(model: OnnxFile) -> bool:
    """Tell whether the first dimension of all inputs is 1."""
    return bool(model.inputs) and all(
        len(shape) > 1 and shape[0] == 1 for shape in model.inputs.values())


def with_batch(path: Path, model: OnnxFile, settings: EngineSettings) -> Path:
    """Return a cached model that takes batches; ``path`` itself if that is not possible."""
    if not needs_batch(model):
        return path
    cache = cache_of(settings)
    if cache is None:
        _LOGGER.info('%s takes one image at a time; a batch dimension needs a cache', path.name)
        return path
    places = [place_of(location, path.parent.resolve()) for location in model.external]
    if not all(place.is_file() for place in places):
        return path
    key = key_of(path, 'batch', _VERSION, weights=places)
    kept = find_file(cache, 'batched', key)
    if kept is not None:
        return kept
    reason = find_refusal(cache, 'batched', key)
    if not reason:
        try:
            made = keep_file(
                cache, 'batched', key, lambda part: add_batch_dimension(path, part))
            return made or path
        except NotBatchableError as error:
            reason = str(error)
            keep_refusal(cache, 'batched', key, reason)
        except EngineError as error:
            reason = str(error)
    _LOGGER.info('%s takes one image at a time: %s', path.name, reason)
    return path


class NotBatchableError(EngineError):
    """A model that can't be given a batch dimension, now or later."""


def add_batch_dimension(path: Path, output: Path) -> list[str]:
    """Write a copy of a model with a free first dimension; return the changed operators."""
    try:
        import onnx
    except ImportError as error:
        raise EngineError(
            'to give it a batch dimension, the package onnx is needed (pip install '
            '"ros2_classify[tools]")') from error
    ort = providers.import_onnxruntime()
    try:
        model = onnx.load(str(path))
    except Exception as error:  # noqa: B902 -- protobuf's exceptions share no base class
        raise EngineError(f'the package onnx cannot read it: {error}') from error
    try:
        changed = _rewrite(onnx, ort, model)
    except Unsafe as error:
        raise NotBatchableError(str(error)) from error
    except Exception as error:  # noqa: B902 -- ONNX Runtime's exceptions share no base class
        raise NotBatchableError(f'it cannot be changed: {tidy(error)}') from error
    onnx.save(model, str(output))
    _compare(ort, path, output)
    return changed


def _rewrite(onnx: Any, ort: Any, model: Any) -> list[str]:
    """Change a model in place; return the names of the operators that were changed."""
    graph = model.graph
    if len(model.functions):
        raise Unsafe('it defines operators of its own')
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    feeds = [item for item in graph.input if item.name not in weights]
    # Old files list weights as inputs, which keeps ONNX Runtime from folding them.
    for item in [item for item in graph.input if item.name in weights]:
        graph.input.remove(item)
    model.ir_version = max(model.ir_version, 4)
    values = _all_values(onnx, ort, model, feeds)
    shapes = {name: value.shape for name, value in {**weights, **values}.items()}
    constants: dict[str, NDArray[Any]] = dict(weights)
    folded: list[Any] = []
    changed: list[str] = []

    def add_constant(value: NDArray[Any]) -> str:
        name = f'ros2_classify_batch_{len(graph.initializer)}'
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return name

    for proto in graph.node:
        attributes = {item.name: onnx.helper.get_attribute_value(item)
                      for item in proto.attribute}
        if any(item.HasField('g') or len(item.graphs) for item in proto.attribute):
            raise Unsafe(f'it holds the operator {proto.op_type}, which has a graph of its own')
        if proto.op_type == 'Shape' or all(
                not name or name in constants for name in proto.input):
            if proto.op_type.startswith(('Random', 'Bernoulli', 'Multinomial')):
                raise Unsafe(f'it holds the operator {proto.op_type}, which gives random numbers')
            # Known without an image: constants, and what is computed from shapes.
            constants.update({name: values[name] for name in proto.output if name in values})
            if proto.op_type != 'Constant':
                folded.append(proto)
            continue
        rule = None if proto.domain not in ('', 'ai.onnx') else RULES.get(proto.op_type)
        if rule is None:
            raise Unsafe(f'it holds the operator {proto.op_type}, which is not known to keep '
                         'images separate')
        before = proto.SerializeToString()
        try:
            rule(Node(proto, attributes, shapes, constants, add_constant))
        except Unsafe as error:
            raise Unsafe(f'the operator {proto.op_type} {proto.name!r}: {error}') from None
        if proto.SerializeToString() != before:
            changed.append(proto.op_type)
        for name in proto.output:
            if name and (not shapes[name] or shapes[name][0] != 1):
                raise Unsafe(f'the operator {proto.op_type} {proto.name!r} gives '
                             f'{list(shapes[name])}, which has no batch')
    # Shapes are those of the whole batch now, so what follows from them becomes a constant.
    for proto in folded:
        graph.node.remove(proto)
        for name in proto.output:
            if name:
                graph.initializer.append(onnx.numpy_helper.from_array(values[name], name))
    _drop_unused(graph)
    for item in graph.output:
        if item.name in constants:
            raise Unsafe(f'the output {item.name!r} does not depend on the image')
    del graph.value_info[:]
    for item in [*feeds, *graph.output]:
        dims = item.type.tensor_type.shape.dim
        if not dims and item.name in shapes:
            dims.extend(onnx.TensorShapeProto.Dimension(dim_value=size)
                        for size in shapes[item.name])
        dims[0].dim_param = BATCH
    onnx.checker.check_model(model)
    return changed


def _drop_unused(graph: Any) -> None:
    """Remove nodes whose outputs became constants; ONNX Runtime would warn about each."""
    used = {item.name for item in graph.output}
    for proto in reversed(list(graph.node)):
        if used.isdisjoint(proto.output):
            graph.node.remove(proto)
        else:
            used.update(proto.input)
    for item in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(item)


def _all_values(onnx: Any, ort: Any, model: Any, feeds: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """Return every tensor of the graph, for one image of random numbers."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    there = {item.name for item in probe.graph.output}
    names = [name for node in probe.graph.node for name in node.output if name]
    probe.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in there)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        probe.SerializeToString(), options, providers=['CPUExecutionProvider'])
    fed = _random(session, 1)
    values = session.run(names, fed)
    if not all(isinstance(value, np.ndarray) for value in values):
        raise Unsafe('not all of its values are tensors')
    return {**fed, **dict(zip(names, values))}


def _random(session: Any, rows: int) -> dict[str, NDArray[Any]]:
    """Return arrays for a session's inputs, that differ from row to row."""
    generator = np.random.default_rng(7)
    fed = {}
    for item in session.get_inputs():
        shape = [rows, *item.shape[1:]]
        if not all(isinstance(size, int) and size > 0 for size in shape):
            raise Unsafe(f'the size of its input {item.name!r} is free')
        kind = item.type.removeprefix('tensor(').removesuffix(')')
        if kind in ('float', 'float16', 'double'):
            dtype = {'float': np.float32, 'float16': np.float16, 'double': np.float64}[kind]
            fed[item.name] = generator.random(shape).astype(dtype)
        elif kind in ('uint8', 'int8', 'int32', 'int64'):
            fed[item.name] = generator.integers(0, 128, shape).astype(kind)
        else:
            raise Unsafe(f'its input {item.name!r} is a {item.type}')
    return fed


def _compare(ort: Any, original: Path, batched: Path) -> None:
    """Raise EngineError unless batches have the outputs of single runs of the original."""
    options = ort.SessionOptions()
    options.log_severity_level = 4

    def start(path: Path) -> Any:
        return ort.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])

    session = start(original)
    names = [item.name for item in session.get_outputs()]
    rows = _random(session, _ROWS)
    single = [dict(zip(names, session.run(names, _row(rows, row)))) for row in range(_ROWS)]
    try:
        session = start(batched)
        one = dict(zip(names, session.run(names, _row(rows, 0))))
        many = dict(zip(names, session.run(names, rows)))
    except Exception as error:  # noqa: B902 -- ONNX Runtime's exceptions share no base class
        raise NotBatchableError(f'in a batch it fails: {tidy(error)}') from error
    for name in names:
        _check(name, single[0][name], one[name])
        _check(name, np.concatenate([row[name] for row in single]), many[name])


def _row(rows: Mapping[str, NDArray[Any]], row: int) -> dict[str, NDArray[Any]]:
    return {name: array[row:row + 1] for name, array in rows.items()}


def _check(name: str, want: NDArray[Any], have: NDArray[Any]) -> None:
    same = want.shape == have.shape and want.dtype == have.dtype
    if same and want.size:
        tolerance = _TOLERANCE_16 if want.dtype == np.float16 else _TOLERANCE
        scale = max(1.0, float(np.abs(want.astype(np.float64)).max()))
        same = bool((np.abs(want.astype(np.float64) - have) <= tolerance * scale).all())
    if not same:
        raise NotBatchableError(f'in a batch its output {name!r} differs')
