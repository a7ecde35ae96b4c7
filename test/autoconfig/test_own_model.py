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

"""``docs/own_model.md`` and its chapters in ``docs/cli.md`` say what the code does."""

from __future__ import annotations

import argparse
from pathlib import Path
import re
import shlex

import cv2
import numpy as np
import pytest
from ros2_classify import cli, load_descriptor
from ros2_classify.autoconfig import complete
from ros2_classify.inspection.check import check_model, summary
from ros2_classify.model import companion_files
from ros2_classify.testing import save_color_classifier
import shared_data

DOCS = shared_data.ROOT / 'docs'
TEXT = (DOCS / 'own_model.md').read_text(encoding='utf-8')
CLI = (DOCS / 'cli.md').read_text(encoding='utf-8')
DESCRIPTOR = (DOCS / 'descriptor.md').read_text(encoding='utf-8')
SECTION = CLI.partition('## `models check`')[2].partition('\n## `models describe`')[0]


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    save_color_classifier(tmp_path / 'my_model.onnx')
    cv2.imwrite(str(tmp_path / 'photo.jpg'), np.full((48, 64, 3), (0, 0, 200), np.uint8))
    monkeypatch.chdir(tmp_path)
    commands = [line for block in re.findall(r'^```bash\n(.*?)^```', TEXT, re.M | re.S)
                for line in block.splitlines()]
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)
        assert words[:3] == ['python', '-m', 'ros2_classify']
        assert cli.main(words[3:]) == 0
        assert 'my_model' in capsys.readouterr().out, command
    assert load_descriptor('my_model.yaml').task == 'classification'


def test_the_files_beside_it() -> None:
    named = re.findall(r'`(my_model[\w.]*|labels\.(?:txt|json|csv))`', TEXT.partition('## 3.')[2])
    patterns = [*(f'{{}}{suffix}' for suffix in companion_files._DESCRIPTORS),
                *companion_files._LABELS]
    expected = [pattern.format('my_model') for pattern in patterns]
    expected += companion_files._SHARED
    assert [name for name in named if name != 'my_model.onnx'] == expected
    listed = re.findall(r'``(?:net)([\w.]*)``', companion_files.__doc__ or '')
    assert {f'net{suffix}' for suffix in listed} >= {
        pattern.format('net') for pattern in patterns}


def test_the_keys_of_the_metadata() -> None:
    for keys in (complete._NAME_KEYS, complete._SIZE_KEYS):
        words = ', '.join(f'`{key}`' for key in keys[:-1]) + f' or `{keys[-1]}`'
        assert f'| metadata {words} |' in DESCRIPTOR
        if keys is complete._NAME_KEYS:
            assert words in TEXT.replace('\n', ' ')


def test_the_options() -> None:
    rows = re.findall(r'^\| `(--[\w-]+)` \| (\S+) \|', SECTION, re.M)
    verbs: dict[str, argparse.ArgumentParser] = {}
    parsers = [cli._parser()]
    while parsers:
        for action in parsers.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                verbs.update(action.choices)
                parsers += [action.choices[name] for name in ('models',) if name in action.choices]
    actions = [action for action in verbs['check']._actions
               if action.option_strings and action.dest != 'help']
    assert [option for option, _ in rows] == [action.option_strings[0] for action in actions]
    for (_, default), action in zip(rows, actions):
        assert default == f'`{action.default}`' if default.startswith('`') else not action.default


def test_the_keys_of_the_json_object(tmp_path: Path) -> None:
    section = CLI.partition('The keys of the JSON object are ')[2].partition(';')[0]
    report = check_model(save_color_classifier(tmp_path / 'net.onnx'), provider='cpu')
    assert re.findall(r'`(\w+)`', section) == list(summary(report))
    assert list(summary(check_model('no_such_model'))) == list(summary(report))
