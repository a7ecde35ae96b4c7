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

"""
Test the engine for remote model servers, and what it says of each fault.

The server is a fake with real sockets; ``test_real_servers.py`` is for real ones.
"""

from contextlib import ExitStack
import logging
from pathlib import Path
import time

import numpy as np
import pytest
from remote_server import FakeServer, means, serving
from ros2_classify.engines import bind, EngineSettings
from ros2_classify.engines.remote import problems
from ros2_classify.engines.remote.engine import RemoteEngine
from ros2_classify.errors import EngineError, RemoteError
from ros2_classify.model.remote_url import RemoteUrl
from ros2_classify.testing import FakeEngine, tensor

IMAGE = np.random.default_rng(1).random((1, 3, 8, 8), np.float32)
# Independent of the product and of the fake: sums by hand.
WANTED = np.array([[sum(map(float, IMAGE[0, channel].flat)) / 64 for channel in range(3)]])


@pytest.fixture
def fake():
    with serving() as (server, url):
        server.url = url
        yield server


@pytest.fixture
def opened(fake):
    with ExitStack() as stack:
        def make(query='', timeout=5.0, local=None, url=None):
            engine = RemoteEngine(
                RemoteUrl.parse(f'{url or fake.url}/colors{query}'),
                EngineSettings(remote_timeout=timeout), local)
            stack.callback(engine.close)
            return engine

        yield make


def blocks():
    return set(Path('/dev/shm').glob('ros2_classify_*'))


def local_model(add=0.0):
    return FakeEngine([tensor('image', [1, 3, 8, 8])], [tensor('scores', [1, 3])],
                      lambda inputs: {'scores': means(inputs)['scores'] + np.float32(add)},
                      provider='Here')


@pytest.mark.parametrize('query', ['', '?shared_memory=false'])
def test_outputs_are_those_of_the_model(opened, fake, query):
    before = blocks()
    engine = opened(query)
    image = IMAGE.copy()
    run = bind(engine, {'image': image})
    assert np.allclose(run()['scores'], WANTED, atol=1e-6)
    assert blocks() == before  # nothing is left of a process that is killed
    image[:] = 1.0  # read in place
    assert np.allclose(run()['scores'], 1.0)
    assert np.allclose(engine.infer({'image': IMAGE})['scores'], WANTED, atol=1e-6)
    shared = 'shared_memory_region' in fake.calls[0]['inputs'][0]['parameters']
    assert shared == (not query)
    assert engine.transport == ('HTTP and shared memory' if shared else 'HTTP')
    assert str(engine.inputs[0]) == "'image' float32 [1, 3, 8, 8]"
    assert engine.notices() == []
    engine.close()
    assert blocks() == before and fake.regions == {}
    with pytest.raises(EngineError, match='is closed'):
        run()


def test_one_connection_serves_a_thread(opened, fake, monkeypatch):
    from ros2_classify.engines.remote import engine as module

    count = []
    real = module.connect
    monkeypatch.setattr(module, 'connect', lambda *args: count.append(1) or real(*args))
    run = bind(opened(), {'image': IMAGE})
    for _ in range(5):
        run()
    assert len(count) == 1


def test_a_closed_idle_connection_is_no_fault(opened, fake):
    fake.keeps = False
    engine = opened('?shared_memory=false')
    run = bind(engine, {'image': IMAGE})
    for _ in range(3):
        assert np.allclose(run()['scores'], WANTED, atol=1e-6)
    assert engine.notices() == []


def test_batches_by_the_first_dimension(opened, fake):
    fake.inputs[0]['shape'][0] = fake.outputs[0]['shape'][0] = -1
    fake.max_batch = 4
    engine = opened()
    assert engine.inputs[0].shape[0] == 'batch' and engine.max_batch == 4
    for count in (1, 3):
        found = bind(engine, {'image': np.repeat(IMAGE, count, 0)})()['scores']
        assert found.shape == (count, 3) and np.allclose(found, WANTED, atol=1e-6)


def test_a_server_without_shared_memory(opened, fake, caplog):
    caplog.set_level(logging.INFO)
    fake.shares = False
    engine = opened()
    assert np.allclose(bind(engine, {'image': IMAGE})()['scores'], WANTED, atol=1e-6)
    assert engine.transport == 'HTTP'
    assert 'do not go through shared memory' in caplog.text


def test_a_restarted_server_gets_the_shared_memory_again(opened, fake):
    engine = opened()
    run = bind(engine, {'image': IMAGE})
    run()
    old = dict(fake.regions)
    fake.regions.clear()
    assert np.allclose(run()['scores'], WANTED, atol=1e-6)
    assert fake.regions and not fake.regions.keys() & old.keys()
    (kind, fields), = engine.notices()
    assert kind == 'restarted' and fields['count'] == 1


def test_memory_of_a_request_without_a_reply_is_never_used_again(opened, fake):
    engine = opened(timeout=0.3)
    run = bind(engine, {'image': IMAGE})
    run()
    first = set(fake.regions)
    fake.frozen.set()
    begun = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        run()
    assert caught.value.kind == 'slow' and time.monotonic() - begun < 2.0
    # The server goes on, with the first request as well, whose late result must not be seen.
    fake.frozen.clear()
    found = run()['scores']
    fake.model = lambda inputs: {'scores': np.full((1, 3), 7, np.float32)}
    fake.thawed.set()
    deadline = time.monotonic() + 5
    while not fake.late and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(fake.late) <= first and fake.late
    assert np.allclose(found, WANTED, atol=1e-6)


def test_a_server_that_sends_byte_by_byte(opened, fake):
    engine = opened('?shared_memory=false', timeout=0.4)
    fake.dribbles = True
    begun = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind == 'slow' and time.monotonic() - begun < 1.5


def test_nobody_listens(opened):
    with pytest.raises(RemoteError) as caught:
        opened(url='http://127.0.0.1:9')
    assert caught.value.kind == 'refused'
    assert str(caught.value).startswith('http://127.0.0.1:9/colors cannot be reached: Connection')


def test_the_model_is_not_there(opened, fake):
    fake.name = 'another'
    with pytest.raises(RemoteError) as caught:
        opened()
    assert caught.value.kind == 'wrong_model' and "'colors' is not found" in str(caught.value)


def test_the_model_is_unloaded(opened, fake):
    engine = opened()
    fake.status = 400, "Request for unknown model: 'colors' has no available versions"
    with pytest.raises(RemoteError) as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind == 'wrong_model'
    assert engine.notices()[0][0] == 'wrong_model'
    fake.status = None
    engine.infer({'image': IMAGE})
    assert engine.notices() == []


def test_the_model_fails(opened, fake):
    engine = opened()
    fake.status = 500, 'out of\nmemory\x1b[31m ' + 1000 * 'x'
    with pytest.raises(RemoteError) as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind == 'failed'
    assert 'out of memory [31m' in str(caught.value) and len(str(caught.value)) < 500


def test_another_model_behind_the_same_name(opened, fake):
    engine = opened()
    fake.model = lambda inputs: {'scores': np.zeros((1, 4), np.float32)}
    with pytest.raises(RemoteError, match=r"float32 \[1, 4\] in place of 'scores'") as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind == 'changed'
    # The next connection compares the metadata.
    fake.inputs[0]['shape'] = [1, 3, 16, 16]
    with pytest.raises(RemoteError, match='3, 16, 16') as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind == 'changed'


def test_another_version_is_said(opened, fake):
    engine = opened()
    engine.infer({'image': IMAGE})
    fake.version = '2'
    engine.infer({'image': IMAGE})
    (kind, fields), = engine.notices()
    assert kind == 'version' and (fields['old'], fields['new']) == ('1', '2')
    opened('?version=2')
    assert fake.paths[-2:] == ['/v2/models/colors/versions/2', '/v2']


def test_a_connection_that_breaks_is_tried_once_more(opened, fake):
    engine = opened('?shared_memory=false')
    fake.closes = True
    with pytest.raises(RemoteError) as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind == 'refused' and len(fake.calls) == 2


def test_tokens_go_to_their_server_only(opened, fake, monkeypatch):
    fake.token = 'secret-17'
    with pytest.raises(RemoteError) as caught:
        opened()
    assert caught.value.kind == 'unauthorized'
    assert f'ROS2_CLASSIFY_HTTP_TOKEN to "{fake.url} TOKEN"' in str(caught.value)
    monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', 'http://127.0.0.1:1 secret-17')
    with pytest.raises(RemoteError) as caught:
        opened()
    assert 'Authorization' not in fake.headers[-1]
    monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', f'{fake.url} secret-17')
    assert np.allclose(opened().infer({'image': IMAGE})['scores'], WANTED, atol=1e-6)
    fake.token = 'changed'
    with pytest.raises(RemoteError) as caught:
        opened()
    assert 'secret' not in f'{caught.value} {caught.value.fields}'


OUTPUT = '{"name": "scores", "datatype": "FP32", "shape": [1, 3]'


@pytest.mark.parametrize('reply', [
    b'[]', b'{}', b'\xff\xfe', b'[' * 100000, b'{"outputs": [7]}',
    f'{{"outputs": [{OUTPUT}}}]}}'.encode(),
    f'{{"outputs": [{OUTPUT}, "parameters": {{"binary_data_size": 8}}}}]}}|1234567'.encode(),
    f'{{"outputs": [{OUTPUT}, "parameters": {{"binary_data_size": 12}}}}]}}|1234567'.encode(),
    f'{{"outputs": [{OUTPUT}, "parameters": {{"binary_data_size": 12}}}}]}}|{13 * "x"}'.encode(),
    OUTPUT.join(['{"outputs": [', ', "data": [1, 2]}]}']).encode(),
    b'{"outputs": [{"name": "scores", "datatype": "FP32", "shape": [1000000000, 1000000000]}]}',
    b'{"outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}]}',
    b'{"outputs": [{"name": "scores", "datatype": "BYTES", "shape": [1, 3]}]}',
    b'{"outputs": [{"name": "scores", "datatype": "no", "shape": "no"}]}',
    b'{"outputs": []}'])
def test_replies_that_make_no_sense(opened, fake, reply):
    engine = opened('?shared_memory=false')
    fake.reply = reply
    with pytest.raises(RemoteError) as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind in ('failed', 'changed')
    fake.reply = None
    assert np.allclose(engine.infer({'image': IMAGE})['scores'], WANTED, atol=1e-6)


NUMBERS = (f'{{"outputs": [{OUTPUT}, "data": [0.5, 1, 2]}}]}}').encode()
HEAD = b'HTTP/1.1 200 OK\r\n'


@pytest.mark.parametrize('raw', [
    HEAD + b'content-length: %d\r\n\r\n' % len(NUMBERS) + NUMBERS,
    HEAD + b'Content-Length:  %d \r\nConnection: close\r\n\r\n' % len(NUMBERS) + NUMBERS,
    HEAD + b'Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n' % (
        len(NUMBERS), NUMBERS),
    b'HTTP/1.1 100 Continue\r\n\r\n' + HEAD + b'\r\n' + NUMBERS,
    b'HTTP/1.0 200\r\n\r\n' + NUMBERS])
def test_ways_to_end_a_response(opened, fake, raw):
    engine = opened('?shared_memory=false')
    fake.raw = raw
    for _ in range(2):
        assert engine.infer({'image': IMAGE})['scores'].tolist() == [[0.5, 1.0, 2.0]]


@pytest.mark.parametrize('raw', [
    b'\x00' * 100, b'SSH-2.0-OpenSSH\r\n', b'HTTP/2 200 OK\r\n\r\n',
    b'HTTP/1.1 99 x\r\n\r\n', HEAD,
    HEAD + b'Content-Length: -1\r\n\r\n', HEAD + b'Content-Length: 99999999999999999\r\n\r\n',
    HEAD + b'x: y\r\n' * 101 + b'\r\n', HEAD + b'no colon\r\n\r\n', HEAD + b'x' * 70000,
    b'HTTP/1.1 100 Continue\r\n\r\n' * 200,
    HEAD + b'Transfer-Encoding: chunked\r\n\r\nzz\r\n'])
def test_heads_that_make_no_sense(opened, fake, raw):
    engine = opened('?shared_memory=false')
    fake.raw = raw
    with pytest.raises(RemoteError) as caught:
        engine.infer({'image': IMAGE})
    assert caught.value.kind == 'refused'
    fake.raw = b''
    assert np.allclose(engine.infer({'image': IMAGE})['scores'], WANTED, atol=1e-6)


def test_numbers_as_text_are_read(opened, fake):
    engine = opened('?shared_memory=false')
    fake.reply = OUTPUT.join(['{"outputs": [', ', "data": [0.5, 1, 2]}]}']).encode()
    assert engine.infer({'image': IMAGE})['scores'].tolist() == [[0.5, 1.0, 2.0]]


@pytest.mark.parametrize('array', [
    IMAGE.astype(np.float64), IMAGE[:, :, :4], IMAGE[0], IMAGE[:, :, ::-1]])
def test_arrays_that_do_not_fit(opened, array):
    with pytest.raises(EngineError, match=r"it takes 'image' float32 \[1, 3, 8, 8\]"):
        bind(opened(), {'image': array})


def test_the_local_model_takes_over_and_says_so(opened, caplog):
    fake, local = FakeServer(), local_model()
    with serving(fake) as (_, url):
        engine = opened(url=url, timeout=2.0, local=local)
        run = bind(engine, {'image': IMAGE})
        run()
        used = len(local.calls)
        assert engine.provider == f'{url}/colors' and not engine.notices()
    assert np.allclose(run()['scores'], WANTED, atol=1e-6)
    assert len(local.calls) == used + 1 and engine.provider == 'Here'
    kind, fields = engine.notices()[0]
    assert kind == 'fallback'
    assert problems.SENTENCES[kind].format(**fields).startswith(
        f'the model runs on this machine (Here) and not on {url}/colors, which is tried again in')
    assert 'cannot be reached' in caplog.text
    fake.regions.clear()
    with serving(fake, port=int(url.rpartition(':')[2])):
        deadline = time.monotonic() + 10
        while engine.provider == 'Here' and time.monotonic() < deadline:
            time.sleep(0.02)
        calls = len(fake.calls)
        assert np.allclose(run()['scores'], WANTED, atol=1e-6)
        assert len(fake.calls) > calls and engine.provider == f'{url}/colors'
        assert 'runs the model again' in caplog.text
        engine.close()


def test_it_starts_with_the_local_model(opened):
    engine = opened(url='http://127.0.0.1:9', local=local_model())
    assert engine.provider == 'Here' and engine.notices()[0][0] == 'fallback'
    assert str(engine.inputs[0]) == "'image' float32 [1, 3, 8, 8]"
    assert np.allclose(engine.infer({'image': IMAGE})['scores'], WANTED, atol=1e-6)


def test_a_frozen_server_costs_one_timeout(opened, fake):
    engine = opened(timeout=0.4, local=local_model())
    run = bind(engine, {'image': IMAGE})
    run()
    fake.frozen.set()
    begun = time.monotonic()
    for _ in range(5):
        assert np.allclose(run()['scores'], WANTED, atol=1e-6)
    assert time.monotonic() - begun < 1.2


def test_a_server_with_another_model_than_the_file(opened, fake):
    local = local_model(add=0.5)
    engine = opened(local=local)
    assert [kind for kind, _ in engine.notices()] == ['differs']
    fake.inputs[0]['shape'] = [1, 3, 16, 16]
    engine = opened(local=local)
    kind, fields = engine.notices()[0]
    assert kind == 'fallback' and fields['reason'].kind == 'wrong_model'
