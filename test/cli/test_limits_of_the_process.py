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

"""Limits of the process and its environment end in a sentence; Ctrl-C ends a looping model."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np
import pytest
from ros2_classify.limits import machine_limit
from ros_models import save_sleeper
import shared_data


def run(words: str, limit: str = '', **environment: str) -> Any:
    """Run a verb in a shell with a limit."""
    command = f'{limit + "; " if limit else ""}exec {sys.executable} -m ros2_classify {words}'
    return subprocess.run(
        ['bash', '-c', command], env={**os.environ, **environment}, cwd=shared_data.ROOT,
        text=True, timeout=60.0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def is_one_sentence(done: Any, words: str) -> bool:
    """Tell whether it failed with a sentence, and no traceback."""
    return done.returncode != 0 and words in done.stdout and 'Traceback' not in done.stdout


SERVER = 'server --ros-args -p model:=cards_classifier'


@pytest.mark.parametrize(('words', 'limit', 'environment', 'said'), [
    (SERVER, 'ulimit -n 20', {}, 'this process may open 20 (ulimit -n); allow it more'),
    (SERVER, 'ulimit -v 400000', {}, 'its address space is limited to 390 MiB (ulimit -v)'),
    ('infer --model cards_classifier --image docs/images/demo.jpg', 'ulimit -v 400000', {},
     'its address space is limited to 390 MiB (ulimit -v)'),
    (SERVER, 'ulimit -v 600000', {}, 'not enough memory'),
    (SERVER, '', {'PYTHONWARNINGS': 'error'}, 'as PYTHONWARNINGS or -W says'),
    *((f'{SERVER} -p diagnostic_updater.period:={value}', '', {}, said) for value, said in (
        ('1', 'write a decimal point, such as diagnostic_updater.period:=1.0'),
        ('-1.0', 'must be a number of seconds from 0.01 to 3600.0'),
        ('.nan', 'must be a number of seconds from 0.01 to 3600.0')))],
    ids=lambda value: str(value)[-24:])
def test_a_limit_is_a_sentence(
        words: str, limit: str, environment: dict[str, str], said: str) -> None:
    pytest.importorskip('rclpy')
    done = run(words, limit, **environment)
    assert is_one_sentence(done, said), done.stdout


@pytest.mark.parametrize(('limit', 'environment'), [
    ('ulimit -n 20', {}), ('ulimit -v 400000', {}), ('', {'PYTHONWARNINGS': 'error'})])
def test_the_doctor_ends_with_a_count_whatever_the_limit(
        limit: str, environment: dict[str, str]) -> None:
    done = run('doctor', limit, **environment)
    assert 'Traceback' not in done.stdout and ' warning' in done.stdout.splitlines()[-1], (
        done.stdout)


def test_a_limit_is_found_behind_other_errors() -> None:
    try:
        try:
            raise OSError(24, 'Too many open files')
        except OSError as error:
            raise ImportError('cannot import it') from error
    except ImportError as error:
        assert 'ulimit -n' in machine_limit(error)
    assert machine_limit(ValueError('no')) == ''


def test_ctrl_c_ends_a_model_that_never_returns(tmp_path: Path) -> None:
    model = save_sleeper(tmp_path)
    image = tmp_path / 'white.png'
    cv2.imwrite(str(image), np.full((8, 8, 3), 255, np.uint8))
    process = subprocess.Popen(
        [sys.executable, '-m', 'ros2_classify', 'infer', '--model', str(model), '--image',
         str(image), '--provider', 'cpu'],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=shared_data.ROOT)
    try:
        end = time.monotonic() + 60.0
        while 'onnxruntime_pybind11' not in Path(f'/proc/{process.pid}/maps').read_text():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        # Loading takes a fraction of this; the model then takes hours.
        time.sleep(5.0)
        assert process.poll() is None
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20.0) == 130
        assert time.monotonic() - begun < 1.0
        assert process.stdout is not None
        assert process.stdout.read() == 'error: interrupted\n'
    finally:
        process.kill()
        process.communicate()
