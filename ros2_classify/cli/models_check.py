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

"""``models check`` and ``models describe``: what a file is, and a first descriptor for it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import EXIT_MODEL, EXIT_OK, fetching

if TYPE_CHECKING:
    from ros2_classify.inspection import Report

_MODEL = ('a model file (.onnx, .pb, the directory of a SavedModel) or its address, a descriptor '
          'file (.yaml), or a name from "models list"')
_MANY = 12


def add_parsers(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both verbs and their arguments."""
    parser = verbs.add_parser(
        'check', help='say what a model is and what is wrong with it',
        description='Look into a model, run it on test images and compare its outputs with its '
                    'descriptor. The exit code is 1 where something is wrong.')
    parser.add_argument('model', metavar='MODEL', help=_MODEL)
    parser.add_argument('--image', metavar='FILE', help='an image to answer for')
    parser.add_argument(
        '--provider', default='auto', metavar='NAME',
        help='who runs the model: auto (default), cpu, cuda, tensorrt and others')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    fetching.add_arguments(parser)
    parser.set_defaults(run=run_check)
    parser = verbs.add_parser(
        'describe', help='write a descriptor to start from',
        description='Write a descriptor for a model file: what the file says, what is guessed, '
                    'and what to verify.')
    parser.add_argument('model', metavar='MODEL', help=_MODEL)
    parser.add_argument('--output', metavar='FILE',
                        help='the .yaml file to write (default: print it)')
    parser.add_argument('--force', action='store_true', help='replace the file if there is one')
    fetching.add_arguments(parser)
    parser.set_defaults(run=run_describe)


def run_check(arguments: argparse.Namespace) -> int:
    """
    Check one model.

    Parameters
    ----------
    arguments : Namespace
        As the parser gives them.

    Returns
    -------
    int
        0, or 1 where something is wrong.

    """
    from ros2_classify.image_io import read_image
    from ros2_classify.inspection.check import check_model, summary

    image = read_image(arguments.image) if arguments.image is not None else None
    report = check_model(arguments.model, image, provider=arguments.provider,
                         fetch=fetching.options_of(arguments))
    if arguments.json:
        print(json.dumps(summary(report)))
    else:
        for line in _page(report, arguments.image):
            print(line)
    return EXIT_MODEL if report.problems else EXIT_OK


def run_describe(arguments: argparse.Namespace) -> int:
    """
    Write a descriptor.

    Parameters
    ----------
    arguments : Namespace
        As the parser gives them.

    Returns
    -------
    int
        0, or 1 where the outputs tell too little and something is left to be filled in.

    """
    from ros2_classify.errors import OptionsError
    from ros2_classify.inspection.describe import describe_model, write_descriptor

    path = None
    if arguments.output is not None:
        path = Path(os.path.expanduser(arguments.output))
        # Found before the model is loaded.
        if path.exists() and not arguments.force:
            raise OptionsError(f'{path} is there already; give another name, or --force')
        if path.suffix not in ('.yaml', '.yml'):
            raise OptionsError(f'{path} must end with .yaml: that tells a descriptor')
    text, report = describe_model(
        arguments.model, path.absolute().parent if path else None,
        fetch=fetching.options_of(arguments))
    if path is None:
        print(text, end='')
    else:
        try:
            write_descriptor(text, path, force=arguments.force)
        except OSError as error:
            raise OptionsError(f'{path} cannot be written: {error.strerror}') from error
        print(f'wrote {path}; verify what it marks as guessed, then: '
              f'python3 -m ros2_classify models check {path}')
    if report.descriptor is None:
        print(f'ros2_classify: {report.problems[0]}', file=sys.stderr)
        return EXIT_MODEL
    return EXIT_OK


def _page(report: Report, image: str | None) -> list[str]:
    """Return the report for people, at most about a page."""
    from ros2_classify.inspection.check import summary

    facts = summary(report)
    lines = [f'{facts["model"]}', *_file(facts), *_model(facts), *_declared(facts)]
    for seen in facts['seen']:
        span = 'no numbers' if seen['low'] is None else f'{seen["low"]:.4g} to {seen["high"]:.4g}'
        lines.append(f'  seen        {seen["name"]} {seen["dtype"]} {seen["shape"]}, {span}')
    if report.result is not None:
        lines += [f'  answer      for {image}:',
                  *(f'    {line}' for line in str(report.result).splitlines())]
    elif not report.problems:
        lines.append('  answer      give an image to see one: --image photo.jpg')
    for word, texts in (('note', report.notes), ('warning', report.warnings),
                        ('problem', report.problems)):
        lines += [f'{word}: {text}' for text in texts]
    count = len(report.problems)
    lines.append('no problem found' if not count else
                 '1 problem' if count == 1 else f'{count} problems')
    return lines


def _file(facts: Any) -> list[str]:
    from ros2_classify.progress import human_size

    if facts['file'] is None:
        return []
    lines = [f'  file        {facts["file"]}',
             f'  format      {facts["format"]}, {human_size(facts["size"] or 0)}',
             f'  sha256      {facts["sha256"] or "unknown"}']
    if facts['descriptor_file'] not in (None, facts['file']):
        lines.insert(0, f'  descriptor  {facts["descriptor_file"]}')
    if facts['network'] not in (None, facts['file']):
        lines.append(f'  converted   {facts["network"]}')
    return lines


def _model(facts: Any) -> list[str]:
    lines = []
    if onnx := facts['onnx']:
        opsets = ', '.join(f'{domain} {version}' for domain, version in onnx['opsets'].items())
        lines.append(f'  ONNX        IR {onnx["ir_version"]}, opset {opsets or "not given"}, by '
                     f'{onnx["producer"] or "an unnamed exporter"}')
        ranked = sorted(onnx['operators'].items(), key=lambda pair: -pair[1])
        rest = f' and {len(ranked) - _MANY} others' if len(ranked) > _MANY else ''
        lines.append(f'  nodes       {onnx["nodes"]}: ' + ', '.join(
            f'{name} {count}' for name, count in ranked[:_MANY]) + rest)
        if onnx['external_files']:
            lines.append(f'  weights in  {", ".join(onnx["external_files"])}')
    if facts['provider']:
        lines.append(f'  runs on     {facts["provider"]}')
    for key in ('inputs', 'outputs'):
        lines += [f'  {key[:-1]:10}  {spec["name"]} {spec["dtype"]} ['
                  + ', '.join('?' if dim is None else str(dim) for dim in spec['shape']) + ']'
                  for spec in facts[key]]
    return lines


def _declared(facts: Any) -> list[str]:
    descriptor = facts['descriptor']
    if descriptor is None:
        return []
    lines = [f'  task        {descriptor["task"]}',
             f'  labels      {facts["labels"] or "none"}']
    for key in ('input', 'output', 'defaults'):
        if key in descriptor:
            lines.append(f'  {key:10}  ' + ', '.join(
                f'{name} {value}' for name, value in descriptor[key].items() if name != 'name'))
    return lines + [f'  guessed     {guess}' for guess in facts['guesses']]
