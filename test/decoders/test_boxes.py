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

"""The grids against counting by hand."""

from __future__ import annotations

import math

import pytest
from ros2_classify.decoders.boxes import cells, read_names, read_strides
from ros2_classify.errors import DescriptorError
from ros2_classify.yaml_config import Fields


@pytest.mark.parametrize('size', [(64, 64), (96, 32), (70, 50), (8, 40)])
@pytest.mark.parametrize('partial', [False, True])
def test_cells(size: tuple[int, int], partial: bool) -> None:
    expected = []
    for stride in (8, 16, 32):
        columns, rows = (math.ceil(side / stride) if partial else side // stride for side in size)
        expected += [[x, y, stride] for y in range(rows) for x in range(columns)]
    table = cells(size, (8, 16, 32), partial=partial)
    assert table.tolist() == expected
    # It is kept for the next frame, so nobody may change it.
    assert cells(size, (8, 16, 32), partial=partial) is table
    with pytest.raises(ValueError, match='read-only'):
        table[0] = 1


def test_options() -> None:
    fields = Fields({'strides': [4, 8], 'names': ['a', 'b']}, 'm.yaml')
    assert read_strides(fields, (8,)) == (4, 8)
    assert read_names(fields, 'names') == ('a', 'b')
    assert read_strides(Fields({}, 'm.yaml'), (8,)) == (8,)
    assert read_names(Fields({}, 'm.yaml'), 'names') == ()


@pytest.mark.parametrize(('options', 'words'), [
    ({'strides': []}, r'strides: is an empty list'), ({'strides': [8, 0]}, r'strides\[1\]: 0'),
    ({'strides': [8.5]}, r'strides\[0\]'), ({'strides': 8}, 'must be a list')])
def test_wrong_strides(options: dict[str, object], words: str) -> None:
    with pytest.raises(DescriptorError, match=words):
        read_strides(Fields(options, 'm.yaml'), (8,))
