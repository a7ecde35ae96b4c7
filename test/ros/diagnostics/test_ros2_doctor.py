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

"""The entry points for ``ros2 doctor``: loaded as it loads them, beside a stand-in of it."""

import ast
from importlib.metadata import EntryPoint
import sys
from types import ModuleType

import pytest
from ros2_classify.doctor import Issue
import shared_data


class Result:
    """What ros2doctor counts."""

    def __init__(self):
        self.error = self.warning = 0

    def add_error(self):
        self.error += 1

    def add_warning(self):
        self.warning += 1


class Report:
    """A section of ros2doctor's report."""

    def __init__(self, name):
        self.name, self.items = name, []

    def add_to_report(self, name, info):
        self.items.append((name, info))


@pytest.fixture
def entry_points(monkeypatch):
    """Return the classes by group, and the lines that they write."""
    lines = []
    package, api, text = (ModuleType(f'ros2doctor{end}') for end in ('', '.api', '.api.format'))
    api.DoctorCheck = api.DoctorReport = object
    api.Result, api.Report = Result, Report
    text.doctor_error = lambda line: lines.append(('error', line))
    text.doctor_warn = lambda line: lines.append(('warning', line))
    for each in (package, api, text):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.delitem(sys.modules, 'ros2_classify.ros.diagnostics.ros2_doctor', raising=False)
    found = {}
    for node in ast.walk(ast.parse((shared_data.ROOT / 'setup.py').read_text())):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                group = getattr(key, 'value', '')
                if str(group).startswith('ros2doctor.'):
                    (line,) = ast.literal_eval(value)
                    name, _, place = line.partition('=')
                    found[group] = EntryPoint(name.strip(), place.strip(), group).load()
    module = sys.modules['ros2_classify.ros.diagnostics.ros2_doctor']
    monkeypatch.setattr(module, 'examine', lambda: iter([
        Issue('ros', 'ok', 'all well'), Issue('python', 'warning', 'old', 'renew it'),
        Issue('cache', 'error', 'full', 'empty it')]))
    yield found, lines
    sys.modules.pop('ros2_classify.ros.diagnostics.ros2_doctor', None)


def test_the_check_counts_and_says_what_to_do(entry_points):
    found, lines = entry_points
    check = found['ros2doctor.checks']()
    result = check.check()
    assert check.category() == 'ros2_classify'
    assert (result.error, result.warning) == (1, 1)
    assert lines == [('warning', 'ros2_classify: python: old. renew it'),
                     ('error', 'ros2_classify: cache: full. empty it')]


def test_the_report_has_all_issues(entry_points):
    report = entry_points[0]['ros2doctor.report']().report()
    assert report.name == 'ROS2_CLASSIFY'
    assert report.items == [('ros (ok)', 'all well'), ('python (warning)', 'old'),
                            ('cache (error)', 'full')]
