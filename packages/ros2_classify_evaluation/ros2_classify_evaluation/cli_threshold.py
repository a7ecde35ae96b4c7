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


"""``models threshold``: choose score thresholds from labelled images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import datetime
import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import EXIT_OK, say, show
from ros2_classify.errors import OptionsError
from ros2_classify.limits import write_text
from ros2_classify_evaluation.cli import add_data, measure, open_data

if TYPE_CHECKING:
    from ros2_classify_evaluation.report import Report
    from ros2_classify_evaluation.thresholds import Row


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'threshold', help='choose score thresholds from labelled images',
        description='Choose the score thresholds of a model on labelled images, and say what '
                    'they give on images that did not choose them.')
    add_data(parser)
    parser.add_argument(
        '--for', dest='goal', default='f1', metavar='GOAL',
        help='f1 (default), precision=P or recall=R (reach it, with the greatest recall or '
             'precision), or cost=FP:FN, what a false alarm and a miss cost')
    parser.add_argument(
        '--per-class', action='store_true',
        help='one threshold for each class, drawn towards the common one; else one for all')
    parser.add_argument(
        '--force', action='store_true', help='also for classes with fewer than 50 examples')
    parser.add_argument('--write', metavar='FILE', help='write a descriptor with the thresholds')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Choose, print and write; errors are raised."""
    from ros2_classify_evaluation.thresholds import choose, LEAST_EXAMPLES, parse_goal, rare

    goal = parse_goal(arguments.goal)
    report = measure(arguments.model, open_data(arguments), arguments)
    found = report.predictions
    few = rare(found)
    if arguments.per_class and few and not arguments.force:
        listed = ', '.join(f'{name} ({count})' for name, count in few[:10])
        raise OptionsError(
            f'too few examples for a threshold of their own, {LEAST_EXAMPLES} at least: {listed}; '
            'label more images, leave out --per-class, or use --force')
    rows = {row.way: row for row in choose(found, goal)}
    chosen = rows['shrunk' if arguments.per_class else 'common']
    names = found.classes.names
    if arguments.json:
        print(json.dumps({
            'goal': goal.name, 'ways': {row.way: {
                'f1_on_these_images': round(row.chosen, 6),
                'f1_on_other_images': round(row.others, 6), 'low': round(row.low, 6),
                'high': round(row.high, 6), 'thresholds': _by_name(names, row.thresholds)}
                for row in rows.values()}, 'chosen': chosen.way}))
    else:
        show(f'{found.model} on {report.dataset["source"]}: thresholds for {goal.name}, macro F1')
        show('thresholds  images that chose  other images (95 %)')
        for row in rows.values():
            mark = '  <- chosen' if row is chosen else ''
            show(f'{row.way:<10}  {row.chosen:17.4f}  {row.others:.4f} ({row.low:.4f} to '
                 f'{row.high:.4f}){mark}')
        for name, value in _by_name(names, chosen.thresholds).items():
            show(f'  {name}: {value}')
    if chosen.others < rows['default'].others:
        say('warning', f'on images that did not choose them, the chosen thresholds give '
                       f'{chosen.others:.4f}, those of the model {rows["default"].others:.4f}: '
                       'keep the ones of the model')
    if arguments.write:
        _write(Path(arguments.write), arguments, report, chosen, goal.name)
        say('', f'wrote {arguments.write}')
    return EXIT_OK


def _by_name(names: Sequence[str], thresholds: Any) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(names, thresholds)}


def _write(path: Path, arguments: argparse.Namespace, report: Report, row: Row,
           goal: str) -> None:
    """Write the model's descriptor with other defaults, and where these come from."""
    from ros2_classify.model.catalog import resolve
    from ros2_classify.model.descriptor_writer import mapping_of
    import yaml

    data = mapping_of(resolve(arguments.model))
    place = data['source'].get('path')
    if place is not None:
        data['source']['path'] = str(_absolute(place, arguments.model))
    values = _by_name(report.predictions.classes.names, row.thresholds)
    defaults = data.setdefault('defaults', {})
    if arguments.per_class:
        defaults['class_thresholds'] = values
        defaults['score_threshold'] = min(values.values())
    else:
        defaults['score_threshold'] = round(float(row.thresholds[0]), 4)
    about = report.dataset
    header = (
        f'# Thresholds chosen on {datetime.date.today().isoformat()} for {goal}, from '
        f'{about["images"]} images of {about["source"]}\n'
        f'# ({row.way}): macro F1 {row.others:.4f} ({row.low:.4f} to {row.high:.4f}) on images '
        'that did not choose them.\n')
    try:
        write_text(path, header + yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise OptionsError(f'{path} cannot be written: {error.strerror}') from error


def _absolute(place: str, model: str) -> Path:
    from ros2_classify.model.catalog import resolve

    directory = resolve(model).directory
    return Path(place) if directory is None else (Path(directory) / place).absolute()
