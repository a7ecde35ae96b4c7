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


"""The machine, the versions, and what processes use of it, read from /proc."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform
import shutil
import subprocess
from typing import Any

from ros2_classify import __version__
from ros2_classify.engines.hardware import tensorrt_version

_PROC = Path('/proc')
_TICKS = os.sysconf('SC_CLK_TCK') if hasattr(os, 'sysconf') else 100

# By rclpy's major version.
_DISTROS = {'3': 'humble', '7': 'jazzy', '9': 'kilted'}

_PACKAGES = ('numpy', 'opencv-python-headless', 'opencv-python', 'onnxruntime',
             'onnxruntime-gpu', 'onnxruntime-openvino', 'rclpy', 'rmw-fastrtps-cpp', 'vision_msgs')


def machine() -> dict[str, Any]:
    """Return the machine's facts, and how busy it is."""
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else None
    return {
        'cpu': _line('/proc/cpuinfo', 'model name') or platform.processor(),
        'cores': os.cpu_count(),
        'memory_mib': int((_line('/proc/meminfo', 'MemTotal') or '0').split()[0]) // 1024,
        'gpu': _gpu(), 'system': platform.platform(), 'load_before': load}


def versions() -> dict[str, str]:
    """Return the versions of what takes part."""
    found = {'ros2_classify': __version__, 'commit': commit(), 'python': platform.python_version(),
             'ros_distro': _distro(),
             'rmw': os.environ.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    tensorrt = tensorrt_version()
    return {**found, **({} if tensorrt == 'unknown' else {'tensorrt': tensorrt})}


def commit(directory: Path = Path(__file__).resolve().parent) -> str:
    """Return the commit of a directory, with ``-dirty`` if files have changed."""
    def git(*words: str) -> str:
        try:
            done = subprocess.run(
                ['git', '-C', str(directory), *words], capture_output=True, text=True, check=False,
                timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return ''
        return done.stdout.strip() if done.returncode == 0 else ''

    if not git('ls-files', '--', '.'):
        return ''
    return git('describe', '--always', '--dirty', '--abbrev=40', '--exclude=*')


def tree(pids: Iterable[int]) -> list[int]:
    """Return processes and their descendants: launchers start the node as a child."""
    found: list[int] = []
    queue = list(pids)
    while queue:
        pid = queue.pop()
        if pid in found:
            continue
        try:
            for task in (_PROC / str(pid) / 'task').iterdir():
                queue += [int(word) for word in (task / 'children').read_text().split()]
        except OSError:  # ended meanwhile
            continue
        found.append(pid)
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that processes and their descendants have used so far."""
    total = 0
    for pid in tree(pids):
        try:
            # The name, in parentheses, may hold blanks.
            fields = (_PROC / str(pid) / 'stat').read_text().rpartition(')')[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def memory_bytes(pids: Sequence[int], without: str = '') -> tuple[int, int]:
    """Return the memory of processes and their descendants."""
    pss = rss = 0
    for pid in tree(pids):
        try:
            lines = (_PROC / str(pid) / 'smaps').read_text(errors='replace').splitlines()
        except OSError:
            continue
        counts = True
        for line in lines:
            head, _, rest = line.partition(' ')
            if not head.endswith(':'):  # the first line of a mapping: range … file
                counts = not (without and line.endswith(without))
            elif counts and head == 'Pss:':
                pss += int(rest.split()[0]) * 1024
            elif counts and head == 'Rss:':
                rss += int(rest.split()[0]) * 1024
    return pss, rss


def _distro() -> str:
    """Return the distribution that is sourced, or that the installed rclpy belongs to."""
    try:
        major = version('rclpy').partition('.')[0]
    except PackageNotFoundError:
        major = ''
    return os.environ.get('ROS_DISTRO') or _DISTROS.get(major, '')


def _line(path: str, key: str) -> str:
    try:
        for line in Path(path).read_text().splitlines():
            name, _, value = line.partition(':')
            if name.strip() == key:
                return value.strip()
    except OSError:
        return ''
    return ''


def _gpu() -> str | None:
    program = shutil.which('nvidia-smi')
    if program is None:
        return None
    done = subprocess.run(
        [program, '--query-gpu=name,driver_version', '--format=csv,noheader'],
        capture_output=True, text=True, check=False, timeout=20)
    return done.stdout.strip() or None
