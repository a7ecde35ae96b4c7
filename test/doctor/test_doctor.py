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

"""The doctor: what it finds and advises on machines where one thing at a time is wrong."""

import base64
import dataclasses
import errno
import hashlib
import json
import os
from pathlib import Path
import subprocess
import venv

from fake_machine import FakeMachine
import pytest
from ros2_classify import cli
from ros2_classify.doctor import CHECKS, examine, Issue, ThisMachine
from ros2_classify.doctor.machine import Disk, Installed, Ran
from ros2_classify.doctor.model_checks import (
    check_cache, check_catalogue, check_conversion, check_model)
from ros2_classify.doctor.python_checks import check_providers, check_python, IDENTITY
from ros2_classify.doctor.ros_checks import check_large_images, check_middleware, check_ros
from ros2_classify.errors import EngineError
from ros2_classify.ros.node.dds_profile import NEW_VARIABLE, OLD_VARIABLE
import shared_data

HOME = {'HOME': '/home/robot'}
JAZZY = {**HOME, 'ROS_DISTRO': 'jazzy', 'AMENT_PREFIX_PATH': '/opt/ros/jazzy'}
NO_MODULE = Ran(1, '', """\
Traceback (most recent call last):
ModuleNotFoundError: No module named 'rclpy'
""")
NUMPY_CLASH = Ran(0, '', """\
A module that was compiled using NumPy 1.x cannot be run in
NumPy 2.2.6 as it may crash.
AttributeError: _ARRAY_API not found
""")
CPU = Ran(0, json.dumps({'version': '1.32.0', 'providers': ['CPUExecutionProvider']}))
BOTH = Ran(0, json.dumps({'version': '1.31.1', 'providers': [
    'CUDAExecutionProvider', 'CPUExecutionProvider']}))
ON_CPU = Ran(0, '\n{"runs": "CPUExecutionProvider"}\n')


def bad(findings):
    """Return the findings that are no ``ok``; each must say what to do."""
    return [finding for finding in findings if finding.level != 'ok']


def only(findings):
    """Return the one finding that is no ``ok``."""
    found = bad(findings)
    assert len(found) == 1, found
    return found[0]


def machine(**changes):
    return FakeMachine(**{'env': JAZZY, **changes})


# ROS 2

def test_a_sourced_ros_is_well():
    findings = list(check_ros(machine(installed={
        'rclpy': (Installed('rclpy', '7.1.6', '/opt'),)})))
    assert bad(findings) == []
    assert 'Jazzy, rclpy 7.1.6' in findings[0].text


@pytest.mark.parametrize('env, level, cure', [
    (HOME, 'warning', 'source /opt/ros/jazzy/setup.bash'), (JAZZY, 'error', 'conda')])
def test_no_rclpy(env, level, cure):
    finding = only(check_ros(machine(env=env, ran={'import json, rclpy': NO_MODULE})))
    assert finding.level == level
    assert "No module named 'rclpy'" in finding.text
    assert cure in finding.cure


@pytest.mark.parametrize('part, level, cure', [
    ('vision_msgs', 'error', 'ros-jazzy-vision-msgs'),
    ('ros2_classify_interfaces', 'warning', '--base-paths src src/ros2_classify/packages')])
def test_messages_are_missing(part, level, cure):
    finding = only(check_ros(machine(ran={part: NO_MODULE})))
    assert (finding.level, cure in finding.cure) == (level, True)


@pytest.mark.parametrize('changes, level, text', [
    ({'ROS_DISTRO': 'lyrical', 'AMENT_PREFIX_PATH': '/opt/ros/lyrical'}, 'warning', 'not tested'),
    ({'ROS_DISTRO': 'foxy', 'AMENT_PREFIX_PATH': '/opt/ros/foxy'}, 'warning', "'foxy'"),
    ({'AMENT_PREFIX_PATH': '/ws:/opt/ros/humble:/opt/ros/jazzy'}, 'error', 'jazzy and humble'),
    ({'ROS_DOMAIN_ID': 'robot'}, 'error', "'robot'"),
    ({'ROS_DOMAIN_ID': '233'}, 'error', "'233'"),
    ({'ROS_DOMAIN_ID': '150'}, 'warning', '150'),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}, 'warning', 'no node finds'),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'ON'}, 'error', "'ON'"),
    ({'HOME': ''}, 'error', 'neither HOME nor ROS_LOG_DIR'),
])
def test_settings_of_ros(changes, level, text):
    finding = only(check_ros(machine(env={**JAZZY, **changes})))
    assert finding.level == level
    assert text in finding.text


def test_a_log_that_cannot_be_written():
    finding = only(check_ros(machine(write_error=OSError(errno.EROFS, os.strerror(errno.EROFS)))))
    assert 'Read-only file system' in finding.text
    assert 'ROS_LOG_DIR' in finding.cure


def test_a_middleware_that_is_not_installed():
    env = {**JAZZY, 'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}
    failed = Ran(1, '', 'RMWError: failed to load librmw_cyclonedds_cpp.so')
    finding = only(check_middleware(machine(env=env, ran={'rclpy.init': failed})))
    assert finding.level == 'error'
    assert finding.cure == ('sudo apt install ros-jazzy-rmw-cyclonedds-cpp, or unset '
                            'RMW_IMPLEMENTATION')


def test_the_middleware_is_named_and_zenoh_needs_a_router():
    ran = {'rclpy.init': Ran(0, '{"rmw": "rmw_zenoh_cpp"}')}
    assert 'rmw_zenohd' in only(check_middleware(machine(ran=ran))).cure
    ran = {'rclpy.init': Ran(0, '{"rmw": "rmw_fastrtps_cpp"}')}
    assert [finding.level for finding in check_middleware(machine(ran=ran))] == ['ok']
    assert list(check_middleware(machine(ran={'import json, rclpy': NO_MODULE}))) == []


# Large images

PROFILE = (shared_data.ROOT / 'config/fastdds.xml').read_text()


def test_the_shipped_profile_is_named_for_other_cameras():
    findings = list(check_large_images(machine()))
    assert bad(findings) == []
    assert f'{OLD_VARIABLE}={shared_data.ROOT / "config/fastdds.xml"}' in findings[0].text


@pytest.mark.parametrize('env, level, text', [
    ({OLD_VARIABLE: '/no.xml'}, 'error', 'No such file'),
    ({OLD_VARIABLE: '/broken.xml'}, 'error', 'not XML'),
    ({OLD_VARIABLE: '/small.xml'}, 'warning', 'no shared-memory segment'),
    ({NEW_VARIABLE: '/good.xml'}, 'error', 'this distribution ignores'),
    ({'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}, 'warning', 'UDPv4'),
])
def test_a_transport_that_loses_large_images(env, level, text):
    small = PROFILE.replace('25165824', '1048576')
    assert small != PROFILE
    finding = only(check_large_images(machine(env={**JAZZY, **env}, files={
        '/broken.xml': '<dds>', '/small.xml': small, '/good.xml': PROFILE})))
    assert finding.level == level
    assert text in finding.text


@pytest.mark.parametrize('env', [
    {OLD_VARIABLE: '/good.xml'}, {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'},
    {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA?max_msg_size=1MB'},
    {'ROS_DISTRO': 'kilted', OLD_VARIABLE: '/good.xml'}])
def test_a_transport_for_large_images(env):
    findings = list(check_large_images(machine(env={**JAZZY, **env},
                                               files={'/good.xml': PROFILE})))
    assert findings and bad(findings) == []


@pytest.mark.parametrize('disk, cure', [
    (Disk(4 * 2**20, 4 * 2**20), '--shm-size=512m'),
    (Disk(64 * 2**20, 64 * 2**20), '--shm-size=512m'),
    (Disk(8 * 2**30, 10 * 2**20), 'fastdds shm clean')])
def test_shared_memory_is_short(disk, cure):
    assert cure in only(check_large_images(machine(disks={'/dev/shm': disk}))).cure


def test_nodes_of_other_users_and_containers_are_told_from_large_images():
    found = only(check_large_images(machine(owners=(1000, 65534))))
    assert found.level == 'warning' and '1000, 65534' in found.text
    assert 'as one user' in found.cure
    texts = [each.text for each in check_large_images(machine(files={'/.dockerenv': ''}))]
    assert any('--ipc=host' in text for text in texts)
    little = only(check_large_images(machine(
        disks={'/dev/shm': Disk(4 * 2**20, 4 * 2**20)})))
    assert little.level == 'error' and 'no process' in little.text


def test_other_middlewares_need_the_kernels_buffers():
    env = {**JAZZY, 'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}
    small = machine(env=env, files={'/proc/sys/net/core/rmem_max': '212992\n'})
    assert 'net.core.rmem_max=8388608' in only(check_large_images(small)).cure
    large = machine(env=env, files={'/proc/sys/net/core/rmem_max': '8388608\n'})
    assert [finding.level for finding in check_large_images(large)] == ['ok']


# NumPy, OpenCV, cv_bridge

def test_a_sound_python():
    findings = list(check_python(machine(places={'cv_bridge': ('/opt',)})))
    assert bad(findings) == []
    assert findings[-1].text.startswith('cv_bridge converts')


def test_cv_bridge_built_for_another_numpy():
    finding = only(check_python(machine(
        places={'cv_bridge': ('/opt',)}, ran={'cv_bridge_probe': NUMPY_CLASH})))
    assert 'built for another NumPy' in finding.text
    assert finding.cure == 'pip install "numpy<2"'
    # That of the system is only hidden.
    finding = only(check_python(machine(
        places={'cv_bridge': ('/opt',)}, ran={'cv_bridge_probe': NUMPY_CLASH},
        installed={'numpy': (Installed('numpy', '1.26.4', '/usr/lib/python3/dist-packages'),)})))
    assert 'pip uninstall numpy' in finding.cure


def test_cv_bridge_that_crashes():
    finding = only(check_python(machine(places={'cv_bridge': ('/opt',)},
                                        ran={'cv_bridge_probe': Ran(
                                            -11, '{"trying": "yuv422"}\n')})))
    assert 'exit code -11 (it crashes at yuv422)' in finding.text
    assert 'reinstall' in finding.cure


def test_two_numpys():
    finding = only(check_python(machine(installed={'numpy': (
        Installed('numpy', '2.2.6', '/home/robot/.local/lib/python3.12/site-packages'),
        Installed('numpy', '1.26.4', '/usr/lib/python3/dist-packages'))})))
    assert 'numpy 2.2.6 (/home/robot/.local' in finding.text
    assert 'numpy 1.26.4 (the system)' in finding.text


def test_two_packages_of_opencv():
    finding = only(check_python(machine(installed={
        name: (Installed(name, '4.12.0', '/venv'),)
        for name in ('opencv-python', 'opencv-python-headless')})))
    assert finding.level == 'error'
    assert 'pip uninstall opencv-python opencv-python-headless' in finding.cure


def test_an_opencv_in_front_of_the_systems():
    finding = only(check_python(machine(places={
        'cv2': ('/home/robot/.local', '/usr/lib/python3/dist-packages')})))
    assert finding.level == 'warning'
    assert 'several installations of OpenCV' in finding.text


@pytest.mark.parametrize('ran, text, cure', [
    (Ran(0, '{"version": "5.0.0"}'), 'OpenCV 5', 'opencv-python-headless<5'),
    (Ran(1, '', 'ImportError: libGL.so.1: cannot open shared object file'), 'libGL', 'headless'),
    (dataclasses.replace(NUMPY_CLASH, code=1), 'built for another NumPy', 'pip uninstall numpy'),
    (Ran(1, '', "No module named 'cv2'"), 'cannot be used', 'python3-opencv')])
def test_opencv_that_does_not_work(ran, text, cure):
    finding = only(check_python(machine(ran={'cv2.resize': ran})))
    assert text in finding.text
    assert cure in finding.cure


@pytest.mark.parametrize('part', ['json, numpy\nprint', 'import yaml'])
def test_modules_that_cannot_be_imported(part):
    assert only(check_python(machine(ran={part: Ran(1, '', 'ImportError: no')}))).level == 'error'


# Providers

def test_the_trial_model_is_what_it_says():
    onnx = pytest.importorskip('onnx')
    model = onnx.load_from_string(base64.b64decode(IDENTITY))
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ['Identity']


def with_runtime(available, trials, *packages, **changes):
    """Return a machine with an ONNX Runtime; trials are the results of its providers by name."""
    ran = {'get_available_providers': available}
    ran.update({f"providers=['{name}']": result for name, result in trials.items()})
    return machine(ran=ran, installed={
        name: (Installed(name, '1.31.1', '/venv'),) for name in packages}, **changes)


def test_a_cpu_is_enough():
    findings = list(check_providers(with_runtime(
        CPU, {'CPUExecutionProvider': ON_CPU}, 'onnxruntime')))
    assert [finding.level for finding in findings] == ['ok', 'ok']
    assert findings[-1].text == 'cpu works'


@pytest.mark.parametrize('version, warned', [
    ('1.17.3', True), ('1.23.2', True), ('1.24.0', False), ('1.32.0', False), ('?', False)])
def test_an_old_onnxruntime_is_told(version, warned):
    available = Ran(0, json.dumps(
        {'version': version, 'providers': ['CPUExecutionProvider']}))
    found = [each for each in check_providers(with_runtime(
        available, {'CPUExecutionProvider': ON_CPU}, 'onnxruntime'))
        if each.level == 'warning']
    assert [version in each.text and '1.24' in each.cure for each in found] == [True] * warned


@pytest.mark.parametrize('provider, level', [('auto', 'warning'), ('cuda', 'error')])
def test_cuda_that_does_not_start(provider, level):
    finding = only(check_providers(with_runtime(
        BOTH, {'CUDAExecutionProvider': ON_CPU, 'CPUExecutionProvider': ON_CPU},
        'onnxruntime-gpu'), provider))
    assert finding.level == level
    assert 'CPUExecutionProvider would run instead' in finding.text
    assert 'NVIDIA driver' in finding.cure


def test_a_provider_that_crashes():
    finding = only(check_providers(with_runtime(
        BOTH, {'CUDAExecutionProvider': Ran(-6, '', 'libcudnn.so.9: cannot open'),
               'CPUExecutionProvider': ON_CPU}, 'onnxruntime-gpu')))
    assert 'libcudnn.so.9: cannot open' in finding.text


def test_a_provider_that_is_not_there():
    finding = only(check_providers(with_runtime(
        CPU, {'CPUExecutionProvider': ON_CPU}, 'onnxruntime'), 'cuda'))
    assert finding.level == 'error'
    assert 'onnxruntime-gpu in place of onnxruntime' in finding.cure


def test_a_gpu_that_nobody_uses():
    finding = only(check_providers(with_runtime(
        CPU, {'CPUExecutionProvider': ON_CPU}, 'onnxruntime',
        files={'/proc/driver/nvidia/version': 'NVRM'})))
    assert finding.level == 'warning'
    assert 'models run on the CPU' in finding.text


def test_two_packages_of_onnx_runtime():
    finding = only(check_providers(with_runtime(
        CPU, {'CPUExecutionProvider': ON_CPU}, 'onnxruntime', 'onnxruntime-gpu')))
    assert finding.level == 'error'
    assert finding.cure.startswith('pip uninstall onnxruntime onnxruntime-gpu')


@pytest.mark.parametrize('packages, cure', [
    ((), 'pip install onnxruntime, or "onnxruntime-gpu['),
    (('onnxruntime',), 'pip install --force-reinstall onnxruntime')])
def test_onnx_runtime_that_cannot_be_imported(packages, cure):
    failed = Ran(1, '', "ModuleNotFoundError: No module named 'onnxruntime'")
    assert cure in only(check_providers(with_runtime(failed, {}, *packages))).cure


# Cache

def test_the_cache_is_well():
    findings = list(check_cache(machine(size=35_900_000)))
    assert [finding.level for finding in findings] == ['ok']
    assert '35.9 MB' in findings[0].text


@pytest.mark.parametrize('free, level', [(300 * 10**6, 'warning'), (10**6, 'error')])
def test_a_disk_that_fills(free, level):
    finding = only(check_cache(machine(disks={'/': Disk(10**11, free)}, size=2 * 10**9)))
    assert finding.level == level
    assert '2.0 GB' in finding.cure


@pytest.mark.parametrize('number', [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_a_cache_that_cannot_be_written(number):
    finding = only(check_cache(machine(write_error=OSError(number, os.strerror(number)))))
    assert os.strerror(number) in finding.text
    assert 'ROS2_CLASSIFY_CACHE' in finding.cure


# Models

def entry(directory, name, sha256):
    (directory / f'{name}.onnx').write_bytes(b'model')
    path = directory / f'{name}.yaml'
    path.write_text(f'source: {{path: {name}.onnx, sha256: "{sha256}"}}\n'
                    'output: {decoder: classification}\n')
    return path


def test_damaged_and_wrong_models_are_named(tmp_path):
    (tmp_path / 'wrong.yaml').write_text('sauce: x\n')
    found = {'bent': entry(tmp_path, 'bent', '0' * 64), 'wrong': tmp_path / 'wrong.yaml'}
    findings = bad(check_catalogue(machine(), lambda: found))
    assert [(finding.level, finding.text.partition(' ')[0]) for finding in findings] == [
        ('error', 'bent'), ('warning', 'wrong')]
    assert str(tmp_path / 'bent.onnx') in findings[0].text
    assert "'sauce'" in findings[1].text


def test_sound_models_are_counted(tmp_path):
    good = entry(tmp_path, 'good', hashlib.sha256(b'model').hexdigest())
    findings = list(check_catalogue(machine(), lambda: {'good': good}))
    assert bad(findings) == []
    assert 'the catalogue has 1 models; the files of 1' in findings[0].text


def test_an_empty_catalogue():
    assert 'ROS2_CLASSIFY_MODEL_PATH' in only(check_catalogue(machine(), dict)).text


def test_a_model_that_does_not_run():
    finding = only(check_model(machine(model_error=EngineError('no such operator')), ['m'], 'cpu'))
    assert finding.text == 'm does not run: no such operator'
    assert 'models check m' in finding.cure


# All of it

def test_every_problem_has_a_cure():
    with pytest.raises(ValueError, match='needs a cure'):
        Issue('ros', 'error', 'something is wrong')


def test_every_check_belongs_to_its_findings():
    ran = {'get_available_providers': CPU, "['CPUExecutionProvider']": ON_CPU}
    findings = list(examine(machine(ran=ran), models=['cards_detector']))
    assert bad(findings) == []
    assert list(dict.fromkeys(finding.check for finding in findings)) == list(CHECKS)


def test_it_gets_along_without_numpy(tmp_path):
    """On a Python that has nothing but itself, all checks are made."""
    venv.create(tmp_path, with_pip=False)
    done = subprocess.run(
        [str(tmp_path / 'bin/python'), '-m', 'ros2_classify', 'doctor', '--json'],
        capture_output=True, text=True, check=False, cwd=shared_data.ROOT, timeout=120,
        env={'HOME': str(tmp_path), 'PATH': os.environ['PATH']})
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)['findings']
    assert {finding['check'] for finding in findings} >= set(CHECKS) - {'middleware'}
    texts = [finding['text'] for finding in findings if finding['level'] == 'error']
    assert any(text.startswith('NumPy cannot be imported') for text in texts)


@pytest.mark.parametrize(('env', 'level'), [
    (HOME, 'ok'), ({**HOME, 'ROS2_CLASSIFY_CONVERTER_PYTHON': '/tf/bin/python'}, 'warning')])
def test_what_the_sandbox_lacks(env, level):
    ran = {'sandbox': Ran(0, '["no network (Operation not permitted)"]\n')}
    finding, = check_conversion(machine(env=env, ran=ran))
    assert finding.level == level and 'no network (Operation not permitted)' in finding.text
    assert bool(finding.cure) == (level == 'warning')


def test_the_sandbox_of_this_machine():
    finding, = check_conversion(ThisMachine())
    assert 'sandbox' in finding.text or 'is not available' in finding.text
    failed = only(check_conversion(machine(ran={'sandbox': NO_MODULE})))
    assert 'does not start' in failed.text


def test_the_command_line(monkeypatch, capsys):
    ran = {'get_available_providers': CPU, "['CPUExecutionProvider']": ON_CPU}
    monkeypatch.setattr('ros2_classify.doctor.ThisMachine', lambda: machine(ran=ran))
    assert cli.main(['doctor', '--json', '--model', 'cards_detector']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['ok'] and set(result['findings'][0]) == {'check', 'level', 'text', 'cure'}
    monkeypatch.setattr('ros2_classify.doctor.ThisMachine', lambda: machine(
        ran={**ran, 'vision_msgs': NO_MODULE}))
    assert cli.main(['doctor']) == 1
    printed = capsys.readouterr().out
    assert '-> sudo apt install ros-jazzy-vision-msgs' in printed
    assert printed.splitlines()[-1] == '1 error, 0 warnings'


def test_this_machine(tmp_path):
    """The real machine implements the whole interface."""
    here = ThisMachine()
    assert here.run_python('print(1)').out == '1\n'
    broken = here.run_python('import os; os.abort()')
    assert broken.code < 0 and broken.last_line == f'exit code {broken.code}'
    assert here.run_python('raise ValueError("x")').last_line == 'ValueError: x'
    assert here.distributions('numpy')[0].name == 'numpy'
    assert here.distributions('no-such-package') == ()
    assert len(here.places_of('cv2')) >= 1
    assert here.places_of('no_such_module') == ()
    disk = here.disk(tmp_path / 'not' / 'made')
    assert 0 < disk.free <= disk.total
    (tmp_path / 'some').write_bytes(bytes(10))
    assert here.size_of(tmp_path) == 10
    here.write_trial(tmp_path / 'not' / 'made')
    assert os.listdir(tmp_path) == ['some']
    with pytest.raises(OSError):
        here.write_trial(Path('/proc'))
    assert here.has_file(str(tmp_path / 'some')) and not here.has_file(str(tmp_path))


def test_a_real_model_is_loaded_and_run():
    finding = next(iter(check_model(ThisMachine(), ['cards_detector'], 'cpu')))
    assert finding.level == 'ok', finding
    assert 'cards_detector runs on CPUExecutionProvider' in finding.text


def test_the_real_runtime_starts():
    findings = list(check_providers(ThisMachine()))
    assert any(finding.text == 'cpu works' for finding in findings), findings


@pytest.mark.parametrize('error', [
    AttributeError('_ARRAY_API not found'),
    ImportError('numpy.core.multiarray failed to import\nmany lines of advice'),
    SystemError('initialization of _cv2 failed without an exception')])
def test_a_check_that_fails_is_a_finding_and_the_others_go_on(monkeypatch, error):
    def broken(machine):
        raise error

    fine = Issue('models', 'ok', 'checked')
    monkeypatch.setattr('ros2_classify.doctor.CHECKS', {
        'python': broken, 'cache': lambda machine: iter([fine])})
    found, other = examine(machine())
    assert found.level == 'error' and other == fine
    assert found.text == (f'this check could not be made: {type(error).__name__}: '
                          f'{str(error).splitlines()[0]}')
