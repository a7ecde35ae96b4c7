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

"""Cameras on this machine whose images never come: other users, other containers, no memory."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from ros2_classify.ros.server import shared_memory
from ros2_classify.ros.server.shared_memory import obstacle
from vision_msgs.msg import Classification

HOST = (1, 15, 120, 253)
OWN = (*HOST, *os.getpid().to_bytes(4, 'little'), *[0] * 8)
CAMERA = 70_000

LISTENER = """
import rclpy
from vision_msgs.msg import Classification
rclpy.init()
node = rclpy.create_node('listener')
node.create_subscription(Classification, '/classification', lambda _: None, 1)
rclpy.spin(node)
"""


def gid(pid=CAMERA, host=HOST):
    """Return a publisher's identity, as Fast DDS makes it."""
    return (*host, *(pid & 0xffff).to_bytes(2, 'little'), 9, 9, *[0] * 8)


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Return a function that looks at a camera; and what it sees, to be changed."""
    memory = tmp_path / 'dev/shm'
    memory.mkdir(parents=True)
    proc = tmp_path / 'proc'
    for name in ('self', str(CAMERA)):
        (proc / name / 'root').mkdir(parents=True)
        (proc / name / 'maps').write_text('7f00 rw-s /dev/shm/fastrtps_1234\n')
        place = proc / name / 'root' / memory.relative_to('/')
        place.parent.mkdir(parents=True)
        place.symlink_to(memory)

    def look(camera=gid(), name='camera'):
        return obstacle(camera, OWN, name, proc=proc, directory=memory)

    look.proc, look.memory = proc, memory
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: SimpleNamespace(total=64 << 20, free=1 << 20))
    return look


def test_a_neighbour_shares_memory(look):
    assert look() == ('', '')


@pytest.mark.parametrize('camera', [
    (), gid(host=(1, 15, 1, 1)), (1, 16, *gid()[2:]), gid(os.getpid())],
    ids=['none', 'another machine', 'another middleware', 'this process'])
def test_others_are_not_judged(look, camera):
    (look.proc / str(CAMERA) / 'maps').write_text('')
    assert look(camera) == ('', '')


def test_another_user(look, monkeypatch):
    me = os.geteuid()
    monkeypatch.setattr(os, 'geteuid', lambda: me + 1)
    assert look() == ('user', f'user {me}, this node as user {me + 1}')


def test_another_container_that_can_be_seen(look, tmp_path):
    place = look.proc / str(CAMERA) / 'root' / look.memory.relative_to('/')
    place.unlink()
    place.mkdir()
    assert look() == ('container', f'process {CAMERA}')


def test_another_container_that_cannot_be_seen(look):
    shutil.rmtree(look.proc / str(CAMERA))
    assert look(name='_NODE_NAME_UNKNOWN_')[0] == 'container'
    # One that was killed stays in the graph for a while, by its name.
    assert look() == ('', '')


@pytest.mark.parametrize('who', ['self', str(CAMERA)])
def test_a_process_without_shared_memory(look, who, monkeypatch):
    (look.proc / who / 'maps').write_text('7f00 r--p /usr/lib/libc.so\n')
    assert look() == ('small', '64 MiB, 1 MiB of them free')
    # It was told to use another transport.
    monkeypatch.setattr(
        shared_memory.shutil, 'disk_usage', lambda _: SimpleNamespace(total=1 << 30, free=1 << 29))
    assert look() == ('', '')
    # Too small for one image.
    monkeypatch.setattr(
        shared_memory.shutil, 'disk_usage', lambda path: SimpleNamespace(total=4 << 20, free=0))
    (look.proc / who / 'maps').write_text('7f00 rw-s /dev/shm/fastrtps_1234\n')
    assert look()[0] == 'small'


def may_mount():
    return subprocess.run(
        ['unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/dev/shm'],
        capture_output=True, check=False).returncode == 0


@pytest.fixture
def within():
    """Return what runs a program with a /dev/shm of its own, of this size in MiB."""
    if not shutil.which('unshare') or not may_mount():
        pytest.skip('no right to mount')
    return lambda size: ['unshare', '-m', 'sh', '-c', (
        f'mount -t tmpfs -o size={size}m tmpfs /dev/shm; exec "$@"'), 'sh']


def test_a_camera_with_another_shared_memory_is_told_from_large_images(
        start, peer, classifier, within):
    server = start('server', {'model': classifier})
    peer.collect(Classification, '/classification')
    start('camera', {'rate': 10.0}, within=within(200))
    line = server.wait_for_line('with another /dev/shm')
    assert re.search(r'process \d+.*--ipc=host', line), line
    server.stop()


def test_a_small_shared_memory_is_told_from_large_images(
        start, peer, classifier, within, tmp_path):
    large = tmp_path / 'large.png'
    cv2.imwrite(str(large), np.zeros((1080, 1920, 3), np.uint8))
    server = start('server', {'model': classifier}, within=within(4))
    server.wait_for_line('active: ')
    # All in one mount: what is outside has another /dev/shm.
    same = ['nsenter', '-m', '-t', str(server.process.pid)]
    listener = subprocess.Popen([*same, sys.executable, '-c', LISTENER])
    try:
        start('camera', {
            'source': large, 'rate': 10.0,
            'qos_overrides./image.publisher.reliability': 'best_effort'}, within=same)
        line = server.wait_for_line('/dev/shm has 4 MiB')
    finally:
        listener.kill()
        listener.wait()
    assert '--shm-size=512m' in line
    server.stop()
