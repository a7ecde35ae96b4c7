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

"""The decoder of boxes and scores side by side against a loop over rows and classes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, MODEL, on_image, run_model
import numpy as np
import pytest

from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['boxes_scores']
SIZE = (320, 240)


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(
        given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def by_hand(
    boxes: Any, scores: Any, threshold: float, box_format: str, normalized: bool,
    background: int | None, activation: str,
) -> list[tuple[float, ...]]:
    """Walk over all rows and all classes."""
    found = []
    for row in range(len(boxes)):
        a, b, c, d = boxes[row].tolist()
        x1, y1, x2, y2 = {
            'xyxy': (a, b, c, d), 'yxyx': (b, a, d, c),
            'cxcywh': (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
            'xywh': (a, b, a + c, b + d)}[box_format]
        if normalized:
            x1, y1, x2, y2 = x1 * SIZE[0], y1 * SIZE[1], x2 * SIZE[0], y2 * SIZE[1]
        values = scores[row].tolist()
        if activation == 'softmax':
            total = sum(math.exp(value) for value in values)
            values = [math.exp(value) / total for value in values]
        elif activation == 'sigmoid':
            values = [1 / (1 + math.exp(-value)) for value in values]
        for class_id, score in enumerate(values):
            if class_id != background and score >= threshold:
                found.append((x1, y1, x2, y2, score, class_id))
    return found


@pytest.mark.parametrize('box_format', ['xyxy', 'yxyx', 'cxcywh', 'xywh'])
@pytest.mark.parametrize('normalized', [True, False])
@pytest.mark.parametrize(('background', 'activation'), [
    (0, 'none'), ('none', 'sigmoid'), (2, 'softmax'), (False, 'softmax')])
def test_the_loop_agrees(
    box_format: str, normalized: bool, background: Any, activation: str,
) -> None:
    rng = np.random.default_rng(0)
    for classes in (1, 2, 7):
        boxes = rng.uniform(0, 1 if normalized else 300, (50, 4)).astype(np.float32)
        scores = rng.normal(0.3, 1, (50, classes)).astype(np.float32)
        found = decode(
            {'boxes': boxes[np.newaxis], 'scores': scores[np.newaxis]}, 0.4,
            box_format=box_format, normalized=normalized, background=background,
            activation=activation)
        expected = np.array(by_hand(
            boxes, scores, 0.4, box_format, normalized,
            background if type(background) is int else None, activation)).reshape(-1, 6)
        assert len(found) == len(expected)
        assert np.allclose(found.boxes, expected[:, :4], atol=1e-2)
        assert np.allclose(found.scores, expected[:, 4], rtol=1e-5)
        assert found.class_ids.tolist() == expected[:, 5].astype(int).tolist()


def test_each_row_has_a_softmax_of_its_own() -> None:
    """Large logits in one row must not drown the others."""
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (1, 2, 1))
    logits = np.array([[[500, 400], [0, 2]]], np.float32)
    found = decode({'boxes': boxes, 'scores': logits}, activation='softmax')
    assert found.class_ids.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([1.0, 1 / (1 + math.exp(-2))])


def test_no_class_is_the_background_unless_said() -> None:
    outputs = {'boxes': np.ones((1, 1, 4), np.float32), 'scores': np.ones((1, 1, 1), np.float32)}
    assert decode(outputs).class_ids.tolist() == [0]
    assert decode(outputs, background=0).class_ids.tolist() == []


@pytest.mark.parametrize(('names', 'classes', 'options'), [
    (('scores', 'boxes'), 2, {}),
    (('class_scores', 'pred_boxes'), 4, {}),
    (('one', 'two'), 2, {}),
    (('one', 'two:0'), 4, {'outputs': {'boxes': 'two'}}),
    (('one:0', 'two'), 4, {'outputs': {'scores': 'one', 'boxes': 'two'}}),
    (('one', 'two'), 4, {'outputs': {'scores': 'one'}}),
])
def test_finding_the_outputs(names: tuple[str, str], classes: int, options: Any) -> None:
    scores, boxes = names
    outputs = {scores: np.full((1, 3, classes), 0.9, np.float32),
               boxes: np.full((1, 3, 4), 0.5, np.float32)}
    found = decode(outputs, **options)
    assert len(found) == 3 * classes
    assert (found.boxes == (160, 120, 160, 120)).all()


def test_boxes_with_an_axis_for_the_class() -> None:
    outputs = {'boxes': np.full((1, 3, 1, 4), 0.5, np.float32),
               'scores': np.full((1, 3, 2), 0.9, np.float32)}
    assert len(decode(outputs)) == 6


@pytest.mark.parametrize('columns', [False, True])
@pytest.mark.parametrize('turned', [False, True])
@pytest.mark.parametrize('box_format', ['xyxy', 'yxyx', 'cxcywh', 'xywh'])
@pytest.mark.parametrize('names', [('boxes', 'scores'), ('tmp_17', 'concat_14')])
def test_boxes_and_scores_in_pixels(
        tmp_path: Path, columns: bool, turned: bool, box_format: str, names: Any) -> None:
    """As YOLO-NAS (rows) and PP-YOLOE (columns), without a background; boxes turned too."""
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 40, (30, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(3, 20, (30, 2))), axis=1)
    scores = rng.uniform(0, 1, (30, 5))
    expected = [
        (*box, score, class_id) for box, row in zip(boxes.tolist(), scores.tolist())
        for class_id, score in enumerate(row) if score >= 0.6]
    given = np.array([{
        'xyxy': (x1, y1, x2, y2), 'yxyx': (y1, x1, y2, x2), 'xywh': (x1, y1, x2 - x1, y2 - y1),
        'cxcywh': ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)}[box_format]
        for x1, y1, x2, y2 in boxes.tolist()], np.float32)
    outputs = {names[0]: (given.T if turned else given)[np.newaxis],
               names[1]: (scores.T if columns else scores).astype(np.float32)[np.newaxis]}
    for axes in ('auto', 'channels_first' if columns else 'channels_last'):
        result = run_model(tmp_path, outputs, {
            'decoder': 'boxes_scores', 'box_format': box_format, 'normalized': False,
            'axes': axes}, threshold=0.6, labels=list('abcde'))
        assert agree(result, on_image(expected))
    assert MODEL == (64, 64)


def test_as_many_classes_as_boxes() -> None:
    """The first axis counts the boxes unless said."""
    scores = np.array([[[0, 0, 0.9], [0, 0, 0], [0, 0, 0]]], np.float32)
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]]], np.float32)
    for axes, class_id, side in (
            ('auto', 2, 1), ('channels_last', 2, 1), ('channels_first', 0, 3)):
        found = decode({'boxes': boxes, 'scores': scores}, axes=axes, normalized=False)
        assert found.class_ids.tolist() == [class_id]
        assert found.boxes.tolist() == [[0, 0, side, side]]


def test_logits_in_columns(tmp_path: Path) -> None:
    logits = np.random.default_rng(5).normal(-1, 2, (3, 12)).astype(np.float32)
    boxes = np.tile(np.array([[8, 8, 32, 40]], np.float32), (12, 1))
    expected = [(8, 8, 32, 40, 1 / (1 + math.exp(-float(logits[c, n]))), c)
                for c in range(3) for n in range(12) if 1 / (1 + math.exp(-logits[c, n])) >= 0.3]
    result = run_model(tmp_path, {'boxes': boxes[np.newaxis], 'scores': logits[np.newaxis]}, {
        'decoder': 'boxes_scores', 'activation': 'sigmoid', 'normalized': False})
    assert agree(result, on_image(expected))


def test_outputs_that_cannot_be_told_apart() -> None:
    outputs = {'one': np.zeros((1, 3, 4)), 'two': np.zeros((1, 3, 4))}
    with pytest.raises(OutputError, match=r"output.outputs.*'one' float64 \[1, 3, 4\]"):
        decode(outputs)
    with pytest.raises(OutputError, match='told apart'):
        decode({'boxes': np.zeros((1, 3, 4))})


@pytest.mark.parametrize(('boxes', 'scores', 'word'), [
    ((1, 3, 5), (1, 3, 2), "'boxes' has the shape [1, 3, 5]"),
    ((1, 3, 4), (1, 4, 2), "'scores' has the shape [1, 4, 2]"),
    ((2, 3, 4), (2, 3, 2), "'boxes' has the shape [2, 3, 4]"),
    ((1, 3, 4), (1, 3, 0), "'scores' has the shape [1, 3, 0]"),
    ((1, 3, 4), (3,), "'scores' has the shape [3]"),
])
def test_shapes_that_do_not_fit(
    boxes: tuple[int, ...], scores: tuple[int, ...], word: str,
) -> None:
    with pytest.raises(OutputError) as caught:
        decode({'boxes': np.zeros(boxes, np.float32), 'scores': np.zeros(scores, np.float32)})
    assert word in str(caught.value)


@pytest.mark.parametrize(('scores', 'axes', 'words'), [
    ((1, 9, 2), 'channels_first', '[1, classes, 9], for 9 boxes'),
    ((1, 2, 9), 'channels_last', '[1, 9, classes], for 9 boxes'),
    ((1, 8, 2), 'auto', '[1, 9, classes] or [1, classes, 9]')])
def test_axes_that_do_not_fit(scores: tuple[int, ...], axes: str, words: str) -> None:
    with pytest.raises(OutputError) as caught:
        decode({'boxes': np.zeros((1, 9, 4), 'f'), 'scores': np.zeros(scores, 'f')}, axes=axes)
    assert words in str(caught.value) and str(list(scores)) in str(caught.value)


def test_what_is_not_finite_is_dropped() -> None:
    boxes = np.full((1, 6, 4), 0.5, np.float32)
    scores = np.full((1, 6, 2), 0.9, np.float32)
    boxes[0, 0, 1], boxes[0, 1, 3] = np.nan, np.inf
    scores[0, 2, 0], scores[0, 3, 0] = np.nan, np.inf
    for box_format in ('xyxy', 'cxcywh'):
        with np.errstate(all='raise', under='ignore'):
            found = decode({'boxes': boxes, 'scores': scores}, box_format=box_format)
        assert len(found) == 12 - 2 * 2 - 2
        assert np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()


def test_the_number_of_classes() -> None:
    outputs = {'boxes': np.zeros((1, 3, 4)), 'scores': np.zeros((1, 3, 7))}
    assert DECODER.class_count(outputs, DECODER.parse_options({})) == 7


@pytest.mark.parametrize(('options', 'word'), [
    ({'box_format': 'xyxx'}, 'xyxy, yxyx, cxcywh, xywh'), ({'normalized': 'yes'}, 'normalized'),
    ({'outputs': {'box': 'b'}}, "did you mean 'boxes'"), ({'background': 'all'}, 'background')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
