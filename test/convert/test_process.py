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

from __future__ import annotations

import ast
import os
from pathlib import Path
import subprocess
import sys
import threading

import numpy as np
import pytest

from ros2_classify.convert import process, worker
from ros2_classify.convert.process import (
    choose_python, Converter, find_converter, run_worker, WorkerError)
from ros2_classify.errors import ConversionError, FetchCancelledError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a working directory with a request in it."""
    made = tmp_path / 'work'
    made.mkdir()
    (made / worker.REQUEST).write_text('{}')
    np.savez(made / worker.FEEDS, np.zeros(1))
    return made


def run(converter, directory: Path, **options):
    return run_worker(str(converter.python), directory, label='tiny', **{'timeout': 60.0, **options})


def test_which_python(monkeypatch: pytest.MonkeyPatch, converter) -> None:
    assert choose_python() == str(converter.python)
    assert choose_python(sys.executable) == sys.executable
    monkeypatch.delenv(process.PYTHON)
    assert choose_python() == sys.executable
    assert choose_python(environ={process.PYTHON: 'sh'}).endswith('/sh')
    with pytest.raises(ConversionError, match=f'{process.PYTHON} names /no/python, which is no '):
        choose_python(environ={process.PYTHON: '/no/python'})


def test_what_it_has(converter) -> None:
    found = find_converter(str(converter.python))
    assert found == Converter(str(converter.python), '1.17.0', '2.21.0')
    assert found.name == 'tf2onnx-1.17.0_tensorflow-2.21.0'
    converter.plan(versions=['1.17.0', None])
    assert find_converter(str(converter.python)) is None


def test_the_real_probe_runs_in_another_python(tmp_path: Path) -> None:
    link = tmp_path / 'python'
    link.symlink_to(sys.executable)
    found, own = find_converter(str(link)), find_converter(sys.executable)
    # A link into a virtual environment loses its packages; what it says must be right either way.
    assert found is None or (found.tf2onnx, found.tensorflow) == (own.tf2onnx, own.tensorflow)


def test_a_python_that_has_none(no_tensorflow) -> None:
    assert find_converter(sys.executable) is None


def test_a_program_that_is_no_python() -> None:
    with pytest.raises(ConversionError, match='does not run as a Python interpreter'):
        find_converter('/bin/false')


def test_a_ros_environment_stays_out_of_another_python(
    converter, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('PYTHONPATH', '/opt/ros')
    assert 'PYTHONPATH' not in process._environment(str(converter.python))
    assert process._environment(sys.executable)['PYTHONPATH'] == '/opt/ros'
    assert process._environment(sys.executable)['CUDA_VISIBLE_DEVICES'] == '-1'


def test_the_result_and_the_log(converter, directory: Path) -> None:
    converter.plan(log='a line of TensorFlow')
    seen: list[tuple[str, bool]] = []
    result = run(converter, directory, progress=lambda text, done: seen.append((text, done)))
    assert result['outputs'] == ['softmax:0']
    assert (directory / process.LOG).read_text() == 'a line of TensorFlow\n'
    assert seen[0][0].startswith('converting tiny to ONNX, once: starting (0 s')
    assert [done for _, done in seen] == [False] * (len(seen) - 1) + [True]


def test_what_tensorflow_raised(converter, directory: Path) -> None:
    converter.plan(does='fail')
    with pytest.raises(WorkerError, match='^ValueError: quint8$') as caught:
        run(converter, directory)
    assert not caught.value.converted
    converter.plan(more={'converted': True})
    with pytest.raises(WorkerError) as caught:
        run(converter, directory)
    assert caught.value.converted


def test_an_end_without_a_word(converter, directory: Path) -> None:
    converter.plan(does='end')
    with pytest.raises(ConversionError, match='ended with exit code 7 while converting'):
        run(converter, directory)


def gone(directory: Path) -> bool:
    """Tell whether no process has the directory as its working directory any more."""
    for entry in Path('/proc').glob('[0-9]*/cwd'):
        try:
            if os.readlink(entry) == str(directory):
                return False
        except OSError:
            continue
    return True


def test_the_time_limit(converter, directory: Path) -> None:
    converter.plan(does='wait')
    with pytest.raises(ConversionError, match='more than 1 s and was ended while'):
        run(converter, directory, timeout=1.0)
    assert gone(directory)


def test_cancelling(converter, directory: Path) -> None:
    converter.plan(does='wait')
    cancel = threading.Event()

    def progress(text: str, done: bool) -> None:
        if 'once: converting' in text:
            cancel.set()

    with pytest.raises(FetchCancelledError, match='converting tiny was cancelled'):
        run(converter, directory, progress=progress, cancel=cancel)
    assert gone(directory)


def test_killed_for_want_of_memory(converter, directory: Path) -> None:
    converter.plan(does='wait')
    killed = []

    def progress(text: str, done: bool) -> None:
        for entry in Path('/proc').glob('[0-9]*/cwd') if not killed and not done else ():
            try:
                if os.readlink(entry) == str(directory):
                    os.kill(int(entry.parent.name), 9)
                    killed.append(entry)
            except OSError:
                continue

    with pytest.raises(ConversionError, match='signal SIGKILL .not enough memory'):
        run(converter, directory, progress=progress)


def test_the_worker_ends_with_its_parent(directory: Path) -> None:
    program = 'import runpy, sys; runpy.run_path(sys.argv[1])["_end_with_parent"]()'
    with subprocess.Popen([sys.executable, '-c', program, worker.__file__], cwd=directory,
                          stdin=subprocess.PIPE) as child:
        child.communicate(b'a parent may write', timeout=60)
    assert child.returncode == 3


def test_the_worker_needs_nothing_of_this_package() -> None:
    tree = ast.parse(Path(worker.__file__).read_text(encoding='utf-8'))
    imported = {alias.name.partition('.')[0] for node in ast.walk(tree)
                if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module.partition('.')[0] for node in ast.walk(tree)
                 if isinstance(node, ast.ImportFrom)}
    others = imported - set(sys.stdlib_module_names)
    assert others == {'numpy', 'onnx', 'tensorflow', 'tf2onnx'}
