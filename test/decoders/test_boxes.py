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
from ros2_classify.decoders.boxes import cells


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
