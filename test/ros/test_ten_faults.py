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
Ten prepared faults, tried as an operator would: what is read names the cause and the cure.

The operator has ``/diagnostics`` and nothing else; where a server does not start, its last line.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
import shutil
import signal
import tarfile
import tempfile

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_stream import Camera
from vision_msgs.msg import Classification
from web_server import web_server

GREEN = (10, 200, 60)
# The limit of a download is 16 GB.
LARGE = 15 * 10**9
NO_PROXY = dict.fromkeys(name for name in os.environ if name.lower().endswith('_proxy'))
PICTURES = 'server: pictures /image'


@pytest.fixture
def listener(peer):
    """Return the answers that somebody waits for."""
    return peer.collect(Classification, '/classification')


def test_wrong_topic(start, peer, operator, listener, classifier):
    server = start('server', {'model': classifier}, remap={'image': '/camera/imagee'})
    Camera(peer, '/camera/image')
    operator.wait('server: pictures /camera/imagee', 'ERROR',
                  'nobody publishes on /camera/imagee .* -r image:=/camera/image$')
    server.stop()


def test_wrong_quality_of_service(start, peer, operator, listener, classifier):
    server = start('server', {
        'model': classifier, 'qos_overrides./image.subscription.reliability': 'reliable'})
    Camera(peer, '/image', qos=QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    operator.wait(PICTURES, 'ERROR', 'policy RELIABILITY: .*Change the qos_overrides')
    server.stop()


def test_wrong_encoding(start, peer, operator, listener, classifier):
    server = start('server', {'model': classifier})
    camera = Camera(peer, '/image')

    def send():
        msg = camera.message(GREEN)
        msg.encoding = '16SC1'
        if camera.subscriptions:
            camera.send(msg)
        return any('unusable' in status.message for status in operator.statuses(PICTURES))

    peer.spin_until(send, 'a word about the encoding')
    operator.wait(PICTURES, 'ERROR', "encoding '16SC1'.*give a colour or grey picture")
    server.stop()


def test_no_gpu(start, operator, classifier):
    server = start('server', {'model': classifier, 'provider': 'cuda'})
    assert server.wait() == 1
    assert 'needs an NVIDIA driver and onnxruntime-gpu' in server.output
    server = start('server', {
        'model': classifier, 'provider': 'cuda', 'require_provider': False})
    operator.wait('server: model', 'WARN', 'as cuda could not be had.* doctor what to do')
    server.stop()


def failed_to_configure(start, peer, operator, words, **parameters):
    """Configure a server in vain, and read why."""
    server = start('server', {'autostart': False, **parameters})
    assert not peer.transition('configure')
    operator.wait('server: network', 'ERROR', f'configure failed: .*{words}')
    server.stop()


def test_corrupted_model(start, peer, operator, tmp_path, classifier):
    whole = classifier.with_name('colors.onnx').read_bytes()
    (tmp_path / 'broken.onnx').write_bytes(whole[:len(whole) // 2])
    failed_to_configure(
        start, peer, operator, 'broken.onnx', model=tmp_path / 'broken.onnx')


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk that has no room for the largest model that is allowed."""
    for parent in (tmp_path, Path('/dev/shm'), Path('/run')):
        if parent.is_dir() and os.access(parent, os.W_OK) and (
                shutil.disk_usage(parent).free < LARGE):
            with tempfile.TemporaryDirectory(dir=parent, prefix='ros2_classify_') as folder:
                yield folder
            return
    pytest.skip('all disks here have room for 15 GB')


def test_full_disk(start, peer, operator, small_disk):
    def announce(handler):
        handler.start(200, {'Content-Length': str(LARGE)})

    with web_server() as web:
        url = web.serve('/huge.onnx', announce)
        server = start(
            'server', {'autostart': False, 'model': f'{url}#sha256={"0" * 64}'},
            environment={'ROS2_CLASSIFY_CACHE': small_disk, **NO_PROXY})
        assert not peer.transition('configure')
        operator.wait('server: network', 'ERROR', 'is full .*are needed, .* are free.*free ')
        server.stop()


def test_missing_labels(start, peer, operator, tmp_path, classifier):
    path = tmp_path / 'colors.yaml'
    path.write_text(classifier.read_text().replace('[red, green, blue]', 'names.txt').replace(
        'colors.onnx', str(classifier.with_name('colors.onnx'))))
    failed_to_configure(start, peer, operator, 'names.txt', model=path)


def test_hostile_archive(start, peer, operator, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('../../evil.onnx'))
    body = packed.getvalue()
    with web_server() as web:
        url = web.serve('/model.tar', body)
        path = tmp_path / 'hostile.yaml'
        path.write_text(
            'name: hostile\nsource:\n'
            f'  url: {url}\n  sha256: {hashlib.sha256(body).hexdigest()}\n  member: evil.onnx\n')
        server = start(
            'server', {'autostart': False, 'model': path},
            environment={'ROS2_CLASSIFY_CACHE': str(tmp_path), **NO_PROXY})
        assert not peer.transition('configure')
        operator.wait('server: network', 'ERROR', r"'\.\./\.\./evil\.onnx' leads out")
        server.stop()
    assert not list(tmp_path.parent.rglob('evil.onnx'))


def test_dead_camera(start, peer, operator, listener, classifier):
    server = start('server', {'model': classifier})
    camera = start('camera', {'rate': 20.0})
    operator.wait(PICTURES, 'OK', 'answers a second', answered='[1-9].*')
    # It hangs: it is there, and sends nothing.
    camera.send_signal(signal.SIGSTOP)
    operator.wait(PICTURES, 'ERROR', 'no picture from /camera on /image for .*ros2 topic hz')
    camera.send_signal(signal.SIGCONT)
    operator.wait(PICTURES, 'OK', 'answers a second', interruptions='1')
    camera.kill()
    server.stop()


def test_no_subscriber(start, operator, classifier):
    server = start('server', {'model': classifier})
    operator.wait(PICTURES, 'OK', 'nobody subscribes to the answers ./classification.*subscribe')
    server.stop()
