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

"""The CenterFace decoder against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import (
    agree, eyes_over_mouths, FACES, has_faces, on_image, published, run_model, run_published)
import numpy as np
import onnx
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['centerface']
SIZE = (64, 32)


def numbers(stride: int = 4, seed: int = 0) -> list[Any]:
    """Return heat map, scale, offset and key points."""
    rng = np.random.default_rng(seed)
    grid = (SIZE[1] // stride, SIZE[0] // stride)
    return [rng.uniform(0, high, (1, channels, *grid)).astype(np.float32)
            for channels, high in ((1, 1), (2, 2), (2, 1), (10, 1))]


def by_hand(maps: Any, threshold: float = 0.5, stride: int = 4) -> list[tuple[float, ...]]:
    """Walk over all cells."""
    heat, scale, offset, _ = maps
    found = []
    for y in range(heat.shape[2]):
        for x in range(heat.shape[3]):
            h, w = (math.exp(scale[0, axis, y, x]) * stride for axis in (0, 1))
            cy = (y + float(offset[0, 0, y, x]) + 0.5) * stride
            cx = (x + float(offset[0, 1, y, x]) + 0.5) * stride
            if heat[0, 0, y, x] >= threshold:
                found.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2,
                              float(heat[0, 0, y, x]), 0))
    return found


@pytest.mark.parametrize('names', [
    ('537', '538', '539', '540'), ('heatmap', 'scale', 'offset', 'landmarks')])
def test_the_loop_agrees(tmp_path: Path, names: Any) -> None:
    maps = numbers()
    result = run_model(tmp_path, dict(zip(names, maps)), {'decoder': 'centerface'}, size=SIZE,
                       threshold=0.5, labels=['face'])
    assert agree(result, on_image(by_hand(maps), SIZE))


def test_options(tmp_path: Path) -> None:
    """Names in another order, and another stride."""
    maps = numbers(8)
    given = {'a': maps[2], 'b': maps[1], 'c': maps[3], 'd': maps[0]}
    result = run_model(tmp_path, given, {
        'decoder': 'centerface', 'stride': 8,
        'outputs': {'heatmap': 'd:0', 'scale': 'b', 'offset': 'a'}}, size=SIZE, threshold=0.5)
    assert agree(result, on_image(by_hand(maps, stride=8), SIZE))
    words = {'offset_0': maps[2], 'hm': maps[0], 'wh_scale': maps[1]}
    again = run_model(tmp_path, words, {'decoder': 'centerface', 'stride': 8}, size=SIZE,
                      threshold=0.5)
    assert again.boxes.tolist() == result.boxes.tolist()


@pytest.mark.parametrize('image', FACES)
def test_the_published_model(tmp_path: Path, image: str) -> None:
    """The file declares a batch of 10 and 32x32 pixels, which its graph doesn't need."""
    model = onnx.load(published('centerface.onnx'))
    for value in (*model.graph.input[:1], *model.graph.output):
        batch, _, *sides = value.type.tensor_type.shape.dim
        batch.dim_value = 1
        for place, side in enumerate(sides):
            side.dim_param = f'{value.name}_{place}'
    del model.graph.value_info[:]
    onnx.save(model, tmp_path / 'net.onnx')
    result = run_published(
        tmp_path / 'net.onnx', image, {'decoder': 'centerface'}, threshold=0.6, size=[640, 640],
        resize='letterbox', interpolation='linear')
    assert has_faces(result, image) and eyes_over_mouths(result)


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    maps = numbers()
    maps[0][:] = 0.9
    maps[0][0, 0, 0, :2] = np.nan, np.inf
    maps[1][0, 0, 1, :3] = np.nan, np.inf, 1e4
    maps[2][0, 1, 2, 0] = np.nan
    with np.errstate(all='raise', under='ignore'):
        found = decode(dict(zip('abcd', maps)))
    assert len(found) == 8 * 16 - 6
    assert np.isfinite(found.boxes).all()
    none = decode(dict(zip('abcd', maps)), threshold=1.1)
    assert none.boxes.shape == (0, 4) and none.boxes.dtype == np.float32


GOOD = dict(zip('abcd', numbers()))


@pytest.mark.parametrize(('changes', 'options', 'words'), [
    ({'a': np.zeros((1, 3, 8, 16))}, {}, ['heat map [1, 1, h, w]', 'output.outputs',
                                          '[1, 3, 8, 16]']),
    ({'b': np.zeros((1, 2, 8, 15))}, {}, ["'b' has the shape [1, 2, 8, 15]", '[1, 2, 8, 16]']),
    ({}, {'stride': 8}, ['8x16 cells of 8 pixels', '32x64', 'output.stride']),
    ({'a': np.zeros((2, 1, 8, 16))}, {}, ['[2, 1, 8, 16]']),
    ({}, {'outputs': {'heatmap': 'x', 'scale': 'b', 'offset': 'c'}}, ["no output 'x'"])])
def test_outputs_that_do_not_fit(changes: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode({**GOOD, **changes}, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    assert DECODER.class_count(GOOD, DECODER.parse_options({})) == 1
    assert DECODER.needs_nms


@pytest.mark.parametrize(('options', 'word'), [
    ({'stride': 0}, 'from 1'), ({'outputs': {'heatmap': 'a'}}, 'all three')])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)
