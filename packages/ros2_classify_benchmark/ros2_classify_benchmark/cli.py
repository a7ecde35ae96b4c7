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


"""``bench``: measure the overhead of the node above the bare model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
import json
import math
import os
from pathlib import Path
import re
import shlex
import signal
import sys
import tempfile
import time
from typing import Any

from ros2_classify.cli import (
    add_old_name, EXIT_INTERRUPTED, EXIT_MODEL, EXIT_NO_ROS, EXIT_OK, say as say_message)
from ros2_classify.errors import InputError, OptionsError
from ros2_classify_benchmark.settings import ENCODINGS, Plan, QUICK, Settings, SHORTEST, TRANSPORTS
from ros2_classify_benchmark.shared_memory import removed

_DEFAULTS = Settings()
# The options that each mode uses; all use --json, --output and --keep. Others are errors, so that
# nobody believes that they have an effect.
_ANY = ('json', 'output', 'keep')
_WHAT = ('model', 'images', 'image_topic', 'provider', 'threads', 'encoding', 'parameters')
_USES = {
    'quick': (*_WHAT, 'rate', 'overload', 'size', 'transport', 'rounds', 'against', 'plot',
              'tuned'),
    'cameras': (*_WHAT, 'rate', 'overload', 'size', 'transport', 'rounds', 'quick'),
    'duration': (*_WHAT, 'rate', 'size', 'transport'),
    'regression': ('rounds',),
    'targets': (*_WHAT, 'overload', 'rounds', 'endurance', 'recorded', 'long_run', 'document'),
    'messages': (),
}
_EPILOG = """\
The node, a camera, a listener and the bare loop run in separate processes, in a ROS domain of
their own. Run it on an idle machine, and compare ratios, not times.

examples:
  bench                                         the shipped detector, about three minutes
  bench --quick --json                          within a minute
  bench --model yolox_nano --images drive.mp4 --size 1280x720 --plot latency.png
  bench --against plain                         and a plain rclpy node beside it
  bench --against plain-cpp                     and a node in C++ on ONNX Runtime
  bench --tuned                                 and our server as "models tune" recorded it
  bench --against 'my_node --ros-args -r image:={image} -r result:={result}'
  bench --cameras 4                             one server for four cameras, against four servers
  bench --duration 600 --size 1920x1080         is anything lost, does memory grow?
  bench --regression docs/benchmarks/guard.json  exit code 1 if a ratio has become worse
  bench --targets --output docs/benchmarks/targets.json --document docs/performance.md
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'bench', help='measure the overhead of the node above the bare model (needs ROS 2)',
        description='Measure latency, throughput, losses, CPU and memory of the server against '
                    'the bare model.', epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument('--quick', action='store_true', help='the main ratios within a minute')
    modes.add_argument(
        '--duration', type=_duration, metavar='SECONDS',
        help='one long run at the paced rate: losses and memory')
    modes.add_argument(
        '--regression', type=Path, metavar='FILE',
        help='repeat a recorded measurement and compare the ratios')
    add_old_name(modes, '--guard', '--regression', 'regression', type=Path)
    modes.add_argument(
        '--targets', action='store_true', help='all rows of docs/performance.md, ~20 minutes')
    modes.add_argument(
        '--messages', action='store_true', help='what results cost to build and publish')
    parser.add_argument(
        '--model', default=_DEFAULTS.model, metavar='MODEL',
        help='a name from the catalogue, a descriptor or a model file (default: %(default)s)')
    parser.add_argument(
        '--images', default='', metavar='SOURCE',
        help='an image, a directory, a video or a bag (default: the sample images)')
    add_old_name(parser, '--pictures', '--images', 'images')  # words: old
    parser.add_argument(
        '--image-topic', default='', metavar='TOPIC',
        help='image topic of a bag (default: the first one)')
    add_old_name(parser, '--pictures-topic', '--image-topic', 'image_topic')  # words: old
    parser.add_argument('--provider', default=_DEFAULTS.provider, metavar='NAME',
                        help='execution provider (default: auto)')
    parser.add_argument('--threads', type=_count(0), default=_DEFAULTS.threads, metavar='N',
                        help='CPU threads of an inference; 0 = automatic (default: 1)')
    parser.add_argument('--cameras', type=_count(1), default=1, metavar='N',
                        help='more than one: one server for all, against a server for each')
    parser.add_argument('--rate', type=_positive, default=_DEFAULTS.rate, metavar='HZ',
                        help='images a second of a paced run (default: 30)')
    parser.add_argument('--overload', type=_positive, default=_DEFAULTS.overload, metavar='TIMES',
                        help='rate of a saturating camera, as a multiple of that of the bare '
                             'loop (default: 2)')
    parser.add_argument('--size', type=_size, default=(640, 480), metavar='WIDTHxHEIGHT',
                        help='size of the images (default: 640x480)')
    parser.add_argument('--encoding', choices=ENCODINGS, default='bgr8')
    parser.add_argument('--transport', choices=TRANSPORTS, default='raw')
    parser.add_argument('-p', dest='parameters', action='append', default=[],
                        metavar='NAME:=VALUE', help='a parameter of the server; those '
                        'of engine and results count for the bare loop too')
    parser.add_argument('--rounds', type=_count(1), metavar='N',
                        help='alternations of node and bare loop (default: 5)')
    add_old_name(parser, '--turns', '--rounds', 'rounds', type=_count(1))
    parser.add_argument('--against', default='', metavar='COMMAND',
                        help='another node beside ours: a command with {image} and {result} for '
                             'its topics, "plain" or "plain-cpp"; see docs/performance.md')
    parser.add_argument('--tuned', action='store_true',
                        help='our server with the record of "models tune" and all its own '
                             'defaults beside the one with the given settings')
    parser.add_argument('--endurance', type=_positive, default=600.0, metavar='SECONDS',
                        help='with --targets: length of the endurance test (default: 600)')
    add_old_name(parser, '--soak', '--endurance', 'endurance', type=_positive)  # words: old
    parser.add_argument('--recorded', type=Path, metavar='FILE',
                        help='with --targets: the comparison with the predecessor, as --against '
                             'and --output wrote it')
    parser.add_argument('--long-run', type=Path, metavar='FILE',
                        help='with --targets: the long run as --duration and --output wrote it, '
                             'in place of one')
    parser.add_argument('--document', type=Path, metavar='FILE.md',
                        help='with --targets: write the table between the marks of this document')
    parser.add_argument('--json', action='store_true', help='one JSON object as the last line')
    parser.add_argument('--output', type=Path, metavar='FILE', help='write the JSON here, too')
    parser.add_argument('--plot', type=Path, metavar='FILE.png',
                        help='draw the distribution of the latencies (needs Matplotlib)')
    parser.add_argument('--keep', type=Path, metavar='DIRECTORY',
                        help='keep logs and data of the run in this directory')
    parser.set_defaults(run=run, usual=vars(parser.parse_args([])))


def run(arguments: argparse.Namespace) -> int:
    """Run the measurement; 1 if a ratio is worse than recorded, 3 without ROS 2."""
    if find_spec('rclpy') is None:
        say_message('error', f'bench needs ROS 2, but {sys.executable} cannot import rclpy; '
                    'source a ROS 2 installation, or use scripts/bench of a source tree')
        return EXIT_NO_ROS
    from ros2_classify_benchmark import modes, system as machine, targets

    _check_options(arguments)
    if arguments.tuned:
        if arguments.against:
            raise OptionsError('--tuned and --against exclude each other: give one of them')
        arguments.against = 'tuned'
    # Find errors of the outputs before the measurement.
    if arguments.plot:
        from ros2_classify_benchmark import plot
        plot.check(arguments.plot)
    if arguments.document:
        targets.around_table(arguments.document)
    for path in (arguments.output, arguments.plot):
        if path:
            _check_output(path)
    settings, plan = _settings(arguments), _plan(arguments)
    facts = {'machine': machine.machine(), 'versions': machine.versions()}
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f'[{time.monotonic() - begun:5.1f} s] {text}', file=sys.stderr, flush=True)

    try:
        with _terminated(), removed(), _directory(arguments.keep) as directory:
            outcome = modes.run(arguments, settings, plan, directory, say)
    except KeyboardInterrupt:
        say('interrupted')
        return EXIT_INTERRUPTED
    print(outcome.text)
    document = json.dumps({
        'command': _command(), 'mode': outcome.mode,
        'date': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        'seconds': round(time.monotonic() - begun, 1), **_first(outcome.result), **facts,
        'settings': asdict(outcome.settings),
        'plan': asdict(outcome.plan) if outcome.plan else None, **outcome.result})
    if arguments.output:
        arguments.output.write_text(document + '\n')
    if arguments.json:
        print(document)
    return EXIT_OK if outcome.passed else EXIT_MODEL


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise OptionsError if the mode does not use an option."""
    mode = next((name for name in ('regression', 'targets', 'duration', 'messages')
                 if getattr(arguments, name)), 'cameras' if arguments.cameras > 1 else 'quick')
    uses = {*_USES[mode], *_ANY, mode}
    for name, usual in arguments.usual.items():
        if name not in uses and getattr(arguments, name, usual) != usual:
            option = {'parameters': '-p'}.get(name, f'--{name.replace("_", "-")}')
            here = f'--{mode}' if mode != 'quick' else 'the usual measurement'
            others = [f'--{other}' if other != 'quick' else 'the usual measurement'
                      for other, taken in _USES.items() if name in taken or name == other]
            raise OptionsError(f'{option} has no meaning for {here}; it is for '
                               f'{" and ".join(others)}')


def _check_output(path: Path) -> None:
    """Create a file's directory; raise InputError if the file can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f'{path} cannot be written: {error.filename}: {error.strerror}') from error
    if path.is_dir():
        raise InputError(f'{path} cannot be written: it is a directory; name a file')
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f'{path} cannot be written: permission denied')


def _settings(arguments: argparse.Namespace) -> Settings:
    width, height = arguments.size
    return Settings(
        model=arguments.model, source=arguments.images,
        source_topic=arguments.image_topic, provider=arguments.provider,
        threads=arguments.threads, cameras=arguments.cameras, rate=arguments.rate, width=width,
        height=height, encoding=arguments.encoding, transport=arguments.transport,
        overload=arguments.overload, parameters=tuple(arguments.parameters))


def _plan(arguments: argparse.Namespace) -> Plan:
    rounds = arguments.rounds
    if not arguments.quick:
        return Plan(repetitions=rounds or Plan.repetitions)
    # More rounds take their time.
    more = max(1.0, rounds / QUICK.repetitions) if rounds else 1.0
    return replace(QUICK, repetitions=rounds or QUICK.repetitions, budget=QUICK.budget * more)


def _first(result: dict[str, Any]) -> dict[str, Any]:
    """Return the ratios, which come first in the JSON."""
    return {key: value for key, value in result.items() if key.endswith('_ratio')}


def _command() -> str:
    return f'python -m ros2_classify {shlex.join(sys.argv[1:])}'


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f'the directory {keep} cannot be made: {error.strerror}') from error
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix='ros2_classify_bench_') as name:
        yield Path(name)


@contextmanager
def _terminated() -> Iterator[None]:
    """
    Have SIGTERM end the run as Ctrl-C does: with all of its processes.

    Signals after the first don't break off the tidying up: `scripts/bench` passes Ctrl-C on.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A shell has jobs in the background ignore Ctrl-C.
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def stop(*_: object) -> None:
        for number in heard:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r'(\d+)x(\d+)', text)
    if not found or not all(0 < int(side) <= 16384 for side in found.groups()):
        raise argparse.ArgumentTypeError(f'{text!r} is not a size such as 640x480')
    return int(found.group(1)), int(found.group(2))


def _count(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of at least {least}')
        return int(text)

    return parse


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number above 0')
    return value


def _duration(text: str) -> float:
    value = _positive(text)
    if value < SHORTEST:
        raise argparse.ArgumentTypeError(
            f'{text!r} is too short: use at least {SHORTEST:g} seconds')
    return value
