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

"""What ``docs/troubleshooting.md`` says that one reads is what the code really says."""

import ast
import re

import pytest
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


def test_the_texts_are_found():
    assert len(QUOTED) >= 20
    # Every text says something of its own.
    assert all(len(quoted.replace('…', '').strip()) >= 12 or 'carries' in quoted
               for quoted in QUOTED)


def test_every_reason_for_silence_is_explained():
    """What the server says when no picture comes: each sentence has its row."""
    source = (shared_data.ROOT / 'ros2_classify/ros/silence.py').read_text()
    function = next(node for node in ast.parse(source).body
                    if isinstance(node, ast.FunctionDef) and node.name == 'explain_silence')
    said = [text_of(node.value) for node in ast.walk(function) if isinstance(node, ast.Return)]
    for text in filter(None, said):
        # Sentences are compared by their first words, which tell them apart.
        assert any(re.match('.*'.join(map(re.escape, quoted.split('…'))), text, re.DOTALL)
                   for quoted in QUOTED), text
    assert len(list(filter(None, said))) >= 4
