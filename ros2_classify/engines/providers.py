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

"""Execution providers: what is installed, which one runs a model, and its options."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from glob import glob
from importlib import import_module
import io
import logging
from pathlib import Path
import sys
from typing import Any

from ros2_classify.engines.hardware import default_threads
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import EngineError

_LOGGER = logging.getLogger(__name__)

# Short names that users type, and ONNX Runtime's names. `auto` tries AUTO in order.
PROVIDERS = {
    'cpu': 'CPUExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'tensorrt': 'TensorrtExecutionProvider',
    'openvino': 'OpenVINOExecutionProvider',
    'migraphx': 'MIGraphXExecutionProvider',
    'coreml': 'CoreMLExecutionProvider',
    'directml': 'DmlExecutionProvider',
}
# Without TensorRT: building its engine takes minutes, so it must be requested.
AUTO = ('cuda', 'cpu')

_FIXES = {
    'cuda': 'it needs an NVIDIA driver and onnxruntime-gpu in place of onnxruntime (pip install '
            '"onnxruntime-gpu[cuda,cudnn]", or rosdep install with ROS2_CLASSIFY_GPU=1)',
    'tensorrt': 'it needs an NVIDIA driver, onnxruntime-gpu in place of onnxruntime (pip install '
                '"onnxruntime-gpu[cuda,cudnn]", or rosdep install with ROS2_CLASSIFY_GPU=1) and '
                'TensorRT (pip install tensorrt)',
    'openvino': 'it needs the device that is named, and onnxruntime-openvino in place of '
                'onnxruntime (pip install onnxruntime-openvino)',
}

# Precisions of providers; the others compute as the file says.
_PRECISIONS = {
    'CUDAExecutionProvider': ('fp32', 'tf32'),
    'TensorrtExecutionProvider': ('fp32', 'fp16', 'int8'),
    'OpenVINOExecutionProvider': ('fp32', 'fp16'),
}
_MIB = 1 << 20

# All of them install the same module (https://onnxruntime.ai/docs/install); install only one.
DISTRIBUTIONS = (
    'onnxruntime', 'onnxruntime-gpu', 'onnxruntime-openvino', 'onnxruntime-directml',
    'onnxruntime-migraphx', 'onnxruntime-rocm', 'onnxruntime-training', 'onnxruntime-qnn',
)


def choose_providers(settings: EngineSettings, available: Sequence[str]) -> list[str]:
    """Return ONNX Runtime's names of providers by preference; CPU last, for what others lack."""
    provider = settings.provider.partition(':')[0]
    if provider == 'auto':
        names = [PROVIDERS[name] for name in AUTO if PROVIDERS[name] in available]
        _check_precision(settings, PROVIDERS['cpu'])
        return names
    wanted = PROVIDERS.get(provider.lower(), provider)
    if wanted not in PROVIDERS.values() and wanted not in available:
        raise EngineError(
            f'the provider {provider!r} is unknown; choose auto, {", ".join(PROVIDERS)}'
            + ('; an NVIDIA GPU is cuda' if provider.lower() in ('gpu', 'nvidia') else ''))
    if wanted != provider and ':' in settings.provider and provider.lower() != 'openvino':
        raise EngineError(
            f'the provider {settings.provider!r} is unknown: only openvino takes a device, as in '
            'openvino:GPU; choose a GPU of several by device_id')
    _check_precision(settings, wanted)
    if wanted == PROVIDERS['tensorrt'] and settings.cuda_graphs:
        # Its graph is one for the session and holds pointers to one set of arrays; a caller that
        # prepares an image while another one runs has two.
        raise EngineError(
            'cuda_graphs is true with the provider tensorrt, which was never tested on a GPU and '
            'may return the result of another image; set cuda_graphs to false, or provider to '
            'cuda')
    if wanted == PROVIDERS['openvino'] and settings.precision == 'fp16' and _device(
            settings) == 'CPU':
        raise EngineError('precision is fp16, but OpenVINO computes in fp32 on CPUs; choose fp32, '
                          'or a device, as in openvino:GPU')
    if wanted not in available and settings.require_provider:
        short = [name for name, full in PROVIDERS.items() if full in available]
        raise EngineError(
            f'the provider {provider!r} is not in the installed ONNX Runtime, which has '
            f'{", ".join(short)}; {how_to_get(provider)}; or choose provider auto')
    names = [wanted]
    if wanted == PROVIDERS['tensorrt']:
        # What TensorRT can't run stays on the GPU.
        names.append(PROVIDERS['cuda'])
    names.append(PROVIDERS['cpu'])
    return list(dict.fromkeys(name for name in names if name == wanted or name in available))


def _device(settings: EngineSettings) -> str:
    """Return OpenVINO's device."""
    return settings.provider.partition(':')[2].upper() or 'CPU'


def _check_precision(settings: EngineSettings, name: str) -> None:
    allowed = _PRECISIONS.get(name, ('fp32',))
    if settings.precision in allowed:
        return
    able = [short for short, full in PROVIDERS.items()
            if settings.precision in _PRECISIONS.get(full, ())]
    raise EngineError(
        f'precision is {settings.precision!r}, which the provider {settings.provider!r} does not '
        f'support; choose one that does ({", ".join(able)}), or a variant of the model with '
        'such numbers')


def provider_options(
    name: str, settings: EngineSettings, cache: Path | None = None,
    profile: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]] = (),
) -> dict[str, str]:
    """Return a provider's own options, of https://onnxruntime.ai/docs/execution-providers/."""
    if name == PROVIDERS['cuda']:
        options: dict[str, Any] = {
            'device_id': settings.device_id,
            'arena_extend_strategy': (
                'kSameAsRequested' if settings.arena == 'exact' else 'kNextPowerOfTwo'),
            # Else Ampere and newer GPUs round float32 to ten bits, and scores differ.
            'use_tf32': int(settings.precision == 'tf32')}
        if settings.memory_limit:
            options['gpu_mem_limit'] = settings.memory_limit * _MIB
        if settings.cuda_graphs:
            options['enable_cuda_graph'] = 1
    elif name == PROVIDERS['tensorrt']:
        options = {
            'device_id': settings.device_id,
            'trt_fp16_enable': int(settings.precision in ('fp16', 'int8')),
            'trt_int8_enable': int(settings.precision == 'int8')}
        if settings.memory_limit:
            options['trt_max_workspace_size'] = settings.memory_limit * _MIB
        if cache is not None:
            options.update({
                'trt_engine_cache_enable': 1, 'trt_engine_cache_path': cache,
                'trt_timing_cache_enable': 1, 'trt_timing_cache_path': cache})
        if profile:
            # One engine for all batch sizes; building one takes minutes.
            low, high = (','.join(
                f'{row[0]}:{"x".join(map(str, row[column]))}' for row in profile)
                for column in (1, 2))
            options.update({
                'trt_profile_min_shapes': low, 'trt_profile_opt_shapes': high,
                'trt_profile_max_shapes': high})
    elif name == PROVIDERS['openvino']:
        options = {'device_type': _device(settings),
                   'num_of_threads': settings.threads or default_threads(settings.parallel)}
        if _device(settings) != 'CPU':
            options['precision'] = settings.precision.upper()
        if cache is not None:
            options['cache_dir'] = cache
    else:
        options = {}
    return {key: str(value) for key, value in options.items()}


def how_to_get(provider: str) -> str:
    """Return how to install a provider, or how to resolve a clash of two packages."""
    if found := clashing_distributions():
        return clash(found)
    name = provider.lower().partition(':')[0]
    short = next((key for key, full in PROVIDERS.items() if name in (key, full.lower())), '')
    return _FIXES.get(short, 'install an ONNX Runtime package that has it')


def installed_distributions() -> tuple[str, ...]:
    """Return the packages that provide ``onnxruntime``; `importlib.metadata` would be slow."""
    found = {place.partition('-')[0] for directory in sys.path
             for place in glob('onnxruntime*-*.*-info', root_dir=directory)}
    return tuple(name for name in DISTRIBUTIONS if name.replace('-', '_') in found)


def clashing_distributions() -> tuple[str, ...]:
    """Return the packages that overwrite each other: several in one directory."""
    for directory in sys.path:
        found = {place.partition('-')[0] for place in glob(
            'onnxruntime*-*.*-info', root_dir=directory)}
        names = tuple(name for name in DISTRIBUTIONS if name.replace('-', '_') in found)
        if names:
            # What comes later in the path is not imported.
            return names if len(names) > 1 else ()
    return ()


def imported_distribution(ort: Any) -> str:
    """Return the package that the imported ONNX Runtime is from; others may be in the path."""
    beside = Path(str(ort.__file__)).parent.parent
    found = {place.partition('-')[0] for place in glob('onnxruntime*-*.*-info', root_dir=beside)}
    return next((name for name in DISTRIBUTIONS if name.replace('-', '_') in found), 'onnxruntime')


def import_onnxruntime() -> Any:
    """Import ONNX Runtime; EngineError says what to install."""
    try:
        import onnxruntime as ort
        ort.InferenceSession, ort.get_available_providers  # noqa: B018 -- gone after a bad removal
    except (ImportError, AttributeError) as error:
        if found := clashing_distributions():
            raise EngineError(clash(found)) from error
        found = installed_distributions()
        if not found:
            raise EngineError(
                'ONNX Runtime is not installed: pip install onnxruntime, or '
                '"onnxruntime-gpu[cuda,cudnn]" on a machine with an NVIDIA GPU') from error
        raise EngineError(
            f'{found[0]} is installed but cannot be imported ({error}): '
            f'pip install --force-reinstall {found[0]}') from error
    return ort


def preload_cuda(ort: Any) -> None:
    """Load NVIDIA's libraries from pip packages, where the linker doesn't look."""
    # The package loads its libraries; the linker then finds them by their names.
    with contextlib.suppress(ImportError, OSError):
        import_module('tensorrt')
    preload = getattr(ort, 'preload_dlls', None)  # since 1.21
    if preload is None:
        return
    # It prints what is missing; the session reports it if it matters.
    words = io.StringIO()
    with contextlib.redirect_stdout(words):
        preload()
    if words.getvalue():
        _LOGGER.debug('%s', words.getvalue().strip())


def clash(found: tuple[str, ...]) -> str:
    return (f'{" and ".join(found)} are installed together and overwrite each other: '
            f'pip uninstall {" ".join(found)}, then install the one that fits this machine')


def fell_back(asked: str, provider: str) -> bool:
    """Tell whether another provider runs; with auto, the CPU although a GPU is installed."""
    name = asked.partition(':')[0]
    if name == 'auto':
        return provider == PROVIDERS['cpu'] and PROVIDERS['cuda'] in _available()
    return PROVIDERS.get(name.lower(), name) != provider


def _available() -> Sequence[str]:
    try:
        from onnxruntime import get_available_providers
    except ImportError:
        # Engines other than ONNX Runtime have provider names of their own.
        return ()
    return tuple(get_available_providers())
