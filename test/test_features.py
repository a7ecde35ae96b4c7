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

"""The table of features: no empty cell, pages with their headings, tests and names that exist."""

import re

import pytest
import shared_data

PAGE = shared_data.ROOT / 'docs' / 'features.md'
TEXT = PAGE.read_text(encoding='utf-8')
ROWS = [[cell.strip() for cell in line.strip('|').split('|')]
        for line in TEXT.splitlines() if line.startswith('|')]
HEADER, ROWS = ROWS[0], ROWS[2:]


def anchors(path):
    """Return the anchors of a page's headings."""
    headings = re.findall(r'^#+ (.*)$', path.read_text(encoding='utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_no_cell_is_empty():
    assert len(ROWS) >= 15
    for row in ROWS:
        assert len(row) == len(HEADER) and all(len(cell) > 2 for cell in row), row


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row[0])
def test_pages_and_tests_exist(row):
    links = re.findall(r'\]\(([^)#]+)#?([^)]*)\)', ' '.join(row))
    assert links
    for name, anchor in links:
        assert (PAGE.parent / name).is_file(), name
        assert not anchor or anchor in anchors(PAGE.parent / name), (name, anchor)
    tests = re.findall(r'`(test/[^`]+)`', row[-1])
    assert tests and all((shared_data.ROOT / each).exists() for each in tests), tests


def test_notes_and_options_exist():
    notes = set(re.findall(r'\[(\d)\]', ' '.join(map(' '.join, ROWS))))
    assert notes == set(re.findall(r'^(\d)\. ', TEXT, re.MULTILINE))
    cli = (shared_data.ROOT / 'docs' / 'cli.md').read_text(encoding='utf-8')
    for option in re.findall(r'`(--[\w-]+)`', TEXT):
        assert f'`{option}`' in cli, option
