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

"""Every exit code of `docs/cli.md`, produced."""

import re
import sys

import cv2
import numpy as np
import pytest
from ros2_classify.cli import main
from ros2_classify.ros.server.faults import EXIT_CODE
from ros2_classify.testing import save_color_classifier
from shared_data import ROOT

CODES = re.findall(r'^\| (\d+) \| .* \|$',
                   (ROOT / 'docs/cli.md').read_text().partition('\n## Exit codes\n')[2], re.M)


@pytest.fixture
def place(tmp_path, monkeypatch):
    save_color_classifier(tmp_path / 'colors.onnx')
    cv2.imwrite(str(tmp_path / 'red.png'), np.full((20, 40, 3), (10, 50, 200), np.uint8))
    monkeypatch.chdir(tmp_path)


def no_ros(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError("No module named 'rclpy'", name='rclpy')
    monkeypatch.setattr('ros2_classify.cli.nodes.import_module', fail)


def node_that_returns(code, monkeypatch):
    module = type(sys)('ros2_classify.ros.main')
    module.PROGRAMS = {'server': lambda words: code}
    monkeypatch.setitem(sys.modules, 'ros2_classify.ros.main', module)


def interrupt(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr('ros2_classify.cli.doctor.run', interrupted)


def nothing(monkeypatch):
    pass


CASES = [
    (0, ['infer', 'colors.onnx', 'red.png'], nothing),
    (0, ['models', 'list'], nothing),
    (0, ['--version'], nothing),
    (1, ['infer', 'none.onnx', 'red.png'], nothing),
    (1, ['models', 'verify', 'nothing'], nothing),
    (2, ['infer', 'colors.onnx', 'none.png'], nothing),
    (2, ['infer', 'colors.onnx', 'red.png', '--output', 'none/out.png'], nothing),
    (2, ['infer', '--nonsense'], nothing),
    (2, ['nonsense'], nothing),
    (3, ['server'], no_ros),
    (3, ['health'], no_ros),
    (3, ['models', 'check', 'colors.onnx', '--strict'], nothing),
    # test/ros/server/test_server_faults.py has a real server that ends with it.
    (EXIT_CODE, ['server'], lambda monkeypatch: node_that_returns(EXIT_CODE, monkeypatch)),
    (130, ['doctor'], interrupt),
]


@pytest.mark.parametrize('code, words, prepare', CASES,
                         ids=[f'{code}-{"-".join(words[:2])}' for code, words, _ in CASES])
def test_the_exit_code(place, monkeypatch, capfd, code, words, prepare):
    prepare(monkeypatch)
    try:
        found = main(words)
    except SystemExit as error:
        found = error.code
    assert found == code, capfd.readouterr().err


def test_each_documented_code_is_among_them():
    assert [int(code) for code in CODES] == sorted({code for code, _, _ in CASES})
