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

"""The package as others see it: manifests, what is installed where, messages on the wire."""

import ast
from importlib import metadata
import json
from pathlib import Path
import re
import subprocess
import sys
import tarfile
import venv
from xml.etree import ElementTree
import zipfile

import pytest
import ros2_classify
from shared_data import ROOT

# What a module of another name is called in package.xml.
KEYS = {'cv2': 'python3-opencv', 'google': 'python3-protobuf', 'numpy': 'python3-numpy',
        'onnxruntime': 'python3-onnxruntime-pip', 'tf2_ros': 'tf2_ros_py',
        'yaml': 'python3-yaml'}
# Imported where it is there, done without where not: why, package.xml says.
# TensorFlow converts models, in a process of its own; _typeshed is for type checkers alone.
# The benchmark draws with matplotlib and unpacks compressed bags with lz4 and zstandard.
# rosbags reads bags as sources of images; PIL draws letters; foxglove writes recordings, and
# foxglove_msgs is for Foxglove's image panel alone.
OPTIONAL = {'bond', 'foxglove_msgs', 'lz4', 'matplotlib', 'ros2_classify_interfaces',
            'ros2doctor', 'rosbags', 'foxglove', 'PIL', 'argcomplete', 'tensorflow', 'tf2onnx',
            '_typeshed', 'zstandard'}
# `testing` makes models for tests: pip's extra `test` has it, rosdep has no key.
TEST_ONLY = {'onnx'}

MANIFESTS = sorted(ROOT.glob('package.xml')) + sorted(ROOT.glob('packages/*/package.xml'))


def manifest(path=ROOT / 'package.xml'):
    return ElementTree.parse(path).getroot()


def imported_modules(*directories):
    """Return the top names of all modules that the Python files below the directories import."""
    found = set()
    for directory in directories:
        for path in (ROOT / directory).rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found.update(alias.name.partition('.')[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(node.module.partition('.')[0])
    return found - sys.stdlib_module_names - {'ros2_classify'}


def evaluated_depends(gpu):
    package = pytest.importorskip('catkin_pkg.package')
    parsed = package.parse_package(str(ROOT / 'package.xml'))
    parsed.evaluate_conditions({'ROS2_CLASSIFY_GPU': gpu} if gpu else {})
    return {depend.name for depend in parsed.exec_depends if depend.evaluated_condition}


@pytest.mark.parametrize('path', MANIFESTS, ids=lambda path: path.parent.name)
def test_manifests_are_valid(path):
    package = pytest.importorskip('catkin_pkg.package')
    warnings = []
    parsed = package.parse_package(str(path), warnings=warnings)
    assert warnings == []
    assert parsed.package_format == 3
    assert parsed.licenses == ['Apache-2.0']


def test_all_packages_are_found():
    assert [manifest(path).findtext('name') for path in MANIFESTS] == [
        'ros2_classify', 'ros2_classify_benchmark', 'ros2_classify_benchmark_cpp',
        'ros2_classify_evaluation', 'ros2_classify_interfaces']


def test_versions_are_equal():
    versions = {str(path.relative_to(ROOT)): manifest(path).findtext('version')
                for path in MANIFESTS}
    versions['setup.py'] = subprocess.run(
        [sys.executable, 'setup.py', '--version'], cwd=ROOT, capture_output=True, text=True,
        check=True).stdout.split()[-1]
    newest = re.search(r'^(\d+\.\d+\.\d+) \(|^Forthcoming', (ROOT / 'CHANGELOG.rst').read_text(),
                       re.MULTILINE)
    if newest.group(1):
        versions['CHANGELOG.rst'] = newest.group(1)
    assert set(versions.values()) == {ros2_classify.__version__}, versions


def test_the_manifest_names_what_is_imported():
    needed = imported_modules('ros2_classify', 'launch') - OPTIONAL - TEST_ONLY
    depends = {each.text for each in manifest().iter('exec_depend')}
    assert {KEYS.get(name, name) for name in needed} - depends == set()


def test_the_manifest_names_nothing_else():
    used = {KEYS.get(name, name) for name in imported_modules('ros2_classify', 'launch')}
    # Plugins that are loaded, not imported: the launch command, and XML launch files.
    used |= {'launch_xml', 'ros2launch', 'python3-onnxruntime-gpu-pip'}
    assert {each.text for each in manifest().iter('exec_depend')} - used == set()


@pytest.mark.parametrize('gpu, there', [
    ('', 'python3-onnxruntime-pip'), ('0', 'python3-onnxruntime-pip'),
    ('1', 'python3-onnxruntime-gpu-pip')])
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_rosdep_gets_one_onnxruntime(gpu, there):
    depends = evaluated_depends(gpu)
    assert [name for name in depends if 'onnxruntime' in name] == [there]


@pytest.fixture(scope='module')
def distributions(tmp_path_factory):
    """
    Build what an index has: an sdist, and the wheel that pip builds from it alone.

    From a copy, since builds leave files behind, and without the internet.
    """
    pytest.importorskip('wheel')
    directory = tmp_path_factory.mktemp('wheel')
    files = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True,
                           text=True, check=False)
    if files.returncode:
        pytest.skip('no git checkout')
    for name in filter(None, files.stdout.split('\0')):
        target = directory / 'source' / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, 'setup.py', '--quiet', 'sdist', '--dist-dir', str(directory)],
                   cwd=directory / 'source', check=True, timeout=120, capture_output=True)
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index',
                    '--no-build-isolation', '--wheel-dir', str(directory),
                    str(next(directory.glob('*.tar.gz')))],
                   check=True, timeout=120)
    return directory


@pytest.fixture(scope='module')
def wheel(distributions):
    """Return the wheel as an archive."""
    with zipfile.ZipFile(next(distributions.glob('*.whl'))) as archive:
        yield archive


def test_the_sdist_has_what_builds_it_and_no_more_than_that(distributions):
    with tarfile.open(next(distributions.glob('*.tar.gz'))) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    assert {'README.md', 'LICENSE', 'CHANGELOG.rst', 'setup.py', 'package.xml'} <= names
    assert {name.partition('/')[0] for name in names if '/' in name} == {
        'config', 'launch', 'models', 'resource', 'ros2_classify', 'ros2_classify.egg-info',
        'rviz'}


def needed_by(requirements):
    """Return the installed distributions that requirements lead to."""
    from packaging.requirements import Requirement

    found, rest = {}, [Requirement(each) for each in requirements]
    while rest:
        requirement = rest.pop()
        distribution = metadata.distribution(requirement.name)
        if requirement.name not in found:
            found[requirement.name] = distribution
            rest += [each for each in map(Requirement, distribution.requires or ())
                     if not each.marker or each.marker.evaluate({'extra': ''})]
    return found.values()


def test_the_wheel_runs_in_a_fresh_environment_without_ros(distributions, tmp_path):
    """With what the extra `cpu` names, taken from this environment, and nothing else."""
    environment, other = tmp_path / 'venv', tmp_path / 'cpu'
    venv.create(environment, with_pip=False)
    other.mkdir()
    for each in needed_by(['numpy', 'PyYAML', 'onnxruntime', 'opencv-python-headless']):
        for top in {str(path).partition('/')[0] for path in each.files if path.parts[0] != '..'}:
            if not (other / top).exists():
                (other / top).symlink_to(each.locate_file(top))
    python = environment / 'bin/python'
    subprocess.run([sys.executable, '-m', 'pip', '--python', str(python), 'install', '--quiet',
                    '--no-deps', '--no-index', str(next(distributions.glob('*.whl')))], check=True)
    said = subprocess.run(
        [str(environment / 'bin/ros2_classify'), 'infer', 'cards_detector',
         str(ROOT / 'models/scenes/many_cards.jpg'), '--json'],  # words: old
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={'PATH': '', 'HOME': str(tmp_path), 'PYTHONPATH': str(other)})
    assert said.returncode == 0 and said.stderr == '', said.stderr
    assert len(json.loads(said.stdout)['results']) == 12
    without = subprocess.run([str(python), '-c', 'import rclpy'], capture_output=True, text=True,
                             check=False, env={'PYTHONPATH': str(other)})
    assert 'No module named' in without.stderr


def test_the_wheel_carries_what_is_shipped(wheel):
    names = set(wheel.namelist())
    assert 'ros2_classify/py.typed' in names
    shared = {name.partition('data/share/ros2_classify/')[2] for name in names}
    tracked = subprocess.run(['git', 'ls-files', 'config', 'launch', 'models', 'rviz'], cwd=ROOT,
                             capture_output=True, text=True, check=True).stdout.split('\n')
    assert 'config/fastdds.xml' in shared
    assert {name for name in tracked if name and (ROOT / name).is_file()} - shared == set()
    assert not any(name.startswith(('test', 'training', 'scripts')) for name in names)


def test_the_wheel_puts_one_command_into_bin(wheel):
    entry = next(name for name in wheel.namelist() if name.endswith('/entry_points.txt'))
    assert wheel.read(entry).decode().split() == [
        '[console_scripts]', 'ros2_classify', '=', 'ros2_classify.cli:main']


def test_the_wheel_offers_the_extras(wheel):
    metadata = next(name for name in wheel.namelist() if name.endswith('/METADATA'))
    text = wheel.read(metadata).decode()
    assert set(re.findall(r'^Provides-Extra: (\w+)', text, re.MULTILINE)) == {
        'bag', 'completion', 'cpu', 'eval', 'fonts', 'gpu', 'mcap', 'openvino', 'remote',
        'tensorflow', 'test', 'tools', 'training'}
    assert 'Requires-Dist: onnxruntime' in text
    # Without an extra, no build of onnxruntime comes: one that is there already is not doubled.
    for line in text.splitlines():
        if line.startswith('Requires-Dist: onnxruntime'):
            assert 'extra ==' in line


def installed_share():
    packages = pytest.importorskip('ament_index_python.packages')
    try:
        return Path(packages.get_package_share_directory('ros2_classify'))
    except LookupError:
        pytest.skip('ros2_classify is not installed by colcon')


def test_ros2_run_finds_the_nodes():
    directory = installed_share().parents[1] / 'lib' / 'ros2_classify'
    for node in ('camera', 'client_test', 'composed', 'server'):
        said = subprocess.run([str(directory / node), '--help'], capture_output=True, text=True,
                              check=False, timeout=60, cwd='/')
        assert said.returncode == 0, said.stderr
        assert f'ros2 run ros2_classify {node}' in said.stdout


def test_colcon_installs_what_is_shipped():
    share = installed_share()
    for name in ('config/fastdds.xml', 'package.xml'):
        assert (share / name).read_bytes() == (ROOT / name).read_bytes()


# From the released vision_msgs 4.1.1 (Humble, Jazzy; 4.2, of Kilted and later, has the same
# fields). A type with another hash is another type: nodes would not hear each other.
RELEASED = {
    'Classification': 'f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143',
    'Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'LabelInfo': '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    'VisionInfo': '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
}


@pytest.mark.parametrize('name', RELEASED)
def test_messages_are_those_of_the_release(name):
    packages = pytest.importorskip('ament_index_python.packages')
    try:
        share = Path(packages.get_package_share_directory('vision_msgs'))
    except LookupError:
        pytest.skip('vision_msgs is not installed')
    path = share / 'msg' / f'{name}.json'
    if not path.is_file():
        pytest.skip('this distribution has no type hashes')
    hashes = {each['type_name']: each['hash_string']
              for each in json.loads(path.read_text())['type_hashes']}
    assert hashes[f'vision_msgs/msg/{name}'] == f'RIHS01_{RELEASED[name]}'
