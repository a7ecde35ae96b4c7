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

"""The decoder of the DETR family against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, MODEL, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['detr']


def numbers(queries: int = 25, columns: int = 7, seed: int = 0) -> dict[str, Any]:
    """Return logits, and boxes as centre and size from 0 to 1."""
    rng = np.random.default_rng(seed)
    return {'logits': rng.normal(0, 2, (1, queries, columns)).astype(np.float32),
            'pred_boxes': rng.uniform(0.2, 0.5, (1, queries, 4)).astype(np.float32)}


def by_hand(outputs: Any, activation: str, threshold: float) -> list[tuple[float, ...]]:
    """Go through the queries and their classes."""
    logits, boxes = outputs.values()
    found = []
    for query in range(logits.shape[1]):
        cx, cy, w, h = boxes[0, query].tolist()
        box = ((cx - w / 2) * MODEL[0], (cy - h / 2) * MODEL[1],
               (cx + w / 2) * MODEL[0], (cy + h / 2) * MODEL[1])
        row = logits[0, query].tolist()
        if activation == 'sigmoid':
            for class_id, value in enumerate(row):
                score = 1 / (1 + math.exp(-value))
                if score >= threshold:
                    found.append((*box, score, class_id))
            continue
        total = sum(math.exp(value) for value in row)
        best = max(range(len(row) - 1), key=lambda index: row[index])
        score = math.exp(row[best]) / total
        if score >= threshold:
            found.append((*box, score, best))
    return found


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('columns', [2, 4, 7])
@pytest.mark.parametrize('threshold', [0.0, 0.5])
def test_the_loop_agrees(
    tmp_path: Path, activation: str, columns: int, threshold: float,
) -> None:
    outputs = numbers(columns=columns)
    labels = [f'c{index}' for index in range(columns - (activation == 'softmax'))]
    result = run_model(tmp_path, outputs, {'decoder': 'detr', 'activation': activation},
                       threshold=threshold, labels=labels)
    assert agree(result, on_image(by_hand(outputs, activation, threshold)))


def test_the_best_pairs_of_query_and_class(tmp_path: Path) -> None:
    """As many as asked for, whatever query they belong to."""
    outputs = numbers()
    expected = sorted(by_hand(outputs, 'sigmoid', 0.0), key=lambda row: -row[4])[:10]
    options = {'decoder': 'detr', 'activation': 'sigmoid'}
    result = run_model(tmp_path, outputs, options, threshold=0)
    assert result.scores[:10].tolist() == pytest.approx([row[4] for row in expected], rel=1e-4)
    assert result.class_ids[:10].tolist() == [row[5] for row in expected]


def test_other_names_and_ids(tmp_path: Path) -> None:
    outputs = numbers(columns=4)
    expected = [(*row[:5], row[5] + 1) for row in by_hand(outputs, 'sigmoid', 0.3)]
    for names, options in (
            (('a', 'b'), {'logits': 'a', 'boxes': 'b:0'}), (('a', 'b'), {'boxes': 'b'}),
            (('out:0', 'the_boxes'), {}), (('class_logits', 'b'), {'logits': 'class_logits'})):
        result = run_model(
            tmp_path, dict(zip(names, outputs.values())),
            {'decoder': 'detr', 'activation': 'sigmoid', 'class_offset': 1, 'outputs': options})
        assert agree(result, on_image(expected))


@pytest.mark.parametrize('columns', [4, 5])
@pytest.mark.parametrize('masks', [False, True])
def test_outputs_of_rf_detr(tmp_path: Path, columns: int, masks: bool) -> None:
    """Logits are called labels; of a model trained on own classes, the last stands for none."""
    logits, boxes = numbers(columns=columns).values()
    outputs = {'dets': boxes, 'labels': logits}
    if masks:
        outputs['masks'] = np.zeros((1, 25, 8, 8), np.float32)
    given = {'decoder': 'detr', 'activation': 'sigmoid'}
    expected = by_hand({'logits': logits, 'boxes': boxes}, 'sigmoid', 0.3)
    assert agree(run_model(tmp_path, outputs, given), on_image(expected))
    fewer = [row for row in expected if row[5] != columns - 1]
    assert len(fewer) < len(expected)
    names = [f'c{index}' for index in range(columns - 1)]
    for extra in ({}, {'outputs': {'boxes': 'dets', 'logits': 'labels'}}):
        result = run_model(tmp_path, outputs, {**given, 'background': columns - 1, **extra},
                           labels=names)
        assert agree(result, on_image(fewer))
    with pytest.raises(OutputError, match=f'labels {columns - 1}, outputs {columns}'):
        run_model(tmp_path, outputs, given, labels=names)


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_a_background_is_never_reported(activation: str) -> None:
    """A query whose best class it is says nothing else under a softmax."""
    found = decode(numbers(), 0.0, activation=activation, background=2)
    expected = [row for row in by_hand(numbers(), activation, 0.0) if row[5] != 2]
    assert sorted(found.class_ids.tolist()) == sorted(int(row[5]) for row in expected)


def test_model_pixels(tmp_path: Path) -> None:
    outputs = numbers()
    expected = on_image(by_hand(outputs, 'softmax', 0.3))
    outputs['pred_boxes'] *= 64
    result = run_model(tmp_path, outputs, {'decoder': 'detr', 'normalized': False})
    assert agree(result, expected)


def decode(given: Any, threshold: float = 0.3, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(
        given, DECODER.parse_options(options), DecodeContext(MODEL, threshold))


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_what_is_not_finite_is_dropped(activation: str) -> None:
    outputs = numbers(10, 3)
    outputs['logits'][:] = (9, -9, -9)
    outputs['logits'][0, 0, 0] = np.nan
    outputs['logits'][0, 1, 0] = np.inf
    outputs['pred_boxes'][0, 2, 0] = np.nan
    outputs['pred_boxes'][0, 3, 3] = np.inf
    with np.errstate(all='raise', under='ignore'):
        assert len(decode(outputs, activation=activation)) == 6


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_no_query(activation: str) -> None:
    assert decode(numbers(0), activation=activation).boxes.shape == (0, 4)


@pytest.mark.parametrize(('outputs', 'options', 'words'), [
    ({'a': np.zeros((1, 5, 4)), 'b': np.zeros((1, 5, 4))}, {}, ['told apart', '(logits, boxes)']),
    ({'logits': np.zeros((1, 5, 4))}, {}, ['told apart']),
    ({'logits': np.zeros((1, 5, 3)), 'boxes': np.zeros((1, 6, 4))}, {},
     ["'logits' has the shape [1, 5, 3]", '[1, 6, classes]']),
    ({'logits': np.zeros((1, 5, 3)), 'boxes': np.zeros((1, 5, 5))}, {},
     ["'boxes' has the shape [1, 5, 5]"]),
    ({'logits': np.zeros((2, 5, 3)), 'boxes': np.zeros((2, 5, 4))}, {}, ['[2, 5, 4]']),
    ({'logits': np.zeros((1, 5, 1)), 'boxes': np.zeros((1, 5, 4))}, {}, ['"no object"']),
    ({'logits': np.zeros((1, 5, 0)), 'boxes': np.zeros((1, 5, 4))}, {'activation': 'sigmoid'},
     ['one class at least'])])
def test_outputs_that_do_not_fit(outputs: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(outputs, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    for options, count in (({}, 6), ({'activation': 'sigmoid'}, 7), ({'class_offset': 1}, None)):
        assert DECODER.class_count(numbers(), DECODER.parse_options(options)) == count
    assert not DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    ({'activation': 'none'}, 'softmax, sigmoid'), ({'outputs': {'scores': 'a'}}, 'unknown key'),
    ({'no_object': 0}, 'unknown key')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
