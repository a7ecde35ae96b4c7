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
Model inputs other than the image: sizes and constants.

Some detectors map their boxes themselves and take a size as a second input: ``image_shape`` of
the YOLOv3 models of the ONNX model zoo (https://github.com/onnx/models; height, width),
``orig_target_sizes`` of RT-DETR and D-FINE (https://github.com/lyuwenyu/RT-DETR; width, height),
``im_shape`` and ``scale_factor`` of PaddleDetection
(https://github.com/PaddlePaddle/PaddleDetection; height, width). Given the size of the model
input, they return boxes in its pixels, which map back as usual, from a letterbox too. Given the
size of the source image, they return boxes in source pixels; tell the decoder (``units: source``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import DescriptorError
from ros2_classify.model.input_spec import SIZES, SizeWord

if TYPE_CHECKING:
    from ros2_classify.engines.base import TensorSpec
    from ros2_classify.preprocess.geometry import Geometry


class ExtraInputs:
    """Feeds a model's other inputs."""

    def __init__(self, extra: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> None:
        specs = {tensor.name: tensor for tensor in inputs}
        listed = '; '.join(str(tensor) for tensor in inputs)
        self._words: list[tuple[str, SizeWord, tuple[int, ...], np.dtype[Any]]] = []
        self._constants: dict[str, NDArray[Any]] = {}
        # Inputs with a row for each image of a batch.
        self._rows: set[str] = set()
        for name, value in extra.items():
            tensor = specs.get(name)
            if tensor is None:
                raise DescriptorError(
                    f'input.extra names {name!r}, but the model has {listed}; correct the '
                    'name or remove it')
            count = 2 if isinstance(value, str) else len(value)
            # A free dimension is the batch, here of one image.
            shape = tuple(dim if isinstance(dim, int) else 1 for dim in tensor.shape)
            if int(np.prod(shape)) != count:
                # [N] may hold any number of constants.
                if len(shape) != 1 or isinstance(tensor.shape[0], int):
                    raise DescriptorError(
                        f'input.extra.{name} is {value!r}, {count} numbers, but the model '
                        f'takes {tensor}; correct it')
                shape = (count,)
            if tensor.dtype.kind not in 'fiu':
                raise DescriptorError(
                    f'input.extra.{name} cannot be fed: the model takes {tensor}, and sizes '
                    'and constants are numbers')
            if len(shape) > 1 and not isinstance(tensor.shape[0], int):
                self._rows.add(name)
            if isinstance(value, str):
                word = next(word for word in SIZES if word == value)
                self._words.append((name, word, shape, tensor.dtype))
            else:
                self._constants[name] = np.array(value, np.float64).astype(
                    tensor.dtype).reshape(shape)

    @property
    def batchable(self) -> bool:
        """Whether several images can be fed: each size of an image has a row of its own."""
        return all(name in self._rows or word.startswith('input')
                   for name, word, _, _ in self._words)

    def __call__(self, geometries: Sequence[Geometry]) -> dict[str, NDArray[Any]]:
        """Return the inputs for one batch."""
        if not self._words and not self._constants:
            return {}
        fed = dict(self._constants)
        for name, word, shape, dtype in self._words:
            count = len(geometries) if name in self._rows else 1
            fed[name] = np.concatenate([
                np.array(_size_of(geometry, word), dtype).reshape(shape)
                for geometry in geometries[:count]])
        if len(geometries) > 1:
            for name in self._rows & self._constants.keys():
                fed[name] = np.repeat(fed[name], len(geometries), axis=0)
        return fed


def _size_of(geometry: Geometry, word: SizeWord) -> tuple[int, int]:
    size = geometry.given_size if word.startswith('source') else geometry.model_size
    return size if word.endswith('wh') else size[::-1]
