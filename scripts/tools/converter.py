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

"""Make environments beside that of ROS 2: the one that converts TensorFlow models, others."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import sys
import time

from environment import converter_directory, ROOT
from steps import alone, call, pending, run, Stamps, Step

REQUIREMENTS = ROOT / 'scripts' / 'wheels' / 'tensorflow.txt'


def set_up_converter(again: bool = False) -> None:
    """
    Make the environment or bring it up to date.

    Parameters
    ----------
    again:
        Make it anew.

    Raises
    ------
    ScriptError
        Where a step fails.

    """
    set_up_beside(
        converter_directory(), 'TensorFlow', '1.6 GB, about a minute', REQUIREMENTS, again=again,
        advice='TensorFlow has wheels for Python 3.10 to 3.13.')


def set_up_beside(directory: Path, name: str, cost: str, requirements: Path, *,
                  again: bool = False, quiet: bool = False, advice: str = '') -> None:
    """
    Make an environment without ROS 2 beside the one that the scripts run in.

    Parameters
    ----------
    directory:
        Where.
    name:
        What it is made for.
    cost:
        What it takes, for the reader.
    requirements:
        The file that pins all of its packages.
    again:
        Make it anew.
    quiet:
        Say nothing where there is nothing to do.
    advice:
        What more to say where the packages can't be had.

    Raises
    ------
    ScriptError
        Where a step fails.

    """
    start = time.monotonic()
    with alone(directory.with_name(f'{directory.name}.lock')):
        if again or not (directory / 'bin' / 'python').exists():
            shutil.rmtree(directory, ignore_errors=True)
        stamps = Stamps(directory / '.setup')
        step = Step('packages', f'{name} in {directory} ({cost})', [requirements], [sys.version],
                    lambda broken_off: _install(directory, requirements, advice))
        if pending([step], stamps):
            run([step], stamps)
        elif not quiet:
            print(f'{name} is ready in {directory} '
                  f'(nothing to do, {time.monotonic() - start:.1f} s).')


def _install(directory: Path, requirements: Path, advice: str) -> None:
    """Install into an empty virtual environment, whatever was there before."""
    for name in ('bin', 'include', 'lib', 'lib64', 'share'):
        path = directory / name
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
    foreign = ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_USER')
    variables = {name: value for name, value in os.environ.items() if name not in foreign}
    variables.update(PIP_DISABLE_PIP_VERSION_CHECK='1', PYTHONNOUSERSITE='1')
    log = directory / 'log'
    # Not sys.executable: that one may lie in an environment that is to be made anew.
    python = getattr(sys, '_base_executable', None) or sys.executable
    call([python, '-m', 'venv', directory], log / 'venv.log', variables)
    call([directory / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', '--no-input', '--no-deps',
          '-r', requirements], log / 'pip.log', variables,
         advice='Is there a way to the package index? Start again when it is back: what was '
                f'downloaded is kept. {advice}'.strip())
