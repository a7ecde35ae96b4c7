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

Every node that works on the image needs a rule (`RULES`) that it keeps images separate;
values that follow from shapes alone stay those of one image. Then batches must have the outputs
of single runs of the original. A model that fails either test stays as it is. Needs the package
``onnx``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.engines import providers
from ros2_classify.engines.artifact_cache import (
    cache_of, find_file, find_refusal, keep_file, keep_refusal, key_of)
from ros2_classify.engines.error_messages import tidy
from ros2_classify.engines.external_data import give_weights, links_among, load_onnx
from ros2_classify.engines.onnx_file import OnnxFile
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import EngineError

_FAR = 2 ** 31 - 1


class Unsafe(Exception):
    """A node might mix images, or is not known well enough."""


class Node:
    """
    A node, with all that a rule asks for; rules may change `proto`.

    `shapes` has every tensor of the graph, with one image; `constants` those that don't depend on
    the image; `add_constant` adds a tensor to the graph and returns its name.
    """

    def __init__(
        self, proto: Any, attributes: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]],
        constants: Mapping[str, NDArray[Any]], add_constant: Callable[[NDArray[Any]], str],
    ) -> None:
        self.proto = proto
        self.attributes = attributes
        self._shapes = shapes
        self._constants = constants
        self._add_constant = add_constant

    @property
    def inputs(self) -> list[str]:
        """The names of its inputs; '' for an omitted one."""
        return list(self.proto.input)

    def batched(self, index: int) -> bool:
        """Tell whether an input depends on the image."""
        name = self.inputs[index] if index < len(self.inputs) else ''
        return bool(name) and name not in self._constants

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """Return an input's shape."""
        return self._shapes[self.inputs[index]]

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """Return an output's shape."""
        return self._shapes[self.proto.output[index]]

    def constant(self, index: int) -> NDArray[Any] | None:
        """Return an input that doesn't depend on the image; None if it is omitted."""
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        if self.batched(index):
            raise Unsafe(f'its input {index} depends on the image')
        return self._constants[self.inputs[index]]

    def numbers(self, attribute: str, index: int | None = None) -> list[int] | None:
        """Return a list of numbers that is an attribute or, in newer versions, an input."""
        if attribute in self.attributes:
            value = self.attributes[attribute]
            return list(value) if isinstance(value, (list, tuple)) else [value]
        found = None if index is None else self.constant(index)
        return None if found is None else np.atleast_1d(found).tolist()

    def set_input(self, index: int, value: NDArray[Any] | None) -> None:
        """Feed an input with a constant, or omit it."""
        while len(self.proto.input) <= index:
            self.proto.input.append('')
        self.proto.input[index] = '' if value is None else self._add_constant(value)


def _only_first(node: Node) -> None:
    """Accept what works on each row of its first input, with constants beside it."""
    for index in range(1, len(node.inputs)):
        node.constant(index)


def _elementwise(node: Node) -> None:
    ranks = {len(node.shape(index)) for index in range(len(node.inputs)) if node.batched(index)}
    if len(ranks) != 1:
        raise Unsafe('its inputs have different ranks')
    (rank,) = ranks
    for index, name in enumerate(node.inputs):
        if not name or node.batched(index):
            continue
        shape = node.shape(index)
        if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
            raise Unsafe('a constant has more than one row')


def _axis(node: Node, default: int | None, rank: int | None = None) -> None:
    axis = node.attributes.get('axis', default)
    rank = len(node.shape()) if rank is None else rank
    if axis is None or axis % rank == 0:
        raise Unsafe('it works along the batch')
    _only_first(node)


def _softmax(node: Node) -> None:
    # Until opset 12 it flattens to a matrix at the axis, from 13 on it works along it.
    _axis(node, 1 if len(node.shape()) > 1 else 0)


def _concat(node: Node) -> None:
    if not all(node.batched(index) for index in range(len(node.inputs))):
        raise Unsafe('it appends a constant to each row')
    if node.attributes['axis'] % len(node.shape()) == 0:
        raise Unsafe('it works along the batch')


def _axes(node: Node) -> None:
    """Accept reductions that name their axes and spare the first."""
    axes = node.numbers('axes', 1)
    if not axes or any(axis % len(node.shape()) == 0 for axis in axes):
        raise Unsafe('it works along the batch')


def _squeeze(node: Node) -> None:
    axes = node.numbers('axes', 1)
    if axes is None:
        raise Unsafe('it takes all axes of size 1 away')
    if any(axis % len(node.shape()) == 0 for axis in axes):
        raise Unsafe('it takes the batch away')


def _unsqueeze(node: Node) -> None:
    axes = node.numbers('axes', 1) or []
    if any(axis % len(node.output_shape()) == 0 for axis in axes):
        raise Unsafe('it puts an axis before the batch')


def _reshape(node: Node) -> None:
    node.constant(1)
    shape = node.output_shape()
    if not shape or shape[0] != 1 or 0 in shape:
        raise Unsafe(f'its result {list(shape)} has no batch')
    if 'shape' in node.attributes:
        raise Unsafe('it is of an old form')
    # 0 takes the batch as it comes; all else is as it was for one image.
    node.set_input(1, np.array([0, *shape[1:]], np.int64))
    for index, attribute in enumerate(node.proto.attribute):
        if attribute.name == 'allowzero':
            del node.proto.attribute[index]
            break


def _flatten(node: Node) -> None:
    if node.attributes.get('axis', 1) % max(1, len(node.shape())) != 1:
        raise Unsafe('it joins the batch with other axes')


def _transpose(node: Node) -> None:
    perm = node.attributes.get('perm')
    if not perm or perm[0] != 0:
        raise Unsafe('it moves the batch')


def _slice(node: Node) -> None:
    starts = node.numbers('starts', 1) or []
    ends = node.numbers('ends', 2) or []
    axes = node.numbers('axes', 3)
    steps = node.numbers('steps', 4)
    rank = len(node.shape())
    for place, axis in enumerate(range(len(starts)) if axes is None else axes):
        whole = (starts[place] == 0 and ends[place] >= _FAR
                 and (steps is None or steps[place] == 1))
        if axis % rank == 0 and not whole:
            raise Unsafe('it takes rows of the batch')


def _pad(node: Node) -> None:
    pads = node.numbers('pads', 1) or []
    node.constant(2)
    if len(node.inputs) > 3 and node.inputs[3]:
        raise Unsafe('it names its axes')
    rank = len(node.shape())
    if len(pads) != 2 * rank or pads[0] or pads[rank]:
        raise Unsafe('it adds rows to the batch')


def _resize(node: Node) -> None:
    if 'axes' in node.attributes or node.attributes.get(
            'keep_aspect_ratio_policy', b'stretch') != b'stretch':
        raise Unsafe('it is of a form that is not looked into')
    old = len(node.inputs) == 2
    if node.attributes.get('coordinate_transformation_mode') == b'tf_crop_and_resize':
        raise Unsafe('it crops')
    scales = node.constant(1 if old else 2)
    if scales is not None and scales.size:
        if scales[0] != 1:
            raise Unsafe('it resizes the batch')
        return
    sizes = node.constant(3)
    before, after = node.shape(), node.output_shape()
    if sizes is None or before[0] != after[0]:
        raise Unsafe('it resizes the batch')
    # Sizes would fix the batch; the same as factors doesn't.
    factors = np.array([new / size for new, size in zip(after, before)], np.float32)
    if any(int(np.floor(np.float32(size) * factor)) != new
           for new, size, factor in zip(after, before, factors)):
        raise Unsafe('its sizes cannot be written as factors')
    node.set_input(2, factors)
    del node.proto.input[3:]


def _upsample(node: Node) -> None:
    scales = node.numbers('scales', 1) or [0]
    if scales[0] != 1:
        raise Unsafe('it resizes the batch')


def _expand(node: Node) -> None:
    shape = node.constant(1)
    if shape is None or len(shape) > len(node.shape()) or (
            len(shape) == len(node.shape()) and shape[0] != 1):
        raise Unsafe('it repeats the batch')


def _tile(node: Node) -> None:
    repeats = node.constant(1)
    if repeats is None or repeats[0] != 1:
        raise Unsafe('it repeats the batch')


def _matmul(node: Node) -> None:
    rank = [len(node.shape(0)), len(node.shape(1))]
    if node.batched(0) and node.batched(1):
        if rank[0] != rank[1] or rank[0] < 3:
            raise Unsafe('it multiplies images with each other')
    elif node.batched(0):
        if rank[1] > max(2, rank[0] - 1) and node.shape(1)[0] != 1 or rank[1] > rank[0]:
            raise Unsafe('a constant has more than one row')
        if rank[0] < 2:
            raise Unsafe('it sums over the batch')
    elif rank[1] < 3 or rank[0] > rank[1] or (rank[0] == rank[1] and node.shape(0)[0] != 1):
        raise Unsafe('it sums over the batch')


def _gemm(node: Node) -> None:
    node.constant(1)
    bias = node.constant(2)
    if node.attributes.get('transA', 0) or (
            bias is not None and bias.ndim == 2 and bias.shape[0] != 1):
        raise Unsafe('it works along the batch')


def _gather(node: Node) -> None:
    node.constant(1)
    if node.attributes.get('axis', 0) % len(node.shape()) == 0:
        raise Unsafe('it takes rows of the batch')


def _quantize(node: Node) -> None:
    scale = node.constant(1)
    node.constant(2)
    if scale is None or (scale.size > 1 and (
            node.attributes.get('axis', 1) % len(node.shape()) == 0 or scale.ndim > 1)):
        raise Unsafe('its scale differs from row to row')


def _batch_normalization(node: Node) -> None:
    _only_first(node)
    if node.attributes.get('training_mode', 0) or len(node.proto.output) > 1:
        raise Unsafe('it learns from the batch')


def _table() -> dict[str, Callable[[Node], None]]:
    rows: list[tuple[Callable[[Node], None], str]] = [
        (_only_first, """
            Abs AveragePool Cast Ceil Celu Clip Conv ConvInteger ConvTranspose Cos DepthToSpace
            Dropout Elu Erf Exp Floor Gelu GlobalAveragePool GlobalMaxPool GroupNormalization
            HardSigmoid HardSwish Identity InstanceNormalization LRN LeakyRelu Log LpPool MaxPool
            Mish Neg Not QLinearConv Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign
            SpaceToDepth Sqrt Swish Tanh ThresholdedRelu"""),
        (_elementwise, """
            Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu
            Pow Sub Sum Where Xor"""),
        (_axes, """
            ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
            ReduceProd ReduceSum ReduceSumSquare"""),
        (_softmax, 'Softmax LogSoftmax Hardmax'),
        (lambda node: _axis(node, -1), 'LayerNormalization TopK'),
        (lambda node: _axis(node, 0), 'ArgMax ArgMin Split'),
        (_quantize, 'QuantizeLinear DequantizeLinear'),
        (_upsample, 'Upsample'), (_batch_normalization, 'BatchNormalization'),
        (_concat, 'Concat'), (_squeeze, 'Squeeze'), (_unsqueeze, 'Unsqueeze'),
        (_reshape, 'Reshape'), (_flatten, 'Flatten'), (_transpose, 'Transpose'),
        (_slice, 'Slice'), (_pad, 'Pad'), (_resize, 'Resize'), (_expand, 'Expand'),
        (_tile, 'Tile'), (_matmul, 'MatMul'), (_gemm, 'Gemm'), (_gather, 'Gather'),
    ]
    return {name: rule for rule, names in rows for name in names.split()}


# One rule for each operator of ONNX's own domain.
RULES: dict[str, Callable[[Node], None]] = _table()


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


def with_batch(
    path: Path, model: OnnxFile, settings: EngineSettings, weights: dict[str, Path],
) -> Path:
    """Return a cached model that takes batches; ``path`` itself if that is not possible."""
    if not needs_batch(model):
        return path
    cache = cache_of(settings)
    if cache is None:
        _LOGGER.info('%s takes one image at a time; a batch dimension needs a cache', path.name)
        return path
    if not all(place.is_file() for place in weights.values()):
        return path
    key = key_of(path, 'batch', _VERSION, weights=weights.values())
    kept = find_file(cache, 'batched', key)
    if kept is not None:
        return kept
    reason = find_refusal(cache, 'batched', key)
    if not reason:
        try:
            made = keep_file(
                cache, 'batched', key, lambda part: add_batch_dimension(path, part, weights))
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


def add_batch_dimension(
    path: Path, output: Path, weights: dict[str, Path] | None = None,
) -> list[str]:
    """Write a copy of a model with a free first dimension; return the changed operators."""
    try:
        import onnx
    except ImportError as error:
        raise EngineError(
            'to give it a batch dimension, the package onnx is needed: pip install onnx'
        ) from error
    ort = providers.import_onnxruntime()
    try:
        model = load_onnx(onnx, path, weights or {})
    except Exception as error:  # noqa: B902 -- protobuf's exceptions share no base class
        raise EngineError(f'the package onnx cannot read it: {error}') from error
    try:
        changed = _rewrite(onnx, ort, model)
    except Unsafe as error:
        raise NotBatchableError(str(error)) from error
    except Exception as error:  # noqa: B902 -- ONNX Runtime's exceptions share no base class
        raise NotBatchableError(f'it cannot be changed: {tidy(error)}') from error
    onnx.save(model, str(output))
    _compare(ort, path, output, weights or {})
    return changed


def _rewrite(onnx: Any, ort: Any, model: Any) -> list[str]:
    """Change a model in place; return the names of the operators that were changed."""
    if len(model.functions):
        raise Unsafe('it defines operators of its own')
    rewriter = _Rewriter(onnx, ort, model)
    for proto in model.graph.node:
        rewriter.visit(proto)
    rewriter.fold()
    _drop_unused(model.graph)
    rewriter.free_batch()
    onnx.checker.check_model(model)
    return rewriter.changed


class _Rewriter:
    """Gives the nodes of a graph a batch, one after the other."""

    def __init__(self, onnx: Any, ort: Any, model: Any) -> None:
        self._onnx, self._graph = onnx, model.graph
        weights = {item.name: onnx.numpy_helper.to_array(item)
                   for item in model.graph.initializer}
        self._feeds = [item for item in model.graph.input if item.name not in weights]
        # Old files list weights as inputs, which keeps ONNX Runtime from folding them.
        for item in [item for item in model.graph.input if item.name in weights]:
            model.graph.input.remove(item)
        model.ir_version = max(model.ir_version, 4)
        self._values = _all_values(onnx, ort, model, self._feeds)
        self._shapes = {name: value.shape for name, value in {**weights, **self._values}.items()}
        self._constants: dict[str, NDArray[Any]] = weights
        self._folded: list[Any] = []
        self.changed: list[str] = []

    def visit(self, proto: Any) -> None:
        """Apply the rule of the node's operator, or note that it depends on no image."""
        if any(item.HasField('g') or len(item.graphs) for item in proto.attribute):
            raise Unsafe(f'it holds the operator {proto.op_type}, which has a graph of its own')
        if proto.op_type == 'Shape' or all(
                not name or name in self._constants for name in proto.input):
            self._note_constant(proto)
            return
        rule = None if proto.domain not in ('', 'ai.onnx') else RULES.get(proto.op_type)
        if rule is None:
            raise Unsafe(f'it holds the operator {proto.op_type}, which is not known to keep '
                         'images separate')
        attributes = {item.name: self._onnx.helper.get_attribute_value(item)
                      for item in proto.attribute}
        before = proto.SerializeToString()
        try:
            rule(Node(proto, attributes, self._shapes, self._constants, self._add_constant))
        except Unsafe as error:
            raise Unsafe(f'the operator {proto.op_type} {proto.name!r}: {error}') from None
        if proto.SerializeToString() != before:
            self.changed.append(proto.op_type)
        for name in proto.output:
            if name and self._shapes[name][:1] != (1,):
                raise Unsafe(f'the operator {proto.op_type} {proto.name!r} gives '
                             f'{list(self._shapes[name])}, which has no batch')

    def _note_constant(self, proto: Any) -> None:
        """Note what is known without an image: constants, and what is computed from shapes."""
        if proto.op_type.startswith(('Random', 'Bernoulli', 'Multinomial')):
            raise Unsafe(f'it holds the operator {proto.op_type}, which gives random numbers')
        self._constants.update(
            {name: self._values[name] for name in proto.output if name in self._values})
        if proto.op_type != 'Constant':
            self._folded.append(proto)

    def _add_constant(self, value: NDArray[Any]) -> str:
        name = f'ros2_classify_batch_{len(self._graph.initializer)}'
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def fold(self) -> None:
        """Replace by constants what follows from shapes: they are those of a whole batch now."""
        for proto in self._folded:
            self._graph.node.remove(proto)
            self._graph.initializer.extend(
                self._onnx.numpy_helper.from_array(self._values[name], name)
                for name in proto.output if name)

    def free_batch(self) -> None:
        """Declare the first dimension of all inputs and outputs as free."""
        for item in self._graph.output:
            if item.name in self._constants:
                raise Unsafe(f'the output {item.name!r} does not depend on the image')
        del self._graph.value_info[:]
        for item in [*self._feeds, *self._graph.output]:
            dims = item.type.tensor_type.shape.dim
            if not dims and item.name in self._shapes:
                dims.extend(self._onnx.TensorShapeProto.Dimension(dim_value=size)
                            for size in self._shapes[item.name])
            dims[0].dim_param = BATCH


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


def _compare(ort: Any, original: Path, batched: Path, weights: dict[str, Path]) -> None:
    """Raise EngineError unless batches have the outputs of single runs of the original."""
    def start(path: Path, weights: dict[str, Path]) -> Any:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        # The arrays must live until the session exists.
        contents = []
        if links_among(path, weights):
            contents.extend(give_weights(path, options, weights))
        return ort.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])

    session = start(original, weights)
    names = [item.name for item in session.get_outputs()]
    rows = _random(session, _ROWS)
    single = [dict(zip(names, session.run(names, _row(rows, row)))) for row in range(_ROWS)]
    try:
        session = start(batched, {})
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
