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

"""The command line of the node in C++, and what its package says without being built."""

from pathlib import Path
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from ros2_classify_benchmark import plain_cpp
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.systems import other

PACKAGE = Path(__file__).parents[2] / plain_cpp.PACKAGE
SOURCES = {path.name: path.read_text() for path in sorted(PACKAGE.glob('src/*'))}
FACTS = {'file': '/models/a model.onnx', 'task': 'detection', 'provider': 'CPUExecutionProvider'}


@pytest.fixture
def built(monkeypatch):
    """Pretend that the node is built, and that the user has chosen no transport."""
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE',
                 'FASTDDS_BUILTIN_TRANSPORTS', 'RMW_IMPLEMENTATION'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(plain_cpp.VARIABLE, "env 'A=b c' /built/plain_cpp")


def parameters(words):
    return dict(words[number + 1].split(':=', 1)
                for number, word in enumerate(words) if word == '-p')


def test_the_node_gets_what_the_descriptor_says(built):
    system = other(Settings(threads=2, parameters=('nms_iou:=0.4',)), FACTS, 'plain-cpp')
    words = system.commands[0]
    assert words[0] == 'env'
    assert words[1].endswith('/config/fastdds_receiver.xml')
    assert words[2:5] == ('env', 'A=b c', '/built/plain_cpp')
    assert 'image:=/bench/other/image' in words
    assert 'result:=/bench/other/result' in words
    given = parameters(words)
    assert '/onnxruntime/capi/libonnxruntime.so' in given.pop('onnxruntime')
    assert given.pop('labels').startswith('["stop", "yield", "go", ')
    # models/cards_detector.yaml
    assert given == {
        'model_file': '"/models/a model.onnx"', 'output': '""', 'threads': '2', 'width': '512',
        'height': '384', 'rgb': 'true', 'pyramid': 'true', 'pad_value': '114.0',
        'strides': '[8, 16, 32]', 'score_threshold': '0.45', 'nms_iou': '0.4',
        'max_detections': '100', 'reliable': 'true'}


def test_another_descriptor_gives_other_words(built):
    settings = Settings(model='yolox_nano', parameters=('qos:=best_effort',))
    given = parameters(other(settings, FACTS, 'plain-cpp').commands[0])
    names = ('width', 'rgb', 'pyramid', 'output', 'nms_iou', 'reliable')
    assert {name: given[name] for name in names} == {
        'width': '416', 'rgb': 'false', 'pyramid': 'false', 'output': '"output"',
        'nms_iou': '0.45', 'reliable': 'false'}
    assert given['labels'].count('", "') == 79


@pytest.mark.parametrize(('settings', 'facts', 'said'), [
    (Settings(transport='compressed'), {}, "--transport is 'compressed'"),
    (Settings(encoding='mono8'), {}, "--encoding is 'mono8', but the node in C.. knows 'bgr8'"),
    (Settings(model='cards_classifier'), {}, 'output.decoder is'),
    (Settings(), {'provider': 'CUDAExecutionProvider'}, 'the execution provider is'),
    (Settings(parameters=('classes:=[stop]',)), {}, '-p classes is .* no such parameter')])
def test_what_the_node_cannot_do_is_said(built, settings, facts, said):
    with pytest.raises(BenchError, match=said):
        other(settings, {**FACTS, **facts}, 'plain-cpp')


def test_without_the_executable_one_is_told_what_to_build(monkeypatch, tmp_path):
    monkeypatch.delenv(plain_cpp.VARIABLE, raising=False)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    with pytest.raises(BenchError, match='--against plain-cpp: ros2_classify_benchmark_cpp is not '
                                         'built, which needs rclcpp.*docs/performance.md has'):
        other(Settings(), FACTS, 'plain-cpp')
    # Configured without rclcpp, the package is there, and the executable is not.
    index = tmp_path / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    (index / plain_cpp.PACKAGE).touch()
    with pytest.raises(BenchError, match='is not built'):
        plain_cpp.executable()
    executable = tmp_path / 'lib' / plain_cpp.PACKAGE / 'plain_cpp'
    executable.parent.mkdir(parents=True)
    executable.touch()
    assert plain_cpp.executable() == (str(executable),)


def test_each_parameter_is_declared(built):
    declared = set(re.findall(r'declare_parameter\("(\w+)"', SOURCES['plain_cpp.cpp']))
    assert declared == set(parameters(other(Settings(), FACTS, 'plain-cpp').commands[0]))


def test_the_manifest_names_what_is_included():
    manifest = ElementTree.parse(PACKAGE / 'package.xml').getroot()
    depends = {each.text for each in manifest.findall('depend')}
    included = set(re.findall(r'#include <(\w+)/', ''.join(SOURCES.values())))
    assert depends == {'libopencv-dev' if name == 'opencv2' else name for name in included}
    found = (PACKAGE / 'CMakeLists.txt').read_text()
    assert re.search(r'foreach\(package ([^)]*)\)', found).group(1).split() == [
        *sorted(depends - {'libopencv-dev'}), 'OpenCV']


@pytest.mark.parametrize('name', SOURCES)
def test_the_sources_have_ros_form(name):
    text = SOURCES[name]
    assert text.startswith('// Copyright 2026 the ros2_classify authors\n//\n// Licensed under')
    assert text.endswith('\n')
    for number, line in enumerate(text.splitlines(), 1):
        assert len(line) < 100 and line == line.rstrip() and '\t' not in line, f'{name}:{number}'
    if name.endswith('.hpp'):
        guard = f'{name.upper().replace(".", "_")}_'
        assert f'#ifndef {guard}\n#define {guard}\n' in text


def test_a_workspace_without_rclcpp_is_not_broken(tmp_path):
    if shutil.which('cmake') is None or shutil.which('c++') is None:
        pytest.skip('no cmake or no compiler')
    done = subprocess.run(
        ['cmake', '-S', PACKAGE, '-B', tmp_path, '-DCMAKE_DISABLE_FIND_PACKAGE_rclcpp=ON'],
        capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    said = ' '.join(done.stderr.split())
    assert 'plain_cpp, which only the benchmark uses, is not built without rclcpp' in said
