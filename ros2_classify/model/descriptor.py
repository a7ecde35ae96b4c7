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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
import os
from pathlib import Path, PurePath
from typing import Any, cast, get_args, Literal

from ros2_classify.errors import DescriptorError, LabelsError, ModelNotFoundError, OptionsError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.keys import (
    about, key, Kind, listed, pattern, read, read_values, rows, schema, TEXT)
from ros2_classify.model.clip_spec import checked_clip, ClipSpec, STATES, StateSpec
from ros2_classify.model.defaults import Defaults
from ros2_classify.model.expected import Expected
from ros2_classify.model.input_spec import InputSpec, PIXEL_KEYS, PIXELS, Pixels, with_pixels
from ros2_classify.model.labels import COLORS, COLORS_MEANING, Labels, load_labels, MAX_CLASS_ID
from ros2_classify.model.source import read_source, Source
from ros2_classify.model.stages import read_stages, Stage
from ros2_classify.paths import check_allowed, locate
from ros2_classify.yaml_config import (
    as_integer, as_list, as_text, as_word, Fields, MAX_BYTES, read_yaml, Where)

Task = Literal['classification', 'detection', 'segmentation', 'embedding']
Format = Literal['onnx', 'frozen_graph', 'saved_model']
Nms = Literal['none', 'per_class', 'class_agnostic']
FORMATS: tuple[Format, ...] = get_args(Format)
_NAME = pattern(
    '[A-Za-z0-9][A-Za-z0-9._-]{0,99}', 'must be 1 to 100 letters, digits, ".", "_" or "-", and '
    'start with a letter or digit', 'letters, digits, `.`, `_`, `-`')

# Formats by suffix; a SavedModel is a directory with the file SAVED_MODEL_FILE.
SUFFIXES: dict[str, Format] = {'.onnx': 'onnx', '.pb': 'frozen_graph'}
SAVED_MODEL_FILE = 'saved_model.pb'


def _read_decoder(value: Any, where: Where) -> Any:
    # Imported here because the decoders import OpenCV.
    from ros2_classify.decoders import DECODERS

    return as_word(value, where, allowed=tuple(DECODERS))


@dataclass(frozen=True)
class OutputSpec:
    """What the model's outputs mean."""

    decoder: str | None = key(  # a name in DECODERS; None means by the outputs' shapes
        None, 'what the outputs mean', unset='inferred', kind=Kind(_read_decoder, {}, 'DECODERS'))
    # The decoder's options, checked by ``DECODERS[decoder].parse_options``.
    options: FrozenMapping = FrozenMapping({})
    nms: Nms | None = key(
        None, 'detection: non-maximum suppression, with `nms_iou`; `class_agnostic` lets a box '
        'suppress those of other classes',
        unset='as [the decoder](decoders.md#which-one) needs it')
    scale: float | None = key(
        None, 'for outputs of whole numbers with 8 or 16 bits: the real number is '
        '`(stored - zero_point) * scale`',
        low=0, high=1e6, above=True, unset="the graph's, if it has one")
    zero_point: int | None = key(
        None, 'the whole number that stands for 0', low=-2**15, high=2**16 - 1,
        unset='`0` with `scale`')


@dataclass(frozen=True)
class ConversionSpec:
    """How a TensorFlow model is converted to ONNX."""

    inputs: tuple[str, ...] = key(
        (), "frozen graph: the inputs; `:0` at the end doesn't matter",
        value="list of tensors' names", unset='`input.name`, or the placeholders')
    outputs: tuple[str, ...] = key(
        (), "frozen graph: the outputs; `:0` at the end doesn't matter",
        value="list of tensors' names", unset='by their usual names')
    signature: str | None = key(
        None, 'SavedModel: the signature to use', unset='`serving_default`, or the only one')
    tolerance: float | None = key(
        None, "the maximum difference between ONNX Runtime's numbers and TensorFlow's; times the "
        'largest number of an output, if that is above 1', low=0, high=1e6, above=True,
        unset='`1e-4`')


def _read_labels(value: Any, where: Where) -> Labels | str:
    if isinstance(value, str):
        return as_text(value, where)
    if isinstance(value, Labels):
        return value
    names: dict[int, str] = {}
    if isinstance(value, Mapping):
        for number_, name in value.items():
            class_id = as_integer(number_, where.at(number_), low=0, high=MAX_CLASS_ID)
            names[class_id] = as_text(name, where.at(number_))
    else:
        for index, (name, place) in enumerate(as_list(value, where)):
            if as_text(name, place) != '???':
                names[index] = name
    try:
        return Labels(names)
    except LabelsError as error:
        raise where.error(str(error)) from error


_LABELS = Kind(_read_labels, {'anyOf': [TEXT.schema, listed(TEXT, 'names').schema, {
    'type': 'object', 'minProperties': 1, 'additionalProperties': TEXT.schema,
    'propertyNames': {'pattern': f'^[0-9]{{1,{len(str(MAX_CLASS_ID))}}}$'}}]},
    'see [Labels](#labels)')
# Part of topics' names.
_HEAD_NAME = pattern(
    '[A-Za-z](_?[A-Za-z0-9]){0,49}', 'must be 1 to 50 letters, digits or single "_", and start '
    'with a letter: it is part of the names of topics', 'letters, digits, `_`')


@dataclass(frozen=True)
class HeadKeys:
    """The keys of a head besides those of the output."""

    labels: Labels | str | None = key(
        None, 'the names of its classes', unset='none: ids are names', kind=_LABELS)
    colors: Mapping[str, str] = key(
        FrozenMapping({}), COLORS_MEANING, unset='by the class id', kind=COLORS)
    defaults: Defaults = key(
        Defaults(), 'thresholds that suit it', unset="the package's")


def _read_input(value: Any, where: Where) -> InputSpec:
    """Read the keys of the input; a word alone is that of ``pixels``."""
    if isinstance(value, str):
        value = {'pixels': as_word(value, where, allowed=tuple(PIXELS))}
    return read(Fields(value, where), InputSpec)


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
    task : 'classification', 'detection', 'segmentation', 'embedding' or None
        The task; None means the decoder's.
    format : 'onnx', 'frozen_graph', 'saved_model' or None
        The file's format; None means by the file's suffix.
    labels : Labels, str or None
        The names, or the path of a label file (searched like ``source.path``). None: results
        have ids as names.
    colors : mapping of str to str
        Colours of labels on annotated images: ``#rrggbb``, or a name.
    input : InputSpec
        How pixels become the input.
    output : OutputSpec
        What the outputs mean; with `heads`, those of the first one, as `labels`,
        `colors` and `defaults`.
    heads : tuple of ModelDescriptor
        Several results of one inference: a descriptor for each, whose name is the head's.
    stages : tuple of Stage
        Further models that get the crops of the boxes: the model is the detector of a cascade.
    clip : ClipSpec or None
        For a model that sees time: which frames it gets.
    state : tuple of StateSpec
        The states of a model that sees one frame after the other.
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
    unverified : tuple of str
        The keys, such as ``input.mean``, whose values only the user can confirm.

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

    name: str = field(metadata=about(
        "the model's name in results and logs", kind=_NAME, unset="the file's name"))
    source: Source = field(metadata=about(
        'where the model file is', missing='write source: {path: model.onnx}',
        kind=Kind(read_source, schema(Source), 'see below')))
    task: Task | None = key(None, 'what the model does', unset="the decoder's")
    format: Format | None = key(  # noqa: A003
        None, "the file's format; see [TensorFlow models](tensorflow.md)",
        unset='by the suffix: `.onnx`, `.pb`')
    labels: Labels | str | None = key(
        None, 'the names of the classes', unset='none: ids are names', kind=_LABELS)
    colors: Mapping[str, str] = key(
        FrozenMapping({}), COLORS_MEANING, unset='by the class id', kind=COLORS)
    input: InputSpec = key(  # noqa: A003
        InputSpec(), 'how images become the input', unset='all defaults', kind=Kind(
            _read_input, {'anyOf': [schema(InputSpec), {'enum': list(PIXELS)}]},
            f'see below; or {", ".join(f"`{word}`" for word in PIXELS)}'))
    output: OutputSpec = key(
        OutputSpec(), 'what the outputs mean', unset='inferred',
        kind=Kind(Fields, {}, 'see below'))
    heads: tuple[ModelDescriptor, ...] = key(
        (), 'several results of one inference, in place of `output`, `labels`, `colors` and '
        '`defaults`',
        kind=Kind(Fields, {}, 'see below'), unset='one result')
    stages: tuple[Stage, ...] = key(
        (), 'a detector only: further models that look at its boxes; see '
        '[Cascades](cascades.md)', kind=Kind(Fields, {}, 'see below'), unset='none')
    clip: ClipSpec | None = key(
        None, 'a model that sees time: which frames it gets; see [Clips](clips.md)',
        unset='single images')
    state: tuple[StateSpec, ...] = key(
        (), 'a model that sees one frame after the other and remembers: its states; see '
        '[Clips](clips.md)', kind=STATES, value='list of mappings, see below', unset='none')
    conversion: ConversionSpec = key(
        ConversionSpec(), "for TensorFlow's formats: how the model is converted to ONNX",
        name='convert', unset='found')
    defaults: Defaults = key(
        Defaults(), 'thresholds that suit the model', unset="the package's")
    license: str = key('', 'the licence of the weights', unset='empty')  # noqa: A003
    provenance: str = key('', 'where the weights come from', unset='empty')
    notes: str = key('', 'anything else', unset='empty')
    expected: Expected | None = key(None, 'known results for a named image', unset='unknown')
    origin: str = ''
    directory: Path | None = None
    inferred: tuple[str, ...] = ()
    unverified: tuple[str, ...] = key(
        (), 'keys whose values nobody has confirmed, as `models describe` lists them: results say '
        'so until you remove it', value='list of keys', unset='none')

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

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from ros2_classify.results.html import settings_html

        values = {row.name: getattr(self, row.field) for row in rows(ModelDescriptor)}
        if isinstance(self.labels, Labels):
            values['labels'] = [name for _, name in self.labels.items()]
        return settings_html({name: value for name, value in values.items() if value})

    def with_pixels(self, pixels: str) -> ModelDescriptor:
        """
        Return this descriptor for a model that is fed as a word says.

        Parameters
        ----------
        pixels : str
            imagenet, unit, signed, caffe or raw, as `input.pixels` in a descriptor; for a bare
            model file, the rest is inferred as always.

        Returns
        -------
        ModelDescriptor
            Another descriptor.

        Raises
        ------
        OptionsError
            If there is no such word.

        Examples
        --------
        >>> from ros2_classify import ModelDescriptor
        >>> descriptor = ModelDescriptor.from_mapping({'source': {'path': 'colors.onnx'}})
        >>> descriptor.with_pixels('signed').input.mean
        (127.5, 127.5, 127.5)

        """
        if pixels not in PIXELS:
            raise OptionsError(
                f'input is {pixels!r} but must be one of {", ".join(PIXELS)}')
        spec = replace(with_pixels(self.input, pixels), pixels=cast(Pixels, pixels))
        return replace(self, input=spec, unverified=tuple(
            each for each in self.unverified if each.partition('.')[2] not in PIXEL_KEYS))

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


def descriptor_error(descriptor: ModelDescriptor, message: str) -> DescriptorError:
    """Return an error that begins with the descriptor's file, or its name."""
    return DescriptorError(f'{descriptor.origin or descriptor.name}: {message}')


# The keys of the top whose values are mappings of declared keys.
SECTIONS: dict[str, type] = {
    'source': Source, 'input': InputSpec, 'output': OutputSpec, 'heads': HeadKeys,
    'stages': Stage, 'clip': ClipSpec, 'state': StateSpec,
    'convert': ConversionSpec, 'defaults': Defaults, 'expected': Expected}


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
    fields = Fields(data, where)
    values = read_values(fields, ModelDescriptor)
    source: Source = values['source']
    if 'output' in fields:
        values['output'], values['task'] = _output(values['output'], values['task'], fields)
    values['clip'] = checked_clip(values, fields)
    heads: Fields | tuple[()] = values.pop('heads')
    if values['stages']:
        values['stages'] = read_stages(values['stages'])
    values['format'] = values['format'] or _format_of(source, fields)
    _check_conversion(values['conversion'], values['format'], fields)
    values['name'] = values['name'] or _NAME.read(
        name or PurePath(source.name).stem or (
            source.remote_url.model if source.remote_url else ''),
        where.at('name'))
    descriptor = ModelDescriptor(**values, origin=where.origin, directory=directory)
    return _with_heads(descriptor, heads, fields) if isinstance(heads, Fields) else descriptor


def _with_heads(descriptor: ModelDescriptor, heads: Fields, top: Fields) -> ModelDescriptor:
    """Return the descriptor with its heads; what is for all of it is that of the first."""
    for name in ('output', 'labels', 'colors', 'defaults'):
        if name in top:
            raise top.error(name, 'is for a model with one result, but heads is given; move it '
                                  'into the head that it is for')
    found: list[ModelDescriptor] = []
    for name in heads:
        head = heads.section(name)
        more = read_values(head, HeadKeys, rest=True)
        output, task = _output(head, descriptor.task if not found else None, top)
        if output.decoder is None:
            raise head.where.error('decoder is missing; write what this head means')
        if not {'output', 'outputs'} & output.options.keys():
            raise head.where.error(
                f'names no model output; set {" or ".join(_naming(output.decoder))}, so that no '
                'two heads read the same one by chance')
        found.append(replace(
            descriptor, name=_HEAD_NAME.read(name, heads.where.at(name)), output=output,
            task=task, origin=str(heads.where.at(name)), **more))
    if not found:
        raise top.error('heads', 'is empty; name at least one head')
    first = found[0]
    return replace(descriptor, output=first.output, task=first.task, labels=first.labels,
                   colors=first.colors, defaults=first.defaults, heads=tuple(found))


def _naming(decoder: str) -> list[str]:
    """Return the options of a decoder that name model outputs."""
    from ros2_classify.decoders import DECODERS

    return sorted({'output', 'outputs'} & schema(DECODERS[decoder].options)['properties'].keys())


def _format_of(source: Source, fields: Fields) -> Format:
    if not source.has_file:
        return 'onnx'
    if source.name == SAVED_MODEL_FILE:
        return 'saved_model'
    suffix = PurePath(source.name).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    raise fields.error(
        'format', f'is missing, and the suffix {suffix!r} of {source.name} does not show it; '
        f'allowed are {", ".join(FORMATS)}')


def _output(output: Fields, task: Task | None, top: Fields) -> tuple[OutputSpec, Task | None]:
    """Check the decoder and its options; if no task is declared, it is the decoder's."""
    # Imported here because the decoders import OpenCV.
    from ros2_classify.decoders import DECODERS

    spec = OutputSpec(**read_values(output, OutputSpec, rest=True))
    options = output.rest()
    if spec.decoder is None:
        if options or spec != OutputSpec():
            raise output.where.error(
                f'decoder is missing, but {", ".join(output)} is given; allowed are '
                f'{", ".join(DECODERS)}')
        return spec, task
    decoder = spec.decoder
    DECODERS[decoder].parse_options(options, output.where)
    decoder_task = DECODERS[decoder].task
    if task is not None and task != decoder_task:
        raise top.error(
            'task', f'{task} does not fit the decoder {decoder}, which is for {decoder_task}; '
            'change one of them')
    if spec.nms is not None and decoder_task != 'detection':
        raise output.error(
            'nms', f'only counts for detection, but the decoder {decoder} is for {decoder_task}; '
            'remove it')
    if spec.zero_point is not None and spec.scale is None:
        raise output.error('zero_point', 'needs scale; add it, or remove both to use the graph')
    return replace(spec, options=FrozenMapping(options)), decoder_task


def _check_conversion(spec: ConversionSpec, format_: Format, fields: Fields) -> None:
    """Refuse keys that don't apply to this format."""
    section = fields.section('convert')
    if format_ == 'onnx' and spec != ConversionSpec():
        raise fields.error(
            'convert', 'applies only to the formats frozen_graph and saved_model, but format is '
            'onnx; remove it or correct the format')
    for name, needed in (('inputs', 'frozen_graph'), ('outputs', 'frozen_graph'),
                         ('signature', 'saved_model')):
        if name in section and format_ != needed:
            raise section.error(
                name, f'applies only to the format {needed}, but format is {format_}; remove it')
