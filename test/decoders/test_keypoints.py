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

"""Key points, mask coefficients and angles of all decoders against loops, through pipelines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import (
    eyes_over_mouths, IMAGE, MODEL, published, run_model, run_published)
import numpy as np
import pytest
from ros2_classify.decoders import DECODERS
from ros2_classify.errors import DescriptorError
from ros2_classify.results.masks import PrototypeMasks

# From the model's 64x64 to the image's 128x192.
SCALE = (IMAGE[0] / MODEL[0], IMAGE[1] / MODEL[1])
CELLS = 84
FACE = ('right_eye', 'left_eye', 'nose', 'right_mouth_corner', 'left_mouth_corner')


def table(columns: int, seed: int = 0, rows: int = CELLS) -> Any:
    """Return boxes that don't overlap much, their score, and further numbers."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform((10, 10, 4, 4), (54, 54, 12, 12), (rows, 4))
    scores = np.linspace(0.1, 0.95, rows).reshape(-1, 1)
    return np.concatenate(
        (boxes, scores, rng.uniform(0.05, 60, (rows, columns))), axis=1).astype(np.float32)


def check_points(result: Any, expected: list[list[tuple[float, float, float]]]) -> None:
    """Compare the key points of objects, the best first."""
    assert result.keypoints is not None and len(result) == len(expected) > 0
    assert len(result.keypoints) == len(result)
    for got, scores, wanted in zip(result.keypoints.points, result.keypoints.scores, expected):
        for (x, y), score, point in zip(got.tolist(), scores.tolist(), wanted):
            assert (x / SCALE[0], y / SCALE[1]) == pytest.approx(point[:2], abs=0.01)
            assert score == pytest.approx(point[2], abs=1e-5)


@pytest.mark.parametrize('numbers', [2, 3])
@pytest.mark.parametrize('axes', ['channels_first', 'channels_last'])
def test_yolo_columns(tmp_path: Path, numbers: int, axes: str) -> None:
    """Pose heads of Ultralytics: box, class score, K times x, y and a score."""
    rows = table(17 * numbers)
    if numbers == 3:
        rows[:, 7::3] /= 60
    given = rows.T if axes == 'channels_first' else rows
    result = run_model(tmp_path, {'output0': given[np.newaxis]}, {
        'decoder': 'yolo', 'axes': axes, 'objectness': False, 'keypoints': [17, numbers],
        'keypoint_names': 'coco'})
    best = [row for row in rows[::-1].tolist() if row[4] >= 0.3]
    check_points(result, [[(
        row[5 + at * numbers], row[6 + at * numbers],
        row[7 + at * numbers] if numbers == 3 else row[4]) for at in range(17)] for row in best])
    assert result.keypoints.names[:2] == ('nose', 'left_eye')
    assert (5, 7) in result.keypoints.skeleton and set(result.class_ids) == {0}


def test_the_rows_stay_together_after_suppression(tmp_path: Path) -> None:
    rows = table(6)
    rows[:, :4] = (32, 32, 20, 20)
    rows[:40, :4] = (10, 10, 8, 8)
    result = run_model(tmp_path, {'output0': rows.T[np.newaxis]}, {
        'decoder': 'yolo', 'axes': 'channels_first', 'objectness': False, 'keypoints': [2, 3],
        'keypoint_names': ['head', 'tail'], 'skeleton': [[0, 1]]}, nms_iou=0.5)
    best = [rows[-1], rows[39]]
    check_points(result, [[(row[5], row[6], min(row[7], 1)), (row[8], row[9], min(row[10], 1))]
                          for row in best])
    assert result.rows()[0]['keypoints'][1]['name'] == 'tail'
    assert 'head ' in str(result)


def test_yolov5_face_has_its_points_before_the_class(tmp_path: Path) -> None:
    """https://github.com/deepcam-cn/yolov5-face: box, objectness, ten numbers, class score."""
    rows = table(11, rows=3 * CELLS)
    rows[:, 15] = 0.8
    result = run_model(tmp_path, {'output': rows[np.newaxis]}, {
        'decoder': 'yolo', 'objectness': True, 'keypoints': [5, 2], 'keypoint_names': 'face',
        'keypoints_place': 'before_classes'})
    best = [row for row in rows[::-1].tolist() if row[4] * row[15] >= 0.3]
    check_points(result, [[(row[5 + 2 * at], row[6 + 2 * at], row[4] * row[15])
                           for at in range(5)] for row in best])
    assert result.keypoints.names == FACE


def test_yolo_from_0_to_1(tmp_path: Path) -> None:
    rows = table(4)
    pixels = rows.copy()
    rows[:, :4] /= 64
    rows[:, 5:] /= 64
    result = run_model(tmp_path, {'output0': rows.T[np.newaxis]}, {
        'decoder': 'yolo', 'axes': 'channels_first', 'objectness': False, 'normalized': True,
        'keypoints': [2, 2]})
    best = [row for row in pixels[::-1].tolist() if row[4] >= 0.3]
    check_points(result, [[(row[5], row[6], row[4]), (row[7], row[8], row[4])] for row in best])
    assert result.keypoints.names == () and result.rows()[0]['keypoints'][1]['name'] == '1'


def test_final_rows(tmp_path: Path) -> None:
    """End-to-end pose: x1, y1, x2, y2, score, class, key points; filler behind."""
    rng = np.random.default_rng(4)
    rows = np.zeros((300, 6 + 9), np.float32)
    rows[:5, :4] = (10, 10, 40, 50)
    rows[:5, 4], rows[:5, 5] = (0.9, 0.8, 0.7, 0.6, 0.1), (0, 1, 0, 1, 0)
    rows[:5, 6:] = rng.uniform(0, 1, (5, 9))
    result = run_model(tmp_path, {'output0': rows[np.newaxis]}, {
        'decoder': 'end_to_end', 'columns': ['box', 'score', 'class', 'keypoints'],
        'keypoints': [3, 3]})
    check_points(result, [[tuple(row[6 + 3 * at:9 + 3 * at]) for at in range(3)]
                          for row in rows[:4].tolist()])
    assert result.class_ids.tolist() == [0, 1, 0, 1]


def test_a_point_that_is_not_finite_is_unknown(tmp_path: Path) -> None:
    rows = table(3)
    rows[-1, 5] = np.nan
    result = run_model(tmp_path, {'output0': rows.T[np.newaxis]}, {
        'decoder': 'yolo', 'axes': 'channels_first', 'objectness': False, 'keypoints': [1, 3]})
    x, y = rows[-1, :2].tolist()
    assert result.keypoints is not None
    assert result.keypoints.points[0, 0] == pytest.approx((x * SCALE[0], y * SCALE[1]), abs=0.01)
    assert result.keypoints.scores[0, 0] == 0


def grid(stride: int) -> list[tuple[int, int]]:
    return [(x, y) for y in range(64 // stride) for x in range(64 // stride)]


def test_yunet(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    outputs, found = {}, []
    for stride in (8, 16, 32):
        cells = grid(stride)
        for role, columns in (('cls', 1), ('obj', 1), ('bbox', 4), ('kps', 10)):
            outputs[f'{role}_{stride}'] = rng.uniform(0, 1, (1, len(cells), columns)).astype('f')
        for row, (x, y) in enumerate(cells):
            score = math.sqrt(outputs[f'cls_{stride}'][0, row, 0] * outputs[f'obj_{stride}'][
                0, row, 0])
            kps = outputs[f'kps_{stride}'][0, row].tolist()
            if score >= 0.6:
                found.append((score, [((kps[2 * at] + x) * stride, (kps[2 * at + 1] + y) * stride,
                                       score) for at in range(5)]))
    result = run_model(tmp_path, outputs, {'decoder': 'yunet'}, threshold=0.6)
    check_points(result, [points for _, points in sorted(found, key=lambda pair: -pair[0])])
    assert result.keypoints is not None and result.keypoints.names == FACE


@pytest.mark.parametrize('named', [False, True])
def test_scrfd(tmp_path: Path, named: bool) -> None:
    rng = np.random.default_rng(6)
    outputs, found = {}, []
    for stride in (8, 16, 32):
        cells = [cell for cell in grid(stride) for _ in range(2)]
        scores, boxes, kps = (rng.uniform(0, 1, (len(cells), n)).astype('f') for n in (1, 4, 10))
        boxes += 0.5
        outputs.update({f's{stride}': scores, f'b{stride}': boxes, f'k{stride}': kps})
        for (x, y), score, moves in zip(cells, scores[:, 0].tolist(), kps.tolist()):
            if score >= 0.8:
                found.append((score, [((x + moves[2 * at]) * stride,
                                       (y + moves[2 * at + 1]) * stride, score)
                                      for at in range(5)]))
    names = {role: [f'{word}{stride}' for stride in (8, 16, 32)]
             for role, word in (('scores', 's'), ('boxes', 'b'), ('points', 'k'))}
    result = run_model(tmp_path, outputs, {
        'decoder': 'scrfd', **({'outputs': names} if named else {})}, threshold=0.8)
    check_points(result, [points for _, points in sorted(found, key=lambda pair: -pair[0])])


@pytest.mark.parametrize('beside', [True, False])
def test_ssd(tmp_path: Path, beside: bool) -> None:
    """Key points are in an output of their own (RetinaFace), or in the rows of boxes."""
    rng = np.random.default_rng(7)
    count = 5 if beside else 6
    priors = rng.uniform((0.2, 0.2, 0.1, 0.1), (0.8, 0.8, 0.3, 0.3), (30, 4)).astype('f')
    np.save(tmp_path / 'priors.npy', priors)
    boxes = rng.uniform(-1, 1, (1, 30, 4)).astype('f')
    points = rng.uniform(-2, 2, (1, 30, 2 * count)).astype('f')
    scores = np.linspace(0, 0.99, 30).reshape(1, 30, 1).astype('f')
    outputs = {'boxes': boxes, 'scores': scores, '571': points} if beside else {
        'boxes': np.concatenate((boxes, points), axis=2), 'scores': scores}
    result = run_model(tmp_path, outputs, {
        'decoder': 'ssd', 'priors': str(tmp_path / 'priors.npy'), 'variances': [0.1, 0.2],
        **({'outputs': {'boxes': 'boxes', 'scores': 'scores'}} if beside else {})})
    expected = []
    for row in range(29, -1, -1):
        if scores[0, row, 0] >= 0.3:
            px, py, pw, ph = (priors[row] * 64).tolist()
            expected.append([(px + points[0, row, 2 * at] * 0.1 * pw,
                              py + points[0, row, 2 * at + 1] * 0.1 * ph, scores[0, row, 0])
                             for at in range(count)])
    check_points(result, expected)
    assert result.keypoints is not None and result.keypoints.names[:2] == FACE[:2]


def test_centerface(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    heat = np.zeros((1, 1, 16, 16), 'f')
    scale, offset = (rng.uniform(0, 1, (1, 2, 16, 16)).astype('f') for _ in range(2))
    points = rng.uniform(0, 1, (1, 10, 16, 16)).astype('f')
    heat[0, 0, 5, 7], heat[0, 0, 9, 3] = 0.9, 0.8
    result = run_model(tmp_path, {'a': heat, 'b': scale, 'c': offset, 'd': points},
                       {'decoder': 'centerface'})
    expected = []
    for (row, column), score in (((5, 7), 0.9), ((9, 3), 0.8)):
        height, width = (math.exp(value) * 4 for value in scale[0, :, row, column])
        down, right = offset[0, :, row, column]
        left, top = (column + right + 0.5) * 4 - width / 2, (row + down + 0.5) * 4 - height / 2
        expected.append([(left + points[0, 2 * at + 1, row, column] * width,
                          top + points[0, 2 * at, row, column] * height, score)
                         for at in range(5)])
    check_points(result, expected)


@pytest.mark.parametrize(('model', 'output', 'settings'), [
    ('retinaface_mb025', {
        'decoder': 'ssd', 'priors': 'retinaface', 'outputs': {'boxes': 'output0',
                                                              'scores': '572'}},
     {'color': 'bgr', 'mean': [104, 117, 123], 'resize': 'letterbox', 'anchor': 'top_left'}),
    ('blazeface', {'decoder': 'ssd', 'priors': 'blazeface', 'activation': 'sigmoid'},
     {'mean': 127.5, 'std': 127.5, 'resize': 'letterbox', 'pad_value': 0})])
@pytest.mark.parametrize('image', ['tfls_grace_hopper.jpg', 'coral_face.jpg'])
def test_published_faces_have_eyes_over_mouths(
    model: str, output: dict[str, Any], settings: dict[str, Any], image: str,
) -> None:
    result = run_published(published(f'{model}.onnx'), image, output, threshold=0.6,
                           interpolation='linear', **settings)
    assert len(result) and eyes_over_mouths(result)


# Masks and angles, whose pixels and overlaps have tests of their own.


def test_coefficients_stay_with_their_boxes(tmp_path: Path) -> None:
    rows = table(8)
    protos = np.random.default_rng(9).normal(0, 1, (1, 8, 16, 16)).astype('f')
    for name, outputs, output in (
            ('raw', {'output0': rows.T[np.newaxis], 'output1': protos}, {
                'decoder': 'yolo', 'axes': 'channels_first', 'objectness': False,
                'prototypes': 'output1'}),
            ('final', {'output0': np.concatenate((
                rows[:, :5], np.zeros((len(rows), 1), 'f'), rows[:, 5:]), axis=1)[np.newaxis],
                'output1': protos}, {
                'decoder': 'end_to_end', 'columns': ['box', 'score', 'class', 'coefficients'],
                'box_format': 'cxcywh', 'outputs': {'rows': 'output0', 'prototypes': 'output1'}})):
        (tmp_path / name).mkdir()
        result = run_model(tmp_path / name, outputs, output)
        assert isinstance(result.masks, PrototypeMasks)
        best = [row for row in rows[::-1] if row[4] >= 0.3]
        assert result.masks.coefficients == pytest.approx(np.array(best)[:, 5:])
        assert result.masks.prototypes == pytest.approx(protos[0])
        assert result.masks.frame == (0, 0, *IMAGE)


@pytest.mark.parametrize('form', ['raw', 'final', 'mmrotate'])
def test_angles(tmp_path: Path, form: str) -> None:
    rows = table(1)
    rows[:, 5] = np.linspace(-0.7, 2.3, len(rows))
    zeros = np.zeros((len(rows), 1), 'f')
    outputs, output = {
        'raw': ({'output0': rows.T}, {'decoder': 'yolo', 'axes': 'channels_first',
                                      'objectness': False, 'angle': True}),
        'final': ({'output0': np.concatenate((rows[:, :5], zeros, rows[:, 5:]), axis=1)}, {
            'decoder': 'end_to_end', 'columns': ['box', 'score', 'class', 'angle']}),
        'mmrotate': ({'dets': rows[:, [0, 1, 2, 3, 5, 4]], 'labels': zeros[:, 0].astype(np.int64)},
                     {'decoder': 'end_to_end'})}[form]
    result = run_model(
        tmp_path, {name: array[np.newaxis] for name, array in outputs.items()}, output,
        image=(128, 128))
    best = [row for row in rows[::-1].tolist() if row[4] >= 0.3]
    assert result.oriented is not None and len(result) == len(best)
    for got, (x, y, width, height, _, angle) in zip(result.oriented.tolist(), best):
        angle = angle if angle < math.pi / 2 else angle - math.pi
        assert got == pytest.approx((2 * x, 2 * y, 2 * width, 2 * height, angle), abs=1e-3)
    assert 'turned by' in str(result)
    assert result.rows()[0]['oriented_box'][4] == pytest.approx(result.oriented[0, 4], abs=1e-4)


@pytest.mark.parametrize(('decoder', 'options', 'words'), [
    ('yolo', {'keypoint_names': 'coco'}, 'give output.keypoints'),
    ('yolo', {'keypoints': [17, 4]}, r'\[17, 3\]'),
    ('yolo', {'keypoints': [5, 3], 'keypoint_names': 'coco'}, '17 names, but a box has 5'),
    ('yolo', {'keypoints': [2, 3], 'skeleton': [[0, 2]]}, 'numbered from 0 to 1'),
    ('yolo', {'keypoints': [2, 3], 'skeleton': [[0, 1, 1]]}, 'two points'),
    ('yolo', {'angle': True, 'normalized': True}, 'centre and size in pixels'),
    ('end_to_end', {'columns': ['box', 'score', 'keypoints']}, 'together with output.keypoints'),
    ('end_to_end', {'columns': ['box', 'score', 'coefficients']}, 'prototypes'),
    ('end_to_end', {'columns': ['box', 'score', 'angle'], 'box_format': 'xyxy'}, 'cxcywh')])
def test_wrong_options(decoder: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DescriptorError, match=words):
        DECODERS[decoder].parse_options(options)
