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

import importlib
import re

import attacks
import pytest
from shared_data import ROOT

SECURITY = (ROOT / 'SECURITY.md').read_text()


def rows():
    return [line for line in SECURITY.splitlines() if line.startswith('| ')][1:]


def test_every_threat_names_the_tests_that_prove_it():
    """By file and name; a test that was renamed or removed leaves no claim behind."""
    assert len(rows()) > 18
    for row in rows():
        tests = re.findall(r'`([^`]+\.py)::(\w+)`', row.split(' | ')[-1])
        assert len(tests) > 1 and row.count('.py') == len(tests), row
        for name, function in tests:
            path = ROOT / ('' if name.startswith('packages/') else 'test') / name
            text = path.read_text()
            assert re.search(rf'^(?:async )?def {function}\(', text, re.M), (name, function)
            marks = re.search(rf'((?:^@.*\n(?:^[ )\]].*\n)*)*)^def {function}\(', text, re.M)[1]
            assert 'xfail' not in marks, function


@pytest.mark.parametrize(('place', 'number'), [
    ('limits:MAX_GRAPH_PARTS', '200,000 nodes'),
    ('limits:MAX_GRAPH_NAMES', '5,000 different operators'),
    ('limits:MAX_INPUT', '201 million numbers'),
    ('limits:MAX_NAME', '1,000 characters'), ('limits:MAX_JPEG_SCANS', 'more than 64 scans'),
    ('model.labels:MAX_FILE_BYTES', 'up to 8 MiB'), ('model.labels:MAX_CLASS_ID', '1,000,000'),
    ('limits:MAX_LINE', '2,000 characters a line'), ('download.http:LONGEST', '24 hours'),
    ('sources.bag:MAX_UNPACKED', 'at most 256 MiB'),
    ('sources.bag:MAX_RATIO', 'up to 100 times'), ('image_io:MAX_PIXELS', '64 Mpixel'),
    ('web.server:_REQUEST_TIMEOUT', '20 seconds'), ('web.server:_MOST_CLIENTS', '64 clients'),
    ('download.archive:Limits.members', '10,000 members'),
    ('download.archive:Limits.unpacked', '16 GB')])
def test_the_numbers_of_the_page_are_those_of_the_code(place, number):
    module, _, name = place.partition(':')
    value = importlib.import_module(f'ros2_classify.{module}')
    for part in name.split('.'):
        value = getattr(value, part)
    words = {200_000: ('200,000',), 5_000: ('5,000',), 1_000_000: ('a million', '1,000,000'),
             3 << 26: ('201 million',), 1000: ('1,000',),
             64: ('64',), 8 << 20: ('8 MiB',), 2000: ('2,000',), 86400.0: ('24 hours',),
             1 << 28: ('256 MiB',), 100: ('100',), 1 << 26: ('64 Mpixel',), 20.0: ('20 seconds',),
             10_000: ('10,000',), 16 * 10**9: ('16 GB',)}
    assert number in SECURITY and any(word in number for word in words[value]), value


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
    for name, (*_, megabytes, seconds) in {
            **attacks.ATTACKS, **attacks.ELSEWHERE, **attacks.HARMLESS}.items():
        assert re.search(
            rf'^\| {name} \| [^|]+ \| {megabytes} MB \| {seconds:.0f} s \|$', page, re.M), name
