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

"""Faults of the model in a running server: reported, and handled as the parameter says."""

from array import array

import attacks
import pytest
from ros2_classify.errors import EngineMemoryError, ProviderLostError
from ros2_classify.ros.server.faults import EXIT_CODE
from ros_process import DEADLINE
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Classification

GREEN = (10, 200, 60)
WHITE = (255, 255, 255)
IMAGES = 'server: images /image'
INFERENCE = 'server: inference'


def provoke(peer, camera, condition, what):
    """Send white images until something has come of it."""
    sent = [0]

    def happened():
        if sent[0] < 1000 and camera.subscriptions:
            camera.send(camera.message(WHITE))
            sent[0] += 1
        return condition()

    return peer.spin_until(happened, what)


def test_a_model_that_fails_drops_the_image_and_is_tried_again(
        start, peer, operator, faulty):
    server = start('server', {'model': faulty})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(GREEN, results)
    provoke(peer, camera, lambda: 'no result for an image' in server.output, 'the failure')
    camera.result(GREEN, results)
    values = operator.wait(INFERENCE, 'OK', 'results per second', faults='[1-9].*')
    assert 'out of' in values['last error']
    # Again and again: there are pauses, the model is reloaded, and then it works once more.
    provoke(peer, camera, lambda: any(
        'next attempt in' in status.message for status in operator.statuses(INFERENCE)),
        'a pause')
    provoke(peer, camera, lambda: any(
        'reloaded' in line for line in server.lines), 'a new session')
    camera.result(GREEN, results)
    values = operator.wait(INFERENCE, 'OK', 'results per second', loaded='[1-9].*')
    counts = server.stop()
    assert 'skipped after faults' in counts


def test_error_goes_by_error_processing_and_can_be_configured_again(
        start, peer, operator, faulty):
    server = start('server', {'model': faulty, 'on_engine_fault': 'error'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(GREEN, results)
    provoke(peer, camera, lambda: 'leaving the state active' in server.output, 'the end')
    operator.wait(INFERENCE, 'ERROR', 'stopped by a fault of the model: .*out of',
                  lifecycle_state='unconfigured')
    assert peer.transition('configure')
    assert peer.transition('activate')
    camera.result(GREEN, results)
    operator.wait(INFERENCE, 'OK', 'results per second')
    server.stop()


def test_exit_ends_the_process_with_a_code_of_its_own(start, peer, faulty):
    server = start('server', {'model': faulty, 'on_engine_fault': 'exit'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(GREEN, results)
    provoke(peer, camera, lambda: 'ending with exit code' in server.output, 'the end')
    assert server.wait() == EXIT_CODE
    assert 'ending with exit code 4 (on_engine_fault): ' in server.output
    assert 'Traceback' not in server.output


def test_a_model_that_hangs_is_abandoned_and_another_one_gives_results(
        start, peer, operator, sleeper):
    server = start('server', {'model': sleeper, 'inference_timeout': 1.0})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(GREEN, results)
    provoke(peer, camera, lambda: 'inference_timeout is 1 s' in server.output, 'the watchdog')
    server.wait_for_line('the model has not come back for .* s .inference_timeout is 1 s')
    server.wait_for_line('is reloaded; it is tried again')
    camera.result(GREEN, results)
    operator.wait(INFERENCE, 'OK', 'results per second', loaded='1', last='.*has not come back.*')
    operator.wait(IMAGES, 'WARN', 'clock', dropped='.*')
    # It can go through its states with an abandoned thread, and ends as it should.
    assert peer.transition('deactivate')
    assert peer.state() == 'inactive'
    assert peer.transition('activate')
    camera.result(GREEN, results)
    assert server.stop()


def test_a_model_that_hangs_ends_the_process_where_that_is_asked_for(start, peer, sleeper):
    server = start('server', {
        'model': sleeper, 'inference_timeout': 1.0, 'on_engine_fault': 'exit'})
    camera = Camera(peer, '/image')
    camera.result(GREEN, peer.collect(Classification, '/classification'))
    provoke(peer, camera, lambda: 'ending with exit code' in server.output, 'the end')
    assert server.wait() == EXIT_CODE
    assert 'the model has not come back for' in server.output


class FaultyPipeline:
    """Stands in for a pipeline's step of inference: raises what it is told to, once each."""

    def __init__(self, infer, errors):
        self._infer = infer
        self._errors = errors

    def __call__(self, batch):
        """Raise, or run the model."""
        if self._errors:
            raise self._errors.pop(0)
        return self._infer(batch)


@pytest.mark.parametrize('error', [
    ProviderLostError('CUDA failure 999'), EngineMemoryError('out of memory')])
def test_a_lost_device_and_short_memory_are_survived(
        ros, peer, operator, classifier, monkeypatch, error):
    """In this process, as no GPU can be unplugged: the model's step raises what it would."""
    from dataclasses import replace

    from ros2_classify.ros.node import process as runtime
    from ros2_classify.ros.server import node as server_node

    monkeypatch.setattr(server_node, 'PARAMETERS', tuple(
        replace(spec, default=str(classifier)) if spec.name == 'model' else spec
        for spec in server_node.PARAMETERS))
    errors = [error]
    loaded = []
    load_model = server_node.load_model

    def load_faulty(*args, **options):
        model = load_model(*args, **options)
        model.pipeline.infer = FaultyPipeline(model.pipeline.infer, errors)
        loaded.append(model)
        return model

    monkeypatch.setattr(server_node, 'load_model', load_faulty)
    stop = runtime.Stop()
    node = server_node.ServerNode(stop)
    peer._executor.add_node(node)
    try:
        node.start()
        results = peer.collect(Classification, '/classification')
        camera = Camera(peer, '/image')
        camera.result(GREEN, results)
        assert errors == []
        lost = isinstance(error, ProviderLostError)
        operator.wait(INFERENCE, 'OK', 'results per second', faults='1',
                      loaded='1' if lost else '0',
                      last=f'.*{error}.*')
        assert len(loaded) == (2 if lost else 1)
        if lost:
            peer.spin_until(lambda: loaded[0]._retired, 'the end of the first session', DEADLINE)
    finally:
        node.close()
        peer._executor.remove_node(node)
        node.destroy_node()


def test_an_image_that_is_slow_to_decode_is_given_up_like_a_slow_model(
        start, peer, operator, classifier):
    server = start('server', {'model': classifier, 'inference_timeout': 0.2,
                              'image_transport': 'compressed'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image/compressed', msg_type=CompressedImage)
    camera.result(GREEN, results)
    slow = camera.message(GREEN)
    # 400 kB of 64 Mpixel, with as many scans as are allowed.
    slow.data = array('B', attacks.jpeg_scans(520, width=8000))
    camera.send(slow)
    server.wait_for_line('decoding and preprocessing the image has not come back for .* s '
                         '.inference_timeout is 0.2 s')
    server.wait_for_line('is reloaded; it is tried again')
    assert camera.result(GREEN, results).results[0].class_id == 'green'
    operator.wait(INFERENCE, 'OK', 'results per second', abandoned_threads='1')
    server.stop()


def test_images_without_results_are_an_error_whatever_the_cause(
        start, peer, operator, faulty):
    server = start('server', {'model': faulty, 'inference_timeout': 1.0})
    server.expected_failure = 'no result|failed'
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(GREEN, results)
    timer = peer.node.create_timer(0.2, lambda: camera.send_now(WHITE))
    operator.wait('server: images /image', 'ERROR',
                  'images arrive on /image, but no result has left for [0-9]+ s: .*out of')
    peer.node.destroy_timer(timer)
    camera.result(GREEN, results)
    timer = peer.node.create_timer(0.2, lambda: camera.send_now(GREEN))
    # The test's stamps are old, which is all that is left to warn of.
    operator.wait('server: images /image', 'WARN', '^the stamps of the images')
    peer.node.destroy_timer(timer)
    server.stop()
