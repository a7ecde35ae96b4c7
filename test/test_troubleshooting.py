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

"""The messages that ``docs/troubleshooting.md`` quotes are those of the code."""

import ast
import re
import string

import pytest
from ros2_classify.engines.remote.problems import SENTENCES
from ros2_classify.ros.diagnostics import issues
import shared_data

PAGE = (shared_data.ROOT / 'docs/troubleshooting.md').read_text()


def text_of(node):
    """Return a string of the code with … for what it fills in, or None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ''.join(part.value if isinstance(part, ast.Constant) else '…'
                       for part in node.values)
    return None


def all_texts():
    found = []
    for path in (shared_data.ROOT / 'ros2_classify').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            text = text_of(node)
            if text:
                found.append(text)
    return found


TEXTS = all_texts()
QUOTED = re.findall(r'^\| `([^`]+)`', PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize('quoted', QUOTED)
def test_each_text_is_in_the_code(quoted):
    pattern = '.*'.join(re.escape(part.strip()) for part in quoted.split('…'))
    assert any(re.search(pattern, text, re.DOTALL) for text in TEXTS), quoted


def test_the_page_quotes_messages():
    assert len(QUOTED) >= 20
    # Every text is distinctive.
    assert all(len(quoted.replace('…', '').strip()) >= 12 or re.search('carries|failed', quoted)
               for quoted in QUOTED)


@pytest.mark.parametrize('rows', [
    issues.IMAGES, issues.POSITIONS, issues.INFERENCE, issues.MODEL, issues.REMOTE, issues.CAMERA,
    issues.MACHINE], ids=lambda rows: rows[0].key)
def test_the_page_holds_the_table_of_issues(rows):
    assert issues.markdown_table(rows) in PAGE


def keys_used():
    """Return the rows of the table that the code uses."""
    found = set()
    for path in (shared_data.ROOT / 'ros2_classify/ros').rglob('*.py'):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if 'diagnostics.issues import' in text else ():
            if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'find' and (
                    isinstance(node.args[0], ast.Constant)):
                found.add(node.args[0].value)
    # Those of `remote_issue`, and of `ResultChecks.found`.
    return found | {f'remote_{kind}' for kind in SENTENCES} | {
        'scores_outside', 'boxes_outside', 'class_unknown', 'same_result'}


def test_every_row_is_used_and_every_issue_has_a_row():
    assert keys_used() == set(issues.ISSUES)


@pytest.mark.parametrize('row', issues.ISSUES.values(), ids=lambda row: row.key)
def test_every_sentence_can_be_filled_in(row):
    fields = [field for _, field, _, _ in string.Formatter().parse(row.says) if field]
    issue = issues.find(row.key, **{field: Anything() for field in fields})
    assert issue.level == row.level
    assert issue.text.count('<any>') == len(fields)
    assert row.why and row.cure


class Anything:
    """A value for any field of a sentence."""

    def __format__(self, specification):
        return '<any>'
