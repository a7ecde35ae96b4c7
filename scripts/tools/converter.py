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

"""Make the environment that converts TensorFlow models; no ROS 2 is in it."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import sys
import time

from environment import converter_folder, ROOT
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
    folder = converter_folder()
    start = time.monotonic()
    with alone(folder.with_name(f'{folder.name}.lock')):
        if again or not (folder / 'bin' / 'python').exists():
            shutil.rmtree(folder, ignore_errors=True)
        stamps = Stamps(folder / '.setup')
        step = Step('packages', f'TensorFlow in {folder} (1.6 GB, about a minute)', [REQUIREMENTS],
                    [sys.version], lambda broken_off: _install(folder))
        if not pending([step], stamps):
            print(f'TensorFlow is ready in {folder} '
                  f'(nothing to do, {time.monotonic() - start:.1f} s).')
            return
        run([step], stamps)


def _install(folder: Path) -> None:
    """Install into an empty virtual environment, whatever was there before."""
    for name in ('bin', 'include', 'lib', 'lib64', 'share'):
        path = folder / name
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
    foreign = ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_USER')
    variables = {name: value for name, value in os.environ.items() if name not in foreign}
    variables.update(PIP_DISABLE_PIP_VERSION_CHECK='1', PYTHONNOUSERSITE='1')
    log = folder / 'log'
    # Not sys.executable: that one may lie in an environment that is to be made anew.
    python = getattr(sys, '_base_executable', None) or sys.executable
    call([python, '-m', 'venv', folder], log / 'venv.log', variables)
    call([folder / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', '--no-input', '--no-deps',
          '-r', REQUIREMENTS], log / 'pip.log', variables,
         advice='Is there a way to the package index? Start again when it is back: what was '
                'downloaded is kept. TensorFlow has wheels for Python 3.10 to 3.13.')
