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

"""``label``: label recordings with a model, on one machine or on a cluster."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from ros2_classify.cli import EXIT_MODEL, EXIT_OK, say, show
from ros2_classify.errors import OptionsError

_EPILOG = """\
examples:
  label cards_detector drives/ -o labels              every core of this machine
  label best.onnx 'drives/*.mcap' -o labels --resume  go on after an interruption
  label best.onnx /data/drives -o /data/labels --engine dask --address tcp://head:8786
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'label', help='label recordings with a model, on one machine or on a cluster',
        description='Run a model on all images of recordings and write its results, piece by '
                    'piece. What is killed and started again loses and doubles nothing; a '
                    'damaged recording is reported and costs only its own labels.',
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', metavar='MODEL',
                        help='a name from "models list", a descriptor, or a model file')
    parser.add_argument(
        'sources', metavar='SOURCE', nargs='+',
        help='bags, videos, directories of images or of recordings, patterns')
    parser.add_argument('-o', '--output', required=True, metavar='DIR',
                        help='the directory to write; all workers must see it')
    parser.add_argument('--engine', choices=('local', 'dask', 'ray'), default='local',
                        help='who works (default: processes of this machine)')
    parser.add_argument('--address', dest='cluster', default='', metavar='A',
                        help="the scheduler's address (default: a cluster of this machine)")
    parser.add_argument('--workers', type=int, default=0, metavar='N',
                        help='processes on this machine; 0 (default) = one for each core')
    parser.add_argument('--resume', action='store_true',
                        help='keep the labels that are there, and add what is missing')
    parser.add_argument('--format', choices=('parquet', 'coco', 'mcap'), default='parquet',
                        help='of the labels (default: parquet)')
    parser.add_argument('--threshold', type=float, metavar='SCORE',
                        help='the least score (default: from the model)')
    parser.add_argument('--topic', default='', metavar='NAME', help='the image topic of bags')
    parser.add_argument('--provider', default='cpu', metavar='NAME',
                        help='execution provider of each worker (default: cpu)')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Label, print what became of the pieces; errors are raised."""
    from ros2_classify_evaluation.label.run import label

    if not 0 <= arguments.workers <= 10**4:
        raise OptionsError(f'--workers is {arguments.workers} but must be 0 to 10000')
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise OptionsError(f'--threshold is {arguments.threshold:g} but must be 0 to 1')
    terminal = sys.stderr.isatty()

    def tell(done: int, total: int) -> None:
        if terminal:
            print(f'\r{done} of {total} pieces', end='\n' if done == total else '',
                  file=sys.stderr, flush=True)

    found = label(
        arguments.model, arguments.sources, Path(arguments.output), engine=arguments.engine,
        cluster=arguments.cluster, workers=arguments.workers, resume=arguments.resume,
        form=arguments.format, topic=arguments.topic, threshold=arguments.threshold,
        provider=arguments.provider, progress=tell)
    new = [each for each in found.done if each.new and not each.problem]
    there = len(found.done) - len(new) - len(found.failed)
    show(f'{len(found.done)} pieces: {len(new)} labelled ({sum(each.images for each in new)} '
         f'images, {sum(each.rows for each in new)} labels), {there} were there, '
         f'{len(found.failed)} failed')
    if unreadable := sum(each.unreadable for each in new):
        say('warning', f'{unreadable} images cannot be read and have no labels')
    for each in found.failed:
        say('error', each.problem)
    return EXIT_MODEL if found.failed else EXIT_OK
