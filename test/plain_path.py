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
The plain path: code for a right result that takes as long as it takes.

OpenCV resizes the whole image, numpy computes in 64 bits, the model runs on one thread without
ONNX Runtime's optimizations, and loops read its outputs. Of the package it uses only the
descriptor and the labels.

A quantised model is the exception: ONNX Runtime computes it with 8-bit numbers or, without its
optimisations, with floats that are rounded in between, and both are another model.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

FILTERS = {'area': cv2.INTER_AREA, 'linear': cv2.INTER_LINEAR}


class Found(NamedTuple):
    """One result; classifications have no box."""

    label: str
    score: float
    box: tuple[float, ...] = ()


class PlainPath:
    """
    A model by the book.

    Parameters
    ----------
    descriptor : ModelDescriptor
        Complete.
    labels : Labels
        Its names.
    path : Path
        The model's file.
    quantised : bool
        Whether it is.

    """

    def __init__(
        self, descriptor: Any, labels: Any, path: Any, *, quantised: bool = False,
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if quantised else levels.ORT_DISABLE_ALL)
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider'])
        self._descriptor = descriptor
        self._spec = descriptor.input
        self._labels = labels

    def __call__(self, bgr: Any, threshold: float, nms_iou: float) -> list[Found]:
        """Return what is on an image, best first."""
        tensor, scale, offset = self._prepare(bgr)
        names = [output.name for output in self._session.get_outputs()]
        values = self._session.run(names, {self._spec.name: tensor})
        outputs = {name: np.asarray(value, np.float64) for name, value in zip(names, values)}
        read = getattr(self, '_' + self._descriptor.output.decoder)
        size = self._spec.size if isinstance(self._spec.size, tuple) else bgr.shape[1::-1]
        found = []
        for class_id, score, box in read(outputs, threshold, nms_iou, size):
            corners = [value * scale[i % 2] - offset[i % 2] for i, value in enumerate(box)]
            box = tuple(min(max(0.0, value), bgr.shape[1 - i % 2])
                        for i, value in enumerate(corners))
            if not box or (box[0] < box[2] and box[1] < box[3]):
                found.append(Found(self._labels.name(class_id), score, box))
        return sorted(found, key=lambda one: -one.score)

    def _prepare(self, bgr: Any) -> tuple[Any, Any, Any]:
        spec = self._spec
        height, width = bgr.shape[:2]
        size = spec.size if isinstance(spec.size, tuple) else (width, height)
        offset = (0.0, 0.0)
        if spec.resize == 'center_crop':
            ratio = max(size[0] / width, size[1] / height) / spec.crop_fraction
            scaled = round(width * ratio), round(height * ratio)
            left, top = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
            image = self._resize(bgr, scaled)[top:top + size[1], left:left + size[0]]
            scale = (width / scaled[0], height / scaled[1])
        elif spec.resize == 'letterbox':
            assert spec.anchor == 'top_left'
            ratio = min(size[0] / width, size[1] / height)
            inner = math.floor(width * ratio + 1e-6), math.floor(height * ratio + 1e-6)
            image = np.full((size[1], size[0], 3), spec.pad_value, np.float64)
            image[:inner[1], :inner[0]] = self._resize(bgr, inner)
            scale = (width / inner[0], height / inner[1])
        else:
            image = self._resize(bgr, size)
            scale = (width / size[0], height / size[1])
        if spec.color == 'rgb':
            image = image[..., ::-1]
        numbers = (image.astype(np.float64) * spec.scale - np.array(spec.mean)) / np.array(
            spec.std)
        if spec.layout == 'nchw':
            numbers = numbers.transpose(2, 0, 1)
        return np.ascontiguousarray(numbers[np.newaxis].astype(spec.dtype)), scale, offset

    def _resize(self, image: Any, size: tuple[int, int]) -> Any:
        if size == image.shape[1::-1]:
            return image
        shrinks = size[0] <= image.shape[1] and size[1] <= image.shape[0]
        kind = FILTERS[self._spec.interpolation] if shrinks else cv2.INTER_LINEAR
        return cv2.resize(image, size, interpolation=kind)

    def _classification(self, outputs: Any, *_: Any) -> Any:
        scores = next(iter(outputs.values())).reshape(-1)
        background = self._descriptor.output.options.get('background')
        return [(class_id, score, ()) for class_id, score in enumerate(scores.tolist())
                if class_id != background]

    def _yolox(self, outputs: Any, threshold: float, nms_iou: float, size: Any) -> Any:
        found, row = [], 0
        table = next(iter(outputs.values()))[0]
        for stride in (8, 16, 32):
            for y in range(size[1] // stride):
                for x in range(size[0] // stride):
                    numbers = table[row]
                    row += 1
                    class_id = int(numbers[5:].argmax())
                    score = float(numbers[4] * numbers[5 + class_id])
                    if score >= threshold:
                        middle = (numbers[0] + x) * stride, (numbers[1] + y) * stride
                        half = np.exp(numbers[2]) * stride / 2, np.exp(numbers[3]) * stride / 2
                        found.append((class_id, score, (
                            middle[0] - half[0], middle[1] - half[1],
                            middle[0] + half[0], middle[1] + half[1])))
        assert row == len(table)
        return suppressed(found, nms_iou)

    def _boxes_scores(self, outputs: Any, threshold: float, nms_iou: float, size: Any) -> Any:
        found = []
        for box, scores in zip(outputs['boxes'][0], outputs['scores'][0]):
            for class_id, score in enumerate(scores.tolist()):
                if class_id and score >= threshold:
                    found.append((class_id, score, tuple(
                        value * size[i % 2] for i, value in enumerate(box))))
        return suppressed(found, nms_iou)

    def _tf_detection(self, outputs: Any, threshold: float, _: float, size: Any) -> Any:
        options = self._descriptor.output.options
        boxes, classes, scores, count = (
            next(value[0] for name, value in outputs.items()
                 if name in (options['outputs'][key], f'{options["outputs"][key]}:0'))
            for key in ('boxes', 'classes', 'scores', 'count'))
        return [(int(class_id) + options['class_offset'], score, tuple(
            box[i] * size[(i + 1) % 2] for i in (1, 0, 3, 2)))
            for box, class_id, score in list(zip(boxes, classes, scores.tolist()))[:int(count)]
            if score >= threshold]


def suppressed(found: list[Any], nms_iou: float) -> list[Any]:
    """Return what stays of the boxes of each class that overlap."""
    kept: list[Any] = []
    for one in sorted(found, key=lambda row: -row[1]):
        if all(one[0] != other[0] or overlap(one[2], other[2]) <= nms_iou for other in kept):
            kept.append(one)
    return kept


def overlap(one: Any, other: Any) -> float:
    """Return the intersection over union of two boxes."""
    shared = max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(
        0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(shared / (sum(areas) - shared))
