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

"""The SCRFD decoder against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['scrfd']
SIZE = (96, 64)
STRIDES = (8, 16, 32)


def numbers(count: int = 2, seed: int = 0) -> Any:
    """Return scores, distances and key points for each stride."""
    rng = np.random.default_rng(seed)
    return {stride: tuple(
        rng.uniform(0, high, ((SIZE[0] // stride) * (SIZE[1] // stride) * count, columns)).astype(
            np.float32) for columns, high in ((1, 1), (4, 3), (10, 1))) for stride in STRIDES}


def by_hand(
    levels: Any, count: int = 2, threshold: float = 0.5, logits: bool = False,
) -> list[tuple[float, ...]]:
    """Walk over all grids, cells and boxes of a cell."""
    found = []
    for stride, (scores, distances, _) in levels.items():
        row = 0
        for y in range(SIZE[1] // stride):
            for x in range(SIZE[0] // stride):
                for _ in range(count):
                    score = float(scores[row, 0])
                    score = 1 / (1 + math.exp(-score)) if logits else score
                    left, top, right, bottom = (float(v) * stride for v in distances[row])
                    if score >= threshold:
                        found.append((x * stride - left, y * stride - top, x * stride + right,
                                      y * stride + bottom, score, 0))
                    row += 1
    return found


def named(levels: Any, key_points: bool = True, batch: bool = False) -> dict[str, Any]:
    """Return the outputs, all scores first, then all boxes, as insightface exports them."""
    arrays = [level[role] for role in range(3 if key_points else 2) for level in levels.values()]
    return {str(440 + index): array[None] if batch else array
            for index, array in enumerate(arrays)}


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('key_points', [False, True])
@pytest.mark.parametrize('batch', [False, True])
def test_the_loop_agrees(tmp_path: Path, count: int, key_points: bool, batch: bool) -> None:
    levels = numbers(count)
    result = run_model(tmp_path, named(levels, key_points, batch), {'decoder': 'scrfd'},
                       size=SIZE, threshold=0.5, labels=['face'])
    assert agree(result, on_image(by_hand(levels, count), SIZE))


def test_options(tmp_path: Path) -> None:
    """Logits, other strides in another order, and names."""
    levels = numbers()
    outputs = named(levels)
    for options in ({'strides': [32, 8, 16]},
                    {'strides': [16, 32, 8], 'outputs': {
                        'scores': ['441', '442', '440:0'], 'boxes': ['444', '445', '443']}}):
        result = run_model(tmp_path, outputs, {
            'decoder': 'scrfd', 'activation': 'sigmoid', **options}, size=SIZE, threshold=0.6)
        assert agree(result, on_image(by_hand(levels, 2, 0.6, True), SIZE))


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    levels = numbers(1)
    for scores, _, _ in levels.values():
        scores[:] = 0.9
    levels[8][0][:2, 0] = np.nan, np.inf
    levels[8][1][2:5, 1] = np.nan, np.inf, 3.4e38
    with np.errstate(all='raise', under='ignore'):
        found = decode(named(levels))
    assert len(found) == 96 + 24 + 6 - 5
    assert np.isfinite(found.boxes).all()
    none = decode(named(numbers()), threshold=1.1)
    assert none.boxes.shape == (0, 4) and none.boxes.dtype == np.float32


GOOD = named(numbers())


@pytest.mark.parametrize(('changes', 'options', 'words'), [
    ({'440': np.zeros((190, 1)), '443': np.zeros((190, 4))}, {}, [
        'stride 8', '190 rows', '96x64', '96 cells', 'output.strides']),
    ({'440': np.zeros((190, 1))}, {}, ["'440' has the shape [190, 1]", '[1, 192, 1]']),
    ({}, {'strides': [8, 16]}, ['2 strides', 'output.outputs', "'440'"]),
    ({'440': np.zeros((2, 192, 1))}, {}, ['[2, 192, 1]']),
    ({}, {'strides': [8], 'outputs': {'scores': ['x'], 'boxes': ['443']}}, ["no output 'x'"])])
def test_outputs_that_do_not_fit(changes: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode({**GOOD, **changes}, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    assert DECODER.class_count(GOOD, DECODER.parse_options({})) == 1
    assert DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    ({'strides': []}, 'empty'), ({'outputs': {'scores': ['a']}}, '3 names in both'),
    ({'outputs': {'kps': ['a']}}, 'unknown key')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
