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

"""The table of decoders, and its page."""

from __future__ import annotations

from pathlib import Path
import re

import numpy as np
import pytest

from ros2_classify.decoders import Candidates, DECODERS
from ros2_classify.decoders.base import least_logit, row_maxima, sigmoid
from ros2_classify.errors import DescriptorError

PAGE = (Path(__file__).resolve().parents[2] / 'docs/decoders.md').read_text(encoding='utf-8')


def test_the_page_has_every_decoder() -> None:
    rows = re.findall(r'^\| `(\w+)` \| (\w+) \| .* \| ([^|]+) \|$', PAGE, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(DECODERS)
    for name, task, suppression in rows:
        assert task == DECODERS[name].task
        assert (suppression == 'here') == DECODERS[name].needs_nms
        assert f'## `{name}`' in PAGE


@pytest.mark.parametrize('name', DECODERS)
def test_every_decoder_says_where_its_format_is_published(name: str) -> None:
    module = __import__(f'ros2_classify.decoders.{name}', fromlist=['__doc__'])
    assert 'https://' in (module.__doc__ or '')


@pytest.mark.parametrize('name', DECODERS)
def test_every_decoder_works_without_options_and_refuses_unknown_ones(name: str) -> None:
    decoder = DECODERS[name]
    assert decoder.parse_options({}) == decoder.parse_options({})
    hash(decoder.parse_options({}))
    with pytest.raises(DescriptorError, match="unknown key 'colour'"):
        decoder.parse_options({'colour': 1}, 'mine.yaml')


def test_candidates_have_a_length() -> None:
    assert len(Candidates(np.zeros((3, 4), np.float32), np.zeros(3, np.float32),
                          np.zeros(3, np.int64))) == 3


@pytest.mark.parametrize('shape', [(1, 1), (7, 1), (1, 9), (300, 80), (0, 5)])
def test_the_greatest_of_each_row(shape: tuple[int, int]) -> None:
    """Of a part of each row, too."""
    wide = np.random.default_rng(0).normal(size=(shape[0], shape[1] + 4)).astype(np.float32)
    for rows in (wide, wide[:, 4:], wide[:, :-4]):
        assert np.array_equal(row_maxima(rows), rows.max(axis=1))


@pytest.mark.parametrize('threshold', [0.0, 1e-12, 1e-3, 0.3, 0.5, 0.999, 1 - 1e-7, 1.0])
def test_no_logit_below_reaches_the_threshold(threshold: float) -> None:
    least = least_logit(threshold)
    logits = np.linspace(-100, 100, 200_001, dtype=np.float32)
    reach = sigmoid(logits) >= threshold
    assert (logits[reach] >= least).all()
    # And hardly any that does not reach it comes along; beyond 15 a few more may.
    beside = logits[(logits >= least) & ~reach]
    assert not len(beside) or np.ptp(beside) <= (0.02 if threshold < 0.9999 else 3.0)
