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
Go through a Dockerfile's steps in bare root file systems, where there is no engine for containers.

Each stage starts from a copy of one root file system, as debootstrap makes it. RUN steps are
executed with chroot, as their user and with their variables only; at the end ENTRYPOINT and CMD
are started, and HEALTHCHECK is repeated until it says yes. Needs root.

The steps get from the outside what a container would: /proc, /dev, an own /dev/shm, the
model; and what this machine needs to reach its package registries: name resolution,
certificates, and pip's variables. Nothing else of the machine is seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
import shlex
import shutil
import subprocess
import time

from check import source_files
from dockerfile import Instruction, Stage, stages
from environment import ROOT, ScriptError
from steps import main

CERTIFICATES = Path('/etc/ssl/certs/ca-certificates.crt')
INSIDE = '/run/certificates.crt'
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
LENT = ('PIP_DEFAULT_TIMEOUT', 'PIP_INDEX_URL', 'PIP_PROXY', 'http_proxy', 'https_proxy',
        'no_proxy')
# Instructions without effect on a file system that is already there.
IGNORED = ('ARG', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD')

ENTER = """
set -e
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o mode=1777,size=512m tmpfs "$ROOT/dev/shm"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/run"
touch "$ROOT/etc/resolv.conf" "$ROOT/run/certificates.crt"
mount --bind /etc/resolv.conf "$ROOT/etc/resolv.conf"
mount --bind "$CERTIFICATES" "$ROOT/run/certificates.crt"
"""
# The main process runs until the health check says yes, or for good where it never does.
LIVE = """
eval "$MAIN" &
main=$!
for second in $(seq "$SECONDS_TO_WAIT"); do
  if eval "$HEALTH"; then healthy=yes; break; fi
  kill -0 "$main" || break
  sleep 1
done
kill -TERM "$main"
wait "$main" && code=0 || code=$?
echo "the main process ended with exit code $code"
[ "${healthy:-}" = yes ] && [ "$code" = 0 ]
"""


@dataclass
class State:
    """What a stage's instructions have set so far."""

    root: Path
    user: str = '0'
    directory: str = '/'
    shell: list[str] = field(default_factory=lambda: ['/bin/sh', '-c'])
    variables: dict[str, str] = field(default_factory=lambda: {'PATH': PATH})


def command(state: State, words: list[str], lent: Mapping[str, str]) -> str:
    """Return the shell command that runs words in a root file system, with nothing of ours."""
    number, group, home = account(state.root, state.user)
    variables = {**lent, 'HOME': home, **state.variables}
    inside = f'cd {shlex.quote(state.directory)} && exec {shlex.join(words)}'
    return shlex.join([
        'chroot', f'--userspec={number}:{group}', f'--groups={group}', str(state.root),
        '/usr/bin/env', '-i', *(f'{name}={value}' for name, value in variables.items()),
        '/bin/sh', '-c', inside])


def account(root: Path, user: str) -> tuple[str, str, str]:
    """
    Return a user's number, group and home directory from a root file system's list of users.

    Raises
    ------
    ScriptError
        Where there is no such user.

    """
    for line in (root / 'etc/passwd').read_text().splitlines():
        name, _, number, group, _, home, _ = line.split(':')
        if user in (name, number):
            return number, group, home
    raise ScriptError(f'there is no user {user} in {root}')


class Rehearsal:
    """
    Runs the stages of one Dockerfile.

    Parameters
    ----------
    base:
        A root file system; it is copied and stays as it is.
    work:
        A directory for the copies.

    """

    def __init__(self, base: Path, work: Path) -> None:
        self._base = base
        self._work = work
        self._lent = {name: os.environ[name] for name in LENT if name in os.environ}
        self._lent.update(PIP_CERT=INSIDE)

    def run(self, all_stages: list[Stage]) -> None:
        """Run all stages, and start what the last one is made for."""
        state = None
        for stage in all_stages:
            state = self._stage(stage)
        if state is None:
            raise ScriptError('there is no FROM')
        self._start(state, all_stages[-1])

    def _stage(self, stage: Stage) -> State:
        self._work.mkdir(parents=True, exist_ok=True)
        root = self._work / stage.name
        print(f'== stage {stage.name}, from {self._base} for {stage.base}', flush=True)
        if root.exists():
            raise ScriptError(f'{root} exists; name another directory or remove it')
        call(['cp', '--archive', '--reflink=auto', str(self._base), str(root)])
        state = State(root)
        for step in stage.steps:
            self._step(state, step)
        return state

    def _step(self, state: State, step: Instruction) -> None:
        print(f'-- {step.name} {step.value}', flush=True)
        start = time.monotonic()
        if step.name == 'RUN':
            self._enter(state, command(state, [*state.shell, step.value], self._lent))
            print(f'   {time.monotonic() - start:.0f} s', flush=True)
        elif step.name == 'COPY':
            self._copy(state, step)
        elif step.name == 'ENV':
            state.variables.update(
                word.split('=', 1) for word in shlex.split(step.value))  # type: ignore[misc]
        elif step.name == 'USER':
            state.user = step.value
        elif step.name == 'WORKDIR':
            state.directory = step.value
            (state.root / step.value.lstrip('/')).mkdir(parents=True, exist_ok=True)
        elif step.name == 'SHELL':
            state.shell = step.words()
        elif step.name not in IGNORED:
            raise ScriptError(f'{step.name} is not understood')

    def _copy(self, state: State, step: Instruction) -> None:
        source, target = shlex.split(step.value)
        inside = Path(state.directory, target).as_posix().lstrip('/')
        if 'from' in step.flags:
            call(['cp', '--archive', str(self._work / step.flags['from'] / source.lstrip('/')),
                  str((state.root / inside).parent)])
        else:
            # Without an ignored file, as .dockerignore wants it.
            for path in source_files():
                copy = state.root / inside / path.relative_to(ROOT / source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
        if 'chown' in step.flags:
            number, group, _ = account(state.root, step.flags['chown'])
            call(['chown', '--recursive', f'{number}:{group}', str(state.root / inside)])

    def _start(self, state: State, stage: Stage) -> None:
        last = {step.name: step for step in stage.steps}
        program = [*last['ENTRYPOINT'].words(), *last['CMD'].words()]
        check = last['HEALTHCHECK'].value.partition('CMD ')[2]
        health = Instruction('HEALTHCHECK', {}, check.strip()).words()
        print(f'== {shlex.join(program)}\n   until {shlex.join(health)}', flush=True)
        self._enter(state, LIVE, {
            'MAIN': f'exec {command(state, program, self._lent)}',
            'HEALTH': command(state, health, self._lent), 'SECONDS_TO_WAIT': '60'})

    def _enter(self, state: State, script: str, extra: Mapping[str, str] | None = None) -> None:
        """Run a shell script beside the root file system, with its mounts; they end with it."""
        variables = {**os.environ, 'ROOT': str(state.root), 'CERTIFICATES': str(CERTIFICATES),
                     **(extra or {})}
        call(['unshare', '--mount', '--pid', '--fork', '--kill-child', 'bash', '-c',
              f'{ENTER}\n{script}'], variables)


def call(words: list[str], variables: Mapping[str, str] | None = None) -> None:
    """
    Run a program.

    Raises
    ------
    ScriptError
        Where it fails.

    """
    code = subprocess.run(words, env=None if variables is None else dict(variables),
                          check=False).returncode
    if code:
        raise ScriptError(f'failed with exit code {code}: {shlex.join(words[:6])} …')


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog='rehearse_image.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(__doc__ or '').strip())
    parser.add_argument('dockerfile', type=Path)
    parser.add_argument('--base', type=Path, required=True, metavar='FOLDER',
                        help='a root file system, such as debootstrap makes')
    parser.add_argument('--work', type=Path, required=True, metavar='FOLDER',
                        help='an empty directory for the copies of it')
    arguments = parser.parse_args()
    if os.geteuid():
        raise ScriptError('chroot and mounts need root')
    start = time.monotonic()
    Rehearsal(arguments.base.resolve(), arguments.work.resolve()).run(
        stages(arguments.dockerfile.read_text()))
    print(f'All steps passed and the health check said yes, after '
          f'{time.monotonic() - start:.0f} s.')
    return 0


if __name__ == '__main__':
    raise SystemExit(main(_main))
