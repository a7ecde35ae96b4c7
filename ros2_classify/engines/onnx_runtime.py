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

from collections.abc import Mapping
import contextlib
from importlib import metadata as importlib_metadata
import io
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from ros2_classify.engines.base import Tensors, TensorSpec
from ros2_classify.engines.onnx_causes import check_file, check_texts, tidy
from ros2_classify.errors import EngineError

_LOGGER = logging.getLogger(__name__)

# Short names a person types, and what ONNX Runtime calls them. `auto` tries AUTO in order.
PROVIDERS = {
    'cpu': 'CPUExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'tensorrt': 'TensorrtExecutionProvider',
    'openvino': 'OpenVINOExecutionProvider',
    'migraphx': 'MIGraphXExecutionProvider',
    'coreml': 'CoreMLExecutionProvider',
    'directml': 'DmlExecutionProvider',
}
# TensorRT is left out: building its engine takes minutes, so somebody has to ask for it.
AUTO = ('cuda', 'cpu')

_FIXES = {
    'cuda': 'it needs an NVIDIA driver and onnxruntime-gpu in place of onnxruntime (pip install '
            '"ros2_classify[gpu]", or rosdep install with ROS2_CLASSIFY_GPU=1)',
    'tensorrt': 'it needs an NVIDIA driver, onnxruntime-gpu in place of onnxruntime (pip install '
                '"ros2_classify[gpu]", or rosdep install with ROS2_CLASSIFY_GPU=1) and TensorRT '
                '(pip install tensorrt)',
    'openvino': 'pip install onnxruntime-openvino in place of onnxruntime',
}

# All of them install the same module (https://onnxruntime.ai/docs/install): only one may be there.
_DISTRIBUTIONS = (
    'onnxruntime', 'onnxruntime-gpu', 'onnxruntime-openvino', 'onnxruntime-directml',
    'onnxruntime-migraphx', 'onnxruntime-rocm', 'onnxruntime-training', 'onnxruntime-qnn',
)

# https://onnxruntime.ai/docs/api/python/api_summary.html: the names get_inputs() gives.
_DTYPES: dict[str, Any] = {
    'tensor(float)': np.float32, 'tensor(float16)': np.float16, 'tensor(double)': np.float64,
    'tensor(uint8)': np.uint8, 'tensor(int8)': np.int8, 'tensor(uint16)': np.uint16,
    'tensor(int16)': np.int16, 'tensor(uint32)': np.uint32, 'tensor(int32)': np.int32,
    'tensor(uint64)': np.uint64, 'tensor(int64)': np.int64, 'tensor(bool)': np.bool_,
    'tensor(string)': np.object_,
}


class OnnxRuntimeEngine:
    """
    An ONNX model in an ONNX Runtime session; see :class:`~ros2_classify.engines.base.Engine`.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file; external weights lie beside it.
    provider : str
        ``auto`` or one of ``PROVIDERS``, or an ONNX Runtime name such as
        ``CUDAExecutionProvider``.
    threads : int
        Threads for one inference; 0 takes one for each physical core, at most 4: small networks
        gain little from more, and the rest of the robot needs cores too.

    Raises
    ------
    EngineError
        If ONNX Runtime is missing, the file can't be loaded, or the provider can't be had.

    """

    def __init__(self, path: Path, *, provider: str = 'auto', threads: int = 0) -> None:
        ort = _import_onnxruntime()
        found = installed_distributions()
        if len(found) > 1:
            # It may work all the same, with the one installed last; so a warning, no error.
            _LOGGER.warning('%s', _clash(found))
        check_file(path)
        names = _choose_providers(provider, ort.get_available_providers())
        if PROVIDERS['cuda'] in names or PROVIDERS['tensorrt'] in names:
            _preload_cuda(ort)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads or default_threads()
        # Nodes run one after the other; more would compete for the same cores.
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Spinning threads burn a core between frames and starve the rest of the process.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        # 4 = fatal: the rest comes back as exceptions, and its warnings are for exporters.
        options.log_severity_level = 4
        session = _start(ort, path, options, names, provider)
        # Falling back in mid-stream would hide a dead GPU behind a slow answer.
        session.disable_fallback()
        check_texts(path, session)
        self._session: Any = session
        self._path = path
        self._provider: str = session.get_providers()[0]
        self._inputs = _specs(session.get_inputs())
        # Sequences and maps can't be decoded; a classifier may give one beside its scores.
        nodes = session.get_outputs()
        self._outputs = _specs([node for node in nodes if node.type.startswith('tensor(')])
        if nodes and not self._outputs:
            kinds = ', '.join(f'{node.name!r} {node.type}' for node in nodes)
            raise EngineError(
                f'{path}: no output is a tensor ({kinds}): export the model with tensors as '
                'outputs')
        self._output_names = [spec.name for spec in self._outputs]
        self._metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What must be fed; weights that old files list as inputs are not counted."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What comes out, in the graph's order."""
        return self._outputs

    @property
    def provider(self) -> str:
        """The provider that really runs the network."""
        return self._provider

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's custom metadata."""
        return self._metadata

    def infer(self, inputs: Tensors) -> Tensors:
        """Run the network once; see :meth:`~ros2_classify.engines.base.Engine.infer`."""
        if self._session is None:
            raise EngineError(f'{self._path}: the engine is closed')
        try:
            values = self._session.run(self._output_names, inputs)
        except Exception as error:  # noqa: B902 -- its exceptions share no base class
            raise EngineError(
                f'{self._path}: the network failed: {self._explain(inputs) or tidy(error)}'
            ) from error
        return dict(zip(self._output_names, values))

    def close(self) -> None:
        """Free the session and its memory."""
        self._session = None

    def _explain(self, inputs: Tensors) -> str:
        """Say which array doesn't fit which input; empty where all of them fit."""
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


def _start(ort: Any, path: Path, options: Any, names: list[str], provider: str) -> Any:
    """Return a session on the first provider; only 'auto' may end up with another one."""
    cpu = PROVIDERS['cpu']
    try:
        # Without its own fallback, which prints to the terminal and goes on.
        session = ort.InferenceSession(
            str(path), sess_options=options, providers=names, enable_fallback=0)
    except Exception as error:  # noqa: B902 -- its exceptions share no base class
        if names[0] != cpu and provider == 'auto':
            _LOGGER.warning('%s failed (%s) and is left out', names[0], tidy(error))
            return _start(ort, path, options, [cpu], provider)
        raise EngineError(
            f'{path}: ONNX Runtime {ort.__version__} cannot load it: {tidy(error)}') from error
    got = session.get_providers()[0]
    if got != names[0] and provider == 'auto':
        _LOGGER.warning(
            '%s could not be started and %s runs instead; %s', names[0], got,
            _how_to_get(names[0]))
    elif got != names[0]:
        raise EngineError(
            f'the provider {provider!r} ({names[0]}) could not be started and {got} would run '
            f'instead; {_how_to_get(provider)}; or choose provider auto or cpu')
    return session


def default_threads() -> int:
    """Return the number of threads used when nobody says: physical cores, at most 4."""
    try:
        usable = os.sched_getaffinity(0)
    except AttributeError:  # not on Linux
        return max(1, min(4, (os.cpu_count() or 2) // 2))
    cores = set()
    for cpu in usable:
        siblings = Path(f'/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list')
        try:
            cores.add(siblings.read_text(encoding='ascii').strip())
        except OSError:  # a container may hide it; then each CPU counts as a core
            cores.add(str(cpu))
    return max(1, min(4, len(cores)))


def installed_distributions() -> tuple[str, ...]:
    """Return the installed packages that provide the module ``onnxruntime``."""
    found = []
    for name in _DISTRIBUTIONS:
        try:
            importlib_metadata.distribution(name)
        except importlib_metadata.PackageNotFoundError:
            continue
        found.append(name)
    return tuple(found)


def _import_onnxruntime() -> Any:
    """Import ONNX Runtime, or say in one sentence why it can't be."""
    try:
        import onnxruntime as ort
        ort.InferenceSession, ort.get_available_providers  # noqa: B018 -- gone after a bad removal
    except (ImportError, AttributeError) as error:
        found = installed_distributions()
        if len(found) > 1:
            raise EngineError(_clash(found)) from error
        if not found:
            raise EngineError(
                'ONNX Runtime is not installed: pip install "ros2_classify[cpu]", or '
                '"ros2_classify[gpu]" on a machine with an NVIDIA GPU') from error
        raise EngineError(
            f'{found[0]} is installed but cannot be imported ({error}): '
            f'pip install --force-reinstall {found[0]}') from error
    return ort


def _preload_cuda(ort: Any) -> None:
    """Load CUDA's libraries from pip's packages, where the system's linker doesn't look."""
    preload = getattr(ort, 'preload_dlls', None)  # since 1.21
    if preload is None:
        return
    # It prints what it misses; if that matters, the session says so as well.
    words = io.StringIO()
    with contextlib.redirect_stdout(words):
        preload()
    if words.getvalue():
        _LOGGER.debug('%s', words.getvalue().strip())


def _clash(found: tuple[str, ...]) -> str:
    return (f'{" and ".join(found)} are installed together and overwrite each other: '
            f'pip uninstall {" ".join(found)}, then install the one that fits this machine')


def _choose_providers(provider: str, available: list[str]) -> list[str]:
    """Return ONNX Runtime's names in order of preference; CPU last, for what others lack."""
    if provider == 'auto':
        return [PROVIDERS[name] for name in AUTO if PROVIDERS[name] in available]
    wanted = PROVIDERS.get(provider.lower(), provider)
    if wanted not in PROVIDERS.values() and wanted not in available:
        raise EngineError(
            f'the provider {provider!r} is unknown; choose auto, {", ".join(PROVIDERS)}')
    if wanted not in available:
        short = [name for name, full in PROVIDERS.items() if full in available]
        raise EngineError(
            f'the provider {provider!r} is not in the installed ONNX Runtime, which has '
            f'{", ".join(short)}; {_how_to_get(provider)}; or choose provider auto')
    return list(dict.fromkeys([wanted, PROVIDERS['cpu']]))


def _how_to_get(provider: str) -> str:
    """Return the next step towards a provider, the clash of two packages first."""
    found = installed_distributions()
    if len(found) > 1:
        return _clash(found)
    short = next((k for k, v in PROVIDERS.items() if provider.lower() in (k, v.lower())), '')
    return _FIXES.get(short, 'install an ONNX Runtime package that has it')


def _specs(nodes: list[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            node.name, tuple(node.shape or ()), np.dtype(_DTYPES.get(node.type, np.object_)))
        for node in nodes)
