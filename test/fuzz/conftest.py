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

"""
Fuzzing: profiles, and how many cases were tried.

Short, in every run of the suite; long, at least a hundred thousand cases, by
``scripts/test test/fuzz --hypothesis-profile=long``.
"""

import fuzzing
from hypothesis import HealthCheck, Phase, settings
import pytest

# Shrinking is for people: what failed is reported in its smallest form.
_COMMON = {
    'deadline': None, 'print_blob': True,
    'suppress_health_check': [HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
                              HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile('short', max_examples=60, derandomize=True, database=None, **_COMMON)
settings.register_profile(
    'long', max_examples=2_500, phases=tuple(Phase), **_COMMON)
settings.load_profile('short')


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases were tried."""
    if not fuzzing.CASES:
        return
    terminalreporter.section('fuzzing')
    for name, count in sorted(fuzzing.CASES.items()):
        terminalreporter.write_line(f'{count:8,} {name}')
    terminalreporter.write_line(f'{sum(fuzzing.CASES.values()):8,} cases in all')
