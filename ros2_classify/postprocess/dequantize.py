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

"""Turn quantized outputs into the numbers they stand for, before any decoder sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ros2_classify.engines import Quantization, Tensors, TensorSpec
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import OutputSpec

_BYTES = 2  # wider whole numbers are counts and class ids


class Dequantizer:
    """Applies ``(stored - zero_point) * scale`` as the descriptor says, or else the file."""

    def __init__(self, output: OutputSpec, tensors: Sequence[TensorSpec], model: str) -> None:
        whole = [tensor for tensor in tensors
                 if tensor.dtype.kind in 'iu' and tensor.dtype.itemsize <= _BYTES]
        if output.scale is not None and not whole:
            raise DescriptorError(
                f'{model}: output.scale is for outputs of whole numbers with 8 or 16 bits, but '
                f'the model has {"; ".join(map(str, tensors))}; remove it')
        declared = None if output.scale is None else Quantization(
            output.scale, output.zero_point or 0)
        self._known = {tensor.name: found for tensor in whole
                       if (found := declared or tensor.quantization) is not None}

    def __call__(self, outputs: Tensors) -> Tensors:
        """Return the outputs, float32 in place of quantized ones."""
        if not self._known:
            return outputs
        real = dict(outputs)
        for name, (scale, zero_point) in self._known.items():
            if name in real and real[name].dtype.kind in 'iu':
                # Exact: 16 bits and their difference fit into a float32.
                stored = real[name].astype(np.float32) - np.float32(zero_point)
                real[name] = stored * np.float32(scale)
        return real
