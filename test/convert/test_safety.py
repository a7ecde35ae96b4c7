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

import json
from pathlib import Path
import shutil
import socket
import subprocess
import sys

from fake_converter import FakeConverter
import graphs
from graphs import FLOAT, node, piece
import pytest
from ros2_classify import ModelDescriptor
from ros2_classify.convert import api, worker
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
import json, os, resource, socket, sys
sys.path.insert(0, sys.argv[1])
import worker
missing = worker.confine(json.loads(os.environ[worker.LIMITS]))
def tried(action):
    try:
        action()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return 'done'
def connect():
    with socket.socket() as client:
        client.connect(('127.0.0.1', int(sys.argv[2])))
outside = sys.argv[3]
print(json.dumps({
    'missing': missing,
    'own file': tried(lambda: open('own', 'w').close()),
    'read': tried(lambda: open(outside).close()),
    'write': tried(lambda: open(outside, 'w').close()),
    'append': tried(lambda: open(outside, 'a').close()),
    'truncate': tried(lambda: os.truncate(outside, 0)),
    'new': tried(lambda: open(outside + '.new', 'w').close()),
    'remove': tried(lambda: os.remove(outside)),
    'link': tried(lambda: os.symlink('x', outside + '.link')),
    'connect': tried(connect),
    'memory': tried(lambda: bytearray(4 << 30)),
    'environment': sorted(os.environ)}))
with open('large', 'wb') as file:
    while True:
        file.write(bytes(1 << 16))
"""


def test_the_process_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes in its directory only, connects to nothing, and ends at the size of a file."""
    monkeypatch.setenv('SECRET_TOKEN', 'x')
    work, outside = tmp_path / 'work', tmp_path / 'outside'
    work.mkdir()
    outside.write_text('here')
    limits = {**_limits(60.0), 'RLIMIT_AS': 3 << 30, 'RLIMIT_FSIZE': 1 << 20}
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen()
        done = subprocess.run(
            [sys.executable, '-c', CHILD, str(Path(worker.__file__).parent),
             str(server.getsockname()[1]), str(outside)], cwd=work, timeout=60, check=False,
            env={**_environment(sys.executable), worker.LIMITS: json.dumps(limits)},
            capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found['own file'] == found['read'] == 'done'
    assert found['memory'] == 'MemoryError'
    assert 'SECRET_TOKEN' not in found['environment']
    assert (work / 'large').stat().st_size <= 1 << 20 and done.returncode != 0
    if any('writing' in what for what in found['missing']):
        pytest.skip(f'this kernel cannot: {found["missing"]}')
    for action in ('write', 'append', 'truncate', 'new', 'remove', 'link'):
        assert found[action] == 'PermissionError', (action, found)
    assert outside.read_text() == 'here'
    if not any('no network' in what for what in found['missing']):
        assert found['connect'] in ('PermissionError', 'OSError'), found


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
