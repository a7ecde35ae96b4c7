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

"""The walks of docs/design.md: the files are there, and few enough to read."""

import re

import pytest
import shared_data

PAGE = (shared_data.ROOT / 'docs/design.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('heading', ['One image, file by file', 'One model, file by file'])
def test_a_walk_is_at_most_15_files_that_exist(heading):
    section = PAGE.partition(f'## {heading}')[2].partition('\n## ')[0]
    files = set(re.findall(r'`([a-z_/]+\.py)`', section))
    assert 5 < len(files) <= 15
    assert [name for name in files
            if not (shared_data.ROOT / 'ros2_classify' / name).is_file()] == []
