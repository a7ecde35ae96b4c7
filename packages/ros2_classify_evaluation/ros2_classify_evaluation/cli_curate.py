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


"""``curate``: choose the images of recordings that are worth labelling."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from ros2_classify.cli import EXIT_OK, say, show, show_json
from ros2_classify.errors import OptionsError

_FORMATS = ('coco', 'yolo', 'voc', 'cvat', 'label-studio')


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'curate', help='choose the images of recordings that are worth labelling',
        description='Choose images of recordings for labelling: no near-duplicates, different '
                    'from each other, and those that the model is unsure of. A second run over '
                    'the same directory adds only what is new.')
    parser.add_argument('model', metavar='MODEL',
                        help='a name from "models list", a descriptor, or a model file')
    parser.add_argument('sources', metavar='SOURCE', nargs='+',
                        help='a directory, a video, a bag, a pattern such as "drives/*.mp4"')
    parser.add_argument('-o', '--output', required=True, metavar='DIR',
                        help='the directory to write, or to add to')
    parser.add_argument('-n', '--count', type=int, default=200, metavar='N',
                        help='the maximum number of images to add (default: %(default)s)')
    parser.add_argument(
        '--by', default='both', metavar='WAY',
        help='uncertain, diverse, both (default), or disagree=OTHER: where another model differs')
    parser.add_argument('--near', type=int, default=8, metavar='BITS',
                        help='images whose hashes of 64 bits differ in at most these are the same '
                             '(default: %(default)s)')
    parser.add_argument('--balance', action='store_true', help='prefer rare classes')
    parser.add_argument('--prelabel', type=float, default=0.3, metavar='SCORE',
                        help='write labels from this score (default: %(default)s)')
    parser.add_argument('--to', default='coco', metavar='FORMATS',
                        help=f'of the labels: {", ".join(_FORMATS)} (default: coco)')
    parser.add_argument('--topic', default='', metavar='NAME', help='the image topic of a bag')
    parser.add_argument('--seed', type=int, default=0, help='the same seed, the same choice')
    parser.add_argument('--provider', default='auto', metavar='NAME', help='execution provider')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Choose and write; errors are raised."""
    from ros2_classify_evaluation.curate.choose import WAYS
    from ros2_classify_evaluation.curate.run import curate, Plan

    by, _, other = arguments.by.partition('=')
    if by not in WAYS and not (by == 'disagree' and other):
        raise OptionsError(
            f'--by is {arguments.by!r} but must be {", ".join(WAYS)} or disagree=OTHER')
    formats = tuple(filter(None, arguments.to.split(',')))
    if unknown := [each for each in formats if each not in _FORMATS]:
        raise OptionsError(f'--to is {unknown[0]!r} but must be of {", ".join(_FORMATS)}')
    for name, least, most in (('count', 1, 10**6), ('near', 0, 63)):
        if not least <= getattr(arguments, name) <= most:
            raise OptionsError(
                f'--{name} is {getattr(arguments, name)} but must be {least} to {most}')
    if not 0 <= arguments.prelabel <= 1:
        raise OptionsError(f'--prelabel is {arguments.prelabel:g} but must be 0 to 1')
    plan = Plan(arguments.count, 'uncertain' if other else by, other, arguments.near,
                arguments.balance, arguments.prelabel, formats, arguments.seed,
                arguments.provider)
    terminal = sys.stderr.isatty()

    def tell(done: int) -> None:
        if terminal:
            print(f'\r{done} images seen', end='', file=sys.stderr, flush=True)

    outcome = curate(arguments.model, arguments.sources, Path(arguments.output), plan,
                     topic=arguments.topic, progress=tell, warn=lambda text: say('warning', text))
    if terminal:
        print(file=sys.stderr)
    if outcome.problem:
        say('warning', f'images are compared by their pixels: {outcome.problem}')
    if arguments.json:
        show_json({'output': arguments.output, 'seen': outcome.frames,
                   'different': outcome.different, 'added': outcome.added,
                   'total': outcome.total, 'problem': outcome.problem or None})
        return EXIT_OK
    show(f'{outcome.frames} images, {outcome.different} different, {outcome.added} added; '
         f'{arguments.output} has {outcome.total}')
    show(f'look at {arguments.output}/index.html')
    return EXIT_OK
