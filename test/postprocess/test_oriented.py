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

"""Boxes with an angle: overlap and suppression against plain polygons, angles through a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import helper, TensorProto
import pytest
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.postprocess.oriented import corners, rotated_suppression, shared_areas
from ros2_classify.results.results import Detections

Point = tuple[float, float]


def polygon(row: Any) -> list[Point]:
    """Return the corners of a box, turned from x towards y."""
    x, y, width, height, angle = (float(value) for value in row)
    points = []
    for right, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        u, v = right * width / 2, down * height / 2
        points.append((x + u * math.cos(angle) - v * math.sin(angle),
                       y + u * math.sin(angle) + v * math.cos(angle)))
    return points


def area(points: list[Point]) -> float:
    total = 0.0
    for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1]):
        total += x1 * y2 - x2 * y1
    return abs(total) / 2


def clipped(subject: list[Point], clip: list[Point]) -> list[Point]:
    """Cut a polygon by each edge of another, point by point (Sutherland and Hodgman)."""
    for (ax, ay), (bx, by) in zip(clip, clip[1:] + clip[:1]):
        def side(point: Point) -> float:
            return (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)  # noqa: B023
        result: list[Point] = []
        for one, other in zip(subject, subject[1:] + subject[:1]):
            first, second = side(one), side(other)
            if first >= 0:
                result.append(one)
            if (first >= 0) != (second >= 0):
                part = first / (first - second)
                result.append((one[0] + part * (other[0] - one[0]),
                               one[1] + part * (other[1] - one[1])))
        subject = result
        if not subject:
            break
    return subject


def iou(one: Any, other: Any) -> float:
    common = area(clipped(polygon(one), polygon(other)))
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def some_boxes(count: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return np.column_stack((rng.uniform(0, 60, (count, 2)), rng.uniform(2, 40, (count, 2)),
                            rng.uniform(-math.pi, math.pi, count)))


def test_areas_are_those_of_cut_polygons() -> None:
    rows = some_boxes(80)
    # The same box, turned by a quarter and a half, and edges that are upright or equal.
    rows[1], rows[2], rows[3] = rows[0], rows[0], (30, 30, 20, 10, 0)
    rows[1, 4] += math.pi
    rows[2, 4] += math.pi / 2
    rows[4], rows[5] = (30, 30, 20, 10, math.pi / 2), (35, 30, 10, 10, 0)
    for one in rows:
        expected = [area(clipped(polygon(one), polygon(other))) for other in rows]
        assert shared_areas(one, rows) == pytest.approx(expected, abs=1e-6)


def test_corners_turn_from_x_towards_y() -> None:
    row = (10.0, 20.0, 8.0, 2.0, math.radians(30))
    assert corners(np.array([row]))[0] == pytest.approx(np.array(polygon(row)))
    # The right end of the box is lower on the screen.
    assert corners(np.array([row]))[0, 1:3, 1].mean() > 20


@pytest.mark.parametrize('threshold', [0.2, 0.5, 0.7])
@pytest.mark.parametrize('classes', [1, 3])
def test_suppression_is_that_of_a_loop(threshold: float, classes: int) -> None:
    rng = np.random.default_rng(1)
    rows = some_boxes(150, 2).astype(np.float32)
    scores = rng.uniform(0, 1, 150).astype(np.float32)
    class_ids = rng.integers(0, classes, 150)
    kept: list[int] = []
    for row in np.argsort(-scores, kind='stable').tolist():
        if all(class_ids[row] != class_ids[best] or iou(rows[best], rows[row]) <= threshold
               for best in kept):
            kept.append(row)
    found = rotated_suppression(rows, scores, class_ids, threshold)
    assert found.tolist() == kept


def test_crossed_boxes_stay_though_their_upright_boxes_overlap() -> None:
    rows = np.array([(50, 50, 80, 6, 0.7), (50, 50, 80, 6, -0.7)], np.float32)
    found = rotated_suppression(rows, np.array([0.9, 0.8], 'f'), np.zeros(2, int), 0.45)
    assert found.tolist() == [0, 1]
    # One that is inside the other, if the smaller area counts.
    rows[1] = (50, 50, 20, 6, 0.7)
    assert len(rotated_suppression(rows, np.array([0.9, 0.8], 'f'), np.zeros(2, int), 0.45)) == 2
    assert len(rotated_suppression(
        rows, np.array([0.9, 0.8], 'f'), np.zeros(2, int), 0.45, smaller=True)) == 1


def measuring_model(path: Path, width: int, height: int) -> Path:
    """
    Write a detector of one bright box: centre, size and angle from the moments of brightness.

    That is the box a perfect model of oriented boxes gives for what is drawn.
    """
    nodes, constants, count = [], [], 0

    def const(value: Any) -> str:
        name = f'c{len(constants)}'
        array = np.asarray(value, np.float32)
        constants.append(helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.ravel()))
        return name

    def do(op: str, *inputs: str, **attributes: Any) -> str:
        nonlocal count
        count += 1
        nodes.append(helper.make_node(op, list(inputs), [f't{count}'], **attributes))
        return f't{count}'

    def mean(values: str) -> str:
        return do('ReduceSum', do('Mul', values, weights), keepdims=0)

    ys, xs = np.mgrid[:height, :width] + 0.5
    total = do('ReduceSum', 'image', keepdims=0)
    weights = do('Div', 'image', total)
    xs_name, ys_name = const(xs[np.newaxis, np.newaxis]), const(ys[np.newaxis, np.newaxis])
    x, y = mean(xs_name), mean(ys_name)
    dx, dy = do('Sub', xs_name, x), do('Sub', ys_name, y)
    # A pixel is itself a square with moments.
    xx = do('Add', mean(do('Mul', dx, dx)), const(-1 / 12))
    yy = do('Add', mean(do('Mul', dy, dy)), const(-1 / 12))
    xy = mean(do('Mul', dx, dy))
    half = do('Mul', do('Sub', xx, yy), const(0.5))
    root = do('Sqrt', do('Add', do('Mul', half, half), do('Mul', xy, xy)))
    middle = do('Mul', do('Add', xx, yy), const(0.5))
    # tan of the angle: the greater moment's direction.
    angle = do('Atan', do('Div', xy, do('Add', do('Add', half, root), const(1e-9))))
    sides = [do('Sqrt', do('Mul', do(op, middle, root), const(12))) for op in ('Add', 'Sub')]
    one = const([1])
    row = do('Concat', *(do('Reshape', value, 'shape') for value in (
        x, y, *sides, one, angle)), axis=0)
    nodes.append(helper.make_node('Reshape', [row, 'table'], ['output0']))
    constants += [helper.make_tensor('shape', TensorProto.INT64, [1], [1]),
                  helper.make_tensor('table', TensorProto.INT64, [3], [1, 6, 1])]
    graph = helper.make_graph(
        nodes, 'moments',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 1, height, width])],
        [helper.make_tensor_value_info('output0', TensorProto.FLOAT, [1, 6, 1])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize('resize', ['letterbox', 'stretch'])
@pytest.mark.parametrize('size', [(640, 480), (320, 640)])
def test_a_drawn_rectangle_has_its_angle(
    tmp_path: Path, resize: str, size: tuple[int, int],
) -> None:
    """17 angles around the circle, within a degree, in a square input."""
    path = measuring_model(tmp_path / 'obb.onnx', 320, 320)
    descriptor = ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'labels': ['bar'],
        'input': {'color': 'gray', 'resize': resize,
                  **({'pad_value': 0} if resize == 'letterbox' else {})},
        'output': {'decoder': 'yolo', 'axes': 'channels_first', 'objectness': False,
                   'angle': True}})
    with Pipeline.load(descriptor, provider='cpu') as pipeline:
        for step in range(17):
            angle = math.pi * step / 17 - math.pi / 2
            # Drawn four times as large, for smooth edges.
            large = np.zeros((size[1] * 4, size[0] * 4), np.uint8)
            row = (size[0] * 0.55, size[1] * 0.45, 180.0, 60.0, angle)
            cv2.fillPoly(large, [np.rint(np.array(polygon(row)) * 4).astype(np.int32)], 255)
            image = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
            result = pipeline(image, 'mono')
            assert isinstance(result, Detections) and result.oriented is not None
            assert len(result) == 1
            x, y, width, height, found = result.oriented[0].tolist()
            apart = math.degrees(found - angle + math.pi / 2) % 180 - 90
            assert abs(apart) < 1, (step, apart)
            assert -math.pi / 2 <= found < math.pi / 2
            assert (x, y) == pytest.approx(row[:2], abs=1.0)
            assert (width, height) == pytest.approx(row[2:4], abs=3.0)
            around = np.array(polygon(row))
            expected = np.concatenate((around.min(axis=0), around.max(axis=0)))
            assert result.boxes[0] == pytest.approx(expected, abs=3.0)
