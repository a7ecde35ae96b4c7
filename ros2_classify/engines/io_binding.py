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

"""A session bound to its arrays: no look-ups, allocations or copies that can be avoided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ros2_classify.engines.base import Tensors, TensorSpec

# The shape of an output that is known before the model runs.
Shape = tuple[int, ...]


def known_shape(output: TensorSpec, inputs: Sequence[TensorSpec], given: Tensors) -> Shape | None:
    """Return an output's shape if the inputs decide it, else None."""
    sizes: dict[str, set[int]] = {}
    for spec in inputs:
        for want, have in zip(spec.shape, given[spec.name].shape):
            if isinstance(want, str):
                sizes.setdefault(want, set()).add(have)
    shape = []
    for dim in output.shape:
        if isinstance(dim, str) and len(sizes.get(dim, ())) == 1:
            (dim,) = sizes[dim]
        if not isinstance(dim, int) or dim < 0:
            return None
        shape.append(dim)
    return tuple(shape)


class BoundSession:
    """
    One session on one set of input arrays; call it to run the model.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The session.
    inputs : dict of str to ndarray
        C-contiguous arrays that fit; read in place at each run.
    outputs : sequence of (TensorSpec, shape or None)
        The outputs in the graph's order, with their shapes where these are known.
    options : onnxruntime.RunOptions or None
        For each run.
    device : (str, int) or None
        The device whose memory holds the model's inputs and outputs, such as ``('cuda', 0)``;
        None where that is the arrays' own.

    Attributes
    ----------
    assumes : bool
        Whether a shape is taken from the names of dimensions, which may be wrong: runs fail then.

    """

    def __init__(
        self, session: Any, inputs: Tensors, outputs: Sequence[tuple[TensorSpec, Shape | None]],
        options: Any = None, device: tuple[str, int] | None = None,
    ) -> None:
        self._session: Any = session
        self._options = options
        self._binding: Any = session.io_binding()
        # The binding holds pointers only: the arrays must live as long as it does.
        self._inputs = inputs
        self._fixed: dict[str, np.ndarray[Any, Any]] = {}
        self._names = [spec.name for spec, _ in outputs]
        self.assumes = any(shape is not None and shape != spec.shape for spec, shape in outputs)
        self._loose = [index for index, (_, shape) in enumerate(outputs) if shape is None]
        self._uploads: list[Callable[[], None]] = []
        self._downloads: list[tuple[str, Any]] = []
        for name, array in inputs.items():
            if device is None:
                self._binding.bind_input(
                    name, 'cpu', 0, array.dtype.type, array.shape, array.ctypes.data)
            else:
                self._upload(name, array, device)
        for spec, shape in outputs:
            if shape is None:
                self._binding.bind_output(spec.name, 'cpu')
            elif device is None:
                fixed = self._fixed[spec.name] = np.empty(shape, spec.dtype)
                self._binding.bind_output(
                    spec.name, 'cpu', 0, fixed.dtype.type, shape, fixed.ctypes.data)
            else:
                self._download(spec, shape, device)

    def close(self) -> None:
        """Release the session; it can't be called any more."""
        self._session = self._binding = None
        self._uploads.clear()
        self._downloads.clear()

    def __call__(self) -> Tensors:
        """Run the model; the arrays that come back are overwritten by the next call."""
        for upload in self._uploads:
            upload()
        for index in self._loose:
            # Bound again: the last output would count as memory of a fixed size.
            self._binding.bind_output(self._names[index], 'cpu')
        self._session.run_with_iobinding(self._binding, self._options)
        found: Tensors = dict(self._fixed)
        for name, value in self._downloads:
            found[name] = value.numpy()
        if self._loose:
            values = self._binding.get_outputs()
            for index in self._loose:
                found[self._names[index]] = values[index].numpy()
        return {name: found[name] for name in self._names}

    def _upload(self, name: str, array: np.ndarray[Any, Any], device: tuple[str, int]) -> None:
        """Allocate fixed memory on the device, to which the array is copied."""
        value = _ort_value().ortvalue_from_numpy(array, *device)
        self._binding.bind_ortvalue_input(name, value)
        self._uploads.append(lambda: value.update_inplace(array))

    def _download(self, spec: TensorSpec, shape: Shape, device: tuple[str, int]) -> None:
        value = _ort_value().ortvalue_from_shape_and_type(shape, spec.dtype.type, *device)
        self._binding.bind_ortvalue_output(spec.name, value)
        self._downloads.append((spec.name, value))


def _ort_value() -> Any:
    import onnxruntime

    return onnxruntime.OrtValue
