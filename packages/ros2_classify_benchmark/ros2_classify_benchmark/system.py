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


"""Where something was measured: machine and versions."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform
import shutil
import subprocess
from typing import Any

from ros2_classify import __version__
from ros2_classify.engines.hardware import tensorrt_version

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
