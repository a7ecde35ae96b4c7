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

"""Run ONNX models with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
import logging
import math
from pathlib import Path
from typing import Any
import weakref

import numpy as np
from ros2_classify.engines import providers
from ros2_classify.engines.base import BoundRun, Tensors, TensorSpec
from ros2_classify.engines.batch_dimension import with_batch
from ros2_classify.engines.error_messages import check_texts, fault, tidy
from ros2_classify.engines.external_data import check_operators, weight_files
from ros2_classify.engines.hardware import check_memory
from ros2_classify.engines.onnx_file import input_quantization, OnnxFile, read_onnx
from ros2_classify.engines.providers import choose_providers, PROVIDERS
from ros2_classify.engines.session import run_options, start_session
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.engines.stateful import AlternatingStates, State, StatefulRun
from ros2_classify.errors import EngineError
from ros2_classify.limits import MAX_INPUT
from ros2_classify.paths import check_allowed

# The shape of an output that is known before the model runs.
Shape = tuple[int, ...]


def known_shape(output: TensorSpec, inputs: Sequence[TensorSpec], given: Tensors) -> Shape | None:
    """Return an output's shape if the inputs decide it, else None."""
    sizes: dict[str, set[int]] = {}
    for spec in inputs:
        for want, have in zip(spec.shape, given[spec.name].shape):
            if isinstance(want, str):
                sizes.setdefault(want, set()).add(have)
    shape = []
    for dim in output.shape:
        if isinstance(dim, str) and len(sizes.get(dim, ())) == 1:
            (dim,) = sizes[dim]
        if not isinstance(dim, int) or dim < 0:
            return None
        shape.append(dim)
    return tuple(shape)


class BoundSession:
    """
    One session on one set of C-contiguous input arrays, read in place; call it to run the model.

    `outputs` are in the graph's order, with their shapes if known; `device` is where the model's
    memory is, such as ``('cuda', 0)``, None if that is the arrays' own. `states` are further
    inputs and outputs by name, in memory of ONNX Runtime.
    """

    def __init__(
        self, session: Any, inputs: Tensors, outputs: Sequence[tuple[TensorSpec, Shape | None]],
        options: Any = None, device: tuple[str, int] | None = None,
        states: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
    ) -> None:
        self._session: Any = session
        self._options = options
        self._binding: Any = session.io_binding()
        # The binding holds pointers only: the arrays must live as long as it does.
        self._inputs = inputs
        self._fixed: dict[str, np.ndarray[Any, Any]] = {}
        self._names = [spec.name for spec, _ in outputs]
        # shapes of outputs are from the file, which may be wrong: runs fail then
        self.assumes = any(shape is not None for _, shape in outputs)
        self._loose = [index for index, (_, shape) in enumerate(outputs) if shape is None]
        self._uploads: list[Callable[[], None]] = []
        self._downloads: list[tuple[str, Any]] = []
        for name, array in inputs.items():
            if device is None:
                self._binding.bind_input(
                    name, 'cpu', 0, array.dtype.type, array.shape, array.ctypes.data)
            else:
                self._upload(name, array, device)
        for spec, shape in outputs:
            if shape is None:
                self._binding.bind_output(spec.name, 'cpu')
            elif device is None:
                fixed = self._fixed[spec.name] = np.empty(shape, spec.dtype)
                self._binding.bind_output(
                    spec.name, 'cpu', 0, fixed.dtype.type, shape, fixed.ctypes.data)
            else:
                self._download(spec, shape, device)
        for name, value in states[0].items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in states[1].items():
            self._binding.bind_ortvalue_output(name, value)
        self._states = states

    def close(self) -> None:
        """Release the session; it can't be called any more."""
        self._session = self._binding = None
        self._uploads.clear()
        self._downloads.clear()

    def __call__(self) -> Tensors:
        """Run the model; the arrays that come back are overwritten by the next call."""
        for upload in self._uploads:
            upload()
        for index in self._loose:
            # Bound again: the last output would count as memory of a fixed size.
            self._binding.bind_output(self._names[index], 'cpu')
        self._session.run_with_iobinding(self._binding, self._options)
        found: Tensors = dict(self._fixed)
        for name, value in self._downloads:
            found[name] = value.numpy()
        if self._loose:
            values = self._binding.get_outputs()
            for index in self._loose:
                found[self._names[index]] = values[index].numpy()
        return {name: found[name] for name in self._names}

    def _upload(self, name: str, array: np.ndarray[Any, Any], device: tuple[str, int]) -> None:
        """Allocate fixed memory on the device, to which the array is copied."""
        value = _ort_value().ortvalue_from_numpy(array, *device)
        self._binding.bind_ortvalue_input(name, value)
        self._uploads.append(lambda: value.update_inplace(array))

    def _download(self, spec: TensorSpec, shape: Shape, device: tuple[str, int]) -> None:
        value = _ort_value().ortvalue_from_shape_and_type(shape, spec.dtype.type, *device)
        self._binding.bind_ortvalue_output(spec.name, value)
        self._downloads.append((spec.name, value))


def _ort_value() -> Any:
    import onnxruntime

    return onnxruntime.OrtValue


_LOGGER = logging.getLogger(__name__)

_NVIDIA = (PROVIDERS['cuda'], PROVIDERS['tensorrt'])

# https://onnxruntime.ai/docs/api/python/api_summary.html: the names get_inputs() gives.
_DTYPES: dict[str, Any] = {
    'tensor(float)': np.float32, 'tensor(float16)': np.float16, 'tensor(double)': np.float64,
    'tensor(uint8)': np.uint8, 'tensor(int8)': np.int8, 'tensor(uint16)': np.uint16,
    'tensor(int16)': np.int16, 'tensor(uint32)': np.uint32, 'tensor(int32)': np.int32,
    'tensor(uint64)': np.uint64, 'tensor(int64)': np.int64, 'tensor(bool)': np.bool_,
    'tensor(string)': np.object_,
}


def _check_input_sizes(path: Path, model: OnnxFile) -> None:
    """Refuse inputs that no image and no memory is large enough for."""
    for name, shape in model.inputs.items():
        if math.prod(dim for dim in shape if isinstance(dim, int)) > MAX_INPUT:
            listed = ', '.join(str(dim or '?') for dim in shape)
            raise EngineError(
                f"{path}: the model takes '{name}' [{listed}], more than the {MAX_INPUT} numbers "
                'that are allowed; export a smaller one')


class OnnxRuntimeEngine:
    """An ONNX model in an ONNX Runtime session; see `ros2_classify.engines.base.Engine`."""

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        ort = providers.import_onnxruntime()
        if found := providers.clashing_distributions():
            # It may still work, with the one installed last: a warning, not an error.
            _LOGGER.warning('%s', providers.clash(found))
        names = choose_providers(settings, ort.get_available_providers())
        model = read_onnx(path)
        for library in settings.custom_operators:
            check_allowed(library, 'library of operators')
        check_operators(path, model)
        _check_input_sizes(path, model)
        # Weights in files of their own are mapped, not read.
        check_memory(str(path), 'the model', path.stat().st_size)
        weights = weight_files(path, model, settings.external_data)
        running = path
        if settings.max_batch > 1:
            running = with_batch(path, model, settings, weights)
            model = model if running == path else read_onnx(running)
        if PROVIDERS['cuda'] in names or PROVIDERS['tensorrt'] in names:
            providers.preload_cuda(ort)
        session = start_session(
            ort, path, model, settings, names, file=running, weights=weights)
        # A fallback in mid-stream would hide a dead GPU behind slow results.
        session.disable_fallback()
        check_texts(path, session)
        self._session: Any = session
        self._bound: weakref.WeakSet[BoundSession] = weakref.WeakSet()
        self._path = path
        self._provider: str = session.get_providers()[0]
        _check_inputs(path, session)
        self._inputs = _quantized(path, _specs(session.get_inputs()))
        # Sequences, maps and text can't be decoded; a classifier may have them beside its scores.
        nodes = session.get_outputs()
        numbers = [node for node in nodes if _DTYPES.get(node.type, np.object_) is not np.object_]
        self._outputs = tuple(replace(spec, quantization=model.quantized.get(spec.name))
                              for spec in _specs(numbers))
        others = ', '.join(f'{node.name!r} {node.type}' for node in nodes if node not in numbers)
        if others and not numbers:
            raise EngineError(
                f'{path}: no output is a tensor of numbers ({others}): export the model with such '
                'outputs, a classifier without ZipMap')
        if others:
            _LOGGER.info(
                '%s: outputs that are no tensors of numbers are ignored: %s', path, others)
        self._output_names = [spec.name for spec in self._outputs]
        self._settings = settings
        self._ort = ort
        self._graphs = 0
        self._run_options = run_options(ort, settings, self._provider)
        self._metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs; initializers that old files list as inputs are not counted."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs, in the order of the graph."""
        return self._outputs

    @property
    def provider(self) -> str:
        """The provider that really runs the model."""
        return self._provider

    @property
    def parallel(self) -> int:
        """How many threads may run it at once: as in the settings, on the CPU."""
        return self._settings.parallel if self._provider == PROVIDERS['cpu'] else 1

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's custom metadata."""
        return self._metadata

    def infer(self, inputs: Tensors) -> Tensors:
        """Run the model once; see :meth:`~ros2_classify.engines.base.Engine.infer`."""
        try:
            values = self._open().run(self._output_names, inputs, self._run_options)
        except EngineError:
            raise
        except Exception as error:  # noqa: B902 -- its exceptions share no base class
            raise self._failed(self._explain(inputs) or tidy(error), error) from error
        return dict(zip(self._output_names, values))

    def bind(self, inputs: Tensors) -> BoundRun:
        """Bind the model to arrays; see `ros2_classify.engines.bind`."""
        self._open()
        problem = self._explain(inputs) or next(
            (f'the array for the input {name!r} is not C-contiguous; give np.ascontiguousarray '
             f'of it' for name, array in inputs.items() if not array.flags.c_contiguous), '')
        if problem:
            raise self._failed(problem)
        try:
            bound = self._bind(inputs, self._inputs)
        except Exception as error:  # noqa: B902 -- its exceptions share no base class
            raise self._failed(tidy(error), error) from error

        def run() -> Tensors:
            nonlocal bound
            self._open()
            try:
                return bound()
            except Exception as error:  # noqa: B902 -- its exceptions share no base class
                failed = self._failed(tidy(error), error)
                if not bound.assumes or type(failed) is not EngineError:
                    raise failed from error
                # Some exporters use one name for several sizes, or declare an example's batch.
                try:
                    careful = self._bind(inputs, None)
                    found = careful()
                except Exception:  # noqa: B902 -- that was not the cause
                    raise failed from error
                _LOGGER.info('%s: the file declares other shapes of outputs (%s) than it has (%s)',
                             self._path, '; '.join(map(str, self._outputs)), ', '.join(
                                 f'{name!r} {list(array.shape)}' for name, array in found.items()))
                bound = careful
                return found

        return run

    def bind_states(self, inputs: Tensors, states: Sequence[State]) -> StatefulRun:
        """Bind the model to arrays and states; see `ros2_classify.engines.stateful`."""
        given = {**inputs, **{state.input: state.initial for state in states}}
        self.bind(given)  # for its checks
        device = ('cuda', self._settings.device_id) if self._provider in _NVIDIA else ('cpu', 0)
        buffers = [[_ort_value().ortvalue_from_numpy(state.initial.copy(), *device)
                    for state in states] for _ in range(2)]
        runs = [self._bind(inputs, self._inputs, (
            {state.input: value for state, value in zip(states, now)},
            {state.output: value for state, value in zip(states, following)}), given)
            for now, following in (buffers, buffers[::-1])]

        def run(turn: int) -> Tensors:
            self._open()
            try:
                return runs[turn]()
            except Exception as error:  # noqa: B902 -- its exceptions share no base class
                raise self._failed(tidy(error), error) from error

        return AlternatingStates(run, states, buffers)

    def _bind(
        self, inputs: Tensors, named: Sequence[TensorSpec] | None,
        states: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
        given: Tensors | None = None,
    ) -> BoundSession:
        """Bind the session; dimensions in ``named`` give sizes of outputs, None assumes none."""
        outputs = [(spec, None if named is None else known_shape(spec, named, given or inputs))
                   for spec in self._outputs if spec.name not in states[1]]
        options, device = self._run_options, None
        if self._provider in _NVIDIA:
            device = ('cuda', self._settings.device_id)
            # A recorded graph holds pointers and sizes, which must be known beforehand.
            if self._settings.cuda_graphs and not states[0] and all(
                    shape for _, shape in outputs):
                self._graphs += 1
                options = run_options(self._ort, self._settings, self._provider, self._graphs)
        bound = BoundSession(self._open(), inputs, outputs, options, device, states)
        self._bound.add(bound)
        return bound

    def _open(self) -> Any:
        if self._session is None:
            raise EngineError(f'{self._path}: the engine is closed')
        return self._session

    def _failed(self, reason: str, error: BaseException | None = None) -> EngineError:
        kind = EngineError if error is None else fault(error)
        return kind(f'{self._path}: the model failed: {reason}')

    def close(self) -> None:
        """Free the session and its memory, even if a binding is still referenced."""
        self._session = None
        for bound in self._bound:
            bound.close()

    def _explain(self, inputs: Tensors) -> str:
        """Return which array doesn't fit which input; empty if all fit."""
        wanted = '; '.join(str(spec) for spec in self._inputs)
        for spec in self._inputs:
            if spec.name not in inputs:
                return (f'the input {spec.name!r} is missing among '
                        f'{", ".join(map(repr, inputs)) or "no arrays"}; it takes {wanted}')
            array = inputs[spec.name]
            fits = array.dtype == spec.dtype and len(array.shape) == len(spec.shape) and all(
                not isinstance(want, int) or want == have
                for want, have in zip(spec.shape, array.shape))
            if not fits:
                return (f'the input {spec.name!r} was given {array.dtype} '
                        f'{list(array.shape)}; it takes {wanted}')
        unknown = [name for name in inputs if name not in {spec.name for spec in self._inputs}]
        return f'it has no input {unknown[0]!r}; it takes {wanted}' if unknown else ''


def _quantized(path: Path, inputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """Add the scales and zero points of inputs of whole numbers."""
    whole = [spec.name for spec in inputs if spec.dtype.kind in 'iu']
    found = input_quantization(path, whole) if whole else {}
    return tuple(replace(spec, quantization=found.get(spec.name)) for spec in inputs)


def _check_inputs(path: Path, session: Any) -> None:
    """Refuse inputs of types that NumPy does not have, such as bfloat16."""
    for node in session.get_inputs():
        if node.type.startswith('tensor(') and node.type not in _DTYPES:
            raise EngineError(
                f'{path}: the model takes {node.name!r} as {node.type[7:-1]}, which ONNX Runtime '
                'does not take from NumPy; export it with float32 or float16 inputs')


def _specs(nodes: list[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            node.name, tuple(node.shape or ()), np.dtype(_DTYPES.get(node.type, np.object_)))
        for node in nodes)
