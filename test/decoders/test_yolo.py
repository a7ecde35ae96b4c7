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

"""The decoder of the YOLO family against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, MODEL, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['yolo']
# Cells of the strides 8, 16 and 32 on 64x64.
CELLS = 84


def numbers(rows: int, classes: int, objectness: bool, seed: int = 0) -> Any:
    """Return rows as such a model gives them: centre, size, objectness, class scores."""
    rng = np.random.default_rng(seed)
    return np.concatenate((
        rng.uniform(8, 56, (rows, 2)), rng.uniform(2, 30, (rows, 2)),
        rng.uniform(0, 1, (rows, objectness + classes))), axis=1).astype(np.float32)


def by_hand(
    rows: Any, objectness: bool, threshold: float, *, classes: int | None = None,
    box_format: str = 'cxcywh', factor: tuple[float, float] = (1, 1), logits: bool = False,
) -> list[tuple[float, ...]]:
    """Walk over the boxes one by one."""
    found = []
    for row in rows.tolist():
        a, b, c, d = row[:4]
        x1, y1, x2, y2 = {
            'cxcywh': (a - c / 2, b - d / 2, a + c / 2, b + d / 2), 'xyxy': (a, b, c, d),
            'yxyx': (b, a, d, c), 'xywh': (a, b, a + c, b + d)}[box_format]
        scores = row[4 + objectness:][:classes]
        certainty = row[4] if objectness else 1.0
        if logits:
            scores = [1 / (1 + math.exp(-score)) for score in scores]
            certainty = 1 / (1 + math.exp(-certainty)) if objectness else 1.0
        best = max(range(len(scores)), key=lambda index: scores[index])
        score = certainty * scores[best]
        if score >= threshold:
            found.append((x1 * factor[0], y1 * factor[1], x2 * factor[0], y2 * factor[1],
                          score, best))
    return found


@pytest.mark.parametrize(('rows', 'classes', 'objectness', 'axes', 'options', 'labels'), [
    # YOLOv8, v9, v11: columns, one for each cell, told by the shape alone.
    (CELLS, 6, False, 'channels_first', {}, None),
    # YOLOv5 and v7: rows, three for each cell.
    (3 * CELLS, 6, True, 'channels_last', {}, None),
    (3 * CELLS, 6, True, 'channels_first', {}, None),
    # YOLOv6 and a transposed YOLOv8: the labels tell which.
    (CELLS, 6, True, 'channels_last', {}, 6),
    (CELLS, 6, False, 'channels_last', {}, 6),
    (CELLS, 1, False, 'channels_first', {}, 1),
    # Rows that no grid has.
    (300, 6, False, 'channels_last', {}, 6),
    (300, 6, True, 'channels_last', {'classes': 6}, None),
    (300, 6, False, 'channels_last', {'objectness': False}, None),
    (7, 6, True, 'channels_first', {'axes': 'channels_first', 'objectness': True}, None),
    # More classes than boxes.
    (8, 80, False, 'channels_first', {}, 80),
    (8, 80, True, 'channels_last', {}, 80),
])
@pytest.mark.parametrize('threshold', [0.0, 0.4])
def test_the_loop_agrees(
    tmp_path: Path, rows: int, classes: int, objectness: bool, axes: str,
    options: dict[str, Any], labels: int | None, threshold: float,
) -> None:
    table = numbers(rows, classes, objectness)
    given = table.T if axes == 'channels_first' else table
    result = run_model(
        tmp_path, {'output0': given[np.newaxis]}, {'decoder': 'yolo', **options},
        labels=labels and [f'c{index}' for index in range(labels)], threshold=threshold)
    assert agree(result, on_image(by_hand(table, objectness, threshold)))


@pytest.mark.parametrize('box_format', ['cxcywh', 'xyxy', 'yxyx', 'xywh'])
@pytest.mark.parametrize('normalized', [True, False])
def test_other_boxes(tmp_path: Path, box_format: str, normalized: bool) -> None:
    table = numbers(CELLS, 4, False)
    table[:, 2:4] += 0 if box_format in ('cxcywh', 'xywh') else table[:, :2]
    factor = (1, 1)
    if normalized:
        table[:, :4] /= 64
        factor = MODEL
    result = run_model(
        tmp_path, {'o': table.T[np.newaxis]},
        {'decoder': 'yolo', 'box_format': box_format, 'normalized': normalized})
    assert agree(result, on_image(
        by_hand(table, False, 0.3, box_format=box_format, factor=factor)))


@pytest.mark.parametrize('objectness', [True, False])
def test_logits(tmp_path: Path, objectness: bool) -> None:
    table = numbers(3 * CELLS, 5, objectness)
    table[:, 4:] = np.random.default_rng(1).normal(0, 3, table[:, 4:].shape)
    result = run_model(
        tmp_path, {'o': table[np.newaxis]},
        {'decoder': 'yolo', 'activation': 'sigmoid', 'objectness': objectness})
    assert agree(result, on_image(by_hand(table, objectness, 0.3, logits=True)))


def test_masks_and_key_points_are_left_aside(tmp_path: Path) -> None:
    """YOLOv8 of segmentation: 32 numbers of a mask follow, and a second output."""
    table = np.concatenate((numbers(CELLS, 5, False), np.full((CELLS, 32), 9)), axis=1).astype('f')
    outputs = {'output0': table.T[np.newaxis], 'output1': np.zeros((1, 32, 16, 16), np.float32)}
    result = run_model(
        tmp_path, outputs, {'decoder': 'yolo', 'classes': 5, 'objectness': False})
    assert agree(result, on_image(by_hand(table, False, 0.3, classes=5)))


def test_yolov5_with_masks(tmp_path: Path) -> None:
    """Rows with an objectness, then 32 numbers of a mask."""
    table = numbers(3 * CELLS, 5, True)
    given = np.concatenate((table, np.full((len(table), 32), 9)), axis=1).astype('f')
    result = run_model(tmp_path, {'output0': given[np.newaxis]}, {
        'decoder': 'yolo', 'classes': 5, 'objectness': True})
    assert agree(result, on_image(by_hand(table, True, 0.3)))


def test_yolov6_has_an_objectness_of_one(tmp_path: Path) -> None:
    """https://github.com/meituan/YOLOv6, ``yolov6/models/effidehead.py``: rows, one a cell."""
    table = numbers(CELLS, 80, True)
    table[:, 4] = 1
    result = run_model(tmp_path, {'outputs': table[np.newaxis]}, {
        'decoder': 'yolo', 'objectness': True, 'axes': 'channels_last'}, threshold=0.97)
    expected = []
    for x, y, w, h, _, *scores in table.tolist():
        if max(scores) >= 0.97:
            expected.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2, max(scores),
                             scores.index(max(scores))))
    assert agree(result, on_image(expected))


def test_a_letterbox_and_what_overlaps(tmp_path: Path) -> None:
    """An image of 128x64 in 64x64: half the size, 16 rows above it."""
    table = np.zeros((CELLS, 6), np.float32)
    table[:3] = [(20, 30, 10, 8, 0.9, 0), (21, 30, 10, 8, 0.8, 0), (20, 30, 10, 8, 0, 0.7)]
    result = run_model(
        tmp_path, {'o': table.T[np.newaxis]}, {'decoder': 'yolo'}, image=(128, 64),
        nms_iou=0.5, resize='letterbox')
    assert result.boxes.tolist() == [[30, 20, 50, 36]] * 2
    assert result.class_ids.tolist() == [0, 1]


def decode(table: Any, *, labels: int | None = None, threshold: float = 0.3,
           **options: Any) -> Any:
    """Return the candidates of one output."""
    return DECODER.decode(
        {'o': table}, DECODER.parse_options(options),
        DecodeContext(MODEL, threshold, label_count=labels))


@pytest.mark.parametrize('objectness', [True, False])
@pytest.mark.parametrize('activation', ['none', 'sigmoid'])
def test_what_is_not_finite_is_dropped(objectness: bool, activation: str) -> None:
    table = numbers(CELLS, 4, objectness)
    table[:, 4:] = 5.0 if activation == 'sigmoid' else 1.0
    table[0, 0] = np.nan
    table[1, 2] = np.inf
    table[2, 5] = np.nan
    table[3, 6] = np.inf
    table[4, 4 + objectness:] = -np.inf
    if objectness:
        table[5, 4] = np.nan
    with np.errstate(all='raise', under='ignore'):
        found = decode(table, objectness=objectness, axes='channels_last', activation=activation)
    assert len(found) == CELLS - 5 - objectness
    assert np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()


def test_nothing_at_all() -> None:
    for rows in (0, CELLS):
        found = decode(np.zeros((1, 10, rows), np.float32), axes='channels_first',
                       objectness=False)
        assert found.boxes.shape == (0, 4) and len(found) == 0


def test_half_precision() -> None:
    table = numbers(CELLS, 4, False).astype(np.float16)
    found = decode(table.T[np.newaxis])
    expected = np.array(by_hand(table.astype(np.float32), False, 0.3))
    assert np.allclose(found.boxes, expected[:, :4], atol=1e-3)


@pytest.mark.parametrize(('shape', 'labels', 'options', 'words'), [
    ((1, 22, 30), None, {},
     ['[1, 22, 30]', 'the axis of the boxes', 'output.axes', 'channels_first']),
    ((1, 84, 84), 80, {}, ['output.axes']),
    # One row for each cell: with objectness or without?
    ((1, 84, 10), None, {}, ['10 numbers', 'output.objectness']),
    ((1, 10, 999), None, {}, ['output.objectness']),
    # The fifth number may be the angle of a rotated box.
    ((1, 10, 84), 5, {}, ['for 5 classes', 'output.objectness']),
    ((1, 300, 12), 5, {}, ['for 5 classes', 'output.objectness', 'output.classes']),
    ((1, 300, 12), None, {'objectness': True, 'classes': 8}, ['at least 13 numbers', '12]']),
    ((1, 4, 84), None, {'objectness': False}, ['at least 5 numbers']),
    ((1, 5, 252), None, {'objectness': True}, ['at least 6 numbers']),
    ((2, 10, 84), None, {}, ['[2, 10, 84]', '[1, 4 + classes, N]']),
    ((1, 255, 8, 8), None, {}, ['[1, 255, 8, 8]']),
    ((10,), None, {}, ['[10]']),
])
def test_shapes_that_do_not_fit(
    shape: tuple[int, ...], labels: int | None, options: Any, words: list[str],
) -> None:
    with pytest.raises(OutputError) as caught:
        decode(np.zeros(shape, np.float32), labels=labels, **options)
    for word in ["'o'", *words]:
        assert word in str(caught.value)


def test_the_labels_are_compared(tmp_path: Path) -> None:
    outputs = {'o': numbers(CELLS, 6, False).T[np.newaxis]}
    for options in ({'objectness': False, 'axes': 'channels_first'}, {'classes': 6}):
        with pytest.raises(OutputError, match='labels 3, outputs 6'):
            run_model(tmp_path, outputs, {'decoder': 'yolo', **options}, labels=['a', 'b', 'c'])
    with pytest.raises(OutputError, match='10 numbers for each box.*for 3 classes'):
        run_model(tmp_path, outputs, {'decoder': 'yolo'}, labels=['a', 'b', 'c'])


def test_a_named_output(tmp_path: Path) -> None:
    table = numbers(CELLS, 4, False)
    outputs = {'other': np.zeros((1, 3), np.float32), 'boxes:0': table.T[np.newaxis]}
    result = run_model(tmp_path, outputs, {'decoder': 'yolo', 'output': 'boxes'})
    assert agree(result, on_image(by_hand(table, False, 0.3)))
    with pytest.raises(OutputError, match="no output 'grid'"):
        run_model(tmp_path, outputs, {'decoder': 'yolo', 'output': 'grid'})


@pytest.mark.parametrize(('options', 'word'), [
    ({'axes': 'nchw'}, 'auto, channels_first, channels_last'),
    ({'objectness': 'yes'}, 'auto, true, false'), ({'classes': 0}, 'from 1'),
    ({'activation': 'softmax'}, 'none, sigmoid'), ({'box_format': 'cxcy'}, "mean 'cxcywh'"),
    ({'normalized': 1}, 'true or false'), ({'strides': [8]}, 'unknown key')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
