#!/usr/bin/env python3
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
Add a decoder for a model family that the package does not know.

The model of this example returns points, ``[1, N, 3]`` with x, y and score, in pixels of its
input; the decoder makes a box of a fixed size around each. Thresholds, the mapping to the source
image and the result type come from the package.

    python examples/own_decoder.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify import Detections, ModelDescriptor, Pipeline
from ros2_classify.decoders import Candidates, DecodeContext, Decoder, DECODERS
from ros2_classify.keys import key
from ros2_classify.testing import FakeEngine, tensor

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class PointOptions:
    """Options under ``output`` in a descriptor; wrong values are refused with their line."""

    box_size: float = key(16.0, 'the side of the boxes, in pixels of the input', low=1, high=4096)


def decode(outputs: Outputs, options: PointOptions, context: DecodeContext) -> Candidates:
    """Return a box around each point over the threshold, in pixels of the model input."""
    points = outputs['points'][0]
    points = points[points[:, 2] >= context.score_threshold]
    centers, half = points[:, :2], options.box_size / 2
    return Candidates(
        boxes=np.concatenate((centers - half, centers + half), axis=1),
        scores=points[:, 2], class_ids=np.zeros(len(points), np.int64))


DECODERS['points'] = Decoder(
    task='detection', options=PointOptions, decode=decode,
    class_count=lambda outputs, options: 1)


def main() -> None:
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': 'points.onnx'},
        'labels': ['corner'],
        'input': {'name': 'image', 'size': [64, 64], 'layout': 'nchw', 'dtype': 'float32'},
        'output': {'decoder': 'points', 'box_size': 8},
    })
    # Stands in for a model file: with one, use Pipeline.load(descriptor, task='detection').
    engine = FakeEngine(
        [tensor('image', [1, 3, 64, 64])], [tensor('points', [1, 'n', 3])],
        {'points': np.array([[[16, 32, 0.9], [48, 32, 0.1]]], np.float32)})
    pipeline: Pipeline[Detections] = Pipeline(descriptor, engine, descriptor.load_labels())
    print(pipeline(np.zeros((128, 128, 3), np.uint8)))


if __name__ == '__main__':
    main()
