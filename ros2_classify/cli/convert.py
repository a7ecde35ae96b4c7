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

"""``models convert``: convert a TensorFlow model to ONNX ahead of time, on any machine."""

from __future__ import annotations

import argparse
from dataclasses import replace
import json
from pathlib import Path
import sys
from typing import Any

from ros2_classify.cli import EXIT_OK, show, show_json


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'convert', help='convert a TensorFlow model to ONNX',
        description='Convert a TensorFlow frozen graph or SavedModel to ONNX, compare its outputs '
                    'with those of TensorFlow, and write it with a report beside it. Robots '
                    'that run the file need no TensorFlow.')
    parser.add_argument(
        'model', metavar='MODEL',
        help='a name from "models list", a descriptor file (.yaml), a frozen graph (.pb), or the '
             'directory of a SavedModel')
    parser.add_argument(
        '--output', metavar='FILE',
        help='the .onnx file to write (default: only the cache)')
    parser.add_argument(
        '--input-tensors', type=_names, default=(), metavar='NAMES',
        help='frozen graph: names of the inputs, separated by commas (default: found)')
    parser.add_argument(
        '--output-tensors', type=_names, default=(), metavar='NAMES',
        help='frozen graph: names of the outputs, separated by commas (default: found)')
    parser.add_argument(
        '--signature', metavar='NAME',
        help='SavedModel: the signature to use (default: serving_default)')
    parser.add_argument(
        '--tolerance', type=_positive, metavar='X',
        help='maximum difference of the outputs (default: 1e-4)')
    parser.add_argument(
        '--image', type=Path, metavar='FILE',
        help='the image to compare outputs on (default: a generated one)')
    parser.add_argument(
        '--python', metavar='PROGRAM',
        help='the Python that has tensorflow and tf2onnx (default: '
             'ROS2_CLASSIFY_CONVERTER_PYTHON, or else this one)')
    parser.add_argument(
        '--timeout', type=_positive, default=1800.0, metavar='SECONDS',
        help='time limit (default: %(default)g)')
    parser.add_argument('--json', action='store_true', help='print the report as one JSON object')
    parser.set_defaults(run=run_convert)


def run_convert(arguments: argparse.Namespace) -> int:
    """Convert one model; 0 if its outputs equal those of TensorFlow."""
    from ros2_classify.convert.api import convert, export
    from ros2_classify.convert.options import ConvertOptions
    from ros2_classify.model.catalog import resolve
    from ros2_classify.model.files import model_file

    declared = resolve(arguments.model)
    conversion = replace(declared.conversion, **{
        name: value for name, value in (
            ('inputs', arguments.input_tensors), ('outputs', arguments.output_tensors),
            ('signature', arguments.signature), ('tolerance', arguments.tolerance)) if value})
    declared = replace(declared, conversion=conversion)
    progress = None if sys.stderr.isatty() else _Stages()
    done = convert(declared, model_file(declared), ConvertOptions(
        python=arguments.python, timeout=arguments.timeout, image=arguments.image,
        progress=progress))
    model, report_file = done.model, done.report
    if arguments.output:
        model, report_file = export(done, Path(arguments.output).expanduser())
    report = json.loads(done.report.read_text(encoding='utf-8'))
    if arguments.json:
        show_json({'model': str(model), 'report': str(report_file), 'log': str(done.log),
                   'from_cache': not done.fresh, **report})
        return EXIT_OK
    for line in _summary(report, fresh=done.fresh):
        show(line)
    show(f'{model}  (report: {report_file})')
    show(f'in a descriptor: source: {{path: {model.name}, sha256: {report["model_sha256"]}}}')
    return EXIT_OK


class _Stages:
    """Prints a line for each step if standard error is not a terminal."""

    def __init__(self) -> None:
        self._last = ''

    def __call__(self, text: str, done: bool) -> None:
        """Print a new step; the elapsed time does not make it new."""
        stage = text.rpartition(' (')[0]
        if not done and stage != self._last:
            self._last = stage
            show(stage, file=sys.stderr)


def _summary(report: dict[str, Any], *, fresh: bool) -> list[str]:
    """Return the lines of a report for users."""
    lines = [f'found: {sentence}' for sentence in report['found']]
    lines.append(f'inputs: {"; ".join(report["inputs"])}')
    lines.append(f'outputs: {", ".join(report["outputs"])}')
    checked = report['compared_with_tensorflow']
    lines.append('largest differences from TensorFlow: ' + ', '.join(
        f'{name} {value:g}' for name, value in checked['differences'].items()))
    versions = report['versions']
    seconds = sum(report['seconds'].values())
    lines.append(
        f'{"converted" if fresh else "from the cache, converted"} by tf2onnx '
        f'{versions["tf2onnx"]} with TensorFlow {versions["tensorflow"]} in {seconds:.0f} s and '
        f'{report["memory_mb"]} MB of memory')
    return lines


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(','))
    if not all(names):
        raise argparse.ArgumentTypeError(f'{text!r} has an empty name')
    return names


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number') from None
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} must be above 0')
    return value
