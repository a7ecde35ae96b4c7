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

"""Open a shell in the environment or run one program there."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile

from environment import choose, command_in, differs, Environment, main, variables_for
from set_up import set_up

USAGE = """\
usage: scripts/shell [PROGRAM [ARGUMENT …]]

Without arguments, open a shell in the environment; else run one program there, for example
  scripts/shell python -m ros2_classify server --ros-args -p model:=cards_detector
The environment is set up first if it is not ready.
"""


def start_shell(environment: Environment, variables: dict[str, str]) -> None:
    """Replace this process by an interactive bash."""
    names = ('PATH', 'VIRTUAL_ENV', 'AMENT_PREFIX_PATH', 'ROS_DISTRO')
    lines = ['[ -f ~/.bashrc ] && source ~/.bashrc']
    # The user's own start-up file comes first: it must not put another Python or ROS in front.
    lines += [f'export {name}={shlex.quote(variables[name])}' for name in names
              if name in variables]
    if environment.sourced:
        lines += [f'source {shlex.quote(str(environment.install / "local_setup.bash"))}',
                  'export PATH="$VIRTUAL_ENV/bin:$PATH"']
    lines += [f'PS1="(ros2_classify {environment.distro}) $PS1"']
    descriptor, path = tempfile.mkstemp(prefix='ros2_classify_', suffix='.bashrc')
    lines.append(f'rm -f {shlex.quote(path)}')
    with os.fdopen(descriptor, 'w') as file:
        file.write('\n'.join(lines) + '\n')
    print(f'{environment.title}. Leave with exit or Ctrl-D.')
    os.execvpe('bash', ['bash', '--rcfile', path, '-i'], variables)


def _main() -> int:
    command = sys.argv[1:]
    if command and command[0] in ('-h', '--help'):
        print(USAGE, end='')
        return 0
    environment = choose()
    set_up(environment, quiet=True)
    if problem := differs(environment):
        print(f'warning: {problem}', file=sys.stderr)
    variables = variables_for(environment)
    sys.stdout.flush()
    if not command:
        start_shell(environment, variables)
    command = command_in(environment, command)
    try:
        os.execvpe(command[0], command, variables)
    except OSError as error:
        print(f'{command[0]}: {error.strerror}', file=sys.stderr)
        return 127


if __name__ == '__main__':
    raise SystemExit(main(_main))
