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


"""`models quantize` with labelled images: what it says, and its exit code."""

import importlib.metadata
import json

import pytest
from ros2_classify import cli

pytest.importorskip('onnx', reason='models are quantized with the package onnx')


@pytest.fixture
def quantize(capsys, sets, tmp_path):
    """Return what runs the verb on the demo cards: its exit code, output and messages."""
    def run(*words):
        code = cli.main([
            'models', 'quantize', 'cards_detector', '--images', str(sets['coco'] / 'images'),
            '--limit', '8', '-o', str(tmp_path / 'small.onnx'), '--force', *map(str, words)])
        return code, *capsys.readouterr()
    return run


def test_without_labels_it_says_what_it_does_not_know(quantize):
    code, out, _ = quantize('--precision', 'fp16')
    assert code == 0
    assert 'how much average precision (AP) it loses is unknown' in out and '--data' in out


def test_with_labels_it_speaks_of_ap_and_judges(quantize, evaluate, sets, tmp_path):
    code, out, err = quantize('--data', sets['coco'], '--max-drop', '0.01')
    assert code == 1 and 'AP falls by 0.0' in err and 'keep the original' in err
    assert 'on 24 labelled images AP 0.' in out and '; AP50 ' in out and 'unknown' not in out
    code, out, _ = quantize('--data', sets['coco'], '--max-drop', '0.5', '--json')
    found = json.loads(out)['labelled']['measures']['map']
    _, out, _ = evaluate('cards_detector', sets['coco'], '--against', tmp_path / 'small.yaml',
                         '--provider', 'cpu', '--json', '-')
    data = json.loads(out)
    assert code == 0
    assert found['before'] == pytest.approx(data['measures']['map']['value'], abs=1e-6)
    assert found['difference'] == data['against']['differences']['map']


def test_errors_come_before_the_work(quantize, tmp_path, monkeypatch):
    assert 'needs labelled images: give --data' in quantize('--max-drop', '0.1')[2]
    code, _, err = quantize('--data', tmp_path / 'gone')
    assert code == 2 and 'does not exist' in err and not (tmp_path / 'small.onnx').exists()
    real = importlib.metadata.entry_points
    monkeypatch.setattr(importlib.metadata, 'entry_points', lambda **which: (
        [] if which.get('group') == 'ros2_classify.comparisons' else real(**which)))
    code, _, err = quantize('--data', tmp_path)
    assert code == 2 and 'needs the package ros2_classify_evaluation' in err
