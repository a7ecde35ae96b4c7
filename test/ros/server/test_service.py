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

"""The services: results while the stream runs, refusals in words, and a server without them."""

from array import array

import numpy as np
import pytest
from ros_models import save_sleeper
from ros_stream import Camera
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Classification, Detection2DArray

srv = pytest.importorskip(
    'ros2_classify_interfaces.srv', reason='the interfaces package is not built')

GREEN = (10, 200, 60)
RED = (200, 0, 0)
WHITE = (255, 255, 255)


def classify(image):
    """Return a request."""
    return srv.Classify.Request(image=image)


def test_requests_get_results_while_the_stream_runs(start, peer, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image', size=(640, 480))
    still = Camera(peer, '/still')
    camera.result(GREEN, results)
    for turn in range(10):
        image = still.message(RED, frame_id=f'request {turn}')
        future = peer.ask(srv.Classify, '/server/classify', classify(image))

        def streamed():
            camera.send(camera.message(GREEN))
            return future.done()

        before = len(results)
        peer.spin_until(streamed, 'a response of the service')
        peer.spin_until(lambda: len(results) > before, 'a result of the stream')
        response = future.result()
        assert response.success and response.message == ''
        assert response.classification.header == image.header
        assert response.classification.results[0].class_id == 'red'
    assert {result.results[0].class_id for result in results} == {'green'}
    assert '10 requests handled' in server.stop()


def test_requests_follow_the_same_thresholds_and_need_no_camera(start, peer, detector):
    server = start('server', {'model': detector, 'class_id': 'index'})
    image = Camera(peer, '/still', size=(100, 40)).message(RED)
    request = srv.Detect.Request(image=image)
    response = peer.call(srv.Detect, '/server/detect', request)
    assert response.success
    assert [d.results[0].hypothesis.class_id for d in response.detections.detections] == ['1', '2']
    assert peer.set_values(score_threshold=0.8) == []
    response = peer.call(srv.Detect, '/server/detect', request)
    assert len(response.detections.detections) == 1
    assert response.detections.detections[0].bbox.center.position.x == 50.0
    server.stop()


def test_the_filters_of_a_named_camera_count(start, peer, detector):
    server = start('server', {
        'model': detector, 'image_topics': '[/ask/left/image, /ask/right/image]',
        'ask.left.score_threshold': 0.8})
    image = Camera(peer, '/still', size=(100, 40)).message(RED)
    counts = []
    for stream in ('', '/ask/left/image', 'ask/left', '/ask/right'):
        response = peer.call(srv.Detect, '/server/detect', srv.Detect.Request(
            image=image, stream=stream))
        assert response.success, response.message
        counts.append(len(response.detections.detections))
    assert counts == [2, 1, 1, 2]
    response = peer.call(srv.Detect, '/server/detect', srv.Detect.Request(
        image=image, stream='middle'))
    assert not response.success and "there is no camera 'middle'; give one of:" in response.message
    server.stop()


def test_depth_in_the_request_gives_positions(start, peer, detector):
    server = start('server', {'model': detector})
    image = Camera(peer, '/still', size=(100, 40)).message(RED, frame_id='eye')
    metres = np.full((40, 100), 2.0, np.float32)
    depth = Image(width=100, height=40, step=400, encoding='32FC1')
    depth.header.frame_id = 'eye'
    depth.data = array('B', metres.tobytes())
    info = CameraInfo(width=100, height=40, distortion_model='plumb_bob',
                      k=[50.0, 0.0, 49.5, 0.0, 50.0, 19.5, 0.0, 0.0, 1.0])

    def detect(**more):
        return peer.call(srv.Detect, '/server/detect', srv.Detect.Request(image=image, **more))

    response = detect(depth=depth, camera_info=info)
    assert response.success, response.message
    assert list(response.without_position) == ['', '']
    assert response.detections_3d.header.frame_id == 'eye'
    for flat, found in zip(response.detections.detections, response.detections_3d.detections):
        at, box = found.bbox.center.position, flat.bbox.center.position
        # A pinhole of 50 pixels, whose middle is that of the image.
        assert (at.x, at.y, at.z) == pytest.approx(
            ((box.x - 50) / 50 * 2, (box.y - 20) / 50 * 2, 2.0), abs=1e-5)
        assert found.bbox.size.x == pytest.approx(flat.bbox.size_x / 50 * 2)
        assert found.results[0].hypothesis.class_id == flat.results[0].hypothesis.class_id
    depth.data = array('B', np.zeros_like(metres).tobytes())
    response = detect(depth=depth, camera_info=info)
    assert response.success and not response.detections_3d.detections
    assert set(response.without_position) == {
        '100% of its pixels in the depth image are invalid'}
    assert len(detect().without_position) == 0
    for more, words in (({'depth': depth}, 'camera_info is empty'),
                        ({'camera_info': info}, 'depth is empty')):
        response = detect(**more)
        assert not response.success and words in response.message
    depth.header.frame_id = 'other'
    response = detect(depth=depth, camera_info=info)
    assert not response.success and 'registered' in response.message
    server.stop()


def test_a_bad_image_gets_an_error_result(start, peer, classifier):
    server = start('server', {'model': classifier})
    for image, words in (
            (Image(encoding='rgb8'), 'no pixels: its size is 0x0'),
            (Image(width=4, height=4, step=12, encoding='rgb565'), "unknown encoding 'rgb565'"),
            (Image(width=4, height=4, step=12, encoding='rgb8'), 'data has 0 bytes')):
        response = peer.call(srv.Classify, '/server/classify', classify(image))
        assert not response.success
        assert words in response.message
        assert response.classification == Classification()
    image = Camera(peer, '/still').message(RED)
    assert peer.call(srv.Classify, '/server/classify', classify(image)).success
    server.stop()


def test_an_inactive_server_refuses(start, peer, classifier):
    server = start('server', {'model': classifier, 'autostart': False})
    assert peer.transition('configure')
    image = Camera(peer, '/still').message(RED)
    response = peer.call(srv.Classify, '/server/classify', classify(image))
    assert not response.success
    assert response.message == '/server is not active; activate it first'
    assert peer.transition('activate')
    assert peer.call(srv.Classify, '/server/classify', classify(image)).success
    assert peer.transition('deactivate')
    assert peer.transition('cleanup')
    server.stop()


def test_the_executor_stays_awake_while_the_model_is_busy(start, peer, sleeper):
    server = start('server', {'model': sleeper})
    still = Camera(peer, '/still')
    stuck = []

    def refusals():
        # One by one: the middleware keeps ten requests for a server that has not looked yet.
        stuck.append(peer.ask(srv.Classify, '/server/classify', classify(still.message(WHITE))))
        return [future for future in stuck if future.done()]

    # The first one is worked on for ever, eight wait, the others are turned away.
    refused = peer.spin_until(refusals, 'the refusal')
    assert {future.result().message for future in refused} == {
        'too many requests are waiting already; try again later'}
    assert peer.state() == 'active'
    assert peer.set_values(top_k=1) == []
    # Those that wait are told when the server gives up.
    assert not peer.transition('deactivate')
    peer.spin_until(lambda: [
        future.result().message for future in stuck if future.done()
    ].count('/server has been deactivated') == 8, 'the refusals')
    server.wait_for_line('the model does not come back; the node cannot be used any more')
    assert server.wait() == 1
    assert 'Traceback' not in server.output


def test_a_shutdown_leaves_no_request_without_an_result(start, peer, tmp_path):
    server = start('server', {'model': save_sleeper(tmp_path, turns=200_000)})
    still = Camera(peer, '/still')
    waiting = [peer.ask(srv.Classify, '/server/classify', classify(still.message(WHITE)))
               for _ in range(8)]
    peer.spin_until(waiting[0].done, 'the first response')
    assert peer.transition('shutdown')
    peer.spin_until(lambda: all(future.done() for future in waiting), 'the other responses')
    words = {future.result().message for future in waiting}
    assert words <= {'', '/server has been deactivated'}
    server.stop()


def test_without_the_interfaces_it_runs_and_says_so(start, peer, detector, tmp_path):
    package = tmp_path / 'ros2_classify_interfaces'
    package.mkdir()
    (package / '__init__.py').write_text('raise ImportError("not here")\n')
    server = start('server', {'model': detector}, environment={'PYTHONPATH': str(tmp_path)})
    results = peer.collect(Detection2DArray, '/detections')
    assert len(Camera(peer, '/image').result(RED, results).detections) == 2
    said = [line for line in server.lines if 'ros2_classify_interfaces is not installed' in line]
    assert len(said) == 1

    # A response shows that the server's services are discovered.
    assert peer.state() == 'active'
    assert '/server/detect' not in dict(peer.node.get_service_names_and_types())
    server.stop()
