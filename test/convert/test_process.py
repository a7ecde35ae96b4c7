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
import time
import tracemalloc

import graphs
from graphs import FLOAT, QUINT8, Type
import numpy as np
import pytest

from ros2_classify.convert import process, worker
from ros2_classify.convert.graph import Graph, read_frozen_graph
from ros2_classify.convert.process import (
    choose_python, Converter, explain, find_converter, run_worker, shorten, unsupported_operators,
    WorkerError)
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
    return run_worker(
        str(converter.python), directory, label='tiny', **{'timeout': 60.0, **options})


def test_the_interpreter_is_the_named_one_that_of_the_environment_or_this_one(
    monkeypatch: pytest.MonkeyPatch, converter,
) -> None:
    assert choose_python() == str(converter.python)
    assert choose_python(sys.executable) == sys.executable
    monkeypatch.delenv(process.PYTHON)
    assert choose_python() == sys.executable
    assert choose_python(environ={process.PYTHON: 'sh'}).endswith('/sh')
    with pytest.raises(ConversionError, match=f'{process.PYTHON} is /no/python, which is not a '):
        choose_python(environ={process.PYTHON: '/no/python'})


def test_a_converter_has_tensorflow_and_tf2onnx(converter) -> None:
    found = find_converter(str(converter.python))
    assert found == Converter(str(converter.python), '1.17.0', '2.21.0')
    assert found.name == 'tf2onnx-1.17.0_tensorflow-2.21.0'
    converter.plan(versions=['1.17.0', None])
    assert find_converter(str(converter.python)) is None


def test_the_probe_runs_in_another_python(tmp_path: Path) -> None:
    link = tmp_path / 'python'
    link.symlink_to(sys.executable)
    found, own = find_converter(str(link)), find_converter(sys.executable)
    # A link into a virtual environment may lose its packages; either result is right.
    assert found is None or (found.tf2onnx, found.tensorflow) == (own.tf2onnx, own.tensorflow)


def test_a_python_without_tensorflow_is_not_a_converter(no_tensorflow) -> None:
    assert find_converter(sys.executable) is None


def test_a_program_that_is_not_python_is_an_error() -> None:
    with pytest.raises(ConversionError, match='does not run as a Python interpreter'):
        find_converter('/bin/false')


def test_another_python_does_not_inherit_the_ros_environment(
    converter, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('PYTHONPATH', '/opt/ros')
    assert 'PYTHONPATH' not in process._environment(str(converter.python))
    assert process._environment(sys.executable)['PYTHONPATH'] == '/opt/ros'
    assert process._environment(sys.executable)['CUDA_VISIBLE_DEVICES'] == '-1'


def test_a_run_gives_a_report_a_log_and_progress(converter, directory: Path) -> None:
    converter.plan(log='a line of TensorFlow')
    seen: list[tuple[str, bool]] = []
    result = run(converter, directory, progress=lambda text, done: seen.append((text, done)))
    assert result['outputs'] == ['softmax:0']
    assert (directory / process.LOG).read_text() == 'a line of TensorFlow\n'
    assert seen[0][0].startswith('converting tiny to ONNX, once: starting (0 s')
    assert [done for _, done in seen] == [False] * (len(seen) - 1) + [True]


def test_an_exception_of_tensorflow_is_raised_here(converter, directory: Path) -> None:
    converter.plan(does='fail')
    with pytest.raises(WorkerError, match='^ValueError: quint8$') as caught:
        run(converter, directory)
    assert not caught.value.converted
    converter.plan(more={'converted': True})
    with pytest.raises(WorkerError) as caught:
        run(converter, directory)
    assert caught.value.converted


def test_a_worker_that_exits_without_a_report_is_an_error(converter, directory: Path) -> None:
    converter.plan(does='end')
    with pytest.raises(ConversionError, match='ended with exit code 7 while converting'):
        run(converter, directory)


def gone(directory: Path) -> bool:
    """Tell whether no process has the directory as its working directory."""
    for entry in Path('/proc').glob('[0-9]*/cwd'):
        try:
            if os.readlink(entry) == str(directory):
                return False
        except OSError:
            continue
    return True


def test_the_worker_is_killed_after_the_time_limit(converter, directory: Path) -> None:
    converter.plan(does='wait')
    with pytest.raises(ConversionError, match='more than 1 s and was stopped while'):
        run(converter, directory, timeout=1.0)
    assert gone(directory)


def test_the_worker_is_killed_if_cancelled(converter, directory: Path) -> None:
    converter.plan(does='wait')
    cancel = threading.Event()

    def progress(text: str, done: bool) -> None:
        if 'once: converting' in text:
            cancel.set()

    with pytest.raises(FetchCancelledError, match='converting tiny was cancelled'):
        run(converter, directory, progress=progress, cancel=cancel)
    assert gone(directory)


def test_a_killed_worker_hints_at_memory(converter, directory: Path) -> None:
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

    with pytest.raises(ConversionError, match='signal SIGKILL .usually not enough memory'):
        run(converter, directory, progress=progress)


def test_the_worker_exits_with_its_parent(directory: Path) -> None:
    program = 'import runpy, sys; runpy.run_path(sys.argv[1])["_end_with_parent"]()'
    with subprocess.Popen([sys.executable, '-c', program, worker.__file__], cwd=directory,
                          stdin=subprocess.PIPE) as child:
        child.communicate(b'a parent may write', timeout=60)
    assert child.returncode == 3


def test_the_worker_imports_nothing_of_this_package() -> None:
    tree = ast.parse(Path(worker.__file__).read_text(encoding='utf-8'))
    imported = {alias.name.partition('.')[0] for node in ast.walk(tree)
                if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module.partition('.')[0] for node in ast.walk(tree)
                 if isinstance(node, ast.ImportFrom)}
    others = imported - set(sys.stdlib_module_names)
    assert others == {'numpy', 'onnx', 'tensorflow', 'tf2onnx'}


# Lines of the log of tf2onnx 1.17.
UNSUPPORTED = """\
2026-01-01 12:00:00,000 - ERROR - Tensorflow op [a/MatrixInverse: MatrixInverse] is not supported
2026-01-01 12:00:00,000 - ERROR - Tensorflow op [b: BesselI0e] is not supported
2026-01-01 12:00:00,000 - ERROR - Tensorflow op [c: BesselI0e] is not supported
2026-01-01 12:00:00,000 - ERROR - Unsupported ops: Counter({'BesselI0e': 2, 'MatrixInverse': 1})
"""
REJECTED = """\
2026-01-01 12:00:00,000 - ERROR - pass1 convert failed for name: "loop/%s"
op: "%s"
input: "x"
, ex='unknown_rank: true
"""


@pytest.fixture
def read(tmp_path: Path):
    """Return a function that makes a Graph from nodes."""
    def reader(*nodes: bytes) -> Graph:
        (tmp_path / 'g.pb').write_bytes(graphs.graph(graphs.placeholder('x', 1), *nodes))
        return read_frozen_graph(tmp_path / 'g.pb')
    return reader


def test_unsupported_operators_are_named(read) -> None:
    assert unsupported_operators(UNSUPPORTED) == ['BesselI0e', 'MatrixInverse']
    sentence = explain('', UNSUPPORTED, read(), [])
    assert 'no counterpart for its operators BesselI0e, MatrixInverse;' in sentence
    assert 'export' in sentence


def test_operators_unknown_to_tensorflow_are_named(read) -> None:
    sentence = explain("ValueError: Op type not registered 'FusedThing' in binary running on x",
                       '', read(), [])
    assert 'does not know its operator FusedThing' in sentence


def test_quantized_weights_are_named(read) -> None:
    graph = read(graphs.node('w', 'Const', dtype=Type(QUINT8)),
                 graphs.node('y', 'Dequantize', 'w', T=Type(QUINT8)))
    sentence = explain('ValueError: quint8', '', graph, ['y:0'])
    assert 'no data type quint8' in sentence
    assert 'floating-point version' in sentence
    # Only what the outputs need counts.
    assert 'quint8' not in explain('ValueError: strange', '', graph, ['x:0'])


def test_arrays_of_tensorflow_1_loops_are_named(read) -> None:
    sentence = explain("TypeError: '' is not an accepted attribute value",
                       REJECTED % ('TensorArrayConcatV3', 'TensorArrayConcatV3'), read(), [])
    assert "TensorFlow 1's TensorArrayConcatV3 ('loop/TensorArrayConcatV3')" in sentence


def test_an_operator_that_fails_is_named(read) -> None:
    sentence = explain('ValueError: no', REJECTED % ('pool', 'Odd'), read(), [])
    assert "fails at its operator Odd ('loop/pool'): ValueError: no;" in sentence


def test_tensorflow_1_loops_are_named(read) -> None:
    graph = read(graphs.node('enter', 'Enter', 'x', T=Type(FLOAT)),
                 graphs.identity('y', 'enter'))
    assert 'operator Enter in a way' in explain('ValueError: no', '', graph, ['y'])


def test_types_without_kernels_are_named(read) -> None:
    graph = read(graphs.node('y', 'Cast', 'x', DstT=Type(8)))
    sentence = explain('ValueError: complex64 is odd', '', graph, ['y'])
    assert "data type complex64 of its operator Cast ('y')" in sentence


def test_any_other_error_is_passed_on(read) -> None:
    assert explain('KeyError: 7', '', read(), ['x']) == 'KeyError: 7'


def test_stack_traces_are_removed() -> None:
    text = ("InvalidArgumentError: Graph execution error:\n\nDetected at node 'a' defined at "
            "(most recent call last):\nNode: 'a'\nbad shape\n\t [[{{node a}}]]\n\n"
            "Original stack trace for 'a':\n  File x\n")
    assert shorten(text) == "InvalidArgumentError: Graph execution error: Node: 'a' bad shape"
    assert len(shorten('x' * 1000)) == 300


@pytest.mark.parametrize(('does', 'says'), [
    ('list', 'reported .*which is no report'), ('flood', 'reported .*which is no report'),
    ('silence', 'goes on without reports')])
def test_a_process_that_a_model_has_taken_over_takes_no_memory_and_has_an_end(
        converter, directory: Path, monkeypatch: pytest.MonkeyPatch, does: str, says: str,
) -> None:
    monkeypatch.setattr(process, '_ENDS', 0.5)
    monkeypatch.setattr(process, '_MAX_REPORTS', 1 << 20)
    converter.plan(does=does)
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(ConversionError, match=says):
            run(converter, directory, timeout=50.0)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize('unit', [
    'Tensorflow op [', 'Tensorflow op [a: b', 'a: ', '[[{{', 'Detected at node ', '"', ' ',
    'convert failed for name: "a" op: ', 'Original stack trace for', "Op type not registered '"])
def test_a_log_or_an_error_that_a_model_makes_long_takes_no_time(unit: str) -> None:
    text = unit * (2_000_000 // len(unit))
    began = time.process_time()
    unsupported_operators(text)
    assert len(shorten(text)) <= 300
    explain(text, text, Graph({}, []), [])
    assert time.process_time() - began < 8.0
