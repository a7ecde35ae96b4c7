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

"""Start an ONNX Runtime session: options, provider, and files cached by earlier starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import logging
from pathlib import Path
import threading
from types import MappingProxyType
from typing import Any

import numpy as np

from ros2_classify.download.cache import Cache
from ros2_classify.engines import hardware
from ros2_classify.engines.artifact_cache import (
    cache_of, find_file, keep_file, kept_directory, key_of)
from ros2_classify.engines.error_messages import fault, tidy
from ros2_classify.engines.external_data import give_weights, links_among
from ros2_classify.engines.onnx_file import constant_initializers, OnnxFile
from ros2_classify.engines.providers import how_to_get, provider_options, PROVIDERS
from ros2_classify.engines.settings import EngineSettings, Spinning
from ros2_classify.errors import EngineError
from ros2_classify.progress import heartbeat

_LOGGER = logging.getLogger(__name__)
_CPU = PROVIDERS['cpu']
_TENSORRT = PROVIDERS['tensorrt']
_OPENVINO = PROVIDERS['openvino']

# ONNX Runtime needs 0.9 s to optimize a model of 5400 nodes, and 0.03 s for 370 nodes; below this
# number the cached model saves nothing that one would notice.
MANY_NODES = 1000
_MIB = 1 << 20
_LEVELS = {'all': 'ORT_ENABLE_ALL', 'extended': 'ORT_ENABLE_EXTENDED',
           'basic': 'ORT_ENABLE_BASIC', 'none': 'ORT_DISABLE_ALL'}

# ONNX Runtime's limited CPU arena is one for the whole process.
_arena_lock = threading.Lock()
_arena: tuple[int, str] | None = None


def start_session(
    ort: Any, path: Path, model: OnnxFile, settings: EngineSettings, names: Sequence[str],
    *, file: Path | None = None, weights: Mapping[str, Path] = MappingProxyType({}),
) -> Any:
    """Start a session on the first provider; on another one only if the settings allow it."""
    lenient = settings.provider == 'auto' or not settings.require_provider
    if names[0] not in ort.get_available_providers():
        _LOGGER.warning('the installed ONNX Runtime has no %s and the CPU runs the model '
                        'instead; %s', names[0], how_to_get(names[0]))
        names = [_CPU]
    try:
        session = _start(ort, path, file or path, model, settings, names, weights)
    except EngineError:
        raise
    except Exception as error:  # noqa: B902 -- its exceptions share no base class
        if names[0] != _CPU and lenient:
            _LOGGER.warning('%s failed (%s) and is skipped', names[0], tidy(error))
            return start_session(ort, path, model, settings, [_CPU], file=file, weights=weights)
        raise fault(error)(
            f'{path}: ONNX Runtime {ort.__version__} cannot load it: {tidy(error)}') from error
    got = session.get_providers()[0]
    if got != names[0] and lenient:
        _LOGGER.warning('%s could not be started and %s runs instead; %s', names[0], got,
                        how_to_get(names[0]))
    elif got != names[0]:
        raise EngineError(
            f'the provider {settings.provider!r} ({names[0]}) could not be started and {got} '
            f'would run instead; {how_to_get(settings.provider)}; or choose provider auto or cpu, '
            'or set require_provider to false')
    return session


def _start(
    ort: Any, path: Path, file: Path, model: OnnxFile, settings: EngineSettings,
    names: Sequence[str], weights: Mapping[str, Path],
) -> Any:
    source: str | bytes = str(file)
    if model.initializers_as_inputs and not model.external:
        source = constant_initializers(file)
    options = session_options(ort, settings, on_cpu=names[0] == _CPU)
    # The arrays must live until the session exists.
    contents: list[np.memmap[Any, Any]] = []
    if model.external and links_among(path, weights):
        contents.extend(give_weights(path, options, weights))
    places = [weights[location] for location in model.external]
    # Where one is missing, ONNX Runtime says so.
    cache = cache_of(settings) if all(place.is_file() for place in places) else None
    if names[0] == _TENSORRT:
        key = '' if cache is None else key_of(
            file, ort.__version__, hardware.tensorrt_version(), hardware.gpu_name(
                settings.device_id), settings.precision, settings.max_batch, settings.memory_limit,
            weights=places)
        what = f'building the TensorRT engine of {path.name} (once for this GPU; takes minutes)'
        _LOGGER.info('starting TensorRT for %s; the first time it builds an engine', path.name)
        with kept_directory(cache, 'tensorrt', key, path.name) as directory, heartbeat(what):
            return _session(
                ort, source, options, names, settings, directory, _profile(model, settings))
    if names[0] == _OPENVINO:
        key = '' if cache is None else key_of(
            file, ort.__version__, hardware.cpu_features(), settings.provider, settings.precision,
            weights=places)
        with kept_directory(cache, 'openvino', key, path.name) as directory, \
                heartbeat(f'compiling {path.name} for OpenVINO'):
            return _session(ort, source, options, names, settings, directory)
    # With weights inside, an optimized model may exceed the size limit of ONNX files.
    if (names[0] == _CPU and cache is not None and model.nodes >= MANY_NODES
            and not places and not settings.custom_operators):
        return _optimized(ort, path.name, file, source, options, settings, cache)
    with heartbeat(f'loading {path.name} on {names[0]}'):
        return _session(ort, source, options, names, settings)


def _session(
    ort: Any, source: str | bytes, options: Any, names: Sequence[str], settings: EngineSettings,
    directory: Path | None = None,
    profile: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]] = (),
) -> Any:
    chosen = [provider_options(name, settings, directory if name == names[0] else None,
                               profile if name == _TENSORRT else ()) for name in names]
    # Without ONNX Runtime's own fallback, which prints to the terminal.
    return ort.InferenceSession(
        source, sess_options=options, providers=list(names), provider_options=chosen,
        enable_fallback=0)


def _optimized(
    ort: Any, name: str, file: Path, source: str | bytes, options: Any, settings: EngineSettings,
    cache: Cache,
) -> Any:
    """Start from the cached optimized model for this CPU and version."""
    key = key_of(file, ort.__version__, hardware.cpu_features(), options.graph_optimization_level)
    kept = find_file(cache, 'optimized', key)
    if kept is not None:
        ready = session_options(ort, settings, on_cpu=True)
        ready.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return _session(ort, str(kept), ready, [_CPU], settings)
    found: list[Any] = []

    def make(part: Path) -> None:
        options.optimized_model_filepath = str(part)
        found.append(_session(ort, source, options, [_CPU], settings))

    with heartbeat(f'optimizing {name}'):
        problem = ''
        try:
            keep_file(cache, 'optimized', key, make)
        except Exception as error:  # noqa: B902 -- its exceptions share no base class
            problem = tidy(error)
        if not found:
            options.optimized_model_filepath = ''
            found.append(_session(ort, source, options, [_CPU], settings))
            if problem:
                # The model is fine, then; a full disk is the usual cause.
                _LOGGER.warning('the optimized form of %s is not cached: %s', name, problem)
    return found[0]


def _profile(
    model: OnnxFile, settings: EngineSettings,
) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Return the smallest and largest shape of each input, if only the batch is free."""
    rows = []
    for name, shape in model.inputs.items():
        rest = tuple(dim for dim in shape[1:] if isinstance(dim, int))
        if not shape or len(rest) != len(shape) - 1:
            return []
        first = shape[0]
        if isinstance(first, int):
            rows.append((name, (first, *rest), (first, *rest)))
        else:
            rows.append((name, (1, *rest), (settings.max_batch, *rest)))
    return rows if any(not isinstance(shape[0], int) for shape in model.inputs.values()) else []


def session_options(ort: Any, settings: EngineSettings, *, on_cpu: bool) -> Any:
    """Return the options of a session."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(
        ort.GraphOptimizationLevel, _LEVELS[settings.graph_optimization])
    threads = settings.threads or hardware.default_threads(settings.parallel)
    options.intra_op_num_threads = threads
    # Nodes run one after the other; more would compete for the same cores.
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    spinning = _spinning(settings, threads)
    options.add_session_config_entry(
        'session.intra_op.allow_spinning', str(int(spinning != 'never')))
    options.add_session_config_entry(
        'session.force_spinning_stop', str(int(spinning == 'inference')))
    # 4 = fatal: errors are exceptions, and warnings are for exporters.
    options.log_severity_level = 4
    if settings.memory_limit and on_cpu:
        _limit_arena(ort, settings)
        options.add_session_config_entry('session.use_env_allocators', '1')
    for library in settings.custom_operators:
        if not Path(library).is_file():
            raise EngineError(f'the library of operators {library} is not a file')
        try:
            options.register_custom_ops_library(library)
        except Exception as error:  # noqa: B902 -- its exceptions share no base class
            reason = ' '.join(str(error).split())
            raise EngineError(
                f'the library of operators {library} cannot be loaded: {reason}') from error
    return options


def run_options(ort: Any, settings: EngineSettings, provider: str, graph: int = -1) -> Any:
    """Return the options of a run."""
    entries = {}
    gpu = provider in ('CUDAExecutionProvider', 'TensorrtExecutionProvider')
    if settings.shrink_memory:
        entries['memory.enable_memory_arena_shrinkage'] = (
            f'gpu:{settings.device_id}' if gpu else 'cpu:0')
    if settings.cuda_graphs and gpu:
        entries['gpu_graph_id'] = str(graph)
    if not entries:
        return None
    options = ort.RunOptions()
    for key, value in entries.items():
        options.add_run_config_entry(key, value)
    return options


def _limit_arena(ort: Any, settings: EngineSettings) -> None:
    """Limit the CPU's arena, once in the process's life."""
    global _arena
    wanted = (settings.memory_limit, settings.arena)
    with _arena_lock:
        if _arena is None:
            info = ort.OrtMemoryInfo(
                'Cpu', ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
            ort.create_and_register_allocator(info, ort.OrtArenaCfg({
                'max_mem': settings.memory_limit * _MIB,
                # 1: as much as is asked for; 0: the next power of two.
                'arena_extend_strategy': int(settings.arena == 'exact'),
                'initial_chunk_size_bytes': -1, 'max_dead_bytes_per_chunk': -1}))
            _arena = wanted
        elif _arena != wanted:
            _LOGGER.warning(
                'memory_limit %d (%s) has no effect on the CPU: another engine of this process '
                'set %d (%s), which holds until the process ends', *wanted, *_arena)


def _spinning(settings: EngineSettings, threads: int) -> Spinning:
    """Return the setting, 'auto' resolved."""
    if settings.spinning != 'auto':
        return settings.spinning
    return 'inference' if threads * settings.parallel < hardware.usable_cores() else 'never'
