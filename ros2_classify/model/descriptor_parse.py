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

"""From plain data to a checked `ModelDescriptor`: every key, its range, and what contradicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
import re
from typing import Any, get_args

from ros2_classify.download.url import problem_with, redact
from ros2_classify.errors import DescriptorError, LabelsError, ModelNotFoundError
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.model.descriptor import (
    Anchor, Certainty, Color, ConversionSpec, Defaults, DType, Format, FrozenMapping, InputSpec,
    Interpolation, Layout, ModelDescriptor, OutputSpec, Resize, SAVED_MODEL_FILE, Size, Source,
    SUFFIXES, Task)
from ros2_classify.model.expected import read_expected
from ros2_classify.model.labels import Labels
from ros2_classify.paths import check_allowed
from ros2_classify.preprocess.extra_inputs import read_extra
from ros2_classify.yaml_config import as_integer, as_text, Fields, MAX_BYTES, read_yaml, Where

TASKS: tuple[Task, ...] = get_args(Task)
FORMATS: tuple[Format, ...] = get_args(Format)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
DTYPES: tuple[DType, ...] = get_args(DType)
COLORS: tuple[Color, ...] = get_args(Color)
RESIZES: tuple[Resize, ...] = get_args(Resize)
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)


MAX_SIDE = 16384
MAX_FILE_BYTES = 10**12

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,99}')
_SHA256 = re.compile(r'[0-9a-fA-F]{64}')


def read_descriptor(path: Path) -> ModelDescriptor:
    """
    Read a descriptor file; see `ros2_classify.model.descriptor.load_descriptor`.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    ModelDescriptor
        The descriptor, checked.

    """
    data, where = read_yaml(read_text(path), str(path))
    return parse_descriptor(data, where, name=path.stem, directory=path.absolute().parent)


def read_text(path: Path) -> str:
    """Return a descriptor file's text; the errors are those of `read_descriptor`."""
    check_allowed(path, 'descriptor file')
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DescriptorError(
                f'{path}: larger than {MAX_BYTES} bytes, so it is no descriptor; give a .yaml '
                'file')
        if not path.is_file() and not path.is_dir():
            # A device or a pipe may never end.
            raise DescriptorError(f'{path}: this is no plain file; give a .yaml file')
        return path.read_text(encoding='utf-8-sig')
    except FileNotFoundError:
        raise ModelNotFoundError(
            f'there is no descriptor file {path} (looked from {Path.cwd()}); check the path'
        ) from None
    except OSError as error:
        raise DescriptorError(f'{path}: cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise DescriptorError(
            f'{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8') from error


def parse_descriptor(
    data: object, where: Where, *, name: str, directory: Path,
) -> ModelDescriptor:
    """
    Check plain data and make a descriptor of it.

    Parameters
    ----------
    data : object
        What the YAML file holds: a mapping, or the error says so.
    where : Where
        The place, for errors.
    name : str
        The name where the data gives none; where this is empty too, the model file's stem.
    directory : Path
        Where relative paths are looked for first.

    Returns
    -------
    ModelDescriptor
        The descriptor, checked.

    Raises
    ------
    DescriptorError
        If a key is unknown, or a value doesn't fit.

    """
    return read_fields(Fields(data, where), name=name, directory=directory)


def read_fields(fields: Fields, *, name: str, directory: Path) -> ModelDescriptor:
    """Take a descriptor out of its fields; see `parse_descriptor`."""
    declared_name = fields.text('name', None)
    task = fields.choice('task', TASKS, None)
    source = _source(fields)
    format_ = fields.choice('format', FORMATS, None)
    labels = _labels(fields)
    input_ = _input(fields.section('input'))
    output = fields.section('output')
    conversion = _conversion(fields.section('convert'))
    defaults = _defaults(fields.section('defaults'))
    license_ = fields.text('license', '')
    provenance = fields.text('provenance', '')
    notes = fields.text('notes', '')
    expected = read_expected(fields.section('expected'))
    fields.finish()
    if source is None:
        raise fields.where.error('source is missing; say source: {path: model.onnx}')
    output_spec, task = _output(output, task, fields)
    format_ = format_ or _format_of(source, fields)
    _check_conversion(conversion, format_, fields)
    return ModelDescriptor(
        name=_name(fields, declared_name or name or PurePath(source.name).stem),
        source=source,
        task=task,
        format=format_,
        labels=labels,
        input=input_,
        output=output_spec,
        conversion=conversion,
        defaults=defaults,
        origin=fields.where.origin,
        directory=directory,
        license=license_,
        provenance=provenance,
        notes=notes,
        expected=expected)


def _name(fields: Fields, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise fields.error(
            'name', f'{name!r} must be 1 to 100 letters, digits, ".", "_" or "-", and start with '
            'a letter or digit')
    return name


def _source(fields: Fields) -> Source | None:
    if 'source' not in fields:
        fields.raw('source')
        return None
    if isinstance(path := fields.raw('source'), str):
        raise fields.error('source', f'{path!r} must stand below the key path; say source: '
                           f'{{path: {path}}}')
    source = fields.section('source')
    path = source.text('path', None)
    url = source.text('url', None)
    sha256 = source.text('sha256', None)
    member = source.text('member', None)
    size = source.integer('size', None, low=1, high=MAX_FILE_BYTES)
    certainty = source.choice('certainty', CERTAINTIES, None)
    source.finish()
    if (path is None) == (url is None):
        problem = 'path is missing' if path is None else 'path and url are both given; keep one'
        raise source.where.error(
            f'{problem}; say path: model.onnx, or url: https://… with its sha256')
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise source.error(
            'sha256', f'{sha256!r} must be 64 hexadecimal digits, as sha256sum prints them')
    if url is not None and (problem_found := problem_with(url)):
        raise source.error('url', f'{redact(url)} {problem_found}')
    if member is not None and (member.startswith('/') or '..' in member.split('/')):
        raise source.error(
            'member', f'{member!r} must lead into the archive or directory, without ".." and without '
            '"/" at its beginning')
    if certainty is not None and url is None:
        raise source.error(
            'certainty', 'says how sure an address is, but path is given; remove it')
    return Source(
        path or '', sha256.lower() if sha256 else None, url, member, size, certainty)


def _format_of(source: Source, fields: Fields) -> Format:
    if source.name == SAVED_MODEL_FILE:
        return 'saved_model'
    suffix = PurePath(source.name).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    raise fields.error(
        'format', f'is missing, and the suffix {suffix!r} of {source.name} does not tell; allowed '
        f'are {", ".join(FORMATS)}')


def _labels(fields: Fields) -> Labels | str | None:
    value = fields.raw('labels')
    where = fields.where.at('labels')
    if value is None or isinstance(value, str):
        return fields.text('labels', None)
    names: dict[int, str] = {}
    if isinstance(value, Mapping):
        for key, name in value.items():
            class_id = as_integer(key, where.at(key), low=0, high=10**6)
            names[class_id] = as_text(name, where.at(key))
    elif isinstance(value, Labels):
        return value
    else:
        for index, (name, place) in enumerate(fields.sequence('labels', [])):
            if as_text(name, place) != '???':
                names[index] = name
    try:
        return Labels(names)
    except LabelsError as error:
        raise where.error(str(error)) from error


def _input(fields: Fields) -> InputSpec:
    color: Color = fields.choice('color', COLORS, COLORS[0])
    channels = 1 if color == 'gray' else 3
    spec = InputSpec(
        name=fields.text('name', None),
        size=_size(fields),
        layout=fields.choice('layout', LAYOUTS, None),
        dtype=fields.choice('dtype', DTYPES, None),
        color=color,
        scale=fields.number('scale', 1.0, low=0, high=1e6, above=True),
        mean=fields.numbers('mean', (0.0,) * channels, count=channels, low=-1e6, high=1e6),
        std=fields.numbers('std', (1.0,) * channels, count=channels, low=0, high=1e6, above=True),
        resize=fields.choice('resize', RESIZES, 'stretch'),
        crop_fraction=fields.number('crop_fraction', 0.875, low=0, high=1, above=True),
        anchor=fields.choice('anchor', ANCHORS, 'center'),
        pad_value=fields.number('pad_value', 114.0, low=0, high=255),
        interpolation=fields.choice('interpolation', INTERPOLATIONS, 'area'),
        extra=FrozenMapping(read_extra(fields.section('extra'))))
    fields.finish()
    for key, resize in (('crop_fraction', 'center_crop'), ('anchor', 'letterbox'),
                        ('pad_value', 'letterbox')):
        if key in fields and spec.resize != resize:
            raise fields.error(
                key, f'only counts with resize: {resize}, but resize is {spec.resize}; change the '
                'one or remove the other')
    if spec.size == 'source' and spec.resize != 'stretch':
        raise fields.error(
            'resize', f'{spec.resize} needs a size, but size is source: the image keeps its '
            'own; remove resize or give a size')
    _check_units(spec, fields)
    return spec


def _check_units(spec: InputSpec, fields: Fields) -> None:
    """Refuse a mean and std that belong to another range of pixels than scale makes."""
    brightest = 255 * spec.scale
    if spec.scale == 1 and max(spec.std) < 1:
        raise fields.error(
            'std', f'{list(spec.std)} is for pixels from 0 to 1, but scale is 1 and pixels go up '
            'to 255; say scale: 1/255, or multiply mean and std by 255')
    if min(spec.mean) > brightest:
        raise fields.error(
            'mean', f'{list(spec.mean)} is more than the brightest pixel, {brightest:g} after '
            'scale: tensor = (pixel * scale - mean) / std; divide mean and std by 255, or remove '
            'scale')


def _size(fields: Fields) -> Size:
    value = fields.raw('size')
    where = fields.where.at('size')
    if value is None:
        return None
    if value == 'source':
        return 'source'
    items = fields.sequence('size', []) if isinstance(value, (list, tuple)) else []
    if len(items) != 2:
        raise where.error(
            f'{value!r} must be [width, height] in pixels, or source for the size of the image')
    width, height = (as_integer(item, place, low=1, high=MAX_SIDE) for item, place in items)
    if width * height > MAX_PIXELS:
        raise where.error(
            f'{width}x{height} are more than the {MAX_PIXELS} pixels that are allowed; give a '
            'smaller size')
    return width, height


def _output(output: Fields, task: Task | None, top: Fields) -> tuple[OutputSpec, Task | None]:
    """Check the decoder and its options; the task is the decoder's where none is declared."""
    # Imported where it is used: the decoders import OpenCV.
    from ros2_classify.decoders import DECODERS

    decoder = output.choice('decoder', tuple(DECODERS), None)
    options: dict[str, Any] = output.rest()
    if decoder is None:
        if options:
            raise output.where.error(
                f'decoder is missing beside {", ".join(options)}; allowed are '
                f'{", ".join(DECODERS)}')
        return OutputSpec(), task
    DECODERS[decoder].parse_options(options, output.where)
    decoder_task = DECODERS[decoder].task
    if task is not None and task != decoder_task:
        raise top.error(
            'task', f'{task} does not fit the decoder {decoder}, which is for {decoder_task}; '
            'change the one or the other')
    return OutputSpec(decoder, FrozenMapping(options)), decoder_task


def _conversion(fields: Fields) -> ConversionSpec:
    spec = ConversionSpec(
        inputs=_texts(fields, 'inputs'),
        outputs=_texts(fields, 'outputs'),
        signature=fields.text('signature', None),
        tolerance=fields.number('tolerance', None, low=0, high=1e6, above=True))
    fields.finish()
    return spec


def _texts(fields: Fields, key: str) -> tuple[str, ...]:
    return tuple(as_text(name, place) for name, place in fields.sequence(key, []))


def _check_conversion(spec: ConversionSpec, format_: Format, fields: Fields) -> None:
    """Refuse what means nothing for this format."""
    section = fields.section('convert')
    if format_ == 'onnx' and spec != ConversionSpec():
        raise fields.error(
            'convert', 'only counts for the formats frozen_graph and saved_model, but format is '
            'onnx; remove it or correct the format')
    for key, needed in (('inputs', 'frozen_graph'), ('outputs', 'frozen_graph'),
                        ('signature', 'saved_model')):
        if key in section and format_ != needed:
            raise section.error(
                key, f'only counts for the format {needed}, but format is {format_}; remove it')


def _defaults(fields: Fields) -> Defaults:
    defaults = Defaults(
        score_threshold=fields.number('score_threshold', None, low=0, high=1),
        top_k=fields.integer('top_k', None, low=1, high=10**6),
        nms_iou=fields.number('nms_iou', None, low=0, high=1),
        ioa_threshold=fields.number('ioa_threshold', None, low=0, high=1),
        max_detections=fields.integer('max_detections', None, low=1, high=10**6))
    fields.finish()
    return defaults
