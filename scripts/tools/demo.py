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
Run camera, server and client on the sample images of the repository, and check the results.

They run as processes of their own and talk over DDS.
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

from environment import choose, command_in, Environment, main, ROOT, ScriptError, variables_for
from set_up import set_up

SAMPLES = ROOT / 'models/scenes'
MODEL = 'cards_detector'
# Images per second: slow enough for any machine to process each.
RATE = 4.0
# Seconds for all results to be there (it takes five), and for a node to end when asked.
TIMEOUT, GRACE = 90.0, 10.0
LINES_SHOWN = 15


class DemoFailed(ScriptError):
    """A process failed, or a result is missing or wrong."""

    code = 1

    def __init__(self, problem: str, log: Path) -> None:
        lines = log.read_text(errors='replace').splitlines() if log.is_file() else []
        super().__init__('\n'.join([f'error: the demo failed: {problem}.', *(
            [f'The end of {log}:'] if lines else []), *(
                f'  | {line}' for line in lines[-LINES_SHOWN:])]))


class Demo:
    """The processes of one run."""

    def __init__(self, environment: Environment, output: Path, model: str = MODEL) -> None:
        self._model = model
        self._environment = environment
        self._output = output
        self._variables = variables_for(environment)
        # Separate from any robot around, from tests and from benchmarks.
        self._variables.update(
            ROS_DOMAIN_ID=str(92 + secrets.randbelow(10)),
            ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST', PYTHONUNBUFFERED='1',
            ROS_LOG_DIR=str(output / 'log' / 'ros'))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        (output / 'log').mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """Run it all; DemoFailed if a process fails, or a result is missing or wrong."""
        print(f'ROS_DOMAIN_ID={self._variables["ROS_DOMAIN_ID"]}: camera, server and client as '
              'separate processes.')
        self._start_node('server', model=MODEL)
        watcher = self._start_watcher(str(SAMPLES))
        # Both the server and the watcher must listen before the first image.
        self._start_node('camera', source=SAMPLES, rate=RATE, wait_for_subscribers=2)
        print(f'The camera publishes the {len(list(SAMPLES.glob("*.jpg")))} images of '
              f'{SAMPLES.relative_to(ROOT)}:')
        self._await('watcher', TIMEOUT)
        self._stop('camera')
        if watcher.returncode != 0:
            raise DemoFailed('see above for the images without the right result',
                             self._log('server'))
        sent, annotated = sorted(SAMPLES.glob('*.jpg'))[0], self._output / 'client_test.jpg'
        annotated.unlink(missing_ok=True)
        self._client(f'The client publishes {sent.name} and waits for the result with its stamp:',
                     image=sent, output=annotated)
        self._client(f'The client calls the service with {sent.name}:',
                     image=sent, use_service='true')
        if not annotated.is_file():
            raise DemoFailed(f'the client wrote no {annotated}', self._log('client_test'))
        self._stop('server')

    def run_live(self, source: str) -> None:
        """Show what the server sees of a camera, until the camera ends or Ctrl-C is pressed."""
        # Ids and the line are of detectors; other models go without them.
        self._start_node('server', model=self._model, tracking='true',
                         event_lines="['line=0.0,0.6,1.0,0.6']")
        self._start_watcher()
        self._start_node('camera', source=source, loop='false', wait_for_subscribers=1)
        print(f'The server sees {source}; the newest annotated image is '
              f'{self._output / "live.jpg"}. Press Ctrl-C to stop.')
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
        """Run the client once and print its output."""
        print(title)
        process = self._start_node('client_test', timeout=30.0, **parameters)
        self._await('client_test', TIMEOUT)
        for line in self._log('client_test').read_text(errors='replace').splitlines():
            print(f'  {line}')
        if process.returncode != 0:
            raise DemoFailed(f'the client got no result (exit code {process.returncode})',
                             self._log('server'))

    def _start_node(self, name: str, **parameters: object) -> subprocess.Popen[bytes]:
        words = [word for each, value in parameters.items() for word in ('-p', f'{each}:={value}')]
        with self._log(name).open('wb') as log:
            return self._start(name, ['-m', 'ros2_classify', name, '--ros-args', *words], log)

    def _start_watcher(self, *words: str) -> subprocess.Popen[bytes]:
        program = str(ROOT / 'scripts' / 'tools' / 'demo_watcher.py')
        return self._start('watcher', [program, str(self._output), *words], None)

    def _start(self, name: str, words: list[str], output: object) -> subprocess.Popen[bytes]:
        """Start Python in the environment; without an output it writes to the terminal."""
        self._running[name] = subprocess.Popen(
            command_in(self._environment, [str(self._environment.python), *words]), cwd=ROOT,
            env=self._variables, stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=output, stderr=subprocess.STDOUT if output else None)  # type: ignore
        return self._running[name]

    def _await(self, name: str, seconds: float, clean: bool = False) -> None:
        """Wait for a process to end; fail if one of the others ends before."""
        deadline = time.monotonic() + seconds
        while self._running[name].poll() is None:
            for other, process in self._running.items():
                if other != name and process.poll() is not None:
                    raise DemoFailed(f'the {other} ended with exit code {process.returncode}',
                                     self._log(other))
            if time.monotonic() > deadline:
                raise DemoFailed(f'the {name} did not end within {seconds:.0f} s',
                                 self._log('server'))
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running[name].wait(0.2)
        code = self._running.pop(name).returncode
        if clean and code != 0:
            raise DemoFailed(f'the {name} ended with exit code {code}', self._log(name))

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
            raise DemoFailed(f'the {name} did not end cleanly (exit code {code})', self._log(name))

    def _log(self, name: str) -> Path:
        return self._output / 'log' / f'{name}.log'


def _video() -> tuple[str, str]:
    """Return a source with objects that move, and a model for it."""
    named = os.environ.get('ROS2_CLASSIFY_TEST_DATA')
    for data in [Path(named)] if named else [ROOT / 'shared/data', ROOT.parent / 'shared/data']:
        video = data / 'video/car-detection.mp4'
        if video.is_file() and (data / 'models/yolox_nano.onnx').is_file():
            os.environ['ROS2_CLASSIFY_MODEL_PATH'] = os.pathsep.join(
                str(path) for path in (data / 'models', data / 'labels'))
            return str(video), str(ROOT / 'test/descriptors/yolox_nano.yaml')
    return str(SAMPLES), 'cards_cascade'


def _watch(environment: Environment, model: str, source: str, words: list[str]) -> int:
    """Show a model on a source in the browser until Ctrl-C."""
    process = subprocess.Popen(
        command_in(environment, [str(environment.python), '-m', 'ros2_classify', 'watch',
                                 '--model', model, '--source', source, *words]),
        cwd=ROOT, env={**variables_for(environment), 'PYTHONUNBUFFERED': '1'})
    try:
        while True:
            try:
                code = process.wait()
                # Ctrl-C is the way to end it.
                return 0 if code == 130 else code
            except KeyboardInterrupt:
                # The terminal sends it to both.
                continue
    finally:
        process.terminate()


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog='scripts/demo', description='Run camera, server and client on the sample images, '
                                         'and check the results.')
    parser.add_argument('--output', type=Path, default=ROOT / 'demo_output', metavar='DIRECTORY',
                        help='where to write the annotated images (default: demo_output)')
    parser.add_argument('--source', metavar='SOURCE',
                        help='use this instead, until Ctrl-C: a webcam (0), a video, a directory '
                             'or an image; nothing is checked; "video": a video of cars with '
                             'YOLOX-nano where they are at hand, else the sample images with a '
                             'cascade; objects have ids and are counted at a line')
    parser.add_argument('--model', metavar='MODEL',
                        help=f'with --source or --watch: another model than {MODEL}')
    parser.add_argument('--watch', action='store_true',
                        help='show the model on the source in the browser instead, without ROS; '
                             'by default on the sample images')
    parser.add_argument('--no-browser', action='store_true', help='with --watch: only print the '
                                                                  'URL')
    arguments = parser.parse_args()
    if arguments.model and arguments.source is None and not arguments.watch:
        parser.error('--model needs --source or --watch: the results that are checked are those '
                     f'of {MODEL}')
    output, source = arguments.output.expanduser().absolute(), arguments.source
    if source == 'video' and not Path(source).exists():
        source, model = _video()
        arguments.model = arguments.model or model
    if source is not None and not source.isdecimal() and '://' not in source:
        source = str(Path(source).expanduser().absolute())
    model = arguments.model or MODEL
    if Path(model).expanduser().exists():
        model = str(Path(model).expanduser().absolute())
    os.chdir(ROOT)
    environment = choose()
    set_up(environment, quiet=True)
    if arguments.watch:
        return _watch(environment, model, source or str(SAMPLES),
                      ['--no-browser'] if arguments.no_browser else [])
    demo = Demo(environment, output, model)
    try:
        if source is None:
            demo.run()
            print(f'All as expected. The annotated images are in {output}')
        else:
            demo.run_live(source)
    finally:
        demo.end()
    return 0


if __name__ == '__main__':
    sys.exit(main(_main))
