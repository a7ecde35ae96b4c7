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

"""CPU, GPU, versions and memory: what cached files depend on, and what fits."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
from pathlib import Path
import platform

from ros2_classify.errors import EngineError
from ros2_classify.progress import human_size

# https://docs.nvidia.com/cuda/cuda-driver-api: CUdevice_attribute.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_TENSORRT = ('tensorrt', 'tensorrt-cu13', 'tensorrt-cu12', 'tensorrt-cu11')
_TENSORRT_LIBRARIES = ('libnvinfer.so.11', 'libnvinfer.so.10', 'libnvinfer.so.8')


def cpu_features(info: Path = Path('/proc/cpuinfo')) -> str:
    """
    Return an id of the CPU model and its instruction sets.

    ONNX Runtime's optimized models hold layouts for one kind of CPU, blocks of 8 or 16 channels;
    on another kind they are slow or wrong.
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


def usable_cores(
        groups: Path = Path('/sys/fs/cgroup'), own: Path = Path('/proc/self/cgroup')) -> int:
    """Return how many physical cores this process may use; fewer with a container's quota."""
    try:
        usable = os.sched_getaffinity(0)
    except AttributeError:  # not on Linux
        return max(1, (os.cpu_count() or 2) // 2)
    cores = set()
    for cpu in usable:
        siblings = Path(f'/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list')
        try:
            cores.add(siblings.read_text(encoding='ascii').strip())
        except OSError:  # a container may hide it; then each CPU counts as a core
            cores.add(str(cpu))
    return max(1, int(min(len(cores), _quota(groups, own))))


def default_threads(parallel: int = 1) -> int:
    """
    Return the default number of threads: all usable cores but one, at most 4.

    The one is for camera, middleware and the rest of the robot. A model on all cores waits for
    its slowest thread whenever another process needs a core.
    """
    return max(1, min(4, (usable_cores() - 1) // parallel))


def _quota(groups: Path, own: Path) -> float:
    """Return the CPU quota in cores; infinite without a limit."""
    # https://docs.kernel.org/admin-guide/cgroup-v2.html: the limit of each group above counts.
    places = [groups]
    try:
        for line in own.read_text(encoding='utf-8').splitlines():
            if line.startswith('0::/'):
                group = groups / line[len('0::/'):]
                places += [place for place in (group, *group.parents) if groups in place.parents]
    except (OSError, ValueError):
        pass
    quotas = [_read_quota(place / 'cpu.max') for place in places]
    quotas.append(_read_quota(
        groups / 'cpu/cpu.cfs_quota_us', groups / 'cpu/cpu.cfs_period_us'))  # version 1
    return min(quotas)


def _read_quota(*files: Path) -> float:
    try:
        words = ' '.join(file.read_text(encoding='ascii') for file in files).split()
        quota, period = (float(word) for word in words)
    except (OSError, ValueError):  # no such file, or no limit: 'max'
        return math.inf
    # Version 1 says -1 for no limit.
    return quota / period if quota > 0 and period > 0 else math.inf


def gpu_name(device: int, library: str = 'libcuda.so.1') -> str:
    """Return a GPU's name and compute capability from the driver; or 'unknown'."""
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
    # Imported here because it loads parsers of mails and archives.
    from importlib.metadata import PackageNotFoundError, version

    for name in _TENSORRT:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    for name in _TENSORRT_LIBRARIES:
        try:
            return str(ctypes.CDLL(name).getInferLibVersion())
        except (OSError, AttributeError):
            continue
    return 'unknown'


_GROUPS = Path('/sys/fs/cgroup')


def available_memory(
        groups: Path = _GROUPS, own: Path = Path('/proc/self/cgroup'),
        machine: Path = Path('/proc/meminfo')) -> float:
    """Return the bytes that are left; infinite where nothing tells."""
    left = [_of_version_2(place) if is_v2 else _of_version_1(place)
            for place, is_v2 in own_groups('memory', groups, own)]
    return max(0.0, min(_of_the_machine(machine), *left, math.inf))


def own_groups(controller: str, groups: Path = _GROUPS,
               own: Path = Path('/proc/self/cgroup')) -> list[tuple[Path, bool]]:
    """Return the control groups that bound this process, its own first; True for version 2."""
    try:
        lines = own.read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError):
        lines = []
    found = []
    for line in lines:
        number, controllers, path = (line.split(':', 2) + ['', ''])[:3]
        is_v2 = number == '0' and not controllers
        if not is_v2 and controller not in controllers.split(','):
            continue
        top = groups if is_v2 else groups / controller
        group = top / path.lstrip('/')
        # The limit of each group above counts; a container sees its own at the top.
        found += [(place, is_v2) for place in (group, *group.parents)
                  if place == top or top in place.parents]
    # Of both versions the one that has the controller.
    return sorted(found, key=lambda each: not _has(each[0], controller))


def _has(place: Path, controller: str) -> bool:
    name = 'memory.stat' if controller == 'memory' else 'cpu.stat'
    return (place / name).exists()


def check_memory(name: str, what: str, needed: float) -> None:
    """Refuse what takes more memory than is left: else the kernel ends the process for it."""
    if needed > (left := available_memory()):
        raise EngineError(
            f'{name}: {what} needs at least {human_size(needed)} of memory, and '
            f'{human_size(left)} are left on this machine or in its container; '
            'give it more, or use a smaller model')


def _of_the_machine(file: Path) -> float:
    return 1024.0 * _rows(file).get('MemAvailable:', math.inf)


def _of_version_2(group: Path) -> float:
    limit, stat = _number(group / 'memory.max'), _rows(group / 'memory.stat')
    # The rest are copies of files, which the kernel drops first.
    return limit - sum(stat.get(name, 0.0) for name in ('anon', 'shmem', 'kernel'))


def _of_version_1(group: Path) -> float:
    limit, stat = _number(group / 'memory.limit_in_bytes'), _rows(group / 'memory.stat')
    return limit - sum(stat.get(name, 0.0) for name in ('total_rss', 'total_shmem'))


def _number(file: Path) -> float:
    try:
        return float(file.read_text(encoding='ascii'))
    except (OSError, ValueError):  # no such file, or no limit: 'max'
        return math.inf


def _rows(file: Path) -> dict[str, float]:
    try:
        words = (line.split() for line in file.read_text(encoding='ascii').splitlines())
        return {row[0]: float(row[1]) for row in words if len(row) > 1}
    except (OSError, ValueError):
        return {}
