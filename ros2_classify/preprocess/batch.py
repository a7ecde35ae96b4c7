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

"""Images on their way through a model: prepared in place, run together, split again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.engines import bind, BoundRun, Engine, Tensors, TensorSpec
from ros2_classify.errors import EngineError, OutputError
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.preprocess.extra_inputs import ExtraInputs
from ros2_classify.preprocess.geometry import Geometry
from ros2_classify.preprocess.preprocessor import check_image, Image, Preprocessor
from ros2_classify.preprocess.views import View


class Batch:
    """
    Up to ``capacity`` images for one run of a model, each in its row of the input tensor.

    To prepare images while the model runs, use two batches in turn. A batch serves one thread at
    a time; ``Pipeline.new_batch`` makes one.
    """

    def __init__(
        self, spec: InputSpec, name: str, extra: ExtraInputs, capacity: int = 1, *,
        unbatched: bool = False,
    ) -> None:
        self._name = name
        self._extra = extra
        self._capacity = capacity
        self._unbatched = unbatched
        self._preprocessor = Preprocessor(spec, capacity)
        self._geometries: list[Geometry] = []
        # By number of images: the model bound to these rows, and its other inputs.
        self._bound: dict[int, tuple[BoundRun, Tensors]] = {}
        self._stays = isinstance(spec.size, tuple)

    @property
    def capacity(self) -> int:
        """The maximum number of images."""
        return self._capacity

    @property
    def geometries(self) -> Sequence[Geometry]:
        """How the boxes of each image map back, in the order of the images."""
        return self._geometries

    @property
    def tensors(self) -> Tensors:
        """The inputs of the model: arrays of the batch, valid until it changes."""
        return {self._name: self._tensor(), **self._extra(self._geometries)}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._geometries)

    def clear(self) -> None:
        """Remove all images."""
        self._preprocessor.release()
        self._geometries.clear()

    def add(self, image: Image, color: str = 'rgb', view: View | None = None) -> None:
        """
        Prepare an image for the model, in the next row of the tensor; IndexError if it is full.

        An image that already is the model input is not copied: do not change it until the model
        has run. The model sees only the ``view``; results are in pixels of the whole image all
        the same. InputError if the array is no image: the batch does not change.
        """
        row = len(self._geometries)
        if row >= self._capacity:
            raise IndexError(f'the batch holds {self._capacity} images and is full')
        if view is None:
            self._geometries.append(self._preprocessor(image, color, row))
            return
        image = check_image(image, color)
        x, y, width, height = view
        self._geometries.append(self._preprocessor(
            image[y:y + height, x:x + width], color, row).cropped(x, y, image.shape[1::-1]))

    def run(self, engine: Engine) -> Tensors:
        """Run the model, always the same one; the outputs are valid until the batch runs again."""
        if not self._stays or self._preprocessor.borrows:
            # The tensor moves or changes its size, so there is nothing to bind.
            return engine.infer(self.tensors)
        count = len(self._geometries)
        bound = self._bound.get(count)
        if bound is None:
            tensors = self.tensors
            bound = self._bound[count] = bind(engine, tensors), tensors
        run, tensors = bound
        for name, array in self._extra(self._geometries).items():
            np.copyto(tensors[name], array)
        return run()

    def _tensor(self) -> NDArray[Any]:
        tensor = self._preprocessor.tensor(len(self._geometries))
        return tensor[0] if self._unbatched else tensor


def batchable(
    spec: InputSpec, name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec],
    extra: ExtraInputs,
) -> bool:
    """Tell from the shapes whether a model may take several images at once."""
    image = next(tensor for tensor in inputs if tensor.name == name)
    return (isinstance(spec.size, tuple) and extra.batchable
            and len(image.shape) == 4 and not isinstance(image.shape[0], int)
            and all(tensor.shape and not isinstance(tensor.shape[0], int) for tensor in outputs))


def split(outputs: Tensors, count: int) -> list[Tensors]:
    """Split the outputs of a batch into views for each image, with a batch axis of 1."""
    if count == 1:
        return [outputs]
    for name, array in outputs.items():
        if not array.ndim or len(array) != count:
            raise OutputError(
                f'the output {name!r} has the shape {list(array.shape)} for {count} images and '
                'cannot be split; load the model with max_batch 1')
    return [{name: array[row:row + 1] for name, array in outputs.items()} for row in range(count)]


def differs_in_batch(batch: Batch, infer: Callable[[Batch], list[Tensors]]) -> str:
    """Compare the outputs for a batch with those for each image; return what differs, or ''."""
    images = [np.random.default_rng(seed).integers(0, 256, (96, 128, 3), np.uint8)
              for seed in range(2)]
    images[1][:, :64] = 255
    alone = []
    for image in images:
        batch.clear()
        batch.add(image)
        # Copied, because the batch may use the memory again.
        alone.append({name: array.copy() for name, array in infer(batch)[0].items()})
    batch.clear()
    for image in images:
        batch.add(image)
    try:
        together = infer(batch)
    except (EngineError, OutputError) as error:
        return f'its shapes allow more, but {error}'
    for one, other in zip(together, alone):
        for name in other:
            if not _close(one[name], other[name]):
                return f'the output {name!r} differs in a batch'
    return ''


def _close(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape or one.dtype.kind not in 'fiub':
        return False
    one, other = (np.nan_to_num(array.astype(np.float64)) for array in (one, other))
    return bool(np.abs(one - other).max(initial=0.0) <= 0.01 * np.abs(other).max(initial=0.0))
