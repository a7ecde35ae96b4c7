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

"""The service ``~/look``: three outcomes, without pixels, whether anybody subscribes or not."""

import time

import pytest
from ros_stream import Camera
from std_srvs.srv import SetBool
from vision_msgs.msg import Classification

srv = pytest.importorskip(
    'ros2_classify_interfaces.srv', reason='the interfaces package is not built')

GREEN, RED, BLACK, WHITE = (10, 200, 60), (200, 0, 0), (3, 3, 3), (255, 255, 255)
COULD_NOT_LOOK, FOUND, NOT_FOUND = (
    srv.Look.Response.COULD_NOT_LOOK, srv.Look.Response.FOUND, srv.Look.Response.NOT_FOUND)


def look(peer, camera=None, rgb=RED, stamped_now=False, node='/server', **request):
    """Call the service while a camera sends images; return the response."""
    future = peer.ask(srv.Look, f'{node}/look', srv.Look.Request(**request))

    def done():
        if camera is not None:
            msg = camera.message(rgb)
            if stamped_now:
                msg.header.stamp = peer.node.get_clock().now().to_msg()
            camera._publish(msg)
        time.sleep(0.02)
        return future.done()

    peer.spin_until(done, 'a response')
    return future.result()


def test_it_looks_while_nobody_subscribes(start, peer, classifier):
    server = start('server', {'model': classifier})
    camera = Camera(peer, '/image')
    # The subscription of the beginning is dropped, since nobody wants results.
    peer.spin_until(lambda: camera.subscriptions, 'the subscription')
    peer.spin_until(lambda: not camera.subscriptions, 'its end')
    for rgb, classes, outcome, words in (
            (RED, ['red'], FOUND, 'red is in the image on /image, with the score '),
            (RED, ['green', 'blue'], NOT_FOUND, 'there is no green or blue in the image on /im'),
            (GREEN, [], FOUND, 'green is in the image on /image')):
        response = look(peer, camera, rgb, classes=classes)
        assert response.outcome == outcome and words in response.message
        assert response.classification.header.frame_id == 'eye'
        assert response.classification.results[0].class_id == ('red' if rgb == RED else 'green')
    peer.spin_until(lambda: not camera.subscriptions, 'the end of the subscription')
    server.stop()


def test_detections_are_those_that_are_looked_for(start, peer, detector):
    server = start('server', {'model': detector})
    camera = Camera(peer, '/image', size=(100, 40))
    response = look(peer, camera, classes=['ball'])
    assert response.outcome == FOUND and response.message.startswith('ball is in the image')
    (ball,) = response.detections.detections
    assert ball.results[0].hypothesis.class_id == 'ball'
    assert ball.bbox.center.position.x == 25.0 and ball.bbox.size_x == 50.0
    response = look(peer, camera, classes=['bal'])
    assert (response.outcome, response.message) == (
        COULD_NOT_LOOK, "the model has no class 'bal': did you mean 'ball'?")
    server.stop()


def test_a_class_that_the_filter_drops_is_no_not_found(start, peer, detector):
    server = start('server', {'model': detector, 'classes': ['cup']})
    camera = Camera(peer, '/image', size=(100, 40))
    response = look(peer, camera, classes=['ball'])
    assert response.outcome == COULD_NOT_LOOK
    assert response.message.startswith("the parameter classes of /image drops 'ball'")
    assert look(peer, camera, classes=['cup']).outcome == FOUND
    server.stop()


def test_why_it_could_not_look(start, peer, classifier):
    server = start('server', {'model': classifier, 'autostart': False})
    assert peer.transition('configure')
    response = look(peer)
    assert (response.outcome, response.message) == (
        COULD_NOT_LOOK, '/server is not active; activate it first')
    assert peer.transition('activate')
    response = look(peer, timeout=0.5)
    assert response.outcome == COULD_NOT_LOOK
    assert 'nobody publishes on /image' in response.message
    camera = Camera(peer, '/image')
    for words, request in (
            ('the image on /image is dark', {'rgb': BLACK, 'classes': ['green']}),
            ('old by its stamp, but max_age is 2 s', {'max_age': 2.0}),
            ("there is no camera '/rear'; give one of: /image", {'stream': '/rear'}),
            ('timeout is -1 s but must be over 0', {'timeout': -1.0}),
            ('max_age is nan s', {'max_age': float('nan')})):
        response = look(peer, camera, **{'timeout': 0.7, **request})
        assert response.outcome == COULD_NOT_LOOK and words in response.message
        assert response.classification == Classification()
    response = look(peer, camera, stamped_now=True, max_age=2.0)
    assert response.outcome == FOUND
    # Without a camera that result is still new enough; one that must be newer is missed.
    assert look(peer, max_age=10.0, classes=['red']).outcome == FOUND
    response = look(peer, timeout=0.3)
    assert response.outcome == COULD_NOT_LOOK and 'image' in response.message
    server.stop()


def test_a_camera_that_is_disabled_meanwhile_and_one_that_is_slowed_down(start, peer, classifier):
    server = start('server', {'model': classifier, 'max_rate': 0.01})
    server.wait_for_line('active:')
    pending = peer.ask(srv.Look, '/server/look', srv.Look.Request(timeout=60.0))
    assert peer.call(SetBool, '/server/enable', SetBool.Request(data=False)).success
    response = peer.spin_until(lambda: pending.done() and pending.result(), 'the response', 20)
    assert response.outcome == COULD_NOT_LOOK
    assert response.message.startswith('disabled: the images of /image')
    assert peer.call(SetBool, '/server/enable', SetBool.Request(data=True)).success
    camera = Camera(peer, '/image')
    assert look(peer, camera).outcome == FOUND
    response = look(peer, camera, timeout=1.5)
    assert response.outcome == COULD_NOT_LOOK
    assert response.message.startswith('images come on /image, but max_rate is 0.01 Hz, so none')
    server.stop()


def test_a_failing_model_is_named(start, peer, faulty):
    server = start('server', {'model': faulty})
    server.expected_failure = 'failed|fails'
    response = look(peer, Camera(peer, '/image'), WHITE)
    assert response.outcome == COULD_NOT_LOOK
    assert response.message.startswith('no result of the image on /image: ')
    server.stop()


def test_a_node_that_is_deactivated_meanwhile_responds(start, peer, classifier):
    server = start('server', {'model': classifier})
    future = peer.ask(srv.Look, '/server/look', srv.Look.Request(timeout=60.0))
    assert peer.transition('deactivate')
    peer.spin_until(future.done, 'a response')
    assert future.result().message == '/server has been deactivated'
    # Clean up and configure: the service is there again.
    assert peer.transition('cleanup') and peer.transition('configure')
    assert peer.transition('activate')
    assert look(peer, Camera(peer, '/image'), stream='image').outcome == FOUND
    server.stop()


def test_each_camera_is_looked_at_by_its_name(start, peer, classifier):
    server = start('server', {'model': classifier, 'image_topics': ['/a/image', '/b/image']})
    left, right = Camera(peer, '/a/image'), Camera(peer, '/b/image')
    response = look(peer, left, timeout=0.5)
    assert response.message == (
        'there are several cameras: give one as stream: /a/image, /b/image')
    for name, camera, rgb in (('/a/image', left, RED), ('b', right, GREEN)):
        response = look(peer, camera, rgb, stream=name)
        assert response.outcome == FOUND
        assert response.classification.results[0].class_id == ('red' if rgb == RED else 'green')
    response = look(peer, left, stream='/b/image', timeout=1.0)
    assert response.outcome == COULD_NOT_LOOK
    server.stop()


def test_another_model_that_lacks_the_class_ends_the_look(start, peer, classifier, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    from ros_models import save_classifier
    path = save_classifier(other)
    path.write_text(path.read_text().replace('red, green', 'rot, green'))
    server = start('server', {'model': classifier, 'model_changes': 'any'})
    future = peer.ask(
        srv.Look, '/server/look', srv.Look.Request(timeout=60.0, classes=['red']))
    assert peer.set_values(model=str(path)) == []
    peer.spin_until(future.done, 'a response')
    assert future.result().outcome == COULD_NOT_LOOK
    assert "the model has been replaced: the model has no class 'red'" in future.result().message
    server.stop()
