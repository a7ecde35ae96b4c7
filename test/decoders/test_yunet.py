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

"""The YuNet decoder against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['yunet']
SIZE = (96, 64)
STRIDES = (8, 16, 32)


def numbers(strides: Any = STRIDES, classes: int = 1, seed: int = 0) -> dict[str, Any]:
    """Return the outputs; some scores leave 0 to 1."""
    rng = np.random.default_rng(seed)
    outputs = {}
    for role, columns in (('cls', classes), ('obj', 1), ('bbox', 4), ('kps', 10)):
        for stride in strides:
            rows = (SIZE[0] // stride) * (SIZE[1] // stride)
            values = rng.uniform(-0.1, 1.1, (1, rows, columns))
            outputs[f'{role}_{stride}'] = values.astype(np.float32)
    return outputs


def by_hand(outputs: Any, strides: Any = STRIDES, threshold: float = 0.5) -> Any:
    """Walk over all grids, cell by cell."""
    found = []
    for stride in strides:
        row = 0
        for y in range(SIZE[1] // stride):
            for x in range(SIZE[0] // stride):
                classes = outputs[f'cls_{stride}'][0, row].tolist()
                best = max(range(len(classes)), key=lambda index: classes[index])
                score = math.sqrt(min(max(classes[best], 0), 1) * min(
                    max(float(outputs[f'obj_{stride}'][0, row, 0]), 0), 1))
                a, b, c, d = outputs[f'bbox_{stride}'][0, row].tolist()
                cx, cy = (x + a) * stride, (y + b) * stride
                w, h = math.exp(c) * stride, math.exp(d) * stride
                if score >= threshold:
                    found.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, best))
                row += 1
    return found


@pytest.mark.parametrize('classes', [1, 3])
@pytest.mark.parametrize('strides', [STRIDES, (8, 16, 32, 16), (16,)])
def test_the_loop_agrees(tmp_path: Path, classes: int, strides: Any) -> None:
    outputs = numbers(sorted(set(strides)), classes)
    options = {} if strides == STRIDES else {'strides': list(strides)}
    result = run_model(
        tmp_path, outputs, {'decoder': 'yunet', **options}, size=SIZE, threshold=0.5,
        labels=['face', 'b', 'c'][:classes])
    assert agree(result, on_image(by_hand(outputs, strides), SIZE))


def test_declared_names(tmp_path: Path) -> None:
    given = numbers()
    outputs = {f'n{index}:0': array for index, array in enumerate(given.values())}
    result = run_model(tmp_path, outputs, {'decoder': 'yunet', 'outputs': {
        'cls': ['n0', 'n1', 'n2'], 'obj': ['n3', 'n4:0', 'n5'], 'bbox': ['n6', 'n7', 'n8']}},
        size=SIZE, threshold=0.5)
    assert agree(result, on_image(by_hand(given), SIZE))


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    outputs = numbers()
    for name, array in outputs.items():
        if name.startswith(('cls', 'obj')):
            array[:] = 0.9
    outputs['cls_8'][0, :2, 0] = np.nan, np.inf
    outputs['obj_8'][0, 2:4, 0] = np.nan, np.inf
    outputs['bbox_8'][0, 4:7, 2] = np.nan, np.inf, 1e4
    with np.errstate(all='raise', under='ignore'):
        found = decode(outputs)
    assert len(found) == 96 + 24 + 6 - 7
    assert np.isfinite(found.boxes).all()


def test_nothing_over_the_threshold() -> None:
    outputs = {name: np.zeros_like(array) for name, array in numbers().items()}
    assert decode(outputs).boxes.shape == (0, 4)
    assert decode(outputs).boxes.dtype == np.float32


@pytest.mark.parametrize(('changes', 'options', 'words'), [
    ({'cls_8': np.zeros((1, 95, 1))}, {}, ["'cls_8' has the shape [1, 95, 1]", '[1, 96, classes]',
                                           'stride 8', '96x64']),
    ({'obj_16': np.zeros((1, 24, 2))}, {}, ["'obj_16'", '[1, 24, 1]']),
    ({'bbox_32': np.zeros((2, 6, 4))}, {}, ["'bbox_32'", '[2, 6, 4]']),
    ({'cls_8': np.zeros((1, 96, 0))}, {}, ["'cls_8'"]),
    ({}, {'strides': [8, 16, 64]}, ["no output 'cls_64'", 'cls_8, cls_16, cls_32',
                                    'output.strides']),
    ({}, {'outputs': {'obj': ['a', 'b', 'c']}}, ["no output 'a'", 'output.outputs.obj'])])
def test_outputs_that_do_not_fit(changes: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode({**numbers(), **changes}, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    assert DECODER.class_count(numbers(), DECODER.parse_options({})) == 1
    assert DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    ({'strides': [0]}, 'from 1'), ({'outputs': {'cls': ['a']}}, '1 names, but there are 3'),
    ({'outputs': {'landmarks': ['a']}}, 'unknown key'), ({'outputs': {'cls': 'a'}}, 'list')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
