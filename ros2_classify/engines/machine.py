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

"""What decides whether something that was built here for speed can be used: CPU, GPU, versions."""

from __future__ import annotations

import ctypes
import hashlib
from importlib import metadata
from pathlib import Path
import platform

# https://docs.nvidia.com/cuda/cuda-driver-api: CUdevice_attribute.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_TENSORRT = ('tensorrt', 'tensorrt-cu13', 'tensorrt-cu12', 'tensorrt-cu11')
_TENSORRT_LIBRARIES = ('libnvinfer.so.11', 'libnvinfer.so.10', 'libnvinfer.so.8')


def cpu_features(info: Path = Path('/proc/cpuinfo')) -> str:
    """
    Return what distinguishes this CPU's kernels from another one's.

    ONNX Runtime's optimized models hold layouts that suit one kind of CPU: blocks of 8 or 16
    channels. On another kind they are slow or wrong.

    Parameters
    ----------
    info : Path
        Linux's description of the CPUs.

    Returns
    -------
    str
        The architecture and a hash of the CPU's model and its instruction sets.

    """
    seen = []
    try:
        for line in info.read_text(encoding='utf-8', errors='replace').splitlines():
            key, _, value = line.partition(':')
            # x86's words, then ARM's; of several kinds of cores all count.
            if key.strip() in ('model name', 'flags', 'Features', 'CPU part', 'CPU implementer'):
                seen.append(f'{key.strip()}={value.strip()}')
    except OSError:
        seen.append(platform.processor())
    digest = hashlib.sha256('\n'.join(sorted(set(seen))).encode()).hexdigest()
    return f'{platform.machine()}-{digest[:16]}'


def gpu_name(device: int, library: str = 'libcuda.so.1') -> str:
    """
    Return a GPU's name and compute capability, as the driver tells them.

    Parameters
    ----------
    device : int
        Its number.
    library : str
        The driver's library.

    Returns
    -------
    str
        Such as ``NVIDIA RTX A2000 8.6``; 'unknown' where there is no driver or no such device.

    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return 'unknown'
    handle, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    if (cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(handle), device)
            or cuda.cuDeviceGetName(name, len(name), handle)
            or cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, handle)
            or cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, handle)):
        return 'unknown'
    return f'{name.value.decode("utf-8", "replace")} {major.value}.{minor.value}'


def tensorrt_version() -> str:
    """Return TensorRT's version, by its Python package or its library; or 'unknown'."""
    for name in _TENSORRT:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name in _TENSORRT_LIBRARIES:
        try:
            return str(ctypes.CDLL(name).getInferLibVersion())
        except (OSError, AttributeError):
            continue
    return 'unknown'
