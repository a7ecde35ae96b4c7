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

"""Settings of the engine that runs a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, Literal, Union

from ros2_classify.errors import EngineError, OptionsError
from ros2_classify.model.remote_url import RemoteUrl

Precision = Literal['fp32', 'tf32', 'fp16', 'int8']
Arena = Literal['exact', 'doubling']
Spinning = Literal['auto', 'never', 'inference', 'always']
Optimization = Literal['all', 'extended', 'basic', 'none']
Tuning = Literal['auto', 'off']
Fallback = Literal['none', 'local']

# More than any machine has cores; guards against typing errors.
MAX_THREADS = 256
# Each has threads and memory of its own.
MAX_PARALLEL = 64
MAX_DEVICE = 255
MAX_BATCH = 256
MAX_CAMERAS = 1024
# In MiB: one tebibyte, more than any device has.
MAX_MEMORY = 1 << 20

_RANGES = {
    'threads': (0, MAX_THREADS, ' (0: choose for me)'),
    'parallel': (1, MAX_PARALLEL, ''),
    'device_id': (0, MAX_DEVICE, ''),
    'max_batch': (1, MAX_BATCH, ''),
    'cameras': (1, MAX_CAMERAS, ''),
    'memory_limit': (0, MAX_MEMORY, ' MiB (0: no limit)'),
}
_FLAGS = ('require_provider', 'cuda_graphs', 'cache', 'shrink_memory')


@dataclass(frozen=True)
class EngineSettings:
    """
    How an engine runs a model; the defaults suit a robot.

    Parameters
    ----------
    provider : str
        The execution provider: ``auto`` takes the best one that works; ``cpu``, ``cuda``,
        ``tensorrt``, ``openvino`` (or ``openvino:GPU``) … require one.
    threads : int
        CPU threads for one inference, up to 256; 0 takes all physical cores but one, at most 4:
        small models gain little from more, and the rest of the robot needs cores too. Several
        inferences side by side share them.
    parallel : int
        How many inferences may run side by side on the CPU, each with ``threads`` of its own: more
        results a second than with all threads in one inference, and each takes longer. Other
        providers run one at a time.
    spinning : 'auto', 'never', 'inference' or 'always'
        When a thread that waits for the others keeps its core busy, to go on at once: during an
        inference, which takes up to a third less time for it with two threads and more, or
        between inferences as well, which burns a core for each thread and wins nothing at a
        camera's rate. Threads that spin and have no core each get in each other's way: ``auto``
        means ``inference`` where a core is left beside the threads, else ``never``.
    device_id : int
        Index of the GPU.
    precision : 'fp32', 'tf32', 'fp16' or 'int8'
        What a provider may compute in: CUDA tf32, TensorRT fp16 and int8, OpenVINO fp16. int8
        needs a model that was quantized (``models quantize``). The others, and fp32, compute
        as the file says.
    require_provider : bool
        Whether it is an error if a named provider is not available; otherwise the CPU runs the
        model, with a warning. ``auto`` always falls back, with a warning.
    memory_limit : int
        Maximum MiB of the arena of the CPU or CUDA, or of TensorRT's workspace; 0 sets no
        limit. What doesn't fit raises `ros2_classify.errors.EngineMemoryError`. The CPU's arena
        is one for the whole process: the first engine that limits it decides.
    arena : 'exact' or 'doubling'
        How CUDA's arena and a limited CPU arena grow: by what is asked for, or by doubling
        (ONNX Runtime's default: fewer requests, more memory).
    shrink_memory : bool
        Whether the arena gives memory that it doesn't need back after each inference: less
        memory between frames, slower frames.
    max_batch : int
        The maximum number of images in one run. Above 1, a model that was exported for one
        image gets a batch dimension if that is safe, and TensorRT builds one engine for all
        batch sizes.
    graph_optimization : 'all', 'extended', 'basic' or 'none'
        How far ONNX Runtime rewrites the model when it starts; `all` also changes layouts for
        this processor, which is nearly always the fastest.
    tuning : 'auto' or 'off'
        Whether settings that are left at their defaults come from what ``models tune`` measured
        for this model on this machine, if it did.
    cameras : int
        How many cameras share the model: which measurement counts.
    cuda_graphs : bool
        Whether CUDA records the model's work once and plays it back: less time between
        kernels, for models whose shapes are fixed. Refused with TensorRT.
    remote : str
        The remote model server that runs the model, such as ``grpc://gpu:8001/yolox_nano``, in
        place of the descriptor's ``source.remote``; without a model's name it is the
        descriptor's. See docs/remote.md.
    remote_timeout : float
        Seconds after which a call of that server has failed, retries included.
    remote_fallback : 'none' or 'local'
        What follows if it fails: an error, or the model file runs on this machine meanwhile.
    cache : bool
        Whether files that are slow to make are cached: TensorRT engines and timings, and
        optimized models with many nodes.
    cache_directory : Path, optional
        The directory; None means that of downloaded models.
    custom_operators : tuple of str
        Libraries with operators of your own; no others are loaded.
    external_data : tuple of str
        Directories other than the model's that may hold its weights.

    Raises
    ------
    EngineError
        If a value is of the wrong type or out of its range.

    Examples
    --------
    >>> from ros2_classify import EngineSettings, Pipeline
    >>> settings = EngineSettings(provider='cpu', threads=2)
    >>> with Pipeline.load('cards_detector', engine=settings) as pipeline:
    ...     print(pipeline.engine.provider)
    CPUExecutionProvider

    """

    provider: str = 'auto'
    threads: int = 0
    parallel: int = 1
    spinning: Spinning = 'auto'
    device_id: int = 0
    precision: Precision = 'fp32'
    require_provider: bool = True
    memory_limit: int = 0
    arena: Arena = 'exact'
    shrink_memory: bool = False
    max_batch: int = 1
    graph_optimization: Optimization = 'all'
    tuning: Tuning = 'auto'
    cameras: int = 1
    cuda_graphs: bool = False
    remote: str = ''
    remote_timeout: float = 1.0
    remote_fallback: Fallback = 'none'
    cache: bool = True
    cache_directory: Union[Path, None] = None
    custom_operators: tuple[str, ...] = ()
    external_data: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check all values."""
        if not isinstance(self.provider, str) or not self.provider.strip():
            raise EngineError(
                f'provider is {self.provider!r} but must be auto or the name of one, like cpu')
        for name, (low, high, note) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise EngineError(
                    f'{name} is {value!r} but must be a whole number from {low} to {high}{note}')
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise EngineError(f'{name} is {getattr(self, name)!r} but must be True or False')
        for name, choices in (('precision', get_args(Precision)), ('arena', get_args(Arena)),
                              ('spinning', get_args(Spinning)),
                              ('graph_optimization', get_args(Optimization)),
                              ('tuning', get_args(Tuning)),
                              ('remote_fallback', get_args(Fallback))):
            if getattr(self, name) not in choices:
                raise EngineError(
                    f'{name} is {getattr(self, name)!r} but must be one of: {", ".join(choices)}')
        self._check_remote()
        for name in ('custom_operators', 'external_data'):
            value = getattr(self, name)
            if isinstance(value, str) or not all(
                    isinstance(item, str) and item for item in value):
                raise EngineError(f'{name} is {value!r} but must be a list of paths')
            object.__setattr__(self, name, tuple(value))

    def _check_remote(self) -> None:
        seconds = self.remote_timeout
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not (
                0.01 <= seconds <= 3600.0):
            raise EngineError(
                f'remote_timeout is {seconds!r} but must be a number of seconds from 0.01 to 3600')
        try:
            if self.remote != '':
                RemoteUrl.parse(self.remote)
        except OptionsError as error:
            raise EngineError(f'remote {error}') from error

    def replace(self, **changes: Any) -> EngineSettings:
        """Return settings with some values changed."""
        try:
            return replace(self, **changes)
        except TypeError as error:
            raise EngineError(f'there is no such setting of an engine: {error}') from error
