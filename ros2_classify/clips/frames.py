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

"""What a model gets of each frame: pixels, the vector of an encoder, or a vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
import time
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ros2_classify.engines import Tensors
from ros2_classify.errors import DescriptorError
from ros2_classify.model.clip_spec import FRAME_LAYOUTS
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.preprocess.batch import Batch
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.preprocess.preprocessor import check_image, Image, Preprocessor
from ros2_classify.preprocess.views import View

Images = NDArray[Any]


class Taken(NamedTuple):
    """A frame that is in the memory, and what that took."""

    geometry: Geometry
    preprocess: float  # seconds
    inference: float


class Frames(Protocol):
    """Rows of what a model gets, one for each frame."""

    rows: NDArray[Any]  # (number of rows, ...); empty before the first frame

    def take(self, row: int, image: Image, color: str, view: View | None) -> Taken:
        """Write a frame into a row."""


class Pixels:
    """The frames themselves, prepared for the model."""

    def __init__(self, spec: InputSpec, count: int) -> None:
        layout = FRAME_LAYOUTS.get(spec.layout or '', spec.layout)
        self._preprocessor = Preprocessor(replace(spec, layout=layout), count, copies=True)
        self._count = count
        self.rows: NDArray[Any] = np.empty(0)

    def take(self, row: int, image: Image, color: str, view: View | None) -> Taken:
        """Write a frame into a row."""
        begun = time.perf_counter()
        if view is None:
            geometry = self._preprocessor(image, color, row)
        else:
            image = check_image(image, color)
            x, y, width, height = view
            geometry = self._preprocessor(
                image[y:y + height, x:x + width], color, row).cropped(
                    x, y, image.shape[1::-1])
        self.rows = self._preprocessor.tensor(self._count)
        return Taken(geometry, time.perf_counter() - begun, 0.0)


class Vectors:
    """What a model of single images says of each frame, as a vector."""

    def __init__(
        self, batch: Batch, infer: Callable[[Batch], Sequence[Tensors]],
        read: Callable[[Tensors], NDArray[np.float32]], count: int, *, size: int | None = None,
        dtype: np.dtype[Any] = np.dtype(np.float32), name: str = '',
    ) -> None:
        self._batch, self._infer, self._read = batch, infer, read
        self._count, self._size, self._dtype, self._name = count, size, dtype, name
        self.rows: NDArray[Any] = np.empty(0)

    def take(self, row: int, image: Image, color: str, view: View | None) -> Taken:
        """Write the vector of a frame into a row."""
        begun = time.perf_counter()
        self._batch.clear()
        self._batch.add(image, color, view)
        added = time.perf_counter()
        vector = self._read(self._infer(self._batch)[0])
        if not self.rows.size:
            if self._size not in (None, len(vector)):
                raise DescriptorError(
                    f'{self._name}: the model takes vectors of {self._size} numbers, but the '
                    f'encoder gives {len(vector)}; use the encoder that it was trained with')
            self.rows = np.zeros((self._count, len(vector)), self._dtype)
        self.rows[row] = vector
        return Taken(self._batch.geometries[0], added - begun, time.perf_counter() - added)
