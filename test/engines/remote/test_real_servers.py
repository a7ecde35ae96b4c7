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

"""The engine against real model servers, started from the files of ``examples/remote``."""

import json
import os
from pathlib import Path
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import numpy as np
import pytest
from ros2_classify.engines import bind, EngineSettings, open_engine
from ros2_classify.engines.remote.engine import RemoteEngine
from ros2_classify.errors import RemoteError
from ros2_classify.model.remote_url import RemoteUrl
from ros2_classify.testing import save_color_classifier

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / 'examples/remote'
ENVIRONMENTS = ROOT / '.venv/model_servers'
SERVERS = ('kserve', 'triton', 'mlserver')
IMAGE = np.random.default_rng(3).random((1, 3, 8, 8), np.float32)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Server:
    """A server's process."""

    def __init__(self, name, directory):
        self.name = name
        self.http, self.grpc, metrics = free_port(), free_port(), free_port()
        self.directory = directory
        model = save_color_classifier(directory / 'colors.onnx')
        environment = ENVIRONMENTS / name
        if name == 'kserve':
            self.words = [environment / 'bin/python', EXAMPLES / 'kserve_server.py', model,
                          self.http, self.grpc]
        elif name == 'triton':
            version = directory / 'repository/colors/1'
            version.mkdir(parents=True)
            shutil.copy(EXAMPLES / 'triton/config.pbtxt', version.parent)
            shutil.copy(EXAMPLES / 'triton/model.py', version)
            shutil.copy(model, version / 'model.onnx')
            shutil.copytree(EXAMPLES / 'triton_jpeg', self.directory / 'repository/jpeg/1')
            shutil.copy(model, self.directory / 'repository/jpeg/1/model.onnx')
            settings = self.directory / 'repository/jpeg/1/config.pbtxt'
            settings.rename(settings.parents[1] / settings.name)
            self.words = [EXAMPLES / 'triton/start', environment, directory / 'repository',
                          directory / 'work', self.http, self.grpc]
        else:
            shutil.copy(EXAMPLES / 'mlserver/onnx_model.py', directory)
            settings = json.loads((EXAMPLES / 'mlserver/settings.json').read_text())
            settings.update(http_port=self.http, grpc_port=self.grpc, metrics_port=metrics)
            (directory / 'settings.json').write_text(json.dumps(settings))
            about = json.loads((EXAMPLES / 'mlserver/model-settings.json').read_text())
            about.update(name='colors', parameters={'uri': str(model)}, inputs=[
                {'name': 'image', 'datatype': 'FP32', 'shape': [1, 3, 8, 8]}], outputs=[
                {'name': 'scores', 'datatype': 'FP32', 'shape': [1, 3]}])
            (directory / 'model-settings.json').write_text(json.dumps(about))
            self.words = [environment / 'bin/mlserver', 'start', '.']
        self.start()

    def start(self):
        shutil.rmtree(self.directory / 'work', ignore_errors=True)
        (self.directory / 'work').mkdir()
        variables = {name: value for name, value in os.environ.items()
                     if not name.startswith('PYTHON')}
        with open(self.directory / 'log', 'w') as log:
            self.process = subprocess.Popen(
                list(map(str, self.words)), cwd=self.directory, env=variables, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(
                        f'http://127.0.0.1:{self.http}/v2/models/colors/ready', timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail((self.directory / 'log').read_text()[-3000:])

    def send(self, number):
        os.killpg(self.process.pid, number)

    def stop(self):
        self.send(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope='module', params=SERVERS)
def server(request, tmp_path_factory):
    if not (ENVIRONMENTS / request.param / 'bin/python').exists():
        pytest.skip(f'its environment is made by scripts/model_servers {request.param}')
    process = Server(request.param, tmp_path_factory.mktemp(request.param))
    yield process
    process.stop()


@pytest.fixture(params=['http', 'grpc'])
def engine(request, server):
    if request.param == 'grpc':
        pytest.importorskip('grpc')
    elif server.name == 'mlserver':
        pytest.skip('MLServer takes no binary tensors over HTTP')
    opened = RemoteEngine(
        RemoteUrl.parse(f'{request.param}://127.0.0.1:{getattr(server, request.param)}/colors'),
        EngineSettings(remote_timeout=10.0))
    yield opened
    opened.close()


def test_jpeg(server, engine):
    if server.name != 'triton':
        pytest.skip('the example is for Triton')
    smooth = np.linspace(40, 200, 64).reshape(8, 8)
    pixels = np.stack([smooth, smooth[::-1] / 2, smooth / 4], 2).astype(np.uint8)
    opened = RemoteEngine(RemoteUrl.parse(f'{engine.url.server}/jpeg?jpeg=95'),
                          EngineSettings(remote_timeout=10.0))
    found = opened.infer({'image': pixels[None]})['scores']
    opened.close()
    # The model gives means; its configuration has the order bgr.
    assert np.allclose(found, pixels.mean(axis=(0, 1))[None, ::-1], atol=2.0)
    with pytest.raises(RemoteError, match='add .jpeg=90'):
        RemoteEngine(RemoteUrl.parse(f'{engine.url.server}/jpeg'),
                     EngineSettings(remote_timeout=10.0))


def test_equality_and_faults(server, engine):
    local = open_engine(server.directory / 'colors.onnx')
    wanted = local.infer({'image': IMAGE})['scores']
    run = bind(engine, {'image': IMAGE})
    assert np.array_equal(run()['scores'], wanted)
    assert ('shared memory' in engine.transport) == (server.name == 'triton')
    # Frozen: an error after the timeout, and results when it goes on.
    engine.timeout = 0.5
    server.send(signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        run()
    assert caught.value.kind == 'slow' and time.monotonic() - begun < 5.0
    server.send(signal.SIGCONT)
    engine.timeout = 20.0
    assert np.array_equal(run()['scores'], wanted)
    # Killed: refused at once; restarted: results again.
    server.stop()
    with pytest.raises(RemoteError) as caught:
        run()
    assert caught.value.kind == 'refused'
    server.start()
    assert np.array_equal(run()['scores'], wanted)
    with pytest.raises(RemoteError) as caught:
        RemoteEngine(RemoteUrl.parse(f'{engine.url.server}/nothing'),
                     EngineSettings(remote_timeout=10.0))
    assert caught.value.kind == 'wrong_model'
