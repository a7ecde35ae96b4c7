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

"""What ONNX Runtime is told about threads, memory and operators."""

from __future__ import annotations

import logging
from pathlib import Path
import threading
from typing import Any

from ros2_classify.engines.hardware import usable_cores
from ros2_classify.engines.settings import EngineSettings, Spinning
from ros2_classify.errors import EngineError

_LOGGER = logging.getLogger(__name__)
_MIB = 1 << 20

# The limited arena of the CPU is one for the process: ONNX Runtime knows no other way.
_arena_lock = threading.Lock()
_arena: tuple[int, str] | None = None


def session_options(ort: Any, settings: EngineSettings, *, on_cpu: bool) -> Any:
    """
    Return the options of a session.

    Parameters
    ----------
    ort : module
        ``onnxruntime``.
    settings : EngineSettings
        What was asked for.
    on_cpu : bool
        Whether the CPU alone runs the model: then the memory limit is its own.

    Returns
    -------
    onnxruntime.SessionOptions
        The options.

    Raises
    ------
    EngineError
        If a library of operators can't be loaded.

    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads = settings.threads or default_threads(settings.parallel)
    # Nodes run one after the other; more would compete for the same cores.
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    spinning = _spinning(settings, threads)
    options.add_session_config_entry(
        'session.intra_op.allow_spinning', str(int(spinning != 'never')))
    options.add_session_config_entry(
        'session.force_spinning_stop', str(int(spinning == 'inference')))
    # 4 = fatal: the rest comes back as exceptions, and its warnings are for exporters.
    options.log_severity_level = 4
    if settings.memory_limit and on_cpu:
        _limit_arena(ort, settings)
        options.add_session_config_entry('session.use_env_allocators', '1')
    for library in settings.custom_operators:
        if not Path(library).is_file():
            raise EngineError(f'the library of operators {library} is no file')
        try:
            options.register_custom_ops_library(library)
        except Exception as error:  # noqa: B902 -- its exceptions share no base class
            reason = ' '.join(str(error).split())
            raise EngineError(
                f'the library of operators {library} cannot be loaded: {reason}') from error
    return options


def run_options(ort: Any, settings: EngineSettings, provider: str, graph: int = -1) -> Any:
    """
    Return the options of a run.

    Parameters
    ----------
    ort : module
        ``onnxruntime``.
    settings : EngineSettings
        What was asked for.
    provider : str
        ONNX Runtime's name of who runs the model.
    graph : int
        Which CUDA graph it records or plays back; -1 for none.

    Returns
    -------
    onnxruntime.RunOptions or None
        None where there is nothing to say.

    """
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
                'memory_limit %d (%s) is not used on the CPU: another engine of this process has '
                'set %d (%s), and that counts until the process ends', *wanted, *_arena)


def _spinning(settings: EngineSettings, threads: int) -> Spinning:
    """Return what 'auto' stands for, or what was asked for."""
    if settings.spinning != 'auto':
        return settings.spinning
    return 'inference' if threads * settings.parallel < usable_cores() else 'never'


def default_threads(parallel: int = 1) -> int:
    """
    Return the number of threads used when nobody says: all usable cores but one, at most 4.

    The one is for the camera, the middleware and the rest of the robot. A model that has all
    cores waits for its slowest thread whenever another process needs one of them.

    Parameters
    ----------
    parallel : int
        How many inferences side by side share the cores.

    Returns
    -------
    int
        For one inference.

    """
    return max(1, min(4, (usable_cores() - 1) // parallel))
