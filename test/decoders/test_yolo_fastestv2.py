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

"""The YOLO-FastestV2 decoder against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, overlap, published, run_model, run_published
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['yolo_fastestv2']
SIZE = (128, 64)
COCO = {16: [(12.64, 19.39), (37.88, 51.48), (55.71, 138.31)],
        32: [(126.91, 78.23), (131.57, 214.55), (279.92, 258.87)]}


def numbers(classes: int = 5, count: int = 3, seed: int = 0) -> Any:
    """Return boxes, objectness and classes for each stride."""
    rng = np.random.default_rng(seed)
    return {stride: tuple(
        rng.normal(0, 2, (1, channels, SIZE[1] // stride, SIZE[0] // stride)).astype(np.float32)
        for channels in (4 * count, count, classes)) for stride in (16, 32)}


def squash(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def by_hand(maps: Any, anchors: Any, threshold: float) -> list[tuple[float, ...]]:
    """Walk over all grids, cells and anchors."""
    found = []
    for stride, (boxes, likely, classes) in maps.items():
        for gy in range(boxes.shape[2]):
            for gx in range(boxes.shape[3]):
                powers = [math.exp(value) for value in classes[0, :, gy, gx]]
                best = max(range(len(powers)), key=lambda index: powers[index])
                for a, (aw, ah) in enumerate(anchors[stride]):
                    score = squash(likely[0, a, gy, gx]) * powers[best] / sum(powers)
                    x, y, w, h = (squash(boxes[0, 4 * a + i, gy, gx]) for i in range(4))
                    cx, cy = (2 * x - 0.5 + gx) * stride, (2 * y - 0.5 + gy) * stride
                    bw, bh = (2 * w) ** 2 * aw, (2 * h) ** 2 * ah
                    if score >= threshold:
                        found.append((cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2, score,
                                      best))
    return found


def six(maps: Any) -> dict[str, Any]:
    """Return the maps with names that say nothing."""
    arrays = [array for trio in maps.values() for array in trio]
    return {str(700 + index): array for index, array in enumerate(arrays)}


def joined(maps: Any) -> dict[str, Any]:
    """Return one map for each stride, activations applied, channels last."""
    made = {}
    for stride, (boxes, likely, classes) in maps.items():
        powers = np.exp(classes)
        parts = (1 / (1 + np.exp(-boxes)), 1 / (1 + np.exp(-likely)),
                 powers / powers.sum(axis=1, keepdims=True))
        made[f'out{stride}'] = np.concatenate(parts, axis=1).transpose(0, 2, 3, 1)
    return made


@pytest.mark.parametrize('form', [six, joined])
@pytest.mark.parametrize('classes', [1, 5, 80])
def test_the_loop_agrees(tmp_path: Path, form: Any, classes: int) -> None:
    maps = numbers(classes)
    result = run_model(
        tmp_path, form(maps), {'decoder': 'yolo_fastestv2', 'anchors': 'coco'}, size=SIZE,
        threshold=0.3, labels=[f'c{index}' for index in range(classes)])
    assert agree(result, on_image(by_hand(maps, COCO, 0.3), SIZE))


def test_options(tmp_path: Path) -> None:
    """Own anchors, large stride first, three classes for three anchors: only names tell."""
    maps = numbers(3)
    outputs = dict(zip('abcdef', (array for trio in maps.values() for array in trio)))
    own = {16: [(10, 20), (30, 30), (20, 10)], 32: [(50, 60), (70, 40), (90, 90)]}
    result = run_model(tmp_path, outputs, {
        'decoder': 'yolo_fastestv2', 'strides': [32, 16],
        'anchors': [[50, 60, 70, 40, 90, 90], [10, 20, 30, 30, 20, 10]],
        'outputs': {'boxes': ['a', 'd'], 'objectness': ['b', 'e:0'], 'classes': ['c', 'f']}},
        size=SIZE, threshold=0.3)
    assert agree(result, on_image(by_hand(maps, own, 0.3), SIZE))


def test_the_published_model() -> None:
    """The same boxes as the repository's C++ example finds: a dog, a person, an animal."""
    result = run_published(
        published('yolo_fastestv2.onnx'), 'darknet_person.jpg',
        {'decoder': 'yolo_fastestv2', 'anchors': 'coco'}, threshold=0.6, color='bgr',
        scale='1/255', interpolation='linear')
    assert len(result) == 3
    for class_id, box in ((16, (65, 263, 205, 350)), (0, (190, 98, 278, 375))):
        place = result.class_ids.tolist().index(class_id)
        assert overlap(result.boxes[place].tolist(), box) > 0.75


def decode(given: Any, threshold: float = 0.3, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    maps = numbers(1)
    for _, likely, classes in maps.values():
        likely[:], classes[:] = 3, 3
    boxes, likely, classes = maps[16]
    likely[0, 0, 0, 0], likely[0, 0, 0, 1], boxes[0, 0, 1, 0] = np.nan, np.inf, np.nan
    classes[0, 0, 3, 3] = np.nan
    with np.errstate(all='raise', under='ignore'):
        found = decode(six(maps), anchors='coco')
    assert len(found) == 3 * (32 + 8) - 3 - 3
    assert np.isfinite(found.boxes).all()


GOOD = six(numbers())


@pytest.mark.parametrize(('outputs', 'options', 'words'), [
    (GOOD, {}, ['anchors, which are unknown', 'anchors6.txt', 'coco', "'700'"]),
    ({**GOOD, '702': np.zeros((1, 3, 4, 8))}, {'anchors': 'coco'}, [
        'told apart', '[1, 12, h, w]', 'output.outputs', '[1, 3, 4, 8]']),
    ({**GOOD, '702': np.zeros((1, 6, 4, 8))}, {'anchors': 'coco'}, ['numbers of classes']),
    ({name: array for name, array in GOOD.items() if name < '703'}, {'anchors': 'coco'}, [
        'strides [16]', '2 grids']),
    ({'a': np.zeros((1, 4, 8, 15)), 'b': np.zeros((1, 2, 4, 20))}, {'anchors': 'coco'}, [
        "'a' has the shape [1, 4, 8, 15]", '15 + classes']),
    ({'a': np.zeros((1, 5, 8, 20)), 'b': np.zeros((1, 2, 4, 20))}, {'anchors': 'coco'}, [
        '5x8 cells', '64x128', 'input.size']),
    (GOOD, {'anchors': 'coco', 'outputs': {'maps': ['x']}}, ["no output 'x'"]),
    (GOOD, {'anchors': 'coco', 'outputs': {
        'boxes': ['700', '703'], 'objectness': ['704', '701'], 'classes': ['702', '705']}}, [
            "'704'", '4x8'])])
def test_outputs_that_do_not_fit(outputs: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(outputs, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    options = DECODER.parse_options({'anchors': 'coco'})
    assert DECODER.class_count(six(numbers(9)), options) == 9
    assert DECODER.class_count(joined(numbers(9)), options) == 9
    assert DECODER.class_count(GOOD, DECODER.parse_options({})) is None
    assert DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    ({'anchors': 'voc'}, 'coco'), ({'anchors': [[1, 2], [1, 2, 3, 4]]}, 'as many'),
    ({'outputs': {'boxes': ['a']}}, 'one name for each stride'),
    ({'anchors': 'coco', 'strides': [8]}, '1 numbers')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
