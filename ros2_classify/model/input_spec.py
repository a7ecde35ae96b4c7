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

"""How pixels become a model's input: the keys below ``input`` of a descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, Literal, Union

from ros2_classify.errors import DescriptorError, OptionsError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.input_range import InputRange, PATTERN
from ros2_classify.keys import integer, key, Kind, listed, number
from ros2_classify.yaml_config import as_integer, as_list, as_word, Fields, Where

Layout = Literal['nchw', 'nhwc', 'nthwc', 'ntchw', 'ncthw']
DType = Literal['float32', 'float16', 'float64', 'uint8', 'int8', 'int32']
Color = Literal['rgb', 'bgr', 'gray']
Resize = Literal['stretch', 'center_crop', 'letterbox']
Anchor = Literal['center', 'top_left']
Interpolation = Literal['area', 'pyramid', 'linear', 'nearest', 'cubic']
DTYPES: tuple[DType, ...] = get_args(DType)
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

MAX_SIDE = 16384
_ANY_NUMBER = number(-1e9, 1e9)


def _read_size(value: Any, where: Where) -> Size:
    if value == 'source':
        return 'source'
    items = as_list(value, where) if isinstance(value, (list, tuple)) else []
    if len(items) != 2:
        raise where.error(
            f'{value!r} must be [width, height] in pixels, or source for the size of the image')
    width, height = (as_integer(item, place, low=1, high=MAX_SIDE) for item, place in items)
    if width * height > MAX_PIXELS:
        raise where.error(
            f'{width}x{height} is more than the {MAX_PIXELS} pixels that are allowed; give a '
            'smaller size')
    return width, height


def read_extra(value: Any, where: Where) -> FrozenMapping:
    """Read the values of further inputs: a word of SIZES, or numbers."""
    values: dict[str, Value] = {}
    for name, given in Fields(value, where).rest().items():
        place = where.at(name)
        if isinstance(given, str):
            try:
                values[name] = as_word(given, place, allowed=SIZES, renamed=OLD_SIZES)
            except DescriptorError as error:
                raise DescriptorError(f'{error}, a number or a list of numbers') from None
        elif isinstance(given, (list, tuple)):
            values[name] = listed(_ANY_NUMBER, 'give numbers').read(given, place)
        else:
            values[name] = (_ANY_NUMBER.read(given, place),)
    return FrozenMapping(values)


def _read_range(value: Any, where: Where) -> str:
    try:
        return str(InputRange.parse(value))
    except OptionsError as error:
        raise where.error(str(error).replace('input_range is ', '').replace(' but', '')) from error


# What a model takes, in a word: colour order, scale, mean and std. Sources: torchvision's models
# (imagenet), TensorFlow's (signed), and those of Caffe, fed blue, green, red less the mean.
PIXELS: Mapping[str, Mapping[str, Any]] = {
    'imagenet': {'scale': 1 / 255, 'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)},
    'unit': {'scale': 1 / 255},
    'signed': {'mean': (127.5,) * 3, 'std': (127.5,) * 3},
    'caffe': {'color': 'bgr', 'mean': (104.0, 117.0, 123.0)},
    'raw': {},
}
PIXEL_KEYS = ('color', 'scale', 'mean', 'std')
Pixels = Literal['imagenet', 'unit', 'signed', 'caffe', 'raw']


def with_pixels(spec: InputSpec, pixels: str) -> InputSpec:
    """Return an input that is fed as a word of PIXELS says; gray ones get the mean of three."""
    values = {**{'color': 'rgb', 'scale': 1.0, 'mean': (0.0,) * 3, 'std': (1.0,) * 3},
              **PIXELS[pixels]}
    if spec.color == 'gray':
        values.update(color='gray', **{
            name: (sum(values[name]) / 3,) for name in ('mean', 'std')})
    return replace(spec, pixels=None, **values)


def _read_channels(value: Any, where: Where, one: Kind) -> tuple[float, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (one.read(value, where),)
    return listed(one).read(value, where)  # type: ignore[no-any-return]


def _channels(one: Kind) -> Kind:
    """Return the kind of a number, or one for each channel: 1 or 3, as ``color`` says."""
    return Kind(
        lambda value, where: _read_channels(value, where, one),
        {'anyOf': [*one.schema['anyOf'], {
            **listed(one).schema, 'minItems': 1, 'maxItems': 3}]},
        f'{one.value}, or one for each channel')


@dataclass(frozen=True)
class InputQuantization:
    """How whole numbers stand for real ones: ``real = (number - zero_point) * scale``."""

    scale: float = key(
        1.0, 'the real number of one step', low=0, high=1e6, above=True,
        missing='write {scale: 0.0078, zero_point: -128}')
    zero_point: int = key(
        0, 'the whole number that stands for 0', low=-2**31, high=2**31 - 1)


@dataclass(frozen=True)
class InputSpec:
    """How pixels become the model's input: ``tensor = (pixel * scale - mean) / std``."""

    name: str | None = key(
        None, "the input tensor; `:0` at the end doesn't matter", unset='the only input')
    size: Size = key(
        None, 'pixels; `source` passes the image in its own size, for models that resize it '
        'themselves', unset="the graph's", kind=Kind(
            _read_size, {'anyOf': [{'const': 'source'}, {
                **listed(integer(1, MAX_SIDE)).schema, 'minItems': 2, 'maxItems': 2}]},
            '`[width, height]`, `source`'))
    size_multiple: int = key(
        1, '`size: source` only: both sides are rounded up to a multiple of it, and the image is '
        'stretched to that', low=1, high=1024)
    layout: Layout | None = key(
        None, "the order of the tensor's dimensions; `t` is the frames of [a clip](clips.md)",
        unset="from the graph's shape")
    dtype: DType | None = key(
        None, "the tensor's type; for `uint8`, `int8` and `int32` see "
        '[Inputs of whole numbers](#inputs-of-whole-numbers)', unset="the graph's")
    quantization: InputQuantization | None = key(
        None, 'see [Inputs of whole numbers](#inputs-of-whole-numbers)', unset="the graph's",
        value='mapping with `scale`, `zero_point`')
    pixels: Pixels | None = key(
        None, '`color`, `scale`, `mean` and `std` in a word, see [Pixels](#pixels); '
        '`input: imagenet` is short for `input: {pixels: imagenet}`', unset='these four keys')
    color: Color = key('rgb', "the order of the tensor's channels")
    scale: float = key(
        1.0, 'factor applied to pixels', low=0, high=1e6, above=True,
        value='number above 0, or a fraction like `1/255`')
    mean: tuple[float, ...] = key(
        (0.0,) * 3, 'subtracted, in the order of `color`', unset='`0`',
        kind=_channels(number(-1e6, 1e6)))
    std: tuple[float, ...] = key(
        (1.0,) * 3, 'divided by, in the order of `color`', unset='`1`',
        kind=_channels(number(0, 1e6, above=True)))
    resize: Resize = key('stretch', 'see [Resizing](#resizing)')
    crop_fraction: float = key(
        0.875, '`center_crop` only: how much of the short side is kept', low=0, high=1,
        above=True)
    anchor: Anchor = key('center', '`letterbox` only: the position of the image')
    pad_value: float = key(
        114.0, '`letterbox` only: the pixel value around the image', low=0, high=255)
    interpolation: Interpolation = key(
        'area', '`area` averages when shrinking and is linear when growing; `pyramid` halves the '
        'image while it is at least twice too large, then continues linearly: close to `area` in '
        'a fraction of its time; [what each costs](decoders.md#preprocessing-matters-as-much)')
    input_range: str = key(
        '16', 'which values of 16-bit images are black and white: the number of bits; two '
        'values; percentiles of each image; or `auto`, the fewest bits that hold all values so '
        'far', kind=Kind(_read_range, {'anyOf': [
            {'type': 'integer', 'minimum': 8, 'maximum': 16},
            {'type': 'string', 'pattern': PATTERN}]},
            '`8` to `16`, `1000..5000`, `percentile`, `percentile 2..98`, `auto`'))
    extra: FrozenMapping = key(
        FrozenMapping({}), 'see [Other inputs](#other-inputs)', unset='`{}`', kind=Kind(
            read_extra, {'type': 'object', 'additionalProperties': {'anyOf': [
                {'enum': [*SIZES, *OLD_SIZES]}, _ANY_NUMBER.schema,
                listed(_ANY_NUMBER, 'numbers').schema]}},
            'mapping from names to sizes or numbers'))

    @property
    def whole(self) -> bool:
        """Whether the model takes whole numbers."""
        return self.dtype in ('uint8', 'int8', 'int32')

    @property
    def plain(self) -> bool:
        """Whether pixels are passed as they are, neither scaled nor shifted."""
        return self.scale == 1 and not any(self.mean) and set(self.std) == {1.0}

    @property
    def channels(self) -> int:
        """The number of colour channels: 1 for gray, 3 else."""
        return 1 if self.color == 'gray' else 3

    def size_for(self, source: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height of the model's image for a source image's."""
        if isinstance(self.size, tuple):
            return self.size
        step = self.size_multiple
        return -(-source[0] // step) * step, -(-source[1] // step) * step

    def checked(self, fields: Fields) -> InputSpec:
        """Repeat single numbers for each channel; refuse what does not fit together."""
        for name, resize in (('crop_fraction', 'center_crop'), ('anchor', 'letterbox'),
                             ('pad_value', 'letterbox')):
            if name in fields and self.resize != resize:
                raise fields.error(
                    name, f'applies only with resize: {resize}, but resize is {self.resize}; '
                    'change one or remove the other')
        if self.size == 'source' and self.resize != 'stretch':
            raise fields.error(
                'resize', f'{self.resize} needs a size, but size is source, so the image is not '
                'resized; remove resize or give a size')
        if self.size != 'source' and 'size_multiple' in fields:
            raise fields.error(
                'size_multiple', 'applies only with size: source; change size or remove it')
        if self.pixels is not None:
            for name in PIXEL_KEYS:
                if name in fields and not (name == 'color' and self.color == 'gray'):
                    raise fields.error(
                        name, f'is part of pixels: {self.pixels}; remove the one or the other')
            return replace(with_pixels(self, self.pixels), pixels=self.pixels)
        spec = replace(self, mean=self._for_each_channel(fields, 'mean'),
                       std=self._for_each_channel(fields, 'std'))
        _check_units(spec, fields)
        return spec

    def _for_each_channel(self, fields: Fields, name: str) -> tuple[float, ...]:
        given, values = fields.raw(name), getattr(self, name)
        if isinstance(given, (list, tuple)) and len(given) != self.channels:
            raise fields.error(
                name, f'{list(given)} has {len(given)} numbers but must have {self.channels}, '
                'one per colour channel, or be a single number')
        return (values * self.channels)[:self.channels]  # type: ignore[no-any-return]


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
