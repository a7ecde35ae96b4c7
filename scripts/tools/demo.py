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
Run the product's main job on what the repository ships, and judge the answers.

A camera node, the server and the client run as processes of their own and talk over DDS.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
import secrets
import signal
import subprocess
import sys
import time

from environment import choose, command_in, Environment, ROOT, ScriptError, variables_for
from set_up import set_up
import shared_memory
from steps import main

SCENES = ROOT / 'models' / 'scenes'
MODEL = 'cards_detector'
# Images a second: slow enough for any machine to work on each.
RATE = 4.0
# Seconds for everything to be up and all images to be answered; it takes five.
PATIENCE = 90.0
# Seconds a node has to end when asked.
GRACE = 10.0
LINES_SHOWN = 15


class DemoFailed(ScriptError):
    """A process failed, or an answer is missing or wrong."""

    code = 1


class Demo:
    """The processes of one run."""

    def __init__(self, environment: Environment, output: Path) -> None:
        self._environment = environment
        self._output = output
        self._variables = variables_for(environment)
        # Not to be heard by, nor to hear, any robot around.
        self._variables.update(
            ROS_DOMAIN_ID=str(1 + secrets.randbelow(101)),
            ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST', PYTHONUNBUFFERED='1',
            ROS_LOG_DIR=str(output / 'log' / 'ros'))
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """
        Run it all.

        Raises
        ------
        DemoFailed
            Where a process fails, or an answer is missing or wrong.

        """
        (self._output / 'log').mkdir(parents=True, exist_ok=True)
        print(f'ROS_DOMAIN_ID={self._variables["ROS_DOMAIN_ID"]}: camera, server and client as '
              'separate processes.')
        self._start_node('server', model=MODEL)
        watcher = self._start('watcher', [str(ROOT / 'scripts' / 'tools' / 'demo_watcher.py'),
                                          str(SCENES), str(self._output)], own_output=False)
        # Both the server and the watcher must listen before the first image.
        self._start_node('camera', source=SCENES, rate=RATE, wait_for_subscribers=2)
        print(f'The camera shows the {len(list(SCENES.glob("*.jpg")))} scenes of '
              f'{SCENES.relative_to(ROOT)}:')
        self._await('watcher', PATIENCE)
        self._stop('camera')
        if watcher.returncode != 0:
            raise DemoFailed('The demo failed: see above for the images without the right '
                             f'answer.{self._said("server")}')
        sent, annotated = sorted(SCENES.glob('*.jpg'))[0], self._output / 'client_test.jpg'
        annotated.unlink(missing_ok=True)
        self._client(f'The client sends {sent.name} and waits for the answer with its stamp:',
                     image=sent, output=annotated)
        self._client(f'The client asks about {sent.name} by service:',
                     image=sent, use_service='true')
        if not annotated.is_file():
            raise DemoFailed(f'The demo failed: the client wrote no {annotated}.')
        self._stop('server')

    def run_live(self, source: str) -> None:
        """
        Show what the server sees of a camera, until the camera ends or Ctrl-C is pressed.

        Parameters
        ----------
        source : str
            What the camera node takes: a webcam's number or device, a video, a directory, an image.

        Raises
        ------
        DemoFailed
            Where a process fails.

        """
        (self._output / 'log').mkdir(parents=True, exist_ok=True)
        self._start_node('server', model=MODEL)
        self._start('watcher', [str(ROOT / 'scripts' / 'tools' / 'demo_live.py'),
                                str(self._output)], own_output=False)
        self._start_node('camera', source=source, loop='false', wait_for_subscribers=1)
        print(f'The server looks at {source}; the newest annotated image is '
              f'{self._output / "live.jpg"}. Ctrl-C ends it.')
        try:
            self._await('camera', float('inf'), clean=True)
        except KeyboardInterrupt:
            print()
        for name in [*self._running]:
            self._stop(name)

    def end(self) -> None:
        """End whatever still runs."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            process.kill()
            process.wait()
        self._running.clear()

    def _client(self, title: str, **parameters: object) -> None:
        """Run the client once and print what it says."""
        print(title)
        process = self._start_node('client_test', timeout=30.0, **parameters)
        self._await('client_test', PATIENCE)
        for line in self._log('client_test').read_text(errors='replace').splitlines():
            print(f'  {line}')
        if process.returncode != 0:
            raise DemoFailed('The demo failed: the client got no answer (exit code '
                             f'{process.returncode}).{self._said("server")}')

    def _start_node(self, name: str, **parameters: object) -> subprocess.Popen[bytes]:
        """Start a node of the package with its parameters."""
        words = ['-m', 'ros2_classify', name, '--ros-args']
        for parameter, value in parameters.items():
            words += ['-p', f'{parameter}:={value}']
        return self._start(name, words)

    def _start(self, name: str, words: list[str],
               own_output: bool = True) -> subprocess.Popen[bytes]:
        """Start Python in the environment, with its output in a file of its own or shown."""
        command = command_in(self._environment, [str(self._environment.python), *words])
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self._log(name).open('wb')) if own_output else None
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._variables, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT if own_output else None, start_new_session=True)
        self._running[name] = process
        return process

    def _await(self, name: str, seconds: float, clean: bool = False) -> None:
        """Wait for a process to end; fail when one that should go on ends before."""
        deadline = time.monotonic() + seconds
        while self._running[name].poll() is None:
            for other, process in self._running.items():
                if other != name and process.poll() is not None:
                    raise DemoFailed(f'The demo failed: the {other} ended with exit code '
                                     f'{process.returncode}.{self._said(other)}')
            if time.monotonic() > deadline:
                raise DemoFailed(f'The demo failed: the {name} was not done after {seconds:.0f} '
                                 f's.{self._said("server")}')
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running[name].wait(0.2)
        code = self._running.pop(name).returncode
        if clean and code != 0:
            raise DemoFailed(f'The demo failed: the {name} ended with exit code {code}.'
                             f'{self._said(name)}')

    def _stop(self, name: str) -> None:
        """Ask a node to end as Ctrl-C does, and insist that it ends well."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGINT)
        try:
            code: int | None = process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != 0:
            raise DemoFailed(f'The demo failed: the {name} did not end cleanly (exit code '
                             f'{code}).{self._said(name)}')

    def _log(self, name: str) -> Path:
        return self._output / 'log' / f'{name}.log'

    def _said(self, name: str) -> str:
        """Return the end of what a process said, as a paragraph."""
        log = self._log(name)
        lines = log.read_text(errors='replace').splitlines() if log.is_file() else []
        if not lines:
            return ''
        return '\n'.join(['', f'The end of {log}:',
                          *(f'  | {line}' for line in lines[-LINES_SHOWN:])])


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog='scripts/demo', description='Run camera, server and client on the shipped images, '
                                         'and check what was seen.')
    parser.add_argument('--output', type=Path, default=ROOT / 'demo_output', metavar='FOLDER',
                        help='where the annotated images go (default: demo_output)')
    parser.add_argument('--source', metavar='SOURCE',
                        help='look at this instead, until Ctrl-C: a webcam (0), a video, a directory '
                             'or an image; nothing is checked')
    arguments = parser.parse_args()
    output, source = arguments.output.expanduser().absolute(), arguments.source
    if source is not None and not source.isdecimal():
        source = str(Path(source).expanduser().absolute())
    os.chdir(ROOT)
    environment = choose()
    set_up(environment, quiet=True)
    before = shared_memory.segments()
    demo = Demo(environment, output)
    try:
        if source is None:
            demo.run()
        else:
            demo.run_live(source)
    finally:
        demo.end()
        shared_memory.remove_left_behind(before)
    if source is None:
        print(f'All as expected. The annotated images are in {output}')
    return 0


if __name__ == '__main__':
    sys.exit(main(_main))
