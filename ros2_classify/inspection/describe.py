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

"""A descriptor to start from: what a file says, what is guessed, and what to look after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import os
from pathlib import Path
import re
from typing import Any

from ros2_classify.decoders import DECODERS
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import EngineError
from ros2_classify.inspection.check import check_model, Report
from ros2_classify.model.descriptor import FrozenMapping, InputSpec, ModelDescriptor
from ros2_classify.model.files import request_for
from ros2_classify.model.labels import Labels
from ros2_classify.paths import locate
import yaml

_WIDTH = 95
# Lists of names up to this length stand on one line.
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
    guesses: dict[str, list[str]] = {}
    for guess in descriptor.inferred:
        guesses.setdefault(re.split(r'[.:]', guess, maxsplit=1)[0], []).append(guess)
    lines = _head(report)
    for key, value in data.items():
        if key in ('labels', 'input', 'output', 'license'):
            lines.append('')
        lines += _comments('guessed: ', guesses.pop(key, []))
        if key == 'input':
            lines += _comments('', (
                'tensor = (pixel * scale - mean) / std. Verify color, scale, mean, std and '
                'resize: a file does not show them, and wrong ones give wrong answers without an '
                'error.',))
        lines += _block(key, value)
    if 'labels' not in data:
        lines += ['', *_comments('', (
            'labels: labels.txt    # a file with one name a line, or a list of names',))]
    lines += _comments('guessed: ', [text for texts in guesses.values() for text in texts])
    lines += [''] + _comments('verify: ', (*report.problems, *report.warnings))
    if not descriptor.license:
        lines += _comments('', ('license: ...          # what the weights may be used for',
                                'provenance: ...       # where they come from'))
    return '\n'.join(lines).rstrip('\n') + '\n'


def mapping_of(descriptor: ModelDescriptor) -> dict[str, Any]:
    """Return a descriptor as the plain data that a descriptor file holds."""
    source = {key: value for key, value in dataclasses.asdict(descriptor.source).items() if value}
    data: dict[str, Any] = {
        'name': descriptor.name, 'task': descriptor.task, 'source': source,
        'format': descriptor.format, 'labels': _labels(descriptor.labels),
        'input': _input(descriptor.input), 'output': {
            'decoder': descriptor.output.decoder, **thaw(descriptor.output.options)},
        'convert': {key: list(value) if isinstance(value, tuple) else value
                    for key, value in dataclasses.asdict(descriptor.conversion).items() if value},
        'defaults': {key: value for key, value in dataclasses.asdict(descriptor.defaults).items()
                     if value is not None},
        'license': descriptor.license, 'provenance': descriptor.provenance,
        'notes': descriptor.notes}
    if descriptor.output.decoder is None:
        del data['output']
    return {key: value for key, value in data.items() if value not in (None, '', {}, [])}


def thaw(value: Any) -> Any:
    """Return plain dictionaries and lists for those that can't change."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return [thaw(item) for item in value] if isinstance(value, (tuple, list)) else value


def _labels(labels: Labels | str | None) -> Any:
    if not isinstance(labels, Labels):
        return labels
    names = dict(labels.items())
    return list(names.values()) if labels.class_count is not None else names


def _input(spec: InputSpec) -> dict[str, Any]:
    """Return the keys that count, those that are defaults as well: they are what to look at."""
    data: dict[str, Any] = {
        'name': spec.name, 'size': list(spec.size) if isinstance(spec.size, tuple) else spec.size,
        'layout': spec.layout, 'dtype': spec.dtype, 'color': spec.color}
    if spec.dtype != 'uint8':
        data.update(scale='1/255' if spec.scale == 1 / 255 else spec.scale,
                    mean=list(spec.mean), std=list(spec.std))
    if spec.size != 'source':
        data['resize'] = spec.resize
    if spec.resize == 'center_crop':
        data['crop_fraction'] = spec.crop_fraction
    if spec.resize == 'letterbox':
        data.update(anchor=spec.anchor, pad_value=spec.pad_value)
    data['interpolation'] = spec.interpolation
    if spec.extra:
        data['extra'] = thaw(spec.extra)
    return {key: value for key, value in data.items() if value is not None}


def _placed(descriptor: ModelDescriptor, report: Report, directory: Path) -> ModelDescriptor:
    """Return the descriptor with paths as they are seen from a directory, and the sha256."""
    source, sha256 = descriptor.source, descriptor.source.sha256
    if source.member is None:
        # What a member is in has a sha256 of its own.
        sha256 = report.sha256
    path = request_for(descriptor).path
    source = dataclasses.replace(
        source, path=_seen(path, directory) if path else '', sha256=sha256)
    labels = descriptor.labels
    if isinstance(labels, str):
        labels = _seen(locate(labels, descriptor.directory, what='label file'), directory)
    return dataclasses.replace(descriptor, source=source, labels=labels)


def _seen(path: Path, directory: Path) -> str:
    try:
        return str(path.absolute().relative_to(directory))
    except ValueError:
        return str(path.absolute())


def _skeleton(declared: ModelDescriptor, report: Report, directory: Path) -> str:
    """Write what is known where nobody knows what the outputs mean."""
    data = mapping_of(_placed(dataclasses.replace(
        declared, output=dataclasses.replace(
            declared.output, decoder=None, options=FrozenMapping({})), task=None), report, directory))
    lines = _head(report)
    for key in ('name', 'source', 'format', 'labels'):
        if key in data:
            lines += _block(key, data[key])
    lines += ['', *_comments('verify: ', report.problems), '']
    lines += [f'# The model takes {spec}' for spec in report.inputs]
    lines += [f'# The model gives {spec}' for spec in report.outputs]
    lines += _comments('', (
        f'Choose one of the decoders {", ".join(DECODERS)}; {_DOCS} says what each expects:',
        'input: {color: rgb, scale: 1/255}', f'output: {{decoder: {next(iter(DECODERS))}}}'))
    return '\n'.join(lines) + '\n'


def _head(report: Report) -> list[str]:
    onnx = report.onnx
    made = f', made by {onnx.producer}' if onnx and onnx.producer else ''
    name = report.file.name if report.file else report.model
    return _comments('', (
        f'How {name} is used{made}; {_DOCS} has every key.',
        'What is marked as guessed is likely and no more: verify it, then delete the mark. '
        '"models check" compares this file with the model.')) + ['']


def _comments(mark: str, sentences: Sequence[str]) -> list[str]:
    """Return sentences as comments, broken at blanks."""
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
    """Return one key of the top: a line, or a mapping with a line for each key."""
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
    """Write a descriptor's file."""
    with open(os.path.expanduser(path), 'w' if force else 'x', encoding='utf-8') as file:
        file.write(text)
