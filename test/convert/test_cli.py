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

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ros2_classify.cli import main


def test_a_converted_file_comes_with_its_report(
    frozen: Path, converter, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / 'robot.onnx'
    assert main(['models', 'convert', str(frozen), '--output', str(target)]) == 0
    shown = capsys.readouterr()
    assert target.is_file()
    report = json.loads((tmp_path / 'robot.report.json').read_text())
    assert f'sha256: {report["model_sha256"]}' in shown.out
    assert 'path: robot.onnx' in shown.out
    assert 'converted by tf2onnx 1.17.0 with TensorFlow 2.21.0 in 3 s and 100 MB' in shown.out
    assert 'largest differences from TensorFlow: softmax 0' in shown.out
    # Each step is shown once.
    assert len(shown.err.splitlines()) == len(set(shown.err.splitlines())) > 0
    assert main(['models', 'convert', str(frozen)]) == 0
    assert 'from the cache, converted by tf2onnx' in capsys.readouterr().out


def test_the_report_as_json(
    frozen: Path, converter, cache: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    for from_cache in (False, True):
        assert main(['models', 'convert', str(frozen), '--json']) == 0
        result = json.loads(capsys.readouterr().out)
        assert result['from_cache'] is from_cache
        assert Path(result['model']).is_file()
        assert result['outputs'] == ['softmax:0']


def test_tensors_can_be_named(frozen: Path, converter, cache: Path) -> None:
    assert main(['models', 'convert', str(frozen), '--output-tensors', 'logits, softmax']) == 0
    request, = converter.requests()
    assert request['outputs'] == ['logits:0', 'softmax:0']


@pytest.mark.parametrize(('words', 'reason'), [
    (['--output-tensors', 'a,,b'], 'has an empty name'),
    (['--tolerance', '0'], 'must be above 0'),
    (['--timeout', 'long'], 'is not a number'),
])
def test_wrong_arguments_are_rejected(
    frozen: Path, words: list[str], reason: str, capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(['models', 'convert', str(frozen), *words])
    assert caught.value.code == 2
    assert reason in capsys.readouterr().err


def test_missing_tensorflow_is_reported(
    frozen: Path, no_tensorflow, cache: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['models', 'convert', str(frozen)]) == 1
    assert 'lacks tensorflow or tf2onnx' in capsys.readouterr().err


def test_an_onnx_file_is_rejected(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / 'a.onnx').write_text('x')
    assert main(['models', 'convert', str(tmp_path / 'a.onnx')]) == 1
    assert 'the format is onnx' in capsys.readouterr().err
