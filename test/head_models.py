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

"""Models with several heads, and what their results must be, in plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx import checker, helper, numpy_helper, save, TensorProto

# Of the mean color of an image, red, green and blue from 0 to 1.
SEX = np.array([[4.0, -4.0], [-1.0, 1.0], [0.0, 2.0]], np.float32)
AGE = np.array([[3.0, 0.0, -3.0, 1.0], [-2.0, 4.0, 0.5, 0.0], [0.0, -1.0, 5.0, 2.0]], np.float32)
BOXES = np.array([[[2.0, 1.0, 6.0, 5.0], [0.0, 0.0, 4.0, 8.0], [1.0, 3.0, 7.0, 8.0]]], np.float32)
# How each color raises the score of each box as a class.
OBJECTS = np.array([[5.0, -3.0, 0.9, -3.0, -3.0, -3.0], [-3.0, -3.0, -3.0, 3.5, -3.0, -3.0],
                    [0.0, -3.0, -1.0, -0.5, 1.0, 4.0]], np.float32)
FEED = {'scale': '1/255'}


def save_two_classifiers(path: Path) -> Path:
    """Write a classifier of sex (logits) and age (probabilities)."""
    nodes = [
        helper.make_node('MatMul', ['mean', 'w_sex'], ['sex']),
        helper.make_node('MatMul', ['mean', 'w_age'], ['age_logits']),
        helper.make_node('Softmax', ['age_logits'], ['age'], axis=1)]
    return _save(path, nodes, {'sex': [1, 2], 'age': [1, 4]}, {'w_sex': SEX, 'w_age': AGE})


def save_detector_and_classifier(path: Path) -> Path:
    """Write a detector of two classes (logits, boxes in pixels) and the classifier of age."""
    nodes = [
        helper.make_node('Identity', ['all_boxes'], ['boxes']),
        helper.make_node('MatMul', ['mean', 'w_objects'], ['flat']),
        helper.make_node('Reshape', ['flat', 'shape'], ['scores']),
        helper.make_node('MatMul', ['mean', 'w_age'], ['age'])]
    return _save(path, nodes, {'boxes': [1, 3, 4], 'scores': [1, 3, 2], 'age': [1, 4]}, {
        'all_boxes': BOXES, 'w_objects': OBJECTS, 'w_age': AGE, 'shape': np.array([1, 3, 2])})


def _save(path: Path, nodes: list[Any], outputs: dict[str, list[int]],
          constants: dict[str, NDArray[Any]]) -> Path:
    pool = [helper.make_node('GlobalAveragePool', ['image'], ['pooled']),
            helper.make_node('Flatten', ['pooled'], ['mean'])]
    graph = helper.make_graph(
        [*pool, *nodes], 'heads',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
         for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    checker.check_model(model)
    save(model, path)
    return path


def mean_color(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return red, green and blue, from 0 to 1, of an RGB image of one color."""
    result: NDArray[np.float64] = image.reshape(-1, 3).mean(0) / 255
    return result


def ages(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the probabilities of the classes of age."""
    return softmax(mean_color(image) @ AGE)


def sexes(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the probabilities of the classes of sex."""
    return softmax(mean_color(image) @ SEX)


def objects(image: NDArray[np.uint8], threshold: float) -> list[tuple[int, float, list[float]]]:
    """Return class, score and box in the image of what is found, best first."""
    scores = 1 / (1 + np.exp(-(mean_color(image) @ OBJECTS))).reshape(3, 2)
    height, width = image.shape[:2]
    scale = np.array([width, height] * 2) / 8
    found = [(class_id, float(scores[row, class_id]), list(BOXES[0, row] * scale))
             for row in range(3) for class_id in range(2) if scores[row, class_id] >= threshold]
    return sorted(found, key=lambda each: -each[1])


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities."""
    powers = np.exp(logits - logits.max())
    result: NDArray[np.float64] = powers / powers.sum()
    return result
