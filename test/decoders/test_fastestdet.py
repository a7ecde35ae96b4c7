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

"""The FastestDet decoder against a loop, through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from decoder_models import agree, on_image, run_model
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.errors import DescriptorError, OutputError

DECODER = DECODERS['fastestdet']
SIZE = (96, 64)


def numbers(classes: int = 3, raw: bool = False, seed: int = 0) -> Any:
    """Return the map; scores are probabilities or logits."""
    rng = np.random.default_rng(seed)
    table = rng.normal(0, 1.5, (1, 5 + classes, 4, 6))
    if not raw:
        table[:, :1], table[:, 5:] = rng.uniform(0, 1, (1, 1, 4, 6)), rng.uniform(
            0, 1, (1, classes, 4, 6))
    return table.astype(np.float32)


def by_hand(table: Any, threshold: float, raw: bool = False) -> list[tuple[float, ...]]:
    """Walk over all cells."""
    found = []
    for gy in range(4):
        for gx in range(6):
            likely, x, y, w, h, *classes = (float(value) for value in table[0, :, gy, gx])
            if raw:
                likely = 1 / (1 + math.exp(-likely))
                total = sum(math.exp(value) for value in classes)
                classes = [math.exp(value) / total for value in classes]
            best = max(range(len(classes)), key=lambda index: classes[index])
            score = likely ** 0.6 * classes[best] ** 0.4
            cx, cy = (math.tanh(x) + gx) / 6, (math.tanh(y) + gy) / 4
            bw, bh = 1 / (1 + math.exp(-w)), 1 / (1 + math.exp(-h))
            if score >= threshold:
                found.append(((cx - bw / 2) * SIZE[0], (cy - bh / 2) * SIZE[1],
                              (cx + bw / 2) * SIZE[0], (cy + bh / 2) * SIZE[1], score, best))
    return found


@pytest.mark.parametrize('raw', [False, True])
@pytest.mark.parametrize('classes', [1, 3])
@pytest.mark.parametrize('threshold', [0.05, 0.5])
def test_the_loop_agrees(tmp_path: Path, raw: bool, classes: int, threshold: float) -> None:
    table = numbers(classes, raw)
    options = {'activation': 'softmax', 'output': 'map'} if raw else {}
    result = run_model(tmp_path, {'map': table}, {'decoder': 'fastestdet', **options}, size=SIZE,
                       threshold=threshold, labels=['a', 'b', 'c'][:classes])
    assert agree(result, on_image(by_hand(table, threshold, raw), SIZE))


def decode(table: Any, threshold: float = 0.3, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(
        {'map': table}, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    table = numbers(1)
    table[0, 0], table[0, 5] = 0.9, 0.9
    table[0, 0, 0, 0], table[0, 0, 0, 1], table[0, 2, 1, 1], table[0, 5, 2, 2] = (
        np.nan, np.inf, np.nan, np.nan)
    with np.errstate(all='raise', under='ignore'):
        found = decode(table)
    assert len(found) == 24 - 4
    assert np.isfinite(found.boxes).all()
    nothing = decode(np.zeros_like(table))
    assert nothing.boxes.shape == (0, 4) and nothing.boxes.dtype == np.float32


@pytest.mark.parametrize('shape', [(1, 5, 4, 6), (2, 8, 4, 6), (1, 8, 24), (1, 8, 0, 6)])
def test_outputs_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(np.zeros(shape, np.float32))
    for word in ("'map'", str(list(shape)), '[1, 5 + classes, h, w]'):
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    assert DECODER.class_count({'map': numbers(7)}, DECODER.parse_options({})) == 7
    assert DECODER.needs_nms


def test_wrong_options() -> None:
    with pytest.raises(DescriptorError, match='none, softmax'):
        DECODER.parse_options({'activation': 'sigmoid'})
