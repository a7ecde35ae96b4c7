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

"""A first descriptor for a model file, with inferred settings marked for verification."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os
from pathlib import Path
import re
from typing import Any

from ros2_classify.decoders import DECODERS
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.engines.external_data import weight_files
from ros2_classify.errors import EngineError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.inspection.check import check_model, Report
from ros2_classify.limits import open_to_write
from ros2_classify.model.descriptor import ModelDescriptor, OutputSpec
from ros2_classify.model.descriptor_writer import mapping_of
from ros2_classify.model.files import request_for
from ros2_classify.paths import locate
import yaml

_WIDTH = 95
# Lists of names up to this length are on one line.
_FEW = 8
_DOCS = 'docs/descriptor.md'


def describe_model(
    model: str | Path | ModelDescriptor, directory: Path | None = None, *,
    fetch: FetchOptions | None = None,
) -> tuple[str, Report]:
    """Write a descriptor for a model."""
    report = check_model(model, provider='cpu', fetch=fetch)
    place = (directory or Path.cwd()).absolute()
    if report.descriptor is not None:
        return describe(report.descriptor, report, place), report
    if report.declared is None or not report.inputs:
        raise EngineError('; '.join(report.problems))
    return _skeleton(report.declared, report, place), report


def describe(descriptor: ModelDescriptor, report: Report, directory: Path) -> str:
    """Write a complete descriptor with comments."""
    data = mapping_of(_placed(descriptor, report, directory))
    inferred: dict[str, list[str]] = {}
    for setting in descriptor.inferred:
        inferred.setdefault(re.split(r'[.:]', setting, maxsplit=1)[0], []).append(setting)
    lines = _head(report)
    for key, value in data.items():
        if key in ('labels', 'input', 'output', 'heads', 'license'):
            lines.append('')
        lines += _comments('inferred: ', inferred.pop(key, []))
        if key == 'unverified':
            lines += ['', *_comments('', (
                'Nobody has confirmed these: compare with "models check --image FILE --label '
                'LABEL", then remove this line.',))]
        if key == 'input':
            lines += _comments('', (
                'tensor = (pixel * scale - mean) / std. Verify color, scale, mean, std and '
                'resize: a file does not contain them, and wrong ones give wrong results without '
                'an error.',))
        lines += _block(key, value)
    if not {'labels', 'heads'} & data.keys():
        lines += ['', *_comments('', (
            'labels: labels.txt    # a file with one name a line, or a list of names',))]
    lines += _comments('inferred: ', [text for texts in inferred.values() for text in texts])
    lines += [''] + _comments('verify: ', (*report.problems, *report.warnings))
    if not descriptor.license:
        lines += _comments('', ('license: ...          # of the weights',
                                'provenance: ...       # where they come from'))
    return '\n'.join(lines).rstrip('\n') + '\n'


def _placed(descriptor: ModelDescriptor, report: Report, directory: Path) -> ModelDescriptor:
    """Return the descriptor with paths relative to a directory, and with the sha256."""
    source, sha256 = descriptor.source, descriptor.source.sha256
    if source.member is None:
        # The sha256 of a member is not that of its archive.
        sha256 = report.sha256
    if not source.has_file:
        return _with_files(descriptor, directory)
    path = request_for(descriptor).path
    weights = source.weights
    if path is not None and source.member is None and report.onnx_path == path and report.onnx:
        weights = FrozenMapping({
            name: sha256_of_file(place)
            for name, place in weight_files(path, report.onnx).items() if place.is_file()})
    source = dataclasses.replace(
        source, path=_seen(path, directory) if path else '', sha256=sha256, weights=weights)
    return dataclasses.replace(
        _with_files(descriptor, directory), source=source,
        heads=tuple(_with_files(head, directory) for head in descriptor.heads))


def _with_files(descriptor: ModelDescriptor, directory: Path) -> ModelDescriptor:
    """Return the descriptor with the paths of labels and priors relative to a directory."""
    labels = descriptor.labels
    if isinstance(labels, str):
        labels = _seen(locate(labels, descriptor.directory, what='label file'), directory)
    return dataclasses.replace(descriptor, labels=labels, output=_output(descriptor, directory))


def _output(descriptor: ModelDescriptor, directory: Path) -> OutputSpec:
    """Return the output section; the file that the decoder's options name is placed too."""
    output = descriptor.output
    if output.decoder is None:
        return output
    decoder = DECODERS[output.decoder]
    file = decoder.file_of(decoder.parse_options(output.options))
    if file is None:
        return output
    found = locate(file, descriptor.directory, what=f'{decoder.file_key} file')
    return dataclasses.replace(output, options=FrozenMapping({
        **output.options, str(decoder.file_key): _seen(found, directory)}))


def _seen(path: Path, directory: Path) -> str:
    try:
        return str(path.absolute().relative_to(directory))
    except ValueError:
        return str(path.absolute())


def _skeleton(declared: ModelDescriptor, report: Report, directory: Path) -> str:
    """Write what is known if the outputs cannot be interpreted."""
    data = mapping_of(_placed(dataclasses.replace(
        declared, output=dataclasses.replace(
            declared.output, decoder=None, options=FrozenMapping({})), task=None),
        report, directory))
    lines = _head(report)
    for key in ('name', 'source', 'format', 'labels'):
        if key in data:
            lines += _block(key, data[key])
    lines += ['', *_comments('verify: ', report.problems), '']
    lines += [f'# The model takes {spec}' for spec in report.inputs]
    lines += [f'# The model gives {spec}' for spec in report.outputs]
    lines += _comments('', (
        f'Choose one of the decoders {", ".join(DECODERS)}; {_DOCS} describes them:',
        'input: {color: rgb, scale: 1/255}', f'output: {{decoder: {next(iter(DECODERS))}}}'))
    return '\n'.join(lines) + '\n'


def _head(report: Report) -> list[str]:
    onnx = report.onnx
    made = f', made by {onnx.producer}' if onnx and onnx.producer else ''
    name = report.file.name if report.file else report.model
    return _comments('', (
        f'How to use {name}{made}; {_DOCS} describes every key.',
        'Verify the settings marked as inferred, then delete the mark: they are not certain. '
        '"models check" compares this file with the model.')) + ['']


def _comments(mark: str, sentences: Sequence[str]) -> list[str]:
    """Return sentences as wrapped comments."""
    lines = []
    for sentence in sentences:
        line = '#'
        for word in f'{mark}{sentence}'.replace('\n', ' ').split(' '):
            if len(line) + 1 + len(word) > _WIDTH and line.strip('# '):
                lines.append(line)
                line = '#  '
            line += f' {word}'
        lines.append(line)
    return lines


def _block(key: str, value: Any) -> list[str]:
    """Return a key as one line, or with one line for each of its keys."""
    if isinstance(value, list) and len(value) > _FEW:
        return [f'{key}:', *(f'- {_plain(item)}' for item in value)]
    if isinstance(value, dict) and value:
        return [f'{key}:', *(f'  {_plain(inner)}: {_plain(item)}'
                             for inner, item in value.items())]
    return [f'{key}: {_plain(value)}']


def _plain(value: Any) -> str:
    """Return a value on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=float('inf'), allow_unicode=True, sort_keys=False)
    return text.removesuffix('...\n').strip()


def write_descriptor(text: str, path: Path, *, force: bool = False) -> None:
    """Write a descriptor file; FileExistsError unless `force`."""
    with open_to_write(os.path.expanduser(path), 'w' if force else 'x') as file:
        file.write(text)
