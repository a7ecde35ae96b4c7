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

"""Masks made of prototypes: pixel for pixel against loops, through pipelines, small in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros2_classify.errors import OutputError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.masks import PrototypeMasks
from ros2_classify.results.results import Detections
from ros2_classify.testing import save_constant_model

SIZE, GRID, COUNT = 64, 16, 8


def value_at(cells: Any, u: float, v: float) -> float:
    """Interpolate between cell centres; constant beyond the outermost ones."""
    height, width = len(cells), len(cells[0])
    u, v = min(max(u - 0.5, 0), width - 1), min(max(v - 0.5, 0), height - 1)
    x, y = min(int(u), width - 2), min(int(v), height - 2)
    a, b = u - x, v - y
    return float((cells[y][x] * (1 - a) + cells[y][x + 1] * a) * (1 - b)
                 + (cells[y + 1][x] * (1 - a) + cells[y + 1][x + 1] * a) * b)


def by_hand(
    coefficients: Any, prototypes: Any, frame: Any, boxes: Any, size: tuple[int, int],
) -> Any:
    """Return the number of the first object that each pixel belongs to; 0 for none."""
    canvas = np.zeros((size[1], size[0]), int)
    for row in range(len(boxes) - 1, -1, -1):
        total = sum(c * plane for c, plane in zip(coefficients[row].tolist(), prototypes))
        cells = 1 / (1 + np.exp(-total))
        for y in range(size[1]):
            for x in range(size[0]):
                center_x, center_y = x + 0.5, y + 0.5
                if not (boxes[row][0] <= center_x < boxes[row][2]
                        and boxes[row][1] <= center_y < boxes[row][3]
                        and frame[0] <= center_x < frame[2] and frame[1] <= center_y < frame[3]):
                    continue
                u = (center_x - frame[0]) / (frame[2] - frame[0]) * cells.shape[1]
                v = (center_y - frame[1]) / (frame[3] - frame[1]) * cells.shape[0]
                if value_at(cells, u, v) > 0.5:
                    canvas[y, x] = row + 1
    return canvas


def numbers(objects: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, (objects, COUNT)).astype('f'),
            rng.normal(0, 1, (COUNT, GRID, GRID)).astype('f'))


@pytest.mark.parametrize('frame', [(0, 0, 90, 60), (0, -15, 90, 75), (10, 5, 70, 50)])
def test_the_loops_agree(frame: tuple[float, ...]) -> None:
    coefficients, prototypes = numbers(5)
    boxes = np.array([(3.2, 4.7, 60, 50), (-5, 30, 40, 70), (70.5, 2, 95, 58.4),
                      (20, 20, 20, 30), (0, 0, 90, 60)], 'f')
    masks = PrototypeMasks(coefficients, prototypes, frame, boxes)  # type: ignore[arg-type]
    expected = by_hand(coefficients, prototypes.astype(float), frame, boxes, (90, 60))
    assert (masks.instances((90, 60)) == expected).all() and expected.any()
    rows = np.array([2, 0])
    assert (masks.select(rows).instances((90, 60)) == by_hand(
        coefficients[rows], prototypes.astype(float), frame, boxes[rows], (90, 60))).all()


@pytest.mark.parametrize('resize', ['stretch', 'letterbox', 'center_crop'])
@pytest.mark.parametrize('form', ['raw', 'final'])
def test_known_prototypes_give_exact_pixels(tmp_path: Path, resize: str, form: str) -> None:
    """Raw heads and those with suppression inside, each resize; two images in turn."""
    coefficients, prototypes = numbers(4, 2)
    boxes = np.array([(10, 12, 50, 40), (30, 20, 63, 60), (0, 0, 30, 64), (5, 5, 9, 9)], 'f')
    scores = np.array([[0.9], [0.8], [0.7], [0.1]], 'f')
    table = np.zeros((84, 5 + COUNT), 'f')
    centers = np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), 1)
    table[:4] = np.concatenate((centers, scores, coefficients), axis=1)
    final = np.concatenate((boxes, scores, np.zeros((4, 1), 'f'), coefficients), axis=1)
    outputs, output = {
        'raw': (table.T, {'decoder': 'yolo', 'axes': 'channels_first', 'objectness': False,
                          'prototypes': 'output1'}),
        'final': (final, {'decoder': 'end_to_end', 'outputs': {
            'rows': 'output0', 'prototypes': 'output1'},
            'columns': ['box', 'score', 'class', 'coefficients']})}[form]
    path = save_constant_model(
        tmp_path / 'seg.onnx', {'output0': outputs[np.newaxis], 'output1': prototypes[np.newaxis]},
        input_shape=(1, 3, SIZE, SIZE))
    width, height = 90, 60
    with Pipeline.load(ModelDescriptor.from_mapping({
            'source': {'path': str(path)}, 'output': output, 'input': {'resize': resize},
            'defaults': {'nms_iou': 1.0}}), provider='cpu') as pipeline:
        result = pipeline(np.zeros((height, width, 3), np.uint8))
        assert pipeline.gives_masks
        batch = pipeline.new_batch()
        batch.add(np.zeros((height, width, 3), np.uint8))
        at = batch.geometries[0]
    assert isinstance(result, Detections) and len(result) == 3

    def mapped(box: Any) -> tuple[float, ...]:
        return (box[0] * at.scale_x + at.offset_x, box[1] * at.scale_y + at.offset_y,
                box[2] * at.scale_x + at.offset_x, box[3] * at.scale_y + at.offset_y)
    expected = by_hand(coefficients[:3], prototypes.astype(float), mapped((0, 0, SIZE, SIZE)),
                       [mapped(box) for box in boxes[:3].tolist()], (width, height))
    assert (result.instances() == expected).all() and len(np.unique(expected)) == 4


def test_a_hundred_on_4k_stay_small() -> None:
    coefficients, _ = numbers(100)
    coefficients = np.repeat(coefficients, 4, axis=1)
    prototypes = np.zeros((32, 160, 160), 'f')
    masks = PrototypeMasks(coefficients, prototypes, (0, 0, 3840, 2160),
                           np.tile((0, 0, 3840, 2160), (100, 1)).astype('f'))
    assert coefficients.nbytes + prototypes.nbytes < 4e6
    assert masks.cutout(0, (3840, 2160)).pixels.shape == (2160, 3840)


def test_what_is_not_finite_is_no_part_of_an_object() -> None:
    prototypes = np.full((1, 4, 4), 9, 'f')
    prototypes[0, :2] = np.nan
    masks = PrototypeMasks(np.ones((1, 1), 'f'), prototypes, (0, 0, 40, 40),
                           np.array([(0, 0, 40, 40)], 'f'))
    found = masks.instances((40, 40))
    assert not found[:20].any() and found[30:].all()


def test_what_does_not_fit_is_refused() -> None:
    coefficients, prototypes = numbers(2)
    for wrong in ((coefficients[:, :3], prototypes, np.zeros((2, 4))),
                  (coefficients, prototypes, np.zeros((3, 4))),
                  (coefficients, prototypes[:, :, 0], np.zeros((2, 4)))):
        with pytest.raises(OutputError, match='must be'):
            PrototypeMasks(*wrong[:2], (0, 0, 1, 1), wrong[2])  # type: ignore[arg-type]


def test_masks_of_queries(tmp_path: Path) -> None:
    """RF-DETR's segmenters: logits on the whole input, not cut to the box."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 4, (1, 3, GRID, GRID)).astype('f')
    outputs = {
        'dets': np.array([[(0.5, 0.5, 0.2, 0.2), (0.3, 0.3, 0.2, 0.2), (0.7, 0.7, 0.3, 0.1)]],
                         'f'),
        'labels': np.array([[(3, -9), (-9, 2), (-9, -9)]], 'f'), 'masks': logits}
    path = save_constant_model(tmp_path / 'q.onnx', outputs, input_shape=(1, 3, SIZE, SIZE))
    with Pipeline.load(ModelDescriptor.from_mapping({
            'source': {'path': str(path)},
            'output': {'decoder': 'detr', 'activation': 'sigmoid'}}), provider='cpu') as pipeline:
        result = pipeline(np.zeros((60, 90, 3), np.uint8))
    assert isinstance(result, Detections) and len(result) == 2
    expected = np.zeros((60, 90), int)
    for row in (1, 0):
        cells = 1 / (1 + np.exp(-logits[0, row].astype(float)))
        for y in range(60):
            for x in range(90):
                if value_at(cells, (x + 0.5) * GRID / 90, (y + 0.5) * GRID / 60) > 0.5:
                    expected[y, x] = row + 1
    assert (result.instances() == expected).all()
    assert math.isclose(result.scores[0], 1 / (1 + math.exp(-3)), abs_tol=1e-6)


def test_what_nobody_reads_is_named(tmp_path: Path) -> None:
    """An output that is not declared, and numbers behind the classes."""
    table = np.zeros((1, 84, 5 + COUNT), 'f')
    path = save_constant_model(
        tmp_path / 'seg.onnx', {'output0': table, 'output1': np.zeros((1, COUNT, 16, 16), 'f')},
        input_shape=(1, 3, SIZE, SIZE))
    said = []
    for more in ({'classes': 1}, {'prototypes': 'output1'}):
        with Pipeline.load(ModelDescriptor.from_mapping({
                'source': {'path': str(path)}, 'output': {
                    'decoder': 'yolo', 'axes': 'channels_last', 'objectness': False, **more}}),
                provider='cpu') as pipeline:
            assert pipeline.ignored == ()
            pipeline.warm_up()
            said.append(pipeline.ignored)
    assert len(said[0]) == 2 and said[1] == ()
    assert said[0][0].startswith('8 numbers after the 1 class scores of each box: ')
    assert said[0][1].startswith("the output 'output1' float32 [1, 8, 16, 16]: the decoder yolo")
