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

"""What the machine must have before an environment can be made."""

from __future__ import annotations

import os
from pathlib import Path
import platform
import shutil
import subprocess

from environment import Environment, ScriptError

# Programs, any of which will do, and the Debian package that has one.
PROGRAMS = (
    ('a C compiler', ('cc', 'gcc', 'clang'), 'build-essential'),
    ('a C++ compiler', ('c++', 'g++', 'clang++'), 'build-essential'),
    ('make', ('make',), 'build-essential'),
    ('CMake', ('cmake',), 'cmake'),
)
OLDEST_GLIBC = (2, 28)

# What the base Python is asked: its version, whether it can make virtual environments, where its
# headers are. -E -s: the output must not depend on the caller's packages.
QUESTIONS = """
import importlib.util, os, sys, sysconfig
print('%d.%d' % sys.version_info[:2])
print(int(all(importlib.util.find_spec(name) for name in ('venv', 'ensurepip'))))
print(int(os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h'))))
"""


def check(environment: Environment) -> None:
    """Raise ScriptError if anything is missing: all of it, and what to install."""
    if not environment.sourced:
        _check_wheels_run_here()
    missing: list[tuple[str, str]] = [
        (what, package) for what, names, package in PROGRAMS
        if not any(shutil.which(name) for name in names)]
    missing += _missing_of_python(environment)
    if environment.sourced:
        missing += _missing_of_ros(environment)
    if missing:
        packages = ' '.join(dict.fromkeys(package for _, package in missing))
        raise ScriptError(
            'error: this machine lacks ' + ', '.join(what for what, _ in missing) + '.\n'
            f'On Debian and Ubuntu: sudo apt install {packages}')


def _check_wheels_run_here() -> None:
    """Check the platform: the wheels of ROS 2 exist for one only."""
    instead = ('Source an installed ROS 2 (https://docs.ros.org) and start again: '
               'the scripts then use it.')
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ('Linux', 'x86_64'):
        raise ScriptError('error: the wheels of ROS 2 are for Linux on x86_64; this is '
                          f'{system} on {machine}. {instead}')
    try:
        name, _, version = (os.confstr('CS_GNU_LIBC_VERSION') or '').partition(' ')
    except (OSError, ValueError):  # another C library, musl for one, does not know the question
        name, version = '', ''
    found = tuple(int(part) for part in version.split('.')[:2] if part.isdigit())
    if name != 'glibc' or found < OLDEST_GLIBC:
        oldest = '.'.join(map(str, OLDEST_GLIBC))
        raise ScriptError(f'error: the wheels of ROS 2 need glibc {oldest} or newer; this '
                          f'machine has {f"{name} {version}" if name else "none"}. {instead}')


def _missing_of_python(environment: Environment) -> list[tuple[str, str]]:
    """List what the base Python lacks."""
    python = environment.base_python
    output = subprocess.run([python, '-E', '-s', '-c', QUESTIONS], capture_output=True, text=True,
                            check=True).stdout.split()
    version, has_venv, has_headers = output[0], output[1] == '1', output[2] == '1'
    # Debian's packages carry the version in their names unless it is the default Python.
    default = Path('/usr/bin/python3').resolve() == Path(python).resolve()
    prefix = 'python3' if default else f'python{version}'
    missing = []
    if not has_venv:
        missing.append((f"Python's venv module (for {python})", f'{prefix}-venv'))
    if not has_headers:
        missing.append((f"Python's C headers (for {python})", f'{prefix}-dev'))
    return missing


def _missing_of_ros(environment: Environment) -> list[tuple[str, str]]:
    """List the packages that a sourced ROS 2 lacks."""
    names = ('ament_cmake', 'rosidl_default_generators', 'action_msgs', 'sensor_msgs',
             'vision_msgs')
    prefixes = [Path(prefix) for prefix in os.environ['AMENT_PREFIX_PATH'].split(os.pathsep)]
    index = 'share/ament_index/resource_index/packages'
    return [(f'the ROS package {name}', f'ros-{environment.distro}-{name.replace("_", "-")}')
            for name in names
            if not any((prefix / index / name).exists() for prefix in prefixes)]
