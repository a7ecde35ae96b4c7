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

"""``models check`` and ``models describe``: inspect a model, write a descriptor for it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import (
    EXIT_MODEL, EXIT_OK, EXIT_UNVERIFIED, models_files as fetching, say, show, show_json,
    with_old_keys)
from ros2_classify.cli.infer import add_input, add_provider, add_remote, described

if TYPE_CHECKING:
    from ros2_classify.inspection import Report

_MODEL = ('a model file (.onnx, .pb, the directory of a SavedModel) or its URL, a descriptor '
          'file (.yaml), or a name from "models list"')
_MANY = 12


def add_parsers(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both verbs and their arguments."""
    parser = verbs.add_parser(
        'check', help='inspect a model and find its problems',
        description='Inspect a model, run it on test images and compare its outputs with its '
                    'descriptor. The exit code is 1 if there is a problem; with --strict, 3 if '
                    'anything that no file can tell is not verified.')
    parser.add_argument('model', metavar='MODEL', help=_MODEL)
    parser.add_argument('--image', metavar='FILE', help='also print the results for this image')
    parser.add_argument('--label', default='', metavar='LABEL',
                        help='label or class id of what the image shows: try every common kind '
                             'of preprocessing, and rank this class in each')
    parser.add_argument('--strict', action='store_true',
                        help='exit with 3 if anything is not verified')
    add_input(parser)
    add_provider(parser)
    add_remote(parser)
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    fetching.add_arguments(parser)
    parser.set_defaults(run=run_check)
    parser = verbs.add_parser(
        'describe', help='write a first descriptor for a model',
        description='Write a descriptor for a model file, with inferred settings marked for '
                    'verification.')
    parser.add_argument('model', metavar='MODEL', help=_MODEL)
    parser.add_argument('--output', metavar='FILE',
                        help='the .yaml file to write (default: print it)')
    parser.add_argument('--force', action='store_true', help='overwrite an existing file')
    parser.add_argument('--json', action='store_true',
                        help='print one JSON object: the descriptor, and its text')
    fetching.add_arguments(parser)
    parser.set_defaults(run=run_describe)


def run_check(arguments: argparse.Namespace) -> int:
    """Print a report on a model; 1 if it has a problem."""
    from ros2_classify.errors import OptionsError
    from ros2_classify.image_io import read_pixels
    from ros2_classify.inspection.check import check_model, summary

    if arguments.label and arguments.image is None:
        raise OptionsError('--label says what an image shows; give the image too: --image FILE')
    image = read_pixels(arguments.image) if arguments.image is not None else None
    report = check_model(described(arguments), image, label=arguments.label,
                         provider=arguments.provider, remote=arguments.remote,
                         fetch=fetching.options_of(arguments))
    if arguments.json:
        show_json(with_old_keys(summary(report)))
    else:
        for line in _page(report, arguments.image):
            show(line)
    if report.problems:
        return EXIT_MODEL
    unverified = (*(report.descriptor.unverified if report.descriptor else ()),
                  *report.unverified_stages)
    return EXIT_UNVERIFIED if unverified and arguments.strict else EXIT_OK


def run_describe(arguments: argparse.Namespace) -> int:
    """Write a descriptor; 1 if the outputs tell too little for a complete one."""
    from ros2_classify.errors import OptionsError
    from ros2_classify.inspection.describe import describe_model, write_descriptor

    path = None
    if arguments.output is not None:
        path = Path(os.path.expanduser(arguments.output))
        # Find these errors before the model is loaded.
        if path.exists() and not arguments.force:
            raise OptionsError(f'{path} exists; choose another name, or use --force')
        if path.suffix not in ('.yaml', '.yml'):
            raise OptionsError(f'{path} must end with .yaml, as descriptors do')
    text, report = describe_model(
        arguments.model, path.absolute().parent if path else None,
        fetch=fetching.options_of(arguments))
    if path is not None:
        try:
            write_descriptor(text, path, force=arguments.force)
        except OSError as error:
            raise OptionsError(f'{path} cannot be written: {error.strerror}') from error
    if arguments.json:
        _show_description(text, report, path)
    elif path is None:
        show(text, end='')
    else:
        show(f'wrote {path}; verify the settings marked as inferred, then: '
             f'python3 -m ros2_classify models check {path}')
    if report.descriptor is None:
        say('error', report.problems[0])
        return EXIT_MODEL
    return EXIT_OK


def _show_description(text: str, report: Report, path: Path | None) -> None:
    from ros2_classify.inspection.check import summary
    from ros2_classify.yaml_config import read_yaml

    data = summary(report)
    show_json({'model': data['model'], 'ok': not report.problems,
               'descriptor_file': None if path is None else str(path),
               'descriptor': read_yaml(text, 'the descriptor')[0], 'text': text,
               'inferred': data['inferred'],
               'unverified': data['unverified'], 'problems': data['problems']})


def _page(report: Report, image: str | None) -> list[str]:
    """Return the report for users, about a page at most."""
    from ros2_classify.inspection.check import summary

    data = summary(report)
    lines = [f'{data["model"]}', *_file(data), *_model(data), *_declared(data)]
    for seen in data['seen']:
        span = 'no numbers' if seen['low'] is None else f'{seen["low"]:.4g} to {seen["high"]:.4g}'
        lines.append(f'  seen        {seen["name"]} {seen["dtype"]} {seen["shape"]}, {span}')
    if report.result is not None:
        lines += [f'  result      for {image}:',
                  *(f'    {line}' for line in str(report.result).splitlines())]
    elif not report.problems:
        lines.append('  result      add an image to see it: --image photo.jpg')
    for word, texts in (('note', report.notes), ('warning', report.warnings),
                        ('problem', report.problems)):
        lines += [f'{word}: {text}' for text in texts]
    if report.variants:
        lines += ['  variants    how the label fares, by what the model is fed (--input):',
                  *(f'    {each}' for each in report.variants)]
    count = len(report.problems)
    if count:
        return [*lines, '1 problem' if count == 1 else f'{count} problems']
    unverified = ', '.join(data['unverified'])
    return [*lines, 'no problem found' if not unverified else
            f'nothing contradicts; NOT verified: {unverified}. No file tells them: compare with '
            '--image FILE --label LABEL, then declare them in a descriptor']


def _file(data: Any) -> list[str]:
    from ros2_classify.progress import human_size

    if data['file'] is None:
        return []
    lines = [f'  file        {data["file"]}',
             f'  format      {data["format"]}, {human_size(data["size"] or 0)}',
             f'  sha256      {data["sha256"] or "unknown"}']
    if data['descriptor_file'] not in (None, data['file']):
        lines.insert(0, f'  descriptor  {data["descriptor_file"]}')
    if data['onnx_file'] not in (None, data['file']):
        lines.append(f'  converted   {data["onnx_file"]}')
    return lines


def _model(data: Any) -> list[str]:
    lines = []
    if onnx := data['onnx']:
        opsets = ', '.join(f'{domain} {version}' for domain, version in onnx['opsets'].items())
        lines.append(f'  ONNX        IR {onnx["ir_version"]}, opset {opsets or "not given"}, by '
                     f'{onnx["producer"] or "an unnamed exporter"}')
        ranked = sorted(onnx['operators'].items(), key=lambda pair: -pair[1])
        rest = f' and {len(ranked) - _MANY} others' if len(ranked) > _MANY else ''
        lines.append(f'  nodes       {onnx["nodes"]}: ' + ', '.join(
            f'{name} {count}' for name, count in ranked[:_MANY]) + rest)
        if onnx['external_files']:
            lines.append(f'  weights in  {", ".join(onnx["external_files"])}')
    if data['provider']:
        lines.append(f'  runs on     {data["provider"]}')
    for key in ('inputs', 'outputs'):
        lines += [f'  {key[:-1]:10}  {spec["name"]} {spec["dtype"]} ['
                  + ', '.join('?' if dim is None else str(dim) for dim in spec['shape']) + ']'
                  for spec in data[key]]
    return lines


def _declared(data: Any) -> list[str]:
    descriptor = data['descriptor']
    if descriptor is None:
        return []
    lines = [f'  task        {descriptor["task"]}',
             f'  labels      {data["labels"] or "none"}']
    for key in ('input', 'output', 'defaults'):
        if key in descriptor:
            lines.append(f'  {key:10}  ' + ', '.join(
                f'{name} {value}' for name, value in descriptor[key].items() if name != 'name'))
    return lines + [f'  inferred    {setting}' for setting in data['inferred']]
