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


"""``evaluate``: measure a model on labelled images."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
import json
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import EXIT_MODEL, EXIT_OK, say, show
from ros2_classify.errors import OptionsError
from ros2_classify.limits import write_text

if TYPE_CHECKING:
    from ros2_classify_evaluation.compare import Comparison
    from ros2_classify_evaluation.datasets.base import Dataset
    from ros2_classify_evaluation.report import Report

_EPILOG = """\
examples:
  evaluate cards_detector cards/                      a model of the catalogue, any dataset
  evaluate best.onnx data.yaml --html report.html     the page has a slider for the threshold
  evaluate best.onnx instances_val.json --map motorbike=motorcycle
  evaluate best.onnx data/ --against best_int8.onnx --max-drop 0.01
  evaluate best.onnx data/ --fail-under map=0.8       exit code 1 if it is lower
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'evaluate', help='measure a model on labelled images of your own',
        description='Run a model on labelled images and print how right it is, class by class, '
                    'with intervals and what deceives.', epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data(parser)
    parser.add_argument(
        '--threshold', type=float, metavar='SCORE',
        help='the score from which results count, for precision, recall and the confusion '
             '(default: from the model); average precision needs none')
    parser.add_argument('--against', metavar='OTHER', help='another model, on the same images')
    parser.add_argument(
        '--provider', action='append', default=[], metavar='NAME',
        help='execution provider; a second one is compared with the first')
    parser.add_argument('--threads', type=int, default=0, metavar='N',
                        help='CPU threads of an inference; 0 (default) = automatic')
    parser.add_argument('--json', metavar='FILE', nargs='?', const='-',
                        help='write all numbers, without FILE (or with -) to standard output')
    parser.add_argument('--csv', metavar='FILE', help='write a table of the classes')
    parser.add_argument('--latex', metavar='FILE', help='write a table for booktabs')
    parser.add_argument('--html', metavar='FILE', help='write one page with all')
    parser.add_argument(
        '--fail-under', action='append', default=[], metavar='MEASURE=VALUE',
        help='exit code 1 if a measure is lower')
    parser.add_argument(
        '--max-drop', type=float, metavar='DROP',
        help='with a comparison: exit code 1 if the first measure falls by more')
    parser.set_defaults(run=run)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of model and dataset."""
    parser.add_argument('model', metavar='MODEL',
                        help='a name from "models list", a descriptor, or a model file')
    parser.add_argument(
        'data', metavar='DATA',
        help='a directory with one directory for each class, a CSV table, a COCO JSON file, a '
             'YOLO data.yaml, a Pascal VOC directory, a MOT Challenge directory, '
             'or a bag with labels')
    parser.add_argument('--format', default='auto', metavar='FORMAT',
                        choices=('auto', 'directories', 'csv', 'coco', 'yolo', 'voc', 'bag', 'mot',
                                 'folders'),  # words: old
                        help='directories, csv, coco, yolo, voc, bag or mot (default: found out)')
    parser.add_argument('--topic', default='', metavar='T', help='the image topic of a bag')
    parser.add_argument(
        '--labels-topic', default='', metavar='T',
        help='the topic of a bag with Detection2DArray or Classification messages, which are '
             'the truth; each belongs to the image with its stamp')
    parser.add_argument(
        '--map', action='append', default=[], metavar='NAME=NAME',
        help='a class of the dataset, and what the model calls it; nothing drops it')


def open_data(arguments: argparse.Namespace) -> Dataset:
    """Open the dataset that the arguments of `add_data` name."""
    from ros2_classify_evaluation.datasets import open_dataset

    return open_dataset(arguments.data, arguments.format, topic=arguments.topic,
                        labels_topic=arguments.labels_topic)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print and write; errors are raised."""
    from ros2_classify_evaluation.compare import compare

    least = _limits(arguments.fail_under)
    if len(arguments.provider) > 2 or (len(arguments.provider) == 2 and arguments.against):
        raise OptionsError('compare two things: --against OTHER, or two --provider')
    compared = bool(arguments.against) or len(arguments.provider) == 2
    if arguments.max_drop is not None and not compared:
        raise OptionsError('--max-drop needs something to compare with: --against or a second '
                           '--provider')
    for name in ('json', 'csv', 'latex', 'html'):
        if (path := getattr(arguments, name)) not in (None, '-'):
            _check_directory(path)
    dataset = open_data(arguments)
    providers = [*arguments.provider, *(['auto'] if not arguments.provider else [])]
    report = measure(arguments.model, dataset, arguments, providers[0])
    comparison = None
    if compared:
        other = measure(arguments.against or arguments.model, dataset, arguments, providers[-1])
        comparison = compare(report, other)
    _write(report, comparison, arguments)
    return _verdict(report, comparison, least, arguments.max_drop)


def measure(model: str, dataset: Dataset, arguments: argparse.Namespace,
            provider: str = 'auto') -> Report:
    """Load a model, run it on a dataset, and measure."""
    from ros2_classify import Pipeline
    from ros2_classify_evaluation.identity import model_sha256
    from ros2_classify_evaluation.names import parse_map
    from ros2_classify_evaluation.predict import predict
    from ros2_classify_evaluation.report import make_report

    threads = getattr(arguments, 'threads', 0)
    with ExitStack() as stack:
        pipeline: Pipeline[Any] = stack.enter_context(
            Pipeline.load(model, provider=provider, threads=threads))
        if unverified := pipeline.descriptor.unverified:
            say('warning', f'not verified: {", ".join(unverified)}: the model file does not say '
                           'it; numbers below 0.5 may come from that alone (see models check)')
        found = predict(pipeline, dataset, parse_map(arguments.map), progress=_progress(),
                        threshold=getattr(arguments, 'threshold', None))
        found.sha256 = model_sha256(model)
    return make_report(found, dataset)


def _progress() -> Any:
    """Return what shows how far it is, on a terminal only."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def tell(done: int, total: int) -> None:
        print(f'\r{done} of {total} images', end='\n' if done == total else '', file=sys.stderr,
              flush=True)
    return tell


def _check_directory(path: str) -> None:
    if not Path(path).absolute().parent.is_dir():
        raise OptionsError(f'{path} cannot be written: its directory does not exist; create it')


def _limits(pairs: list[str]) -> dict[str, float]:
    limits = {}
    for pair in pairs:
        name, _, value = pair.partition('=')
        try:
            limits[name] = float(value)
        except ValueError:
            raise OptionsError(
                f'--fail-under is {pair!r} but must be MEASURE=VALUE, such as map=0.8') from None
    return limits


def _write(report: Report, comparison: Comparison | None, arguments: argparse.Namespace) -> None:
    from ros2_classify_evaluation.page import to_html
    from ros2_classify_evaluation.tables import to_csv, to_latex, to_text

    data = report.to_dict()
    if comparison is not None:
        data['against'] = comparison.to_dict()
    if arguments.json == '-':
        print(json.dumps(data))
    else:
        show(to_text(report))
        if comparison is not None:
            other = comparison.other.predictions
            show(f'\n{other.model} on {other.provider}, less {report.predictions.model} on '
                 f'{report.predictions.provider}:\n{comparison}')
    for warning in report.warnings:
        say('warning', warning)
    texts: dict[str, Callable[[], str]] = {
        'json': lambda: json.dumps(data, indent=1) + '\n', 'csv': lambda: to_csv(report),
        'latex': lambda: to_latex(report), 'html': lambda: to_html(report, comparison)}
    for name, make in texts.items():
        path = getattr(arguments, name)
        if path not in (None, '-'):
            try:
                write_text(path, make())
            except OSError as error:
                raise OptionsError(f'{path} cannot be written: {error.strerror}') from error
            say('', f'wrote {path}')


def _verdict(report: Report, comparison: Comparison | None, least: dict[str, float],
             max_drop: float | None) -> int:
    """Return the exit code, and say why it is not 0."""
    code = EXIT_OK
    for name, limit in least.items():
        if name not in report.measures:
            raise OptionsError(
                f'--fail-under names {name}, but the measures are '
                f'{", ".join(report.measures)}')
        value = report.measures[name].value
        # Not defined is not enough.
        if not value >= limit:
            say('error', f'{name} is {value:.4f}, below {limit:g}')
            code = EXIT_MODEL
    if comparison is not None and max_drop is not None:
        name, difference = comparison.headline
        if not -difference.value <= max_drop:
            say('error', f'{name} falls by {-difference.value:.4f}, more than {max_drop:g}')
            code = EXIT_MODEL
    return code
