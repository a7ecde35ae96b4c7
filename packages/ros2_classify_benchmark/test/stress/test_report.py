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

"""What a run says in the end."""

from __future__ import annotations

import json

from ros2_classify_benchmark.stress.growth import Growth
from ros2_classify_benchmark.stress.report import Report


def test_a_good_run() -> None:
    report = Report('run', {'sent': 5})
    report.demand(True, 'never said')
    report.add_growths({'threads': Growth(4, 4, 0.1, 0.05, 1.5)})
    text = str(report)
    assert '| sent | 5 |' in text and '+0.05' in text and text.endswith('All as it should be.')
    data = json.loads(json.dumps(report.to_dict()))
    assert data['passed'] and data['growth']['threads']['slope'] == 0.1


def test_a_bad_run() -> None:
    report = Report('run')
    report.demand(False, 'three images got lost')
    report.add_growths({'memory_mib': Growth(100, 130, 40, 30, 8)})
    assert report.complaints == [
        'three images got lost', 'memory_mib grew by 30.0, more than 8']
    assert 'NOT AS IT SHOULD BE: three images got lost' in str(report)
    assert not report.to_dict()['passed']
