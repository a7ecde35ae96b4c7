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

"""`.ci/run` runs everything, whatever fails, and fails if anything does."""

import os
import shutil
import subprocess

import pytest
from shared_data import ROOT

# Every script writes down what it was started with, and fails if it is told to.
SCRIPT = """#!/bin/sh
echo "$(basename "$0") $*" >> calls
[ "$(basename "$0")" != "$FAILS" ] || exit "$CODE"
"""
SCRIPTS = ('setup', 'check', 'demo', 'test', 'test_training')


@pytest.fixture
def run(tmp_path):
    """Return a function that runs it with scripts that do nothing but fail."""
    for name in ('.ci', 'scripts', 'programs'):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / '.ci' / 'run', tmp_path / '.ci' / 'run')
    for name in (*(f'scripts/{name}' for name in (*SCRIPTS, 'model_servers')),
                 'programs/apt-get'):
        (tmp_path / name).write_text(SCRIPT)
        (tmp_path / name).chmod(0o755)

    def run(fails='', code=1):
        done = subprocess.run(
            [str(tmp_path / '.ci' / 'run')], check=False, capture_output=True, text=True,
            timeout=60, env={**os.environ, 'FAILS': fails, 'CODE': str(code),
                             'PATH': f'{tmp_path / "programs"}:{os.environ["PATH"]}'})
        calls = (tmp_path / 'calls').read_text().splitlines()
        run.beside = [call for call in calls if call.startswith('model_servers')
                      or call == 'test_training setup']
        return done.returncode, [call for call in calls if call not in run.beside]

    return run


def test_everything_is_run_once(run):
    code, calls = run()
    assert code == 0
    assert [call.split()[0] for call in calls if call.split()[0] != 'apt-get'] == [
        'setup', 'check', 'demo', 'test', 'test_training', 'test']


@pytest.mark.parametrize('code', [1, 2, 5, 124, 137])
@pytest.mark.parametrize('fails', SCRIPTS[1:])
def test_one_failure_fails_it_and_the_others_still_run(run, fails, code):
    ended, calls = run(fails, code)
    assert ended == 1
    assert calls == run()[1][len(calls):]


def test_a_model_server_is_made_beside_the_environment(run):
    code, calls = run('model_servers')
    assert code == 0 and calls[-1].startswith('test')
    # Only with a Python that Triton runs.
    assert set(run.beside) - {'model_servers triton'} == {'test_training setup'}


def test_nothing_runs_without_an_environment(run):
    code, calls = run('setup', 2)
    assert code != 0 and 'test' not in [call.split()[0] for call in calls]
