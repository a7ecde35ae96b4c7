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

"""TensorFlow files that would run something are refused before TensorFlow is started."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from typing import Any

from fake_converter import FakeConverter
import graphs
from graphs import FLOAT, node, piece
import pytest
from ros2_classify import ModelDescriptor
from ros2_classify.convert import api, sandbox
from ros2_classify.convert.api import convert
from ros2_classify.convert.process import _environment, _limits
from ros2_classify.convert.safety import check_frozen_graph, serving_copy
from ros2_classify.errors import ConversionError

IMAGE = {'input': (FLOAT, (None, 8, 8, 3))}
SCORES = {'softmax': (FLOAT, (None, 4))}
# Their effects: files, programs, connections, Python, other machines, the terminal.
REFUSED = ('WriteFile', 'ReadFile', 'MatchingFiles', 'PyFunc', 'PyFuncStateless', 'EagerPyFunc',
           'PrintV2', 'ImmutableConst', 'InitializeTableFromTextFileV2', 'GenerateVocabRemapping',
           'TextLineDataset', 'WholeFileReaderV2', 'RpcCall', 'Send', 'DebugIdentity', 'Save',
           'SaveV2', 'RestoreV2', 'RemoteCall', 'Abort', 'XlaCustomCallV2', 'NoSuchOperator', '')


def descriptor(kind: str) -> ModelDescriptor:
    return ModelDescriptor.from_mapping(
        {'name': 'tiny', 'format': kind, 'source': {'path': 'model'}})


def function(name: str, *nodes: bytes) -> bytes:
    return piece(1, piece(1, piece(1, name)) + b''.join(piece(3, item) for item in nodes))


def calling(name: str, called: str, *inputs: str, key: str = 'f') -> bytes:
    attribute = piece(5, piece(1, key) + piece(2, piece(10, piece(1, called))))
    return node(name, 'StatefulPartitionedCall', *inputs) + attribute


def model(*more: bytes, functions: bytes = b'', meta: bytes = b'',
          output: str = 'softmax_node') -> bytes:
    """Return a SavedModel whose signature ends at a node, with more nodes and functions."""
    content = graphs.classifier(*more, output=output)
    if functions:
        content += piece(2, functions)
    return graphs.saved_model(graphs.meta_graph(
        ['serve'], {'serving_default': graphs.signature(IMAGE, SCORES)}, content) + meta)


def copy(content: bytes) -> bytes:
    return serving_copy(memoryview(content), ['serve'], 'model')


@pytest.mark.parametrize('operator', REFUSED)
@pytest.mark.parametrize('place', ['graph', 'function'])
def test_operators_of_a_frozen_graph(operator: str, place: str) -> None:
    bad = node('bad', operator)
    content = graphs.classifier(bad) if place == 'graph' else graphs.classifier() + piece(
        2, function('f', bad))
    with pytest.raises(ConversionError, match=f'its operator {operator} .*bad.* is not allowed'):
        check_frozen_graph(memoryview(content), 'model')
    check_frozen_graph(memoryview(graphs.classifier()), 'model')


@pytest.mark.parametrize('operator', sorted(set(REFUSED) - {'SaveV2', 'RestoreV2'}))
@pytest.mark.parametrize('place', ['graph', 'function'])
def test_operators_of_a_saved_model(operator: str, place: str) -> None:
    bad = node('bad', operator)
    content = model(bad) if place == 'graph' else model(functions=function('f', bad))
    with pytest.raises(ConversionError, match=f'its operator {operator} .*bad.* is not allowed'):
        copy(content)


def test_nothing_is_started(tmp_path: Path, cache: Path, converter: FakeConverter) -> None:
    """Not even the interpreter that has TensorFlow gets a request."""
    (tmp_path / 'bad.pb').write_bytes(graphs.classifier(node('bad', 'WriteFile')))
    (tmp_path / 'saved_model.pb').write_bytes(model(node('bad', 'PyFunc')))
    for kind, path, name in (('frozen_graph', tmp_path / 'bad.pb', 'WriteFile'),
                             ('saved_model', tmp_path, 'PyFunc')):
        with pytest.raises(ConversionError, match=f'its operator {name}'):
            convert(descriptor(kind), path)
    assert converter.requests() == []


def test_tensorflow_gets_a_copy(tmp_path: Path, cache: Path, converter: FakeConverter) -> None:
    """Other files of the directory stay behind, above all a graph in another format."""
    (tmp_path / 'saved_model.pb').write_bytes(
        model(node('save', 'SaveV2', 'input'), node('after', 'Identity', 'save')))
    (tmp_path / 'saved_model.cpb').write_bytes(b'another graph')
    convert(descriptor('saved_model'), tmp_path)
    request, = converter.requests()
    assert Path(request['source']).parent.name.startswith('convert-')
    left = copy((tmp_path / 'saved_model.pb').read_bytes())
    assert left == model() and b'SaveV2' not in left
    assert not list(cache.rglob('saved_model'))


def test_functions_that_save_are_omitted_and_their_callers() -> None:
    functions = (function('saving', node('s', 'SaveV2')) + function('good', node('n', 'NoOp'))
                 + function('outer', calling('c', 'saving')))
    left = copy(model(calling('first', 'outer'), calling('second', 'good'),
                      node('third', 'Identity', 'first'), functions=functions))
    assert left == model(calling('second', 'good'), functions=function('good', node('n', 'NoOp')))


def test_a_result_that_depends_on_saving() -> None:
    inner = function('saving', node('deep', 'SaveV2'))
    for bad in (node('softmax_node', 'SaveV2'), calling('softmax_node', 'saving'),
                node('softmax_node', 'Identity', '^other')):
        others = [node('other', 'MergeV2Checkpoints')] if b'other' in bad else []
        with pytest.raises(ConversionError, match='operator (SaveV2|MergeV2Check.*) .*not all'):
            copy(model(bad, *others, functions=inner, output='unused'))


def test_variables_from_another_file() -> None:
    saver = piece(3, piece(1, 'name:0') + piece(3, 'restore'))
    restore = [graphs.placeholder('name'), node('restore', 'RestoreV2', 'name')]
    assert b'RestoreV2' in copy(model(*restore, meta=saver))
    for other in (b'', piece(3, piece(1, 'other:0'))):
        with pytest.raises(ConversionError, match='RestoreV2 .*reads a file of its own'):
            copy(model(*restore, meta=other))


@pytest.mark.parametrize('place', ['saved_model_main_op', 'legacy_init_op', 'signature'])
def test_what_runs_at_loading(place: str) -> None:
    def meta(name: str) -> bytes:
        if place == 'signature':
            tensor = piece(1, name) + piece(2, piece(1, f'{name}:0'))
            return piece(5, piece(1, '__saved_model_init_op') + piece(2, piece(2, tensor)))
        return piece(4, piece(1, place) + piece(2, piece(1, piece(1, name))))

    nodes = [node('nothing', 'NoOp', '^less'), node('less', 'NoOp'),
             node('fill', 'NoOp', '^table'), node('table', 'InitializeTableV2')]
    copy(model(*nodes, meta=meta('nothing')))
    with pytest.raises(ConversionError, match='runs the operator InitializeTableV2 .*main_op'):
        copy(model(*nodes, meta=meta('fill')))


def test_assets() -> None:
    with pytest.raises(ConversionError, match="the asset '../words.txt'"):
        copy(model(meta=piece(6, piece(2, '../words.txt'))))


def test_a_second_graph_is_not_overlooked() -> None:
    """Protocol buffers would join the two."""
    with pytest.raises(ConversionError, match='it has 2 graphs'):
        copy(model(meta=piece(2, graphs.graph(node('bad', 'WriteFile')))))
    with pytest.raises(ConversionError, match='two nodes of the graph have the same name'):
        copy(model(node('input', 'Placeholder')))


def test_only_the_chosen_graph_is_passed_on() -> None:
    training = graphs.meta_graph(['train'], {}, graphs.graph(node('bad', 'WriteFile')))
    content = graphs.saved_model(training) + model()[2:]
    assert copy(content) == model()


def test_the_number_of_graphs(tmp_path: Path) -> None:
    for count, words in ((4, 'has no signature'), (5, 'it has 5 graphs, more than the 4')):
        (tmp_path / 'saved_model.pb').write_bytes(
            graphs.saved_model(*[graphs.meta_graph(['serve'], {}, graphs.classifier())] * count))
        with pytest.raises(ConversionError, match=words):
            convert(descriptor('saved_model'), tmp_path)


@pytest.mark.parametrize('listed', [False, True])
def test_an_operator_called_as_a_function(listed: bool) -> None:
    call = piece(10, piece(1, 'WriteFile'))
    if listed:
        call = piece(1, piece(9, piece(1, 'WriteFile')))
    bad = node('bad', 'If') + piece(5, piece(1, 'then_branch') + piece(2, call))
    with pytest.raises(ConversionError, match="calls the function 'WriteFile', which is not in"):
        copy(model(bad))
    with pytest.raises(ConversionError, match="calls the function 'WriteFile', which is not in"):
        check_frozen_graph(memoryview(graphs.classifier(bad)), 'model')


def test_published_saved_models_pass(data: Path) -> None:
    for directory in (data / 'models').glob('*_saved_model'):
        content = (directory / 'saved_model.pb').read_bytes()
        assert 1000 < len(copy(content)) < len(content)


CHILD = """
import ctypes, json, os, resource, runpy, socket, subprocess, sys, threading
sandbox = runpy.run_path(sys.argv[1])
secret = os.open(sys.argv[3], os.O_RDONLY)
missing = sandbox['confine'](json.loads(sys.argv[5]))
def tried(action):
    try:
        action()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return 'done'
def connect(family, kind, place):
    with socket.socket(family, kind) as client:
        client.connect(place)
        client.send(b'x')
def call(number, *arguments):
    # A system call by its number; on x86_64, where the tests run.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), 'refused')
def thread():
    started = threading.Thread(target=len, args=('',))
    started.start()
    started.join()
outside, port = sys.argv[3], int(sys.argv[2])
local = ('127.0.0.1', port)
print(json.dumps({
    'missing': missing,
    'allowed': {
        'own file': tried(lambda: open('own', 'w').close()),
        'own directory': tried(lambda: os.makedirs('a/b')),
        'move': tried(lambda: os.rename('own', 'a/b/own')),
        'remove': tried(lambda: os.remove('a/b/own')),
        'read': tried(lambda: open(outside).close()),
        'null': tried(lambda: open('/dev/null', 'w').close()),
        'thread': tried(thread),
        'own signal': tried(lambda: os.kill(os.getpid(), 0)),
    },
    'writing': {
        'write': tried(lambda: open(outside, 'w').close()),
        'append': tried(lambda: open(outside, 'a').close()),
        'truncate': tried(lambda: os.truncate(outside, 0)),
        'new': tried(lambda: open(outside + '.new', 'w').close()),
        'directory': tried(lambda: os.mkdir(outside + '.new')),
        'pipe': tried(lambda: os.mkfifo(outside + '.new')),
        'remove': tried(lambda: os.remove(outside)),
        'move in': tried(lambda: os.rename(outside, 'stolen')),
        'link in': tried(lambda: os.link(outside, 'linked')),
        'link': tried(lambda: os.symlink('x', outside + '.link')),
    },
    'connections': {
        'tcp': tried(lambda: connect(socket.AF_INET, socket.SOCK_STREAM, local)),
        'udp': tried(lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, local)),
        'netlink': tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
        'unix': tried(lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, sys.argv[4])),
    },
    'calls': {
        'mode': tried(lambda: os.chmod(outside, 0o777)),
        'mode of an open file': tried(lambda: os.fchmod(secret, 0o777)),
        'owner': tried(lambda: os.chown(outside, os.getuid(), os.getgid())),
        'times': tried(lambda: os.utime(outside, (1, 1))),
        'attribute': tried(lambda: os.setxattr(outside, 'user.x', b'x')),
        'program': tried(lambda: subprocess.run(['/bin/true'])),
        'signal': tried(lambda: os.kill(os.getppid(), 0)),
        'all signals': tried(lambda: os.kill(-1, 0)),
        'session': tried(os.setsid if os.getpid() != os.getsid(0) else lambda: 1 / 0),
        'group': tried(lambda: os.setpgid(0, 0)),
        'trace': tried(lambda: call(101, 16, os.getppid(), 0, 0)),
        'memory of others': tried(lambda: call(311, os.getppid(), 0, 0, 0, 0, 0)),
        'io_uring': tried(lambda: call(425, 1, ctypes.create_string_buffer(120))),
        'namespace': tried(lambda: call(272, 0x10000000)),
        'mount': tried(lambda: call(165, b'none', b'.', b'tmpfs', 0, None)),
        'keys': tried(lambda: call(250, 0, -3, 0)),
        'bpf': tried(lambda: call(321, 0, None, 0)),
    },
    'memory': tried(lambda: bytearray(4 << 30)) if sys.argv[6] == 'file' else '',
    'environment': sorted(os.environ)}))
sys.stdout.flush()
if sys.argv[6] == 'file':
    with open('large', 'wb') as file:
        while True:
            file.write(bytes(1 << 16))
while sys.argv[6] == 'time':
    pass
if sys.argv[6] == 'other calls':
    # getpid of the calls with 32-bit pointers that the x86_64 kernel has too.
    call(0x40000000 + 39)
"""


@pytest.fixture
def confined(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], int]]:
    """Return a function that runs CHILD; it returns what was tried, and the exit code."""
    work, outside = tmp_path / 'work', tmp_path / 'outside'
    work.mkdir()
    outside.write_text('here')
    outside.chmod(0o640)

    def run(end: str = '', **limits: int) -> tuple[dict[str, Any], int]:
        before = outside.stat()
        with socket.socket() as server, socket.socket(socket.AF_UNIX) as local:
            server.bind(('127.0.0.1', 0))
            server.listen()
            # A path longer than 107 bytes can't be bound to.
            with tempfile.TemporaryDirectory() as short:
                local.bind(f'{short}/socket')
                local.listen()
                done = subprocess.run(
                    [sys.executable, '-c', CHILD, sandbox.__file__, str(server.getsockname()[1]),
                     str(outside), f'{short}/socket',
                     json.dumps({**_limits(60.0), **limits}), end],
                    cwd=work, timeout=60, check=False, env=_environment(sys.executable),
                    capture_output=True, text=True)
        assert done.stdout, done.stderr
        after = outside.stat()
        assert outside.read_text() == 'here' and after.st_mode == before.st_mode
        assert after.st_mtime == before.st_mtime and not list(tmp_path.glob('outside.*'))
        return json.loads(done.stdout), done.returncode

    return run


def test_what_a_conversion_needs_is_allowed(confined: Callable[..., Any]) -> None:
    found, code = confined()
    assert set(found['allowed'].values()) == {'done'}, found
    assert code == 0


@pytest.mark.parametrize(('kind', 'needs'), [
    ('writing', 'writing'), ('connections', 'no network'), ('calls', 'seccomp')])
def test_what_the_sandbox_refuses(kind: str, needs: str, confined: Callable[..., Any]) -> None:
    """Each of these is tried in the sandbox; what it changes would be seen outside."""
    found, _ = confined()
    if any(needs in what for what in found['missing']):
        pytest.skip(f'this kernel cannot: {found["missing"]}')
    done = {name: result for name, result in found[kind].items()
            if result not in ('PermissionError', 'OSError')}
    assert not done and len(found[kind]) > 3, found


def test_the_limits_of_memory_files_and_time(
        confined: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SECRET_TOKEN', 'x')
    found, code = confined('file', RLIMIT_AS=3 << 30, RLIMIT_FSIZE=1 << 20)
    assert found['memory'] == 'MemoryError' and 'SECRET_TOKEN' not in found['environment']
    assert (tmp_path / 'work' / 'large').stat().st_size <= 1 << 20 and code != 0
    assert confined('time', RLIMIT_CPU=2)[1] in (-signal.SIGXCPU, -signal.SIGKILL)


@pytest.mark.skipif(platform.machine() != 'x86_64', reason='these calls are of x86_64')
def test_calls_by_other_numbers_end_the_process(confined: Callable[..., Any]) -> None:
    found, code = confined('other calls')
    if any('seccomp' in what for what in found['missing']):
        pytest.skip(f'this kernel cannot: {found["missing"]}')
    assert code == -signal.SIGSYS


def test_the_numbers_of_the_system_calls() -> None:
    """They are those of the kernel's headers, where these are installed."""
    headers = [path for path in (Path('/usr/include/x86_64-linux-gnu/asm/unistd_64.h'),
                                 Path('/usr/include/asm/unistd_64.h')) if path.is_file()]
    if not headers:
        pytest.skip('the headers of the kernel are not installed')
    known = dict(re.findall(r'#define __NR_(\w+) (\d+)', headers[0].read_text()))
    other = Path('/usr/include/asm-generic/unistd.h')
    generic = dict(re.findall(r'#define __NR(?:3264)?_(\w+) (\d+)', other.read_text()))
    named = {**sandbox._REFUSED, 'kill': sandbox._SIGNALS[0], 'tgkill': sandbox._SIGNALS[1]}
    for name, numbers in named.items():
        assert int(known.get(name, numbers[0])) == numbers[0], name
        if numbers[-1] is not None:
            assert int(generic.get(name, numbers[-1])) == numbers[-1], name
    assert len(set(named) & set(known)) > 60


def test_a_processor_without_a_table_is_said() -> None:
    assert sandbox._filter_calls(None, 'riscv64') == 'no table for riscv64'


def test_what_the_process_wrote_is_bounded(
    frozen: Path, cache: Path, converter: FakeConverter, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model decides how long the log and how large the outputs are."""
    monkeypatch.setattr(api, '_MAX_LOG', 100)
    converter.plan(log='Tensorflow op [n: Early] is not supported\n' + 'x' * 1000)
    convert(descriptor('frozen_graph'), frozen)
    converter.plan(log='x' * 1000 + '\nTensorflow op [n: Late] is not supported')
    monkeypatch.setattr(api, '_MAX_RESULTS', 10)
    shutil.rmtree(cache)
    with pytest.raises(ConversionError, match='Late'):
        convert(descriptor('frozen_graph'), frozen)
    converter.plan(log='')
    with pytest.raises(ConversionError, match='outputs for one image take .* more than the 10'):
        convert(descriptor('frozen_graph'), frozen)


def test_what_is_not_limited_is_said(
    frozen: Path, cache: Path, converter: FakeConverter, caplog: pytest.LogCaptureFixture,
) -> None:
    converter.plan(not_limited=['no network (Operation not permitted)'])
    convert(descriptor('frozen_graph'), frozen)
    assert 'no network (Operation not permitted) is not available' in caplog.text
