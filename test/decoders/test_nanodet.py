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

"""The decoder of NanoDet's distributions against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['nanodet']
# No multiple of the strides: the last cells leave the image.
SIZE = (72, 56)
PLUS = (8, 16, 32, 64)


def cells(stride: int) -> int:
    return math.ceil(SIZE[0] / stride) * math.ceil(SIZE[1] / stride)


def numbers(strides: Any, classes: int = 5, reg_max: int = 7, seed: int = 0) -> list[Any]:
    """Return scores and logits for each stride."""
    rng = np.random.default_rng(seed)
    return [(rng.uniform(0, 1, (1, cells(stride), classes)).astype(np.float32),
             rng.normal(0, 2, (1, cells(stride), 4 * (reg_max + 1))).astype(np.float32))
            for stride in strides]


def by_hand(
    levels: Any, strides: Any, middle: bool, threshold: float = 0.5, logits: bool = False,
) -> list[tuple[float, ...]]:
    """Walk over all grids, cell by cell, side by side."""
    found = []
    for (scores, sides), stride in zip(levels, strides):
        row = 0
        for y in range(math.ceil(SIZE[1] / stride)):
            for x in range(math.ceil(SIZE[0] / stride)):
                values = scores[0, row].tolist()
                best = max(range(len(values)), key=lambda index: values[index])
                score = 1 / (1 + math.exp(-values[best])) if logits else values[best]
                steps = sides.shape[2] // 4
                distances = []
                for side in range(4):
                    powers = [math.exp(value)
                              for value in sides[0, row, side * steps:(side + 1) * steps]]
                    distances.append(stride * sum(
                        step * power for step, power in enumerate(powers)) / sum(powers))
                shift = (stride - 1) / 2 if middle else 0
                px, py = x * stride + shift, y * stride + shift
                if score >= threshold:
                    found.append((px - distances[0], py - distances[1], px + distances[2],
                                  py + distances[3], score, best))
                row += 1
    return found


def joined(levels: Any) -> dict[str, Any]:
    """Return one tensor, as NanoDet-Plus has it."""
    return {'output': np.concatenate([np.concatenate(level, axis=2) for level in levels], axis=1)}


@pytest.mark.parametrize('strides', [PLUS, PLUS[:3], (16, 32)])
@pytest.mark.parametrize('classes', [1, 5])
def test_one_tensor(tmp_path: Path, strides: Any, classes: int) -> None:
    levels = numbers(strides, classes)
    options = {} if len(strides) > 2 else {'strides': list(strides)}
    result = run_model(tmp_path, joined(levels), {'decoder': 'nanodet', **options}, size=SIZE,
                       threshold=0.5, labels=[f'c{index}' for index in range(classes)])
    assert agree(result, on_image(by_hand(levels, strides, False), SIZE))


@pytest.mark.parametrize('strides', [PLUS, PLUS[:3]])
@pytest.mark.parametrize('batch', [True, False])
@pytest.mark.parametrize('order', ['by role', 'by stride'])
def test_two_tensors_for_each_stride(
    tmp_path: Path, strides: Any, batch: bool, order: str,
) -> None:
    """In the model zoo of OpenCV all scores come before all distances; others take turns."""
    levels = numbers(strides)
    arrays = [level[role] if batch else level[role][0]
              for role in (0, 1) for level in levels]
    if order == 'by stride':
        arrays = [array for level in levels for array in level]
        arrays = arrays if batch else [array[0] for array in arrays]
    outputs = {str(700 + index): array for index, array in enumerate(arrays)}
    result = run_model(tmp_path, outputs, {'decoder': 'nanodet'}, size=SIZE, threshold=0.5)
    assert agree(result, on_image(by_hand(levels, strides, True), SIZE))


def test_options(tmp_path: Path) -> None:
    """Other distances, logits, the other point, and names that say nothing."""
    strides = (8, 16)
    levels = [(scores * 4 - 3, sides) for scores, sides in numbers(strides, 12, reg_max=2)]
    outputs = {'a': levels[0][0], 'b': levels[0][1], 'c': levels[1][0], 'd': levels[1][1]}
    result = run_model(tmp_path, outputs, {
        'decoder': 'nanodet', 'reg_max': 2, 'activation': 'sigmoid', 'point': 'corner',
        'strides': [8, 16], 'outputs': {'scores': ['a', 'c:0'], 'distances': ['b', 'd']}},
        size=SIZE, threshold=0.6)
    assert agree(result, on_image(by_hand(levels, strides, False, 0.6, True), SIZE))
    # With as many classes as logits only names tell.
    named = {'cls_8': outputs['a'], 'dis_8': outputs['b'], 'cls_16': outputs['c'],
             'dis_16': outputs['d']}
    again = run_model(tmp_path, named, {
        'decoder': 'nanodet', 'reg_max': 2, 'activation': 'sigmoid', 'point': 'corner',
        'strides': [8, 16]}, size=SIZE, threshold=0.6)
    assert again.boxes.tolist() == result.boxes.tolist()
    middle = run_model(tmp_path, joined(numbers(PLUS)), {'decoder': 'nanodet', 'point': 'middle'},
                       size=SIZE, threshold=0.5)
    assert agree(middle, on_image(by_hand(numbers(PLUS), PLUS, True), SIZE))


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    levels = numbers(PLUS)
    outputs = joined(levels)
    table = outputs['output']
    table[..., :5] = 0.9
    table[0, 0, 0], table[0, 1, 1], table[0, 2, 9], table[0, 3, 9] = (
        np.nan, np.inf, np.nan, np.inf)
    with np.errstate(all='raise', under='ignore'):
        found = decode(outputs)
    assert len(found) == table.shape[1] - 4
    assert np.isfinite(found.boxes).all()


def test_nothing_over_the_threshold() -> None:
    found = decode(joined([(scores * 0, sides) for scores, sides in numbers(PLUS)]))
    assert found.boxes.shape == (0, 4) and found.boxes.dtype == np.float32


@pytest.mark.parametrize(('outputs', 'options', 'words'), [
    ({'o': np.zeros((1, 80, 37))}, {}, ['[80]', '72x56', '[8, 16, 32, 64]', 'output.strides']),
    ({'o': np.zeros((1, 93, 32))}, {}, ['[1, 93, 32]', 'classes + 32', 'one class']),
    ({'o': np.zeros((2, 93, 37))}, {}, ['[2, 93, 37]']),
    ({'a': np.zeros((1, 63, 5)), 'b': np.zeros((1, 63, 12))}, {},
     ['told apart', 'output.reg_max', '7']),
    ({'a': np.zeros((1, 63, 32)), 'b': np.zeros((1, 63, 32))}, {}, ['told apart']),
    ({'a': np.zeros((1, 63, 5)), 'b': np.zeros((1, 62, 32))}, {},
     ["'a' has the shape [1, 63, 5]", '[1, 62, classes]']),
    ({'a': np.zeros((1, 63, 5)), 'b': np.zeros((1, 63, 32)), 'c': np.zeros((1, 20, 4)),
      'd': np.zeros((1, 20, 32))}, {}, ["'c' has the shape", 'as many classes']),
    ({'a': np.zeros((1, 63, 5)), 'b': np.zeros((1, 63, 32))}, {'outputs': {
        'scores': ['x'], 'distances': ['b']}}, ["no output 'x'"])])
def test_outputs_that_do_not_fit(outputs: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(outputs, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    options = DECODER.parse_options({})
    assert DECODER.class_count(joined(numbers(PLUS, 9)), options) == 9
    assert DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    ({'strides': []}, 'empty'), ({'reg_max': 0}, 'from 1'),
    ({'point': 'center'}, 'auto, corner, middle'),
    ({'outputs': {'scores': ['a']}}, 'one name for each stride'),
    ({'output': 'o', 'outputs': {'scores': ['a'], 'distances': ['b']}}, 'no output.output'),
    ({'strides': [8, 16], 'outputs': {'scores': ['a'], 'distances': ['b']}}, '2 numbers'),
    ({'outputs': {'scores': 'a', 'distances': ['b']}}, 'list')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
