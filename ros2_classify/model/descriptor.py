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

"""
Model descriptors: dataclasses, and the parser of descriptor files.

Settings that a descriptor doesn't declare are ``None`` until
`ros2_classify.autoconfig.complete.complete` infers them from the model file: task, format,
decoder, and the input's name, size, layout and data type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path, PurePath
import re
from typing import Any, get_args, Literal, Union

from ros2_classify.download.url import problem_with, redact
from ros2_classify.errors import DescriptorError, LabelsError, ModelNotFoundError
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.model.expected import Expected, read_expected
from ros2_classify.model.labels import Labels, load_labels
from ros2_classify.paths import check_allowed, locate
from ros2_classify.yaml_config import (
    as_integer, as_number, as_text, Fields, MAX_BYTES, new_spelling, read_yaml, Where)

Task = Literal['classification', 'detection', 'segmentation']
Format = Literal['onnx', 'frozen_graph', 'saved_model']
Layout = Literal['nchw', 'nhwc']
DType = Literal['float32', 'float16', 'uint8']
Color = Literal['rgb', 'bgr', 'gray']
Resize = Literal['stretch', 'center_crop', 'letterbox']
Anchor = Literal['center', 'top_left']
Interpolation = Literal['area', 'pyramid', 'linear', 'nearest', 'cubic']
Nms = Literal['none', 'per_class', 'class_agnostic']
Certainty = Literal['quoted_with_sha256', 'quoted', 'inferred']
Size = Union[tuple[int, int], Literal['source'], None]

SizeWord = Literal['input_size_hw', 'input_size_wh', 'source_size_hw', 'source_size_wh']
SIZES: tuple[SizeWord, ...] = (
    'input_size_hw', 'input_size_wh', 'source_size_hw', 'source_size_wh')
# Accepted for one more release.
OLD_SIZES: dict[str, SizeWord] = {
    'network_size_hw': 'input_size_hw', 'network_size_wh': 'input_size_wh'}  # words: old
Value = Union[SizeWord, tuple[float, ...]]
# Inputs of published models, with values that give boxes in model pixels.
USUAL: dict[str, Value] = {
    'image_shape': 'input_size_hw', 'orig_target_sizes': 'input_size_wh',
    'im_shape': 'input_size_hw', 'scale_factor': (1.0, 1.0)}

# Formats by suffix; a SavedModel is a directory with the file SAVED_MODEL_FILE.
SUFFIXES: dict[str, Format] = {'.onnx': 'onnx', '.pb': 'frozen_graph'}
SAVED_MODEL_FILE = 'saved_model.pb'


class FrozenMapping(Mapping[str, Any]):
    """An immutable, hashable mapping; lists become tuples."""

    __slots__ = ('_values',)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {key: _freeze(value) for key, value in values.items()}

    def __getitem__(self, key: str) -> Any:
        """Return one value."""
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._values)

    def __hash__(self) -> int:
        """Return a hash of all pairs."""
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        """Return the mapping as a dict would."""
        return repr(self._values)


def _freeze(value: Any) -> Any:
    if isinstance(value, Mapping):
        return FrozenMapping(value)
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item) for item in value)
    return value


@dataclass(frozen=True)
class Source:
    """Where the model's file is: either a path or a URL."""

    # Absolute, with ``~``, or relative to the descriptor's directory or the search path.
    path: str = ''
    # Of the file, archive or directory; 64 lower-case hexadecimal digits; required for a URL.
    sha256: str | None = None
    url: str | None = None  # https, http or file
    member: str | None = None  # the file or directory to take from an archive or a directory
    size: int | None = None  # bytes of the file at ``url``
    # For a URL that nobody has fetched: found in a public repository with this sha256, found
    # without it, or inferred from similar URLs.
    certainty: Certainty | None = None

    @property
    def name(self) -> str:
        """The name of the model's file or directory, which shows its format."""
        if self.url and not self.member:
            from ros2_classify.download.url import file_name
            return file_name(self.url)
        return (self.member or self.path).rstrip('/').rpartition('/')[2]


@dataclass(frozen=True)
class InputSpec:
    """How pixels become the model's input: ``tensor = (pixel * scale - mean) / std``."""

    name: str | None = None  # the input tensor; None means the graph's only one
    size: Size = None  # (width, height); 'source': the image's own size; None: the graph's
    layout: Layout | None = None  # None means by the graph's shape
    dtype: DType | None = None  # None means the graph's
    color: Color = 'rgb'  # the order of the tensor's channels
    scale: float = 1.0  # pixels, 0 to 255, are multiplied by it
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # one for each channel, in the order of ``color``
    std: tuple[float, ...] = (1.0, 1.0, 1.0)  # one for each channel, in the order of ``color``
    resize: Resize = 'stretch'  # how the image is resized
    crop_fraction: float = 0.875  # for center_crop: the part of the short side that is used
    anchor: Anchor = 'center'  # for letterbox: position of the image
    pad_value: float = 114.0  # for letterbox: value around the image, 0 to 255
    # 'area' averages when shrinking and is linear when enlarging; 'pyramid' halves by averaging,
    # then is linear: close to 'area' in a fraction of its time.
    interpolation: Interpolation = 'area'
    # The model's other inputs by name: a word of SIZES, or numbers.
    extra: FrozenMapping = field(default_factory=lambda: FrozenMapping({}))

    @property
    def channels(self) -> int:
        """The number of colour channels: 1 for gray, 3 else."""
        return 1 if self.color == 'gray' else 3


@dataclass(frozen=True)
class OutputSpec:
    """What the model's outputs mean."""

    decoder: str | None = None  # a name in DECODERS; None means by the outputs' shapes
    # The decoder's options, checked by ``DECODERS[decoder].parse_options``.
    options: FrozenMapping = field(default_factory=lambda: FrozenMapping({}))
    nms: Nms | None = None  # None means as the decoder's models need it


@dataclass(frozen=True)
class ConversionSpec:
    """How a TensorFlow model is converted to ONNX."""

    # Tensors of a frozen graph, with or without ``:0``; empty means inferred.
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    signature: str | None = None  # of a SavedModel; None: ``serving_default``, or the only one
    tolerance: float | None = None  # maximum difference to TensorFlow; None means 1e-4


@dataclass(frozen=True)
class Defaults:
    """Thresholds and limits for this model; None means the package's default. See `Options`."""

    score_threshold: float | None = None
    top_k: int | None = None
    nms_iou: float | None = None
    ioa_threshold: float | None = None
    max_detections: int | None = None


@dataclass(frozen=True)
class ModelDescriptor:
    """
    What a model needs to be run: its file, input, outputs, labels and defaults.

    Parameters
    ----------
    name : str
        Letters, digits, ``.``, ``_`` and ``-``.
    source : Source
        Where the model's file is.
    task : 'classification', 'detection', 'segmentation' or None
        The task; None means the decoder's.
    format : 'onnx', 'frozen_graph', 'saved_model' or None
        The file's format; None means by the file's suffix.
    labels : Labels, str or None
        The names, or the path of a label file (searched like ``source.path``). None: results
        have ids as names.
    input : InputSpec
        How pixels become the input.
    output : OutputSpec
        What the outputs mean.
    conversion : ConversionSpec
        For TensorFlow's formats: how the model is converted to ONNX.
    defaults : Defaults
        Thresholds and limits for the model.
    license, provenance, notes : str
        Information for users.
    expected : Expected or None
        Known results for one image.
    origin : str
        The descriptor's file, or another source; error messages begin with it.
    directory : Path or None
        The directory in which relative paths are searched first.
    inferred : tuple of str
        One sentence for each setting that was inferred from the model file.

    Examples
    --------
    >>> from ros2_classify import ModelDescriptor
    >>> descriptor = ModelDescriptor.from_mapping({
    ...     'source': {'path': 'colors.onnx'},
    ...     'labels': ['red', 'green', 'blue'],
    ...     'output': {'decoder': 'classification'},
    ... })
    >>> descriptor.name, descriptor.labels.name(2)
    ('colors', 'blue')

    """

    name: str
    source: Source
    task: Task | None = None
    format: Format | None = None  # noqa: A003
    labels: Labels | str | None = None
    input: InputSpec = InputSpec()  # noqa: A003
    output: OutputSpec = OutputSpec()
    conversion: ConversionSpec = ConversionSpec()
    defaults: Defaults = Defaults()
    license: str = ''  # noqa: A003
    provenance: str = ''
    notes: str = ''
    expected: Expected | None = None
    origin: str = ''
    directory: Path | None = None
    inferred: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, origin: str = 'the descriptor',
                     directory: str | Path | None = None) -> ModelDescriptor:
        """
        Make a descriptor from plain Python data, with the keys of a descriptor file.

        Parameters
        ----------
        mapping : mapping of str to anything
            The content of a descriptor file.
        origin : str
            Error messages begin with it.
        directory : str, Path or None
            Where relative paths are searched first; None means the working directory.

        Returns
        -------
        ModelDescriptor
            The valid descriptor.

        Raises
        ------
        DescriptorError
            If a key is unknown, or a value is invalid.

        """
        return parse_descriptor(
            mapping, Where(origin), name='',
            directory=Path(directory) if directory else Path.cwd())

    def load_labels(self) -> Labels | None:
        """
        Return the labels, read from the label file if one is declared.

        Returns
        -------
        Labels or None
            None if the descriptor declares no labels.

        Raises
        ------
        ModelNotFoundError
            If there is no such label file.
        LabelsError
            If it can't be read.

        """
        if not isinstance(self.labels, str):
            return self.labels
        return load_labels(
            locate(self.labels, self.directory, what='label file', origin=self.origin))


def load_descriptor(path: str | Path) -> ModelDescriptor:
    """
    Read a descriptor file.

    Parameters
    ----------
    path : str or Path
        A YAML file; ``~`` is expanded.

    Returns
    -------
    ModelDescriptor
        The valid descriptor; the files it names are not opened yet.

    Raises
    ------
    ModelNotFoundError
        If there is no such file.
    DescriptorError
        If it can't be read, a key is unknown, or a value is invalid; the message names file,
        line, key, the bad value and the allowed ones.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from ros2_classify import load_descriptor
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / 'colors.yaml'
    ...     _ = path.write_text('{source: {path: colors.onnx}, output: {decoder: classification}}')
    ...     descriptor = load_descriptor(path)
    >>> descriptor.output.decoder
    'classification'

    """
    return read_descriptor(Path(os.path.expanduser(path)))


def read_extra(fields: Fields) -> dict[str, Value]:
    """Read the section ``input.extra`` of a descriptor."""
    values: dict[str, Value] = {}
    for name, value in fields.rest().items():
        where = fields.where.at(name)
        if isinstance(value, str):
            renamed = new_spelling(value, OLD_SIZES, where)
            words = [word for word in SIZES if word in (value, renamed)]
            if not words:
                raise where.error(
                    f'{value!r} is not allowed; allowed are {", ".join(SIZES)}, a number or a '
                    'list of numbers')
            values[name] = words[0]
        elif isinstance(value, (list, tuple)):
            if not value:
                raise where.error('is an empty list; give numbers')
            values[name] = tuple(as_number(item, place, low=-1e9, high=1e9)
                                 for item, place in fields.sequence(name, []))
        else:
            values[name] = (as_number(value, where, low=-1e9, high=1e9),)
    return values


TASKS: tuple[Task, ...] = get_args(Task)
FORMATS: tuple[Format, ...] = get_args(Format)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
DTYPES: tuple[DType, ...] = get_args(DType)
COLORS: tuple[Color, ...] = get_args(Color)
RESIZES: tuple[Resize, ...] = get_args(Resize)
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
NMS: tuple[Nms, ...] = get_args(Nms)
CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)


MAX_SIDE = 16384
MAX_FILE_BYTES = 10**12

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,99}')
_SHA256 = re.compile(r'[0-9a-fA-F]{64}')


def read_descriptor(path: Path) -> ModelDescriptor:
    """Read a descriptor file; see `load_descriptor`."""
    data, where = read_yaml(read_text(path), str(path))
    return parse_descriptor(data, where, name=path.stem, directory=path.absolute().parent)


def read_text(path: Path) -> str:
    """Return a descriptor file's text; the errors are those of `read_descriptor`."""
    check_allowed(path, 'descriptor file')
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DescriptorError(
                f'{path}: larger than {MAX_BYTES} bytes, so not a descriptor; give a .yaml '
                'file')
        if not path.is_file() and not path.is_dir():
            # A device or a pipe may never end.
            raise DescriptorError(f'{path}: not a regular file; give a .yaml file')
        return path.read_text(encoding='utf-8-sig')
    except FileNotFoundError:
        raise ModelNotFoundError(
            f'there is no descriptor file {path} (working directory: {Path.cwd()}); check the path'
        ) from None
    except OSError as error:
        raise DescriptorError(f'{path}: cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise DescriptorError(
            f'{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8') from error


def parse_descriptor(
    data: object, where: Where, *, name: str, directory: Path,
) -> ModelDescriptor:
    """Make a descriptor from plain data."""
    return read_fields(Fields(data, where), name=name, directory=directory)


def read_fields(fields: Fields, *, name: str, directory: Path) -> ModelDescriptor:
    """Make a descriptor from its fields."""
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
        raise fields.where.error('source is missing; write source: {path: model.onnx}')
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
        raise fields.error('source', f'{path!r} must be below the key path; write source: '
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
            f'{problem}; write path: model.onnx, or url: https://… with its sha256')
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise source.error(
            'sha256', f'{sha256!r} must be 64 hexadecimal digits, as sha256sum prints them')
    if url is not None and (problem_found := problem_with(url)):
        raise source.error('url', f'{redact(url)} {problem_found}')
    if member is not None and (member.startswith('/') or '..' in member.split('/')):
        raise source.error(
            'member', f'{member!r} must be a relative path inside the archive or directory, '
            'without ".."')
    if certainty is not None and url is None:
        raise source.error(
            'certainty', 'is about a URL, but path is given; remove it')
    return Source(
        path or '', sha256.lower() if sha256 else None, url, member, size, certainty)


def _format_of(source: Source, fields: Fields) -> Format:
    if source.name == SAVED_MODEL_FILE:
        return 'saved_model'
    suffix = PurePath(source.name).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    raise fields.error(
        'format', f'is missing, and the suffix {suffix!r} of {source.name} does not show it; '
        f'allowed are {", ".join(FORMATS)}')


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
                key, f'applies only with resize: {resize}, but resize is {spec.resize}; change '
                'one or remove the other')
    if spec.size == 'source' and spec.resize != 'stretch':
        raise fields.error(
            'resize', f'{spec.resize} needs a size, but size is source, so the image is not '
            'resized; remove resize or give a size')
    _check_units(spec, fields)
    return spec


def _check_units(spec: InputSpec, fields: Fields) -> None:
    """Refuse a mean and std for another pixel range than that of scale."""
    brightest = 255 * spec.scale
    if spec.scale == 1 and max(spec.std) < 1:
        raise fields.error(
            'std', f'{list(spec.std)} is for pixels from 0 to 1, but scale is 1 and pixels go up '
            'to 255; set scale: 1/255, or multiply mean and std by 255')
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
            f'{width}x{height} is more than the {MAX_PIXELS} pixels that are allowed; give a '
            'smaller size')
    return width, height


def _output(output: Fields, task: Task | None, top: Fields) -> tuple[OutputSpec, Task | None]:
    """Check the decoder and its options; if no task is declared, it is the decoder's."""
    # Imported here because the decoders import OpenCV.
    from ros2_classify.decoders import DECODERS

    decoder = output.choice('decoder', tuple(DECODERS), None)
    nms = output.choice('nms', NMS, None)
    options: dict[str, Any] = output.rest()
    if decoder is None:
        if nms is not None:
            options['nms'] = nms
        if options:
            raise output.where.error(
                f'decoder is missing, but {", ".join(options)} is given; allowed are '
                f'{", ".join(DECODERS)}')
        return OutputSpec(), task
    DECODERS[decoder].parse_options(options, output.where)
    decoder_task = DECODERS[decoder].task
    if task is not None and task != decoder_task:
        raise top.error(
            'task', f'{task} does not fit the decoder {decoder}, which is for {decoder_task}; '
            'change one of them')
    if nms is not None and decoder_task != 'detection':
        raise output.error(
            'nms', f'only counts for detection, but the decoder {decoder} is for {decoder_task}; '
            'remove it')
    return OutputSpec(decoder, FrozenMapping(options), nms), decoder_task


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
    """Refuse keys that don't apply to this format."""
    section = fields.section('convert')
    if format_ == 'onnx' and spec != ConversionSpec():
        raise fields.error(
            'convert', 'applies only to the formats frozen_graph and saved_model, but format is '
            'onnx; remove it or correct the format')
    for key, needed in (('inputs', 'frozen_graph'), ('outputs', 'frozen_graph'),
                        ('signature', 'saved_model')):
        if key in section and format_ != needed:
            raise section.error(
                key, f'applies only to the format {needed}, but format is {format_}; remove it')


def _defaults(fields: Fields) -> Defaults:
    defaults = Defaults(
        score_threshold=fields.number('score_threshold', None, low=0, high=1),
        top_k=fields.integer('top_k', None, low=1, high=10**6),
        nms_iou=fields.number('nms_iou', None, low=0, high=1),
        ioa_threshold=fields.number('ioa_threshold', None, low=0, high=1),
        max_detections=fields.integer('max_detections', None, low=1, high=10**6))
    fields.finish()
    return defaults
