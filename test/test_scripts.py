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

import errno
import os
from pathlib import Path
import platform
import re
import shutil
import subprocess
import sys

import environment
import prerequisites
import pytest
import set_up
from shared_data import ROOT
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
        self.stamps = directory / 'stamps'
        self.keys = {'first': '1', 'second': '1', 'third': '1'}
        self.fail_at = None

    def steps(self):
        return [steps.Step(name, name, key, lambda interrupted, name=name: self.do(
            name, interrupted)) for name, key in self.keys.items()]

    def run(self):
        self.ran.clear()
        steps.run(self.steps(), self.stamps)
        return self.ran

    def do(self, name, interrupted):
        self.ran.append((name, interrupted))
        if self.fail_at == name:
            raise steps.ScriptError('failed')


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path)


def test_steps_run_once(recorder):
    assert recorder.run() == [('first', False), ('second', False), ('third', False)]
    assert recorder.run() == []


def test_a_changed_key_runs_its_step_alone(recorder):
    recorder.run()
    recorder.keys['second'] = '2'
    assert recorder.run() == [('second', False)]


def test_a_step_may_remove_what_others_made(recorder):
    recorder.run()
    recorder.keys['first'] = '2'
    do = recorder.do

    def remove(name, interrupted):
        if name == 'first':
            (recorder.stamps / 'third').unlink()
        do(name, interrupted)

    recorder.do = remove
    assert recorder.run() == [('first', False), ('third', False)]


def test_an_interrupted_step_is_run_again_and_told(recorder):
    recorder.fail_at = 'second'
    with pytest.raises(steps.ScriptError):
        recorder.run()
    recorder.fail_at = None
    assert recorder.run() == [('second', True), ('third', False)]
    assert recorder.run() == []


def test_keys_change_with_contents_names_and_facts(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).write_text('same')
    a, b = tmp_path / 'a', tmp_path / 'b'
    keys = [steps.key_of([a]), steps.key_of([b]), steps.key_of([a], 1), steps.key_of([a, b])]
    a.write_text('other')
    assert len({*keys, steps.key_of([a])}) == 5


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
    needed = {line for line in text.splitlines() if line and not line.startswith('#')}
    assert {'mypy', 'pre-commit', 'pytest<9', 'types-PyYAML'} <= set(set_up.tools())
    assert needed == set(set_up.tools()) | set(set_up.MODULES.values()) - {
        'colcon-common-extensions'}


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
        re.sub(r'\[.*?\]', '', line) for line in set_up.requirements(pins)}
    assert '--hash' not in ''.join(lines)
    assert [line for line in set_up.constraints(distro).splitlines() if line.startswith('numpy')]
    # ml-dtypes of the pins asks for NumPy 2, Ubuntu 24.04 has 1.26.
    assert not [line for line in lines if line.startswith('ml-dtypes')]
    names = {line.partition('==')[0] for line in set_up.constraints(distro).splitlines()}
    for requirement in [*set_up.MODULES.values(), *set_up.tools()]:
        # colcon's bundle is the one thing that the wheels take in parts.
        name = re.match(r'[\w-]+', requirement)[0].lower()
        assert name in names or name == 'colcon-common-extensions', requirement


def test_pip_is_told_the_pins_where_ros_is_sourced(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(set_up, 'call', lambda command, *_, **__: called.append(command))

    def run(command, **_):
        return subprocess.CompletedProcess(
            command, 0, stdout='1.26.4\n' if 'numpy.__version__' in command[2] else 'yaml\n')

    monkeypatch.setattr(set_up.subprocess, 'run', run)
    builder = set_up.Builder(environment.Environment('kilted', True, tmp_path, sys.executable))
    builder._install_packages(False)
    (command,) = called
    assert command[command.index('pyyaml'):] == [
        'pyyaml', *set_up.tools(), '--constraint', str(tmp_path / 'constraints.txt')]
    assert 'numpy==1.26.4' in (tmp_path / 'constraints.txt').read_text().splitlines()


@pytest.mark.parametrize('sourced', [True, False])
def test_the_python_packages_of_a_sourced_ros_are_found(sourced, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(set_up, 'call', lambda command, log, variables, **_: given.append(
        variables))
    monkeypatch.setenv('PYTHONPATH', '/opt/ros/jazzy/lib/python3.12/site-packages')
    monkeypatch.setenv('PIP_TARGET', '/somewhere')
    builder = set_up.Builder(environment.Environment('jazzy', sourced, tmp_path, sys.executable))
    monkeypatch.setattr(builder, '_what_is_missing', lambda: [])
    for step in builder.steps()[1:3]:
        step.run(False)
    wanted = '/opt/ros/jazzy/lib/python3.12/site-packages' if sourced else None
    assert given and all(variables.get('PYTHONPATH') == wanted for variables in given)
    assert not any('PIP_TARGET' in variables for variables in given)


@pytest.mark.parametrize('sourced, name, expected', [
    (False, 'scripts/wheels/jazzy.txt', ['packages']),
    (True, 'scripts/wheels/jazzy.txt', ['packages']),
    (False, 'scripts/wheels/vision_msgs/msg/Detection2DArray.msg', ['interfaces']),
    (True, 'scripts/wheels/vision_msgs/msg/Detection2DArray.msg', []),
    (False, 'packages/ros2_classify_interfaces/srv/Classify.srv', ['interfaces']),
    (False, 'packages/ros2_classify_benchmark/setup.py', ['package'])])
def test_the_steps_of_the_set_up_follow_their_inputs(
        monkeypatch, tmp_path, sourced, name, expected):
    changed = ROOT / name
    assert changed.is_file()
    builder = set_up.Builder(environment.Environment('jazzy', sourced, tmp_path, sys.executable))
    before = builder.steps()
    read = Path.read_bytes
    monkeypatch.setattr(Path, 'read_bytes', lambda path: read(path) + b'x' * (path == changed))
    assert [new.name for new, old in zip(builder.steps(), before)
            if new.key != old.key] == expected


def test_another_version_of_ros_builds_the_interfaces_again(monkeypatch, tmp_path):
    pinned = tmp_path / 'jazzy.txt'
    pinned.write_text('mypy==1\nros-rclpy==1\n')
    monkeypatch.setattr(set_up, 'pins', lambda distro: pinned)
    builder = set_up.Builder(environment.Environment('jazzy', False, tmp_path, sys.executable))
    before = builder.steps()
    pinned.write_text('mypy==1\nros-rclpy==2\n')
    assert [new.name for new, old in zip(builder.steps(), before) if new.key != old.key] == [
        'packages', 'interfaces']


def test_a_new_virtual_environment_makes_all_of_it_again(monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(set_up, 'call', lambda command, *_, **__: called.append(command[2]))
    builder = set_up.Builder(environment.Environment('jazzy', False, tmp_path, sys.executable))
    stamps = tmp_path / '.setup'
    stamps.mkdir()
    for step in builder.steps():
        (stamps / step.name).write_text(step.key)
    (stamps / 'packages').write_text(steps.RUNNING)
    (tmp_path / 'lib').mkdir()
    (tmp_path / 'lib' / 'half').touch()
    builder._install_packages(True)
    assert called == ['venv', 'pip'] and not (tmp_path / 'lib').exists()
    assert {path.name for path in stamps.iterdir()} == {'venv', 'packages'}


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
    assert str(caught.value).splitlines()[0] == 'error: this machine lacks CMake.'
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
    for name in ('ament_cmake', 'rosidl_default_generators', 'action_msgs', 'sensor_msgs'):
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


def test_a_python_that_differs_from_the_environments_is_told(tmp_path):
    (tmp_path / 'pyvenv.cfg').write_text('home = /usr/bin\nversion = 3.8.1\n')
    made = type('Made', (), {'venv': tmp_path})()
    named = {'ROS2_CLASSIFY_PYTHON': '/opt/python'}
    assert '(/opt/python), but the environment in' in environment.differs(made, named)
    assert 'has 3.8, which is used; remove that directory' in environment.differs(made, named)
    assert environment.differs(made, {}) == ''
    running = '.'.join(map(str, sys.version_info[:3]))
    (tmp_path / 'pyvenv.cfg').write_text(f'version = {running}\n')
    assert environment.differs(made, named) == ''


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


# usage

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


def test_a_checkout_that_cannot_be_written_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setattr(environment.signal, 'signal', lambda *_: None)

    def fail(number):
        def body():
            raise OSError(number, os.strerror(number), '/opt/checkout/.venv')
        return body

    for number in (errno.EACCES, errno.EROFS, errno.ENOSPC):
        assert environment.main(fail(number)) == 2
        error = capsys.readouterr().err
        assert error.startswith('error: /opt/checkout/.venv cannot be written: ')
        assert 'Traceback' not in error and error.count('\n') == 1
    with pytest.raises(OSError, match='/opt/checkout'):
        environment.main(fail(errno.EIO))


def test_a_checkout_on_a_mount_that_is_read_only(tmp_path):
    if not shutil.which('unshare') or subprocess.run(
            ['unshare', '-m', 'true'], capture_output=True, check=False).returncode:
        pytest.skip('no right to mount')
    copy = tmp_path / 'checkout'
    shutil.copytree(environment.ROOT / 'scripts', copy / 'scripts')
    done = subprocess.run(
        ['unshare', '-m', 'sh', '-c', f'mount --bind {copy} {copy} && '
         f'mount -o remount,ro,bind {copy} && exec {copy}/scripts/setup'],
        env={'PATH': os.environ['PATH'], 'HOME': str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=100)
    assert done.returncode == 2, done.stderr
    assert 'cannot be written' in done.stderr and 'Traceback' not in done.stderr


def test_a_demo_that_is_told_to_end_leaves_nothing_behind(tmp_path):
    """As a supervisor ends it: it alone gets SIGTERM, and the page's port must be free again."""
    process = subprocess.Popen(
        [str(ROOT / 'scripts/demo'), '--watch', '--no-browser'], stdout=subprocess.PIPE, text=True)
    assert 'token=' in process.stdout.readline()
    process.terminate()
    # The page's process has the same pipe: it is closed when both have ended.
    assert process.communicate(timeout=30) and process.returncode == 143
