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
from ros2_classify.errors import DescriptorError

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


def test_candidates_have_a_length() -> None:
    assert len(Candidates(np.zeros((3, 4), np.float32), np.zeros(3, np.float32),
                          np.zeros(3, np.int64))) == 3
