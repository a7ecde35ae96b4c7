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

"""The decoder of final boxes against a loop, through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from decoder_models import agree, IMAGE, MODEL, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['end_to_end']


def boxes_of(count: int, seed: int = 0) -> Any:
    """Return rows of x1, y1, x2, y2, score, class."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 50, (count, 2))
    return np.concatenate((
        corners, corners + rng.uniform(2, 20, (count, 2)), rng.uniform(0.01, 1, (count, 1)),
        rng.integers(0, 9, (count, 1))), axis=1).astype(np.float32)


def by_hand(table: Any, threshold: float = 0.3, offset: int = 0) -> list[tuple[float, ...]]:
    """Take what is over the threshold and no padding."""
    return [(*row[:5], row[5] + offset) for row in table.tolist()
            if row[4] >= threshold and row[4] > 0 and row[5] >= 0]


def separate(table: Any, batch: bool = True, names: Any = ('boxes', 'labels', 'scores'),
             dtype: Any = np.int64) -> dict[str, Any]:
    """Return the same as three tensors."""
    lead = np.newaxis if batch else slice(None)
    return {names[0]: table[:, :4][lead], names[1]: table[:, 5].astype(dtype)[lead],
            names[2]: table[:, 4][lead]}


@pytest.mark.parametrize('lead', [(), (1,), (1, 1)])
@pytest.mark.parametrize('count', [1, 3, 40])
def test_rows_of_six(tmp_path: Path, lead: tuple[int, ...], count: int) -> None:
    table = boxes_of(count)
    table[0, 4] = 0.9
    result = run_model(tmp_path, {'output0': table.reshape(*lead, count, 6)},
                       {'decoder': 'end_to_end'})
    assert agree(result, on_image(by_hand(table)))


def test_rows_of_seven(tmp_path: Path) -> None:
    """As YOLOv7: batch, box, class, score; a negative batch index is padding."""
    table = boxes_of(20)
    rows = np.concatenate((np.zeros((20, 1)), table[:, :4], table[:, 5:], table[:, 4:5]), axis=1)
    rows[5:8, 0] = -1
    result = run_model(tmp_path, {'output': rows.astype('f')}, {'decoder': 'end_to_end'})
    assert agree(result, on_image(by_hand(np.delete(table, [5, 6, 7], axis=0))))


@pytest.mark.parametrize(('columns', 'order'), [
    (['class', 'score', 'box'], [5, 4, 0, 1, 2, 3]),
    (['batch', 'class', 'score', 'box'], [6, 5, 4, 0, 1, 2, 3]),
    (['score', 'box', 'class', 'unused', 'unused'], [4, 0, 1, 2, 3, 5, 6, 6]),
    (['box', 'class', 'score'], [0, 1, 2, 3, 5, 4])])
def test_declared_columns(tmp_path: Path, columns: list[str], order: list[int]) -> None:
    """Those of PaddleDetection, of SSD in Caffe and OpenVINO, and others."""
    table = boxes_of(12)
    rows = np.concatenate((table, np.zeros((12, 1))), axis=1)[:, order].astype('f')
    result = run_model(tmp_path, {'n': np.array([12]), 'detections': rows[np.newaxis]},
                       {'decoder': 'end_to_end', 'columns': columns})
    assert agree(result, on_image(by_hand(table)))


@pytest.mark.parametrize('extra', [0, 1, 32, 51])
def test_more_columns_at_the_end(tmp_path: Path, extra: int) -> None:
    """Mask coefficients, key points: even beside prototypes, rows are told by their shape."""
    table = boxes_of(12)
    rows = np.concatenate((table, np.full((12, extra), 77)), axis=1).astype('f')
    outputs = {'output0': rows[np.newaxis], 'output1': np.zeros((1, 32, 16, 16), 'f')}
    result = run_model(tmp_path, outputs, {
        'decoder': 'end_to_end', 'columns': ['box', 'score', 'class', 'rest']})
    assert agree(result, on_image(by_hand(table)))


def test_rows_of_rt_detr_in_ultralytics(tmp_path: Path) -> None:
    """Centre and size as parts of the input, score, class."""
    table = boxes_of(30)
    rows = [[(x1 + x2) / 2 / MODEL[0], (y1 + y2) / 2 / MODEL[1], (x2 - x1) / MODEL[0],
             (y2 - y1) / MODEL[1], score, class_id]
            for x1, y1, x2, y2, score, class_id in table.tolist()]
    result = run_model(tmp_path, {'output0': np.array([rows], 'f')}, {
        'decoder': 'end_to_end', 'box_format': 'cxcywh', 'units': 'normalized'})
    assert agree(result, on_image(by_hand(table)))


def test_rows_of_efficientdet(tmp_path: Path) -> None:
    """Image, ymin, xmin, ymax, xmax, score and a class that counts from 1."""
    table = boxes_of(30)
    rows = [[0, y1, x1, y2, x2, score, class_id + 1]
            for x1, y1, x2, y2, score, class_id in table.tolist()]
    result = run_model(tmp_path, {'detections:0': np.array([rows], 'f')}, {
        'decoder': 'end_to_end', 'columns': ['batch', 'box', 'score', 'class'],
        'box_format': 'yxyx', 'class_offset': -1})
    assert agree(result, on_image(by_hand(table)))


def test_flat_rows_of_yolo_nas(tmp_path: Path) -> None:
    """Image, box, score, class; as many rows as there are boxes, 0 or more."""
    table = boxes_of(9)
    rows = np.concatenate((np.zeros((9, 1)), table), axis=1).astype('f')
    given = {'decoder': 'end_to_end', 'columns': ['batch', 'box', 'score', 'class']}
    result = run_model(tmp_path, {'graph2_flat_predictions': rows}, given)
    assert agree(result, on_image(by_hand(table)))
    assert len(run_model(tmp_path, {'graph2_flat_predictions': rows[:0]}, given)) == 0


@pytest.mark.parametrize(('columns', 'lead'), [
    (['box', 'score'], 0), (['unused', 'score', 'box'], 1), (['box', 'score', 'rest'], 0)])
def test_rows_without_a_class(tmp_path: Path, columns: list[str], lead: int) -> None:
    """Class 0 for all, and the labels have one name."""
    table = boxes_of(20)
    if lead:
        rows = [[1 - score, score, x1, y1, x2, y2] for x1, y1, x2, y2, score, _ in table.tolist()]
    else:
        rows = table[:, :5].tolist()
    expected = on_image([(*row[:5], 0) for row in table.tolist() if row[4] >= 0.3])
    outputs = {'o': np.array([rows], 'f')}
    given = {'decoder': 'end_to_end', 'columns': columns}
    result = run_model(tmp_path, outputs, given, labels=['face'])
    assert agree(result, expected) and set(result.labels) == {'face'}
    with pytest.raises(OutputError, match='labels 2'):
        run_model(tmp_path, outputs, given, labels=['background', 'face'])
    with pytest.raises(OutputError, match='labels 2'):
        run_model(tmp_path, outputs, {**given, 'class_offset': 0}, labels=['background', 'face'])
    shifted = run_model(
        tmp_path, outputs, {**given, 'class_offset': 1}, labels=['background', 'face'])
    assert set(shifted.labels) == {'face'}


@pytest.mark.parametrize('outputs', [{}, {'boxes': 'dets', 'classes': 'labels'},
                                     {'dets': 'dets'}, {'dets': 'dets', 'classes': 'labels'}])
@pytest.mark.parametrize('masks', [False, True])
def test_boxes_with_their_score_beside_labels(
        tmp_path: Path, outputs: dict[str, str], masks: bool) -> None:
    """As MMDeploy writes them; a label of -1 is padding."""
    table = boxes_of(25)
    table[20:, 5] = -1
    given: dict[str, Any] = {'dets': table[np.newaxis, :, :5],
                             'labels': table[np.newaxis, :, 5].astype(np.int64)}
    if masks:
        given['masks'] = np.zeros((1, 25, 8, 8), 'f')
    result = run_model(tmp_path, given, {'decoder': 'end_to_end', 'outputs': outputs})
    assert agree(result, on_image(by_hand(table)))


def test_boxes_with_their_score_by_shape(tmp_path: Path) -> None:
    table = boxes_of(25)
    given = {'2041': table[:, 5].astype(np.int64), '2040': table[:, :5]}
    result = run_model(tmp_path, given, {'decoder': 'end_to_end'})
    assert agree(result, on_image(by_hand(table)))


@pytest.mark.parametrize('batch', [True, False])
@pytest.mark.parametrize('names', [
    ('boxes', 'labels', 'scores'), ('bboxes', 'labels', 'scores'),
    ('det_boxes', 'det_classes', 'det_scores'), ('1754', '1755', '1756')])
@pytest.mark.parametrize('dtype', [np.int64, np.int32, np.float32])
def test_separate_outputs(tmp_path: Path, batch: bool, names: Any, dtype: Any) -> None:
    if names[0] == '1754' and dtype == np.float32:
        options = {'outputs': {'boxes': '1754', 'classes': '1755:0', 'scores': '1756'}}
    else:
        options = {}
    table = boxes_of(15)
    result = run_model(tmp_path, separate(table, batch, names, dtype),
                       {'decoder': 'end_to_end', **options})
    assert agree(result, on_image(by_hand(table)))


def test_a_count_and_padding(tmp_path: Path) -> None:
    """As TensorRT's suppression gives them: rows from the count on are leftovers."""
    table = boxes_of(15)
    table[:, 4] = 0.9
    outputs = {'num_dets': np.array([[6]], np.int32),
               **separate(table, names=('det_boxes', 'det_classes', 'det_scores'))}
    assert agree(run_model(tmp_path, outputs, {'decoder': 'end_to_end'}),
                 on_image(by_hand(table[:6])))
    del outputs['num_dets']
    # Without a count a score of 0 or a negative class marks padding.
    table[8:, 4] = 0
    table[5:8, 5] = -1
    result = run_model(tmp_path, separate(table), {'decoder': 'end_to_end'}, threshold=0.0)
    assert agree(result, on_image(by_hand(table[:5])))


def test_torchvision_counts_from_one(tmp_path: Path) -> None:
    """Its class 0 is the background, which it never gives."""
    table = boxes_of(10)
    table[:, 5] += 1
    result = run_model(tmp_path, separate(table, batch=False), {
        'decoder': 'end_to_end', 'class_offset': -1}, labels=[f'c{i}' for i in range(9)])
    assert agree(result, on_image(by_hand(table, offset=-1)))
    named = run_model(tmp_path, separate(table, batch=False), {'decoder': 'end_to_end'},
                      labels=['???', *(f'c{i}' for i in range(9))])
    assert set(named.labels) <= {f'c{i}' for i in range(9)}


@pytest.mark.parametrize('units', ['model', 'normalized', 'source'])
@pytest.mark.parametrize('box_format', ['xyxy', 'yxyx', 'cxcywh', 'xywh'])
def test_units_and_formats(tmp_path: Path, units: str, box_format: str) -> None:
    table = boxes_of(20)
    given = table.copy()
    if units == 'normalized':
        given[:, :4] /= 64
    x1, y1, x2, y2 = given[:, :4].T
    given[:, :4] = np.stack({
        'xyxy': (x1, y1, x2, y2), 'yxyx': (y1, x1, y2, x2), 'xywh': (x1, y1, x2 - x1, y2 - y1),
        'cxcywh': ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)}[box_format], axis=1)
    result = run_model(tmp_path, {'o': given}, {
        'decoder': 'end_to_end', 'units': units, 'box_format': box_format})
    expected = by_hand(table)
    assert agree(result, expected if units == 'source' else on_image(expected))


def test_boxes_in_source_pixels_are_cut_to_the_image(tmp_path: Path) -> None:
    table = np.array([[-5, -6, 500, 600, 0.9, 1], [200, 10, 210, 20, 0.8, 1]], np.float32)
    result = run_model(tmp_path, {'o': table}, {'decoder': 'end_to_end', 'units': 'source'},
                       resize='letterbox')
    assert result.boxes.tolist() == [[0, 0, *IMAGE]]


def decode(given: Any, threshold: float = 0.3, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(
        given, DECODER.parse_options(options), DecodeContext(MODEL, threshold))


@pytest.mark.parametrize('outputs', [
    {'o': np.zeros((0, 6), 'f')}, {'o': np.zeros((1, 0, 6), 'f')}, {'o': np.zeros((0, 7), 'f')},
    separate(boxes_of(0)), separate(boxes_of(0), batch=False)])
def test_no_rows_at_all(outputs: Any) -> None:
    found = decode(outputs)
    assert len(found) == 0 and found.boxes.shape == (0, 4)


def test_what_is_not_finite_is_dropped() -> None:
    table = boxes_of(10)
    table[:, 4] = 0.9
    table[0, 1], table[1, 3], table[2, 4], table[3, 4] = np.nan, np.inf, np.nan, np.inf
    table[4, 5], table[5, 5] = np.nan, np.inf
    with np.errstate(all='raise', under='ignore'):
        for outputs in ({'o': table}, separate(table, dtype=np.float32)):
            assert len(decode(outputs)) == 4
        broken = {'num': np.array([np.nan]), **separate(table, dtype=np.float32)}
        assert len(decode(broken)) == 4


@pytest.mark.parametrize(('outputs', 'options', 'words'), [
    ({'o': np.zeros((1, 9, 8))}, {}, ['6 or 7', 'output.outputs.rows', '[1, 9, 8]']),
    ({'o': np.zeros((2, 9, 6))}, {}, ['[2, 9, 6]', '[1, N, 6]', 'box, score, class']),
    ({'o': np.zeros(6)}, {}, ['6 or 7']),
    ({'o': np.zeros((9, 6))}, {'columns': ['score', 'class', 'box', 'unused']},
     ['7 numbers', 'output.columns']),
    ({'o': np.zeros((1, 9, 5))}, {'columns': ['box', 'score', 'class', 'rest']},
     ['at least 6 numbers', 'output.columns', '[1, 9, 5]']),
    ({'o': np.zeros((1, 9, 5))}, {'columns': ['box', 'score', 'class', 'rest'],
                                  'outputs': {'rows': 'o'}}, ['6 or more', '[1, 9, 5]']),
    ({'dets': np.zeros((1, 9, 5)), 'labels': np.zeros((1, 8))}, {},
     ["'labels' has the shape [1, 8]", '[1, 9]']),
    ({'dets': np.zeros((1, 9, 4)), 'labels': np.zeros((1, 9))},
     {'outputs': {'dets': 'dets'}}, ["'dets' has the shape [1, 9, 4]", '[1, N, 5]']),
    ({'o': np.zeros((9, 8))}, {'outputs': {'rows': 'o'}}, ['[9, 8]', 'output.columns']),
    ({'o': np.zeros((9, 6))}, {'outputs': {'rows': 'p'}}, ["no output 'p'"]),
    ({'o': np.full((2, 7), 1.0)}, {}, ['batch index is 0']),
    ({'boxes': np.zeros((1, 9, 4)), 'scores': np.zeros((1, 9))}, {},
     ['classes', 'output.outputs.classes']),
    ({'boxes': np.zeros((1, 9, 4)), 'scores': np.zeros((1, 8)), 'labels': np.zeros((1, 9))}, {},
     ["'scores' has the shape [1, 8]", '[1, 9]']),
    ({'boxes': np.zeros((1, 9, 5)), 'scores': np.zeros((1, 9)), 'labels': np.zeros((1, 9))}, {},
     ["'boxes' has the shape [1, 9, 5]"]),
    ({'boxes': np.zeros((2, 9, 4)), 'scores': np.zeros((2, 9)), 'labels': np.zeros((2, 9))}, {},
     ["'boxes' has the shape [2, 9, 4]"]),
    ({'boxes': np.zeros((9, 4)), 'scores': np.zeros(9), 'labels': np.zeros(9), 'a': np.zeros(2)},
     {'outputs': {'count': 'a'}}, ["'a' has the shape [2]", 'number of boxes'])])
def test_outputs_that_do_not_fit(outputs: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(outputs, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes_is_not_told() -> None:
    assert DECODER.class_count({'o': np.zeros((3, 6))}, DECODER.parse_options({})) is None
    assert not DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    ({'columns': ['box', 'class']}, 'score 0 times'),
    ({'columns': ['box', 'rest', 'score']}, 'rest before the end'),
    ({'outputs': {'dets': 'a', 'scores': 'b'}}, 'remove it'),
    ({'columns': []}, 'box 0 times'),
    ({'columns': ['box', 'score', 'class', 'score']}, 'score 2 times'),
    ({'columns': ['box', 'score', 'label']},
     'box, score, class, batch, keypoints, coefficients, angle, unused, rest'),
    ({'columns': 'box'}, 'list'), ({'units': 'pixels'}, 'model, source, normalized'),
    ({'outputs': {'rows': 'a', 'boxes': 'b'}}, 'remove it'),
    ({'outputs': {'boxes': 'b'}, 'columns': ['box', 'score', 'class']}, 'only counts for rows'),
    ({'outputs': {'labels': 'b'}}, 'unknown key'), ({'class_offset': 0.5}, 'whole number')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)


def test_the_old_word_for_model_pixels_still_works_with_one_warning(
        caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        old = {'units': 'network'}  # words: old
        options = DECODER.parse_options(old, 'old_end_to_end.yaml')
        assert options.units == 'model'
    assert [record.getMessage() for record in caplog.records] == [
        'old_end_to_end.yaml, units: network was renamed to model and works '  # words: old
        'until the next release; write model']
