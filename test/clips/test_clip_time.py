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

"""The program that measures what a stream costs; a busy machine proves no times."""

import sys

from shared_data import ROOT

sys.path.insert(0, str(ROOT / 'test/clips'))


def test_it_measures_both_and_they_agree():
    from clip_time import measure

    # It compares the classes of both itself.
    found = measure(10)
    assert all(value > 0 for value in found.values()) and len(found) == 3
