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

"""Run a module of the package in the environment, with processes of its own that it ends."""

from __future__ import annotations

from collections.abc import Sequence
import os
import signal
import subprocess
import sys

from environment import choose, command_in, ROOT, variables_for
from set_up import set_up
import shared_memory

# Seconds that the module has to end its processes when asked.
GRACE = 60.0


def run_module(words: Sequence[str]) -> int:
    """
    Run a module with the arguments of this program.

    Parameters
    ----------
    words:
        The module's name, and its first arguments.

    Returns
    -------
    int
        Its exit code.

    """
    environment = choose()
    if not {'-h', '--help'} & set(sys.argv[1:]):
        set_up(environment, quiet=True)
    variables = variables_for(environment)
    variables['PYTHONPATH'] = os.pathsep.join(
        filter(None, [str(ROOT), variables.get('PYTHONPATH')]))
    before = shared_memory.segments()
    process = subprocess.Popen(
        command_in(environment, [str(environment.python), '-m', *words, *sys.argv[1:]]),
        env=variables)
    try:
        return process.wait()
    except BaseException:
        # Ctrl-C has reached the module, too; a signal to this process alone has not.
        process.send_signal(signal.SIGTERM)
        process.wait(GRACE)
        raise
    finally:
        shared_memory.remove_left_behind(before)
