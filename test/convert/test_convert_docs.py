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

"""The page on TensorFlow models, and the table of ``models convert``, against the code."""

from __future__ import annotations

import argparse
from pathlib import Path
import re

import pytest
from ros2_classify import cli
from ros2_classify.convert.api import TOLERANCE
from ros2_classify.convert.interface import _DETECTION, _USUAL
from ros2_classify.convert.process import PYTHON
from ros2_classify.model.descriptor import ModelDescriptor
import yaml

DOCS = Path(__file__).resolve().parents[2] / 'docs'
PAGE = (DOCS / 'tensorflow.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('text', re.findall(r'```yaml\n(.*?)```', PAGE, flags=re.DOTALL))
def test_descriptors(text: str) -> None:
    descriptor = ModelDescriptor.from_mapping(yaml.safe_load(text))
    assert descriptor.format in ('frozen_graph', 'saved_model')


@pytest.mark.parametrize('text', re.findall(r'`(convert: \{.*?\})`', PAGE))
def test_keys(text: str) -> None:
    keys = yaml.safe_load(text)
    format_ = 'saved_model' if 'signature' in keys['convert'] else 'frozen_graph'
    descriptor = ModelDescriptor.from_mapping(
        {'source': {'path': 'x'}, 'format': format_, **keys})
    assert descriptor.conversion != ModelDescriptor.from_mapping(
        {'source': {'path': 'x.pb'}}).conversion


def test_names_and_numbers() -> None:
    assert PYTHON in PAGE
    assert f'no more than {TOLERANCE:g}'.replace('0.0001', '1e-4') in PAGE
    row = next(line for line in PAGE.splitlines() if line.startswith('| outputs |'))
    named = re.findall(r'`([\w./]+)`', row)
    assert [name for name in named if name in _DETECTION] == list(_DETECTION)
    for name in named[len(_DETECTION):]:
        example = name.replace('...', 'Model')
        assert any(pattern.fullmatch(example) for pattern in _USUAL), name


def test_the_options_of_models_convert() -> None:
    text = (DOCS / 'cli.md').read_text(encoding='utf-8')
    section = text.partition('## `models convert`')[2].partition('\n## ')[0]
    documented = re.findall(r'^\| `([\w-]+)` \|', section, flags=re.MULTILINE)
    parser = cli._parser()
    for verb in ('models', 'convert'):
        action = next(action for action in parser._actions
                      if isinstance(action, argparse._SubParsersAction))
        parser = action.choices[verb]
    actual = [action.option_strings[0] if action.option_strings else action.metavar
              for action in parser._actions if action.dest != 'help']
    assert documented == actual
