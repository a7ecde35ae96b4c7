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
Eleven faults as an operator meets them: the diagnostics, or the error alone, lead to the cure.

Each is prepared for real. What is asserted is the text that a person reads without a look into any
code: it names the cause, and what to do.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
import shutil
import subprocess
import tarfile
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros2_classify.testing import save_color_classifier
from ros_process import Peer
from ros_stream import Camera
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification

BLUE = (5, 10, 200)
IMAGES = 'server: images /image'
# As a file system of its own, in a mount namespace of its own.
TINY_DISK = ['unshare', '--mount', 'sh', '-c',
             'mount -t tmpfs -o size=64k none "$0" && exec "$@"']


class Diagnostics:
    """What the operator sees in /diagnostics."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._arrays = peer.collect(DiagnosticArray, '/diagnostics', 100)

    def say(self, name: str, level: int, *words: str) -> str:
        """Wait until a part says something with all of these words; return it."""
        def found() -> str:
            for array in reversed(self._arrays):
                for status in array.status:
                    if (status.name == name and status.level == bytes([level])
                            and all(word in status.message for word in words)):
                        return str(status.message)
            return ''
        try:
            return str(self._peer.spin_until(found, f'{name} to say {words}'))
        except AssertionError as error:
            said = {status.message for array in self._arrays for status in array.status
                    if status.name == name}
            raise AssertionError(f'{error}; it said {said}') from None


@pytest.fixture
def diagnostics(peer: Peer) -> Diagnostics:
    """Return the operator's view."""
    return Diagnostics(peer)


def refusal(start: Any, *words: str, parameters: dict[str, Any], **more: Any) -> None:
    """Start a server that can't start; it says why, with these words, in one line."""
    server = start('server', parameters, **more)
    assert server.wait() != 0
    errors = [line for line in server.lines if 'ERROR' in line or 'FATAL' in line]
    assert len(errors) == 1, server.output
    missing = [word for word in words if word not in errors[0]]
    assert not missing, f'{missing} not in {errors[0]}'
    assert 'Traceback' not in server.output


def test_wrong_topic(
        start: Any, peer: Peer, diagnostics: Diagnostics, classifier: Path) -> None:
    peer.node.create_publisher(Image, '/front/image_raw', 1)
    peer.collect(Classification, '/classification')
    server = start('server', {'model': classifier})
    diagnostics.say(IMAGES, 2, 'nobody publishes on /image', '-r image:=/front/image_raw')
    server.stop()
    # The cure.
    again = start('server', {'model': classifier}, {'image': '/front/image_raw'})
    diagnostics.say('server: images /front/image_raw', 0)
    again.stop()


def test_wrong_quality_of_service(
        start: Any, peer: Peer, diagnostics: Diagnostics, classifier: Path) -> None:
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image', qos=QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    override = 'qos_overrides./image.subscription.reliability'
    server = start('server', {'model': classifier, override: 'reliable'})
    said = diagnostics.say(IMAGES, 2, 'incompatible QoS', 'RELIABILITY', 'qos_overrides')
    assert 'test_peer' in said
    server.stop()
    again = start('server', {'model': classifier, override: 'best_effort'})
    again.wait_for_line('active: ')
    camera.result(BLUE, results)


def test_wrong_encoding(
        start: Any, peer: Peer, diagnostics: Diagnostics, classifier: Path) -> None:
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    server = start('server', {'model': classifier})
    server.wait_for_line('active: ')
    camera.result(BLUE, results)
    wrong = camera.message(BLUE)
    wrong.encoding = '16SC1'
    timer = peer.node.create_timer(0.1, lambda: camera.send(wrong))
    diagnostics.say(
        IMAGES, 2, "unusable image on /image: encoding '16SC1' contains measurements (depth, "
        'disparity), not colours; use a colour or grey image')
    peer.node.destroy_timer(timer)
    # The cure.
    camera.result(BLUE, results)


def test_no_gpu(start: Any, peer: Peer, diagnostics: Diagnostics, classifier: Path) -> None:
    if shutil.which('nvidia-smi') and not subprocess.run(
            ['nvidia-smi'], capture_output=True, check=False).returncode:
        pytest.skip('there is a GPU here')
    refusal(start, "provider 'cuda'", 'onnxruntime-gpu', 'NVIDIA driver', 'choose provider auto',
            parameters={'model': classifier, 'provider': 'cuda'})
    # Where the CPU may do instead, that is a warning.
    server = start('server', {
        'model': classifier, 'provider': 'cuda', 'require_provider': False})
    server.wait_for_line('active: ')
    diagnostics.say('server: model', 1, 'runs on CPUExecutionProvider: ', 'is not available',
                    'python -m ros2_classify doctor')
    server.wait_for_line('has no CUDAExecutionProvider and the CPU runs the model instead')
    server.stop()
    # The cure without a GPU.
    start('server', {'model': classifier, 'provider': 'auto'}).wait_for_line('active: ')
    diagnostics.say('server: model', 0, 'colors on CPUExecutionProvider')


def test_corrupted_model(start: Any, peer: Peer, tmp_path: Path) -> None:
    whole = save_color_classifier(tmp_path / 'colors.onnx').read_bytes()
    (tmp_path / 'colors.onnx').write_bytes(whole[:len(whole) // 2])
    refusal(start, 'colors.onnx', 'cut off', 'get the file again',
            parameters={'model': tmp_path / 'colors.onnx'})
    # The cure.
    (tmp_path / 'colors.onnx').write_bytes(whole)
    start('server', {'model': tmp_path / 'colors.onnx'}).wait_for_line('active: ')


def may_mount() -> bool:
    """Tell whether this process may mount file systems: see capabilities(7), CAP_SYS_ADMIN."""
    status = Path('/proc/self/status').read_text()
    return bool(int(status.partition('CapEff:')[2].split()[0], 16) >> 21 & 1)


def test_full_disk(start: Any, peer: Peer, tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip('mounting a file system needs more rights')
    tried = subprocess.run([*TINY_DISK, str(tmp_path), 'true'], capture_output=True, text=True,
                           check=False)
    assert tried.returncode == 0, tried.stderr
    path = save_color_classifier(tmp_path / 'large.onnx')
    # A documentation string of 200,000 bytes: field 6 of ModelProto.
    body = path.read_bytes() + b'\x32\xc0\x9a\x0c' + b'x' * 200_000
    path.write_bytes(body)
    cache, roomy = tmp_path / 'cache', tmp_path / 'roomy'
    cache.mkdir()
    model = {'model': f'{path.as_uri()}#sha256={hashlib.sha256(body).hexdigest()}'}
    refusal(start, f'the disk of the cache {cache} is full', 'free some space',
            'ROS2_CLASSIFY_CACHE', parameters=model,
            environment={'ROS2_CLASSIFY_CACHE': str(cache)}, within=[*TINY_DISK, str(cache)])
    # The cure.
    start('server', model, environment={'ROS2_CLASSIFY_CACHE': str(roomy)}).wait_for_line(
        'active: ')


def test_full_disk_of_the_log(
        start: Any, peer: Peer, diagnostics: Diagnostics, classifier: Path,
        tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip('mounting a file system needs more rights')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    server = start('server', {'model': classifier}, environment={'ROS_LOG_DIR': str(tmp_path)},
                   within=[*TINY_DISK, str(tmp_path)])
    server.wait_for_line('active: ')
    camera.result(BLUE, results)
    # In the server's own mount namespace.
    filler = Path(f'/proc/{server.process.pid}/root{tmp_path}/filler')
    with filler.open('wb', buffering=0) as target, pytest.raises(OSError, match='No space left'):
        for _ in range(1000):
            target.write(bytes(1000))
    assert 'none.onnx' in peer.set_values(model='/none.onnx')[0]
    diagnostics.say('server: inference', 1, 'the disk of the log files is full', 'ROS_LOG_DIR')
    results.clear()
    camera.result(BLUE, results)
    # The cure.
    filler.unlink()
    peer.set_values(model='/later.onnx')
    log = ''.join(path.read_text() for path in filler.parent.glob('*.log'))
    assert 'later.onnx' in log
    server.stop()


def test_missing_labels(start: Any, peer: Peer, classifier: Path) -> None:
    path = classifier.with_name('unlabelled.yaml')
    path.write_text(classifier.read_text().replace(
        'labels: [red, green, blue]', 'labels: colors.txt'))
    refusal(start, 'the label file colors.txt was not found', 'ROS2_CLASSIFY_MODEL_PATH',
            parameters={'model': path})
    # The cure.
    path.with_name('colors.txt').write_text('red\ngreen\nblue\n')
    start('server', {'model': path}).wait_for_line('active: ')


def test_hostile_archive(start: Any, peer: Peer, tmp_path: Path) -> None:
    archive = tmp_path / 'evil.tar.gz'
    (tmp_path / 'good').mkdir()
    body = save_color_classifier(tmp_path / 'good/colors.onnx').read_bytes()

    def write(name: str) -> None:
        with tarfile.open(archive, 'w:gz') as tar:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))

    write('../../evil.onnx')
    path = tmp_path / 'evil.yaml'
    path.write_text('name: evil\ntask: classification\n'
                    'source: {path: evil.tar.gz, member: evil.onnx}\n'
                    'input: {scale: 1/255}\n'
                    'output: {decoder: classification}\n')
    cache = {'ROS2_CLASSIFY_CACHE': str(tmp_path / 'cache')}
    refusal(start, 'evil.tar.gz', '../../evil.onnx', parameters={'model': path}, environment=cache)
    assert not list(tmp_path.parent.rglob('evil.onnx'))
    # The cure: an archive from somebody else.
    write('evil.onnx')
    start('server', {'model': path}, environment=cache).wait_for_line('active: ')


def test_dead_camera(
        start: Any, peer: Peer, diagnostics: Diagnostics, classifier: Path) -> None:
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    start('server', {'model': classifier}).wait_for_line('active: ')
    camera.result(BLUE, results)
    # It hangs: it is there and sends nothing.
    diagnostics.say(IMAGES, 2, 'no image from', '/image', 'ros2 topic hz')
    # It is gone.
    camera.close()
    diagnostics.say(IMAGES, 2, 'nobody publishes on /image', 'is the camera running')
    camera = Camera(peer, '/image')
    camera.result(BLUE, results)


def test_no_subscriber(
        start: Any, peer: Peer, diagnostics: Diagnostics, classifier: Path) -> None:
    camera = Camera(peer, '/image')
    start('server', {'model': classifier}).wait_for_line('active: ')
    diagnostics.say(IMAGES, 0, 'nobody subscribes to the results', '/classification',
                    'subscribe to one of them')
    results = peer.collect(Classification, '/classification')
    camera.result(BLUE, results)
