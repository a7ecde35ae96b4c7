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

"""The table of decoders, its page, and the page's example."""

from __future__ import annotations

import importlib
from pathlib import Path
import re

import numpy as np
import pytest

from ros2_classify.decoders import Candidates, Decoder, DECODERS
from ros2_classify.decoders.base import least_logit, row_maxima, sigmoid
from ros2_classify.descriptor import ModelDescriptor
from ros2_classify.errors import DescriptorError
from ros2_classify.pipeline import Pipeline
from ros2_classify.results import Detections
from ros2_classify.testing import FakeEngine, tensor

PAGE = (Path(__file__).resolve().parent.parent / 'docs/decoders.md').read_text(encoding='utf-8')


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


def test_the_example_of_a_new_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page's code and one row in the table are all it takes, down to boxes on the picture."""
    code = re.findall(r'^```python\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
    assert len(code) == 1
    (tmp_path / 'rows_of_the_page.py').write_text(code[0], encoding='utf-8')
    monkeypatch.syspath_prepend(tmp_path)
    example = importlib.import_module('rows_of_the_page').ROWS
    assert isinstance(example, Decoder)
    monkeypatch.setitem(DECODERS, 'rows', example)
    descriptor = ModelDescriptor.from_mapping({
        'name': 'mine', 'source': {'path': 'mine.onnx'}, 'output': {'decoder': 'rows'},
        'labels': ['cat', 'dog'],
        'input': {'name': 'image', 'size': [64, 64], 'layout': 'nchw', 'dtype': 'float32'}})
    rows = np.array([[[8, 8, 24, 24, 0.8, 1], [9, 8, 25, 24, 0.7, 1], [40, 40, 50, 50, 0.1, 0],
                      [np.nan, 0, 1, 1, 0.9, 0]]], np.float32)
    engine = FakeEngine([tensor('image', (1, 3, 64, 64))], [tensor('rows', rows.shape)],
                        {'rows': rows})
    result = Pipeline(descriptor, engine, descriptor.load_labels())(
        np.zeros((128, 64, 3), np.uint8))
    assert isinstance(result, Detections)
    assert result.boxes.tolist() == [[8, 16, 24, 48]]
    assert result.labels.tolist() == ['dog']


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
