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

"""The YOLOX decoder against a loop over all cells."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, MODEL, on_image, run_model
import numpy as np
import pytest

from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['yolox']


def decode(rows: Any, size: tuple[int, int], threshold: float = 0.3, **options: Any) -> Any:
    """Return the candidates of one output."""
    outputs = rows if isinstance(rows, dict) else {'output': rows}
    return DECODER.decode(
        outputs, DECODER.parse_options(options), DecodeContext(size, threshold))


def by_hand(
    rows: Any, size: tuple[int, int], strides: Any, threshold: float, partial: bool = False,
) -> Any:
    """Walk over all grids, cell by cell, as the paper's figures do."""
    found, row = [], 0
    for stride in strides:
        add = stride - 1 if partial else 0
        for gy in range((size[1] + add) // stride):
            for gx in range((size[0] + add) // stride):
                x, y, w, h, objectness, *classes = rows[row].tolist()
                row += 1
                best = max(range(len(classes)), key=lambda i: classes[i])
                score = objectness * classes[best]
                if score < threshold:
                    continue
                cx, cy = (x + gx) * stride, (y + gy) * stride
                width, height = math.exp(w) * stride, math.exp(h) * stride
                found.append((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2,
                              score, best))
    return np.array(found).reshape(-1, 6)


def random_rows(count: int, classes: int, seed: int = 0) -> Any:
    """Return rows as such a model gives them."""
    rng = np.random.default_rng(seed)
    return np.concatenate((
        rng.normal(0, 1, (count, 4)), rng.uniform(0, 1, (count, 1 + classes))),
        axis=1).astype(np.float32)


@pytest.mark.parametrize(('size', 'strides', 'classes'), [
    ((64, 64), (8, 16, 32), 80), ((96, 64), (8, 16, 32), 1), ((64, 128), (8, 16, 32, 64), 3),
    ((70, 50), (8, 16), 12), ((32, 32), (32,), 2)])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.9])
def test_the_loop_agrees(
    size: tuple[int, int], strides: tuple[int, ...], classes: int, threshold: float,
) -> None:
    count = sum((size[0] // stride) * (size[1] // stride) for stride in strides)
    rows = random_rows(count, classes)
    found = decode(rows[np.newaxis], size, threshold, strides=list(strides))
    expected = by_hand(rows, size, strides, threshold)
    assert len(found) == len(expected)
    assert np.allclose(found.boxes, expected[:, :4], rtol=1e-5, atol=1e-3)
    assert np.allclose(found.scores, expected[:, 4], rtol=1e-6)
    assert found.class_ids.tolist() == expected[:, 5].astype(int).tolist()
    assert (found.boxes.dtype, found.scores.dtype, found.class_ids.dtype) == (
        np.float32, np.float32, np.int64)


def test_half_precision_and_no_batch_axis() -> None:
    rows = random_rows(84, 4).astype(np.float16)
    found = decode(rows, (64, 64))
    expected = by_hand(rows.astype(np.float32), (64, 64), (8, 16, 32), 0.3)
    assert np.allclose(found.boxes, expected[:, :4], rtol=1e-5, atol=1e-3)


def test_partial_cells_at_the_right_and_the_bottom() -> None:
    """72x50 pixels: 9x7, 5x4 and 3x2 cells; without the partial ones 9x6, 4x3 and 2x1."""
    rows = random_rows(63 + 20 + 6, 4)
    found = decode(rows[np.newaxis], (72, 50))
    expected = by_hand(rows, (72, 50), (8, 16, 32), 0.3, partial=True)
    assert len(found) == len(expected) > 20
    assert np.allclose(found.boxes, expected[:, :4], rtol=1e-5, atol=1e-3)
    assert len(decode(random_rows(54 + 12 + 2, 4)[np.newaxis], (72, 50)))


@pytest.mark.parametrize('count', [84, 10])
def test_boxes_that_are_pixels_already(tmp_path: Path, count: int) -> None:
    rows = random_rows(count, 3)
    rows[:, :4] = np.random.default_rng(1).uniform((10, 10, 4, 4), (50, 50, 20, 20), (count, 4))
    expected = []
    for x, y, w, h, objectness, *classes in rows.tolist():
        best = classes.index(max(classes))
        if objectness * classes[best] >= 0.3:
            expected.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2,
                             objectness * classes[best], best))
    result = run_model(tmp_path, {'output': rows[np.newaxis]},
                       {'decoder': 'yolox', 'decoded': True})
    assert agree(result, on_image(expected, MODEL))
    with pytest.raises(OutputError, match='one class'):
        decode(rows[:, :5], MODEL, decoded=True)


def test_nothing_over_the_threshold() -> None:
    rows = random_rows(84, 4)
    rows[:, 4] = 0
    found = decode(rows[np.newaxis], (64, 64))
    assert found.boxes.shape == (0, 4)
    assert len(found) == 0


def test_what_is_not_finite_is_dropped() -> None:
    rows = random_rows(84, 4)
    rows[:, 4:] = 1.0
    rows[0, 0] = np.nan
    rows[1, 2] = 1e4  # exp overflows
    rows[2, 4] = np.nan
    rows[3, 4] = np.inf
    rows[4, 6] = np.nan
    with np.errstate(all='raise', under='ignore'):
        found = decode(rows[np.newaxis], (64, 64))
    assert len(found) == 84 - 5
    assert np.isfinite(found.boxes).all()


@pytest.mark.parametrize(('shape', 'words'), [
    ((1, 85, 9), ['[1, 85, 9]', '[1, 84, 5 + classes]', '64x64', '[8, 16, 32]', 'output.decoded']),
    ((1, 84, 5), ['[1, 84, 5]', 'one class']),
    ((2, 84, 9), ['[2, 84, 9]', '[1, cells, 5 + classes]']),
    ((1, 9, 8, 8), ['[1, 9, 8, 8]']),
    ((9,), ['[9]']),
])
def test_shapes_that_do_not_fit(shape: tuple[int, ...], words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(np.zeros(shape, np.float32), (64, 64))
    for word in ["'output'", *words]:
        assert word in str(caught.value)


def test_a_named_output() -> None:
    rows = random_rows(84, 4)
    outputs = {'other': np.zeros(3), 'boxes:0': rows[np.newaxis]}
    assert len(decode(outputs, (64, 64), output='boxes')) == len(decode(rows, (64, 64)))
    with pytest.raises(OutputError, match="no output 'grid'"):
        decode(outputs, (64, 64), output='grid')


def test_the_number_of_classes() -> None:
    rows = random_rows(84, 4)
    assert DECODER.class_count({'output': rows[np.newaxis]}, DECODER.parse_options({})) == 4


@pytest.mark.parametrize(('options', 'word'), [
    ({'strides': []}, 'empty'), ({'strides': [8, 0]}, 'strides[1]'), ({'strides': 8}, 'list'),
    ({'strides': [8.5]}, 'strides[0]'),
    ({'stride': [8]}, "did you mean 'strides'")])
def test_wrong_options(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    assert word in str(caught.value)


def test_the_threshold_itself_is_over_it() -> None:
    """Also where the class is certain, so that objectness alone equals the threshold."""
    rows = np.zeros((1, 1, 7), np.float32)
    rows[..., 4:] = (0.5, 0.0, 1.0)
    assert decode(rows, (8, 8), 0.5, strides=[8]).class_ids.tolist() == [1]
    assert len(decode(rows, (8, 8), 0.5625, strides=[8])) == 0
