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

"""Run an endurance test, hot swaps, or transitions, and print the report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import signal
import sys
import tempfile
from typing import Any

from ros2_classify.errors import Ros2ClassifyError
from ros2_classify_benchmark.shared_memory import removed

_OLD_NAME = 'soak'  # words: old


def main(words: Sequence[str] | None = None) -> int:
    """Run the program."""
    asked = _parser().parse_args(words)
    # Asked to end, it ends its processes first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from ros2_classify_benchmark.stress import runs

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with removed(), tempfile.TemporaryDirectory(prefix='ros2_classify_reliability_') as temporary:
        directory = Path(asked.keep or temporary)
        directory.mkdir(parents=True, exist_ok=True)
        try:
            if asked.run in ('endurance', _OLD_NAME):
                if asked.run == _OLD_NAME:
                    say(f'warning: {_OLD_NAME} is now endurance; the old name goes with the next '
                        'release')
                report = runs.endurance(directory, asked.minutes, asked.seed, say)
            elif asked.run == 'hostile':
                from ros2_classify_benchmark.stress.hostile import hostile
                report = hostile(directory, asked.minutes, asked.rate, asked.seed, say)
            elif asked.run == 'attacks':
                from ros2_classify_benchmark.stress.hostile import attacks
                report = attacks(directory, say)
            elif asked.run == 'swaps':
                report = runs.swaps(directory, asked.count, asked.seed, say)
            else:
                report = runs.transitions(directory, asked.count, say)
        except Ros2ClassifyError as error:
            say(str(error))
            return 1
    print(json.dumps(report.to_dict()) if asked.json else report)
    return 1 if report.complaints else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='scripts/reliability', description='Long runs of real nodes under faults.')
    runs = parser.add_subparsers(dest='run', required=True)

    def add(name: str, text: str, *aliases: str) -> Any:
        run = runs.add_parser(name, help=text, description=text, aliases=aliases)
        run.add_argument('--json', action='store_true', help='print the report as JSON')
        run.add_argument('--keep', metavar='DIRECTORY', help='keep logs and records there')
        return run

    run = add('endurance', 'a camera at 30 images a second while one fault follows the other',
              _OLD_NAME)
    run.add_argument('--minutes', type=float, default=3.0, help='how long (default 3)')
    run.add_argument('--seed', type=int, default=1, help='decides the order of the faults')
    run = add('hostile', 'impolite faults on the shipped model: a slow server, attacks, a full '
              'disk, a killed camera, no memory, no processor')
    run.add_argument('--minutes', type=float, default=10.0, help='how long (default 10)')
    run.add_argument('--rate', type=float, default=3.0, help='images a second (default 3)')
    run.add_argument('--seed', type=int, default=1, help='decides the order of the faults')
    add('attacks', 'all attacks of the tests on one server with 1 GiB of memory')
    run = add('swaps', 'hot swaps of the model under load; every third one must fail')
    run.add_argument('--count', type=int, default=200, help='how many (default 200)')
    run.add_argument('--seed', type=int, default=1, help='decides which models')
    run = add('transitions', 'configure, activate, deactivate, cleanup, again and again')
    run.add_argument('--count', type=int, default=10000, help='how many (default 10000)')
    return parser


if __name__ == '__main__':
    sys.exit(main())
