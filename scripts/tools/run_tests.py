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

"""Run the test suite in the environment."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile

from environment import choose, command_in, ROOT, variables_for
from set_up import set_up
import shared_memory
from steps import main


def _main() -> int:
    environment = choose()
    set_up(environment, quiet=True)
    variables = variables_for(environment)
    # The tests of the nodes must run here: to leave them out would be to pass by doing nothing.
    variables['ROS2_CLASSIFY_TEST_ROS'] = '1'
    command = [str(environment.python), '-m', 'pytest', *sys.argv[1:]]
    before = shared_memory.segments()
    with tempfile.TemporaryDirectory(prefix='ros2_classify_test_') as directory:
        variables['ROS_LOG_DIR'] = str(Path(directory, 'ros'))
        # Ctrl-C goes to pytest as well, which ends by itself and cleans up. Where this program is
        # asked to end by a signal of its own, pytest is asked in the way that it cleans up after.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process = subprocess.Popen(
            command_in(environment, command), cwd=ROOT, env=variables,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
        code = process.wait()
    left = shared_memory.remove_left_behind(before)
    if left:
        print(f'Removed {len(left)} segments of shared memory that killed processes left behind.')
    return code if code >= 0 else 128 - code


if __name__ == '__main__':
    os.chdir(ROOT)
    raise SystemExit(main(_main))
