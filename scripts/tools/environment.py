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
"""
Which environment the scripts work in, and the variables that programs in it need.

A sourced ROS 2 is used as it is, and only what it lacks is added. Otherwise ROS 2 comes from
wheels, into a virtual environment below the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import errno
import hashlib
import os
from pathlib import Path
import shlex
import shutil
import signal
import subprocess
import sys

ROOT = Path(__file__).resolve().parents[2]
DISTROS = ('jazzy', 'kilted')
# Jazzy is a long-term release, supported to May 2029; Kilted's support ends in November 2026.
DEFAULT_DISTRO = DISTROS[0]

# Linux refuses a script whose first line is longer, and that line names the environment's Python.
LONGEST_PATH = 100

# Nothing of another ROS 2 or virtual environment may leak in. The last one tells the wheels that
# LD_LIBRARY_PATH is set already.
OTHER_ROS = (
    'AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'LD_LIBRARY_PATH',
    'PYTHONHOME', 'PYTHONPATH', 'ROS_ETC_DIR', '_ROS_WHEELS_BOOTSTRAP_COMPLETE',
)

# Another user's checkout, a mount that is read only, a full disk.
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class ScriptError(Exception):
    """What stops a script, in words for the person who started it."""

    code = 2


@dataclass(frozen=True)
class Environment:
    """One environment: its directory, its ROS 2, and the Python that it is made from."""

    distro: str
    # Whether its ROS 2 was sourced; it comes from wheels otherwise.
    sourced: bool
    directory: Path
    base_python: str

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.directory / 'venv' if self.sourced else self.directory

    @property
    def python(self) -> Path:
        """The Python that programs run with."""
        return self.venv / 'bin' / 'python'

    @property
    def install(self) -> Path:
        """Where colcon installs to."""
        return self.directory / 'install' if self.sourced else self.directory

    @property
    def title(self) -> str:
        """What to call it in a message."""
        origin = 'the sourced installation' if self.sourced else 'wheels'
        return f'ROS 2 {self.distro.capitalize()} from {origin}'


def base_python() -> str:
    """Return a Python outside the environments: they may be made again."""
    return getattr(sys, '_base_executable', None) or sys.executable


def choose(variables: Mapping[str, str] = os.environ) -> Environment:
    """Decide which environment the scripts work in."""
    wanted = variables.get('ROS2_CLASSIFY_DISTRO', '')
    if wanted and wanted not in DISTROS:
        raise ScriptError(
            f'error: ROS2_CLASSIFY_DISTRO is {wanted!r}; wheels exist for '
            f'{" and ".join(DISTROS)}. To use another distribution, source it and unset '
            'ROS2_CLASSIFY_DISTRO.')
    distro = variables.get('ROS_DISTRO', '')
    if not wanted and distro and variables.get('AMENT_PREFIX_PATH'):
        directory = directory_of(f'{distro}-sourced', variables)
        # In a shell of this very environment, its own Python comes first.
        path = _path_without(directory / 'venv' / 'bin', variables.get('PATH', ''))
        python = _python_with_rclpy({**variables, 'PATH': path})
        if python is None:
            raise ScriptError(
                f'error: ROS 2 {distro} is sourced, but neither python3 nor /usr/bin/python3 '
                'finds its rclpy. Is another Python (conda, pyenv) first in PATH? Deactivate it, '
                f'or use ROS 2 from wheels: ROS2_CLASSIFY_DISTRO={DEFAULT_DISTRO}')
        return Environment(distro, True, directory, python)
    name = wanted or DEFAULT_DISTRO
    return Environment(name, False, directory_of(name, variables), base_python())


def differs(environment: Environment, variables: Mapping[str, str] = os.environ) -> str:
    """Return that ROS2_CLASSIFY_PYTHON names another Python than the environment was made of."""
    wanted = variables.get('ROS2_CLASSIFY_PYTHON', '')
    try:
        lines = (environment.venv / 'pyvenv.cfg').read_text(encoding='utf-8').splitlines()
    except OSError:
        return ''
    version = next((line.partition('=')[2].strip() for line in lines
                    if line.partition('=')[0].strip() == 'version'), '')
    found = '.'.join(version.split('.')[:2])
    # This program runs on the Python that the variable names.
    running = f'{sys.version_info[0]}.{sys.version_info[1]}'
    if not wanted or not found or found == running:
        return ''
    return (f'ROS2_CLASSIFY_PYTHON names Python {running} ({wanted}), but the environment in '
            f'{environment.venv} has {found}, which is used; remove that directory to set it up '
            'again, or unset the variable')


def variables_for(environment: Environment,
                  variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """
    Return the variables that a program in the environment needs.

    A sourced ROS 2 needs its overlay sourced on top: see `command_in`.
    """
    result = dict(variables)
    if not environment.sourced:
        prefix = str(environment.directory)
        for name in OTHER_ROS:
            result.pop(name, None)
        result.update(
            AMENT_PREFIX_PATH=prefix, CMAKE_PREFIX_PATH=prefix, ROS_DISTRO=environment.distro,
            ROS_PYTHON_VERSION='3', ROS_VERSION='2',
            # A script that is started in this environment stays in it.
            ROS2_CLASSIFY_DISTRO=environment.distro)
    result['VIRTUAL_ENV'] = str(environment.venv)
    programs = environment.venv / 'bin'
    result['PATH'] = f'{programs}{os.pathsep}{_path_without(programs, result.get("PATH", ""))}'
    result.update(_transport(result))
    converter = directory_of('tensorflow', result) / 'bin' / 'python'
    if converter.exists():
        result.setdefault('ROS2_CLASSIFY_CONVERTER_PYTHON', str(converter))
    if not {'ROS_LOG_DIR', 'ROS_HOME'} & result.keys() and not os.access(
            result.get('HOME', ''), os.W_OK):
        result['ROS_LOG_DIR'] = str(environment.directory / 'log' / 'ros')
    return result


def command_in(environment: Environment, command: list[str]) -> list[str]:
    """Return the command line that runs a command in the environment."""
    if not environment.sourced:
        return command
    setup = shlex.quote(str(environment.install / 'local_setup.bash'))
    # The overlay puts /usr/bin/python3's directories first; the virtual environment goes before.
    activate = f'source {setup} && PATH="$VIRTUAL_ENV/bin:$PATH" && exec "$@"'
    return ['bash', '-c', activate, 'bash', *command]


def underlay(environment: Environment, variables: Mapping[str, str] = os.environ) -> str:
    """Return the prefixes of a sourced ROS 2, without what was built on top of it here."""
    if not environment.sourced:
        return ''
    return _path_without(environment.install, variables.get('AMENT_PREFIX_PATH', ''))


def directory_of(name: str, variables: Mapping[str, str] = os.environ) -> Path:
    """Return an environment's directory: in the repository, if tools can cope with its path."""
    directory = ROOT / '.venv' / name
    text = str(directory)
    if len(text) <= LONGEST_PATH and not any(letter.isspace() or letter in '"\'`$:;\\'
                                             for letter in text):
        return directory
    cache = Path(variables.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    digest = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    return cache / 'ros2_classify' / digest / name


def main(body: Callable[[], int]) -> int:
    """Run the body of a script; turn what stops it into words and an exit code."""
    # What is printed through a pipe must not overtake the output of started programs.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return body()
    except ScriptError as error:
        print(error, file=sys.stderr)
        return error.code
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        print(f'error: {error.filename or "a file"} cannot be written: {error.strerror}; the '
              f'environment is made below {ROOT}: use a copy of it that you may write to, on a '
              'disk with free space', file=sys.stderr)
        return ScriptError.code
    except KeyboardInterrupt:
        print('Interrupted. What was set up before stays.', file=sys.stderr)
        return 128 + signal.SIGINT


def _transport(result: Mapping[str, str]) -> dict[str, str]:
    """Select the DDS profile that lets large images through, unless the user chose one."""
    profile = ROOT / 'config' / 'fastdds.xml'
    chosen = {'FASTDDS_BUILTIN_TRANSPORTS', 'FASTDDS_DEFAULT_PROFILES_FILE',
              'FASTRTPS_DEFAULT_PROFILES_FILE'}
    if chosen & result.keys() or not profile.is_file():
        return {}
    # Fast DDS 3, which came with Kilted, renamed the variable and warns of the old name.
    older = result.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
    return {f'{"FASTRTPS" if older else "FASTDDS"}_DEFAULT_PROFILES_FILE': str(profile)}


def _path_without(directory: Path, path: str) -> str:
    """Remove a directory from a list such as PATH."""
    return os.pathsep.join(
        each for each in path.split(os.pathsep) if each and each != str(directory))


def _python_with_rclpy(variables: Mapping[str, str]) -> str | None:
    """Return the Python that a sourced ROS 2 belongs to."""
    probe = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("rclpy") is None)'
    for name in ('python3', '/usr/bin/python3'):
        path = shutil.which(name, path=variables.get('PATH'))
        if path and subprocess.run([path, '-c', probe], env=dict(variables), check=False,
                                   stderr=subprocess.DEVNULL).returncode == 0:
            return path
    return None
