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

"""The examples of CONTRIBUTING.md: a model is one file, a decoder one file and one row."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import re
import shlex
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from ros2_classify.decoders import DECODERS
from ros2_classify.testing import save_constant_model

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
Run = Callable[..., 'subprocess.CompletedProcess[str]']


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one."""
    return PAGE.partition(f'\n## {heading}\n')[2].partition('\n## ')[0]


def blocks(text: str, language: str) -> list[str]:
    """Return the samples of a language."""
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


MODEL, = blocks(section('Adding a model'), 'yaml')
COMMAND, = blocks(section('Adding a model'), 'bash')
DECODER, ROW = blocks(section('Adding a decoder'), 'python')


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a source tree as somebody who contributes has it, with an image and the model."""
    tree = tmp_path / 'tree'
    shutil.copytree(ROOT / 'ros2_classify', tree / 'ros2_classify',
                    ignore=shutil.ignore_patterns('__pycache__', 'ros'))
    shutil.copy(ROOT / 'package.xml', tree)
    (tree / 'models').mkdir()
    (tree / 'models/coins.yaml').write_text(MODEL, encoding='utf-8')
    cv2.imwrite(str(tree / 'photo.jpg'), np.full((96, 128, 3), 100, np.uint8))
    return tree


@pytest.fixture
def run(tree: Path) -> Run:
    """Return a function that runs a command line in the tree, with the tree's own package."""
    others = os.environ.get('PYTHONPATH', '')
    environ = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, (str(tree), others))),
               'XDG_DATA_HOME': str(tree / 'data')}
    environ.pop('ROS2_CLASSIFY_MODEL_PATH', None)

    def run_in_tree(words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *words], cwd=tree, env=environ, check=False,
                              capture_output=True, text=True, timeout=120)
    return run_in_tree


def boxes_of(run: Run) -> list[tuple[str, list[float]]]:
    """Run the page's own command line; return labels and boxes."""
    python, *words = shlex.split(COMMAND)
    assert python == 'python'
    done = run([*words, '--json'])
    assert done.returncode == 0, done.stderr
    assert 'inferred' not in done.stderr
    return [(row['label'], row['box']) for row in json.loads(done.stdout)['results']]


def test_a_model_is_one_file(tree: Path, run: Run) -> None:
    rows = np.array([[[8, 12, 24, 36, 0.9, 1]]], np.float32)
    save_constant_model(
        tree / 'models/coins.onnx', {'rows': rows}, input_shape=(1, 3, 48, 64))
    # The image is twice as large as the model's.
    assert boxes_of(run) == [('two cents', [16, 24, 48, 72])]
    assert run(['-m', 'ros2_classify', 'models', 'check', 'coins']).returncode == 0
    listed = run(['-m', 'ros2_classify', 'models', 'list']).stdout
    row = next(line for line in listed.splitlines() if line.startswith('coins '))
    assert re.match(r'coins +detection +\S+ \S+ +Apache-2.0 ', row)


def test_a_decoder_is_one_file_and_one_row(tree: Path, run: Run) -> None:
    circles = np.array([[[20, 24, 10, 0.9, 2], [21, 24, 10, 0.8, 2], [40, 24, 5, 0.1, 0]]],
                       np.float32)
    save_constant_model(
        tree / 'models/coins.onnx', {'circles': circles}, input_shape=(1, 3, 48, 64))
    model = MODEL.replace('{decoder: end_to_end}', '{decoder: circles}')
    assert model != MODEL
    (tree / 'models/coins.yaml').write_text(model, encoding='utf-8')
    refused = run(['-m', 'ros2_classify', 'models', 'check', 'coins'])
    assert refused.returncode == 1
    assert 'circles' in refused.stdout + refused.stderr

    (tree / 'ros2_classify/decoders/circles.py').write_text(DECODER, encoding='utf-8')
    table = tree / 'ros2_classify/decoders/__init__.py'
    imported, row = ROW.splitlines(keepends=True)
    text = table.read_text(encoding='utf-8')
    first, last = 'from ros2_classify.decoders.classification', "    'segmentation'"
    assert text.count(first) == text.count(last) == 1
    table.write_text(text.replace(first, imported + first).replace(last, row + last),
                     encoding='utf-8')
    # Of the two on one coin the better one; nothing below the threshold.
    assert boxes_of(run) == [('five cents', [20, 28, 60, 68])]
    assert run(['-m', 'ros2_classify', 'models', 'check', 'coins']).returncode == 0


def test_the_example_is_in_good_style(tree: Path) -> None:
    """The example is held to the rules that the page tells."""
    header = Path(__file__).read_text(encoding='utf-8').partition('"""')[0]
    path = tree / 'ros2_classify/decoders/circles.py'
    path.write_text(header + DECODER, encoding='utf-8')
    done = subprocess.run(
        [sys.executable, '-m', 'flake8', '--config', str(ROOT / '.flake8'), str(path)],
        capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout + done.stderr == ''


def test_the_example_is_none_of_ours() -> None:
    assert 'circles' not in DECODERS
