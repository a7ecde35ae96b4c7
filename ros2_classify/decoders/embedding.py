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
Embeddings: one vector for the whole image, to compare images with each other.

The outputs are those of image encoders (https://arxiv.org/abs/2103.00020), re-identification and
face recognition models (https://arxiv.org/abs/1801.07698):
``[1, N]`` for most, ``[1, N, 1, 1]`` where the model ends in a global pooling, ``[N]`` for some
exports. Vectors are passed on as the model gives them: the cosine similarity doesn't depend on
their length.
"""

from __future__ import annotations

from dataclasses import dataclass

from ros2_classify.decoders.base import (
    as_float32, DecodeContext, Decoder, describe, misfit, OUTPUT, Outputs, pick, refuse_quantized,
    Vector)
from ros2_classify.errors import OutputError
from ros2_classify.keys import key


@dataclass(frozen=True)
class EmbeddingOptions:
    """Options of the decoder ``embedding``."""

    output: str | None = key(None, OUTPUT, unset='the only output')


def class_count(outputs: Outputs, options: EmbeddingOptions) -> None:
    """Return None: there are no classes."""


def decode(outputs: Outputs, options: EmbeddingOptions, context: DecodeContext) -> Vector:
    """Return the vector, axes of length 1 removed."""
    if options.output is None and len(outputs) != 1:
        raise OutputError(
            'the model has several outputs and output.output does not name the one with the '
            f'embedding: {describe(outputs)}')
    name = options.output or next(iter(outputs))
    array = pick(outputs, name)
    if array.size < 2 or max(array.shape, default=1) != array.size:
        raise misfit(name, "one image's vector, like [1, N] or [1, N, 1, 1]", outputs)
    refuse_quantized(name, array)
    # The memory may be used again at the next run.
    return Vector(as_float32(name, array.reshape(-1)).copy())


EMBEDDING = Decoder(
    task='embedding', options=EmbeddingOptions, decode=decode, class_count=class_count)
