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
One page per node, all with the same headings, and with the parameters that the node has.

Their topics and services are compared with real nodes in `test_sros2.py`.
"""

from pathlib import Path
import re

import pytest
from ros2_classify import cli
from ros2_classify.ros.node.parameter_pages import markdown_tables
from ros2_classify.ros.parameter_tables import TABLES as PROGRAMS

PAGES = Path(__file__).resolve().parents[2] / 'docs' / 'nodes'
HEADINGS = ['Purpose', 'Subscribed topics', 'Published topics', 'Services', 'Parameters',
            'Known limits']
TABLES = {name: nodes[0][1] for name, nodes in PROGRAMS.items() if len(nodes) == 1}


def test_every_node_has_a_page():
    assert sorted(path.stem for path in PAGES.glob('*.md')) == sorted(cli.NODES)
    # The nodes of `composed` are two of the others: its page leads to theirs.
    assert sorted({*TABLES, 'composed'}) == sorted(cli.NODES)


@pytest.mark.parametrize('node', cli.NODES)
def test_headings(node):
    text = (PAGES / f'{node}.md').read_text()
    assert text.startswith(f'# {node}\n')
    assert [heading for heading in re.findall(r'^## (.*)$', text, re.MULTILINE)
            if heading != 'Behaviour'] == HEADINGS
    assert re.search(r'^## Behaviour\n(.*\n)*?## Known limits$', text, re.MULTILINE)


@pytest.mark.parametrize('node', TABLES)
def test_the_parameters_are_those_of_the_node(node):
    assert markdown_tables(TABLES[node]) in (PAGES / f'{node}.md').read_text()
