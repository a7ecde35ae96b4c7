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


"""What a model sees: the features before its last layers, by one more output of the same run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify import OptionsError, Pipeline
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor import OutputSpec
from ros2_classify.model.files import model_file
from ros2_classify_evaluation.identity import model_sha256

_NAME = 'ros2_classify_features'
# Fewer channels are no features but results or pixels.
_LEAST_CHANNELS = 16
_SIDE = 8


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return small pixels as features, if a model can't give any."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    centred = small.astype(np.float32).ravel() - 127.5
    return unit(centred + 1e-3)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a vector of length 1."""
    values = np.asarray(vector, np.float32)
    return values / max(float(np.linalg.norm(values)), 1e-12)


class FeatureModel:
    """
    A model whose features are known beside its results.

    Parameters
    ----------
    model : str
        A name from the catalogue, a descriptor or a model file.
    directory : Path
        Where the model with one more output is written.

    """

    def __init__(self, model: str, directory: Path, provider: str = 'auto') -> None:
        self.problem = ''
        try:
            descriptor = _tapped(model, directory)
            self._tapped: Pipeline[Any] | None = Pipeline.load(descriptor, provider=provider)
        except (ImportError, OptionsError) as error:
            self.problem = (
                f'{error.name} is not installed (pip install onnx)'
                if isinstance(error, ImportError) else str(error))
            self._tapped = None
        self.pipeline = self._tapped or Pipeline.load(model, provider=provider)
        self.sha256 = model_sha256(model)

    def __call__(self, image: NDArray[np.uint8], options: Any,
                 ) -> tuple[Any, NDArray[np.float32]]:
        """Return an image's result and its features, a vector of length 1."""
        result = self.pipeline(image, 'bgr', options)
        if self._tapped is None:
            return result, thumbnail(image)
        features: Any = result.others['features']
        return result, unit(features.vector)

    def close(self) -> None:
        """Free the model."""
        self.pipeline.close()


def _tapped(model: str, directory: Path) -> Any:
    """Return a descriptor of the model with its features as a second head."""
    import onnx

    declared = resolve(model)
    if declared.format in ('frozen_graph', 'saved_model') or declared.heads:
        raise OptionsError('its features are not read from such a model')
    with Pipeline.load(declared) as pipeline:
        complete = pipeline.descriptor
    file = onnx.load(str(model_file(declared, None)))
    outputs = [each.name for each in file.graph.output]
    name = _deepest(onnx.shape_inference.infer_shapes(file))
    if name is None:
        raise OptionsError('the model has no map of features that is known to be one')
    file.graph.node.append(onnx.helper.make_node('GlobalAveragePool', [name], [f'{_NAME}_map']))
    file.graph.node.append(onnx.helper.make_node('Flatten', [f'{_NAME}_map'], [_NAME]))
    file.graph.output.append(onnx.helper.make_tensor_value_info(
        _NAME, onnx.TensorProto.FLOAT, None))
    path = directory / 'features.onnx'
    onnx.save(file, str(path))
    output = OutputSpec(decoder='embedding', options=FrozenMapping({'output': _NAME}))
    results = complete.output
    if complete.task == 'classification' and len(outputs) == 1:
        # One of two now: it is named.
        results = replace(
            results, options=FrozenMapping({**results.options, 'output': outputs[0]}))
    first = replace(complete, name='result', output=results, heads=())
    features = replace(complete, name='features', output=output, task='embedding', labels=None,
                       colors=FrozenMapping({}), heads=())
    return replace(complete, source=type(complete.source)(path=str(path)), directory=directory,
                   output=results, heads=(first, features))


def _deepest(file: Any) -> str | None:
    """Return the last of the smallest maps with many channels: what the last layers read."""
    best, smallest = None, None
    shapes = {
        value.name: [each.dim_value for each in value.type.tensor_type.shape.dim]
        for value in file.graph.value_info}
    for node in file.graph.node:
        for name in node.output:
            shape = shapes.get(name, [])
            if len(shape) != 4 or shape[1] < _LEAST_CHANNELS or min(shape[2:]) < 2:
                continue
            area = shape[2] * shape[3]
            if smallest is None or area <= smallest:
                best, smallest = name, area
    return best
