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

"""What a tuning record does to settings, and when it does nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_classify import EngineSettings, Pipeline
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines import tuning_record
from ros2_classify.engines.tuning_record import environment, tuned, write
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor_writer import meaning_of
from ros2_classify.testing import save_color_classifier
from tuning_records import record, row


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_color_classifier(tmp_path / 'model.onnx')


@pytest.fixture
def given(tmp_path: Path) -> EngineSettings:
    return EngineSettings(cache_directory=tmp_path / 'cache')


def test_the_best_row_is_used_and_said(
        model: Path, given: EngineSettings, caplog: pytest.LogCaptureFixture) -> None:
    write(record(model, row('cpu, 2 threads', 1.5, threads=2),
                 row('cpu, 3 threads', 1.2, threads=3)), given.cache_directory)
    found = tuned(model, given)
    assert (found.settings.provider, found.settings.threads) == ('cpu', 2)
    caplog.set_level('INFO')
    with Pipeline.load(model, engine=given) as pipeline:
        assert pipeline.tuning is not None and pipeline.tuning.settings.threads == 2
    assert 'cpu, 2 threads, 1.50 times as good as the defaults' in caplog.text
    assert 'scores within 2e-06' in caplog.text


def test_without_a_record_no_model_is_hashed(
        model: Path, given: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_record, 'sha256_of_file', None)
    assert tuned(model, given).settings == given
    write(record(model, row('cpu, 2 threads', 1.5, threads=2)), given.cache_directory)
    assert tuned(model, given.replace(tuning='off')).settings.threads == 0


def test_what_the_user_sets_wins(model: Path, given: EngineSettings) -> None:
    write(record(model, row('cpu, 2 threads', 1.5, threads=2, spinning='inference'),
                 row('cpu, 1 thread', 1.2, threads=1, spinning='inference')),
          given.cache_directory)
    found = tuned(model, given.replace(threads=1)).settings
    assert (found.threads, found.spinning) == (1, 'inference')
    found = tuned(model, given.replace(threads=7))
    assert found.settings.threads == 7 and 'nothing was measured, with threads 7' in found.text


@pytest.mark.parametrize('changes', [
    {'refused': 'scores differ'}, {'gain_low': 1.0}, {'variant': 'int8'}])
def test_what_is_refused_unsure_or_a_variant_is_never_used(
        model: Path, given: EngineSettings, changes: dict[str, Any]) -> None:
    write(record(model, {**row('x', 1.5, threads=2), **changes}), given.cache_directory)
    found = tuned(model, given)
    assert found.settings == given and 'nothing is better' in found.text


def test_several_at_a_time_are_for_several_cameras(model: Path, given: EngineSettings) -> None:
    rows = [row('two', 2.0, parallel=2), row('cpu, 2 threads', 1.5, threads=2)]
    write(record(model, *rows), given.cache_directory)
    assert tuned(model, given).settings.parallel == 1
    assert tuned(model, given.replace(cameras=4)).settings.parallel == 2


def test_another_version_is_a_notice(
        model: Path, given: EngineSettings, caplog: pytest.LogCaptureFixture) -> None:
    old = {**environment(), 'ONNX Runtime': 'onnxruntime 1.2.3'}
    write(record(model, row('x', 1.5, threads=2), environment=old), given.cache_directory)
    found = tuned(model, given)
    assert found.settings == given and found.warning
    assert 'ONNX Runtime was onnxruntime 1.2.3 and is' in found.text
    assert found.text.endswith('models tune colors')
    with Pipeline.load(model, engine=given):
        assert 'is not used: ONNX Runtime was' in caplog.text


@pytest.mark.parametrize('text', [
    '', '[]', '{}', '{"version": 1}', 'null', '\x00',
    '{"version": 1, "target": "latency", "cameras": 1, "made": "", "environment": {}, "model": '
    '{"sha256": "x"}, "rows": [{"settings": {"threads": "rm"}}]}'])
def test_a_damaged_record_is_told_and_not_used(
        model: Path, given: EngineSettings, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write(record(model), given.cache_directory)
    path.write_text(text)
    assert tuned(model, given).settings == given
    assert 'cannot be read and is not used' in caplog.text


def test_what_does_not_start_any_more_leaves_the_defaults(
        model: Path, given: EngineSettings, caplog: pytest.LogCaptureFixture) -> None:
    write(record(model, row('openvino', 1.5, provider='qnn')), given.cache_directory)
    with Pipeline.load(model, engine=given) as pipeline:
        assert pipeline.engine.provider == 'CPUExecutionProvider'
        assert pipeline.tuning is not None and pipeline.tuning.warning
    assert 'cannot be used and the defaults run' in caplog.text


def test_a_variant_in_use_runs_unless_its_file_changed(
        model: Path, given: EngineSettings, tmp_path: Path) -> None:
    (tmp_path / 'kept').mkdir()
    other = save_color_classifier(tmp_path / 'kept' / 'int8.onnx')
    descriptor = other.with_suffix('.yaml')
    descriptor.write_text('name: int8\ntask: classification\nsource: {path: int8.onnx}\n'
                          'labels: [red, green, blue]\n')
    in_use = {'variant': 'int8', 'model': str(other), 'descriptor': str(descriptor),
              'sha256': sha256_of_file(other), 'meaning': meaning_of(resolve(model))}
    write(record(model, {**row('int8', 1.5), 'variant': 'int8'}, in_use=in_use),
          given.cache_directory)
    with Pipeline.load(model, engine=given) as pipeline:
        assert pipeline.file == other
        assert pipeline.descriptor.name == 'model'
        assert len(pipeline(np.full((8, 8, 3), 9, np.uint8)))
    # With another meaning the variant's own would be a confident wrong result.
    changed = tmp_path / 'changed.yaml'
    changed.write_text(f'source: {{path: {model}}}\ninput: caffe\n')
    with Pipeline.load(changed, engine=given) as pipeline:
        assert pipeline.file == model and pipeline.descriptor.input.color == 'bgr'
        assert pipeline.tuning is not None and 'another descriptor' in pipeline.tuning.text
    other.write_bytes(other.read_bytes() + b'\0')
    found = tuned(model, given)
    assert found.warning and found.descriptor is None and 'missing or changed' in found.text


def test_a_record_is_json_that_others_can_read(model: Path, given: EngineSettings) -> None:
    path = write(record(model), given.cache_directory)
    assert json.loads(path.read_text())['version'] == 1
    assert path.parent.name == sha256_of_file(model)
