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

"""The pages on security and reliability: what they name as tested is there."""

import re

import attacks
import pytest
from shared_data import ROOT

SECURITY = (ROOT / 'SECURITY.md').read_text()


def test_every_result_names_its_tests():
    rows = [line.split(' | ') for line in SECURITY.splitlines() if line.startswith('| ')][1:]
    assert len(rows) > 12
    for row in rows:
        tests = re.findall(r'`([^`]+\.py)`', row[-1])
        assert tests, row
        for name in tests:
            assert (ROOT / 'test' / name).is_file(), name


@pytest.mark.parametrize('page', ['SECURITY.md', 'docs/reliability.md', 'docs/sros2.md'])
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_commands_of_the_reliability_page_name_files_that_are_there():
    text = (ROOT / 'docs' / 'reliability.md').read_text()
    commands = re.findall(r'`scripts/test ([^`]+)`', text)
    assert commands
    for command in commands:
        for word in command.split():
            if word.startswith('test/'):
                assert (ROOT / word).exists(), word


def test_the_table_of_attacks_is_that_of_the_tests():
    page = (ROOT / 'docs' / 'reliability.md').read_text()
    for name, (*_, megabytes, seconds) in {**attacks.ATTACKS, **attacks.HARMLESS}.items():
        assert re.search(
            rf'^\| {name} \| [^|]+ \| {megabytes} MB \| {seconds:.0f} s \|$', page, re.M), name
