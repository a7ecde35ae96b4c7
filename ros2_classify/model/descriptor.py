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
What a model must declare, as frozen dataclasses.

A descriptor comes from a YAML file (`load_descriptor`) or from Python
(`ModelDescriptor.from_mapping`). What it leaves open is ``None`` until
`ros2_classify.autoconfig.complete.complete` has filled it in from the model's own shapes; a completed
descriptor has a task, a format, a decoder, and an input name, size, layout and data type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
from typing import Any, Literal, Union

from ros2_classify.model.expected import Expected
from ros2_classify.model.labels import Labels

Task = Literal['classification', 'detection', 'segmentation']
Format = Literal['onnx', 'frozen_graph', 'saved_model']
Layout = Literal['nchw', 'nhwc']
DType = Literal['float32', 'float16', 'uint8']
Color = Literal['rgb', 'bgr', 'gray']
Resize = Literal['stretch', 'center_crop', 'letterbox']
Anchor = Literal['center', 'top_left']
Interpolation = Literal['area', 'pyramid', 'linear', 'nearest', 'cubic']
Certainty = Literal['quoted_with_sha256', 'quoted', 'inferred']
Size = Union[tuple[int, int], Literal['source'], None]


# What a file's name says of its format; a SavedModel is a directory with a file of its own name.
SUFFIXES: dict[str, Format] = {'.onnx': 'onnx', '.pb': 'frozen_graph'}
SAVED_MODEL_FILE = 'saved_model.pb'


class FrozenMapping(Mapping[str, Any]):
    """
    A mapping that can't change and can be hashed; lists in it became tuples.

    Parameters
    ----------
    values : mapping of str to anything
        Plain data: texts, numbers, lists and mappings of them.

    """

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
        """Return the mapping as Python would write it."""
        return repr(self._values)


def _freeze(value: Any) -> Any:
    if isinstance(value, Mapping):
        return FrozenMapping(value)
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item) for item in value)
    return value


@dataclass(frozen=True)
class Source:
    """
    Where the model's file is: a path or an address, one of the two.

    Parameters
    ----------
    path : str
        As declared: absolute, with ``~``, or relative to the descriptor's directory and then to the
        directories of ``ROS2_CLASSIFY_MODEL_PATH``; empty where ``url`` is given.
    sha256 : str or None
        64 lower-case hexadecimal digits, of the file (the archive, where it is one) or directory
        that ``path`` or ``url`` names, which is refused where they differ; an address needs one.
    url : str or None
        An https, http or file address.
    member : str or None
        The file or directory to take from an archive or a directory.
    size : int or None
        Bytes of the file that ``url`` names, for people and for an early error.
    certainty : 'quoted_with_sha256', 'quoted', 'inferred' or None
        How sure ``url`` is, where nobody fetched it: it stands in a public repository beside
        this sha256, it stands in one, or it follows from the addresses of its neighbours.

    """

    path: str = ''
    sha256: str | None = None
    url: str | None = None
    member: str | None = None
    size: int | None = None
    certainty: Certainty | None = None

    @property
    def name(self) -> str:
        """What tells the format: the member, or the file or directory itself, without directories."""
        if self.url and not self.member:
            from ros2_classify.download.url import file_name
            return file_name(self.url)
        return (self.member or self.path).rstrip('/').rpartition('/')[2]


@dataclass(frozen=True)
class InputSpec:
    """
    How pixels become the model's input: ``tensor = (pixel * scale - mean) / std``.

    Parameters
    ----------
    name : str or None
        The input tensor; None means the graph's only one.
    size : (width, height), 'source' or None
        In pixels; 'source' feeds the image in its own size; None means the graph's.
    layout : 'nchw', 'nhwc' or None
        The order of the tensor's dimensions; None means as the graph's shape tells.
    dtype : 'float32', 'float16', 'uint8' or None
        The tensor's type; None means the graph's.
    color : 'rgb', 'bgr' or 'gray'
        The order of the tensor's channels.
    scale : float
        Pixels, 0 to 255, are multiplied by it.
    mean, std : tuple of float
        One for each channel, in the order of ``color``.
    resize : 'stretch', 'center_crop' or 'letterbox'
        How the image gets the model's size.
    crop_fraction : float
        For center_crop: the part of the resized image's short side that is kept.
    anchor : 'center' or 'top_left'
        For letterbox: where the image sits.
    pad_value : float
        For letterbox: the pixel value around the image, 0 to 255.
    interpolation : 'area', 'pyramid', 'linear', 'nearest' or 'cubic'
        How pixels are computed. 'area' averages when shrinking and is linear when growing;
        'pyramid' halves the image by averaging while it is twice too large and goes on
        linearly, close to 'area' in a fraction of its time.
    extra : FrozenMapping
        The model's other inputs: from their names to what they are fed, a word of
        `ros2_classify.preprocess.extra_inputs.SIZES`, a number or numbers.

    """

    name: str | None = None
    size: Size = None
    layout: Layout | None = None
    dtype: DType | None = None
    color: Color = 'rgb'
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: Resize = 'stretch'
    crop_fraction: float = 0.875
    anchor: Anchor = 'center'
    pad_value: float = 114.0
    interpolation: Interpolation = 'area'
    extra: FrozenMapping = field(default_factory=lambda: FrozenMapping({}))

    @property
    def channels(self) -> int:
        """The number of colour channels: 1 for gray, 3 else."""
        return 1 if self.color == 'gray' else 3


@dataclass(frozen=True)
class OutputSpec:
    """
    What the model's outputs mean.

    Parameters
    ----------
    decoder : str or None
        A name in `ros2_classify.decoders.DECODERS`; None means as the outputs' shapes tell.
    options : FrozenMapping
        The decoder's own options, already checked by ``DECODERS[decoder].parse_options``.

    """

    decoder: str | None = None
    options: FrozenMapping = field(default_factory=lambda: FrozenMapping({}))


@dataclass(frozen=True)
class ConversionSpec:
    """
    How a TensorFlow model is turned into ONNX.

    Parameters
    ----------
    inputs, outputs : tuple of str
        Tensors of a frozen graph, with or without ``:0``; those that are empty are found.
    signature : str or None
        How a SavedModel is called; None means ``serving_default``, or the only one there is.
    tolerance : float or None
        What ONNX Runtime's numbers and TensorFlow's may differ by; None means 1e-4.

    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    signature: str | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class Defaults:
    """
    Thresholds and limits that suit this model; None leaves the package's own default.

    Parameters
    ----------
    score_threshold : float or None
        From 0 to 1: results below it are dropped.
    top_k : int or None
        For classification: at most so many classes.
    nms_iou : float or None
        From 0 to 1: of two boxes of a class that overlap more than this, the better one stays.
    ioa_threshold : float or None
        From 0 to 1: of two boxes of a class where the overlap takes more than this part of one,
        the better one stays; 0 switches this off.
    max_detections : int or None
        For detection: at most so many boxes.

    """

    score_threshold: float | None = None
    top_k: int | None = None
    nms_iou: float | None = None
    ioa_threshold: float | None = None
    max_detections: int | None = None


@dataclass(frozen=True)
class ModelDescriptor:
    """
    All that a model declares.

    Parameters
    ----------
    name : str
        Letters, digits, ``.``, ``_`` and ``-``.
    source : Source
        Where the model's file is.
    task : 'classification', 'detection', 'segmentation' or None
        What is asked of the model; None means the decoder's.
    format : 'onnx', 'frozen_graph', 'saved_model' or None
        The file's format; None means by the file's suffix.
    labels : Labels, str or None
        The names themselves, or the path of a label file (found as ``source.path`` is), or None:
        ids stand for names then.
    input : InputSpec
        How pixels become the input.
    output : OutputSpec
        What the outputs mean.
    conversion : ConversionSpec
        For TensorFlow's formats: how the model is turned into ONNX.
    defaults : Defaults
        Thresholds that suit the model.
    license, provenance, notes : str
        For people.
    expected : Expected or None
        What the model says of a named image.
    origin : str
        The descriptor's file, or what else it came from; errors begin with it.
    directory : Path or None
        Where relative paths are looked for first.
    inferred : tuple of str
        One sentence for each setting that was inferred from the model file and not declared.

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
            What the YAML file would hold.
        origin : str
            What errors call it.
        directory : str, Path or None
            Where relative paths are looked for first; None means the working directory.

        Returns
        -------
        ModelDescriptor
            The descriptor, checked.

        Raises
        ------
        DescriptorError
            If a key is unknown, or a value doesn't fit.

        """
        from ros2_classify.model.descriptor_parse import parse_descriptor
        from ros2_classify.yaml_config import Where
        return parse_descriptor(
            mapping, Where(origin), name='', directory=Path(directory) if directory else Path.cwd())

    def load_labels(self) -> Labels | None:
        """
        Return the names, read from the label file where one is declared.

        Returns
        -------
        Labels or None
            None where the descriptor declares no labels.

        Raises
        ------
        ModelNotFoundError
            If the label file is nowhere to be found.
        LabelsError
            If it can't be read.

        """
        if not isinstance(self.labels, str):
            return self.labels
        from ros2_classify.model.labels import load_labels
        from ros2_classify.paths import locate
        return load_labels(locate(self.labels, self.directory, what='label file', origin=self.origin))


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
        The descriptor, checked; the files it names are not opened yet.

    Raises
    ------
    ModelNotFoundError
        If there is no such file.
    DescriptorError
        If it can't be read, a key is unknown, or a value doesn't fit; the message names file,
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
    from ros2_classify.model.descriptor_parse import read_descriptor
    return read_descriptor(Path(os.path.expanduser(path)))
