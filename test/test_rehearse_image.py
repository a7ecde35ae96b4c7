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

"""The tools that read Dockerfiles and go through their steps."""

from pathlib import Path
import shlex
import subprocess

import dockerfile
import environment
import pytest
import rehearse_image
from shared_data import ROOT

TEXT = r"""
# A comment.
ARG BASE=debian
FROM ${BASE} AS build
RUN one \
  # in between
  && two "a b"

COPY --chown=robot --from=other . .
ENV A=1 \
  B="2 3"
SHELL ["/bin/bash", "-c"]
FROM build
CMD ["python", "-m", "x"]
"""


def test_instructions_and_stages():
    first, last = dockerfile.stages(TEXT)
    assert (first.name, first.base, last.name, last.base) == ('build', '${BASE}', '1', 'build')
    run, copy, env, shell = first.steps
    assert run.value.split() == ['one', '&&', 'two', '"a', 'b"']
    assert copy.flags == {'chown': 'robot', 'from': 'other'} and copy.value == '. .'
    assert shlex.split(env.value) == ['A=1', 'B=2 3']
    assert shell.words() == ['/bin/bash', '-c']
    assert last.steps[0].words() == ['python', '-m', 'x']


@pytest.mark.parametrize('text, reason', [
    ('RUN x', 'before the first FROM'), ('FROM a\nrun x', 'not an instruction'),
    ('FROM a\nRUN x \\', 'not complete')])
def test_what_is_no_dockerfile(text, reason):
    with pytest.raises(ValueError, match=reason):
        dockerfile.stages(text)


def test_a_value_that_is_no_list():
    with pytest.raises(ValueError, match='not a list of words'):
        dockerfile.Instruction('CMD', {}, '{"a": 1}').words()


@pytest.fixture
def root(tmp_path):
    """Make the little of a root file system that is read."""
    (tmp_path / 'base/etc').mkdir(parents=True)
    (tmp_path / 'base/etc/passwd').write_text(
        'root:x:0:0:root:/root:/bin/sh\nrobot:x:1000:1001::/home/robot:/bin/sh\n')
    return tmp_path / 'base'


def test_users_are_found_by_name_and_by_number(root):
    for user in ('robot', '1000'):
        assert rehearse_image.account(root, user) == ('1000', '1001', '/home/robot')
    with pytest.raises(environment.ScriptError, match='no user nobody'):
        rehearse_image.account(root, 'nobody')


def test_a_step_sees_its_own_variables_only(root):
    state = rehearse_image.State(root, user='robot', directory='/opt/a b')
    state.variables['A'] = "it's"
    words = shlex.split(rehearse_image.command(state, ['/bin/sh', '-c', 'x && y'], {'L': 'lent'}))
    assert words[:4] == ['chroot', '--userspec=1000:1001', '--groups=1001', str(root)]
    assert words[4:6] == ['/usr/bin/env', '-i']
    assert words[6:-3] == ['L=lent', 'HOME=/home/robot', f'PATH={rehearse_image.PATH}', "A=it's"]
    assert words[-1] == "cd '/opt/a b' && exec /bin/sh -c 'x && y'"


class Calls:
    """Stands for the programs that are started: it writes them down."""

    def __init__(self):
        self.found = []

    def __call__(self, words, variables=None):
        self.found.append((words, variables or {}))
        if words[0] == 'cp':
            subprocess.run(words, check=True)


def test_the_steps_of_the_real_file_are_gone_through(root, tmp_path, monkeypatch):
    calls = Calls()
    monkeypatch.setattr(rehearse_image, 'call', calls)
    monkeypatch.setattr(rehearse_image, 'source_files', lambda: [ROOT / 'setup.py'])
    (root / 'opt/ros2_classify').mkdir(parents=True)
    stages = dockerfile.stages((ROOT / 'docker/Dockerfile.wheels').read_text())
    (tmp_path / 'work').mkdir()
    rehearse_image.Rehearsal(root, tmp_path / 'work').run(stages)
    entered = [(words[-1], variables) for words, variables in calls.found
               if words[0] == 'unshare']
    runs = [step for stage in stages for step in stage.steps if step.name == 'RUN']
    # One for each RUN, and the start at the end.
    assert len(entered) == len(runs) + 1
    setup = next(script for script, _ in entered if 'scripts/setup' in script)
    assert '--userspec=1000:1001' in setup and 'cd /opt/ros2_classify' in setup
    assert entered[-1][1]['HEALTH'].endswith("python -m ros2_classify health'")
    assert entered[-1][1]['MAIN'].startswith('exec chroot')
    assert (tmp_path / 'work/1/opt/ros2_classify/setup.py').is_file()


def test_an_unknown_instruction_is_told(root, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearse_image, 'call', Calls())
    with pytest.raises(environment.ScriptError, match='VOLUME is not understood'):
        rehearse_image.Rehearsal(root, tmp_path / 'work').run(
            dockerfile.stages('FROM a\nVOLUME /x'))


def test_a_directory_that_is_in_use_is_told(root, tmp_path):
    (tmp_path / 'work/0').mkdir(parents=True)
    with pytest.raises(environment.ScriptError, match='exists; name another directory'):
        rehearse_image.Rehearsal(root, tmp_path / 'work').run(dockerfile.stages('FROM a'))


def test_a_failing_program_ends_it():
    with pytest.raises(environment.ScriptError, match='exit code 3'):
        rehearse_image.call(['sh', '-c', 'exit 3'])
    rehearse_image.call(['test', '-d', str(Path('/'))])
