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

"""`.ci/run`: what fails it, and when tests are run once more."""

import os
import shutil
import subprocess

import pytest
from shared_data import ROOT

# The suite ends with $FIRST, what is run once more with $AGAIN.
SUITE = """\
echo "$*" >> calls
case $* in
  '') exit "$FIRST" ;;
  *) exit "$AGAIN" ;;
esac
"""
AGAIN = '--last-failed --last-failed-no-failures none'


@pytest.fixture
def run(tmp_path):
    """Return a function that runs it with scripts that do nothing but the suite's exit code."""
    (tmp_path / '.ci').mkdir()
    shutil.copy(ROOT / '.ci' / 'run', tmp_path / '.ci' / 'run')
    for directory, names in (('scripts', ('setup', 'check', 'demo', 'reliability')),
                          ('programs', ('apt-get',)), ('scripts', ('test',))):
        (tmp_path / directory).mkdir(exist_ok=True)
        for name in names:
            path = tmp_path / directory / name
            path.write_text('#!/bin/sh\n' + (SUITE if name == 'test' else ''))
            path.chmod(0o755)

    def run(first, again=0):
        done = subprocess.run(
            [str(tmp_path / '.ci' / 'run')], check=False, capture_output=True, text=True,
            timeout=60, env={**os.environ, 'FIRST': str(first), 'AGAIN': str(again),
                             'PATH': f'{tmp_path / "programs"}:{os.environ["PATH"]}'})
        return done.returncode, (tmp_path / 'calls').read_text().splitlines()

    return run


def test_a_suite_that_passes_is_run_once(run):
    assert run(first=0) == (0, [''])


@pytest.mark.parametrize('again', [0, 1, 5])
def test_the_second_run_decides_about_tests_that_failed(run, again):
    assert run(first=1, again=again) == (int(again != 0), ['', AGAIN])


@pytest.mark.parametrize('code', [2, 3, 4, 5, 124, 137, 139])
def test_a_suite_that_did_not_come_to_its_end_is_a_failure(run, code):
    """Also where some test had failed before: the others after the hanging one never ran."""
    assert run(first=code, again=0) == (1, [''])
