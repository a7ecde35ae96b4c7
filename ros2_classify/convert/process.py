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

"""The process that converts: its Python, its time limit, and the cause if it fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
import json
import logging
import os
from pathlib import Path
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from ros2_classify.convert import worker
from ros2_classify.convert.graph import Graph
from ros2_classify.errors import ConversionError, FetchCancelledError
from ros2_classify.progress import default_step_progress, human_time, StepProgress

_log = logging.getLogger('ros2_classify')

_INSTEAD = ('use an ONNX export of this model if there is one, or export the model again with a '
            'current TensorFlow (as a SavedModel) without it')

# The lines of the log about operators without an ONNX counterpart (tf2onnx/tfonnx.py).
# Bounded: a model decides what its nodes are called.
_UNSUPPORTED = re.compile(
    r'Tensorflow op \[(?P<node>[^\]\n]{0,300}): (?P<op>[^\]:\n]{1,100})\] is not supported')
_UNKNOWN = re.compile(r"Op type not registered '(?P<op>[^']+)'")
_REJECTED = re.compile(r'convert failed for name: "(?P<node>[^"]+)"\s+op: "(?P<op>[^"]+)"')

# Types that ONNX lacks: its int8 and uint8 have scale and zero point as separate tensors.
_QUANTIZED = ('qint8', 'quint8', 'qint16', 'quint16', 'qint32')
_OTHER_TYPES = ('complex64', 'complex128', 'resource', 'variant', 'string')
# Characters of an exception's text that are looked at, and of all that the process may report.
_MAX_ERROR, _MAX_REPORTS = 10_000, 16 << 20
# The arrays of TensorFlow 1's loops; tf2onnx converts known patterns only.
_OLD_ARRAYS = re.compile(r'TensorArray\w*V[123]')
_OLD_LOOPS = ('Enter', 'Exit', 'NextIteration', 'RefEnter', 'RefExit', 'RefNextIteration')


def unsupported_operators(log: str) -> list[str]:
    """Return the operators that the log of tf2onnx reports as unsupported."""
    return sorted({match['op'] for match in _UNSUPPORTED.finditer(log)})


def explain(error: str, log: str, graph: Graph, outputs: Iterable[str]) -> str:
    """Return the cause of a failed conversion, by nodes the outputs need, and the next step."""
    outputs = list(outputs)
    nodes = list(graph.needed(outputs).values() if outputs else graph.nodes.values())
    nodes += graph.library
    operators = {node.op: node.name for node in reversed(nodes)}
    unknown = [match['op'] for match in _UNKNOWN.finditer(f'{error}\n{log}')]
    if unknown:
        return (f'TensorFlow itself does not know its operator {unknown[0]} (from another '
                f'library, or removed); {_INSTEAD}')
    missing = unsupported_operators(log)
    if missing:
        return f'ONNX has no counterpart for its {_several("operator", missing)}; {_INSTEAD}'
    rejected = _REJECTED.search(log)
    if rejected and _OLD_ARRAYS.fullmatch(rejected['op']):
        return (f'its loops store their results in TensorFlow 1\'s {rejected["op"]} '
                f'({rejected["node"]!r}), which tf2onnx cannot convert here; {_INSTEAD}')
    types = {kind: node for node in reversed(nodes) for kind in node.data_types()}
    quantized = [kind for kind in _QUANTIZED if kind in types]
    if quantized:
        node = types[quantized[0]]
        return (f'ONNX has no data type {quantized[0]}, which its weights have '
                f'({node.op} {node.name!r}); use the floating-point version of this model')
    if rejected:
        return (f'tf2onnx fails at its operator {rejected["op"]} ({rejected["node"]!r}): '
                f'{shorten(error)}; {_INSTEAD}')
    loops = sorted(op for op in operators if op in _OLD_LOOPS)
    if loops:
        return (f'its loops consist of TensorFlow 1\'s {_several("operator", loops)} in a way '
                f'that tf2onnx does not convert ({shorten(error)}); {_INSTEAD}')
    others = [kind for kind in _OTHER_TYPES if kind in types and kind in error.lower()]
    if others:
        node = types[others[0]]
        return (f'ONNX Runtime has no kernels for the data type {others[0]} of its operator '
                f'{node.op} ({node.name!r}); {_INSTEAD}')
    return shorten(error)


def _several(word: str, names: list[str]) -> str:
    return f'{word}{"s" if len(names) > 1 else ""} {", ".join(names)}'


def shorten(error: str) -> str:
    """Return an exception's text as one line without TensorFlow's stack traces."""
    text = error[:_MAX_ERROR].partition('Original stack trace for')[0]
    text = re.sub(r'Detected at node .*\(most recent call last\):', '', text)
    text = ' '.join(re.sub(r'\[\[\{\{.*?\}\}\]\]', '', text).split()).rstrip('.')
    return text if len(text) <= 300 else f'{text[:299]}…'


PYTHON = 'ROS2_CLASSIFY_CONVERTER_PYTHON'
LOG = 'convert.log'

# All of them provide the module tensorflow.
_TENSORFLOWS = ('tensorflow', 'tensorflow-cpu', 'tensorflow-intel', 'tensorflow-aarch64',
                'tensorflow-macos', 'tensorflow-rocm', 'tf-nightly', 'tf-nightly-cpu')
_PROBE = f"""
import json
from importlib import metadata
from importlib.util import find_spec
def version(names):
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
print(json.dumps([version(['tf2onnx']) if find_spec('tf2onnx') else None,
                  version({_TENSORFLOWS}) if find_spec('tensorflow') else None]))
"""
_PROBE_SECONDS = 120.0
_PASSED = frozenset((
    'PATH', 'LD_LIBRARY_PATH', 'PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'LANG', 'TZ', 'HOME',
    'OMP_NUM_THREADS'))
_FILE_BYTES = 4 << 30
# TensorFlow maps far more than it uses: less is not enough to start it.
_LEAST_MEMORY, _MOST_MEMORY = 6 << 30, 32 << 30
# Keeps the worker's directory off the module path: modules of this package have common names.
_LAUNCH = 'import runpy, sys; runpy.run_path(sys.argv[1], run_name="__main__")'
_TICK = 0.2
# Seconds in which it has to end after its last report.
_ENDS = 30.0


class WorkerError(ConversionError):
    """An exception of TensorFlow or tf2onnx; if `converted`, TensorFlow couldn't run the model."""

    def __init__(self, message: str, *, converted: bool = False) -> None:
        super().__init__(message)
        self.converted = converted


@dataclass(frozen=True)
class Converter:
    """A Python interpreter that has TensorFlow and tf2onnx, and their versions."""

    python: str
    tf2onnx: str
    tensorflow: str

    @property
    def name(self) -> str:
        """The name of its directory in the cache."""
        return f'tf2onnx-{self.tf2onnx}_tensorflow-{self.tensorflow}'


def choose_python(
    python: str | None = None, environ: Mapping[str, str] | None = None,
) -> str:
    """Return the interpreter to convert with: named, from the environment, or this one."""
    named = python or (os.environ if environ is None else environ).get(PYTHON, '').strip()
    if not named:
        return sys.executable
    found = shutil.which(os.path.expanduser(named))
    if found is None:
        where = 'the parameter python' if python else PYTHON
        raise ConversionError(
            f'{where} is {named}, which is not a program; set it to a Python that has tensorflow '
            'and tf2onnx, like /home/me/tensorflow/bin/python')
    return found


def find_converter(python: str) -> Converter | None:
    """Return None if an interpreter lacks TensorFlow or tf2onnx; neither is imported."""
    if python == sys.executable:
        versions = [_version(['tf2onnx']) if find_spec('tf2onnx') else None,
                    _version(_TENSORFLOWS) if find_spec('tensorflow') else None]
    else:
        try:
            done = subprocess.run(
                [python, '-c', _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS,
                env=_environment(python), stdin=subprocess.DEVNULL, check=True)
            versions = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise ConversionError(
                f'{python} does not run as a Python interpreter ({error}); set {PYTHON} to one '
                'that has tensorflow and tf2onnx') from error
    tf2onnx, tensorflow = versions
    return Converter(python, tf2onnx, tensorflow) if tf2onnx and tensorflow else None


def run_worker(
    python: str, directory: Path, *, label: str, timeout: float,
    progress: StepProgress | None = None, cancel: threading.Event | None = None,
) -> dict[str, Any]:
    """
    Run the worker in a directory with its request, and return its report.

    WorkerError if TensorFlow or tf2onnx raised one, ConversionError if the process died or took
    too long, FetchCancelledError if `cancel` was set.
    """
    show = progress or default_step_progress()
    started, stage, outcome = time.monotonic(), 'starting', {}
    with open(directory / LOG, 'wb') as log, _process(
            python, directory, log, timeout) as process:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read_lines, args=(process, lines), daemon=True).start()
        try:
            while True:
                passed = time.monotonic() - started
                if cancel is not None and cancel.is_set():
                    raise FetchCancelledError(f'converting {label} was cancelled')
                if passed > timeout:
                    raise ConversionError(
                        f'converting {label} took more than {human_time(timeout)} and was stopped '
                        f'while {stage}; allow more time (--timeout, or the parameter '
                        'conversion_timeout of a node), or convert it on a faster machine')
                show(f'converting {label} to ONNX, once: {stage} ({human_time(passed)})', False)
                try:
                    line = lines.get(timeout=_TICK)
                except queue.Empty:
                    continue
                if line is None:
                    break
                report = _report(line)
                stage = report.get('stage', stage)
                outcome.update(report)
        finally:
            show('', True)
        try:
            code = process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            code = 0
            if not {'result', 'error'} & outcome.keys():
                raise ConversionError(
                    f'the conversion process of {label} reported too much, or goes on without '
                    'reports; it was stopped') from None
    if 'result' in outcome:
        result: dict[str, Any] = outcome['result']
        for missing in result.get('not_limited', ()):
            _log.warning('converting %s: this machine does not limit TensorFlow fully: %s is not '
                         'available; convert models of unknown origin on another', label, missing)
        return result
    if 'error' in outcome:
        raise WorkerError(str(outcome['error']), converted='converted' in outcome)
    how = f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'
    memory = ' (usually not enough memory)' if code == -signal.SIGKILL else ''
    raise ConversionError(f'the conversion process ended with {how}{memory} while {stage}')


def _version(names: tuple[str, ...] | list[str]) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _environment(python: str) -> dict[str, str]:
    """Return what the interpreter needs of this process's environment: no tokens or proxies."""
    environ = {name: value for name, value in os.environ.items()
               if name in _PASSED or name.startswith('LC_')}
    if python != sys.executable:
        # A sourced ROS 2 puts its Python packages there, made for another interpreter.
        for name in ('PYTHONPATH', 'PYTHONHOME'):
            environ.pop(name, None)
    # Not on the robot's GPU; and ONNX is compared with TensorFlow's plain kernels.
    environ.update(CUDA_VISIBLE_DEVICES='-1', TF_ENABLE_ONEDNN_OPTS='0', TF_CPP_MIN_LOG_LEVEL='2')
    return environ


def _limits(timeout: float) -> dict[str, int]:
    """Return the limits of the worker: a model that takes more is refused by the kernel."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return {'RLIMIT_AS': min(max(memory, _LEAST_MEMORY), _MOST_MEMORY),
            'RLIMIT_CPU': int(timeout) * (os.cpu_count() or 1) + 1,
            'RLIMIT_FSIZE': _FILE_BYTES, 'RLIMIT_CORE': 0}


@contextmanager
def _process(
    python: str, directory: Path, log: Any, timeout: float,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the worker; at the end of the block, kill it with all that it started."""
    program = str(Path(worker.__file__).resolve())
    environ = {**_environment(python), worker.LIMITS: json.dumps(_limits(timeout)),
               'HOME': str(directory.absolute()), 'TMPDIR': str(directory.absolute()),
               'PYTHONDONTWRITEBYTECODE': '1'}
    process = subprocess.Popen(
        [python, '-c', _LAUNCH, program], cwd=directory, env=environ,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _read_lines(process: subprocess.Popen[bytes], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    try:
        left = _MAX_REPORTS
        while left > 0 and (line := process.stdout.readline(left)):
            left -= len(line)
            lines.put(line.decode('utf-8'))
    except ValueError:
        pass  # the pipe was closed: the work was stopped
    lines.put(None)


def _report(line: str) -> dict[str, Any]:
    try:
        report = json.loads(line)
        if isinstance(report, dict):
            return report
    except (ValueError, RecursionError):
        pass
    raise ConversionError(f'the conversion process reported {shorten(line)!r:.100}, which is no '
                          'report: the model has taken it over, or the disk is full')
