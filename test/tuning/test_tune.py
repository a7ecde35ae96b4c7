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

"""Candidates, intervals, and a whole run on a tiny model."""

from collections.abc import Callable
import json
from math import comb
from pathlib import Path
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from ros2_classify.cli import main
from ros2_classify.engines.tuning_record import records_of
from ros2_classify.errors import EngineError, OptionsError
from ros2_classify.testing import save_color_classifier
from ros2_classify.tuning.candidates import Candidate, first_wave, second_wave, thread_counts
from ros2_classify.tuning.measure import command, drift, interval, Measured, rounds, WorkerProcess
from ros2_classify.tuning.tune import busy_with, Request, tune


def test_candidates_are_what_is_installed() -> None:
    cpu = first_wave(['CPUExecutionProvider'], 2, target='latency')
    assert [each.name for each in cpu] == ['default', 'cpu, 1 thread', 'cpu, 2 threads']
    both = first_wave(['OpenVINOExecutionProvider', 'CPUExecutionProvider'], 2, target='latency')
    assert 'openvino, 2 threads' in [each.name for each in both]
    gpu = first_wave(['CUDAExecutionProvider', 'CPUExecutionProvider'], 2, target='latency')
    assert 'cuda' in [each.name for each in gpu]
    assert all(each.settings.get('parallel', 1) == 1 for each in (*cpu, *both, *gpu))


def test_several_cameras_add_parallel_runs_and_batches() -> None:
    names = [each.name for each in first_wave(
        ['CPUExecutionProvider'], 4, target='throughput', cameras=3)]
    assert 'cpu, 2 threads, 2 in parallel' in names and 'cpu, 1 thread, 4 in parallel' in names
    assert 'cpu, 4 threads, batches of 3' in names


@pytest.mark.parametrize(('cores', 'counts'), [
    (1, [1]), (2, [1, 2]), (8, [1, 2, 4, 7, 8]), (64, [1, 2, 4, 8, 15, 16])])
def test_thread_counts(cores: int, counts: list[int]) -> None:
    assert thread_counts(cores) == counts


def test_the_second_wave_changes_one_thing_of_the_best() -> None:
    base = Candidate({'provider': 'cpu', 'threads': 2})
    assert [each.name for each in second_wave(base)] == [
        'cpu, 2 threads, spinning inference', 'cpu, 2 threads, spinning never',
        'cpu, 2 threads, optimization extended']


@pytest.mark.parametrize('count', [1, 4, 5, 9, 11, 20])
def test_the_interval_covers_the_median_by_the_binomial(count: int) -> None:
    median, low, high = interval([float(each) for each in range(count)])
    assert median == (count - 1) / 2
    rank = int(low)
    assert high == count - 1 - rank
    # The chance that the true median is below the rank-th value, or above its mirror image.
    if rank:
        outside = 2 * sum(comb(count, each) for each in range(rank + 1)) / 2 ** count
        assert outside <= 0.1


class FakeWorker:
    """Takes a given time for an image, and counts turns in a common list."""

    def __init__(self, latency: Callable[[int], float], log: list[str], name: str) -> None:
        self.latency, self.log, self.name, self.turn = latency, log, name, 0

    def ask(self, do: str, patience: float, **arguments: Any) -> dict[str, Any]:
        self.log.append(self.name)
        self.turn += 1
        value = self.latency(self.turn)
        return {'latency_ms': value, 'images_per_second': 1e3 / value, 'cpu_ms': value,
                'p95_ms': value, 'memory_mib': 1.0}


def test_rounds_alternate_and_gains_are_of_the_same_round() -> None:
    default, other = Candidate(), Candidate({'threads': 2})
    log: list[str] = []
    # The machine becomes twice as slow; the ratio stays.
    found = rounds({
        default: FakeWorker(lambda turn: 10.0 * (1 + turn), log, 'a'),
        other: FakeWorker(lambda turn: 5.0 * (1 + turn), log, 'b'),
    }, default, 6, 0.0, float('inf'))  # type: ignore[dict-item]
    assert log[:4] in (['a', 'b', 'a', 'b'], ['a', 'b', 'b', 'a'])
    assert {tuple(log[each:each + 2]) for each in range(0, 12, 2)} == {('a', 'b')} or (
        ('b', 'a') in {tuple(log[each:each + 2]) for each in range(0, 12, 2)})
    assert found[other].gain('latency_ms') == (2.0, 2.0, 2.0)
    assert found[other].gain('images_per_second')[0] == pytest.approx(2.0)
    assert 'became' in drift(found[default])


def test_a_candidate_that_fails_is_out_but_not_the_default() -> None:
    class Fails(FakeWorker):

        def ask(self, do: str, patience: float, **arguments: Any) -> dict[str, Any]:
            raise EngineError('gone')

    default, other = Candidate(), Candidate({'threads': 2})
    fine, fails = FakeWorker(lambda _: 1.0, [], 'a'), Fails(lambda _: 1.0, [], 'b')
    found = rounds({default: fine, other: fails}, default, 3, 0.0,  # type: ignore[dict-item]
                   float('inf'))
    assert found[other].refused == 'gone' and len(found[default].rounds) == 3
    with pytest.raises(EngineError, match='gone'):
        rounds({default: fails}, default, 3, 0.0, float('inf'))  # type: ignore[dict-item]


def test_a_remote_model_is_not_tuned(tmp_path: Path) -> None:
    path = tmp_path / 'far.yaml'
    path.write_text('source: {remote: "http://127.0.0.1:9/far"}')
    with pytest.raises(OptionsError, match='far runs on http://127.0.0.1:9/far, where nothing'):
        tune(Request(str(path)), None)  # type: ignore[arg-type]


def test_no_drift_without_enough_rounds() -> None:
    measured = Measured(Candidate(), [{'latency_ms': 1.0}] * 4)
    assert not drift(measured)


def test_a_busy_machine_is_told() -> None:
    assert not busy_with(1.0, 2)
    assert 'load 9.0 on 2 cores' in busy_with(9.0, 2)


@pytest.mark.parametrize('changes', [
    {'budget': 1.0}, {'max_drop': -1.0}, {'cameras': 0}, {'target': 'x'}, {'use_variants': True}])
def test_requests_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        Request('m', **changes)


def test_paths_without_a_runtime(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match='has no onnxruntime'):
        command(str(tmp_path), tmp_path)
    with pytest.raises(OptionsError, match='neither a Python interpreter nor a directory'):
        command(str(tmp_path / 'nothing'), tmp_path)
    words, environment = command(sys.executable, tmp_path)
    only = tmp_path / 'packages'
    assert words[0] == sys.executable and environment['PYTHONPATH'] == str(only)
    # Nothing of this installation but the package itself.
    assert 'onnxruntime' not in [each.name for each in only.iterdir()]


def test_a_worker_that_dies_or_hangs_is_an_error(tmp_path: Path) -> None:
    with WorkerProcess(Candidate(), tmp_path) as process:
        with pytest.raises(EngineError, match='no attribute'):
            process.ask('nothing', 30.0)
        process._process.kill()
        with pytest.raises(EngineError, match='ended'):
            process.ask('facts', 30.0)
    with WorkerProcess(Candidate(), tmp_path) as process:
        with pytest.raises(EngineError, match='no response'):
            process.ask('facts', 0.0)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    directory = tmp_path / 'images'
    directory.mkdir()
    for number, color in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255))):
        cv2.imwrite(str(directory / f'{number}.png'), np.full((32, 32, 3), color, np.uint8))
    return directory


def test_a_variant_that_is_asked_for_is_tried_within_the_budget(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ros2_classify.tuning import tune
    from ros2_classify.tuning.data import Data

    seen: list[tuple[list[str], float]] = []
    request = tune.Request('m', budget=100.0, sizes=((160, 160),))
    with tune.Tuning(request, Data((), 'none'), tmp_path, print) as run:
        run.facts = {'': {'providers': ['CPUExecutionProvider']}}
        monkeypatch.setattr(run, 'ranked', lambda runtime=None: [run.reference])
        monkeypatch.setattr(run, 'wave', lambda wanted, count: seen.append(
            ([each.variant for each in wanted], run.left)))
        declared: Any = None  # a size needs no file
        tune._measure(run, declared)
    first, _, variants, _ = seen
    assert 40.0 < first[1] <= 50.0
    assert variants[0] == ['160x160'] and 90.0 < variants[1] <= 100.0


def test_a_whole_run_writes_a_record(
        tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    from ros2_classify.tuning import tune

    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(tune, '_SLICE', 0.01)
    monkeypatch.setattr(tune, '_FIRST', 3)
    monkeypatch.setattr(tune, '_LAST', 3)
    monkeypatch.setattr(tune.hardware, 'usable_cores', lambda: 2)
    model = save_color_classifier(tmp_path / 'colors.onnx')
    assert main(['models', 'tune', str(model), '--data', str(images), '--budget', '900']) == 0
    text = capsys.readouterr().out
    assert 'cpu, 2 threads' in text and 'Pareto' in text and 'openvino was not tried' in text
    (path,) = (tmp_path / 'cache' / 'tuning').rglob('*.json')
    record = json.loads(path.read_text())
    assert records_of(record['model']['sha256'], tmp_path / 'cache')
    default, = (row for row in record['rows'] if row['default'])
    assert default['gain'] == 1.0 and default['rounds'] >= 3
    for row in record['rows']:
        # On a crowded machine one may not start in time.
        assert 'no response' in row['refused'] or row['parity']['agreement'] == 1.0
        assert row['refused'] or row['gain_low'] <= row['gain'] <= row['gain_high']
    assert any(row['pareto'] for row in record['rows'])
