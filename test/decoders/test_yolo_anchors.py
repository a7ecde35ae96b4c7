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

"""The decoder of raw YOLO maps against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.decoders.yolo_anchors import FAMILIES
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['yolo_anchors']
SIZE = (128, 64)
ANCHORS = {8: [(10, 13), (16, 30), (33, 23)], 16: [(30, 61), (62, 45), (59, 119)]}
OWN = {'anchors': [[list(pair) for pair in level] for level in ANCHORS.values()]}


def numbers(strides: Any = (8, 16), classes: int = 3, count: int = 3, seed: int = 0) -> Any:
    """Return ``[A, h, w, 5 + C]`` for each stride."""
    rng = np.random.default_rng(seed)
    return {stride: rng.normal(
        0, 1.5, (count, SIZE[1] // stride, SIZE[0] // stride, 5 + classes)).astype(np.float32)
        for stride in strides}


def squash(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def by_hand(
    maps: Any, anchors: Any, rule: str, scales: Any, threshold: float = 0.5,
    activation: str = 'sigmoid', boxes: str = 'sigmoid', classes: int | None = None,
) -> list[tuple[float, ...]]:
    """Walk over all grids, anchors and cells."""
    found = []
    for (stride, table), scale in zip(maps.items(), scales):
        for a in range(table.shape[0]):
            for gy in range(table.shape[1]):
                for gx in range(table.shape[2]):
                    x, y, w, h, likely, *scores = (float(v) for v in table[a, gy, gx])
                    scores = scores[:classes]
                    if activation != 'none':
                        likely = squash(likely)
                    if activation == 'sigmoid':
                        scores = [squash(value) for value in scores]
                    if activation == 'softmax':
                        total = sum(math.exp(value) for value in scores)
                        scores = [math.exp(value) / total for value in scores]
                    best = scores.index(max(scores)) if scores else 0
                    score = likely * scores[best] if scores else likely
                    if score < threshold:
                        continue
                    own = squash if boxes == 'sigmoid' else float
                    cx = (own(x) * scale - (scale - 1) / 2 + gx) * stride
                    cy = (own(y) * scale - (scale - 1) / 2 + gy) * stride
                    aw, ah = anchors[stride][a]
                    if rule == 'exp':
                        bw, bh = aw * math.exp(w), ah * math.exp(h)
                    else:
                        bw, bh = aw * (2 * own(w)) ** 2, ah * (2 * own(h)) ** 2
                    found.append((cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2, score, best))
    return found


def layout(maps: Any, form: str) -> dict[str, Any]:
    """Return the maps as models write them."""
    made = {}
    for stride, table in maps.items():
        count, rows, columns, width = table.shape
        made[f'out{stride}'] = {
            'A h w K': lambda: table, 'h w A K': lambda: table.transpose(1, 2, 0, 3),
            'AK h w': lambda: table.transpose(0, 3, 1, 2).reshape(count * width, rows, columns),
            'h w AK': lambda: table.transpose(1, 2, 0, 3).reshape(rows, columns, count * width),
        }[form]()[None]
    return made


@pytest.mark.parametrize('form', ['A h w K', 'h w A K', 'AK h w', 'h w AK'])
@pytest.mark.parametrize(('rule', 'scale'), [('exp', 1), ('square', 2)])
@pytest.mark.parametrize('activation', ['sigmoid', 'softmax'])
def test_the_loop_agrees(
    tmp_path: Path, form: str, rule: str, scale: float, activation: str,
) -> None:
    maps = numbers()
    outputs = layout(maps, form)
    # The order of the outputs does not matter.
    outputs = dict(reversed(outputs.items()))
    result = run_model(tmp_path, outputs, {
        'decoder': 'yolo_anchors', 'size_rule': rule, 'activation': activation, **OWN},
        size=SIZE, threshold=0.4, labels=['a', 'b', 'c'])
    assert agree(result, on_image(by_hand(
        maps, ANCHORS, rule, (scale, scale), 0.4, activation), SIZE))


def test_options(tmp_path: Path) -> None:
    """Flat anchors, large strides first, scales of each grid, activations inside, more columns."""
    maps = {stride: np.abs(table) % 1 for stride, table in numbers(classes=5).items()}
    outputs = {**layout(maps, 'A h w K'), 'other': np.zeros((1, 7), np.float32)}
    flat = [[30, 61, 62, 45, 59, 119], [10, 13, 16, 30, 33, 23]]
    result = run_model(tmp_path, outputs, {
        'decoder': 'yolo_anchors', 'anchors': flat, 'strides': [16, 8], 'size_rule': 'exp',
        'scale_x_y': [1.2, '11/10'], 'activation': 'none', 'box_activation': 'none', 'classes': 2},
        size=SIZE, threshold=0.5)
    assert agree(result, on_image(by_hand(
        maps, ANCHORS, 'exp', (1.1, 1.2), 0.5, 'none', 'none', 2), SIZE))


def test_named_maps_and_no_classes(tmp_path: Path) -> None:
    maps = numbers(classes=0)
    outputs = {**layout(maps, 'AK h w'), 'more': np.zeros((1, 15, 4, 8), np.float32)}
    result = run_model(tmp_path, outputs, {
        'decoder': 'yolo_anchors', 'size_rule': 'square', 'outputs': {'maps': ['out8', 'out16:0']},
        **OWN}, size=SIZE, threshold=0.6)
    assert agree(result, on_image(by_hand(maps, ANCHORS, 'square', (2, 2), 0.6), SIZE))


def test_a_map_that_fits_in_two_ways_is_read_like_the_others(tmp_path: Path) -> None:
    maps = numbers((8, 16, 32), count=2)
    anchors = {stride: [(20, 30), (40, 20)] for stride in maps}
    result = run_model(tmp_path, layout(maps, 'A h w K'), {
        'decoder': 'yolo_anchors', 'size_rule': 'exp', 'anchors': [[20, 30, 40, 20]] * 3},
        size=SIZE, threshold=0.4)
    assert agree(result, on_image(by_hand(maps, anchors, 'exp', (1, 1, 1), 0.4), SIZE))


PUBLISHED = {
    'yolov3': ('exp', (1, 1, 1), 'sigmoid', [(116, 90), (156, 198), (373, 326)]),
    'yolov4': ('exp', (1.2, 1.1, 1.05), 'sigmoid', [(142, 110), (192, 243), (459, 401)]),
    'yolov4_tiny': ('exp', (1.05, 1.05), 'sigmoid', [(81, 82), (135, 169), (344, 319)]),
    'yolov5': ('square', (2,) * 3, 'sigmoid', [(116, 90), (156, 198), (373, 326)]),
    'yolov7': ('square', (2,) * 3, 'sigmoid', [(142, 110), (192, 243), (459, 401)]),
    'yolov5_p6': ('square', (2,) * 4, 'sigmoid', [(436, 615), (739, 380), (925, 792)]),
    'yolov2_tiny_voc': ('exp', (1,), 'softmax', [
        (34.56, 38.08), (109.44, 141.12), (212.16, 364.16), (301.44, 163.52), (531.84, 336.64)])}


@pytest.mark.parametrize('family', PUBLISHED)
def test_families(tmp_path: Path, family: str) -> None:
    """The name of a family says the rule, the scales and the anchors; the last grid is checked."""
    rule, scales, activation, last = PUBLISHED[family]
    published = FAMILIES[family]
    assert np.allclose(published.anchors[-1], last)
    anchors = dict(zip(published.strides, published.anchors))
    size = (128, 64)
    maps = {stride: table for stride, table in numbers(
        published.strides, count=len(last), seed=3).items() if table.size}
    result = run_model(tmp_path, layout(maps, 'AK h w'), {
        'decoder': 'yolo_anchors', 'anchors': family}, size=size, threshold=0.4)
    assert agree(result, on_image(by_hand(maps, anchors, rule, scales, 0.4, activation), size))


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    maps = numbers(classes=2)
    for table in maps.values():
        table[..., 4:] = 3
    table = maps[8]
    table[0, 0, 0, 4], table[0, 0, 1, 4], table[0, 0, 2, 5] = np.nan, np.inf, np.nan
    table[1, 0, 0, 2], table[1, 0, 1, 0], table[1, 0, 2, 3] = np.inf, np.nan, 1e4
    with np.errstate(all='raise', under='ignore'):
        found = decode(layout(maps, 'AK h w'), size_rule='exp', **OWN)
    assert len(found) == sum(table[..., 0].size for table in maps.values()) - 6
    assert np.isfinite(found.boxes).all()


def test_nothing_over_the_threshold() -> None:
    maps = {stride: table * 0 - 9 for stride, table in numbers().items()}
    found = decode(layout(maps, 'A h w K'), size_rule='exp', **OWN)
    assert found.boxes.shape == (0, 4) and found.boxes.dtype == np.float32


GOOD = layout(numbers(), 'AK h w')
RULE = {'size_rule': 'exp'}


@pytest.mark.parametrize(('outputs', 'options', 'words'), [
    (GOOD, {}, ['anchors, which are unknown', 'yolov5', "'out8'"]),
    ({'a': np.zeros((1, 9, 9))}, {**OWN, **RULE}, ['[1, A * (5 + classes), h, w]', "'a'"]),
    ({**GOOD, 'out8': np.zeros((1, 23, 8, 16))}, {**OWN, **RULE}, [
        "'out8' has the shape [1, 23, 8, 16]", '[1, 3 * (5 or more), h, w]', '128x64']),
    ({**GOOD, 'out8': np.zeros((1, 24, 9, 16))}, {**OWN, **RULE}, ['[1, 24, 9, 16]']),
    ({**GOOD, 'out8': np.zeros((2, 24, 8, 16))}, {**OWN, **RULE}, ['[2, 24, 8, 16]']),
    ({**GOOD, 'out8': np.zeros((1, 12, 8, 16))}, {**OWN, **RULE}, ['[1, 12, 8, 16]']),
    (GOOD, {**OWN, **RULE, 'classes': 4}, ["'out8'"]),
    (GOOD, {'anchors': [[10, 13, 16, 30, 33, 23]], **RULE}, ['strides [8, 16]', '1 grids']),
    (GOOD, {'anchors': 'yolov5'}, ['strides [8, 16]', '[8, 16, 32]', 'output.anchors']),
    ({'a': np.zeros((1, 8, 16, 32))}, {'anchors': [[1, 1]], **RULE}, [
        'maps a ', 'output.axes']),
    (GOOD, {**OWN, **RULE, 'outputs': {'maps': ['x']}}, ["no output 'x'"])])
def test_outputs_that_do_not_fit(outputs: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(outputs, **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize('form', ['A h w K', 'h w A K', 'AK h w', 'h w AK'])
def test_the_number_of_classes(form: str) -> None:
    options = DECODER.parse_options({**OWN, **RULE})
    assert DECODER.class_count(layout(numbers(classes=80), form), options) == 80
    assert DECODER.class_count(layout(numbers(classes=0), form), options) == 1
    assert DECODER.class_count(GOOD, DECODER.parse_options({})) is None
    assert DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    (OWN, 'size_rule: is missing'), ({'anchors': 'yolov9'}, 'yolov5'),
    ({'anchors': [[1, 2, 3]], **RULE}, 'in pairs'), ({'anchors': [[]], **RULE}, 'empty'),
    ({'anchors': [[[1, 2]], [[1, 2], [3, 4]]], **RULE}, 'as many'),
    ({**OWN, **RULE, 'strides': [8]}, '1 numbers'), ({'scale_x_y': 0.5}, 'from 1'),
    ({**OWN, **RULE, 'scale_x_y': [1, 1, 1]}, '3 numbers'), ({'scale_x_y': []}, 'empty'),
    ({'anchors': 7}, 'list')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
