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

"""How pixels become whole numbers: inputs of uint8, int8 and int32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ros2_classify.engines.base import TensorSpec
from ros2_classify.errors import DescriptorError
from ros2_classify.model.input_spec import InputQuantization, InputSpec

# The part of the pixels' range that may be clipped, and that must be used of the numbers'.
_CLIPPED, _USED = 0.1, 0.2


def with_quantization(spec: InputSpec, tensor: TensorSpec, inferred: list[str]) -> InputSpec:
    """
    Add the scale and zero point of the graph, and refuse settings that cannot be right.

    Without settings, numbers are pixels for uint8 and int32, pixels minus 128 for int8, as in
    models that were quantized with images.
    """
    declared = spec.quantization
    known = tensor.quantization and InputQuantization(*tensor.quantization)
    if tensor.dtype.kind not in 'iu':
        if declared is not None:
            raise DescriptorError(
                f'input.quantization is for whole numbers, but the model takes {tensor}; remove '
                'it')
        return spec
    if declared and known and not _same(declared, known):
        raise DescriptorError(
            f'input.quantization is {_text(declared)}, but the graph quantizes {tensor} with '
            f'{_text(known)}; remove the key')
    limits = np.iinfo(tensor.dtype)
    if spec.plain and declared is None and not (tensor.dtype == np.int32 and known):
        if limits.max >= 255:
            return spec
        if known:
            shift = float(128 + known.zero_point) * known.scale
            inferred.append(
                f'input: pixels minus 128, because the model takes {tensor}, whose range then '
                "stands for that of the pixels; this is not certain: give the training's scale, "
                'mean and std')
            return replace(spec, scale=known.scale, mean=(shift,) * spec.channels,
                           quantization=known)
    used = declared or known
    if used is None:
        raise DescriptorError(
            f'the model takes {tensor}, '
            + ('whole pixels from 0 to 255, so input.scale, mean and std cannot be applied: '
               'remove the three, or give ' if limits.max >= 255 else
               'which does not hold pixels from 0 to 255, and the graph does not say how it is '
               'quantized; give ')
            + 'input.quantization: {scale: ..., zero_point: ...}, as the tool that quantized the '
            'model shows it')
    _check_range(spec, tensor, used)
    return replace(spec, quantization=used)


def _check_range(spec: InputSpec, tensor: TensorSpec, used: InputQuantization) -> None:
    """Refuse pixels that mostly don't fit, or would become a few numbers only."""
    limits = np.iinfo(tensor.dtype)
    low, high = ((limit - used.zero_point) * used.scale for limit in (limits.min, limits.max))
    ends = [(pixel * spec.scale - mean) / std
            for pixel in (0, 255) for mean, std in zip(spec.mean, spec.std)]
    least, most = min(ends), max(ends)
    clipped = max(low - least, most - high, 0.0) / (most - least)
    steps = (most - least) / used.scale
    if clipped > _CLIPPED or (limits.max <= 255 and steps < _USED * 255) or steps < 2:
        raise DescriptorError(
            f'input.scale, mean and std give numbers from {least:.4g} to {most:.4g}, but '
            f'{_text(used)} makes {tensor} stand for {low:.4g} to {high:.4g}; give the scale, '
            'mean and std of the training')


def _same(one: InputQuantization, other: InputQuantization) -> bool:
    return (one.zero_point == other.zero_point
            and bool(np.isclose(one.scale, other.scale, rtol=1e-3, atol=0)))


def _text(quantization: InputQuantization) -> str:
    return f'{{scale: {quantization.scale:.6g}, zero_point: {quantization.zero_point}}}'
