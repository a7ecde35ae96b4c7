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


"""The processes of a run: replies, ends and failures."""

from collections import deque
import os
import signal
import subprocess
import sys

import pytest
from ros2_classify_benchmark import processes
from ros2_classify_benchmark.processes import BenchError, environment, Helper, NodeProcess

HELPER = """
import json, sys
print(json.dumps({'ready': 'helper', **json.loads(sys.argv[1])}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request['do'] == 'die':
        sys.exit('all is lost')
    reply = {'error': 'no'} if request['do'] == 'fail' else {'result': request}
    print(json.dumps(reply), flush=True)
"""


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Start a helper that replies with the request."""
    (tmp_path / 'some_helper.py').write_text(HELPER)
    env = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    helper = Helper('some_helper', {'a': 1}, env, tmp_path / 'helper.log')
    yield helper
    helper.close()


def node(tmp_path, code):
    return NodeProcess([sys.executable, '-c', code], os.environ, tmp_path / 'node.log')


def test_a_helper_results(helper):
    assert helper.ready() == {'ready': 'helper', 'a': 1}
    assert helper.ask('run', rate=30) == {'do': 'run', 'rate': 30}


def test_a_helper_that_fails_is_said(helper):
    helper.ready()
    with pytest.raises(BenchError, match='some_helper failed: no'):
        helper.ask('fail')


def test_a_helper_that_ends_is_said_with_its_last_words(helper):
    helper.ready()
    with pytest.raises(BenchError, match='(?s)some_helper ended.*all is lost'):
        helper.ask('die')


def test_a_node_is_waited_for_and_ends_when_asked(tmp_path):
    code = "import time; print('active: yes', flush=True); time.sleep(600)"
    with node(tmp_path, code) as process:
        assert 0.0 < process.wait_for('active: ') < 60.0
        process.check()
    assert 'active: yes' in process.output
    with pytest.raises(BenchError, match='ended with exit code'):
        process.check()


def test_a_node_that_ignores_ctrl_c_is_ended_all_the_same(tmp_path):
    code = ('import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); '
            "print('ready', os.getpid(), flush=True); time.sleep(600)")
    with node(tmp_path, code) as process:
        process.wait_for('ready')
        # What close() comes to after its patience.
        os.kill(process.pid, signal.SIGTERM)
    assert 'ready' in process.output


def test_a_node_that_dies_is_said_with_its_last_words(tmp_path):
    with node(tmp_path, "raise SystemExit('no model')") as process:
        with pytest.raises(BenchError, match='(?s)exit code 1.*no model'):
            process.wait_for('active: ')


def test_a_node_that_keeps_silent_is_said(tmp_path):
    with node(tmp_path, 'import time; time.sleep(600)') as process:
        with pytest.raises(BenchError, match="did not say 'active: ' within 0 s"):
            process.wait_for('active: ', 0.3)


def test_a_program_that_is_missing_is_said(tmp_path):
    with pytest.raises(BenchError, match='no_such_program cannot be started: No such file'):
        NodeProcess(['no_such_program'], os.environ, tmp_path / 'node.log')


def test_a_run_has_a_domain_of_its_own():
    env = environment()
    assert 1 <= int(env['ROS_DOMAIN_ID']) <= 101
    assert env['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'


def test_modules_are_compiled_once_as_where_they_are_installed(monkeypatch):
    monkeypatch.setenv('PYTHONDONTWRITEBYTECODE', '1')
    assert 'PYTHONDONTWRITEBYTECODE' not in environment()


def test_runs_at_the_same_time_have_different_domains(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, '_LOCKS', tmp_path / 'locks')
    monkeypatch.setattr(processes, '_DOMAINS', range(61, 64))
    monkeypatch.setattr(processes, '_taken', deque(maxlen=3))
    one, other = environment()['ROS_DOMAIN_ID'], environment()['ROS_DOMAIN_ID']
    code = ('import sys; from pathlib import Path; from ros2_classify_benchmark import processes; '
            'processes._LOCKS = Path(sys.argv[1]); processes._DOMAINS = range(61, 64); '
            "print(processes.environment()['ROS_DOMAIN_ID'])")
    third = subprocess.run(
        [sys.executable, '-c', code, tmp_path / 'locks'], capture_output=True, text=True,
        check=True).stdout.strip()
    assert {one, other, third} == {'61', '62', '63'}
    # With none left, any will do.
    environment()
    assert environment()['ROS_DOMAIN_ID'] in {'61', '62', '63'}
