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


"""The benchmark with real processes: short, and without a look at the times."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest
from ros2_classify_benchmark import processes
from ros2_classify_benchmark.cameras import many_cameras, table as cameras_table
from ros2_classify_benchmark.measure import measure, report
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.report import table
from ros2_classify_benchmark.session import Session
from ros2_classify_benchmark.settings import Plan, Settings
from ros2_classify_benchmark.systems import other, server

PLAN = Plan(repetitions=1, paced=0.7, saturated=0.5, warm=0.1, search=False)
DISTRIBUTION = {'count', 'p50', 'p95', 'p99', 'max', 'mean'}


@pytest.fixture(scope='module')
def found(classifier, tmp_path_factory):
    """Measure a tiny model with a plain node beside it, once for all tests."""
    settings = Settings(model=str(classifier), width=64, height=48)
    said = []
    measured = measure(settings, PLAN, tmp_path_factory.mktemp('bench'), said.append, 'plain')
    assert 'round 1 of 1' in said
    return measured


def test_every_result_belongs_to_a_frame(found):
    for runs in (found.rounds[0].paced, found.rounds[0].saturated):
        assert set(runs) == {'node', 'other'}
        for run in runs.values():
            assert run.matched.has_result.sum() > 0
            assert (run.matched.latencies > 0).all()
            assert run.duplicates == run.out_of_order == 0


def test_the_node_reports_received_and_processed_frames(found):
    run = found.rounds[0].paced['node']
    assert 0 < run.processed <= run.received <= run.matched.sent.size
    assert run.processed == run.matched.has_result.sum()
    # A result may arrive before the node has come to note that it is sent: no more is certain.
    assert run.in_node.min() > 0
    assert found.rounds[0].paced['other'].processed is None


def test_the_report_can_be_written_as_json_and_says_what_was_measured(found):
    result = json.loads(json.dumps(report(found), allow_nan=False))
    assert result['latency_ratio'] > 0 and result['throughput_ratio'] > 0
    assert result['model'] == 'colors' and result['task'] == 'classification'
    assert len(result['model_sha256']) == 64
    assert result['input']['width'] == 64 and len(result['input']['sha256']) == 64
    assert result['bare']['paced_ms']['count'] > 0 and result['bare']['pss_mib'] > 0
    inference = result['bare']['inference_ms']
    assert set(inference) == DISTRIBUTION
    assert inference['count'] == result['bare']['paced_ms']['count']
    assert 0 < inference['p50'] < result['bare']['paced_ms']['p50']
    assert set(result['transport']['stamp_to_result_ms']) == DISTRIBUTION
    node = result['nodes']['node']
    assert node['active_s'] > 0 and node['first_result_s'] > 0
    for runs in ('paced', 'saturated'):
        assert set(node[runs]['stamp_to_result_ms']) == DISTRIBUTION
        assert set(node[runs]['in_node_ms']) == DISTRIBUTION
        assert {'sent', 'received', 'processed', 'results', 'dropped_by_policy', 'jitter_ms',
                'lost_percent', 'cpu_percent', 'pss_mib', 'rate_out_per_s'} <= set(node[runs])
    assert set(result['against']) == {
        'stamp_to_result', 'throughput', 'latency_under_overload', 'cpu', 'memory', 'start'}
    assert len(result['rounds']) == 1


def test_the_tables_name_both_nodes(found):
    text = table(report(found))
    for words in ('node, paced: in the node', 'other, saturated: stamp to result',
                  'transport alone (echo)', 'our node over the other', 'inference alone'):
        assert words in text


def test_a_plot_is_drawn(found, tmp_path):
    pytest.importorskip('matplotlib')
    from ros2_classify_benchmark.plot import plot

    plot(found, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def test_camera_and_server_in_one_process(classifier, tmp_path):
    settings = Settings(model=str(classifier), width=64, height=48)
    with Session(settings, tmp_path) as session:
        node = session.start_composed(server(settings, session.task, tmp_path, 'composed'))
        run = session.run(node, 30.0, 0.5, 0.1)
    assert run.matched.has_result.sum() > 0
    assert run.in_node_ms > 0 and run.latency_ms > 0


def test_several_cameras_on_one_server_and_on_several(classifier, tmp_path):
    settings = Settings(model=str(classifier), width=64, height=48, cameras=2, overload=0.1)
    result = many_cameras(settings, PLAN, tmp_path, lambda _: None)
    assert result['throughput_ratio'] > 0 and result['memory_ratio'] > 0
    assert 0 < result['fairness'] <= 1
    assert set(result['rounds'][0]['paced']) == {'one', 'servers'}
    for runs in ('paced', 'saturated'):
        one = result['nodes']['one'][runs]
        assert one['results'] > 0 and one['stamp_to_result_ms']['p99'] > 0
        assert one['in_node_ms']['count'] > 0
    # Each camera has as many results, unless some are lost.
    assert result['nodes']['one']['paced']['offered_per_s'] == 30.0
    text = cameras_table(result)
    assert 'one server' in text and 'paced, 30/s each, stamp to result (ms): p50 / p95' in text


@pytest.mark.parametrize('composed', [False, True])
def test_a_camera_in_the_middle_of_a_long_run_ends_by_itself_when_it_is_left(
        classifier, tmp_path, monkeypatch, composed):
    asked, send = [], os.killpg

    def kill(pid, number):
        asked.append((pid, number))
        send(pid, number)

    monkeypatch.setattr(processes.os, 'killpg', kill)
    settings = Settings(model=str(classifier), width=64, height=48)
    with Session(settings, tmp_path) as session:
        subject = server(settings, session.task, tmp_path, 'node')
        if composed:
            session.start_composed(subject)
        else:
            session.open_source([subject])
        session.source.tell('run', topics=list(subject.images), rate=30.0,
                            seconds=600.0, out=str(tmp_path / 'sent.npy'))
        pid = session.source.pid
    # It was not asked by a signal: one that it has to be killed by leaves shared memory behind.
    assert (pid, signal.SIGINT) not in asked


def test_a_node_that_cannot_start_is_said(classifier, tmp_path):
    settings = Settings(model=str(classifier), width=64, height=48)
    command = "{python} -c 'import sys; print(\"no such luck\"); sys.exit(3)' {image} {result}"
    with Session(settings, tmp_path) as session:
        subject = other(settings, session.facts, command)
        session.open_source([subject])
        with pytest.raises(BenchError, match='(?s)ended with exit code 3.*no such luck'):
            session.start(subject)


def test_a_model_that_is_not_there_is_said(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_classify', 'bench', '--quick', '--model', 'no_such_model'],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[4],
        timeout=120)
    assert done.returncode == 1
    assert "there is no model named 'no_such_model'" in done.stderr
    assert 'File "' not in done.stderr
    assert done.stdout == ''


def test_a_parameter_that_the_server_does_not_have_is_said(classifier, tmp_path):
    settings = Settings(model=str(classifier), width=64, height=48, parameters=('max_bach:=4',))
    with pytest.raises(BenchError, match="no parameter 'max_bach'; did you mean 'max_batch'"):
        with Session(settings, tmp_path):
            pass
