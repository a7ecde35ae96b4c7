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

"""A server whose model runs on a model server; here a fake one, with real sockets."""

import pytest
from remote_server import FakeServer, serving
from ros_stream import Camera
from vision_msgs.msg import Classification

GREEN = (10, 200, 60)
MODEL = 'server: model'
INFERENCE = 'server: inference'


@pytest.fixture
def fake():
    with serving() as (server, url):
        server.url = url
        yield server


def test_results_come_from_the_server_and_its_faults_are_said(
        start, peer, operator, classifier, fake):
    server = start('server', {
        'model': classifier, 'remote': fake.url, 'remote_timeout': 5.0})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    assert camera.result(GREEN, results).results[0].class_id == 'green'
    assert fake.calls
    operator.wait(MODEL, 'OK', f'colors on {fake.url}/colors')
    fake.status = 400, "Request for unknown model: 'colors' is not found"
    peer.spin_until(lambda: camera.send(camera.message(GREEN)) or (
        'does not serve the model' in server.output), 'the fault')
    operator.wait(MODEL, 'ERROR', "does not serve the model that is wanted: .*'colors' is not")
    fake.status = None
    results.clear()
    camera.result(GREEN, results)
    operator.wait(MODEL, 'OK', f'colors on {fake.url}/colors')
    server.stop()


def test_the_local_model_takes_over_and_diagnostics_say_so(
        start, peer, operator, classifier):
    with serving(FakeServer()) as (fake, url):
        server = start('server', {
            'model': classifier, 'remote': url, 'remote_fallback': 'local'})
        results = peer.collect(Classification, '/classification')
        camera = Camera(peer, '/image')
        camera.result(GREEN, results)
        operator.wait(MODEL, 'OK', f'colors on {url}/colors')
    results.clear()
    assert camera.result(GREEN, results).results[0].class_id == 'green'
    operator.wait(MODEL, 'WARN', r'runs on this machine \(CPUExecutionProvider\) and not on '
                                 f'{url}/colors.*cannot be reached')
    server.wait_for_line('the model runs on this machine')
    server.stop()


def test_a_model_server_that_is_not_there(start, classifier):
    server = start('server', {'model': classifier, 'remote': 'http://127.0.0.1:9/colors'})
    assert server.wait() != 0
    assert 'http://127.0.0.1:9/colors cannot be reached: Connection refused' in server.output


def test_where_descriptors_send_images_is_up_to_the_operator(
        start, peer, classifier, fake, tmp_path):
    evil = tmp_path / 'evil.yaml'
    good = tmp_path / 'good.yaml'
    for path, url in ((evil, 'http://127.0.0.1:9/colors'), (good, f'{fake.url}/colors')):
        path.write_text(f'{{source: {{remote: "{url}"}}, labels: [red, green, blue], '
                        'input: {scale: 1/255}, '
                        'output: {decoder: classification}}')
    server = start('server', {'model': classifier, 'model_roots': f'{tmp_path}:'
                              f'{classifier.parent}', 'trusted_remotes': f"['{fake.url}']"})
    server.wait_for_line('active:')
    reason, = peer.set_values(model=str(evil))
    assert 'sends images to http://127.0.0.1:9/colors, which is not in trusted_remotes' in reason
    assert peer.set_values(model=str(good)) == []
    reason, = peer.set_values(remote='http://127.0.0.1:9')
    assert 'read' in reason
    server.stop()
