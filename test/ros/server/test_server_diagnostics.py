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

"""``/diagnostics`` of the server, read by an operator who reads nothing else; over real DDS."""

import hashlib
import re
import time

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_models import save_bare
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification

GREEN = (10, 200, 60)
IMAGES = 'server: images /image'
INFERENCE = 'server: inference'
MODEL = 'server: model'


def stamp_now(peer, msg):
    """Give an image the time of now."""
    msg.header.stamp = peer.node.get_clock().now().to_msg()
    return msg


def test_every_state_is_reported_with_its_values(start, peer, operator, classifier):
    server = start('server', {'model': classifier, 'autostart': False})
    operator.wait(INFERENCE, 'OK', 'the node is unconfigured', lifecycle_state='unconfigured')
    operator.wait(MODEL, 'OK', 'no model is loaded', model='none')
    assert operator.statuses(IMAGES) == []

    assert peer.transition('configure')
    operator.wait(INFERENCE, 'OK', 'the node is inactive')
    # The old name is published for one release.
    old = operator.wait('server: network', 'OK', 'the node is inactive')  # words: old
    assert old['deprecated status'] == 'read server: inference'
    assert old['lifecycle state'] == 'inactive'
    values = operator.wait(MODEL, 'OK', 'colors on CPUExecutionProvider')
    assert values['sha256'] == hashlib.sha256(
        classifier.with_name('colors.onnx').read_bytes()).hexdigest()
    assert (values['requested provider'], values['provider']) == ('auto', 'CPUExecutionProvider')
    assert 0 < float(values['engine built and started in [s]']) <= float(
        values['fetched, converted and loaded in [s]'])
    assert re.fullmatch(r'\d+\.\d{3}', values['warmed up in [s]'])
    assert values['models loaded so far'] == '1'
    operator.wait(IMAGES, 'OK', 'the node is not active')

    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    assert peer.transition('activate')
    for _ in range(3):
        camera.result_to(stamp_now(peer, camera.message(GREEN)), results)
    values = operator.wait(IMAGES, 'OK', 'results per second', results_published='|[^0]|')
    assert int(values['received']) >= 3
    assert values['publishers'] == values['result subscribers'] == '1'
    assert values['image format'] == '64x48 rgb8'
    assert float(values['last image age [s]']) < 5
    assert 0 < float(values['stamp to result p50 [ms]']) <= float(
        values['stamp to result p99 [ms]'])
    values = operator.wait(INFERENCE, 'OK', 'results per second', results_published='[1-9].*')
    assert 0 < float(values['inference p50 [ms]']) <= float(values['inference p99 [ms]'])
    assert values['last error'] == 'none'

    assert peer.transition('deactivate')
    operator.wait(INFERENCE, 'OK', 'the node is inactive')
    assert peer.transition('cleanup')
    operator.wait(MODEL, 'OK', 'no model is loaded', models_loaded='1')
    assert peer.transition('shutdown')
    operator.wait(INFERENCE, 'OK', 'the node is finalized')
    # The names are unique, as the aggregator expects.
    for message in operator.messages:
        names = [status.name for status in message.status]
        assert len(set(names)) == len(names)
        # ROS's updater tells of each new part at once, without the hardware.
        assert {status.hardware_id for status in message.status
                if status.message != 'Node starting up'} <= {'/server'}
    server.stop()


def test_what_nothing_says_about_a_model_is_a_warning_until_a_descriptor_says_it(
        start, peer, operator, classifier, tmp_path):
    bare = save_bare(tmp_path)
    said = tmp_path / 'said.yaml'
    said.write_text(
        'name: said\ntask: classification\nsource: {path: bare.onnx}\n'
        'input: {color: rgb, scale: 1/255, mean: 0, std: 1, resize: stretch, '
        'interpolation: linear}\noutput: {decoder: classification, activation: none}\n')
    server = start('server', {'model': bare, 'model_roots': tmp_path})
    words = r'bare: not verified, .*: .*input\.mean.* models check --image FILE --label LABEL'
    values = operator.wait(MODEL, 'WARN', words)
    assert {'input.color', 'input.scale', 'input.mean', 'input.std'} <= set(
        values['unverified'].split(', '))
    assert peer.set_values(model=str(said)) == []
    operator.wait(MODEL, 'OK', 'said on CPUExecutionProvider', unverified='none')
    # A hot swap tells it as well.
    assert peer.set_values(model=str(bare)) == []
    operator.wait(MODEL, 'WARN', words)
    log = server.stop().splitlines()
    assert len([line for line in log if 'not verified' in line and 'WARN' in line]) == 2


def test_loading_that_takes_long_is_visible(start, peer, operator, sleeper):
    # The warm-up's grey image is one that this model never comes back from.
    endless = sleeper.with_name('endless.yaml')
    endless.write_text(sleeper.read_text().replace('color: rgb', 'color: rgb, scale: 10'))
    server = start('server', {'model': endless})
    operator.wait(INFERENCE, 'OK', r'loading the model .*endless.yaml for [1-9]\d* s',
                  lifecycle_state='configuring')
    server.stop()


def test_a_slow_camera_is_healthy_until_it_misses_its_images(start, peer, operator, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    peer.spin_until(lambda: camera.subscriptions and results is not None, 'the server')
    sent = [time.monotonic() - 7.0]

    def came() -> bool:
        # The first one may be too early for the server: it comes again, as slowly.
        if not results and time.monotonic() - sent[0] > 6.5:
            camera.send(stamp_now(peer, camera.message(GREEN)))
            sent[0] = time.monotonic()
        return len(results) == count

    for count in range(1, 4):
        begun = time.monotonic()
        if count > 1:
            camera.send(stamp_now(peer, camera.message(GREEN)))
        peer.spin_until(came, 'the result')
        if count < 3:
            peer.spin_until(lambda: time.monotonic() - begun > 6.0, 'six seconds')
    bad = [status.message for message in operator.messages for status in message.status
           if status.name == IMAGES and 'no image' in status.message]
    assert not bad
    assert peer.set_values(image_timeout=1.5) == []
    operator.wait(IMAGES, 'ERROR', 'no image from /test_peer on /image for')
    assert peer.set_values(image_timeout=60.0) == []
    camera.send(stamp_now(peer, camera.message(GREEN)))
    operator.wait(IMAGES, 'OK', 'results per second', interruptions='1')
    assert server.stop().count('no image from') == 1


def test_images_without_a_stamp_are_called_unstamped(start, peer, operator, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    msg = camera.message(GREEN)
    msg.header.stamp.sec = msg.header.stamp.nanosec = 0
    camera.result_to(msg, results)
    values = operator.wait(IMAGES, 'WARN', 'unstamped: header.stamp is 0')
    assert not any(key.startswith('stamp to result') for key in values)
    assert 'behind' not in server.stop()


def test_it_says_why_no_image_comes(start, peer, operator, classifier):
    server = start('server', {'model': classifier})
    operator.wait(IMAGES, 'OK', 'idle: nobody subscribes to the results .*/classification'
                  '.*nobody publishes on /image either', publishers='0')
    results = peer.collect(Classification, '/classification')
    operator.wait(IMAGES, 'ERROR', 'nobody publishes on /image .*is the camera running')

    other = Camera(peer, '/image', msg_type=CompressedImage)
    operator.wait(IMAGES, 'ERROR', 'carries sensor_msgs/msg/CompressedImage, .* image_transport')
    other.close()

    camera = Camera(peer, '/image')
    operator.wait(IMAGES, 'ERROR', 'no image from /test_peer on /image for .*ros2 topic hz')
    camera.result_to(stamp_now(peer, camera.message(GREEN)), results)
    operator.wait(IMAGES, 'OK', 'results per second', interruptions='1')
    server.wait_for_line('images come on /image again')

    # The camera stops, and comes back in another size and encoding.
    camera.close()
    operator.wait(IMAGES, 'ERROR', 'nobody publishes on /image')
    camera = Camera(peer, '/image', size=(32, 16))
    camera.result_to(stamp_now(peer, camera.message(GREEN)), results)
    msg = stamp_now(peer, camera.message(GREEN))
    msg.encoding = 'bgr8'
    camera.result_to(msg, results)
    operator.wait(IMAGES, 'OK', 'results per second', interruptions='2', changes='2',
                  image_format='32x16 bgr8')

    # It changes to something that nobody understands.
    msg = camera.message(GREEN)
    msg.encoding = '32FC1'
    sent = []

    def refused():
        if len(sent) < len(operator.messages):
            sent.append(camera.send(msg))
        return [status for status in operator.statuses(IMAGES)
                if 'unusable image on /image' in status.message]

    peer.spin_until(refused, 'the word about the encoding')
    assert '32FC1' in refused()[0].message and refused()[0].level == b'\x02'
    camera.result_to(stamp_now(peer, camera.message(GREEN)), results)
    operator.wait(IMAGES, 'WARN', 'unusable image on /image')
    assert 'Traceback' not in server.stop()


def test_quality_of_service_that_does_not_fit_is_named(start, peer, operator, classifier):
    server = start('server', {
        'model': classifier, 'qos_overrides./image.subscription.reliability': 'reliable'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(
        peer, '/image', qos=QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    # The middleware's event tells at once; nothing has been missed for long yet.
    server.wait_for_line('/test_peer does not match the subscription in the policy RELIABILITY')
    operator.wait(IMAGES, 'ERROR', 'incompatible QoS.* policy RELIABILITY')
    # The camera changes its quality of service.
    camera.close()
    camera = Camera(
        peer, '/image', qos=QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
    camera.result_to(stamp_now(peer, camera.message(GREEN)), results)
    operator.wait(IMAGES, 'OK', 'results per second')
    server.stop()


def test_a_bag_that_begins_again_is_noticed_and_processed(start, peer, operator, classifier):
    server = start('server', {'model': classifier})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    for _ in range(2):
        for seconds in (1000, 1001, 1002):
            msg = camera.message(GREEN)
            msg.header = Header(frame_id=f'{len(results)}')
            msg.header.stamp.sec = seconds
            camera.result_to(msg, results)
    operator.wait(
        IMAGES, 'WARN', 'stamps of the images on /image went back by 2.00 s.*behind this '
        "node's clock.*use_sim_time", stamps='1')
    server.stop()


def test_simulated_time_that_stands_still_or_goes_back_stops_nothing(
        start, peer, operator, classifier):
    from rosgraph_msgs.msg import Clock

    server = start('server', {'model': classifier, 'use_sim_time': True})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    operator.wait(INFERENCE, 'WARN', 'use_sim_time is set, but /clock has stood still at 0.00 s')
    camera.result(GREEN, results)

    publisher = peer.node.create_publisher(Clock, '/clock', 1)
    peer.spin_until(publisher.get_subscription_count, 'a subscriber of the clock')

    def run(clock, until):
        """Let simulated time run until a message of that time comes."""
        def told():
            publisher.publish(clock)
            clock.clock.nanosec += 1_000_000
            return [message for message in operator.messages
                    if message.header.stamp.sec == clock.clock.sec and until(message)]
        return peer.spin_until(told, f'diagnostics of {clock}')

    def model(message):
        return next(status for status in message.status if status.name == INFERENCE)

    clock = Clock()
    clock.clock.sec = 500
    run(clock, lambda message: model(message).level == b'\x00')
    camera.result(GREEN, results)
    clock = Clock()
    clock.clock.sec = 20
    message = run(clock, lambda message: model(message).level == b'\x00')[0]
    values = {row.key: row.value for row in model(message).values}
    assert values['simulated time went back'] == '1'
    camera.result(GREEN, results)
    server.stop()


def test_a_provider_that_is_not_available_is_a_warning_or_a_refusal(
        start, peer, operator, classifier):
    server = start('server', {
        'model': classifier, 'provider': 'openvino', 'require_provider': False})
    values = operator.wait(
        MODEL, 'WARN', 'colors runs on CPUExecutionProvider: openvino is not available')
    assert values['requested provider'] == 'openvino'
    server.stop()
    server = start('server', {'model': classifier, 'provider': 'openvino', 'autostart': False})
    assert not peer.transition('configure')
    operator.wait(MODEL, 'OK', 'no model is loaded')
    server.wait_for_line("configure failed: the provider 'openvino' is not in the installed")
    server.stop()


def test_each_camera_has_its_own_status(start, peer, operator, classifier):
    server = start('server', {
        'model': classifier, 'image_topics': '[/front/image, /rear/image]'})
    results = peer.collect(Classification, '/front/classification')
    camera = Camera(peer, '/front/image')
    camera.result_to(stamp_now(peer, camera.message(GREEN)), results)
    operator.wait('server: images /front/image', 'OK', 'results per second',
                  results_published='1.*')
    operator.wait('server: images /rear/image', 'OK', 'idle: nobody subscribes',
                  results_published='0')
    server.stop()


def test_images_lost_by_the_middleware_are_told_with_the_cure(
        start, peer, operator, classifier, tmp_path):
    import cv2

    large = tmp_path / 'large.png'
    cv2.imwrite(str(large), np.zeros((1080, 1920, 3), np.uint8))
    server = start('server', {'model': classifier})
    peer.collect(Classification, '/classification')
    camera = start('camera', {
        'source': large, 'rate': 30.0,
        'qos_overrides./image.publisher.reliability': 'best_effort'},
        environment={'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'})
    operator.wait(IMAGES, 'WARN', 'images lost on /image.*fastdds.xml',
                  lost='[1-9].*')
    camera.stop()
    server.stop()


def test_losses_are_seen_and_all_is_counted_while_the_model_is_slow(
        ros, start, peer, monkeypatch, tmp_path):
    """In this process, to see whose turn it is: the model is slow and images get lost."""
    from dataclasses import asdict, replace

    import cv2
    from ros2_classify.ros.node import process as runtime
    from ros2_classify.ros.server import node as server_node
    from ros_models import save_sleeper

    # A quarter of a second and more, for each white image.
    model = save_sleeper(tmp_path, turns=200_000)
    large = tmp_path / 'large.png'
    cv2.imwrite(str(large), np.full((720, 1280, 3), 255, np.uint8))
    monkeypatch.setattr(server_node, 'PARAMETERS', tuple(
        replace(spec, default=str(model)) if spec.name == 'model' else spec
        for spec in server_node.PARAMETERS))
    node = server_node.ServerNode(runtime.Stop())
    peer._executor.add_node(node)
    try:
        node.start()
        stream, = node._streams
        lost = set()
        take = stream.take

        def note():
            frame = take()
            if frame is not None:
                lost.add(stream.source.lost)
            return frame

        stream.take = note
        results = peer.collect(Classification, '/classification')
        camera = start('camera', {
            'source': large, 'rate': 30.0,
            'qos_overrides./image.publisher.reliability': 'best_effort'},
            environment={'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'})
        peer.spin_until(lambda: len(lost) > 2 and stream.counters.replaced,
                        'losses and replaced images between those taken')
        camera.stop()
        count = len(results)
        peer.spin_until(lambda: len(results) > count or node.busy_for == 0.0, 'the last result')
        node.trigger_deactivate()
        counts = asdict(stream.counters)
        assert counts.pop('received') == sum(counts.values()), counts
        assert counts['replaced'] > 0 and counts['results'] > 0
    finally:
        node.close()
        peer._executor.remove_node(node)
        node.destroy_node()


def test_the_camera_reports_itself(start, peer, operator):
    camera = start('camera', {'rate': 20.0})
    operator.wait('camera: images', 'OK', 'nobody subscribes to /image or /image/compressed',
                  subscribers='0', published='0')
    images = peer.collect(Image, '/image', 1)
    peer.spin_until(lambda: images, 'an image')
    values = operator.wait('camera: images', 'OK', 'images per second', published='[1-9].*')
    assert values['requested rate [Hz]'] == '20.0' and values['image format'].endswith(' bgr8')
    # The old name is published for one release.
    old = operator.wait('camera: pictures', 'OK', 'images per second')  # words: old
    assert old['deprecated status'] == 'read camera: images'
    camera.stop()


def test_a_failed_transition_is_told_until_one_succeeds(
        start, peer, operator, tmp_path, classifier):
    whole = classifier.with_name('colors.onnx').read_bytes()
    model = tmp_path / 'model.onnx'
    model.write_bytes(whole[:len(whole) // 2])
    descriptor = tmp_path / 'colors.yaml'
    descriptor.write_text(classifier.read_text().replace('colors.onnx', 'model.onnx'))
    server = start('server', {'model': descriptor, 'autostart': False})
    assert not peer.transition('configure')
    operator.wait(INFERENCE, 'ERROR', 'configure failed: .*model.onnx')
    model.write_bytes(whole)
    assert peer.transition('configure')
    operator.wait(INFERENCE, 'OK', 'the node is inactive')
    server.stop()
