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

"""The mistakes with nodes of `docs/mistakes.md`, typed: real nodes say what the page says."""

import re
import shlex

from shared_data import ROOT
from vision_msgs.msg import Classification

SECTION = (ROOT / 'docs/mistakes.md').read_text().partition('Those of nodes')[2]
ROWS = re.findall(r'^\| (.*?) \| `(.*?)` \| (.*) \|$', SECTION, re.MULTILINE)


def test_a_mistake_with_a_node_is_told_as_the_page_says(
        start, peer, classifier, tmp_path, monkeypatch):
    """All at once, since a node takes a second to start."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'flat.yaml').write_text('model: x\n')
    (tmp_path / 'other.yaml').write_text('/sever:\n  ros__parameters: {model: x}\n')
    running = []
    for number, (_, typed, says) in enumerate(ROWS):
        words = ['--ros-args', *shlex.split(typed)]
        if 'model' not in typed and 'yaml' not in typed:
            # Without subscribers to its results a server does not miss images.
            peer.collect(Classification, f'/row{number}/classification')
            words += ['-p', f'model:={classifier}', '-r', f'__ns:=/row{number}']
        running.append((says, start('server', arguments=words)))
    for says, node in running:
        wanted = says.replace('\\*', '*')
        node.wait_for_line('.*'.join(re.escape(part) for part in wanted.split('…')))


def test_all_rows_are_read():
    assert len(ROWS) == SECTION.count('\n| ') - 1 >= 8
